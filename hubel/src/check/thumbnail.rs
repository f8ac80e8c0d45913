//! Small pictures of what was found.
use std::path::Path;

use image::{DynamicImage, RgbImage};

use crate::check::Inspection;
use crate::check::examine::array_name;
use crate::data::catalogue::Found;
use crate::data::thumbnail::{Thumbnail, picture_of};
use crate::data::{picture, transparency};

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
                picture_of(pixels, dataset.shape())?
            }
        };
        Thumbnail::new(picture, side)
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
