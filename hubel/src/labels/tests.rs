//! Scores and decisions are those of cleanlab; planted errors are found; the same seed gives the same bits.
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::folds::{self, Samples};
use super::*;
use crate::{Cpu, Dataset, Network, Shape, TrainSettings};

/// A case of `tests/fixtures/label_quality.py`.
#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    labels: Vec<usize>,
    /// Probabilities `[n, classes]` in units of 2⁻²⁰.
    units: Vec<u32>,
    scores: Scores,
    issues: Issues,
    joint: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Scores {
    self_confidence: Vec<f64>,
    normalized_margin: Vec<f64>,
    confidence_weighted_entropy: Vec<f64>,
}

/// The pictures whose labels look wrong.
#[derive(Deserialize)]
struct Issues {
    prune_by_noise_rate: Vec<usize>,
    prune_by_class: Vec<usize>,
    both: Vec<usize>,
    confident_learning: Vec<usize>,
}

#[test]
fn scores_rankings_and_issues_are_those_of_cleanlab() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/label_quality.json");
    let path = std::env::var_os("LABEL_QUALITY").map_or(path, Into::into);
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let name = &case.name;
        let units = case.units.iter();
        let probabilities: Vec<f32> = units.map(|&unit| unit as f32 / (1 << 20) as f32).collect();
        let given = GivenLabels::new(&probabilities, case.classes, &case.labels).unwrap();
        for (score, expected) in [
            (Score::SelfConfidence, &case.scores.self_confidence),
            (Score::NormalisedMargin, &case.scores.normalized_margin),
            (
                Score::ConfidenceWeightedEntropy,
                &case.scores.confidence_weighted_entropy,
            ),
        ] {
            let found = given.quality(score);
            for (found, expected) in std::iter::zip(&found, expected) {
                let error = (found - expected).abs();
                assert!(
                    error <= 1e-12 * expected.abs(),
                    "{name}, {score:?}: {found}, {expected}"
                );
            }
            let ranking = given.ranking(score);
            let sorted = ranking.is_sorted_by_key(|&picture| found[picture]);
            assert!(sorted, "{name}, {score:?}");
        }
        for (filter, expected) in [
            (Filter::NoiseRate, &case.issues.prune_by_noise_rate),
            (Filter::Class, &case.issues.prune_by_class),
            (Filter::Both, &case.issues.both),
            (Filter::ConfidentLearning, &case.issues.confident_learning),
        ] {
            let issues = given.issues(filter).into_iter().enumerate();
            let found = issues
                .filter(|(_, issue)| *issue)
                .map(|(picture, _)| picture);
            assert_eq!(&found.collect::<Vec<_>>(), expected, "{name}, {filter:?}");
        }
        assert_eq!(given.confident_joint(), case.joint, "{name}");
    }
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let message = |probabilities: &[f32], classes, labels: &[usize]| {
        GivenLabels::new(probabilities, classes, labels)
            .expect_err("it is wrong")
            .to_string()
    };
    assert!(message(&[1.0], 1, &[0]).contains("1 classes"));
    assert!(message(&[], 2, &[]).contains("no labels"));
    assert!(message(&[0.5; 3], 2, &[0]).contains("3 probabilities do not fit 1 labels"));
    assert!(message(&[0.5; 2], 2, &[2]).contains("label 2"));
    assert!(message(&[0.5, 0.5, 0.5, 1.5], 2, &[0, 1]).contains("class 1 of example 1 is 1.5"));
    assert!(message(&[f32::NAN, 0.5], 2, &[0]).contains("is NaN"));
}

#[test]
fn folds_have_equal_shares_of_each_class_whatever_the_order() {
    let labels: Vec<usize> = (0..103).map(|sample| [0, 0, 1, 2][sample % 4]).collect();
    let contents: Vec<u64> = (0..103).map(|sample| sample * 7).collect();
    // Pairs of near-duplicates.
    let same: Vec<usize> = (0..103)
        .map(|sample| {
            if sample < 40 {
                sample / 8 * 8 + sample % 4
            } else {
                sample
            }
        })
        .collect();
    let samples = Samples {
        labels: &labels,
        contents: &contents,
        same: &same,
    };
    let folds = folds::assign(&samples, 5, 1);
    for class in 0..3 {
        let counts = (0..5).map(|fold| {
            let own = std::iter::zip(&labels, &folds);
            own.filter(|(label, own)| **label == class && **own == fold)
                .count()
        });
        let counts: Vec<usize> = counts.collect();
        let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        assert!(most - least <= 1, "{class}: {counts:?}");
    }
    for (fold, first) in std::iter::zip(&folds, &same) {
        assert_eq!(*fold, folds[*first]);
    }
    assert_ne!(folds::assign(&samples, 5, 2), folds);
    // In reverse order, the same samples are together.
    let reversed: Vec<usize> = (0..103).rev().collect();
    let firsts: Vec<usize> = reversed
        .iter()
        .map(|&sample| {
            let group = same[sample];
            reversed
                .iter()
                .position(|&other| same[other] == group)
                .unwrap()
        })
        .collect();
    let of = |values: &[usize]| -> Vec<usize> {
        reversed.iter().map(|&sample| values[sample]).collect()
    };
    let backwards = folds::assign(
        &Samples {
            labels: &of(&labels),
            contents: &reversed
                .iter()
                .map(|&sample| contents[sample])
                .collect::<Vec<_>>(),
            same: &firsts,
        },
        5,
        1,
    );
    assert_eq!(backwards, of(&folds));
}

