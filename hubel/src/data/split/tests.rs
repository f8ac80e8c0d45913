//! Held-out samples of large classes, small classes and series.
use super::*;
use crate::Shape;
use crate::data::fingerprint::{Fingerprint, Likenesses};
use proptest::prelude::*;

/// Fingerprints of pictures of blocks. Other seeds give other pictures; one with an odd seed is a slightly brighter copy of the one before.
fn fingerprints(seeds: &[u64]) -> Vec<Fingerprint> {
    let print = |&seed: &u64| {
        let mut stream = Random::new(seed / 2).stream(Purpose::Augment, 0, 0);
        let blocks: Vec<u8> = (0..3 * 64).map(|_| 20 + stream.below(200) as u8).collect();
        let pixels: Vec<u8> = (0..3 * 1024)
            .map(|place| {
                let (row, column, colour) = (place / 96 / 4, place / 3 % 32 / 4, place % 3);
                blocks[(row * 8 + column) * 3 + colour] + 5 * (seed % 2) as u8
            })
            .collect();
        Fingerprint::new(&pixels, &pixels, Shape::new(32, 32, 3))
    };
    seeds.iter().map(print).collect()
}

/// Frames of a camera that turns slowly: each looks like the one before, the first does not look like the last.
fn frames(count: usize, film: u64) -> Vec<Fingerprint> {
    let mut stream = Random::new(film).stream(Purpose::Augment, 1, 0);
    let scene: Vec<[f32; 3]> = (0..24)
        .map(|_| std::array::from_fn(|_| stream.uniform()))
        .collect();
    let frame = |number: usize| {
        let pixels: Vec<u8> = (0..3 * 1024)
            .map(|place| {
                let (y, x, colour) = (place / 96, place / 3 % 32, place % 3);
                let at = x as f32 / 4.0 + number as f32 / 32.0;
                let (left, part) = (at as usize, at.fract());
                let level = |column: usize| scene[column % 24][colour];
                let wave = 1.0 + 0.5 * (y as f32 / 5.0 + film as f32).sin();
                (110.0 * wave * (level(left) * (1.0 - part) + level(left + 1) * part)) as u8
            })
            .collect();
        Fingerprint::new(&pixels, &pixels, Shape::new(32, 32, 3))
    };
    (0..count).map(frame).collect()
}

fn assigned(
    labels: &[usize],
    prints: &[Fingerprint],
    order: &dyn Fn(usize, usize) -> Ordering,
    shares: Shares,
) -> Assignment {
    let contents: Vec<u64> = prints.iter().map(|print| print.content).collect();
    let samples = Samples {
        labels,
        contents: &contents,
        same: &Likenesses::of(prints).same,
        order,
    };
    assign(&samples, shares)
}

fn divided(
    labels: &[usize],
    prints: &[Fingerprint],
    validation: f64,
    test: f64,
    seed: u64,
) -> Assignment {
    let shares = Shares {
        validation,
        test,
        seed,
    };
    assigned(labels, prints, &|one, other| one.cmp(&other), shares)
}

fn parts(
    labels: &[usize],
    prints: &[Fingerprint],
    validation: f64,
    test: f64,
    seed: u64,
) -> Vec<Option<Part>> {
    divided(labels, prints, validation, test, seed).parts
}

const TRAIN: Option<Part> = Some(Part::Train);
const VALIDATION: Option<Part> = Some(Part::Validation);
const TEST: Option<Part> = Some(Part::Test);

#[test]
fn what_was_trained_on_is_no_test_sample_when_its_copy_is_gone() {
    // Pictures and a copy of each; either may be the one that is deleted.
    let prints = fingerprints(&(0..400).collect::<Vec<_>>());
    let before = parts(&[0; 400], &prints, 0.2, 0.3, 1);
    for copy in 0..2 {
        let left: Vec<usize> = (copy..400).step_by(2).collect();
        let prints: Vec<Fingerprint> = left.iter().map(|&index| prints[index].clone()).collect();
        let after = parts(&[0; 200], &prints, 0.2, 0.3, 1);
        let trained = left.iter().zip(after);
        for (&index, after) in trained.filter(|(index, _)| before[**index] == TRAIN) {
            assert_eq!(after, TRAIN, "picture {index}");
        }
    }
}

#[test]
fn each_class_keeps_its_share_within_four_standard_deviations() {
    let prints = fingerprints(&(0..3000).map(|index| 2 * index).collect::<Vec<_>>());
    let labels: Vec<usize> = (0..3000).map(|index| usize::from(index % 3 == 0)).collect();
    for (validation, test) in [(0.1, 0.0), (0.2, 0.1), (0.0, 0.5)] {
        let parts = parts(&labels, &prints, validation, test, 7);
        for class in 0..2 {
            let members = labels.iter().filter(|&&label| label == class).count() as f64;
            for (part, share) in [(VALIDATION, validation), (TEST, test)] {
                let held = parts.iter().zip(&labels);
                let held = held.filter(|&(&of, &label)| of == part && label == class);
                let deviation = held.count() as f64 - share * members;
                let bound = 4.0 * (members * share * (1.0 - share)).sqrt();
                assert!(deviation.abs() <= bound, "{part:?} of {class}: {deviation}");
            }
        }
    }
    let of_seed = |seed| parts(&labels, &prints, 0.3, 0.0, seed);
    assert_ne!(of_seed(1), of_seed(2));
}

