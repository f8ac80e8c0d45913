//! Why this class: the methods that were asked for, each as a picture and a sentence, and checked if that was asked for.
use hubel::explain::gradients::Copies;
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{self, Explainer, Heatmap, draw, grad_cam, gradients};
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::checks::{Checks, Finding};
use super::data::Data;
use super::{Files, Looked};
use crate::args::{Explain, Method};
use crate::console::{self, Console};

/// Noisy copies of SmoothGrad, their noise as a share of the picture's range, and what decides it.
const SAMPLES: usize = 32;
const NOISE: f32 = 0.15;
const SEED: u64 = 1;
/// What integrated gradients begin at: the mean of the training pictures.
const BASELINE: f32 = 0.0;
/// Pictures of 64×64 in colour that the slower methods look at together; of larger ones fewer, for their maps and gradients are all kept.
const BATCH: usize = 8;

fn batch(model: &Model) -> usize {
    (BATCH * 64 * 64 * 3 / model.input().len()).clamp(1, BATCH)
}

/// What one method found.
pub(super) struct Explanation {
    pub(super) name: &'static str,
    /// What the picture shows, in a sentence.
    pub(super) finding: String,
    /// Whether it can be trusted, if that was asked for.
    checks: Option<Checks>,
    pub(super) map: Heatmap,
    /// The PNG for the page.
    pub(super) png: Vec<u8>,
}

impl Explanation {
    /// What the checks say, if there were any.
    pub(super) fn checked(&self) -> impl Iterator<Item = Finding> {
        self.checks.iter().flat_map(Checks::findings)
    }

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
            "checks": self.checks.as_ref().map(Checks::to_json),
        })
    }
}

/// Explains by every method that was asked for.
pub(super) fn explain(
    arguments: &Explain,
    model: &Model,
    looked: &mut Looked,
    data: Option<&Data>,
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
    let mut explanations = Vec::new();
    for method in methods {
        let made = match made(method, arguments, model, looked, console) {
            // A network without convolutions has no map for Grad-CAM; who asks for it by name is told.
            Err(Error::Settings { .. })
                if method == Method::GradCam && is_default && arguments.layer.is_none() =>
            {
                continue;
            }
            made => made?,
        };
        let check = || {
            let map = (&made.method, &made.map);
            Checks::of(arguments, model, looked, data, map, console)
        };
        let checks = arguments.check.then(check).transpose()?;
        let drawing = draw::overlay(&made.map, &looked.prepared.pixels, model.input());
        let findings = checks.iter().flat_map(Checks::findings);
        let failed = findings.filter(|finding| finding.has_failed);
        let failures = failed.map(|finding| finding.sentence);
        let failures: Vec<String> = made.failure.into_iter().chain(failures).collect();
        // The file is looked at without the page.
        let saved = match failures.is_empty() {
            true => drawing.clone(),
            false => draw::captioned(&drawing, &format!("{}.", failures.join(". "))),
        };
        let name = made.name.to_lowercase().replace(' ', "-");
        files.save(&format!("why-{name}"), &saved)?;
        explanations.push(Explanation {
            name: made.name,
            finding: made.finding,
            checks,
            map: made.map,
            png: drawing.png(),
        });
    }
    // What the maps show afterwards is the whole picture.
    looked.explainer.look(&looked.prepared.tensor);
    Ok(explanations)
}

/// The map that a method made.
struct Made {
    name: &'static str,
    map: Heatmap,
    finding: String,
    /// How it was made, so that others can be made alike.
    method: explain::Method,
    /// What the method itself says against the map.
    failure: Option<String>,
}

fn made(
    method: Method,
    arguments: &Explain,
    model: &Model,
    looked: &mut Looked,
    console: &Console,
) -> Result<Made, Error> {
    let (cpu, image, score) = (
        arguments.processor.cpu(),
        &looked.prepared.tensor,
        &looked.score,
    );
    let made = |name, map, finding, method| Made {
        name,
        map,
        finding,
        method,
        failure: None,
    };
    Ok(match method {
        Method::GradCam => {
            let layer = arguments.layer.clone();
            looked.explainer.look(image);
            let map = grad_cam::map(&mut looked.explainer, score, layer.as_deref())?;
            let finding = format!(
                "where the {}×{} map of layer {} speaks for it",
                map.height, map.width, map.layer
            );
            made("Grad-CAM", map, finding, explain::Method::GradCam { layer })
        }
        Method::Gradient => {
            let map = gradients::input_gradient(&mut looked.explainer, image, score).magnitude();
            let finding = "how much the score changes with each pixel".to_owned();
            made("gradient", map, finding, explain::Method::Gradient)
        }
        Method::SmoothGrad => {
            let mut explainer = Explainer::new(&cpu, model, batch(model))?;
            let copies = Copies {
                samples: SAMPLES,
                noise: NOISE,
                seed: SEED,
            };
            let bar = console.pictures("averaging");
            let progress = |done: usize, all: usize| bar.show(done, all);
            let map = gradients::smooth_grad_with(&mut explainer, image, score, copies, &progress);
            bar.finish();
            let finding = format!(
                "the mean over {SAMPLES} copies with noise of {NOISE} of the picture's range"
            );
            let method = explain::Method::SmoothGrad {
                samples: SAMPLES,
                noise: NOISE,
                seed: SEED,
            };
            made("SmoothGrad", map.magnitude(), finding, method)
        }
        Method::IntegratedGradients => {
            let mut explainer = Explainer::new(&cpu, model, batch(model))?;
            let bar = console.pictures("integrating");
            let progress = |done: usize, all: usize| bar.show(done, all);
            let found =
                gradients::integrated_with(&mut explainer, image, score, BASELINE, &progress);
            bar.finish();
            let finding = found.to_string();
            let failure = (!found.is_complete()).then(|| finding.clone());
            let method = explain::Method::IntegratedGradients { baseline: BASELINE };
            let map = found.attribution.heatmap;
            Made {
                failure,
                ..made("integrated gradients", map, finding, method)
            }
        }
        Method::Occlusion => {
            let occlusion = Occlusion::for_input(model.input());
            let bar = console.pictures("covering parts");
            let map = occlusion.map(&cpu, model, image, score, &|done, all| bar.show(done, all));
            bar.finish();
            let map = map?;
            let most = map.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let [height, width] = occlusion.window;
            let finding = match most > 0.0 {
                true => {
                    format!("covering {height}×{width} pixels lowers the score by up to {most:.3}")
                }
                false => format!("covering {height}×{width} pixels lowers the score nowhere"),
            };
            let method = explain::Method::Occlusion(occlusion);
            made("occlusion", map, finding, method)
        }
        Method::All => unreachable!("it stands for the others"),
    })
}
