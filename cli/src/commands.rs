//! One file per command. Each command prints its answer to stdout and returns the exit code.
mod bench;
mod check;
mod compare;
mod completions;
mod data;
mod doctor;
mod embed;
mod evaluate;
mod explain;
mod export;
mod import;
mod inspect;
mod judged;
mod lab;
mod named;
mod names;
mod predict;
mod reading;
mod runs;
mod seed_runs;
mod similar;
mod studio;
mod train;

use std::ffi::OsStr;
use std::process::ExitCode;

use hubel::data::{BadFile, Vocabulary};
use hubel::{Assessment, Cpu, Dataset, Error, Model, Prediction, Report, one_line, shown};

use crate::args::{Command, Data};
use crate::console::{Console, thousands};

/// The result of a command. Errors come from the library, or from writing to stdout.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Runs the command.
pub(crate) fn run(command: Command, console: &Console) -> Outcome {
    match command {
        Command::Train(arguments) => train::run(&arguments, console),
        Command::Doctor(arguments) => doctor::run(&arguments.into_train(), console),
        Command::Runs(arguments) => runs::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments, console),
        Command::Evaluate(arguments) => evaluate::run(&arguments, console),
        Command::Predict(arguments) => predict::run(&arguments, console),
        Command::Explain(arguments) => explain::run(&arguments, console),
        Command::Embed(arguments) => embed::run(&arguments, console),
        Command::Similar(arguments) => similar::run(&arguments, console),
        Command::Lab(arguments) => lab::run(&arguments, console),
        Command::Inspect(arguments) => inspect::run(&arguments, console),
        Command::Import(arguments) => import::run(&arguments, console),
        Command::Export(arguments) => export::run(&arguments, console),
        Command::Studio(arguments) => studio::run(&arguments, console),
        Command::Data(Data::Preview(arguments)) => data::preview(&arguments, console),
        Command::Check(arguments) => check::run(&arguments, console),
        Command::Bench(arguments) => bench::run(&arguments, console),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// How many bad files are listed.
const BAD_FILES_SHOWN: usize = 20;

/// Reports the files that were skipped or moved, and why.
fn report_bad_files(bad: &[BadFile], console: &Console) {
    if bad.is_empty() {
        return;
    }
    let files = if bad.len() == 1 { "file" } else { "files" };
    console.remark(&format!(
        "{} {files} cannot be read and will not be used:",
        thousands(bad.len())
    ));
    for bad in bad.iter().take(BAD_FILES_SHOWN) {
        console.remark(&format!("  {}", bad_file(bad)));
    }
    if bad.len() > BAD_FILES_SHOWN {
        console.remark(&format!(
            "  … and {} more; --json lists them all",
            thousands(bad.len() - BAD_FILES_SHOWN)
        ));
    }
}

/// A bad file and its problem, in one line.
fn bad_file(bad: &BadFile) -> String {
    let moved = match &bad.quarantined {
        Some(target) => format!("; moved to {}", shown(target)),
        None => String::new(),
    };
    format!("{}: {}{moved}", shown(&bad.path), bad.problem)
}

/// Evaluates the model on `images`, with progress if that takes a while.
fn judge(
    model: &Model,
    cpu: &Cpu,
    images: &Dataset,
    console: &Console,
) -> Result<Assessment, Error> {
    let testing = console.count("testing", images.kind().plural());
    let assessed = model.assess(cpu, images, &mut |done| testing.show(done, images.len()));
    testing.finish();
    assessed
}

/// The program's name as it was called, for commands that the user can copy: `hubel`, or `target/release/hubel` under `cargo run`.
fn program() -> String {
    let name = std::env::args_os().next();
    name.map_or("hubel".into(), |name| name.to_string_lossy().into_owned())
}

/// How much of a text a model reads, and how many words it knows.
fn of_texts(vocabulary: &Vocabulary, length: usize) -> String {
    let kind = vocabulary.kind();
    format!(
        "up to {} {kind} of each text are read; the vocabulary has {} {kind}",
        thousands(length),
        thousands(vocabulary.tokens().len())
    )
}

/// `99.39 % of 10,000 images (95 % confidence: 99.22 to 99.52 %)`
fn accuracy(report: &Report) -> String {
    let [low, high] = report.interval().map(|end| end * 100.0);
    let noun = match report.count {
        1 => report.kind.singular(),
        _ => report.kind.plural(),
    };
    let groups = match report.independent < report.count as f64 - 0.5 {
        true => ", near-duplicates counted as one",
        false => "",
    };
    format!(
        "{:.2} % of {} {noun} (95 % confidence: {low:.2} to {high:.2} %{groups})",
        report.accuracy * 100.0,
        thousands(report.count)
    )
}

/// How many untested classes are listed.
const UNTESTED_SHOWN: usize = 5;

/// [`accuracy`]. If the images lack some classes, the text says of which classes it is the accuracy.
fn headline(report: &Report, classes: &[String]) -> String {
    let accuracy = accuracy(report);
    let untested: Vec<usize> = report.untested().collect();
    if untested.is_empty() {
        return accuracy;
    }
    let named = untested.iter().take(UNTESTED_SHOWN);
    let mut named: Vec<String> = named
        .map(|&class| format!("`{}`", one_line(&classes[class])))
        .collect();
    if untested.len() > UNTESTED_SHOWN {
        named.push(format!("and {} more", untested.len() - UNTESTED_SHOWN));
    }
    format!(
        "unknown: there is no {} of {}; on the other {} of {} classes: {accuracy}",
        report.kind.singular(),
        named.join(", "),
        classes.len() - untested.len(),
        classes.len()
    )
}

/// The names of the classes without test images.
fn untested<'a>(report: &Report, classes: &'a [String]) -> Vec<&'a str> {
    report
        .untested()
        .map(|class| classes[class].as_str())
        .collect()
}

