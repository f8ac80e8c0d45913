//! `hubel evaluate`: measures a model on labelled pictures.
use std::path::Path;
use std::process::ExitCode;

use hubel::data::{Evaluation, Unlike};
use hubel::{Error, Model, Report, one_line};
use serde_json::json;

use super::{Outcome, named};
use crate::args::Evaluate;
use crate::console::{self, Console, thousands};

/// How many classes get a line.
const CLASSES: usize = 20;
/// How many confusions get a line.
const CONFUSIONS: usize = 5;

/// Runs the command.
pub(crate) fn run(arguments: &Evaluate, console: &Console) -> Outcome {
    let model = named::load(&arguments.model, console)?;
    let own = model.input();
    let model = arguments.size.of(model)?.with_precise(arguments.precise);
    let data = match &arguments.data {
        Some(data) => data.as_path(),
        None if is_of_digits(&model) => Path::new("mnist"),
        None => return Err(no_data(&model).into()),
    };
    let reading = console.pictures("reading");
    let evaluation = hubel::data::evaluation(
        data,
        model.preparation(),
        model.classes(),
        model.division(),
        &arguments.files.options(),
        &|done, all| reading.show(done, all),
    );
    reading.finish();
    let Evaluation {
        dataset: images,
        judged: which,
        found,
        notes,
        mut bad_files,
        unlike,
        has_trained,
        ..
    } = evaluation?;
    // Other data may also have ten classes with numbers as names.
    if arguments.data.is_none() && has_trained == Some(false) {
        return Err(no_data(&model).into());
    }
    notes.iter().for_each(|note| console.remark(note));
    super::report_bad_files(&bad_files, console);
    let of_found = match images.len() == found {
        true => String::new(),
        false => format!(" of {}", thousands(found)),
    };
    let size = match model.input() == own {
        true => format!("the model's {own}"),
        false => format!("{} instead of the model's {own}", model.input()),
    };
    console.remark(&format!(
        "{}: {}{of_found} images ({which}), each at {size}; pictures of another size are resized",
        images.name(),
        thousands(images.len()),
    ));
    for note in on_another_ground(unlike) {
        console.remark(&note);
    }
    let report = super::judge(&model, &arguments.processor.cpu(), &images, console)?;
    super::report_bad_files(&report.bad_files, console);
    bad_files.extend(report.bad_files.clone());
    if arguments.json {
        console::print(
            &json!({
                "accuracy": console::decimal(report.accuracy),
                "accuracy_interval": report.interval().map(console::decimal),
                "balanced_accuracy": console::decimal(report.balanced_accuracy()),
                "baseline_accuracy": console::decimal(report.baseline().1),
                "loss": console::decimal(report.loss),
                "count": report.count,
                "untested_classes": super::untested(&report, model.classes()),
                "data": images.name(),
                "images": which.to_string(),
                "inverted": unlike.inverted,
                "other_ground": unlike.other_ground,
                "bad_files": bad_files,
                "classes": model.classes(),
                "stopped_at": model.stopped_at(),
                "class_accuracy": of_classes(&report.confusion)
                    .map(|(_, share)| share.map(console::decimal))
                    .collect::<Vec<_>>(),
                "confusion": report.confusion,
            })
            .to_string(),
        )?;
    } else {
        console::print(&text(&report, model.classes()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Remarks on images whose background differs from that of the training pictures.
fn on_another_ground(unlike: Unlike) -> impl Iterator<Item = String> {
    let kinds = [
        (
            unlike.inverted,
            "are inverted: their background is light and that of the training pictures dark, or the other way round",
        ),
        (
            unlike.other_ground,
            "have another background than the training pictures, which may mislead the model",
        ),
    ];
    let found = kinds.into_iter().filter(|(count, _)| *count > 0);
    found.map(|(count, what)| format!("{} of the images {what}", thousands(count)))
}

fn no_data(model: &Model) -> Error {
    let classes = model.classes().iter().take(12).cloned();
    let problem = format!(
        "name the labelled pictures after the model; its classes are {}",
        one_line(&classes.collect::<Vec<String>>().join(", "))
    );
    Error::Settings { problem }
}

fn text(report: &Report, classes: &[String]) -> String {
    let mut text = format!("accuracy  {}\n", super::headline(report, classes));
    for (name, value) in super::beside_accuracy(report, classes, false) {
        text += &format!("{name:<10}{value}\n");
    }
    text += &format!("loss      {:.4}\n", report.loss);
    text += &class_lines(&report.confusion, classes);
    let confusions = confusions(&report.confusion, CONFUSIONS);
    if !confusions.is_empty() {
        text += "most frequent confusions\n";
    }
    for (count, truth, predicted) in confusions {
        text += &format!(
            "{:>8} × {} predicted as {}\n",
            thousands(count),
            one_line(&classes[truth]),
            one_line(&classes[predicted])
        );
    }
    text
}

fn is_of_digits(model: &Model) -> bool {
    let digits = (0..10).map(|digit| digit.to_string());
    model.classes().iter().cloned().eq(digits)
}

/// For each class: the number of its images, and the share that was classified correctly (`None` without images).
pub(super) fn of_classes(confusion: &[Vec<usize>]) -> impl Iterator<Item = (usize, Option<f32>)> {
    confusion.iter().enumerate().map(|(class, row)| {
        let count: usize = row.iter().sum();
        let share = row[class] as f32 / count as f32;
        (count, (count > 0).then_some(share))
    })
}

/// As [`of_classes`], with the indices of the classes. If there are more than `most`, only those with the lowest accuracy, the worst first.
pub(super) fn worst_classes(
    confusion: &[Vec<usize>],
    most: usize,
) -> Vec<(usize, (usize, Option<f32>))> {
    let mut classes: Vec<_> = of_classes(confusion).enumerate().collect();
    if classes.len() > most {
        // Classes without images come last.
        let share = |share: Option<f32>| share.unwrap_or(f32::INFINITY);
        classes.sort_by(|(_, one), (_, other)| share(one.1).total_cmp(&share(other.1)));
        classes.truncate(most);
    }
    classes
}

/// One line for each class, or for the classes with the lowest accuracy.
fn class_lines(confusion: &[Vec<usize>], classes: &[String]) -> String {
    let mut text = match classes.len() > CLASSES {
        true => format!("accuracy of the {CLASSES} worst classes\n"),
        false => String::from("accuracy of each class\n"),
    };
    for (class, (count, share)) in worst_classes(confusion, CLASSES) {
        let class = one_line(&classes[class]);
        text += &match share {
            Some(share) => format!("{:>8.2} % of {} {class}\n", share * 100.0, thousands(count)),
            None => format!("  {class}: unknown, it has no images\n"),
        };
    }
    text
}

/// The largest entries off the diagonal, at most `most`: (count, true class, predicted class).
pub(super) fn confusions(matrix: &[Vec<usize>], most: usize) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    for (truth, row) in matrix.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            if truth != predicted && count > 0 {
                found.push((count, truth, predicted));
            }
        }
    }
    found.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_confusions_come_first_and_the_right_answers_never() {
        let matrix = vec![vec![90, 1, 0], vec![7, 80, 2], vec![0, 0, 99]];
        assert_eq!(confusions(&matrix, 5), [(7, 1, 0), (2, 1, 2), (1, 0, 1)]);
        assert_eq!(confusions(&matrix, 1), [(7, 1, 0)]);
    }
}
