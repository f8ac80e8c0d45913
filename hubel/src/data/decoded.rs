//! Prepares pictures, decoded or not, for the network.
use std::path::Path;

use image::DynamicImage;

use crate::data::{Kind, Preparation, Prepared, picture, sound, transparency};
use crate::{Error, Result, Shape};

impl Preparation {
    /// Prepares a decoded picture (with its EXIF orientation already applied).
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the network's input has neither 1 nor 3 channels.
    pub fn decoded(&self, picture: DynamicImage) -> Result<Prepared> {
        self.check_pictures()?;
        let greyed = self.shape.channels == 1 && picture::has_colour(&picture);
        let (pixels, original) = self.opaque(picture)?;
        self.prepared(pixels, original, greyed)
    }

    /// The bytes of a picture with the network's channels, in its own size.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the network's input has neither 1 nor 3 channels.
    pub(super) fn opaque(&self, picture: DynamicImage) -> Result<(Vec<u8>, Shape)> {
        let channels = self.shape.channels;
        let behind = transparency::level_for(&picture, channels, self.transparent);
        picture::bytes(picture, channels, behind)
    }

    /// Reads the picture at `path` and prepares it; for a model of recordings a sound file, for one of clips a file or a folder of frames.
    ///
    /// # Errors
    /// [`Error::Picture`], [`Error::Recording`] or [`Error::Io`] if it cannot be read, or if the network's input has neither 1 nor 3 channels.
    pub fn picture(&self, path: &Path) -> Result<Prepared> {
        match self.medium.kind() {
            Kind::Clips => self.clip(path),
            _ => self.encoded(&picture::contents(path)?, path),
        }
    }

    /// Decodes and prepares a picture or a recording from the bytes of its file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Preparation::picture`].
    pub fn encoded(&self, bytes: &[u8], path: &Path) -> Result<Prepared> {
        match self.medium.kind() {
            #[cfg(feature = "sound")]
            Kind::Sounds => self.recording(bytes, path),
            Kind::Pictures if sound::is_named(path) && !picture::is_known(bytes) => {
                Err(Error::Recording {
                    path: path.to_owned(),
                    problem: "it is a recording, and the model was trained on pictures".into(),
                })
            }
            _ => (self.decoded(picture::decode_whole(bytes, path)?)).map_err(of_picture(path)),
        }
    }

    /// The pixels that a data set keeps of a picture, from the bytes of its file; `path` is for messages.
    pub(super) fn kept(&self, contents: &[u8], path: &Path) -> Result<Vec<u8>> {
        self.opaque(picture::decode(contents, path)?)
            .and_then(|(pixels, shape)| self.brought(pixels, shape))
            .map(|(pixels, _)| pixels)
            .map_err(of_picture(path))
    }
}

/// Adds the path of the picture to an error without one.
fn of_picture(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::DataMismatch(problem) => Error::Picture {
            path: path.to_owned(),
            problem,
        },
        other => other,
    }
}
