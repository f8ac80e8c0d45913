//! `hubel lab`: experiments that test what is said about convolutional networks.
mod page;
mod plot;
mod text;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::lab::{self, Event, Experiment, Findings, Settings};
use hubel::{Cpu, Error, Splits};
use serde_json::{Value, json};

use super::Outcome;
use crate::args::Lab;
use crate::console::{self, Console};
use crate::interruption::Interruption;

/// The name that stands for all experiments.
const ALL: &str = "all";

/// Runs the command.
pub(crate) fn run(arguments: &Lab, console: &Console) -> Outcome {
    let Some(name) = &arguments.name else {
        return list(arguments.json);
    };
    let experiments: Vec<&Experiment> = match name.as_str() {
        ALL => lab::EXPERIMENTS.iter().collect(),
        name => vec![lab::find(name)?],
    };
    let settings = settings(arguments, &experiments, console)?;
    // With `all`, each experiment takes the settings that apply to it.
    let with_settings = experiments.iter().map(|experiment| match name == ALL {
        true => experiment.usable(&settings),
        false => settings.clone(),
    });
    let with_settings: Vec<Settings> = with_settings.collect();
    for (experiment, settings) in experiments.iter().zip(&with_settings) {
        experiment.check(settings)?;
    }
    // Fails now rather than after a minute of work.
    page::make_folder(&arguments.out)?;
    let cpu = arguments.processor.cpu();
    let interruption = Interruption::listen()?;
    let mut all = Vec::new();
    for (experiment, settings) in experiments.iter().zip(&with_settings) {
        let Some(findings) = carry_out(experiment, &cpu, settings, console, &interruption)? else {
            break;
        };
        if !arguments.json {
            let apart = if all.is_empty() { "" } else { "\n\n" };
            let text = text::of_findings(&findings, console::columns());
            console::print(&format!("{apart}{text}"))?;
        }
        all.push(findings);
    }
    let files = match all.is_empty() {
        true => Vec::new(),
        false => page::write(&arguments.out, name, &all)?,
    };
    show_files(arguments, &all, &files)?;
    let Some(signal) = interruption
        .signal()
        .filter(|_| all.len() < experiments.len())
    else {
        return Ok(ExitCode::SUCCESS);
    };
    console.remark(&format!(
        "stopped by {}; {} of {} experiments were completed",
        signal.name(),
        all.len(),
        experiments.len()
    ));
    Ok(ExitCode::from(signal.exit_code()))
}

/// Lists the experiments.
fn list(as_json: bool) -> Outcome {
    let text = match as_json {
        true => {
            let list = lab::EXPERIMENTS.iter().map(|experiment| {
                json!({
                    "name": experiment.name,
                    "title": experiment.title,
                    "items": experiment.items,
                    "question": experiment.question,
                    "takes_data": experiment.takes_data(),
                })
            });
            json!({ "experiments": list.collect::<Vec<Value>>() }).to_string()
        }
        false => text::of_list(&lab::EXPERIMENTS, console::columns()),
    };
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The settings, with the data opened if an experiment uses it.
fn settings(
    arguments: &Lab,
    experiments: &[&Experiment],
    console: &Console,
) -> Result<Settings, Error> {
    let settings = arguments.settings();
    let Some(path) = &arguments.data else {
        return Ok(settings);
    };
    if let [experiment] = experiments
        && !experiment.takes_data()
    {
        return Err(experiment.refuses_data());
    }
    Ok(Settings {
        data: Some(open(path, console)?),
        ..settings
    })
}

fn open(path: &Path, console: &Console) -> Result<Splits, Error> {
    let reading = console.count("reading", "files");
    let splits = lab::open(path, &|done, all| reading.show(done, Some(all)));
    reading.finish();
    let splits = splits?;
    for note in &splits.notes {
        console.remark(note);
    }
    Ok(splits)
}

/// Runs one experiment and shows its progress; `None` if a signal stopped it.
fn carry_out(
    experiment: &Experiment,
    cpu: &Cpu,
    settings: &Settings,
    console: &Console,
    interruption: &Interruption,
) -> Result<Option<Findings>, Error> {
    let mut task = console.task();
    let findings = experiment.run(cpu, settings, &mut |event| {
        task.show(&progress(event));
        match interruption.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    task.finish();
    findings
}

/// `flatten  7/20  CNN, pixels shuffled, seed 2  45 %`
fn progress(event: &Event) -> String {
    format!(
        "{}  {}/{}  {}  {:.0} %",
        event.experiment,
        event.run,
        event.runs,
        event.what,
        100.0 * event.share
    )
}

fn show_files(arguments: &Lab, all: &[Findings], files: &[PathBuf]) -> std::io::Result<()> {
    let files: Vec<String> = files.iter().map(|file| hubel::shown(file)).collect();
    let page = files.first();
    if arguments.json {
        let answer = json!({ "experiments": all, "page": page, "files": files });
        return console::print(&answer.to_string());
    }
    match page {
        Some(page) => console::print(&format!("page  {page}")),
        None => Ok(()),
    }
}
