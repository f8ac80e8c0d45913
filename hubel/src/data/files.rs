//! Pictures in files. Pixels are kept in memory up to a given number of bytes.
use std::borrow::Cow;
use std::path::Path;

use crate::data::Preparation;
use crate::data::catalogue::File;
use crate::data::fingerprint::Fingerprint;
use crate::{Error, Result, Shape};

/// Pictures in files, converted to one shape.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<File>,
    /// How files are converted to bytes of one shape.
    preparation: Preparation,
    /// The bytes of the rows kept in memory, which are the first ones.
    kept: Vec<u8>,
    /// The sum and the sum of squares of the bytes of each row and channel.
    moments: Vec<[u64; 2]>,
    fingerprints: Vec<Fingerprint>,
    /// Whether each row's picture had another size than the shape.
    resized: Vec<bool>,
}

impl Files {
    /// Files after all have been read once. `kept` has the bytes of the first rows; for each row there are its [`moments`], its fingerprint,
    /// and whether it was resized.
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

    pub(super) fn fingerprint(&self, row: usize) -> &Fingerprint {
        &self.fingerprints[row]
    }

    pub(super) fn is_resized(&self, row: usize) -> bool {
        self.resized[row]
    }

    pub(super) fn path(&self, row: usize) -> &Path {
        &self.files[row].path
    }

    /// The sum and the sum of squares of each channel of a row.
    pub(super) fn moments(&self, row: usize) -> &[[u64; 2]] {
        let channels = self.preparation.shape.channels;
        &self.moments[row * channels..][..channels]
    }

    pub(super) fn pixels(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let length = self.preparation.shape.len();
        match self.kept.get(row * length..(row + 1) * length) {
            Some(kept) => Ok(Cow::Borrowed(kept)),
            None => Ok(Cow::Owned(self.anew(row, &self.preparation)?)),
        }
    }

    /// Reads the picture of a row again, and prepares it by `preparation`.
    ///
    /// # Errors
    /// If its file can no longer be read, or has changed.
    pub(super) fn anew(&self, row: usize, preparation: &Preparation) -> Result<Vec<u8>> {
        let path = self.path(row);
        let contents = self.files[row].contents()?;
        if Fingerprint::content_of(&contents) != self.fingerprints[row].content {
            return Err(Error::Picture {
                path: path.to_owned(),
                problem: "its contents have changed since the data was opened; do not change the files while they are used".into(),
            });
        }
        preparation.kept(&contents, path)
    }
}
