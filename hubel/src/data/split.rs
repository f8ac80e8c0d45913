//! Holding samples out: decided for each sample by what it contains, so that each class is held out by its share, give or take chance.
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
/// Near-duplicates are held out together where one of them would be: for validation if one is so, else for the test. So a sample can
/// move when a near-duplicate of it is added or removed, or (from test to validation) with a larger `validation`, and only then; and
/// what was trained on never becomes a test sample by removing another.
pub(crate) fn assign(
    labels: &[usize],
    fingerprints: &[Fingerprint],
    validation: f64,
    test: f64,
    seed: u64,
) -> Vec<Part> {
    assert_eq!(labels.len(), fingerprints.len(), "a label for each sample");
    if validation == 0.0 && test == 0.0 {
        return vec![Part::Train; labels.len()];
    }
    let random = Random::new(seed);
    let own = |print: &Fingerprint| {
        let word = random.stream(Purpose::Split, 1, print.content).next_u64();
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
    let mut parts: Vec<Part> = fingerprints.iter().map(own).collect();
    let groups = near_duplicate_groups(fingerprints);
    // A group is known by its first member, which comes before the others.
    for (sample, &group) in groups.iter().enumerate() {
        parts[group] = match (parts[group], parts[sample]) {
            (Part::Validation, _) | (_, Part::Validation) => Part::Validation,
            (Part::Test, _) | (_, Part::Test) => Part::Test,
            (Part::Train, Part::Train) => Part::Train,
        };
    }
    groups.iter().map(|&group| parts[group]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use proptest::prelude::*;

    /// Fingerprints of pictures of blocks, as different as their seeds; one of an odd seed is a copy of the one before, a bit brighter.
    fn fingerprints(seeds: &[u64]) -> Vec<Fingerprint> {
        let print = |&seed: &u64| {
            let mut stream = Random::new(seed / 2).stream(Purpose::Augment, 0, 0);
            let pixels: Vec<u8> = (0..256)
                .map(|_| 20 + stream.below(200) as u8 + 5 * (seed % 2) as u8)
                .collect();
            Fingerprint::new(&pixels, &pixels, Shape::new(16, 16, 1))
        };
        seeds.iter().map(print).collect()
    }

    #[test]
    fn what_was_trained_on_is_no_test_sample_when_its_copy_is_gone() {
        // Pictures and a copy of each; either may be the one that is deleted.
        let prints = fingerprints(&(0..400).collect::<Vec<_>>());
        let parts = assign(&[0; 400], &prints, 0.2, 0.3, 1);
        for copy in 0..2 {
            let left: Vec<usize> = (copy..400).step_by(2).collect();
            let prints: Vec<Fingerprint> = left.iter().map(|&index| prints[index]).collect();
            let after = assign(&[0; 200], &prints, 0.2, 0.3, 1);
            let trained = left.iter().zip(after);
            for (&index, after) in trained.filter(|(index, _)| parts[**index] == Part::Train) {
                assert_eq!(after, Part::Train, "picture {index}");
            }
        }
    }

    #[test]
    fn each_class_keeps_its_share_within_four_standard_deviations() {
        let prints = fingerprints(&(0..6000).map(|index| 2 * index).collect::<Vec<_>>());
        let labels: Vec<usize> = (0..6000).map(|index| usize::from(index % 3 == 0)).collect();
        for (validation, test) in [(0.1, 0.0), (0.2, 0.1), (0.0, 0.5)] {
            let parts = assign(&labels, &prints, validation, test, 7);
            for class in 0..2 {
                let members = labels.iter().filter(|&&label| label == class).count() as f64;
                for (part, share) in [(Part::Validation, validation), (Part::Test, test)] {
                    let held = parts.iter().zip(&labels);
                    let held = held.filter(|&(&of, &label)| of == part && label == class);
                    let deviation = held.count() as f64 - share * members;
                    let bound = 4.0 * (members * share * (1.0 - share)).sqrt();
                    assert!(deviation.abs() <= bound, "{part} of {class}: {deviation}");
                }
            }
        }
        assert_ne!(
            assign(&labels, &prints, 0.3, 0.0, 1),
            assign(&labels, &prints, 0.3, 0.0, 2)
        );
    }

    #[test]
    fn a_larger_share_takes_from_the_training_samples_alone() {
        let prints = fingerprints(&(0..500).collect::<Vec<_>>());
        let small = assign(&[0; 500], &prints, 0.1, 0.1, 3);
        let large = assign(&[0; 500], &prints, 0.1, 0.4, 3);
        let kept = |&(small, large): &(&Part, &Part)| *small == Part::Train || small == large;
        assert!(small.iter().zip(&large).all(|pair| kept(&pair)));
        assert_ne!(small, large);
    }

    proptest! {
        #[test]
        fn samples_that_are_added_move_no_other_but_near_duplicates_of_theirs(
            seeds in prop::collection::vec(0u64..60, 2..40),
            old in 1usize..40,
            seed: u64,
        ) {
            let old = old.min(seeds.len());
            let prints = fingerprints(&seeds);
            let before = assign(&vec![0; old], &prints[..old], 0.3, 0.2, seed);
            let after = assign(&vec![1; seeds.len()], &prints, 0.3, 0.2, seed);
            for (index, part) in before.iter().enumerate() {
                let joined = (old..seeds.len()).any(|new| seeds[new] / 2 == seeds[index] / 2);
                prop_assert!(joined || *part == after[index]);
            }
            for one in 0..seeds.len() {
                for other in 0..one {
                    if seeds[one] / 2 == seeds[other] / 2 {
                        prop_assert_eq!(after[one], after[other]);
                    }
                }
            }
            // Neither does the order matter.
            let turned: Vec<Fingerprint> = prints.iter().rev().copied().collect();
            let mut turned = assign(&vec![0; seeds.len()], &turned, 0.3, 0.2, seed);
            turned.reverse();
            prop_assert_eq!(turned, after);
        }
    }
}
