//! Pictures with labels: data sets, where they come from, and how pixels become numbers.
mod folder;
mod idx;
mod ink;
mod mnist;
mod preparation;
mod resize;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use ink::Ink;
pub use mnist::mnist;
pub use preparation::{Preparation, Prepared};
pub use resize::Resize;

use crate::random::{Purpose, Random};
use crate::{Error, Result, Shape};

/// Pictures of one shape with their labels, in memory. Clones and subsets share the pixels.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    shape: Shape,
    pixels: Pixels,
    /// Which picture of `pixels` each sample is.
    rows: Vec<usize>,
    /// The class of each sample.
    labels: Vec<usize>,
}

/// Numbers of pictures, `[n, h, w, c]`.
#[derive(Clone, Debug)]
enum Pixels {
    /// Levels 0 to 255, which stand for 0 to 1.
    Bytes(Arc<Vec<u8>>),
    /// The caller's own numbers.
    Floats(Arc<Vec<f32>>),
}

/// A data set's parts: one to learn from and, where there is one, one to test with.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What is learned from; validation images are held out of it.
    pub train: Dataset,
    /// What takes part in no choice.
    pub test: Option<Dataset>,
    /// What was found, in one line.
    pub description: String,
    /// What was left out and why.
    pub notes: Vec<String>,
}

/// A form in which data sets lie on a disk.
enum Form {
    Idx {
        train: PathBuf,
        test: Option<PathBuf>,
    },
}

/// Opens the data set `mnist`, a folder of IDX files or of class folders, or one IDX file of pictures with its labels beside it.
///
/// # Errors
/// Where nothing of the kind is there, or a file of it cannot be used.
pub fn open(name_or_path: &str) -> Result<Splits> {
    if name_or_path.eq_ignore_ascii_case("mnist") {
        return mnist();
    }
    let path = Path::new(name_or_path);
    let found = std::fs::metadata(path).map_err(|source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let form = match found.is_dir() {
        true => idx::find(path)?,
        false => Some(Form::Idx {
            train: path.into(),
            test: None,
        }),
    };
    let Some(Form::Idx { train, test }) = form else {
        return folder::open(path);
    };
    let train = idx::read_pair(&train)?;
    let test = test.map(|test| idx::read_pair(&test)).transpose()?;
    let counts = [Some(&train), test.as_ref()]
        .into_iter()
        .flatten()
        .map(|part| part.len().to_string());
    let counts: Vec<String> = counts.collect();
    Ok(Splits {
        description: format!(
            "IDX, {} classes, {} images",
            train.classes.len(),
            counts.join(" + ")
        ),
        notes: Vec::new(),
        train,
        test,
    })
}

impl Dataset {
    /// A data set from one's own arrays: `images` as `[n, h, w, c]`, one label from 0 for each. Classes are named by their numbers.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the lengths do not fit together or there are fewer than two classes.
    pub fn from_arrays(images: &[f32], shape: Shape, labels: &[usize]) -> Result<Self> {
        let classes = labels.iter().max().map_or(0, |largest| largest + 1);
        let classes = (0..classes).map(|class| class.to_string()).collect();
        let pixels = Pixels::Floats(Arc::new(images.to_vec()));
        Self::new(
            "arrays",
            classes,
            shape,
            (pixels, images.len()),
            labels.to_vec(),
        )
    }

    fn from_bytes(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        pixels: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let length = pixels.len();
        Self::new(
            name,
            classes,
            shape,
            (Pixels::Bytes(Arc::new(pixels)), length),
            labels,
        )
    }

    fn new(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        (pixels, length): (Pixels, usize),
        labels: Vec<usize>,
    ) -> Result<Self> {
        if shape.is_empty() || labels.len().checked_mul(shape.len()) != Some(length) {
            return Err(Error::DataMismatch(format!(
                "{} labels need {} images of {shape}, and there are {length} numbers",
                labels.len(),
                labels.len(),
            )));
        }
        if classes.len() < 2 {
            return Err(Error::DataMismatch(format!(
                "{name} has {} classes; a classifier needs at least two",
                classes.len()
            )));
        }
        Ok(Self {
            name: name.into(),
            classes,
            shape,
            pixels,
            rows: (0..labels.len()).collect(),
            labels,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The shape of every image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The samples with these indices, in this order.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            rows: indices.iter().map(|i| self.rows[*i]).collect(),
            labels: indices.iter().map(|i| self.labels[*i]).collect(),
            ..self.clone()
        }
    }

    /// Holds out about `held_out` samples, the same share of every class, and returns (the rest, those).
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if nothing would be left.
    pub fn split(&self, held_out: usize, seed: u64) -> Result<(Self, Self)> {
        if held_out >= self.len() {
            return Err(Error::DataMismatch(format!(
                "cannot hold out {held_out} of {} images",
                self.len()
            )));
        }
        let (mut rest, mut held) = (Vec::new(), Vec::new());
        for class in 0..self.classes.len() {
            let mut members: Vec<usize> = (0..self.len())
                .filter(|i| self.labels[*i] == class)
                .collect();
            Random::new(seed)
                .stream(Purpose::Split, 0, class as u64)
                .shuffle(&mut members);
            let count = (members.len() * held_out + self.len() / 2) / self.len();
            held.extend(&members[..count]);
            rest.extend(&members[count..]);
        }
        rest.sort_unstable();
        held.sort_unstable();
        Ok((self.subset(&rest), self.subset(&held)))
    }

    /// Writes the samples with these indices, prepared, as `[n, h, w, c]`.
    pub fn fill(&self, indices: &[usize], preparation: &Preparation, output: &mut [f32]) {
        let length = self.shape.len();
        for (i, output) in indices
            .iter()
            .zip(output.chunks_exact_mut(preparation.shape.len()))
        {
            let range = self.rows[*i] * length..(self.rows[*i] + 1) * length;
            match &self.pixels {
                Pixels::Bytes(bytes) => preparation.bytes(&bytes[range], self.shape, output),
                Pixels::Floats(floats) => preparation.floats(&floats[range], self.shape, output),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_become_a_data_set_and_a_split_keeps_shares() -> Result<()> {
        let labels: Vec<usize> = (0..100).map(|i| i % 4).collect();
        let images: Vec<f32> = (0..600).map(|i| i as f32).collect();
        let dataset = Dataset::from_arrays(&images, Shape::new(1, 2, 3), &labels)?;
        let (rest, held) = dataset.split(20, 1)?;
        assert_eq!((rest.len(), held.len()), (80, 20));
        for class in 0..4 {
            assert_eq!(
                held.labels()
                    .iter()
                    .filter(|label| **label == class)
                    .count(),
                5
            );
        }
        assert!(Dataset::from_arrays(&images[1..], Shape::new(1, 2, 3), &labels).is_err());
        Ok(())
    }
}
