//! Likely label errors: pictures whose given label a model that was not trained on them finds improbable.
//!
//! | question | answer |
//! |---|---|
//! | Which labels of this data are probably wrong? | [`find`]: trains models on parts of the data, and judges each picture by those that did not see it |
//! | Which labels do these probabilities contradict? | [`GivenLabels`]: ranking and decision from the probabilities of any model |
//!
//! The method is confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021). Scores and decisions are equal to
//! those of its authors' library cleanlab 2.9 for the same probabilities.
mod confident;
#[cfg(all(feature = "backbone", feature = "pictures"))]
mod find;
mod folds;
mod out_of_fold;
mod quality;
#[cfg(all(feature = "backbone", feature = "pictures"))]
mod recipe;
#[cfg(test)]
mod tests;

pub use confident::Filter;
#[cfg(all(feature = "backbone", feature = "pictures"))]
pub use find::{Judgement, LabelReport, LabelSettings, find};
pub use out_of_fold::{Course, Judge, LabelProgress, out_of_fold};
pub use quality::Score;

use crate::{Error, Result};

/// The labels of `n` pictures, and the probabilities `[n, classes]` that a model gives to each class. The model must not have been trained on the pictures that it
/// judges.
///
/// ```
/// use hubel::labels::{Filter, GivenLabels, Score};
///
/// // The third picture has the label 0 and looks like class 1.
/// let probabilities = [0.9, 0.1, 0.8, 0.2, 0.05, 0.95, 0.1, 0.9, 0.2, 0.8];
/// let labels = GivenLabels::new(&probabilities, 2, &[0, 0, 0, 1, 1])?;
/// assert_eq!(labels.ranking(Score::SelfConfidence)[0], 2);
/// assert_eq!(labels.suggested(2), 1);
/// assert_eq!(labels.issues(Filter::NoiseRate), [false, false, true, false, false]);
/// # Ok::<(), hubel::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GivenLabels<'a> {
    probabilities: &'a [f32],
    classes: usize,
    labels: &'a [usize],
}

impl<'a> GivenLabels<'a> {
    /// Labels that count the classes from 0, and probabilities from 0 to 1. The probabilities of a picture should sum to 1; this is not checked.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if there are fewer than two classes, no pictures, a label without a class, another number of probabilities, or a probability outside
    /// of 0 to 1.
    pub fn new(probabilities: &'a [f32], classes: usize, labels: &'a [usize]) -> Result<Self> {
        let problem = if classes < 2 {
            format!("{classes} classes: with fewer than two, no label can be wrong")
        } else if labels.is_empty() {
            "there are no labels that could be judged".into()
        } else if labels.len().checked_mul(classes) != Some(probabilities.len()) {
            format!(
                "{} probabilities do not fit {} labels of {classes} classes",
                probabilities.len(),
                labels.len()
            )
        } else if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            format!("label {label}, but there are only {classes} classes, counted from 0")
        } else if let Some(place) =
            (probabilities.iter()).position(|value| !(0.0..=1.0).contains(value))
        {
            format!(
                "the probability of class {} of example {} is {}; it must be from 0 to 1",
                place % classes,
                place / classes,
                probabilities[place]
            )
        } else {
            return Ok(Self {
                probabilities,
                classes,
                labels,
            });
        };
        Err(Error::DataMismatch(problem))
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: there is at least one picture.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The probabilities of all classes for a picture.
    ///
    /// # Panics
    /// If `picture` is out of range.
    pub fn probabilities(&self, picture: usize) -> &'a [f32] {
        &self.probabilities[picture * self.classes..][..self.classes]
    }

    /// The most probable class other than the given label; the first of equally probable ones.
    ///
    /// # Panics
    /// If `picture` is out of range.
    pub fn suggested(&self, picture: usize) -> usize {
        let label = self.labels[picture];
        let others = self.probabilities(picture).iter().enumerate().rev();
        // `max_by` returns the last of equal ones, and the order is reversed.
        let largest = others
            .filter(|(class, _)| *class != label)
            .max_by(|one, other| one.1.total_cmp(other.1));
        largest.expect("there are at least two classes").0
    }

    /// The pictures, the most doubtful label first: by ascending score. Equal scores are in the order of the pictures.
    pub fn ranking(&self, score: Score) -> Vec<usize> {
        let quality = self.quality(score);
        let mut ranking: Vec<usize> = (0..self.len()).collect();
        ranking.sort_by(|&one, &other| quality[one].total_cmp(&quality[other]));
        ranking
    }

    /// The probabilities of a picture in double precision, with its label.
    fn row(&self, picture: usize) -> (Vec<f64>, usize) {
        let row = self.probabilities(picture).iter();
        (row.map(|&p| f64::from(p)).collect(), self.labels[picture])
    }
}
