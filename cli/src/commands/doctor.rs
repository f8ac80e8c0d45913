//! `hubel doctor`: examines a training before it begins.
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::process::ExitCode;

use hubel::data::{Kind, Source};
use hubel::doctor::{self, ByHeart, Diagnosis, LabelTest, Sign};
use hubel::{Error, one_line};
use serde_json::Value;

use super::train::{self, Course, Start};
use super::{Outcome, program, quoted, wrapped};
use crate::args::Train;
use crate::console::{self, Console, thousands};
use crate::interruption::Interruption;
use crate::presets;
use crate::wording::of_command_line;

/// The widest line.
const WIDTH: usize = 80;

/// Width of the names of measured things.
const NAMES: usize = 15;

/// Runs the command; exits with 1 if there is a sign of a problem.
pub(crate) fn run(arguments: &Train, console: &Console) -> Outcome {
    if let Some(config) = &arguments.config {
        console.remark(&format!("settings of {}", hubel::shown(config)));
    }
    let mut source = Source::find_as(&arguments.data.data, arguments.data.kind)?;
    if let Some(preset) = &arguments.preset {
        presets::check(preset, source.outlook()?.size, &arguments.data.data)?;
    }
    let is_of_its_own = arguments.is_of_its_own();
    let start = train::start(&arguments.data, is_of_its_own, &mut source, console)?;
    let (splits, start) = train::open(&arguments.data, source, start, console)?;
    let cpu = arguments.processor.cpu();
    let name = start.name(arguments.model.as_deref(), &splits.train);
    console.remark(&format!("{name} on {}; {cpu:?}", splits.train.name()));
    let subject = splits.train.subject()?;
    let course = Course::new(arguments, &start, &cpu, &splits, &subject)?;
    let interruption = Interruption::listen()?;
    let Some(diagnosis) = examine(&course, &interruption, console)? else {
        let signal = interruption.signal();
        return Ok(ExitCode::from(
            signal.map_or(1, |signal| signal.exit_code()),
        ));
    };
    console::print(&match arguments.json {
        true => object(&diagnosis).to_string(),
        false => {
            let next = next_command(std::env::args_os(), matches!(start, Start::Model(_)));
            text(
                &diagnosis,
                splits.train.kind(),
                &next,
                console::columns().min(WIDTH),
            )
        }
    })?;
    Ok(match diagnosis.signs.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Examines, with a progress bar. `None` if a signal stops it.
fn examine(
    course: &Course,
    interruption: &Interruption,
    console: &Console,
) -> Result<Option<Diagnosis>, Error> {
    let trainer = course.trainer()?;
    let progress = console.count("examining", "steps");
    let diagnosis = doctor::examine(&trainer, &mut |done, all| {
        progress.show(done, all);
        match interruption.signal() {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    });
    progress.finish();
    diagnosis
}

/// A sign as JSON: its values, the evidence and the advice.
pub(super) fn sign_object(sign: &Sign) -> Value {
    let mut value = short_numbers(serde_json::to_string(sign));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("evidence".into(), of_command_line(&sign.evidence()).into());
        fields.insert("advice".into(), of_command_line(&sign.advice()).into());
    }
    value
}

/// The value with the shortest decimals of its `f32`; `null` for what is not finite.
fn short_numbers(text: serde_json::Result<String>) -> Value {
    let text = text.expect("plain data becomes JSON");
    serde_json::from_str(&text).expect("it was JSON")
}

fn object(diagnosis: &Diagnosis) -> Value {
    let mut value = short_numbers(serde_json::to_string(diagnosis));
    value["signs"] = diagnosis.signs.iter().map(sign_object).collect();
    value
}

/// The signs, then what was measured, then the next command.
fn text(diagnosis: &Diagnosis, kind: Kind, next: &str, width: usize) -> String {
    let mut lines = vec![verdict(diagnosis)];
    for sign in &diagnosis.signs {
        lines.push(String::new());
        lines.push(format!("! {}", sign.name()));
        lines.extend(wrapped(&of_command_line(&sign.evidence()), "    ", width));
        let advice = format!("→ {}", of_command_line(&sign.advice()));
        lines.extend(wrapped(&advice, "  ", width));
    }
    lines.push(String::new());
    for (name, value) in measured(diagnosis, kind) {
        let indent = " ".repeat(NAMES);
        let wrapped = wrapped(&value, &indent, width);
        lines.push(format!("{name:<NAMES$}{}", wrapped[0].trim_start()));
        lines.extend_from_slice(&wrapped[1..]);
    }
    if diagnosis.signs.is_empty() {
        lines.push(format!("{:<NAMES$}{next}", "next"));
    }
    lines.join("\n")
}

fn verdict(diagnosis: &Diagnosis) -> String {
    match diagnosis.signs.len() {
        0 if labels_are_judged(diagnosis) => "No sign of a problem was found.".into(),
        0 => "No sign of a problem was found; the labels could not be judged.".into(),
        1 => "One sign of a problem was found.".into(),
        count => format!("{count} signs of problems were found; the first matters most."),
    }
}

/// Whether the short training says whether the labels have to do with the data.
fn labels_are_judged(diagnosis: &Diagnosis) -> bool {
    let test = diagnosis.labels.as_ref();
    test.is_some_and(|test| test.is_chance().is_some())
}

/// What was measured, each with its name.
fn measured(diagnosis: &Diagnosis, kind: Kind) -> Vec<(&'static str, String)> {
    let mut rows = vec![("one batch", of_batch(&diagnosis.by_heart, kind))];
    rows.push((
        "other examples",
        match &diagnosis.labels {
            Some(test) => of_labels(test),
            None if diagnosis.by_heart.success().is_none() => {
                "not judged: the batch was not learned".into()
            }
            None => "not judged: there are too few".into(),
        },
    ));
    let norms = (diagnosis.layers.iter())
        .filter_map(|layer| Some((layer.gradient_norm?, layer.layer.as_str())));
    let smallest = norms.clone().min_by(|a, b| a.0.total_cmp(&b.0));
    let largest = norms.max_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some((least, first)), Some((most, last))) = (smallest, largest) {
        rows.push((
            "gradients",
            format!("norms from {least:.2e} (layer {first}) to {most:.2e} (layer {last})"),
        ));
    }
    let dead = (diagnosis.layers.iter()).filter_map(|layer| Some((layer.dead_share()?, layer)));
    if let Some((share, layer)) = dead.max_by(|a, b| a.0.total_cmp(&b.0)) {
        rows.push((
            "dead units",
            match share > 0.0 {
                true => format!(
                    "at most {:.0} % of a layer ({})",
                    100.0 * share,
                    layer.layer
                ),
                false => "none".into(),
            },
        ));
    }
    let channels: Vec<String> = (diagnosis.input.iter())
        .take(CHANNELS_SHOWN)
        .map(|channel| format!("{:.2} ± {:.2}", channel.mean, channel.deviation))
        .collect();
    // The mean of the numbers of words says nothing.
    if kind != Kind::Texts {
        rows.push((
            "input",
            format!("mean and deviation {}", channels.join(", ")),
        ));
    }
    rows
}

/// How many channels of the input are shown.
const CHANNELS_SHOWN: usize = 3;

fn of_batch(by_heart: &ByHeart, kind: Kind) -> String {
    let trial = by_heart.success().unwrap_or(by_heart.first());
    let learned = match by_heart.success() {
        Some(_) => "learned by heart",
        None => "not learned",
    };
    let rate = match trial.rate == by_heart.first().rate {
        true => String::new(),
        false => format!(" with a learning rate of {:.1e}", trial.rate),
    };
    format!(
        "{} {kind} of {} {}: {learned}, loss from {:.3} to {:.3} in {} steps{rate}",
        thousands(by_heart.images),
        thousands(by_heart.classes),
        if by_heart.classes == 1 {
            "class"
        } else {
            "classes"
        },
        trial.loss_before,
        trial.loss_after,
        trial.steps
    )
}

fn of_labels(test: &LabelTest) -> String {
    let decided = match test.is_chance() {
        None => "; too few to judge the labels",
        Some(_) => "",
    };
    format!(
        "{:.1} % of {} right after {} steps on {} (chance: {:.1} %){decided}",
        100.0 * test.correct as f64 / test.images.max(1) as f64,
        thousands(test.images),
        thousands(test.steps),
        thousands(test.trained_on),
        100.0 / test.classes as f64
    )
}

/// The command that trains: that of this process with `train` in place of `doctor`.
fn next_command(arguments: impl Iterator<Item = OsString>, is_from_model: bool) -> String {
    let mut words = vec![quoted(program()), "train".into()];
    let mut after = arguments
        .skip_while(|argument| argument != "doctor")
        .skip(1);
    while let Some(argument) = after.next() {
        let text = argument.to_string_lossy();
        match &*text {
            "--json" | "--quiet" | "-q" => {}
            // A model is given to `train` in another way.
            "--model" | "-m" if is_from_model => {
                words.extend(["--from".into()]);
                words.extend(after.next().map(quoted));
                words.extend(["--freeze".into(), "none".into()]);
            }
            text if is_from_model && text.starts_with("--model=") => {
                let file = text.trim_start_matches("--model=");
                words.extend([
                    "--from".into(),
                    quoted(file),
                    "--freeze".into(),
                    "none".into(),
                ]);
            }
            _ => words.push(quoted(&argument)),
        }
    }
    one_line(&words.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_is_the_same_training() {
        let next = |words: &[&str], is_from_model| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let command = next_command(words.into_iter(), is_from_model);
            let (_, command) = command.split_once(" train").expect("a command");
            command.to_owned()
        };
        assert_eq!(next(&["hubel", "doctor"], false), "");
        assert_eq!(
            next(
                &[
                    "hubel",
                    "-q",
                    "doctor",
                    "my photos",
                    "--json",
                    "--model",
                    "conv(8)-relu"
                ],
                false
            ),
            " 'my photos' --model 'conv(8)-relu'"
        );
        for words in [
            &["--model", "a.safetensors"][..],
            &["--model=a.safetensors"],
        ] {
            let words = [&["hubel", "doctor", "photos"][..], words].concat();
            assert_eq!(
                next(&words, true),
                " photos --from a.safetensors --freeze none"
            );
        }
    }
}
