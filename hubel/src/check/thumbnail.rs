//! Small pictures for a report.
use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

use crate::check::Inspection;
use crate::check::examine::array_name;
use crate::data::catalogue::Found;
use crate::data::{picture, transparency};

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

impl Inspection {
    /// The picture that a finding calls `name`, rotated by EXIF, with its longer side at most `side` pixels. `None` if it is
    /// no picture of this data, or can no longer be read.
    pub fn thumbnail(&self, name: &str, side: u32) -> Option<Thumbnail> {
        let picture = match &self.found {
            // For a truncated file, the part that can be decoded.
            Found::Files(catalogue) => {
                // A path that is not Unicode is displayed differently from its real name.
                let path = match Path::new(name) {
                    path if path.exists() => path,
                    _ => (catalogue.files.iter().map(|file| file.path.as_path()))
                        .find(|path| path.to_string_lossy() == name)?,
                };
                let picture = picture::decode(&picture::contents(path).ok()?, path).ok()?;
                match picture.color().has_alpha() {
                    true => over(self.transparent.unwrap_or(transparency::WHITE), &picture),
                    false => picture,
                }
            }
            Found::Arrays(splits) => {
                let (part, index) = name.split_once(':')?;
                let mut parts = splits.parts();
                let (_, dataset) = parts.find(|(known, _)| array_name(*known) == part)?;
                let index = index
                    .parse()
                    .ok()
                    .filter(|&index: &usize| index < dataset.len())?;
                let pixels = dataset.bytes(index).ok()??.into_owned();
                let shape = dataset.shape();
                let (width, height) = (shape.width as u32, shape.height as u32);
                match shape.channels {
                    1 => DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, pixels)?),
                    3 => DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, pixels)?),
                    _ => return None,
                }
            }
        };
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
            return Some(Thumbnail {
                media_type: "image/png",
                bytes,
            });
        }
        let small = DynamicImage::ImageRgb8(small.into_rgb8());
        small
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 80))
            .ok()?;
        Some(Thumbnail {
            media_type: "image/jpeg",
            bytes,
        })
    }
}

/// The picture with a level behind its transparent pixels, as a network sees it.
fn over(level: u8, picture: &DynamicImage) -> DynamicImage {
    let rgba = picture.to_rgba8();
    let opaque = RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        image::Rgb(transparency::laid_over(level, *rgba.get_pixel(x, y)))
    });
    DynamicImage::ImageRgb8(opaque)
}
