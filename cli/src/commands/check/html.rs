//! The report as an HTML page with pictures.
use std::path::Path;

use askama::Template;
use hubel::Error;
use hubel::check::{Finding, Inspection, Kind};
use hubel::labels::LabelReport;

use super::labels;
use crate::console::thousands;
use crate::page::{self, Sentence, embedded};
use crate::wording::of_command_line;

/// How many findings are shown per kind, and how many pictures per finding.
const FINDINGS: usize = 60;
const PICTURES: usize = 8;

/// How many label errors are shown: each is one picture, and all are looked at.
const LABEL_ERRORS: usize = 300;

/// Longer side of a picture in the report, in pixels.
const SIDE: u32 = 192;

/// Writes the report.
pub(super) fn write(
    path: &Path,
    data: &Path,
    inspection: &Inspection,
    labels: Option<&LabelReport>,
) -> Result<(), Error> {
    page::write(path, &Report::new(data, inspection, labels))
}

#[derive(Template)]
#[template(path = "check.html")]
struct Report<'a> {
    command: &'static str,
    title: String,
    description: &'a str,
    notes: Vec<String>,
    state: &'static str,
    verdict: String,
    sections: Vec<Section>,
}

/// The findings of a kind.
struct Section {
    kind: String,
    is_grave: bool,
    count: String,
    advice: Sentence,
    findings: Vec<Shown>,
    /// How many more there are.
    rest: Option<String>,
}

/// A finding with its pictures.
struct Shown {
    pictures: Vec<Picture>,
    /// How many more there are.
    rest: Option<String>,
    detail: Sentence,
}

/// A path, with its picture if it is one.
struct Picture {
    source: Option<String>,
    path: String,
}

impl<'a> Report<'a> {
    fn new(data: &Path, inspection: &'a Inspection, labels: Option<&LabelReport>) -> Self {
        let sections = inspection.by_kind();
        Self {
            command: "check",
            title: hubel::shown(data),
            description: &inspection.description,
            notes: (inspection.notes.iter())
                .map(|note| of_command_line(note))
                .chain(labels.into_iter().flat_map(labels::summary))
                .collect(),
            state: match (inspection.is_grave(), inspection.findings.is_empty()) {
                (true, _) => "grave",
                (false, true) => "clean",
                (false, false) => "fair",
            },
            verdict: inspection.verdict().to_owned(),
            sections: sections
                .map(|(kind, findings)| Section::new(data, inspection, kind, findings))
                .collect(),
        }
    }
}

impl Section {
    fn new(data: &Path, inspection: &Inspection, kind: Kind, findings: &[Finding]) -> Self {
        let most = match kind {
            Kind::LabelError => LABEL_ERRORS,
            _ => FINDINGS,
        };
        let shown = findings.iter().take(most);
        Self {
            kind: kind.to_string(),
            is_grave: inspection.is_grave_kind(kind),
            count: thousands(findings.len()),
            advice: Sentence::new(kind.advice()),
            findings: shown
                .map(|finding| Shown::new(data, inspection, finding))
                .collect(),
            rest: beyond(findings.len(), most),
        }
    }
}

impl Shown {
    fn new(data: &Path, inspection: &Inspection, finding: &Finding) -> Self {
        let paths = finding.paths.iter().take(PICTURES);
        Self {
            pictures: paths
                .map(|path| Picture::new(data, inspection, path))
                .collect(),
            rest: beyond(finding.paths.len(), PICTURES),
            detail: Sentence::new(&finding.detail),
        }
    }
}

impl Picture {
    fn new(data: &Path, inspection: &Inspection, path: &str) -> Self {
        let relative = Path::new(path).strip_prefix(data);
        let thumbnail = inspection.thumbnail(path, SIDE);
        Self {
            source: thumbnail.map(|picture| embedded(picture.media_type, &picture.bytes)),
            path: hubel::shown(relative.unwrap_or(Path::new(path))),
        }
    }
}

/// How many of `count` are beyond the first `shown`, if any.
fn beyond(count: usize, shown: usize) -> Option<String> {
    (count > shown).then(|| thousands(count - shown))
}
