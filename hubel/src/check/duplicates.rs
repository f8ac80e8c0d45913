//! `exact-duplicate`, `near-duplicate`, `label-conflict` and `split-leak`: the same picture more than once.
use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use crate::check::examine::{Facts, Sample, Samples};
use crate::check::{Finding, Kind};
use crate::data::fingerprint::{Fingerprint, near_duplicate_groups};

/// A finding or more for each group of the same pictures: that they lie in several parts, and that they have several classes;
/// where neither is so, which of them are equal, and which only look the same.
pub(super) fn findings(samples: &Samples) -> Vec<Finding> {
    let whole: Vec<(&Sample, &Facts)> = samples.whole().collect();
    let fingerprints: Vec<Fingerprint> = whole.iter().map(|(_, facts)| facts.fingerprint).collect();
    let mut groups = BTreeMap::<usize, Vec<(&Sample, &Facts)>>::new();
    for (&member, group) in whole.iter().zip(near_duplicate_groups(&fingerprints)) {
        groups.entry(group).or_default().push(member);
    }
    let several = groups.into_values().filter(|group| group.len() > 1);
    several
        .flat_map(|group| of_group(samples, &group))
        .collect()
}

fn of_group(samples: &Samples, group: &[(&Sample, &Facts)]) -> Vec<Finding> {
    let same = match group
        .iter()
        .all(|(_, facts)| content(facts) == content(group[0].1))
    {
        true => "are equal byte for byte",
        false => "look the same",
    };
    let finding = |kind, members: &[(&Sample, &Facts)], detail| Finding {
        kind,
        paths: members
            .iter()
            .map(|(sample, _)| sample.name.clone())
            .collect(),
        detail,
    };
    let mut findings = Vec::new();
    let labels = group
        .iter()
        .map(|(sample, _)| samples.classes[sample.label].as_str());
    let classes = counted(labels);
    if classes.len() > 1 {
        let detail = format!("{same}, but their classes differ: {}", listed(&classes));
        findings.push(finding(Kind::LabelConflict, group, detail));
    }
    let parts = group.iter().filter_map(|(sample, _)| sample.part);
    let parts = counted(parts);
    if parts.len() > 1 {
        let detail = format!("{same}, in several parts: {}", listed(&parts));
        findings.push(finding(Kind::SplitLeak, group, detail));
    }
    if !findings.is_empty() {
        return findings;
    }
    let mut by_content = BTreeMap::<u64, Vec<(&Sample, &Facts)>>::new();
    for &member in group {
        by_content
            .entry(content(member.1))
            .or_default()
            .push(member);
    }
    for equal in by_content.values().filter(|equal| equal.len() > 1) {
        let detail = format!("{} are equal byte for byte", equal.len());
        findings.push(finding(Kind::ExactDuplicate, equal, detail));
    }
    if by_content.len() > 1 {
        // One of each content: that the others are equal to it is said already.
        let mut met = HashSet::new();
        let different = group.iter().filter(|(_, facts)| met.insert(content(facts)));
        let different: Vec<_> = different.copied().collect();
        let detail = format!("{} pictures look the same", different.len());
        findings.push(finding(Kind::NearDuplicate, &different, detail));
    }
    findings
}

fn content(facts: &Facts) -> u64 {
    facts.fingerprint.content
}

fn counted<K: Ord>(names: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}

/// `cat, 2 × dog`
fn listed<K: Display>(counts: &BTreeMap<K, usize>) -> String {
    let words = counts.iter().map(|(name, count)| match count {
        1 => name.to_string(),
        _ => format!("{count} × {name}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
