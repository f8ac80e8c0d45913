//! The level behind transparent pixels: one for all pictures of a data set, chosen so that each picture stays visible.
use image::{DynamicImage, Rgba};

use crate::data::catalogue::thousands;
use crate::data::grey::luma;

/// The possible levels behind transparent pixels, in order of preference: white, black, and grey for mixed drawings in white and black.
pub(crate) const LEVELS: [u8; 3] = [WHITE, 0, 128];

/// White paper.
pub(crate) const WHITE: u8 = 255;

/// A picture is lost over a level if less than this share of its best contrast is left. Grey leaves half of
/// the contrast of black and white drawings.
const LOST: f64 = 0.25;

/// The contrast of a transparent picture over each of [`LEVELS`]: the standard deviation of its pixels; for colour, the root of the sum of
/// the channels' variances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Contrast([f64; 3]);

impl Contrast {
    /// For a picture with this number of channels; `None` if no pixel is transparent.
    pub(crate) fn of(picture: &DynamicImage, channels: usize) -> Option<Self> {
        if !picture.color().has_alpha() {
            return None;
        }
        let rgba = picture.to_rgba8();
        if rgba.pixels().all(|pixel| pixel.0[3] == 255) {
            return None;
        }
        let over = |behind: u8| {
            let (mut sums, mut squares) = ([0u64; 3], [0u64; 3]);
            for &pixel in rgba.pixels() {
                let mut color = laid_over(behind, pixel);
                if channels == 1 {
                    color = [luma(color[0], color[1], color[2]), 0, 0];
                }
                for (channel, level) in color.into_iter().enumerate() {
                    sums[channel] += u64::from(level);
                    squares[channel] += u64::from(level).pow(2);
                }
            }
            let count = f64::from(rgba.width()) * f64::from(rgba.height());
            let variances = std::iter::zip(sums, squares)
                .map(|(sum, squares)| squares as f64 / count - (sum as f64 / count).powi(2));
            variances.sum::<f64>().max(0.0).sqrt()
        };
        Some(Self(LEVELS.map(over)))
    }

    /// The level over which this single picture is not lost.
    pub(crate) fn level(&self) -> u8 {
        let place = (0..LEVELS.len()).find(|&place| !self.is_lost(place));
        LEVELS[place.unwrap_or(0)]
    }

    fn is_lost(&self, place: usize) -> bool {
        let best = self.0.iter().copied().fold(0.0, f64::max);
        self.0[place] < LOST * best
    }
}

/// The level over which the fewest of these pictures are lost; the first of [`LEVELS`] if there are several. `None` without pictures.
pub(crate) fn best_level<'a>(pictures: impl Iterator<Item = &'a Contrast>) -> Option<u8> {
    let mut lost = [0usize; LEVELS.len()];
    let mut any = false;
    for contrast in pictures {
        any = true;
        for (place, lost) in lost.iter_mut().enumerate() {
            *lost += usize::from(contrast.is_lost(place));
        }
    }
    let best = (0..LEVELS.len()).min_by_key(|&place| lost[place])?;
    any.then_some(LEVELS[best])
}

/// The level for a picture: that of the data, or the best one for this picture if the data had no transparent pictures.
pub(crate) fn level_for(picture: &DynamicImage, channels: usize, of_data: Option<u8>) -> u8 {
    let own = || Contrast::of(picture, channels).map(|contrast| contrast.level());
    of_data.or_else(own).unwrap_or(WHITE)
}

/// The colour of a pixel with this level behind it.
pub(crate) fn laid_over(behind: u8, pixel: Rgba<u8>) -> [u8; 3] {
    let [red, green, blue, alpha] = pixel.0.map(u32::from);
    [red, green, blue]
        .map(|level| ((level * alpha + u32::from(behind) * (255 - alpha) + 127) / 255) as u8)
}

/// A note on this number of transparent pictures, which get this level.
pub(crate) fn note(count: usize, level: u8) -> Option<String> {
    let name = match level {
        0 => "black",
        255 => "white",
        _ => "grey",
    };
    let transparent = match count {
        1 => "1 picture has transparent pixels, which show".to_owned(),
        _ => format!(
            "{} pictures have transparent pixels, which show",
            thousands(count)
        ),
    };
    (count > 0).then(|| format!("{transparent} {name}, here and in prediction"))
}
