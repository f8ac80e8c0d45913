//! All splits of a data set as one data set.
use std::sync::Arc;

use super::storage::{Pixels, Sample};
use super::{Dataset, Part, Splits};
use crate::Result;

impl Splits {
    /// The splits that exist, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Part, &Dataset)> {
        let parts = [
            (Part::Train, Some(&self.train)),
            (Part::Validation, self.validation.as_ref()),
            (Part::Test, self.test.as_ref()),
        ];
        let parts = parts.into_iter();
        parts.filter_map(|(part, dataset)| dataset.map(|dataset| (part, dataset)))
    }

    /// The samples of all splits: those for training, for validation, for the test. Splits that were read together share their pixels with the result; those of others are
    /// copied.
    ///
    /// # Errors
    /// If a split has classes that the training split lacks, or a picture can no longer be read.
    pub(crate) fn joined(&self) -> Result<Dataset> {
        let mut joined = self.train.clone();
        for (part, dataset) in self.parts().filter(|(part, _)| *part != Part::Train) {
            let dataset = dataset.clone().with_classes(joined.classes())?;
            assert_eq!(dataset.shape(), joined.shape(), "the {part} split");
            joined.labels.extend(dataset.labels());
            joined.targets = None;
            if joined.pixels.is_shared_with(&dataset.pixels) {
                joined.rows.extend(&dataset.rows);
                continue;
            }
            let (mut bytes, mut floats) = (Vec::new(), Vec::new());
            for half in [&joined, &dataset] {
                for &row in &half.rows {
                    match half.pixels.sample(row, half.shape)? {
                        Sample::Bytes(sample) => bytes.extend_from_slice(&sample),
                        Sample::Floats(sample) => floats.extend_from_slice(sample),
                        Sample::Text(_) => {
                            unreachable!("the texts of a data set are read together")
                        }
                    }
                }
            }
            joined.rows = (0..joined.labels.len()).collect();
            joined.pixels = match floats.is_empty() {
                true => Pixels::Bytes(Arc::new(bytes)),
                false => Pixels::Floats(Arc::new(floats)),
            };
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn all_splits_are_there_in_order_whether_they_share_pixels_or_not() -> Result<()> {
        let (shape, classes) = (Shape::new(1, 2, 1), vec!["a".to_owned(), "b".to_owned()]);
        let of = |first: u8, labels: &[usize]| {
            let pixels = (0..2 * labels.len() as u8).map(|place| first + place);
            let (pixels, labels) = (pixels.collect(), labels.to_vec());
            Dataset::from_bytes("pictures", classes.clone(), shape, pixels, labels)
        };
        let (train, test) = (of(0, &[0, 1, 1])?, of(100, &[1, 0])?);
        let splits = |train: Dataset, validation, test| {
            Splits::found(String::new(), train, validation, Some(test))
        };
        let apart = splits(train.subset(&[2, 0]), Some(train.subset(&[1])), test).joined()?;
        assert_eq!(apart.labels(), [1, 0, 1, 1, 0]);
        for (index, first) in [4, 0, 2, 100, 102].into_iter().enumerate() {
            let expected = [first, first + 1];
            assert_eq!(apart.bytes(index)?.as_deref(), Some(&expected[..]));
        }
        let together = splits(train.subset(&[2]), None, train.subset(&[0])).joined()?;
        assert!(together.pixels.is_shared_with(&train.pixels));
        assert_eq!(together.bytes(1)?.as_deref(), Some(&[0, 1][..]));
        Ok(())
    }
}
