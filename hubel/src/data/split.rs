//! Holds samples out. The contents of a sample decide its split, and each class is held out by about its share.
use std::cmp::Ordering;
use std::collections::HashMap;

use crate::data::part::Part;
use crate::{Purpose, Random};

/// The shares to hold out, and the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    pub(crate) validation: f64,
    pub(crate) test: f64,
    pub(crate) seed: u64,
}

/// The facts that decide the splits, by sample.
pub(crate) struct Samples<'a> {
    /// The class of each sample.
    pub(crate) labels: &'a [usize],
    /// A hash of the contents of each sample.
    pub(crate) contents: &'a [u64],
    /// The first near-duplicate of each sample.
    pub(crate) same: &'a [usize],
    /// The order of two samples if they are in a series: frames by their numbers.
    pub(crate) order: &'a dyn Fn(usize, usize) -> Ordering,
}

/// The split of each sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    /// `None`: left out as a gap between held-out frames and training frames.
    pub(crate) parts: Vec<Option<Part>>,
    /// The classes with frames held out of a series that is also trained on, in order.
    pub(crate) cut: Vec<usize>,
}

/// Assigns samples to splits; about the same share of each class is held out.
///
/// Each sample gets a number from `[0, 1)`. It depends only on the seed and the contents of the sample, not on
/// its name, class, position or the other samples. The lowest share `test` of the range are test samples, the highest share
/// `validation` are validation samples. Four rules follow:
/// * Near-duplicates stay together: all are validation samples if one of them is, else all are test samples if one of them is.
/// * If more than a quarter of a class are near-duplicates of each other, directly or through others, they are a series, and are used for training.
/// * Each split gets at least half the share of each class, and at least one sample; at most twice the share (or one sample), so that
///   training keeps at least half of its own share. If the numbers decide otherwise, samples are moved, those with the nearest numbers first. For
///   classes of several hundred samples this never happens.
/// * If a class then has nothing for a split, its smallest group that is no series is held out. If there is
///   none, the end of its longest series is held out, with a gap before it.
///
/// So adding samples moves only their near-duplicates, and a few samples of small classes.
pub(crate) fn assign(samples: &Samples<'_>, shares: Shares) -> Assignment {
    let labels = samples.labels;
    let everything = Assignment {
        parts: vec![Some(Part::Train); labels.len()],
        cut: Vec::new(),
    };
    if shares.validation == 0.0 && shares.test == 0.0 {
        return everything;
    }
    let classes = labels.iter().max().map_or(0, |last| last + 1);
    let mut sizes = vec![0; classes];
    labels.iter().for_each(|&label| sizes[label] += 1);
    let mut groups = groups(samples, &sizes, shares);
    let mut of_class = vec![Vec::new(); classes];
    for (place, group) in groups.iter().enumerate() {
        let classes = group.counts.iter();
        classes.for_each(|&(class, _)| of_class[class].push(place));
    }
    for (class, &size) in sizes.iter().enumerate() {
        let own = Class {
            class,
            groups: &of_class[class],
        };
        let bounds = |part| Bounds::of(part, size, shares);
        // Twice, since one split may give back what the other lacks.
        for part in [Part::Test, Part::Validation, Part::Test, Part::Validation] {
            own.keep(&mut groups, part, bounds(part));
        }
        for part in [Part::Test, Part::Validation] {
            if bounds(part).lowest > 0 && own.held(&groups, part) == 0 {
                own.hold_out_smallest(&mut groups, part);
            }
        }
    }
    let mut assignment = everything;
    for group in &groups {
        let members = group.members.iter();
        members.for_each(|&member| assignment.parts[member] = Some(group.part));
    }
    for (class, &size) in sizes.iter().enumerate() {
        let own = Class {
            class,
            groups: &of_class[class],
        };
        let wanted = [Part::Validation, Part::Test].map(|part| {
            let lacks = Bounds::of(part, size, shares).lowest > 0 && own.held(&groups, part) == 0;
            match lacks {
                true => ((shares.of(part) * size as f64).round() as usize).max(1),
                false => 0,
            }
        });
        if let Some(series) = own.longest_series(&groups) {
            let members = series.members.iter().copied();
            let frames = members.filter(|&member| labels[member] == class);
            let frames = distinct(frames, samples);
            if cut(&frames, wanted, &mut assignment.parts) {
                assignment.cut.push(class);
            }
        }
    }
    assignment
}

