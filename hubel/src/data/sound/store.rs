//! The recordings of a data set. Samples are kept in memory up to a given number of bytes.
use std::borrow::Cow;
use std::path::Path;

use super::prepare::{fitted, spectrogram};
use super::{SoundSettings, picture};
use crate::data::catalogue::File;
use crate::data::fingerprint::Fingerprint;
use crate::data::preparation::{Preparation, Stage};
use crate::{Error, Result};

/// Sound files, prepared with one set of settings.
#[derive(Debug)]
pub(in crate::data) struct Sounds {
    files: Vec<File>,
    settings: SoundSettings,
    /// The samples of the rows kept in memory, which are the first ones: mono, at the settings' rate and length.
    kept: Vec<f32>,
    /// The sum and the sum of squares of each row's spectrogram.
    moments: Vec<[f64; 2]>,
    fingerprints: Vec<Fingerprint>,
}

impl Sounds {
    /// Files after all have been read once. `kept` has the samples of the first rows; for each row there are the sums of its spectrogram and its
    /// fingerprint.
    pub(super) fn new(
        files: Vec<File>,
        settings: SoundSettings,
        kept: Vec<f32>,
        moments: Vec<[f64; 2]>,
        fingerprints: Vec<Fingerprint>,
    ) -> Self {
        Self {
            files,
            settings,
            kept,
            moments,
            fingerprints,
        }
    }

    pub(in crate::data) fn path(&self, row: usize) -> &Path {
        &self.files[row].path
    }

    pub(in crate::data) fn settings(&self) -> SoundSettings {
        self.settings
    }

    pub(in crate::data) fn fingerprint(&self, row: usize) -> &Fingerprint {
        &self.fingerprints[row]
    }

    /// The sum and the sum of squares of a row's spectrogram.
    pub(in crate::data) fn moments(&self, row: usize) -> [f64; 2] {
        self.moments[row]
    }

    /// The samples of a row with `settings`, from memory or from its file.
    ///
    /// # Errors
    /// If its file can no longer be read, or has changed.
    fn samples(&self, row: usize, settings: &SoundSettings) -> Result<Cow<'_, [f32]>> {
        let length = self.settings.length;
        let kept = self.kept.get(row * length..(row + 1) * length);
        if let Some(kept) = kept.filter(|_| *settings == self.settings) {
            return Ok(Cow::Borrowed(kept));
        }
        let (file, path) = (&self.files[row], self.path(row));
        let contents = file.contents()?;
        if Fingerprint::content_of(&contents) != self.fingerprints[row].content {
            return Err(Error::Recording {
                path: path.to_owned(),
                problem: "its contents have changed since the data was opened; do not change the files while they are used".into(),
            });
        }
        Ok(Cow::Owned(fitted(&contents, path, settings)?.samples))
    }

    /// The spectrogram of a row as a grey picture `[bands, frames, 1]`.
    ///
    /// # Errors
    /// If its file can no longer be read, or has changed.
    pub(in crate::data) fn picture(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        let samples = self.samples(row, &self.settings)?;
        let mut map = vec![0.0; self.settings.shape().len()];
        spectrogram(&samples, &self.settings, &mut map);
        Ok(picture(&map).into())
    }

    /// Writes the network's input of a row into `out`. `change` may change the samples, and then the spectrogram before normalisation.
    ///
    /// # Errors
    /// If its file can no longer be read, or has changed.
    ///
    /// # Panics
    /// If `preparation` is not one of recordings.
    pub(in crate::data) fn input(
        &self,
        row: usize,
        preparation: &Preparation,
        change: &mut dyn FnMut(Stage<'_, '_>),
        out: &mut [f32],
    ) -> Result<()> {
        let settings = preparation.medium.sound().expect("the kind was checked");
        let mut samples = self.samples(row, settings)?;
        change(Stage::Samples(&mut samples));
        spectrogram(&samples, settings, out);
        change(Stage::Spectrogram(out));
        preparation.normalise(out);
        Ok(())
    }
}
