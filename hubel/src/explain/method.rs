//! The methods of explanation with their settings, for explaining many pictures in one way, as the checks do.
use hubel_kernels::Cpu;

use super::occlusion::Occlusion;
use super::{Explainer, Heatmap, Score, grad_cam, gradients};
use crate::{Model, Result, Shape};

/// A method of explanation.
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
        /// Standard deviation of the noise, as a share of the range of the picture's values.
        noise: f32,
        /// Seed of the noise.
        seed: u64,
    },
    /// [Integrated gradients](gradients::integrated_in) in 64 steps.
    IntegratedGradients {
        /// The constant baseline picture, in normalised values.
        baseline: f32,
    },
    /// [Occlusion](Occlusion::map).
    Occlusion(Occlusion),
}

/// A prepared picture, and the score to explain.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// `[h, w, c]`, as [`Preparation`](crate::Preparation) makes it.
    pub image: Vec<f32>,
    /// The score to explain.
    pub score: Score,
}

/// Batch size for methods with many runs: eight colour pictures of 64×64, fewer of larger ones, because all their maps and gradients are
/// kept.
pub fn batch(input: Shape) -> usize {
    const MOST: usize = 8;
    (MOST * 64 * 64 * 3 / input.len()).clamp(1, MOST)
}

/// Steps of integrated gradients.
const STEPS: usize = 64;

impl Method {
    /// SmoothGrad's usual settings: 32 copies, with noise of 0.15 of the picture's range.
    pub fn smooth_grad() -> Self {
        Self::SmoothGrad {
            samples: 32,
            noise: 0.15,
            seed: 1,
        }
    }

    /// The maps of some pictures, in order. `progress` gets the number of maps done, after each map.
    ///
    /// # Errors
    /// As for the method; if memory does not suffice.
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
                let mut explainer = with_batch(batch(model.input()))?;
                let mut map = |image: &[f32], score: &Score| {
                    gradients::smooth_grad(&mut explainer, image, score, *samples, *noise, *seed)
                };
                each(&mut |image, score| Ok(map(image, score).magnitude()))
            }
            Self::IntegratedGradients { baseline } => {
                let mut explainer = with_batch(batch(model.input()))?;
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
