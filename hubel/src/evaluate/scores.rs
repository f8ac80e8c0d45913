//! Precision, recall and F1 of each class.
use serde::Serialize;

use crate::Report;

/// How well a class is recognised. A share of nothing is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassScores {
    /// Number of images of this class.
    pub count: usize,
    /// Number of images for which it was the answer.
    pub answered: usize,
    /// Of the answers with this class, the share that is right.
    pub precision: Option<f64>,
    /// Of the images of this class, the share that is recognised: the accuracy of the class.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall: 2 · right / (count + answered).
    pub f1: Option<f64>,
}

impl Report {
    /// The scores of each class.
    pub fn of_classes(&self) -> Vec<ClassScores> {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let classes = self.confusion.iter().enumerate();
        classes
            .map(|(class, row)| {
                let right = row[class];
                let count = row.iter().sum();
                let answered = self.confusion.iter().map(|row| row[class]).sum();
                ClassScores {
                    count,
                    answered,
                    precision: share(right, answered),
                    recall: share(right, count),
                    f1: share(2 * right, count + answered),
                }
            })
            .collect()
    }

    /// The most frequent confusions, at most `most`: (count, true class, answer).
    pub fn confusions(&self, most: usize) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for (truth, row) in self.confusion.iter().enumerate() {
            for (answer, &count) in row.iter().enumerate() {
                if truth != answer && count > 0 {
                    found.push((count, truth, answer));
                }
            }
        }
        found.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
        found.truncate(most);
        found
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Answers, Cpu};

    #[derive(Deserialize)]
    struct Fixture {
        classes: usize,
        labels: Vec<usize>,
        logits: Vec<f32>,
        confusion: Vec<Vec<usize>>,
        precision: Vec<f64>,
        recall: Vec<f64>,
        f1: Vec<f64>,
        count: Vec<usize>,
    }

    #[test]
    fn the_scores_of_each_class_are_scikit_learn_s() {
        let fixture = include_str!("../../tests/fixtures/judging.json");
        let fixture: Fixture = serde_json::from_str(fixture).unwrap();
        let (classes, labels) = (fixture.classes, &fixture.labels);
        let answers =
            Answers::from_logits(&Cpu::best(1), classes, labels, &fixture.logits).unwrap();
        let mut confusion = vec![vec![0; classes]; classes];
        for (place, &label) in labels.iter().enumerate() {
            confusion[label][answers.class(place)] += 1;
        }
        assert_eq!(confusion, fixture.confusion);
        let report = Report {
            accuracy: 0.0,
            loss: 0.0,
            count: labels.len(),
            confusion,
            bad_files: Vec::new(),
            independent: 0.0,
            kind: Default::default(),
        };
        for (class, scores) in report.of_classes().into_iter().enumerate() {
            assert_eq!(scores.count, fixture.count[class]);
            for (found, expected) in [
                (scores.precision, fixture.precision[class]),
                (scores.recall, fixture.recall[class]),
                (scores.f1, fixture.f1[class]),
            ] {
                assert!((found.unwrap() - expected).abs() < 1e-6, "class {class}");
            }
        }
    }

    #[test]
    fn the_largest_confusions_come_first_and_the_right_answers_never() {
        let report = |confusion| Report {
            accuracy: 0.0,
            loss: 0.0,
            count: 0,
            confusion,
            bad_files: Vec::new(),
            independent: 0.0,
            kind: Default::default(),
        };
        let whole = report(vec![vec![90, 1, 0], vec![7, 80, 2], vec![0, 0, 99]]);
        assert_eq!(whole.confusions(5), [(7, 1, 0), (2, 1, 2), (1, 0, 1)]);
        assert_eq!(whole.confusions(1), [(7, 1, 0)]);
        // A share of nothing is unknown.
        let last = report(vec![vec![1, 1], vec![0, 0]]).of_classes()[1];
        assert_eq!((last.recall, last.precision), (None, Some(0.0)));
    }
}
