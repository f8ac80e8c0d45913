//! Why this class: the methods that were asked for, each as a picture and a sentence.
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{Explainer, Heatmap, draw, grad_cam, gradients};
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::{Files, Looked};
use crate::args::{Explain, Method};
use crate::console::{self, Console};

/// Noisy copies of SmoothGrad, and their noise as a share of the picture's range.
const SAMPLES: usize = 32;
const NOISE: f32 = 0.15;
/// Pictures that the slower methods look at together.
const BATCH: usize = 8;

/// What one method found.
pub(super) struct Explanation {
    pub(super) name: &'static str,
    /// What the picture shows, in a sentence.
    pub(super) finding: String,
    pub(super) map: Heatmap,
    /// The PNG for the page.
    pub(super) png: Vec<u8>,
}

impl Explanation {
    pub(super) fn to_json(&self) -> Value {
        let [row, column] = self.map.brightest();
        json!({
            "method": self.name,
            "layer": self.map.layer,
            "height": self.map.height,
            "width": self.map.width,
            "values": self.map.values.iter().map(|value| console::decimal(*value)).collect::<Vec<_>>(),
            "brightest": [row, column],
            "finding": self.finding,
        })
    }
}

/// Explains by every method that was asked for.
pub(super) fn explain(
    arguments: &Explain,
    model: &Model,
    looked: &mut Looked,
    files: &mut Files,
    console: &Console,
) -> Result<Vec<Explanation>, Error> {
    let all = [
        Method::GradCam,
        Method::Gradient,
        Method::SmoothGrad,
        Method::IntegratedGradients,
        Method::Occlusion,
    ];
    let mut methods = match arguments.method.contains(&Method::All) {
        true => all.to_vec(),
        false => arguments.method.clone(),
    };
    methods.sort_unstable();
    methods.dedup();
    let is_default = arguments.method == [Method::GradCam, Method::Gradient];
    let cpu = arguments.processor.cpu();
    let image = looked.prepared.tensor.clone();
    let score = looked.score;
    let mut batched: Option<Explainer> = None;
    let mut explanations = Vec::new();
    for method in methods {
        let many = |batched: &mut Option<Explainer>| -> Result<Explainer, Error> {
            match batched.take() {
                Some(explainer) => Ok(explainer),
                None => Explainer::new(&cpu, model, BATCH),
            }
        };
        let (name, map, finding) = match method {
            Method::GradCam => {
                let layer = arguments.layer.as_deref();
                let map = match grad_cam::map(&mut looked.explainer, &score, layer) {
                    // A network without convolutions has no such map; who asks for it by name is told.
                    Err(Error::Settings { .. }) if is_default && layer.is_none() => continue,
                    map => map?,
                };
                let finding = format!(
                    "where the {}×{} map of layer {} speaks for it",
                    map.height, map.width, map.layer
                );
                ("Grad-CAM", map, finding)
            }
            Method::Gradient => {
                let found = gradients::input_gradient(&mut looked.explainer, &image, &score);
                (
                    "gradient",
                    found.magnitude(),
                    "how much the score changes with each pixel".into(),
                )
            }
            Method::SmoothGrad => {
                let mut explainer = many(&mut batched)?;
                let found =
                    gradients::smooth_grad(&mut explainer, &image, &score, SAMPLES, NOISE, 1);
                batched = Some(explainer);
                let finding = format!(
                    "the mean over {SAMPLES} copies with noise of {NOISE} of the picture's range"
                );
                ("SmoothGrad", found.magnitude(), finding)
            }
            Method::IntegratedGradients => {
                let mut explainer = many(&mut batched)?;
                let found = gradients::integrated(&mut explainer, &image, &score, 0.0);
                batched = Some(explainer);
                let complete = if found.is_complete() {
                    "complete"
                } else {
                    "NOT complete: do not trust it"
                };
                let finding = format!(
                    "sums to {:.3} of {:.3} against the mean picture in {} steps: {complete}",
                    found.sum, found.difference, found.steps
                );
                ("integrated gradients", found.attribution.heatmap, finding)
            }
            Method::Occlusion => {
                let occlusion = Occlusion::for_input(model.input());
                let bar = console.pictures("covering parts");
                let map = occlusion.map(&cpu, model, &image, &score, &|done, all| {
                    bar.show(done, all)
                })?;
                bar.finish();
                let most = map.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let [height, width] = occlusion.window;
                let finding =
                    format!("covering {height}×{width} pixels lowers the score by up to {most:.3}");
                ("occlusion", map, finding)
            }
            Method::All => unreachable!("it stands for the others"),
        };
        let drawing = draw::overlay(&map, &looked.prepared.pixels, model.input());
        files.save(
            &format!("why-{}", name.to_lowercase().replace(' ', "-")),
            &drawing,
        )?;
        explanations.push(Explanation {
            name,
            finding,
            map,
            png: drawing.png(),
        });
    }
    // What the maps show afterwards is the whole picture.
    looked.explainer.look(&image);
    Ok(explanations)
}
