//! One file per command; each prints its answer to stdout and gives the exit code.
mod bench;
mod check;
mod completions;
mod data;
mod evaluate;
mod inspect;
mod predict;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::data::BadFile;
use hubel::{Cpu, Dataset, Error, Model, Network, Report, Shape};

use crate::args::{Command, Data};
use crate::console::{Console, thousands};

/// What a command comes to. Errors are hubel's, or those of writing to stdout.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// The model file inside the folder that `hubel train` writes.
const MODEL_FILE: &str = "model.safetensors";

/// Runs the command.
pub(crate) fn run(command: Command, console: &Console) -> Outcome {
    match command {
        Command::Train(arguments) => train::run(&arguments, console),
        Command::Evaluate(arguments) => evaluate::run(&arguments, console),
        Command::Predict(arguments) => predict::run(&arguments, console),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Data(Data::Preview(arguments)) => data::preview(&arguments, console),
        Command::Check(arguments) => check::run(&arguments, console),
        Command::Bench(arguments) => bench::run(&arguments, console),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// The model file meant by `path`, which may be the folder that holds it.
fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() {
        path.join(MODEL_FILE)
    } else {
        path.to_owned()
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

/// The input that a network of this name was made for; MNIST's for architecture text.
fn usual_input(network: &str) -> Shape {
    Network::usual_input(network).unwrap_or(Shape::new(28, 28, 1))
}

/// How this process was called, for commands to copy: `hubel`, or `target/release/hubel` under `cargo run`.
fn program() -> String {
    let name = std::env::args_os().next();
    name.map_or("hubel".into(), |name| name.to_string_lossy().into_owned())
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