impl Shares {
    fn of(self, part: Part) -> f64 {
        match part {
            Part::Train => 1.0 - self.validation - self.test,
            Part::Validation => self.validation,
            Part::Test => self.test,
        }
    }
}

/// Samples that stay together.
struct Group {
    members: Vec<usize>,
    /// The number of its samples per class.
    counts: Vec<(usize, usize)>,
    /// The lowest and highest number of its samples.
    draws: [f64; 2],
    part: Part,
    /// Whether it is a large share of a class.
    is_series: bool,
}

impl Group {
    /// The number of its samples of a class.
    fn of(&self, class: usize) -> usize {
        let found = self.counts.iter().find(|(of, _)| *of == class);
        found.map_or(0, |(_, count)| *count)
    }
}

/// The groups in the order of their first members, with the splits that the numbers decide.
fn groups(samples: &Samples<'_>, sizes: &[usize], shares: Shares) -> Vec<Group> {
    let labels = samples.labels;
    let random = Random::new(shares.seed);
    let mut members = HashMap::<usize, Vec<usize>>::new();
    for (sample, &group) in samples.same.iter().enumerate() {
        members.entry(group).or_default().push(sample);
    }
    let mut groups: Vec<Group> = members
        .into_values()
        .map(|members| {
            let mut counts = Vec::<(usize, usize)>::new();
            for &member in &members {
                match counts
                    .iter_mut()
                    .find(|(class, _)| *class == labels[member])
                {
                    Some((_, count)) => *count += 1,
                    None => counts.push((labels[member], 1)),
                }
            }
            let draws = members.iter().map(|&member| {
                let word = random
                    .stream(Purpose::Split, 1, samples.contents[member])
                    .next_u64();
                // 53 bits are exact as f64.
                (word >> 11) as f64 / (1u64 << 53) as f64
            });
            let draws = draws.fold([1.0f64, 0.0], |[lowest, highest], draw| {
                [lowest.min(draw), highest.max(draw)]
            });
            let is_series = counts
                .iter()
                .any(|&(class, count)| count > (sizes[class] / 4).max(1));
            let part = if is_series {
                Part::Train
            } else if draws[1] >= 1.0 - shares.validation {
                Part::Validation
            } else if draws[0] < shares.test {
                Part::Test
            } else {
                Part::Train
            };
            Group {
                members,
                counts,
                draws,
                part,
                is_series,
            }
        })
        .collect();
    groups.sort_unstable_by_key(|group| group.members[0]);
    groups
}

/// The least and most samples of a class in a split.
struct Bounds {
    lowest: usize,
    highest: usize,
}

impl Bounds {
    /// For a class of `size` samples. A class of two has a test sample but no validation sample; a class of one is only trained on.
    fn of(part: Part, size: usize, shares: Shares) -> Self {
        let (share, held) = (shares.of(part), shares.validation + shares.test);
        let others = match part {
            Part::Validation => usize::from(shares.test > 0.0),
            _ => 0,
        };
        if share == 0.0 || size < 2 + others {
            return Self {
                lowest: 0,
                highest: if share == 0.0 { size } else { 0 },
            };
        }
        let lowest =
            |share: f64| ((share * size as f64 / 2.0) as usize).max(usize::from(share > 0.0));
        // Half of the training share stays, whatever the numbers say, and something for the other split.
        let spare = share + (1.0 - held) / 2.0 * share / held;
        let highest = ((2.0 * share).min(spare) * size as f64).ceil() as usize;
        let other = match size {
            2 => 0,
            _ => lowest(shares.of(match part {
                Part::Test => Part::Validation,
                _ => Part::Test,
            })),
        };
        Self {
            lowest: lowest(share),
            highest: highest.min((size - 1).saturating_sub(other)).max(1),
        }
    }
}

/// The groups of a class, by index.
struct Class<'a> {
    class: usize,
    groups: &'a [usize],
}

