//! Where the pixels of a data set are: in memory, or in files of which as many are kept in memory as a budget allows.
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::data::Preparation;
use crate::data::catalogue::File;
use crate::data::fingerprint::Fingerprint;
use crate::{Error, Result, Shape};

/// All samples one after the other, `[n, h, w, c]`; a sample's place among them is its row.
#[derive(Clone, Debug)]
pub(super) enum Pixels {
    Bytes(Arc<Vec<u8>>),
    Floats(Arc<Vec<f32>>),
    Files(Arc<Files>),
}

/// The pixels of one sample, `[h, w, c]`.
pub(super) enum Sample<'a> {
    Bytes(Cow<'a, [u8]>),
    Floats(&'a [f32]),
}

impl Pixels {
    /// The pixels at `row`, of which each has `shape`.
    pub(super) fn sample(&self, row: usize, shape: Shape) -> Result<Sample<'_>> {
        let length = shape.len();
        Ok(match self {
            Self::Bytes(bytes) => Sample::Bytes(Cow::Borrowed(&bytes[row * length..][..length])),
            Self::Floats(floats) => Sample::Floats(&floats[row * length..][..length]),
            Self::Files(files) => Sample::Bytes(files.pixels(row)?),
        })
    }

    /// The fingerprint of a sample's file, or of its pixels where it came from none.
    pub(super) fn fingerprint(&self, row: usize, shape: Shape) -> Fingerprint {
        let length = shape.len();
        match self {
            Self::Bytes(bytes) => {
                let pixels = &bytes[row * length..][..length];
                Fingerprint::new(pixels, pixels, shape)
            }
            // What numbers look like is not known.
            Self::Floats(floats) => Fingerprint::of_content(&little_endian(floats, row, length)),
            Self::Files(files) => files.fingerprints[row].clone(),
        }
    }

    /// The hash of the contents of a row alone, as its fingerprint has it.
    pub(super) fn content(&self, row: usize, shape: Shape) -> u64 {
        let length = shape.len();
        match self {
            Self::Bytes(bytes) => Fingerprint::content_of(&bytes[row * length..][..length]),
            Self::Floats(floats) => Fingerprint::content_of(&little_endian(floats, row, length)),
            Self::Files(files) => files.fingerprints[row].content,
        }
    }
}

/// The bytes of a row of numbers.
fn little_endian(floats: &[f32], row: usize, length: usize) -> Vec<u8> {
    let numbers = &floats[row * length..][..length];
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Pictures in files, brought to one shape.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<File>,
    /// How a file becomes bytes of one shape.
    preparation: Preparation,
    /// The bytes of the first rows, as many as the budget allowed.
    kept: Vec<u8>,
    /// Of each row and channel: the sum and the sum of squares of its bytes.
    moments: Vec<[u64; 2]>,
    fingerprints: Vec<Fingerprint>,
    /// Of each row: whether the picture had another size than the shape.
    resized: Vec<bool>,
}

impl Files {
    /// Files of which all have been read once: `kept` holds the bytes of the first rows; of every row there are its [`moments`], its
    /// fingerprint, and whether it was resized.
    pub(super) fn new(
        files: Vec<File>,
        preparation: Preparation,
        kept: Vec<u8>,
        moments: Vec<[u64; 2]>,
        fingerprints: Vec<Fingerprint>,
        resized: Vec<bool>,
    ) -> Self {
        Self {
            files,
            preparation,
            kept,
            moments,
            fingerprints,
            resized,
        }
    }

    /// The shape of each sample.
    pub(super) fn shape(&self) -> Shape {
        self.preparation.shape
    }

    pub(super) fn is_resized(&self, row: usize) -> bool {
        self.resized[row]
    }

    pub(super) fn path(&self, row: usize) -> &Path {
        &self.files[row].path
    }

    /// Sum and sum of squares of each channel of a row.
    pub(super) fn moments(&self, row: usize) -> &[[u64; 2]] {
        let channels = self.preparation.shape.channels;
        &self.moments[row * channels..][..channels]
    }

    fn pixels(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let length = self.preparation.shape.len();
        match self.kept.get(row * length..(row + 1) * length) {
            Some(kept) => Ok(Cow::Borrowed(kept)),
            None => Ok(Cow::Owned(self.anew(row, &self.preparation)?)),
        }
    }

    /// Reads the picture of a row once more, and brings it through `preparation`.
    ///
    /// # Errors
    /// When its file can no longer be read, or holds other bytes than when all were read.
    pub(super) fn anew(&self, row: usize, preparation: &Preparation) -> Result<Vec<u8>> {
        let path = self.path(row);
        let contents = self.files[row].contents()?;
        if Fingerprint::content_of(&contents) != self.fingerprints[row].content {
            return Err(Error::Picture {
                path: path.to_owned(),
                problem: "its contents have changed since the data was opened; leave the files alone while they are used".into(),
            });
        }
        preparation.pixels(&contents, path)
    }
}

/// Of each channel of bytes `[h, w, c]`: their sum and the sum of their squares.
pub(super) fn moments(pixels: &[u8], channels: usize) -> Vec<[u64; 2]> {
    let of_channel = |channel: usize| {
        let bytes = || pixels[channel..].iter().step_by(channels);
        let sum: u64 = bytes().map(|&byte| u64::from(byte)).sum();
        let squares: u64 = bytes().map(|&byte| u64::from(byte).pow(2)).sum();
        [sum, squares]
    };
    (0..channels).map(of_channel).collect()
}
