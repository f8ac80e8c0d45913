//! Data sets from values in memory, and the checks that each data set passes.
use std::sync::Arc;

use super::Dataset;
use super::storage::Pixels;
use crate::{Error, Result, Shape};

/// Limited because a confusion matrix has the square of this number of entries.
const MOST_CLASSES: usize = 5000;

/// The longest class name in bytes: no operating system allows longer folder names.
pub(super) const LONGEST_CLASS: usize = 255;

/// The message about the first class name that is too long.
pub(crate) fn long_name(classes: &[String]) -> Option<String> {
    let long = classes.iter().find(|class| class.len() > LONGEST_CLASS)?;
    Some(format!(
        "the class `{}…` has a name of {} bytes, but at most {LONGEST_CLASS} are allowed",
        long.chars().take(40).collect::<String>(),
        long.len()
    ))
}

impl Dataset {
    /// A data set from `images` `[n, h, w, c]` and their `labels` `[n]`, which count classes from 0.
    /// The classes are named `0`, `1` …; [`Dataset::renamed`] renames them. For a model that will classify pictures, give values from
    /// 0 (black) to 1 (white), or bytes to [`Dataset::from_bytes`].
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the lengths do not fit, a value is not finite, or there is only one class.
    pub fn from_arrays(images: &[f32], shape: Shape, labels: &[usize]) -> Result<Self> {
        check_lengths(images.len(), shape, labels.len())?;
        if let Some(index) = images.iter().position(|value| !value.is_finite()) {
            return Err(Error::DataMismatch(format!(
                "image {} holds {} at position {} of its {shape}; replace it or leave the image out",
                index / shape.len(),
                images[index],
                index % shape.len()
            )));
        }
        // A label far beyond the number of samples is a mistake; a name for each class would take much memory.
        if let Some(label) = labels
            .iter()
            .find(|&&label| label >= labels.len().max(1000))
        {
            return Err(Error::DataMismatch(format!(
                "label {label} among {} samples: labels count the classes from 0",
                labels.len()
            )));
        }
        let classes = labels.iter().max().map_or(0, |largest| largest + 1);
        let classes = (0..classes).map(|class| class.to_string()).collect();
        Self::new(
            "arrays",
            classes,
            shape,
            Pixels::Floats(Arc::new(images.to_vec())),
            labels.to_vec(),
        )
    }

    /// A data set from finite values `[n, h, w, c]` with these classes.
    ///
    /// # Errors
    /// As for [`Dataset::from_bytes`].
    pub(crate) fn of_floats(
        name: &str,
        classes: &[String],
        shape: Shape,
        numbers: Vec<f32>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        check_lengths(numbers.len(), shape, labels.len())?;
        let pixels = Pixels::Floats(Arc::new(numbers));
        Self::of_any_classes(name, classes.to_vec(), shape, pixels, labels)
    }

    /// A data set from bytes `[n, h, w, c]`; a byte of 255 stands for 1.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the lengths do not fit, a label has no class, or there are fewer than two classes.
    pub fn from_bytes(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        images: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        check_lengths(images.len(), shape, labels.len())?;
        Self::new(
            name,
            classes,
            shape,
            Pixels::Bytes(Arc::new(images)),
            labels,
        )
    }

    pub(super) fn new(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        pixels: Pixels,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let dataset = Self::of_any_classes(name, classes, shape, pixels, labels)?;
        dataset.check_classes().map(|()| dataset)
    }

    /// Refuses a single class, because nothing can be learnt from it.
    pub(super) fn check_classes(&self) -> Result<()> {
        match self.classes.len() < 2 {
            false => Ok(()),
            true => Err(Error::DataMismatch(format!(
                "{}: {} {} of {}; a classifier needs at least two classes",
                self.name,
                self.len(),
                self.kind().plural(),
                match self.classes.len() {
                    0 => "no class",
                    _ => "one class",
                }
            ))),
        }
    }

    /// As [`Dataset::new`], but a single class is enough: for evaluation.
    pub(super) fn of_any_classes(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        pixels: Pixels,
        labels: Vec<usize>,
    ) -> Result<Self> {
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            return Err(Error::DataMismatch(format!(
                "{name}: label {label}, but there are only {} classes, counted from 0",
                classes.len()
            )));
        }
        if classes.len() > MOST_CLASSES {
            return Err(Error::DataMismatch(format!(
                "{name}: {} samples of {} classes, but at most {MOST_CLASSES} classes are allowed; do the labels name classes, or single examples?",
                labels.len(),
                classes.len()
            )));
        }
        if let Some(problem) = long_name(&classes) {
            return Err(Error::DataMismatch(format!(
                "{name}: {problem}; do the labels name classes?"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            classes,
            shape,
            pixels,
            rows: (0..labels.len()).collect(),
            labels,
            targets: None,
            reading: None,
            range: None,
        })
    }
}

/// Refuses values that are not `labels` images of `shape`.
///
/// # Errors
/// [`Error::DataMismatch`]
pub(super) fn check_lengths(numbers: usize, shape: Shape, labels: usize) -> Result<()> {
    let sizes = shape.sizes().into_iter().chain([labels]);
    let expected = sizes.into_iter().try_fold(1usize, usize::checked_mul);
    if shape.is_empty() {
        return Err(Error::DataMismatch(format!(
            "images of {shape} have no values"
        )));
    }
    if labels == 0 {
        return Err(Error::DataMismatch("there are no samples".into()));
    }
    if expected != Some(numbers) {
        return Err(Error::DataMismatch(format!(
            "{numbers} values do not fit {labels} images of {shape}, which have {}",
            expected.map_or("more than fits into memory".into(), |n| n.to_string())
        )));
    }
    Ok(())
}
