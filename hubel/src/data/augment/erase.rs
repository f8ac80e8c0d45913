//! Erasing part of a picture (Zhong and others, 2017).
use super::shift::sizes;
use super::{Picture, between};
use crate::random::Stream;

/// torchvision's `RandomErasing`, on bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Erase {
    pub(super) probability: f32,
    /// Smallest and largest share of the area.
    pub(super) scale: [f32; 2],
    /// Smallest and largest ratio of height to width.
    pub(super) ratio: [f32; 2],
    pub(super) fill: Fill,
}

/// The new values of the erased pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fill {
    /// The picture's mean of each channel: near 0 after normalisation, torchvision's usual value.
    Mean,
    /// A random level for each value.
    Random,
    /// One level.
    Level(u8),
}

impl Default for Erase {
    fn default() -> Self {
        Self {
            probability: 0.5,
            scale: [0.02, 0.33],
            ratio: [0.3, 3.3],
            fill: Fill::Mean,
        }
    }
}

/// Most attempts to draw a rectangle that fits.
const ATTEMPTS: usize = 10;

impl Erase {
    pub(super) fn apply(self, picture: &mut Picture<'_>, stream: &mut Stream) {
        if stream.uniform() >= self.probability {
            return;
        }
        let (height, width, channels) = sizes(picture);
        for _ in 0..ATTEMPTS {
            let area = (height * width) as f32 * between(stream, self.scale[0], self.scale[1]);
            let [low, high] = self.ratio.map(f32::ln);
            let ratio = between(stream, low, high).exp();
            let rows = (area * ratio).sqrt().round() as usize;
            let columns = (area / ratio).sqrt().round() as usize;
            if rows >= height || columns >= width {
                continue;
            }
            let top = stream.below(height - rows + 1);
            let left = stream.below(width - columns + 1);
            let mean = mean(picture);
            for row in top..top + rows {
                let start = (row * width + left) * channels;
                for pixel in
                    picture.pixels[start..][..columns * channels].chunks_exact_mut(channels)
                {
                    for (level, mean) in pixel.iter_mut().zip(&mean) {
                        *level = match self.fill {
                            Fill::Mean => *mean,
                            Fill::Random => stream.below(256) as u8,
                            Fill::Level(level) => level,
                        };
                    }
                }
            }
            return;
        }
    }
}

/// The mean level of each channel, rounded.
fn mean(picture: &Picture<'_>) -> Vec<u8> {
    let (height, width, channels) = sizes(picture);
    let mut sums = vec![0u64; channels];
    for pixel in picture.pixels.chunks_exact(channels) {
        for (sum, level) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(*level);
        }
    }
    let count = (height * width) as u64;
    (sums.iter())
        .map(|sum| ((sum + count / 2) / count) as u8)
        .collect()
}
