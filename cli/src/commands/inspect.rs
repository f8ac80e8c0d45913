//! `hubel inspect`: the layers of a model or network with sizes and costs, or its plan.
use std::process::ExitCode;

use hubel::data::Medium;
use hubel::network::Input;
use hubel::{Network, Parameters, Plan, PlanSettings, bench, in_percent, listed, one_line};

use super::named::Named;
use super::{Outcome, named, of_texts};
use crate::args::{Inspect, PlanMode};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Inspect, console: &Console) -> Outcome {
    let named = named::network(&arguments.network, console)?;
    let input = arguments.input.map_or(named.input, Into::into);
    let classes = arguments.classes.unwrap_or(named.usual_classes());
    let (network, names) = (&named.network, &named.classes);
    if !names.is_empty() && (input, classes) != (named.input, names.len()) {
        console.remark(&format!(
            "this is the model's network for {input} and {classes} classes; the model itself is for {} and {}",
            named.input,
            names.len()
        ));
    }
    if let Some(mode) = arguments.plan {
        return plan(arguments, mode, network, input, classes);
    }
    let summary = network.summary(input, classes)?;
    if arguments.json {
        let mut summary = serde_json::to_value(&summary)?;
        summary["class_names"] = names.clone().into();
        summary["stopped_at"] = serde_json::to_value(named.stopped_at)?;
        summary["origin"] = serde_json::to_value(&named.origin)?;
        summary["frozen"] = serde_json::to_value(&named.frozen)?;
        summary["temperature"] = serde_json::to_value(named.temperature)?;
        summary["sound"] = serde_json::to_value(named.medium.sound())?;
        summary["threshold"] = serde_json::to_value(named.threshold)?;
        console::print(&summary.to_string())?;
    } else {
        console::print(&summary.to_string())?;
        if !names.is_empty() {
            let names = listed(names.iter().map(String::as_str));
            console::print(&format!("classes  {}", one_line(&names)))?;
        }
        if let Some(line) = samples(&named) {
            console::print(&line)?;
        }
        if let Some(origin) = &named.origin {
            let left = match &named.frozen {
                None => "all layers were fine-tuned".to_owned(),
                Some(layer) => format!("frozen: the layers up to `{layer}`"),
            };
            console::print(&format!("from     {}; {left}", one_line(origin)))?;
        }
        for line in certainty(&named) {
            console::print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How recordings, texts or clips become the model's input.
fn samples(named: &Named) -> Option<String> {
    let input = named.input.shape;
    match &named.medium {
        Medium::Sound(sound) => Some(format!("sound    {sound}")),
        Medium::Text(vocabulary) => Some(format!("texts    {}", of_texts(vocabulary, input.time))),
        Medium::Clip(clips) => Some(format!(
            "clips    {} frames of {}, {}",
            input.time,
            input.over(1),
            match clips.rate {
                Some(rate) => format!("at {rate} a second"),
                None => "spread evenly over the clip".to_owned(),
            }
        )),
        _ => None,
    }
}

/// What the model does with its outputs before it answers, a line each.
fn certainty(named: &Named) -> Vec<String> {
    let temperature = named.temperature.map(|temperature| {
        format!("softmax  of the outputs divided by the temperature {temperature:.2}")
    });
    let threshold = named.threshold.map(|threshold| {
        format!(
            "not sure below {:.2} %: at most {} of the other answers are wrong, with 95 % confidence, for data like the {} examples that chose it",
            100.0 * threshold.probability,
            in_percent(threshold.wrong_at_most),
            thousands(threshold.images)
        )
    });
    temperature.into_iter().chain(threshold).collect()
}

fn plan(
    arguments: &Inspect,
    mode: PlanMode,
    network: &Network,
    input: Input,
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
