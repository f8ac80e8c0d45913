//! Operations that move whole pixels: flips and crops.
use std::fmt;

use super::Picture;
use crate::random::Stream;

/// The values beyond the border of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Border {
    /// Black.
    #[default]
    Zeros,
    /// The picture mirrored at its outermost pixels, without repeating them.
    Reflect,
    /// The outermost pixels, repeated.
    Replicate,
}

impl Border {
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("zeros", Self::Zeros),
        ("reflect", Self::Reflect),
        ("replicate", Self::Replicate),
    ];

    /// The pixel of `0..size` that appears at `position`; `None` for black.
    #[inline]
    pub(super) fn pixel(self, position: i64, size: usize) -> Option<usize> {
        let last = size as i64 - 1;
        match self {
            _ if (0..=last).contains(&position) => Some(position as usize),
            Self::Zeros => None,
            Self::Replicate => Some(position.clamp(0, last) as usize),
            Self::Reflect if last == 0 => Some(0),
            Self::Reflect => {
                let along = position.rem_euclid(2 * last);
                Some(along.min(2 * last - along) as usize)
            }
        }
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().find(|(_, mode)| mode == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// torchvision's `RandomCrop(size, padding, padding_mode)` to the picture's own size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crop {
    /// Pixels on each side; below 1 the share of the side, rounded to whole pixels.
    pub(super) padding: f32,
    pub(super) mode: Border,
}

impl Crop {
    pub(super) fn apply(self, picture: &mut Picture<'_>, stream: &mut Stream) {
        let mut offset = |side: usize| {
            let padding = if self.padding < 1.0 {
                (self.padding * side as f32).round()
            } else {
                self.padding
            } as usize;
            stream.below(2 * padding + 1) as i64 - padding as i64
        };
        let (down, right) = (offset(picture.shape.height), offset(picture.shape.width));
        move_window(picture, down, right, self.mode);
    }
}

/// Moves the window by `down` and `right` (negative: up and left).
pub(super) fn move_window(picture: &mut Picture<'_>, down: i64, right: i64, mode: Border) {
    if (down, right) == (0, 0) {
        return;
    }
    let (height, width, channels) = sizes(picture);
    let source = picture.pixels.to_vec();
    let stride = width * channels;
    let columns: Vec<Option<usize>> = (0..width)
        .map(|column| mode.pixel(column as i64 + right, width))
        .collect();
    // The columns that both picture and window have; they are copied as one piece.
    let shared = right.unsigned_abs().min(width as u64) as usize;
    let (from, to) = if right >= 0 { (shared, 0) } else { (0, shared) };
    let shared = width - shared;
    for (row, line) in picture.pixels.chunks_exact_mut(stride).enumerate() {
        let Some(row) = mode.pixel(row as i64 + down, height) else {
            line.fill(0);
            continue;
        };
        let source = &source[row * stride..][..stride];
        line[to * channels..][..shared * channels]
            .copy_from_slice(&source[from * channels..][..shared * channels]);
        for column in (0..to).chain(to + shared..width) {
            let target = &mut line[column * channels..][..channels];
            match columns[column] {
                Some(column) => target.copy_from_slice(&source[column * channels..][..channels]),
                None => target.fill(0),
            }
        }
    }
}

/// Exchanges left and right.
pub(super) fn flip(picture: &mut Picture<'_>) {
    let (_, width, channels) = sizes(picture);
    for line in picture.pixels.chunks_exact_mut(width * channels) {
        match channels {
            1 => line.reverse(),
            3 => line.as_chunks_mut::<3>().0.reverse(),
            _ => {
                // Reverses all values, then restores the order within each pixel.
                line.reverse();
                line.chunks_exact_mut(channels).for_each(<[u8]>::reverse);
            }
        }
    }
}

/// Exchanges top and bottom.
pub(super) fn flip_vertically(picture: &mut Picture<'_>) {
    let (height, width, channels) = sizes(picture);
    let stride = width * channels;
    let (upper, lower) = picture.pixels.split_at_mut(height / 2 * stride);
    let upper = upper.chunks_exact_mut(stride);
    for (above, below) in upper.zip(lower.chunks_exact_mut(stride).rev()) {
        above.swap_with_slice(below);
    }
}

/// Height, width and channels.
pub(super) fn sizes(picture: &Picture<'_>) -> (usize, usize, usize) {
    let shape = picture.shape;
    (shape.height, shape.width, shape.channels)
}
