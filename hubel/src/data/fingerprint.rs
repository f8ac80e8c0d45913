//! Decides whether two pictures are the same, byte for byte or as copies, and whether they look similar.
//!
//! Pictures are compared in three steps. The low frequencies of a cosine transform find candidates among a million pictures without
//! comparing all pairs. A comparison of 16×16 cells decides whether two look similar. A fit of 32×32 cells in colour decides whether one is
//! a copy of the other, since emoji with other skins, cells in other stains, and shirts of the same cut look similar. All values are
//! integers, f32 or f64, computed in a fixed order that IEEE 754 rounds in one way: every machine finds the same groups.
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

/// Whether pictures of `shape` are small, which makes copies harder to distinguish from other pictures.
pub(crate) fn is_small(shape: Shape) -> bool {
    shape.height.min(shape.width) < usize::from(SMALL_SIDE)
}

/// The features that identify a picture and its copies, 1.6 kB.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    /// XXH3 of the file's bytes, or of a sample's pixels: the same on every machine and in every version.
    pub(crate) content: u64,
    thumbnail: Arc<Thumbnail>,
}

impl Fingerprint {
    /// The fingerprint of a picture: `content` is its file (or its pixels if there is no file), and `pixels` are the decoded
    /// values, `[h, w, c]` of any size. One channel is grey and three are colours; for other numbers of channels,
    /// only the first is used.
    ///
    /// # Panics
    /// If `pixels` does not fit `shape`, or `shape` is empty.
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

    /// The fingerprint of values that are no picture, and have no appearance.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self::new(content, &[0], Shape::new(1, 1, 1))
    }
}
