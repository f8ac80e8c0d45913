//! `hubel inspect`: the layers of a model or a network, with sizes and costs, or its plan.
use std::path::Path;
use std::process::ExitCode;

use hubel::{Model, Network, Parameters, Plan, PlanSettings, Shape, bench};

use super::{Outcome, model_file, usual_input};
use crate::args::{Inspect, PlanMode};
use crate::console;

/// Runs the command.
pub(crate) fn run(arguments: &Inspect) -> Outcome {
    let text = arguments.network.as_str();
    let (network, input, names) = if is_model(text) {
        let model = Model::load(&model_file(Path::new(text)))?;
        (
            model.network().clone(),
            model.input(),
            model.classes().to_vec(),
        )
    } else {
        (Network::resolve(text)?, usual_input(text), Vec::new())
    };
    let input = arguments.input.unwrap_or(input);
    let usual_classes = if names.is_empty() { 10 } else { names.len() };
    let classes = arguments.classes.unwrap_or(usual_classes);
    if let Some(mode) = arguments.plan {
        return plan(arguments, mode, &network, input, classes);
    }
    let summary = network.summary(input, classes)?;
    if arguments.json {
        let mut summary = serde_json::to_value(&summary)?;
        summary["class_names"] = names.into();
        console::print(&summary.to_string())?;
    } else {
        console::print(&summary.to_string())?;
        if !names.is_empty() {
            console::print(&format!("classes  {}", names.join(", ")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(
    arguments: &Inspect,
    mode: PlanMode,
    network: &Network,
    input: Shape,
    classes: usize,
) -> Outcome {
    let batch = arguments
        .batch
        .unwrap_or_else(|| bench::usual_batch(&arguments.network));
    let settings = PlanSettings {
        precise: arguments.precise,
        ..match mode {
            PlanMode::Training => PlanSettings::training(batch),
            PlanMode::Inference => PlanSettings::inference(batch),
        }
    };
    let graph = network.graph(input, classes)?;
    let parameters = Parameters::initial(&graph, 1)?;
    let report = Plan::compile(&graph, &parameters, &arguments.processor.cpu(), settings)?.report();
    if arguments.json {
        console::print(&serde_json::to_string(&report)?)?;
    } else {
        console::print(&report.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the text is a file or folder and no network's name; a missing one counts when it is called like a model or holds a slash, which
/// no architecture text does.
fn is_model(text: &str) -> bool {
    let path = Path::new(text);
    let is_name = Network::usual_input(text).is_some();
    let is_path =
        text.contains(['/', '\\']) || path.extension().is_some_and(|end| end == "safetensors");
    (path.exists() && !is_name) || is_path
}
