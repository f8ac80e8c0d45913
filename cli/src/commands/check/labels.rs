//! `hubel check --labels`: labels that are probably wrong.
use std::path::Path;

use hubel::labels::{Judgement, LabelProgress, LabelReport};
use hubel::{Error, one_line};
use serde_json::{Value, json};

use crate::args::Check;
use crate::commands::predict::quoted_field;
use crate::console::{self, Console, clock, thousands};
use crate::wording::of_command_line;

/// How many of the most doubtful labels are shown.
const SHOWN: usize = 10;

/// How many labels that look wrong are shown; they need not be the most doubtful ones.
const WRONG_SHOWN: usize = 30;

/// Judges the labels, with progress.
pub(super) fn find(arguments: &Check, console: &Console) -> Result<LabelReport, Error> {
    let cpu = arguments.search.processor.cpu();
    let settings = arguments.search.settings();
    let reading = console.count("reading", "files");
    let mut task = console.task();
    let report = hubel::labels::find(
        &cpu,
        &arguments.data,
        &settings,
        &|done, all| reading.show(done, all),
        &mut |progress| match &progress {
            LabelProgress::Begins { method, .. } => {
                console.remark(&format!("judging the labels: {method}"));
            }
            LabelProgress::Features {
                done,
                all,
                seconds_left,
                ..
            } => task.show(&format!(
                "features {}/{}  {} left",
                thousands(*done),
                thousands(*all),
                clock(*seconds_left)
            )),
            LabelProgress::Training {
                fold,
                folds,
                share,
                seconds_left,
                ..
            } => task.show(&format!(
                "training for fold {fold} of {folds}  {:.0} %  {} left",
                100.0 * share,
                clock(*seconds_left)
            )),
            // What a later version of the library tells.
            _ => {}
        },
    );
    task.finish();
    reading.finish();
    report
}

/// What judged the labels, and how many look wrong, in lines.
pub(super) fn summary(report: &LabelReport) -> Vec<String> {
    let all = report.judgements.len();
    let wrong = match report.wrong {
        0 => format!("none of {} labels looks wrong", thousands(all)),
        1 => format!("1 of {} labels looks wrong", thousands(all)),
        wrong => format!(
            "{} of {} labels look wrong ({:.2} %)",
            thousands(wrong),
            thousands(all),
            100.0 * wrong as f64 / all as f64
        ),
    };
    let first = format!("{wrong}; judged by {}", report.method);
    let notes = report.notes.iter().map(|note| of_command_line(note));
    std::iter::once(first).chain(notes).collect()
}

/// The most doubtful labels and those that look wrong: rank, given class, suggested class with its probability, name. Labels that look wrong are marked.
pub(super) fn table(report: &LabelReport) -> Vec<String> {
    let mut wrong = 0;
    let shown: Vec<[String; 5]> = ranked(report)
        .filter(|(rank, judgement)| {
            wrong += usize::from(judgement.looks_wrong);
            *rank <= SHOWN || (judgement.looks_wrong && wrong <= WRONG_SHOWN)
        })
        .map(|(rank, judgement)| {
            let class = |class: usize| one_line(&report.classes[class]).into_owned();
            [
                match judgement.looks_wrong {
                    true => format!("* {}", thousands(rank)),
                    false => thousands(rank),
                },
                class(judgement.given),
                class(judgement.suggested),
                format!(
                    "{:.1} %",
                    100.0 * judgement.probabilities[judgement.suggested]
                ),
                one_line(&judgement.name).into_owned(),
            ]
        })
        .collect();
    let head = ["rank", "label", "looks like", "", "name"].map(String::from);
    let rows = std::iter::once(&head).chain(&shown);
    let width = |column: usize| {
        let widths = rows.clone().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let [rank, given, suggested, percent, name] = row;
        let [a, b, c, d] = widths;
        format!("    {rank:>a$}  {given:<b$}  {suggested:<c$}  {percent:>d$}  {name}")
    };
    let title = "  most doubtful labels (* looks wrong); --out ranking.csv has all".to_owned();
    std::iter::once(title)
        .chain(rows.clone().map(line))
        .collect()
}

/// All labels with their ranks, counted from 1.
fn ranked(report: &LabelReport) -> impl Iterator<Item = (usize, &Judgement)> {
    (1..).zip(&report.judgements)
}

/// The report as JSON.
pub(super) fn object(report: &LabelReport) -> Value {
    let ranking = ranked(report).map(|(rank, judgement)| {
        json!({
            "rank": rank,
            "name": judgement.name,
            "split": judgement.part.to_string(),
            "given": report.classes[judgement.given],
            "suggested": report.classes[judgement.suggested],
            "score": console::decimal(judgement.score as f32),
            "probability": console::decimal(judgement.probabilities[judgement.suggested]),
            "looks_wrong": judgement.looks_wrong,
        })
    });
    json!({
        "method": report.method,
        "notes": report.notes.iter().map(|note| of_command_line(note)).collect::<Vec<_>>(),
        "wrong": report.wrong,
        "ranking": ranking.collect::<Vec<_>>(),
    })
}

/// Writes all labels to a CSV file, the most doubtful first, with the probabilities of all classes.
pub(super) fn write(path: &Path, report: &LabelReport) -> Result<(), Error> {
    let mut text = "rank,name,split,given,suggested,score,probability,looks_wrong".to_owned();
    for class in &report.classes {
        text += ",";
        text += &quoted_field(&format!("p({class})"));
    }
    for (rank, judgement) in ranked(report) {
        text += &format!(
            "\n{rank},{},{},{},{},{},{},{}",
            quoted_field(&judgement.name),
            judgement.part,
            quoted_field(&report.classes[judgement.given]),
            quoted_field(&report.classes[judgement.suggested]),
            judgement.score as f32,
            judgement.probabilities[judgement.suggested],
            judgement.looks_wrong
        );
        for probability in &judgement.probabilities {
            text += &format!(",{probability}");
        }
    }
    text += "\n";
    hubel::replace_file(path, text.as_bytes())
}
