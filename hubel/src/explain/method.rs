//! The ways to explain a picture, each with its settings: for whoever explains many pictures in one way, as the health checks do.
use hubel_kernels::Cpu;

use super::occlusion::Occlusion;
use super::{Explainer, Heatmap, Score, grad_cam, gradients};
use crate::{Model, Result};

/// A way to explain a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// [Grad-CAM](grad_cam::map) on the map of this layer, or of the [usual](grad_cam::usual_layer) one.
    GradCam {
        /// The layer, by name.
        layer: Option<String>,
    },
    /// The magnitude of the [input gradient](gradients::input_gradient).
    Gradient,
    /// The magnitude of the [mean gradient over noisy copies](gradients::smooth_grad).
    SmoothGrad {
        /// The noisy copies.
        samples: usize,
        /// The deviation of the noise, as a share of the range of the picture's numbers.
        noise: f32,
        /// Decides the noise.
        seed: u64,
    },
    /// [Integrated gradients](gradients::integrated_in) in 64 steps.
    IntegratedGradients {
        /// The constant picture that they begin at, in normalised numbers.
        baseline: f32,
    },
    /// [Occlusion](Occlusion::map).
    Occlusion(Occlusion),
}

/// A prepared picture, and what is explained of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// `[h, w, c]`, as [`Preparation`](crate::Preparation) makes it.
    pub image: Vec<f32>,
    /// What is explained.
    pub score: Score,
}

/// Pictures that a method of many runs looks at together.
const BATCH: usize = 8;
/// Steps of integrated gradients.
const STEPS: usize = 64;

impl Method {
    /// SmoothGrad as it is usual: 32 copies, with noise of 0.15 of the picture's range.
    pub fn smooth_grad() -> Self {
        Self::SmoothGrad {
            samples: 32,
            noise: 0.15,
            seed: 1,
        }
    }

    /// The maps of some pictures, in their order. `progress` is told after each how many are done.
    ///
    /// # Errors
    /// As of the method; where memory does not suffice.
    pub fn maps(
        &self,
        cpu: &Cpu,
        model: &Model,
        questions: &[Question],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Heatmap>> {
        let mut each = |map: &mut dyn FnMut(&[f32], &Score) -> Result<Heatmap>| {
            let maps = questions.iter().zip(1..).map(|(question, done)| {
                let map = map(&question.image, &question.score)?;
                progress(done);
                Ok(map)
            });
            maps.collect()
        };
        let with_batch = |batch| Explainer::new(cpu, model, batch);
        match self {
            Self::GradCam { layer } => {
                let mut explainer = with_batch(1)?;
                each(&mut |image, score| {
                    explainer.look(image);
                    grad_cam::map(&mut explainer, score, layer.as_deref())
                })
            }
            Self::Gradient => {
                let mut explainer = with_batch(1)?;
                each(&mut |image, score| {
                    Ok(gradients::input_gradient(&mut explainer, image, score).magnitude())
                })
            }
            Self::SmoothGrad {
                samples,
                noise,
                seed,
            } => {
                let mut explainer = with_batch(BATCH)?;
                let mut map = |image: &[f32], score: &Score| {
                    gradients::smooth_grad(&mut explainer, image, score, *samples, *noise, *seed)
                };
                each(&mut |image, score| Ok(map(image, score).magnitude()))
            }
            Self::IntegratedGradients { baseline } => {
                let mut explainer = with_batch(BATCH)?;
                let mut map = |image: &[f32], score: &Score| {
                    gradients::integrated_in(&mut explainer, image, score, *baseline, STEPS)
                };
                each(&mut |image, score| Ok(map(image, score).heatmap))
            }
            Self::Occlusion(occlusion) => {
                each(&mut |image, score| occlusion.map(cpu, model, image, score, &|_, _| {}))
            }
        }
    }
}
