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
