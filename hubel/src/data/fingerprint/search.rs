//! Finds the same pictures, and similar ones, among a million.
//!
//! Candidates are found as in Lv and others, "Multi-probe LSH: efficient indexing for high-dimensional similarity search" (2007): each
//! picture is looked up by four keys of 16 bits, also with its least certain bits flipped. At least one
//! picture of a pair must find the other by one of the keys. Of the candidates, the low frequencies are compared, then the looks, then
//! the details. The time grows with the number of similar pairs, and otherwise almost linearly with the number of pictures.
use super::detail::{self, Allowance};
use super::frequencies::{Frequencies, KEYS, Signs};
use super::groups::Groups;
use super::look::{Light, Look};
use super::thumbnail::Thumbnail;
use super::{Fingerprint, SMALL_SIDE};
use crate::on_all_cores::on_all_cores;

/// The search range for copies.
pub(super) struct Reach {
    /// Bits of a key that may differ.
    pub(super) unsure_bits: usize,
    /// The largest distance of the low frequencies, whose length is 127.
    pub(super) distance: u32,
    allowance: Allowance,
}

/// 98 % of the CIFAR-10 pictures that were cropped by one pixel of 32 are within.
const USUAL: Reach = Reach {
    unsure_bits: 6,
    distance: 45,
    allowance: Allowance {
        strictness: 1.0,
        crop: true,
    },
};
/// For small pictures without colour. Millions of other pictures are within [`USUAL`], so cropped copies are not searched.
const STRICT: Reach = Reach {
    unsure_bits: 3,
    distance: 15,
    allowance: Allowance {
        strictness: 0.2,
        crop: false,
    },
};
impl Reach {
    pub(super) fn of(thumbnail: &Thumbnail, look: &Look) -> Self {
        match look.is_grey() && thumbnail.side < SMALL_SIDE {
            true => STRICT,
            false => USUAL,
        }
    }
}

/// For each sample, the first index of its groups. The groups do not depend on the order of the samples.
pub(crate) struct Likenesses {
    /// Groups of the same picture, directly or through other pictures.
    pub(crate) same: Vec<usize>,
    /// Groups of similar pictures, directly or through other pictures; includes the same pictures.
    pub(crate) alike: Vec<usize>,
}

impl Likenesses {
    /// Each of `count` samples alone.
    pub(crate) fn none(count: usize) -> Self {
        Self {
            same: (0..count).collect(),
            alike: (0..count).collect(),
        }
    }

    /// Groups only equal contents.
    pub(crate) fn of_equal(contents: &[u64]) -> Self {
        let firsts = Groups::of_equal(contents).firsts();
        Self {
            same: firsts.clone(),
            alike: firsts,
        }
    }

    /// Groups equal contents and these pairs of copies.
    pub(crate) fn of_pairs(contents: &[u64], copies: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut groups = Groups::of_equal(contents);
        copies.for_each(|(one, other)| groups.join(one, other));
        let firsts = groups.firsts();
        Self {
            same: firsts.clone(),
            alike: firsts,
        }
    }

    /// Compares all of them.
    pub(crate) fn of(fingerprints: &[Fingerprint]) -> Self {
        let found = search(fingerprints);
        Self {
            same: found.same.firsts(),
            alike: found.alike.firsts(),
        }
    }
}

#[derive(Clone)]
struct Found {
    same: Groups,
    alike: Groups,
}

