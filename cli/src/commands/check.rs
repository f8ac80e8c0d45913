//! `hubel check`: finds problems in the data before training.
mod html;
mod labels;

use std::process::ExitCode;

use hubel::check::{Finding, Inspection, Kind, check_as};
use hubel::labels::LabelReport;
use hubel::one_line;
use serde_json::{Value, json};

use super::{Outcome, quoted, wrapped};
use crate::args::Check;
use crate::console::{self, Console, thousands};
use crate::wording::of_command_line;

/// How many findings are shown per kind, and how many paths per finding.
const SHOWN: usize = 3;

/// Runs the command; exits with 1 if a finding makes a score untrustworthy.
pub(crate) fn run(arguments: &Check, console: &Console) -> Outcome {
    let reading = console.count("reading", "files");
    let inspection = check_as(&arguments.data, arguments.kind, &|done, all| {
        reading.show(done, all)
    });
    reading.finish();
    let mut inspection = inspection?;
    let labels = arguments.labels.then(|| labels::find(arguments, console));
    // Without labels that can be judged, the other findings are still shown.
    let (labels, unjudged) = match labels.transpose() {
        Ok(labels) => (labels, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(report) = &labels {
        inspection.add_label_errors(report);
    }
    if arguments.json {
        console::print(&object(&inspection, labels.as_ref()).to_string())?;
    } else {
        let mut lines = text(&inspection, labels.as_ref(), console::columns());
        if arguments.html.is_none() && lists_few(&inspection) {
            lines += "\n--json lists everything; --html report.html shows it on a page.";
        }
        console::print(&lines)?;
    }
    if let Some(path) = &arguments.html {
        html::write(path, &arguments.data, &inspection, labels.as_ref())?;
        console.remark(&format!("the report is in {}", quoted(path)));
    }
    if let (Some(path), Some(report)) = (&arguments.search.out, &labels) {
        labels::write(path, report)?;
        console.remark(&format!("the ranking is in {}", quoted(path)));
    }
    if let Some(error) = unjudged {
        console.remark("the labels were not judged");
        return Err(error.into());
    }
    Ok(match inspection.is_grave() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn object(inspection: &Inspection, labels: Option<&LabelReport>) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "kind": finding.kind.to_string(),
            "paths": finding.paths,
            "detail": of_command_line(&finding.detail),
            "points": finding.points.map(|points| console::decimal(points as f32)),
        })
    };
    let mut object =
        json!({ "findings": inspection.findings.iter().map(finding).collect::<Vec<_>>() });
    if let Some(report) = labels {
        object["labels"] = labels::object(report);
    }
    object
}

/// The report as text: a table of kinds, then some findings of each kind and what to do about them.
fn text(inspection: &Inspection, labels: Option<&LabelReport>, width: usize) -> String {
    let mut lines = wrapped(&inspection.description, "", width);
    for note in &inspection.notes {
        lines.extend(wrapped(&of_command_line(note), "", width));
    }
    if let Some(report) = labels {
        for note in labels::summary(report) {
            lines.extend(wrapped(&note, "", width));
        }
    }
    lines.push(String::new());
    if !inspection.findings.is_empty() {
        lines.push(format!("  {:<18}{:>9}{:>9}", "kind", "findings", "paths"));
    }
    for (kind, findings) in inspection.by_kind() {
        let paths: usize = findings.iter().map(|finding| finding.paths.len()).sum();
        lines.push(format!(
            "{} {:<18}{:>9}{:>9}",
            mark(inspection, kind),
            kind.to_string(),
            thousands(findings.len()),
            thousands(paths)
        ));
    }
    if let Some(report) = labels {
        lines.push(String::new());
        lines.extend(labels::table(report));
    }
    // The table has the label errors.
    for (kind, findings) in inspection
        .by_kind()
        .filter(|(kind, _)| *kind != Kind::LabelError)
    {
        lines.push(String::new());
        lines.push(format!("{} {kind}", mark(inspection, kind)));
        for finding in findings.iter().take(SHOWN) {
            for path in finding.paths.iter().take(SHOWN) {
                lines.push(format!("    {}", one_line(path)));
            }
            if finding.paths.len() > SHOWN {
                lines.push(format!(
                    "    … and {} more",
                    thousands(finding.paths.len() - SHOWN)
                ));
            }
            lines.extend(wrapped(&of_command_line(&finding.detail), "      ", width));
        }
        if findings.len() > SHOWN {
            lines.push(format!(
                "    … and {} more",
                thousands(findings.len() - SHOWN)
            ));
        }
        let advice = of_command_line(kind.advice());
        lines.extend(wrapped(&format!("→ {advice}"), "  ", width));
    }
    if !inspection.findings.is_empty() {
        lines.push(String::new());
    }
    let verdict = inspection.verdict();
    let verdict = verdict.replace("the marked problems", "the problems marked with !");
    lines.extend(wrapped(&verdict, "", width));
    lines.join("\n")
}

/// Whether the text leaves findings out.
fn lists_few(inspection: &Inspection) -> bool {
    inspection
        .by_kind()
        .any(|(_, findings)| findings.len() > SHOWN)
}

fn mark(inspection: &Inspection, kind: Kind) -> char {
    if inspection.is_grave_kind(kind) {
        '!'
    } else {
        ' '
    }
}
