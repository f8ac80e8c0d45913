//! Evaluation of a model on a data set.
mod answers;
mod assessment;
mod calibration;
mod curves;
mod familiarity;
mod scores;
mod threshold;

use std::collections::HashMap;

use hubel_kernels::{Cpu, softmax};
use serde::Serialize;

use crate::data::{BadFile, Dataset, Kind, Preparation};
use crate::inference::Inference;
use crate::{Error, Model, Result};

pub use self::answers::Answers;
use self::answers::cross_entropy;
pub(crate) use self::answers::tempered;
pub use self::assessment::Assessment;
pub use self::calibration::{Bin, Calibration};
pub use self::curves::{Curve, Separation, separation};
pub use self::familiarity::Familiarity;
pub use self::scores::ClassScores;
pub use self::threshold::Threshold;

/// The results of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Share of images classified correctly.
    pub accuracy: f32,
    /// Mean cross-entropy, in nats.
    pub loss: f32,
    /// Number of images that were classified.
    pub count: usize,
    /// Rows: true classes; columns: predicted classes.
    pub confusion: Vec<Vec<usize>>,
    /// Pictures that could no longer be read and were left out.
    pub bad_files: Vec<BadFile>,
    /// The effective number of independent images: [`Report::count`], or less if [`Report::with_groups`] counts near-duplicates as one.
    pub independent: f64,
    /// What was classified.
    pub kind: Kind,
}

/// A model's answer for one image of a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The image's index in the data set.
    pub index: usize,
    /// The predicted class.
    pub class: usize,
    /// Its true class.
    pub label: usize,
    /// Its cross-entropy at the model's [temperature](Model::temperature), in nats.
    pub loss: f64,
    /// The model's output for each class, before the temperature and [`softmax`](crate::softmax).
    pub logits: &'a [f32],
}

impl Report {
    /// The mean of the accuracies of all classes with images: the accuracy if all classes were equally frequent. 0 if there are no images.
    pub fn balanced_accuracy(&self) -> f32 {
        let of_classes = self.confusion.iter().enumerate().map(|(class, row)| {
            let count: usize = row.iter().sum();
            (row[class], count)
        });
        let shares: Vec<f64> = of_classes
            .filter(|(_, count)| *count > 0)
            .map(|(correct, count)| correct as f64 / count as f64)
            .collect();
        (shares.iter().sum::<f64>() / shares.len().max(1) as f64) as f32
    }

    /// The class with the most images, and its share of all images: the accuracy of a model that always predicts this class.
    pub fn baseline(&self) -> (usize, f32) {
        let counts = (self.confusion.iter()).map(|row| row.iter().sum::<usize>());
        // The first of equally frequent ones.
        let largest = counts.enumerate().rev().max_by_key(|(_, count)| *count);
        let (class, count) = largest.unwrap_or((0, 0));
        (class, count as f32 / self.count.max(1) as f32)
    }

    /// Whether the accuracy misleads because it depends mainly on frequent classes: it differs from the balanced accuracy by more than two points.
    pub fn hides_classes(&self) -> bool {
        (self.accuracy - self.balanced_accuracy()).abs() > 0.02
    }

    /// The 95 % confidence interval of the accuracy: Wilson's score interval ("Probable inference, the law of
    /// succession, and statistical inference", 1927), which also holds for few images and for accuracies near 1.
    /// It is as wide as that of [`Report::independent`] images, and `[0, 1]` if there are no images.
    pub fn interval(&self) -> [f32; 2] {
        /// The quantile of the normal distribution that leaves 2.5 % on each side.
        const Z: f64 = 1.959_964;
        if self.count == 0 {
            return [0.0, 1.0];
        }
        let (share, count) = (f64::from(self.accuracy), self.independent);
        let centre = share + Z * Z / (2.0 * count);
        let variance = share * (1.0 - share) / count + (Z / (2.0 * count)).powi(2);
        let reach = Z * variance.max(0.0).sqrt();
        [centre - reach, centre + reach]
            .map(|end| (end / (1.0 + Z * Z / count)).clamp(0.0, 1.0) as f32)
    }

    /// The same report, with near-duplicates counted as one image. `groups` is [`Dataset::groups`] of the images that were classified.
    pub fn with_groups(self, groups: &[usize]) -> Self {
        let all = groups.len().max(1) as f64;
        let independent = self.count as f64 * (independent(groups) / all).min(1.0);
        Self {
            independent,
            ..self
        }
    }

    /// The classes without classified images.
    pub fn untested(&self) -> impl Iterator<Item = usize> {
        let rows = self.confusion.iter().enumerate();
        rows.filter(|(_, row)| row.iter().all(|&count| count == 0))
            .map(|(class, _)| class)
    }
}

impl Model {
    /// Classifies every image of `dataset`.
    ///
    /// # Errors
    /// [`Error::Classes`] if the data set has other classes than the model; [`Error::NotFinite`] if the model's outputs are NaN or infinite;
    /// that of a picture that can no longer be read, unless the data's policy leaves out bad files.
    pub fn evaluate(&self, cpu: &Cpu, dataset: &Dataset) -> Result<Report> {
        self.evaluate_each(cpu, dataset, &mut |_| {})
    }

    /// The same, and gives `take` the answer for each image, in order.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_each(
        &self,
        cpu: &Cpu,
        dataset: &Dataset,
        take: &mut dyn FnMut(Answer<'_>),
    ) -> Result<Report> {
        self.check(dataset)?;
        judge(Inference::new(self, cpu)?, &self.preparation, dataset, take)
    }