fn search(fingerprints: &[Fingerprint]) -> Found {
    let contents: Vec<u64> = fingerprints.iter().map(|print| print.content).collect();
    // Of equal contents, only the first is searched.
    let mut groups = Groups::of_equal(&contents);
    let distinct: Vec<u32> = (0..contents.len())
        .filter(|&index| groups.first(index) == index)
        .map(|index| index as u32)
        .collect();
    let looks: Vec<Option<Look>> = on_all_cores(
        distinct.chunks(PICTURES),
        |indices| {
            let looks = indices.iter().map(|&index| {
                let look = Look::new(&fingerprints[index as usize].thumbnail);
                look.has_structure().then_some(look)
            });
            looks.collect::<Vec<_>>()
        },
        |_| (),
    )
    .concat();
    let candidates = distinct.iter().zip(&looks).enumerate();
    let candidates: Vec<Candidate> = candidates
        .filter_map(|(place, (&index, look))| {
            let look = look.as_ref()?;
            let reach = Reach::of(&fingerprints[index as usize].thumbnail, look);
            Some(Candidate::new(index, place as u32, look, reach))
        })
        .collect();
    let start = Found {
        alike: groups.clone(),
        same: groups,
    };
    let of_key = |key: usize| {
        let (mut found, mut candidates) = (start.clone(), candidates.clone());
        let own = |candidate: &Candidate| candidate.frequencies.keys[key];
        candidates.sort_unstable_by_key(|candidate| (own(candidate), candidate.index));
        let mut starts = vec![0usize; (1 << 16) + 1];
        candidates
            .iter()
            .for_each(|candidate| starts[usize::from(own(candidate)) + 1] += 1);
        (0..1 << 16).for_each(|key| starts[key + 1] += starts[key]);
        // Kept in a separate array, since these alone rule out most pairs.
        let signs: Vec<Signs> = candidates
            .iter()
            .map(|candidate| candidate.frequencies.signs())
            .collect();
        for (candidate, own) in candidates.iter().zip(&signs) {
            for probe in candidate.frequencies.probes(key) {
                for place in starts[usize::from(probe)]..starts[usize::from(probe) + 1] {
                    let other = &candidates[place];
                    if own.distance(signs[place]) > candidate.distance
                        || !candidate.may_be(other, key)
                    {
                        continue;
                    }
                    let looks = [candidate, other]
                        .map(|one| looks[one.place as usize].as_ref())
                        .map(|look| look.expect("a candidate has structure"));
                    found.compare(fingerprints, [candidate, other], looks);
                }
            }
        }
        found
    };
    let mut all = start.clone();
    for mut found in on_all_cores(0..KEYS, of_key, |_| ()) {
        for index in 0..fingerprints.len() {
            all.same.join(index, found.same.first(index));
            all.alike.join(index, found.alike.first(index));
        }
    }
    all
}

/// Pictures whose looks are computed per work item, because each takes microseconds.
const PICTURES: usize = 256;

impl Found {
    fn compare(&mut self, fingerprints: &[Fingerprint], pair: [&Candidate; 2], looks: [&Look; 2]) {
        let [one, other] = pair.map(|candidate| candidate.index as usize);
        if self.same.first(one) != self.same.first(other)
            && is_copy([&fingerprints[one], &fingerprints[other]], looks)
        {
            self.same.join(one, other);
            self.alike.join(one, other);
        }
        if self.alike.first(one) != self.alike.first(other) && looks[0].is_alike(looks[1]) {
            self.alike.join(one, other);
        }
    }
}

/// Whether two pictures with similar low frequencies are copies of each other.
pub(super) fn is_copy(prints: [&Fingerprint; 2], looks: [&Look; 2]) -> bool {
    let [one, other] = prints.map(|print| &print.thumbnail);
    let [reach, other_reach] = [Reach::of(one, looks[0]), Reach::of(other, looks[1])];
    let [own, others] = [reach.allowance, other_reach.allowance];
    // Plain pictures also have fewer details that could differ.
    let structure = looks[0].structure().min(looks[1].structure()).sqrt() as f32;
    let allowance = Allowance {
        strictness: structure * own.strictness.min(others.strictness),
        crop: own.crop && others.crop,
    };
    // The coarse comparison is a thousandth of the work, and suffices for pictures that were not cropped.
    (allowance.crop || looks[0].is_alike(looks[1]))
        && detail::is_copy((one, looks[0]), (other, looks[1]), allowance)
}

/// The data for deciding whether two pictures are compared; small, so that many can be rejected quickly.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    frequencies: Frequencies,
    light: Light,
    /// Largest squared distance of copies.
    distance: u32,
    /// Index among the samples.
    index: u32,
    /// Index among the looks.
    place: u32,
}

impl Candidate {
    fn new(index: u32, place: u32, look: &Look, reach: Reach) -> Self {
        Self {
            frequencies: Frequencies::new(&look.grey, reach.unsure_bits),
            light: look.light(),
            distance: reach.distance * reach.distance,
            index,
            place,
        }
    }

    /// Whether the two must be compared; also `false` if another key already finds the pair.
    fn may_be(&self, other: &Self, key: usize) -> bool {
        let (one, two) = (&self.frequencies, &other.frequencies);
        let met_before = |earlier: usize| one.reaches(two, earlier) || two.reaches(one, earlier);
        one.distance(two) <= self.distance.min(other.distance)
            && self.light.is_near(other.light)
            && self.index != other.index
            && !(two.reaches(one, key) && other.index < self.index)
            && !(0..key).any(met_before)
    }
}
