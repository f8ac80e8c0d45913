//! `exact-duplicate`, `near-duplicate`, `label-conflict`, `split-leak`: the same picture more than once. `look-alike`: similar pictures.
mod weight;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use crate::check::examine::{Facts, Sample, Samples};
use crate::check::{Finding, Kind};
use crate::data;
use crate::data::fingerprint::{Fingerprint, Likenesses};
use weight::Judged;

/// A usable picture.
type Whole<'a> = (&'a Sample, &'a Facts);

/// The findings for each group of the same pictures: that they are in several splits, and that they have several classes;
/// otherwise, which are equal and which are copies. Also one finding for each group of pictures that only look similar.
pub(super) fn findings(samples: &Samples, likenesses: &Likenesses) -> Vec<Finding> {
    let whole: Vec<Whole<'_>> = samples.whole().collect();
    let judged = Judged::of(samples);
    let same = grouped(&whole, &likenesses.same);
    let mut findings: Vec<Finding> = same
        .values()
        .filter(|group| group.len() > 1)
        .flat_map(|group| of_same(samples, &judged, group))
        .collect();
    // One picture of each group of copies.
    let one_of_each = whole.iter().zip(&likenesses.alike).enumerate();
    let mut alike = BTreeMap::<usize, Vec<Whole<'_>>>::new();
    for (index, (&member, &group)) in one_of_each {
        if likenesses.same[index] == index {
            alike.entry(group).or_default().push(member);
        }
    }
    let alike = alike.into_values().filter(|group| group.len() > 1);
    findings.extend(alike.map(|group| of_alike(samples, &group)));
    findings
}

/// Compares all usable pictures.
pub(super) fn likenesses(samples: &Samples) -> Likenesses {
    let whole = samples.whole();
    let fingerprints: Vec<Fingerprint> =
        whole.map(|(_, facts)| facts.fingerprint.clone()).collect();
    Likenesses::of(&fingerprints)
}

fn grouped<'a>(whole: &[Whole<'a>], groups: &[usize]) -> BTreeMap<usize, Vec<Whole<'a>>> {
    let mut grouped = BTreeMap::<usize, Vec<Whole<'_>>>::new();
    for (&member, &group) in whole.iter().zip(groups) {
        grouped.entry(group).or_default().push(member);
    }
    grouped
}

fn of_same(samples: &Samples, judged: &Judged, group: &[Whole<'_>]) -> Vec<Finding> {
    let same = match group
        .iter()
        .all(|(_, facts)| content(facts) == content(group[0].1))
    {
        _ if samples.kind == data::Kind::Texts => "have the same words".to_owned(),
        true => "are equal byte for byte".to_owned(),
        false => format!("are the same {}", samples.noun()),
    };
    let mut findings = Vec::new();
    let classes = classes(samples, group);
    if classes.len() > 1 {
        let weight = judged.conflict(group);
        let detail = format!(
            "{same}, but their classes differ: {}; {weight}",
            listed(&classes)
        );
        findings.push(finding(
            Kind::LabelConflict,
            group,
            detail,
            Some(weight.points()),
        ));
    }
    let parts = counted(group.iter().filter_map(|(sample, _)| sample.part));
    if parts.len() > 1 {
        let weight = judged.leak(group);
        let detail = format!("{same}, in several splits: {}; {weight}", listed(&parts));
        findings.push(finding(
            Kind::SplitLeak,
            group,
            detail,
            Some(weight.points()),
        ));
    }
    if !findings.is_empty() {
        return findings;
    }
    let mut by_content = BTreeMap::<u64, Vec<Whole<'_>>>::new();
    for &member in group {
        by_content
            .entry(content(member.1))
            .or_default()
            .push(member);
    }
    for equal in by_content.values().filter(|equal| equal.len() > 1) {
        let detail = format!("{} {same}", equal.len());
        findings.push(finding(Kind::ExactDuplicate, equal, detail, None));
    }
    if by_content.len() > 1 {
        // One picture per content: another finding already lists those equal to it.
        let mut met = HashSet::new();
        let different = group.iter().filter(|(_, facts)| met.insert(content(facts)));
        let different: Vec<_> = different.copied().collect();
        let detail = format!("{} files of the same {}", different.len(), samples.noun());
        findings.push(finding(Kind::NearDuplicate, &different, detail, None));
    }
    findings
}

fn of_alike(samples: &Samples, group: &[Whole<'_>]) -> Finding {
    let classes = classes(samples, group);
    let of_classes = match classes.len() {
        1 => String::new(),
        _ => format!(", of different classes: {}", listed(&classes)),
    };
    let detail = format!(
        "{} pictures look similar, but differ in colour or in detail{of_classes}",
        group.len()
    );
    finding(Kind::LookAlike, group, detail, None)
}

fn finding(kind: Kind, members: &[Whole<'_>], detail: String, points: Option<f64>) -> Finding {
    let names = members.iter().map(|(sample, _)| sample.name.clone());
    Finding {
        kind,
        paths: names.collect(),
        detail,
        points,
    }
}

fn classes<'a>(samples: &'a Samples, group: &[Whole<'_>]) -> BTreeMap<&'a str, usize> {
    let labels = group.iter().map(|(sample, _)| sample.label);
    counted(labels.map(|label| samples.classes[label].as_str()))
}

fn content(facts: &Facts) -> u64 {
    facts.fingerprint.content
}

fn counted<K: Ord>(names: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// How many names are listed.
const LISTED: usize = 8;

/// `cat, 2 × dog`
fn listed<K: Display>(counts: &BTreeMap<K, usize>) -> String {
    let words = counts.iter().take(LISTED).map(|(name, count)| match count {
        1 => name.to_string(),
        _ => format!("{count} × {name}"),
    });
    let mut words: Vec<String> = words.collect();
    if counts.len() > LISTED {
        words.push(format!("and {} more", counts.len() - LISTED));
    }
    words.join(", ")
}