#[test]
fn a_larger_share_takes_from_the_training_samples_alone() {
    let prints = fingerprints(&(0..500).map(|index| 2 * index).collect::<Vec<_>>());
    let small = parts(&[0; 500], &prints, 0.1, 0.1, 3);
    let large = parts(&[0; 500], &prints, 0.1, 0.4, 3);
    let mut both = small.iter().zip(&large);
    assert!(both.all(|(small, large)| *small == TRAIN || small == large));
    assert_ne!(small, large);
}

#[test]
fn frames_of_a_film_are_cut_into_stretches_with_gaps() {
    let prints: Vec<Fingerprint> = (0..3).flat_map(|film| frames(40, film)).collect();
    let labels: Vec<usize> = (0..120).map(|frame| frame / 40).collect();
    // Their order differs from the order of the series.
    let order: Vec<usize> = (0..120).map(|place| place * 77 % 120).collect();
    let shuffled: Vec<Fingerprint> = order.iter().map(|&frame| prints[frame].clone()).collect();
    let of_shuffled: Vec<usize> = order.iter().map(|&frame| labels[frame]).collect();
    let shares = Shares {
        validation: 0.05,
        test: 0.1,
        seed: 1,
    };
    let by_number = |one: usize, other: usize| order[one].cmp(&order[other]);
    let assignment = assigned(&of_shuffled, &shuffled, &by_number, shares);
    assert_eq!(assignment.cut, [0, 1, 2]);
    let mut in_order = [None; 120];
    order
        .iter()
        .zip(assignment.parts)
        .for_each(|(&frame, part)| in_order[frame] = part);
    for film in in_order.chunks(40) {
        let runs: Vec<_> = film
            .chunk_by(|one, other| one == other)
            .map(|run| (run[0], run.len()))
            .collect();
        assert_eq!(
            runs,
            [
                (TRAIN, 31),
                (None, 1),
                (VALIDATION, 2),
                (None, 2),
                (TEST, 4)
            ]
        );
    }
}

#[test]
fn whole_films_are_held_out_where_there_are_several() {
    let prints: Vec<Fingerprint> = (0..5).flat_map(|film| frames(12, 10 + film)).collect();
    let assignment = divided(&[0; 60], &prints, 0.05, 0.1, 1);
    assert!(assignment.cut.is_empty());
    let films: Vec<_> = assignment.parts.chunks(12).collect();
    assert!(
        films
            .iter()
            .all(|film| film.iter().all(|part| *part == film[0]))
    );
    let count = |part| films.iter().filter(|film| film[0] == part).count();
    assert_eq!([count(TRAIN), count(VALIDATION), count(TEST)], [3, 1, 1]);
}

#[test]
fn a_series_is_trained_on_where_other_pictures_can_be_held_out() {
    let mut prints = fingerprints(&(0..60).map(|index| 2 * index).collect::<Vec<_>>());
    prints.extend(frames(40, 5));
    let assignment = divided(&[0; 100], &prints, 0.1, 0.1, 1);
    assert!(assignment.cut.is_empty());
    assert!(assignment.parts[60..].iter().all(|part| *part == TRAIN));
    for part in [VALIDATION, TEST] {
        assert!(assignment.parts[..60].contains(&part));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Near-duplicates beside two hundred other pictures, so that they are no series.
    #[test]
    fn samples_that_are_added_move_no_other_but_near_duplicates_of_theirs(
        seeds in prop::collection::vec(0u64..60, 2..40),
        old in 1usize..40,
        seed: u64,
    ) {
        let old = 200 + old.min(seeds.len());
        let seeds: Vec<u64> = (100..300).map(|other| 2 * other).chain(seeds).collect();
        let prints = fingerprints(&seeds);
        let before = parts(&vec![0; old], &prints[..old], 0.3, 0.2, seed);
        let after = parts(&vec![0; seeds.len()], &prints, 0.3, 0.2, seed);
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
        let turned: Vec<Fingerprint> = prints.iter().rev().cloned().collect();
        let mut turned = parts(&vec![0; seeds.len()], &turned, 0.3, 0.2, seed);
        turned.reverse();
        prop_assert_eq!(turned, after);
    }

    #[test]
    fn small_classes_have_samples_in_each_part_and_most_to_train_on(
        sizes in prop::collection::vec(1usize..30, 2..5),
        validation in 0.01f64..0.3,
        test in 0.01f64..0.4,
        seed: u64,
    ) {
        let labels: Vec<usize> = sizes.iter().enumerate().flat_map(|(class, &size)| vec![class; size]).collect();
        let prints = fingerprints(&(0..labels.len() as u64).map(|index| 2 * index).collect::<Vec<_>>());
        let parts = parts(&labels, &prints, validation, test, seed);
        for (class, &size) in sizes.iter().enumerate() {
            let count = |wanted| std::iter::zip(&parts, &labels).filter(|&(part, label)| *part == wanted && *label == class).count();
            let (train, validated, tested) = (count(TRAIN), count(VALIDATION), count(TEST));
            prop_assert_eq!(train + validated + tested, size);
            prop_assert!(train >= 1);
            prop_assert!(size < 2 || tested >= 1);
            prop_assert!(size < 3 || validated >= 1);
            let own = (1.0 - validation - test) * size as f64;
            prop_assert!(train as f64 >= own / 2.0 - 2.0, "{} of {}", train, own);
            prop_assert!(tested as f64 <= 2.0 * test * size as f64 + 1.0);
        }
    }
}
