//! `hubel predict`: what a model sees in pictures.
use std::process::ExitCode;

use hubel::{Error, Prediction};
use serde_json::{Value, json};

use super::{Outcome, named};
use crate::args::Predict;
use crate::console::{self, Console};

/// Runs the command.
pub(crate) fn run(arguments: &Predict, console: &Console) -> Outcome {
    let model = named::load(&arguments.model)?.with_precise(arguments.precise);
    let cpu = arguments.processor.cpu();
    let (predictions, bad_files) = model.predict(&cpu, &arguments.images, arguments.top)?;
    if arguments.json {
        let predictions: Vec<Value> = predictions.iter().map(to_json).collect();
        console::print(&json!({ "predictions": predictions, "bad_files": bad_files }).to_string())?;
    } else if !predictions.is_empty() {
        console::print(&predictions.iter().map(to_text).collect::<String>())?;
    }
    let failed = !bad_files.is_empty();
    for bad in bad_files {
        console.error(&Error::from(bad));
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn to_json(prediction: &Prediction) -> Value {
    let top = prediction.top.iter();
    let top: Vec<Value> = top
        .map(|(class, probability)| json!([class, console::decimal(*probability)]))
        .collect();
    json!({
        "path": prediction.path.display().to_string(),
        "class": prediction.class,
        "probability": console::decimal(prediction.probability),
        "top": top,
        "inverted": prediction.inverted,
        "other_ground": prediction.other_ground,
    })
}

/// `photo.jpg: 7  99.80 %  (then 1 0.10 %, 9 0.05 %)  inverted: light and dark exchanged, as the model knows it`
fn to_text(prediction: &Prediction) -> String {
    let percent =
        |(class, probability): &(String, f32)| format!("{class} {:.2} %", probability * 100.0);
    let others: Vec<String> = prediction.top.iter().skip(1).map(percent).collect();
    let mut line = format!(
        "{}: {}  {:.2} %",
        prediction.path.display(),
        prediction.class,
        prediction.probability * 100.0
    );
    if !others.is_empty() {
        line += &format!("  (then {})", others.join(", "));
    }
    if prediction.inverted {
        line += "  inverted: light and dark exchanged, as the model knows it";
    }
    if prediction.other_ground {
        line += "  on another ground than the model has learned from";
    }
    line + "\n"
}
