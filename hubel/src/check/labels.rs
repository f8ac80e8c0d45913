//! `label-error`: labels that look wrong.
use crate::check::{Finding, Inspection, Kind, place};
use crate::labels::{Judgement, LabelReport};
use crate::one_line::{one_line, thousands};

impl Inspection {
    /// Adds a finding for each label that looks wrong, the most doubtful first. `report` is that of the same data.
    pub fn add_label_errors(&mut self, report: &LabelReport) {
        let ranked = report.judgements.iter().enumerate();
        let wrong = ranked.filter(|(_, judgement)| judgement.looks_wrong);
        self.findings.extend(wrong.map(|(rank, judgement)| Finding {
            kind: Kind::LabelError,
            paths: vec![judgement.name.clone()],
            detail: detail(report, rank, judgement),
            points: None,
        }));
        // The sort is stable.
        self.findings.sort_by_key(|finding| place(finding.kind));
    }
}

/// "labelled `8`, looks like `9` with 99.8 %, and like `8` with 0.1 %; rank 3 of 70,000". `rank` counts from 0.
fn detail(report: &LabelReport, rank: usize, judgement: &Judgement) -> String {
    let name = |class: usize| one_line(&report.classes[class]);
    let percent = |class: usize| 100.0 * judgement.probabilities[class];
    let (given, suggested) = (judgement.given, judgement.suggested);
    format!(
        "labelled `{}`, looks like `{}` with {:.1} %, and like its label with {:.1} %; rank {} of {}",
        name(given),
        name(suggested),
        percent(suggested),
        percent(given),
        thousands(rank + 1),
        thousands(report.judgements.len())
    )
}