impl Class<'_> {
    /// The number of its samples in a split.
    fn held(&self, groups: &[Group], part: Part) -> usize {
        let own = self.groups.iter().map(|&group| &groups[group]);
        let held = own.filter(|group| group.part == part);
        held.map(|group| group.of(self.class)).sum()
    }

    /// Moves groups between training and `part` until the number of samples is within `bounds`, as far as there are groups for it.
    fn keep(&self, groups: &mut [Group], part: Part, bounds: Bounds) {
        let mut order = self.groups.to_vec();
        order.retain(|&group| !groups[group].is_series);
        // Starts with those whose numbers are farthest inside the split.
        let depth = |group: &Group| match part {
            Part::Validation => 1.0 - group.draws[1],
            _ => group.draws[0],
        };
        order.sort_by(|&one, &other| depth(&groups[one]).total_cmp(&depth(&groups[other])));
        let mut count = self.held(groups, part);
        let mut left = self.held(groups, Part::Train);
        for &place in &order {
            let own = groups[place].of(self.class);
            let is_wanted = count < bounds.lowest && own <= bounds.highest && own < left;
            if groups[place].part == Part::Train && is_wanted {
                groups[place].part = part;
                (count, left) = (count + own, left - own);
            }
        }
        for &place in order.iter().rev() {
            let own = groups[place].of(self.class);
            let is_too_much = own > bounds.highest
                || left == 0
                || (count > bounds.highest && count - own >= bounds.lowest);
            if groups[place].part == part && is_too_much {
                groups[place].part = Part::Train;
                (count, left) = (count - own, left + own);
            }
        }
    }

    /// Holds out the smallest group that is no series, if others are left for training.
    fn hold_out_smallest(&self, groups: &mut [Group], part: Part) {
        let left = self.held(groups, Part::Train);
        let own = |place: usize| groups[place].of(self.class);
        let all = self.groups.iter().copied().filter(|&place| {
            groups[place].part == Part::Train && !groups[place].is_series && own(place) < left
        });
        // The first one of equally small ones.
        if let Some(smallest) = all.min_by_key(|&place| own(place)) {
            groups[smallest].part = part;
        }
    }

    /// The series with the most samples of the class; the first one of equally long ones.
    fn longest_series<'g>(&self, groups: &'g [Group]) -> Option<&'g Group> {
        let own = self.groups.iter().map(|&group| &groups[group]);
        let series = own.filter(|group| group.is_series);
        series.rev().max_by_key(|group| group.of(self.class))
    }
}

/// The frames in order, those with the same contents together.
fn distinct(frames: impl Iterator<Item = usize>, samples: &Samples<'_>) -> Vec<Vec<usize>> {
    let mut frames: Vec<usize> = frames.collect();
    frames.sort_by(|&one, &other| (samples.order)(one, other));
    let mut places = HashMap::new();
    let mut distinct = Vec::<Vec<usize>>::new();
    for frame in frames {
        let place = *places
            .entry(samples.contents[frame])
            .or_insert(distinct.len());
        match distinct.get_mut(place) {
            Some(equal) => equal.push(frame),
            None => distinct.push(vec![frame]),
        }
    }
    distinct
}

/// Cuts a series into training frames, a gap, `validation` frames, a gap, and `test` frames. A gap is half as long as the held-out frames after it, as long
/// as half of the frames are left for training. Returns whether anything was held out.
fn cut(frames: &[Vec<usize>], [validation, test]: [usize; 2], parts: &mut [Option<Part>]) -> bool {
    let mut left = frames.len();
    let mut is_cut = false;
    for (part, wanted) in [(Part::Test, test), (Part::Validation, validation)] {
        let held = wanted.min(frames.len() / 4).max(usize::from(wanted > 0));
        if held == 0 || held >= left {
            continue;
        }
        let gap = held
            .div_ceil(2)
            .min((left - held).saturating_sub(frames.len() / 2));
        for (part, count) in [(Some(part), held), (None, gap)] {
            for frame in frames[left - count..left].iter().flatten() {
                parts[*frame] = part;
            }
            left -= count;
        }
        is_cut = true;
    }
    is_cut
}

#[cfg(test)]
mod tests;