/// The balanced accuracy and the baseline (always answering the largest class), with their names.
/// Empty if the plain accuracy does not mislead, unless `always` is set.
fn beside_accuracy(
    report: &Report,
    classes: &[String],
    always: bool,
) -> Vec<(&'static str, String)> {
    if !(always || report.hides_classes()) {
        return Vec::new();
    }
    let (largest, share) = report.baseline();
    let balanced = report.balanced_accuracy() * 100.0;
    vec![
        (
            "balanced",
            format!("{balanced:.2} % (mean of the classes' accuracies)"),
        ),
        (
            "baseline",
            format!(
                "{:.2} % (always answering `{}`)",
                share * 100.0,
                one_line(&classes[largest])
            ),
        ),
    ]
}

/// The names of the `count` most probable classes with their probabilities.
fn top(model: &Model, prediction: &Prediction, count: usize) -> Vec<(String, f32)> {
    let classes = prediction.top(count).into_iter();
    let named = classes.map(|i| (model.classes()[i].clone(), prediction.probabilities[i]));
    named.collect()
}

/// Remarks on how the picture was changed for the network.
fn remarks(prediction: &Prediction) -> Vec<&'static str> {
    let remarks = [
        (
            prediction.inverted,
            "inverted: light and dark exchanged, to match the training pictures",
        ),
        (
            prediction.other_ground,
            "on another background than the training pictures",
        ),
        (prediction.greyed, "in grey: the model does not see colour"),
        (
            prediction.cut,
            "longer than the model's input: only the loudest stretch was classified",
        ),
    ];
    let hold = remarks.into_iter().filter(|(holds, _)| *holds);
    hold.map(|(_, remark)| remark).collect()
}

/// Quotes a word for a shell.
pub(crate) fn quoted(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_encoded_bytes();
    let Ok(word) = std::str::from_utf8(bytes) else {
        return escaped(bytes);
    };
    let plain = |letter: char| letter.is_alphanumeric() || "-_./:=+,@".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else if word.contains(char::is_control) {
        escaped(bytes)
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Quotes a word with unprintable characters (POSIX.1-2024, dollar-single-quotes).
fn escaped(word: &[u8]) -> String {
    let letters = word.iter().map(|byte| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\{byte:03o}"),
    });
    format!("$'{}'", letters.collect::<String>())
}

/// Breaks text into lines of at most `width` columns, each after `indent`. A longer word gets its own line.
fn wrapped(text: &str, indent: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = indent.len() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && longer > width {
            lines.push(format!("{indent}{line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(format!("{indent}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("runs/mnist-cnn"), "runs/mnist-cnn");
        assert_eq!(quoted("my photos"), "'my photos'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a\nb's"), r"$'a\012b\'s'");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_unicode_is_a_word_too() {
        use std::os::unix::ffi::OsStrExt;
        let path = OsStr::from_bytes(b"caf\xe9/a b");
        assert_eq!(quoted(path), r"$'caf\351/a b'");
    }

    #[test]
    fn lines_are_no_wider_than_the_terminal_and_lose_no_word() {
        let text = "a class of fewer pictures than ten is learnt by heart";
        for width in [12, 20, 60] {
            let lines = wrapped(text, "  ", width);
            assert!(
                lines.iter().all(|line| line.chars().count() <= width),
                "{lines:?}"
            );
            let words: Vec<&str> = lines
                .iter()
                .flat_map(|line| line.split_whitespace())
                .collect();
            assert_eq!(words.join(" "), text);
        }
    }
}
