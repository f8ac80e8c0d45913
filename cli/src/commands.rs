//! One file per command; each prints its answer to stdout and gives the exit code.
mod bench;
mod check;
mod completions;
mod data;
mod evaluate;
mod explain;
mod inspect;
mod named;
mod predict;
mod train;

use std::process::ExitCode;

use hubel::data::BadFile;
use hubel::{Cpu, Dataset, Error, Model, Report};

use crate::args::{Command, Data};
use crate::console::{Console, thousands};

/// What a command comes to. Errors are hubel's, or those of writing to stdout.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Runs the command.
pub(crate) fn run(command: Command, console: &Console) -> Outcome {
    match command {
        Command::Train(arguments) => train::run(&arguments, console),
        Command::Evaluate(arguments) => evaluate::run(&arguments, console),
        Command::Predict(arguments) => predict::run(&arguments, console),
        Command::Explain(arguments) => explain::run(&arguments, console),
        Command::Inspect(arguments) => inspect::run(&arguments, console),
        Command::Data(Data::Preview(arguments)) => data::preview(&arguments, console),
        Command::Check(arguments) => check::run(&arguments, console),
        Command::Bench(arguments) => bench::run(&arguments, console),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// How many bad files are named one by one.
const BAD_FILES_SHOWN: usize = 20;

/// Says which files were left out or moved away, and why.
fn report_bad_files(bad: &[BadFile], console: &Console) {
    if bad.is_empty() {
        return;
    }
    let files = if bad.len() == 1 { "file" } else { "files" };
    console.remark(&format!(
        "{} {files} cannot be read and will not take part:",
        thousands(bad.len())
    ));
    for bad in bad.iter().take(BAD_FILES_SHOWN) {
        let moved = match &bad.quarantined {
            Some(target) => format!("; moved to {}", target.display()),
            None => String::new(),
        };
        console.remark(&format!("  {}: {}{moved}", bad.path.display(), bad.problem));
    }
    if bad.len() > BAD_FILES_SHOWN {
        console.remark(&format!(
            "  … and {} more; --json lists them all",
            thousands(bad.len() - BAD_FILES_SHOWN)
        ));
    }
}

/// Classifies every image of `images`, with progress where that takes a while.
fn judge(model: &Model, cpu: &Cpu, images: &Dataset, console: &Console) -> Result<Report, Error> {
    let testing = console.pictures("testing");
    let report = model.evaluate_with(cpu, images, &|done, all| testing.show(done, all));
    testing.finish();
    report
}

/// How this process was called, for commands to copy: `hubel`, or `target/release/hubel` under `cargo run`.
fn program() -> String {
    let name = std::env::args_os().next();
    name.map_or("hubel".into(), |name| name.to_string_lossy().into_owned())
}

/// `99.39 % of 10,000 images (95 % confidence: 99.22 to 99.52 %)`
fn accuracy(report: &Report) -> String {
    let [low, high] = report.interval().map(|end| end * 100.0);
    let noun = if report.count == 1 { "image" } else { "images" };
    format!(
        "{:.2} % of {} {noun} (95 % confidence: {low:.2} to {high:.2} %)",
        report.accuracy * 100.0,
        thousands(report.count)
    )
}

/// A word that a shell reads back as it is.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=+,@".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("runs/mnist-cnn"), "runs/mnist-cnn");
        assert_eq!(quoted("my photos"), "'my photos'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
