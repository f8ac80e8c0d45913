//! `blank`: pictures that show nothing, by class.
use crate::check::examine::{Sample, Samples};
use crate::check::{Finding, Kind};
use crate::data::blank::Contents;
use crate::data::catalogue::thousands;

/// A finding for each class that has blank pictures.
pub(super) fn findings(samples: &Samples) -> Vec<Finding> {
    let classes = samples.classes.iter().enumerate();
    let findings = classes.filter_map(|(class, name)| {
        let of_class = || {
            samples
                .whole()
                .filter(move |(sample, _)| sample.label == class)
        };
        let with = |contents: Contents| -> Vec<&Sample> {
            let found = of_class().filter(|(_, facts)| facts.contents == contents);
            found.map(|(sample, _)| sample).collect()
        };
        let (blank, nearly) = (with(Contents::None), with(Contents::AlmostNone));
        let detail = match (blank.len(), nearly.len()) {
            (0, 0) => return None,
            (blank, 0) => format!("{} blank", thousands(blank)),
            (0, nearly) => format!("{} nearly blank (specks, noise)", thousands(nearly)),
            (blank, nearly) => format!(
                "{} blank, {} nearly blank (specks, noise)",
                thousands(blank),
                thousands(nearly)
            ),
        };
        let paths = blank.iter().chain(&nearly);
        let count = blank.len() + nearly.len();
        Some(Finding {
            kind: Kind::Blank,
            paths: paths.map(|sample| sample.name.clone()).collect(),
            detail: format!(
                "class `{name}`: of its {} pictures {detail}",
                thousands(of_class().count())
            ),
            points: Some(100.0 * count as f64 / samples.all.len() as f64),
        })
    });
    let mut findings: Vec<Finding> = findings.collect();
    // If only one class has blank pictures, a network can recognise the class by them.
    if let [only] = &mut findings[..] {
        only.points = Some(0.0);
    }
    findings
}
