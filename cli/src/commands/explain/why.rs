//! `--method`: each method as a picture and a sentence, and its checks.
use hubel::data::Kind;
use hubel::explain::gradients::Copies;
use hubel::explain::method::batch;
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{self, Checks, Explainer, Finding, Heatmap, draw, grad_cam, gradients};
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::checks;
use super::data::Data;
use super::{Files, Looked};
use crate::args::{Explain, Method};
use crate::console::{self, Console, thousands};

/// SmoothGrad: number of noisy copies, noise as a share of the input's range, seed.
const SAMPLES: usize = 32;
const NOISE: f32 = 0.15;
const SEED: u64 = 1;
/// The baseline of integrated gradients: the mean of the training pictures.
const BASELINE: f32 = 0.0;

/// The explanation by one method.
pub(super) struct Explanation {
    pub(super) name: &'static str,
    /// What the picture shows, in one sentence.
    pub(super) finding: String,
    /// The checks, with `--check`.
    checks: Option<Checks>,
    pub(super) map: Heatmap,
    /// The PNG for the page.
    pub(super) png: Vec<u8>,
}

impl Explanation {
    /// The findings of the checks.
    pub(super) fn checked(&self) -> impl Iterator<Item = Finding> {
        self.checks.iter().flat_map(Checks::findings)
    }

    pub(super) fn to_json(&self) -> Value {
        let brightest = match self.map.brightest() {
            [_, row, column] if self.map.time == 1 => vec![row, column],
            place => place.to_vec(),
        };
        json!({
            "method": self.name,
            "layer": self.map.layer,
            "frames": self.map.time,
            "height": self.map.height,
            "width": self.map.width,
            "values": self.map.values.iter().map(|value| console::decimal(*value)).collect::<Vec<_>>(),
            "brightest": brightest,
            "finding": self.finding,
            "checks": self.checks.as_ref().map(checks::to_json),
        })
    }
}

/// Explains the class by each method of `--method`.
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
            // A network without convolutions has no map for Grad-CAM. This is an error only if `--method` names it.
            Err(Error::Settings { .. })
                if method == Method::GradCam && is_default && arguments.layer.is_none() =>
            {
                continue;
            }
            made => made?,
        };
        let check = || {
            let map = (&made.method, &made.map);
            checks::of(arguments, model, looked, data, map, console)
        };
        let checks = arguments.check.then(check).transpose()?;
        let drawing = draw::overlay(&made.map, &looked.prepared.pixels, model.input());
        let place = strongest(model, &made.map, looked.prepared.start);
        let finding = made.finding + &place;
        let findings = checks.iter().flat_map(Checks::findings);
        let failed = findings.filter(|finding| finding.has_failed);
        let failures = failed.map(|finding| finding.sentence);
        let failures: Vec<String> = made.failure.into_iter().chain(failures).collect();
        // The PNG file may be seen without the page.
        let saved = match failures.is_empty() {
            true => drawing.clone(),
            false => draw::captioned(&drawing, &format!("{}.", failures.join(". "))),
        };
        let name = made.name.to_lowercase().replace(' ', "-");
        files.save(&format!("why-{name}"), &saved)?;
        explanations.push(Explanation {
            name: made.name,
            finding,
            checks,
            map: made.map,
            png: drawing.png(),
        });
    }
    // The maps must be those of the unchanged picture afterwards.
    looked.explainer.look(&looked.prepared.tensor);
    Ok(explanations)
}

/// Where the map of a recording is largest, for the end of a sentence. The network's input begins at `start` of the recording, in seconds.
fn strongest(model: &Model, map: &Heatmap, start: f64) -> String {
    model
        .preparation()
        .medium
        .sound()
        .map_or_else(String::new, |sound| {
            let [_, row, column] = map.brightest();
            let (seconds, hertz) = sound.place([map.height, map.width], [row, column]);
            format!(
                "; most at {:.2} s of the recording, {} Hz",
                (start + seconds).max(0.0),
                thousands(hertz.round() as usize)
            )
        })
}

/// A map, with the method that made it.
struct Made {
    name: &'static str,
    map: Heatmap,
    finding: String,
    /// The method, for making comparable maps.
    method: explain::Method,
    /// A warning by the method itself.
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
    // A recording's input is its spectrogram.
    let [value, values] = match model.preparation().medium.kind() {
        Kind::Sounds => ["value of the spectrogram", "values of the spectrogram"],
        _ => ["pixel", "pixels"],
    };
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
                "where the {}×{} map of layer {} supports it",
                map.height, map.width, map.layer
            );
            made("Grad-CAM", map, finding, explain::Method::GradCam { layer })
        }
        Method::Gradient => {
            let map = gradients::input_gradient(&mut looked.explainer, image, score).magnitude();
            let finding = format!("how much the score changes with each {value}");
            made("gradient", map, finding, explain::Method::Gradient)
        }
        Method::SmoothGrad => {
            let mut explainer = Explainer::new(&cpu, model, batch(model.input()))?;
            let copies = Copies {
                samples: SAMPLES,
                noise: NOISE,
                seed: SEED,
            };
            let bar = console.count("averaging", "copies");
            let progress = |done: usize, all: usize| bar.show(done, all);
            let map = gradients::smooth_grad_with(&mut explainer, image, score, copies, &progress);
            bar.finish();
            let finding = format!(
                "the mean over {SAMPLES} copies with noise of {NOISE} of the input's range"
            );
            let method = explain::Method::SmoothGrad {
                samples: SAMPLES,
                noise: NOISE,
                seed: SEED,
            };
            made("SmoothGrad", map.magnitude(), finding, method)
        }
        Method::IntegratedGradients => {
            let mut explainer = Explainer::new(&cpu, model, batch(model.input()))?;
            let bar = console.count("integrating", "steps");
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
            let bar = console.count("covering parts", "copies");
            let map = occlusion.map(&cpu, model, image, score, &|done, all| bar.show(done, all));
            bar.finish();
            let map = map?;
            let most = map.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let [height, width] = occlusion.window;
            let finding = match most > 0.0 {
                true => {
                    format!(
                        "covering {height}×{width} {values} lowers the score by up to {most:.3}"
                    )
                }
                false => format!("covering {height}×{width} {values} lowers the score nowhere"),
            };
            let method = explain::Method::Occlusion(occlusion);
            made("occlusion", map, finding, method)
        }
        Method::All => unreachable!("it stands for the others"),
    })
}