    /// Refuses data on which the model cannot be evaluated.
    ///
    /// # Errors
    /// [`Error::Classes`] if its classes differ, [`Error::DataMismatch`] if its channels cannot be converted to the model's.
    pub(crate) fn check(&self, dataset: &Dataset) -> Result<()> {
        if dataset.classes() != self.classes() {
            return Err(Error::Classes {
                model: self.classes().to_vec(),
                data: dataset.classes().to_vec(),
            });
        }
        self.preparation.check_data(dataset)
    }
}

/// Classifies every sample of `dataset`, prepared by `preparation`.
///
/// # Errors
/// As [`Model::evaluate`].
pub(crate) fn judge(
    mut inference: Inference<&Model>,
    preparation: &Preparation,
    dataset: &Dataset,
    take: &mut dyn FnMut(Answer<'_>),
) -> Result<Report> {
    let classes = inference.model().classes().len();
    let temperature = inference.model().temperature().unwrap_or(1.0);
    let mut confusion = vec![vec![0; classes]; classes];
    let mut loss = 0.0;
    let bad_files = inference.run_on_dataset(dataset, preparation, &mut |i, logits| {
        let label = dataset.labels()[i];
        let largest = softmax::largest(logits);
        let of_image = cross_entropy(logits, label, temperature);
        loss += of_image;
        confusion[label][largest] += 1;
        take(Answer {
            index: i,
            class: largest,
            label,
            loss: of_image,
            logits,
        });
        Ok(())
    })?;
    let correct: usize = (0..classes).map(|c| confusion[c][c]).sum();
    let count = dataset.len() - bad_files.len();
    if let (0, Some(bad)) = (count, bad_files.first()) {
        return Err(Error::Picture {
            path: bad.path.clone(),
            problem: format!("{}; nothing else can be read either", bad.problem),
        });
    }
    Ok(Report {
        accuracy: correct as f32 / count.max(1) as f32,
        loss: (loss / count.max(1) as f64) as f32,
        count,
        confusion,
        bad_files,
        independent: count as f64,
        kind: dataset.kind(),
    })
}

/// The effective number of independent samples, given groups of near-duplicates: n²/Σm² for groups of m
/// (Kish, "Survey Sampling", 1965).
fn independent(groups: &[usize]) -> f64 {
    let mut sizes = HashMap::new();
    for group in groups {
        *sizes.entry(group).or_insert(0.0) += 1.0;
    }
    // Integers, so the order does not matter.
    let squares: f64 = sizes.values().map(|size: &f64| size * size).sum();
    (groups.len() as f64).powi(2) / squares.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_under_imbalance_is_beside_what_shows_it() {
        // scikit-learn's balanced_accuracy_score for these values: (72/90 + 1/10) / 2.
        let report = Report {
            accuracy: 0.73,
            loss: 0.0,
            count: 100,
            confusion: vec![vec![72, 18, 0], vec![9, 1, 0], vec![0, 0, 0]],
            independent: 100.0,
            kind: Kind::Pictures,
            bad_files: Vec::new(),
        };
        assert_eq!(report.balanced_accuracy(), 0.45);
        assert_eq!(report.baseline(), (0, 0.9));
        assert!(report.hides_classes());
        let even = Report {
            confusion: vec![vec![37, 13], vec![14, 36]],
            ..report
        };
        assert_eq!(
            (even.balanced_accuracy(), even.baseline()),
            (0.73, (0, 0.5))
        );
        assert!(!even.hides_classes());
    }

    #[test]
    fn the_interval_is_wilson_s() {
        let interval = |correct: usize, count: usize| {
            let report = Report {
                accuracy: correct as f32 / count.max(1) as f32,
                loss: 0.0,
                count,
                confusion: Vec::new(),
                bad_files: Vec::new(),
                independent: count as f64,
                kind: Kind::Pictures,
            };
            report.interval().map(|end| (f64::from(end) * 1e4).round())
        };
        assert_eq!(interval(9939, 10_000), [9922.0, 9952.0]);
        // n / (n + z²), and z² / (n + z²)
        assert_eq!(interval(10, 10), [7225.0, 10_000.0]);
        assert_eq!(interval(0, 1), [0.0, 7935.0]);
        assert_eq!(interval(0, 0), [0.0, 10_000.0]);
    }

    #[test]
    fn copies_make_the_interval_wider_and_classes_without_images_are_named() {
        let shape = crate::Shape::new(4, 4, 1);
        let picture = |seed: u8| (0..16).map(move |place: u8| (place * 7).wrapping_mul(seed));
        // Twice each of 8.
        let pixels = (0..16)
            .flat_map(|index| picture(index / 2 * 2 + 3))
            .collect();
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let labels = (0..16).map(|index| index % 2).collect();
        let images = Dataset::from_bytes("pairs", classes, shape, pixels, labels).unwrap();
        let report = Report {
            accuracy: 0.75,
            loss: 0.0,
            count: 16,
            confusion: vec![vec![6, 2, 0], vec![2, 6, 0], vec![0, 0, 0]],
            bad_files: Vec::new(),
            independent: 16.0,
            kind: Kind::Pictures,
        };
        let of_groups = report.clone().with_groups(&images.groups());
        assert_eq!(of_groups.independent, 8.0);
        let width = |report: &Report| report.interval()[1] - report.interval()[0];
        assert!(width(&of_groups) > width(&report));
        assert_eq!(report.untested().collect::<Vec<_>>(), [2]);
    }
}
