//! `empty-class`, `tiny-class` and `imbalance`: how many pictures the classes have.
use crate::check::examine::{Sample, Samples, Seen};
use crate::check::{Finding, Kind};
use crate::data::catalogue::Part;

/// A class with fewer training pictures is tiny.
pub const TINY: usize = 10;

/// A class with this many times the pictures of another is a finding.
pub const IMBALANCE: usize = 3;

/// One finding for each empty or tiny class, and one if the other classes differ much in size.
pub(super) fn findings(samples: &Samples) -> Vec<Finding> {
    let learnt = counts(samples, |part| !part.is_some_and(Part::is_held_out));
    let tested = counts(samples, |part| part == Some(Part::Test));
    // The text for a class without test pictures, if other classes have some.
    let untested = |class: usize| match samples.parts.contains(&Part::Test) && tested[class] == 0 {
        true => format!(", and no test {}s", samples.noun()),
        false => String::new(),
    };
    let mut findings = Vec::new();
    let mut others = Vec::new();
    for (class, name) in samples.classes.iter().enumerate() {
        if learnt[class] >= TINY {
            others.push(class);
        }
        let detail = || {
            let noun = samples.noun();
            let pictures = if learnt[class] == 1 {
                noun.to_owned()
            } else {
                format!("{noun}s")
            };
            format!(
                "class `{name}` has {} training {pictures}{}",
                learnt[class],
                untested(class)
            )
        };
        let problem = if learnt[class] == 0 {
            Some((Kind::EmptyClass, empty(samples, class, name)))
        } else if !untested(class).is_empty() {
            Some((Kind::EmptyClass, detail()))
        } else if learnt[class] < TINY {
            Some((Kind::TinyClass, detail()))
        } else {
            None
        };
        findings.extend(problem.map(|(kind, detail)| Finding {
            kind,
            paths: samples.folders(name, |part| kind == Kind::EmptyClass || part == Part::Train),
            detail,
            points: None,
        }));
    }
    let largest = others.iter().copied().max_by_key(|&class| learnt[class]);
    let smallest = others.iter().copied().min_by_key(|&class| learnt[class]);
    if let (Some(largest), Some(smallest)) = (largest, smallest)
        && learnt[largest] >= IMBALANCE * learnt[smallest]
    {
        let name = |class: usize| &samples.classes[class];
        findings.push(Finding {
            kind: Kind::Imbalance,
            paths: [smallest, largest]
                .iter()
                .flat_map(|&class| samples.folders(name(class), |part| part == Part::Train))
                .collect(),
            detail: format!(
                "class `{}` has {} training {}s and class `{}` has {}, {:.1} times as many",
                name(smallest),
                learnt[smallest],
                samples.noun(),
                name(largest),
                learnt[largest],
                learnt[largest] as f64 / learnt[smallest] as f64
            ),
            points: None,
        });
    }
    findings
}

/// Usable pictures of each class in the wanted splits.
fn counts(samples: &Samples, wanted: impl Fn(Option<Part>) -> bool) -> Vec<usize> {
    let mut counts = vec![0; samples.classes.len()];
    let usable = |sample: &&Sample| matches!(sample.seen, Seen::Whole(_)) && wanted(sample.part);
    samples
        .all
        .iter()
        .filter(usable)
        .for_each(|sample| counts[sample.label] += 1);
    counts
}

/// The text for a class without training pictures.
fn empty(samples: &Samples, class: usize, name: &str) -> String {
    let all = counts(samples, |_| true)[class];
    let listed = samples
        .all
        .iter()
        .filter(|sample| sample.label == class)
        .count();
    let noun = samples.noun();
    match (all, listed) {
        (0, 0) => format!("class `{name}` has no {noun}s"),
        (0, _) => format!("class `{name}` has no {noun} that can be read, of {listed}"),
        _ => format!("class `{name}` has no training {noun}s, but {all} in other splits"),
    }
}
