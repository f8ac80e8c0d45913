//! Targets that are no classes: a probability of each class for each sample.
use std::sync::Arc;

use super::Dataset;
use crate::{Error, Result};

/// How far the sum of a sample's probabilities may be from 1: rounding of f32, and of numbers in files with four digits.
const TOLERANCE: f64 = 1e-4;

impl Dataset {
    /// The same samples with target probabilities, `[n, classes]` row by row, for training: the votes of several people, the answers of
    /// another network, or a mixture of classes. Subsets keep the targets of their samples.
    ///
    /// Training then computes the cross-entropy with these targets, and its accuracy counts the images whose largest logit is at their
    /// largest target. The labels remain: evaluation judges by them, and [`Balance`](crate::data::Balance) counts them.
    ///
    /// ```
    /// use hubel::{Dataset, Shape};
    ///
    /// // Three of four people saw class 0 in the first picture; all saw class 1 in the second.
    /// let dataset = Dataset::from_arrays(&[0.1; 8], Shape::new(2, 2, 1), &[0, 1])?
    ///     .with_targets(vec![0.75, 0.25, 0.0, 1.0])?;
    /// assert_eq!(dataset.subset(&[1]).targets(), Some(&[0.0, 1.0][..]));
    /// # Ok::<(), hubel::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the length does not fit, or for the first row with a negative or not finite probability or with a sum that
    /// differs from 1 by more than 1e-4.
    pub fn with_targets(self, probabilities: Vec<f32>) -> Result<Self> {
        let (samples, classes) = (self.len(), self.classes.len());
        if samples.checked_mul(classes) != Some(probabilities.len()) {
            return Err(Error::DataMismatch(format!(
                "{} target probabilities do not fit {samples} samples of {classes} classes; give one for each class of each sample, [n, classes] row by row",
                probabilities.len()
            )));
        }
        for (row, of_sample) in probabilities.chunks(classes).enumerate() {
            if let Some(class) = (of_sample.iter()).position(|&p| !(p >= 0.0 && p.is_finite())) {
                return Err(Error::DataMismatch(format!(
                    "row {row} of the target probabilities holds {} for class {class}; give numbers from 0 to 1",
                    of_sample[class]
                )));
            }
            let sum: f64 = of_sample.iter().map(|&p| f64::from(p)).sum();
            if (sum - 1.0).abs() > TOLERANCE {
                return Err(Error::DataMismatch(format!(
                    "row {row} of the target probabilities has a sum of {sum}, not 1; divide each row by its sum"
                )));
            }
        }
        Ok(Self {
            targets: Some(Arc::new(probabilities)),
            ..self
        })
    }

    /// The target probabilities `[n, classes]` of [`Dataset::with_targets`], if it was given any.
    pub fn targets(&self) -> Option<&[f32]> {
        self.targets.as_ref().map(|targets| targets.as_slice())
    }

    /// The target probabilities of one sample, if it has any.
    pub(super) fn target(&self, index: usize) -> Option<&[f32]> {
        let classes = self.classes.len();
        Some(&self.targets()?[index * classes..][..classes])
    }

    /// The targets of these samples, in this order.
    pub(super) fn targets_at(&self, indices: &[usize]) -> Option<Arc<Vec<f32>>> {
        self.targets()?;
        let targets = indices.iter().filter_map(|&index| self.target(index));
        Some(Arc::new(targets.flatten().copied().collect()))
    }

    /// The targets with class i at place `places[i]` of `classes`.
    pub(super) fn targets_moved(&self, places: &[usize], classes: usize) -> Option<Arc<Vec<f32>>> {
        let mut moved = vec![0.0; self.len() * classes];
        let rows = self.targets()?.chunks(places.len());
        for (row, target) in moved.chunks_mut(classes).zip(rows) {
            for (place, probability) in places.iter().zip(target) {
                row[*place] = *probability;
            }
        }
        Some(Arc::new(moved))
    }

    /// The same samples with the targets of `source`, whose samples these repeat in order: sample i is the source's i % n.
    pub(crate) fn with_targets_of(self, source: &Self) -> Self {
        let order: Vec<usize> = (0..self.len()).map(|row| row % source.len()).collect();
        Self {
            targets: source.targets_at(&order),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn three() -> Dataset {
        let pixels = (0..12).collect();
        let classes = vec!["a".to_owned(), "b".to_owned()];
        Dataset::from_bytes("three", classes, Shape::new(2, 2, 1), pixels, vec![0, 1, 0])
            .expect("the lengths fit")
    }

    #[test]
    fn bad_probabilities_are_refused_with_their_row() {
        for (probabilities, problem) in [
            (
                vec![1.0; 5],
                "5 target probabilities do not fit 3 samples of 2 classes",
            ),
            (
                vec![1.0, 0.0, 1.5, -0.5, 1.0, 0.0],
                "row 1 of the target probabilities holds -0.5 for class 1",
            ),
            (
                vec![1.0, 0.0, 1.0, 0.0, f32::NAN, 0.0],
                "row 2 of the target probabilities holds NaN for class 0",
            ),
            (
                vec![1.0, 0.0, f32::INFINITY, 0.0, 1.0, 0.0],
                "row 1 of the target probabilities holds inf",
            ),
            (
                vec![0.5, 0.5, 1.0, 0.0, 0.5, 0.501],
                "row 2 of the target probabilities has a sum of 1.00",
            ),
            (
                vec![0.0, 0.0, 1.0, 0.0, 0.5, 0.5],
                "row 0 of the target probabilities has a sum of 0",
            ),
        ] {
            let error = three()
                .with_targets(probabilities)
                .expect_err(problem)
                .to_string();
            assert!(error.contains(problem), "{error}");
        }
        let rounded = vec![0.3333, 0.6667, 0.0, 1.0, 0.99995, 0.0];
        assert!(three().with_targets(rounded).is_ok());
    }

    #[test]
    fn targets_stay_with_their_samples_and_their_classes() -> Result<()> {
        let dataset = three().with_targets(vec![0.9, 0.1, 0.3, 0.7, 0.6, 0.4])?;
        let subset = dataset.subset(&[2, 0]).subset(&[1, 0, 0]);
        assert_eq!(subset.targets(), Some(&[0.9, 0.1, 0.6, 0.4, 0.6, 0.4][..]));
        assert_eq!(subset.target(2), Some(&[0.6, 0.4][..]));
        let classes = ["b", "c", "a"].map(str::to_owned);
        let moved = dataset.clone().with_classes(&classes)?;
        assert_eq!(moved.labels(), [2, 0, 2]);
        let expected = [0.1, 0.0, 0.9, 0.7, 0.0, 0.3, 0.4, 0.0, 0.6];
        assert_eq!(moved.targets(), Some(&expected[..]));
        let twice = three()
            .subset(&[0, 1, 2, 0, 1, 2])
            .with_targets_of(&dataset);
        assert_eq!(twice.target(4), Some(&[0.3, 0.7][..]));
        assert_eq!(
            dataset.renamed(&["x", "y"])?.targets().map(<[f32]>::len),
            Some(6)
        );
        assert_eq!(three().targets(), None);
        Ok(())
    }
}
