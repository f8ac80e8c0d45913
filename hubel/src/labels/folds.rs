//! Divides samples into folds of equal size, class by class. The contents of the samples and a seed decide, not their order or their names.
use std::collections::HashMap;

use crate::{Purpose, Random};

/// The facts that decide the folds, by sample.
pub(super) struct Samples<'a> {
    /// The class of each sample.
    pub(super) labels: &'a [usize],
    /// A hash of the contents of each sample.
    pub(super) contents: &'a [u64],
    /// The first near-duplicate of each sample.
    pub(super) same: &'a [usize],
}

/// Samples that stay in one fold.
struct Group {
    members: Vec<usize>,
    /// The class of most members; of equally frequent ones, the first.
    class: usize,
    /// The smallest number that the contents and the seed give to a member.
    draw: u64,
}

/// The fold of each sample, from 0 to `folds` − 1.
///
/// Near-duplicates stay in one fold, since a model that has seen a copy of a picture would only repeat its label. A series is an exception: near-duplicates that are more than
/// a quarter of a class are divided, except for samples with equal contents. Otherwise most of the class would be in one fold, and the others could not learn it.
///
/// Each class is dealt out evenly: its largest groups first, equally large ones in the order of random numbers, each to the fold with the fewest samples of the class.
pub(super) fn assign(samples: &Samples<'_>, folds: usize, seed: u64) -> Vec<usize> {
    let classes = samples.labels.iter().max().map_or(0, |last| last + 1);
    let mut groups = groups(samples, classes, seed);
    groups.sort_by_key(|group| (group.class, usize::MAX - group.members.len(), group.draw));
    let mut sizes = vec![0; folds];
    let mut own_sizes = vec![vec![0; folds]; classes];
    let mut assignment = vec![0; samples.labels.len()];
    for group in groups {
        let own = &own_sizes[group.class];
        let smallest = (0..folds).min_by_key(|&fold| (own[fold], sizes[fold]));
        let fold = smallest.expect("there are folds");
        sizes[fold] += group.members.len();
        for member in group.members {
            own_sizes[samples.labels[member]][fold] += 1;
            assignment[member] = fold;
        }
    }
    assignment
}

fn groups(samples: &Samples<'_>, classes: usize, seed: u64) -> Vec<Group> {
    let mut sizes = vec![0; classes];
    samples.labels.iter().for_each(|&label| sizes[label] += 1);
    let random = Random::new(seed);
    let group = |members: Vec<usize>| {
        let draws = members.iter().map(|&member| {
            let content = samples.contents[member];
            random.stream(Purpose::Split, 2, content).next_u64()
        });
        let draw = draws.min().expect("a group has members");
        let (class, _) = majority(&members, samples.labels);
        Group {
            members,
            class,
            draw,
        }
    };
    let mut groups = Vec::new();
    for members in gathered(0..samples.labels.len(), |sample| {
        samples.same[sample] as u64
    }) {
        let (class, count) = majority(&members, samples.labels);
        if count > (sizes[class] / 4).max(1) {
            let equal = gathered(members.into_iter(), |sample| samples.contents[sample]);
            groups.extend(equal.into_iter().map(group));
        } else {
            groups.push(group(members));
        }
    }
    groups
}

/// Samples with the same key together, in the order of their first members.
fn gathered(samples: impl Iterator<Item = usize>, key: impl Fn(usize) -> u64) -> Vec<Vec<usize>> {
    let mut places = HashMap::new();
    let mut gathered = Vec::<Vec<usize>>::new();
    for sample in samples {
        let place = *places.entry(key(sample)).or_insert(gathered.len());
        match gathered.get_mut(place) {
            Some(members) => members.push(sample),
            None => gathered.push(vec![sample]),
        }
    }
    gathered
}

/// The most frequent class of samples (of equally frequent ones, the first), and how many of them it has.
fn majority(members: &[usize], labels: &[usize]) -> (usize, usize) {
    let mut counts = HashMap::new();
    for &member in members {
        *counts.entry(labels[member]).or_insert(0) += 1;
    }
    let largest = counts
        .into_iter()
        .max_by_key(|&(class, count)| (count, usize::MAX - class));
    largest.expect("a group has members")
}
