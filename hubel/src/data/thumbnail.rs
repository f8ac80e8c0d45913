//! Small pictures for reports.
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use crate::data::{Dataset, Feed};
use crate::film::{self, film};
use crate::{Result, Shape};

/// From this longer side on, JPEG is smaller. Below it, PNG keeps each pixel.
const JPEG_FROM: u32 = 65;

/// A small picture as a file.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Thumbnail {
    /// The picture with its longer side at most `side` pixels. `None` if it cannot be encoded.
    pub(crate) fn new(picture: DynamicImage, side: u32) -> Option<Self> {
        let small = match picture.width().max(picture.height()) > side {
            true => picture.thumbnail(side, side),
            false => picture,
        };
        let mut bytes = Vec::new();
        if small.width().max(small.height()) < JPEG_FROM {
            let small = DynamicImage::ImageRgba8(small.into_rgba8());
            small
                .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
                .ok()?;
            return Some(Self {
                media_type: "image/png",
                bytes,
            });
        }
        let small = DynamicImage::ImageRgb8(small.into_rgb8());
        small
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 80))
            .ok()?;
        Some(Self {
            media_type: "image/jpeg",
            bytes,
        })
    }
}

impl Dataset {
    /// A sample as a small picture: its pixels as this data set has them, of a clip all frames beside and below each other, with the longer side at most `side` pixels. `None` for values that are no picture of one or
    /// three channels, and for a file that can no longer be read.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn thumbnail(&self, index: usize, side: u32) -> Option<Thumbnail> {
        let pixels = self.bytes(index).ok()??;
        let (pixels, shape) = (film(&pixels, self.shape()), film::shape(self.shape()));
        Thumbnail::new(picture_of(pixels.into_owned(), shape)?, side)
    }
}

impl Feed {
    /// The image of a draw in an epoch as [`Feed::pixels`] has it, as a small picture; see [`Dataset::thumbnail`]. In epoch 0 it is not augmented.
    ///
    /// # Errors
    /// As for [`Feed::fill`].
    pub fn thumbnail(&self, epoch: usize, draw: usize, side: u32) -> Result<Option<Thumbnail>> {
        let shape = self.preparation().shape;
        let pixels = self.pixels(epoch, draw)?;
        let picture = pixels.and_then(|pixels| {
            let pixels = film(&pixels, shape).into_owned();
            picture_of(pixels, film::shape(shape))
        });
        Ok(picture.and_then(|picture| Thumbnail::new(picture, side)))
    }
}

/// The picture with these pixels, `[h, w, c]`; `None` for other than one or three channels.
pub(crate) fn picture_of(pixels: Vec<u8>, shape: Shape) -> Option<DynamicImage> {
    let (width, height) = (shape.width as u32, shape.height as u32);
    match shape.channels {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        _ => None,
    }
}
