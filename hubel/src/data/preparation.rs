//! From a picture to the numbers that a network reads: the one way for training, evaluation and prediction, kept in the model file.
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use serde::{Deserialize, Serialize};

use super::{Dataset, Ink, Pixels, Resize, resize};
use crate::{Error, Result, Shape};

/// From a picture to the numbers that a network reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// What the network reads.
    pub shape: Shape,
    /// What is done with pictures of other proportions.
    pub resize: Resize,
    /// The mean of each channel in the training images, in units of white.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel.
    pub std: Vec<f32>,
    /// For writing: how the training images show it.
    pub ink: Option<Ink>,
}

/// A picture as the network reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// `[h, w, c]`
    pub tensor: Vec<f32>,
    /// Whether light and dark were exchanged, since the network learned the other.
    pub inverted: bool,
}

/// Larger pictures are refused before memory is taken for them.
const LARGEST_SIDE: u32 = 20_000;
const LARGEST_BYTES: u64 = 1 << 30;

impl Preparation {
    /// Measures the training images; nothing else takes part.
    pub fn measure(train: &Dataset) -> Self {
        let shape = train.shape;
        let (mut sum, mut square) = (vec![0.0_f64; shape.channels], vec![0.0_f64; shape.channels]);
        let mut add = |c: usize, value: f64| {
            sum[c] += value;
            square[c] += value * value;
        };
        for row in &train.rows {
            let range = row * shape.len()..(row + 1) * shape.len();
            match &train.pixels {
                Pixels::Bytes(bytes) => {
                    let values = bytes[range].iter().map(|level| f64::from(*level) / 255.0);
                    values
                        .enumerate()
                        .for_each(|(i, value)| add(i % shape.channels, value));
                }
                Pixels::Floats(floats) => {
                    let values = floats[range].iter().map(|value| f64::from(*value));
                    values
                        .enumerate()
                        .for_each(|(i, value)| add(i % shape.channels, value));
                }
            }
        }
        let count = (train.len() * shape.height * shape.width) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
        let deviation = |c: usize| (square[c] / count - mean[c] * mean[c]).max(0.0).sqrt();
        Self {
            shape,
            resize: Resize::default(),
            // A channel that never changes is only centred.
            std: (0..shape.channels)
                .map(|c| {
                    Some(deviation(c) as f32)
                        .filter(|d| *d > 1e-6)
                        .unwrap_or(1.0)
                })
                .collect(),
            mean: mean.iter().map(|mean| *mean as f32).collect(),
            ink: Ink::measure(train),
        }
    }

    /// Prepares the picture in a file.
    ///
    /// # Errors
    /// [`Error::Picture`] if it is no picture, broken, or too large.
    pub fn picture(&self, path: &Path) -> Result<Prepared> {
        let picture = decode(path)?;
        let (from, to) = (size(&picture), (self.shape.height, self.shape.width));
        let (pixels, inverted) = match (self.shape.channels, self.ink) {
            (1, Some(ink)) => ink.bring(picture.to_luma8().into_raw(), from, to, self.resize),
            (1, None) => (
                resize::fit(&picture.to_luma8().into_raw(), from, to, 1, self.resize),
                false,
            ),
            (3, _) => (
                resize::fit_rgb(&picture.to_rgb8().into_raw(), from, to, self.resize),
                false,
            ),
            (channels, _) => {
                return Err(Error::Picture {
                    path: path.into(),
                    problem: format!("the model reads {channels} channels; pictures have 1 or 3"),
                });
            }
        };
        let mut tensor = vec![0.0; self.shape.len()];
        self.bytes(&pixels, self.shape, &mut tensor);
        Ok(Prepared { tensor, inverted })
    }

    /// Levels 0 to 255, resized where needed and normalised.
    pub(super) fn bytes(&self, bytes: &[u8], shape: Shape, output: &mut [f32]) {
        let resized;
        let bytes = if shape == self.shape {
            bytes
        } else {
            let (from, to) = (
                (shape.height, shape.width),
                (self.shape.height, self.shape.width),
            );
            resized = resize::fit(bytes, from, to, shape.channels, self.resize);
            &resized
        };
        let channels = self.shape.channels;
        for c in 0..channels {
            let (mean, std) = (self.mean[c], self.std[c]);
            let table: [f32; 256] =
                std::array::from_fn(|level| (level as f32 / 255.0 - mean) / std);
            let values = bytes.iter().skip(c).step_by(channels);
            for (output, level) in output.iter_mut().skip(c).step_by(channels).zip(values) {
                *output = table[usize::from(*level)];
            }
        }
    }

    /// The caller's own numbers, resized where needed and normalised.
    pub(super) fn floats(&self, floats: &[f32], shape: Shape, output: &mut [f32]) {
        let (from, to) = (
            (shape.height, shape.width),
            (self.shape.height, self.shape.width),
        );
        let resized = resize::fit(floats, from, to, shape.channels, self.resize);
        for (i, (output, value)) in output.iter_mut().zip(resized).enumerate() {
            let c = i % self.shape.channels;
            *output = (value - self.mean[c]) / self.std[c];
        }
    }
}

/// Reads a picture, turned as its EXIF data say.
pub(super) fn decode(path: &Path) -> Result<DynamicImage> {
    let unreadable = |source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    };
    let broken = |error: image::ImageError| Error::Picture {
        path: path.into(),
        problem: format!("{error}; PNG, JPEG, WebP, GIF, BMP and PNM are read"),
    };
    let mut reader = ImageReader::open(path)
        .map_err(unreadable)?
        .with_guessed_format()
        .map_err(unreadable)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn size(picture: &DynamicImage) -> (usize, usize) {
    (picture.height() as usize, picture.width() as usize)
}
