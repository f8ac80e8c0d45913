//! From a picture, decoded or not, to the network's input.
use std::path::Path;

use image::DynamicImage;

use crate::data::{Preparation, Prepared, picture, transparency};
use crate::{Error, Result, Shape};

impl Preparation {
    /// Prepares a decoded picture (with its EXIF orientation already applied).
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when the network's input is not one of pictures (1 or 3 channels).
    pub fn decoded(&self, picture: DynamicImage) -> Result<Prepared> {
        let greyed = self.shape.channels == 1 && picture::has_colour(&picture);
        let (pixels, original) = self.opaque(picture)?;
        self.prepared(pixels, original, greyed)
    }

    /// The bytes of a picture in the network's channels, in its own size.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when the network's input is not one of pictures.
    pub(super) fn opaque(&self, picture: DynamicImage) -> Result<(Vec<u8>, Shape)> {
        let channels = self.shape.channels;
        let behind = transparency::level_for(&picture, channels, self.transparent);
        picture::bytes(picture, channels, behind)
    }

    /// Reads the picture at `path` and prepares it.
    ///
    /// # Errors
    /// [`Error::Picture`] or [`Error::Io`] when it cannot be read, and when the network's input is not one of pictures.
    pub fn picture(&self, path: &Path) -> Result<Prepared> {
        self.decoded(picture::read(path)?).map_err(of_picture(path))
    }

    /// Decodes and prepares the picture whose file has these bytes; `path` is for messages.
    ///
    /// # Errors
    /// As [`Preparation::picture`].
    pub fn encoded(&self, bytes: &[u8], path: &Path) -> Result<Prepared> {
        (self.decoded(picture::decode_whole(bytes, path)?)).map_err(of_picture(path))
    }

    /// The pixels of the picture at `path`, whose contents are given: what a data set keeps.
    pub(super) fn kept(&self, contents: &[u8], path: &Path) -> Result<Vec<u8>> {
        self.opaque(picture::decode(contents, path)?)
            .and_then(|(pixels, shape)| self.brought(pixels, shape))
            .map(|(pixels, _)| pixels)
            .map_err(of_picture(path))
    }
}

/// What is wrong with the picture at `path`, where a part of the preparation did not know the path.
fn of_picture(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::DataMismatch(problem) => Error::Picture {
            path: path.to_owned(),
            problem,
        },
        other => other,
    }
}
