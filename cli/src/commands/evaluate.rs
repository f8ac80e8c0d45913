//! `hubel evaluate`: how good a model is on labelled pictures.
use std::process::ExitCode;

use hubel::data::Evaluation;
use hubel::{Model, Report};
use serde_json::json;

use super::{Outcome, model_file};
use crate::args::Evaluate;
use crate::console::{self, Console, thousands};

/// How many confusions are worth a line.
const CONFUSIONS: usize = 5;

/// Runs the command.
pub(crate) fn run(arguments: &Evaluate, console: &Console) -> Outcome {
    let model = Model::load(&model_file(&arguments.model))?.with_precise(arguments.precise);
    let reading = console.reading();
    let evaluation = hubel::data::evaluation(
        &arguments.data,
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
        mut bad_files,
    } = evaluation?;
    super::report_bad_files(&bad_files, console);
    console.remark(&format!(
        "{}: {} images ({which}), each at the model's {}; pictures of another size are resized",
        images.name(),
        thousands(images.len()),
        model.input()
    ));
    let report = model.evaluate(&arguments.processor.cpu(), &images)?;
    super::report_bad_files(&report.bad_files, console);
    bad_files.extend(report.bad_files.clone());
    if arguments.json {
        console::print(
            &json!({
                "accuracy": console::decimal(report.accuracy),
                "loss": console::decimal(report.loss),
                "count": report.count,
                "data": images.name(),
                "images": which.to_string(),
                "bad_files": bad_files,
                "classes": model.classes(),
                "confusion": report.confusion,
            })
            .to_string(),
        )?;
    } else {
        console::print(&text(&report, model.classes()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report, classes: &[String]) -> String {
    let mut text = format!(
        "accuracy  {:.2} % of {} images\nloss      {:.4}\n",
        report.accuracy * 100.0,
        thousands(report.count),
        report.loss
    );
    let confusions = confusions(&report.confusion);
    if !confusions.is_empty() {
        text += "most often taken for another\n";
    }
    for (count, truth, taken_for) in confusions {
        text += &format!(
            "{:>8} × {} taken for {}\n",
            thousands(count),
            classes[truth],
            classes[taken_for]
        );
    }
    text
}

/// The largest entries off the diagonal: (count, true class, predicted class).
fn confusions(matrix: &[Vec<usize>]) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    for (truth, row) in matrix.iter().enumerate() {
        for (taken_for, &count) in row.iter().enumerate() {
            if truth != taken_for && count > 0 {
                found.push((count, truth, taken_for));
            }
        }
    }
    found.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    found.truncate(CONFUSIONS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_confusions_come_first_and_the_right_answers_never() {
        let matrix = vec![vec![90, 1, 0], vec![7, 80, 2], vec![0, 0, 99]];
        assert_eq!(confusions(&matrix), [(7, 1, 0), (2, 1, 2), (1, 0, 1)]);
    }
}
