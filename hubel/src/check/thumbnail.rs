//! What was found, to look at, listen to and read.
use std::path::Path;

use image::{DynamicImage, RgbImage};

use crate::check::Inspection;
use crate::check::examine::array_name;
use crate::data::catalogue::Found;
#[cfg(feature = "sound")]
use crate::data::sound;
use crate::data::thumbnail::{Thumbnail, picture_of};
use crate::data::{self, clip, picture, transparency};

/// Frames of a clip that are shown.
const FRAMES: usize = 4;

impl Inspection {
    /// What the samples are.
    pub fn kind(&self) -> data::Kind {
        match &self.found {
            Found::Files(catalogue) => catalogue.kind,
            Found::Arrays(splits) => splits.train.kind(),
        }
    }

    /// The file or folder of the sample that a finding calls `name`. `None` if it is no sample of this data, or has no file of its own.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match &self.found {
            Found::Files(catalogue) => {
                // A path that is not Unicode is displayed differently from its real name.
                let mut paths = catalogue.files.iter().map(|file| file.path.as_path());
                paths.find(|path| path.to_string_lossy() == name)
            }
            Found::Arrays(_) => None,
        }
    }

    /// The text that a finding calls `name`. `None` if it is no text of this data, or cannot be read.
    pub fn text(&self, name: &str) -> Option<&str> {
        let Found::Arrays(splits) = &self.found else {
            return None;
        };
        splits.parts().find_map(|(_, dataset)| {
            let is_it =
                |index: &usize| dataset.text(*index).is_some() && dataset.name_of(*index) == name;
            dataset.text((0..dataset.len()).find(is_it)?)
        })
    }

    /// The sample that a finding calls `name` as a picture, with its longer side at most `side` pixels: a picture rotated by EXIF, four frames of a clip beside
    /// and below each other, the spectrogram of a recording. `None` if it is a text or no sample of this data, or can no longer be read.
    pub fn thumbnail(&self, name: &str, side: u32) -> Option<Thumbnail> {
        let picture = match &self.found {
            Found::Files(catalogue) => {
                let path = self.path(name)?;
                match catalogue.kind {
                    // For a truncated file, the part that can be decoded.
                    data::Kind::Pictures => {
                        let picture = picture::decode(&picture::contents(path).ok()?, path).ok()?;
                        match picture.color().has_alpha() {
                            true => over(self.transparent.unwrap_or(transparency::WHITE), &picture),
                            false => picture,
                        }
                    }
                    data::Kind::Clips => clip::film_of(path, FRAMES, side / 2).ok()?,
                    #[cfg(feature = "sound")]
                    data::Kind::Sounds => sound::drawn(&picture::contents(path).ok()?, path)?,
                    _ => return None,
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
