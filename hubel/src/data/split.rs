//! Holding samples out: stratified, and decided for each sample by what it contains.
use crate::data::catalogue::Part;
use crate::data::fingerprint::{Fingerprint, near_duplicate_groups};
use crate::{Purpose, Random};

/// The part of each sample, of which about a share `validation` and a share `test` of each class are held out.
///
/// Each sample draws a number from `[0, 1)`, which is a function of the seed and its contents and of nothing else: not of
/// its name, its class, its place or the other samples. The lowest `test` of the range are test samples, the highest
/// `validation` are validation samples. So
/// * samples that are added, removed or renamed move no other, nor does another class for one of them;
/// * a larger `test` or `validation` takes from the training samples, and only a sum above 1 sets them against each other;
/// * of a class of n samples, n·p ± √(n·p·(1 − p)) are held out by a share p: none may be of a class of few.
///
/// Near-duplicates draw one number for all of them, that of the smallest content hash among them. So a sample can move when
/// a near-duplicate of it is added or removed, and only then.
pub(crate) fn assign(
    labels: &[usize],
    fingerprints: &[Fingerprint],
    validation: f64,
    test: f64,
    seed: u64,
) -> Vec<Part> {
    assert_eq!(labels.len(), fingerprints.len(), "a label for each sample");
    let groups = near_duplicate_groups(fingerprints);
    let mut contents: Vec<u64> = fingerprints.iter().map(|print| print.content).collect();
    for (sample, &group) in groups.iter().enumerate() {
        contents[group] = contents[group].min(fingerprints[sample].content);
    }
    let random = Random::new(seed);
    let part = |&group: &usize| {
        let word = random.stream(Purpose::Split, 1, contents[group]).next_u64();
        // 53 bits are exact as f64.
        let draw = (word >> 11) as f64 / (1u64 << 53) as f64;
        if draw < test {
            Part::Test
        } else if draw >= 1.0 - validation {
            Part::Validation
        } else {
            Part::Train
        }
    };
    groups.iter().map(part).collect()
}
