//! Telling whether two pictures are the same one, byte for byte or as copies, and whether they look alike.
//!
//! Pictures are compared in three steps. The low frequencies of a cosine transform find candidates among a million pictures without
//! comparing all pairs; a glance at 16×16 cells tells whether two look alike; and a fit of 32×32 cells in colour tells whether one is
//! a copy of the other, since emoji of other skins, cells in other stains, and shirts of the same cut look alike. All of it is
//! computed in whole numbers, in f32 and in f64, in a fixed order, which IEEE 754 rounds in one way: every machine finds the same groups.
mod detail;
mod frequencies;
mod groups;
mod look;
mod search;
#[cfg(test)]
pub(crate) mod tests;
mod thumbnail;

use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::Shape;
use thumbnail::Thumbnail;

pub(crate) use search::Likenesses;

/// A picture with a side of fewer pixels is small.
const SMALL_SIDE: u16 = 48;

/// Whether pictures of `shape` are small, so that copies of them are harder to tell from others.
pub(crate) fn is_small(shape: Shape) -> bool {
    shape.height.min(shape.width) < usize::from(SMALL_SIDE)
}

/// What a picture is recognised by: 1.6 kB, which copies of it share.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    /// XXH3 of the file's bytes, or of a sample's pixels: the same on every machine and in every version.
    pub(crate) content: u64,
    thumbnail: Arc<Thumbnail>,
}

impl Fingerprint {
    /// The fingerprint of a picture: `content` is its file (or its pixels where there is no file) and `pixels` what was
    /// decoded from it, `[h, w, c]` of any size. One channel is grey and three are colours; of other numbers of channels
    /// the first is looked at.
    ///
    /// # Panics
    /// When `pixels` is not of `shape`, or `shape` holds nothing.
    pub(crate) fn new(content: &[u8], pixels: &[u8], shape: Shape) -> Self {
        Self {
            content: Self::content_of(content),
            thumbnail: Arc::new(Thumbnail::new(pixels, shape)),
        }
    }

    /// The hash of contents, byte for byte.
    pub(crate) fn content_of(bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot(bytes)
    }

    /// The fingerprint of what does not look like anything: numbers that are no picture.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self::new(content, &[0], Shape::new(1, 1, 1))
    }
}
