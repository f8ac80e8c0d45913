//! `hubel inspect`: the layers of a model or a network, with sizes and costs.
use std::path::Path;
use std::process::ExitCode;

use hubel::{Model, Network};

use super::{Outcome, model_file, usual_input};
use crate::args::Inspect;
use crate::console;

/// Runs the command.
pub(crate) fn run(arguments: &Inspect) -> Outcome {
    let text = arguments.network.as_str();
    let (network, input, classes) = if is_model(text) {
        let model = Model::load(&model_file(Path::new(text)))?;
        (
            model.network().clone(),
            model.input(),
            model.classes().len(),
        )
    } else {
        (Network::resolve(text)?, usual_input(text), 10)
    };
    let input = arguments.input.unwrap_or(input);
    let summary = network.summary(input, arguments.classes.unwrap_or(classes))?;
    if arguments.json {
        console::print(&serde_json::to_string(&summary)?)?;
    } else {
        console::print(&summary.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the text is a file or folder and no network's name; a missing file counts when it is called like a model.
fn is_model(text: &str) -> bool {
    let path = Path::new(text);
    let is_name = Network::usual_input(text).is_some();
    (path.exists() && !is_name) || path.extension().is_some_and(|end| end == "safetensors")
}