#[test]
fn a_class_of_near_duplicates_is_in_several_folds() {
    let labels = [vec![0; 20], vec![1; 20]].concat();
    let contents: Vec<u64> = (0..40).collect();
    let same = [vec![0; 20], (20..40).collect()].concat();
    let samples = Samples {
        labels: &labels,
        contents: &contents,
        same: &same,
    };
    let folds = folds::assign(&samples, 4, 1);
    for fold in 0..4 {
        let series = folds[..20].iter().filter(|own| **own == fold);
        assert_eq!(series.count(), 5);
    }
}

/// Pictures of bars, `[n, 8, 8, 1]`: class 0 lies, class 1 stands. The labels of `wrong` are exchanged.
fn bars(count: usize, wrong: &[usize]) -> Dataset {
    let mut pixels = Vec::new();
    for picture in 0..count {
        let (class, place) = (picture % 2, picture / 2 % 6 + 1);
        for pixel in 0..64 {
            let (row, column): (usize, usize) = (pixel / 8, pixel % 8);
            let distance = [row, column][class].abs_diff(place);
            let noise = (picture * 31 + pixel * 17) * 2_654_435_761 % 97;
            pixels.push((if distance == 0 { 200 } else { 20 } + noise / 3) as u8);
        }
    }
    let labels = (0..count).map(|picture| (picture % 2) ^ usize::from(wrong.contains(&picture)));
    let classes = vec!["lies".to_owned(), "stands".to_owned()];
    Dataset::from_bytes(
        "bars",
        classes,
        Shape::new(8, 8, 1),
        pixels,
        labels.collect(),
    )
    .unwrap()
}

fn course(folds: usize, models: usize) -> Course {
    Course {
        folds,
        models,
        settings: TrainSettings {
            epochs: 30,
            batch_size: 16,
            learning_rate: 0.01,
            label_smoothing: 0.1,
            augmentation: crate::data::Augmentation::none(),
            ..TrainSettings::default()
        },
    }
}

fn judge_bars(threads: usize, dataset: &Dataset, course: &Course) -> Result<Vec<f32>> {
    let network = Network::parse("conv(8, padding=same)-relu-maxpool-flatten-linear(classes)")?;
    let judge = Judge::Network(network);
    out_of_fold(&Cpu::best(threads), dataset, &judge, course, &mut |_| ())
}

#[test]
fn planted_errors_are_found_with_the_same_bits_on_any_number_of_threads() -> Result<()> {
    let wrong = [3, 20, 41, 77, 110];
    let dataset = bars(160, &wrong);
    let course = course(4, 2);
    let probabilities = judge_bars(1, &dataset, &course)?;
    let given = GivenLabels::new(&probabilities, 2, dataset.labels())?;
    let mut worst = given.ranking(Score::SelfConfidence)[..wrong.len()].to_vec();
    worst.sort_unstable();
    assert_eq!(worst, wrong);
    let issues = given.issues(Filter::NoiseRate);
    assert!((0..160).all(|picture| !issues[picture] || wrong.contains(&picture)));
    assert!(issues.iter().filter(|issue| **issue).count() >= 2);
    assert_eq!(judge_bars(3, &dataset, &course)?, probabilities);
    Ok(())
}

#[test]
fn right_labels_do_not_look_wrong() -> Result<()> {
    let dataset = bars(160, &[]);
    let probabilities = judge_bars(2, &dataset, &course(4, 1))?;
    let given = GivenLabels::new(&probabilities, 2, dataset.labels())?;
    assert_eq!(given.issues(Filter::NoiseRate), vec![false; 160]);
    Ok(())
}

#[test]
fn a_class_with_a_single_picture_and_too_few_folds_are_refused() {
    let dataset = bars(41, &[]).subset(&[0, 2, 4, 6, 8, 1]);
    let refused = |course: &Course| judge_bars(1, &dataset, course).unwrap_err().to_string();
    let message = refused(&course(3, 1));
    assert!(
        message.contains("class `stands`") && message.contains("at least 2"),
        "{message}"
    );
    assert!(refused(&course(1, 1)).contains("at least 2 folds"));
}
