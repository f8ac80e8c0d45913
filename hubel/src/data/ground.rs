//! The plain background (ground) of pictures, if they have one.
#[cfg(feature = "pictures")]
use image::{DynamicImage, GenericImageView};
use serde::{Deserialize, Serialize};

use crate::data::grey::luma;
#[cfg(feature = "pictures")]
use crate::data::transparency::laid_over;
use crate::data::{Dataset, Sampled};
use crate::{Result, Shape};

/// The common plain background of the training pictures. Letterbox bars have its colour. Grey pictures on a background of the other
/// polarity are inverted; other pictures on another background are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// Its red, green and blue, from 0 to 255; equal for grey pictures.
    pub color: [u8; 3],
    /// The side in pixels of the square that handwriting was scaled to before it was centred by its mass
    /// (20 of 28 for MNIST); `None` if things have any position or size.
    pub ink_side: Option<usize>,
}

/// A background is dark below this level, and light above 255 minus this.
const DARK: u8 = 64;
/// A plain background has one colour in this share of the outermost pixels. 97 % of Fashion-MNIST's pictures, which touch two or
/// more borders, have it.
const OF_BORDER: f64 = 0.75;
/// The data has a background if this share of all pictures has it.
const OF_PICTURES: f64 = 0.9;
/// Colours that differ by at most this many levels per channel count as one.
const TOLERANCE: u8 = 32;
/// From this difference on, in levels of a channel, a background differs from the data's.
const OTHER: u8 = 96;

impl Ground {
    /// The background of arrays, and of pictures kept at their size; `None` if nine tenths have no common one, or if
    /// samples are no bytes.
    pub(super) fn measure(dataset: &Dataset) -> Result<Option<Self>> {
        let shape = dataset.shape();
        if ![1, 3].contains(&shape.channels) {
            return Ok(None);
        }
        let pictures = dataset.some()?;
        let rims = pictures.iter();
        let rims = rims.map(|Sampled { pixels, .. }| Rim::of(pixels, shape));
        Ok(Self::common(&rims.collect::<Vec<_>>()))
    }

    /// The common background of nine tenths of the pictures with these rims.
    pub(super) fn common(rims: &[Rim]) -> Option<Self> {
        let plain = rims.iter().filter_map(|rim| rim.0);
        let plain: Vec<[u8; 3]> = plain.collect();
        let color = median(&plain)?;
        let alike = plain.iter().filter(|rim| apart(**rim, color) <= TOLERANCE);
        (alike.count() as f64 >= OF_PICTURES * rims.len() as f64).then_some(Self {
            color,
            ink_side: None,
        })
    }

    /// Its level, for grey pictures.
    pub(super) fn level(&self) -> u8 {
        let [red, green, blue] = self.color;
        luma(red, green, blue)
    }

    /// Whether things are lighter than the background. True for a dark background, false for a light one; `None` between.
    pub fn is_dark(&self) -> Option<bool> {
        match self.level() {
            level if level < DARK => Some(true),
            level if level > 255 - DARK => Some(false),
            _ => None,
        }
    }

    /// Whether a picture has a plain background that differs from this one.
    pub(super) fn is_other(&self, rim: Rim) -> bool {
        rim.0.is_some_and(|color| apart(color, self.color) >= OTHER)
    }
}

/// The colour of most of a picture's outermost pixels, if three quarters have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rim(Option<[u8; 3]>);

impl Rim {
    /// From bytes `[h, w, c]` with one or three channels.
    pub(super) fn of(pixels: &[u8], shape: Shape) -> Self {
        let border = edge(pixels, (shape.height, shape.width), shape.channels);
        let colors = border.map(|pixel| match *pixel {
            [red, green, blue] => [red, green, blue],
            _ => [pixel[0]; 3],
        });
        Self::of_colors(&colors.collect::<Vec<_>>())
    }

    /// From a decoded picture with the level `behind` its transparent pixels.
    #[cfg(feature = "pictures")]
    pub(super) fn of_picture(picture: &DynamicImage, behind: u8) -> Self {
        let (width, height) = picture.dimensions();
        let rows = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]);
        let columns = (0..height).flat_map(|y| [(0, y), (width - 1, y)]);
        let colors = rows
            .chain(columns)
            .map(|(x, y)| laid_over(behind, picture.get_pixel(x, y)));
        Self::of_colors(&colors.collect::<Vec<_>>())
    }

    fn of_colors(border: &[[u8; 3]]) -> Self {
        let plain = median(border).filter(|color| {
            let alike = border
                .iter()
                .filter(|pixel| apart(**pixel, *color) <= TOLERANCE);
            alike.count() as f64 >= OF_BORDER * border.len() as f64
        });
        Self(plain)
    }
}

/// The largest difference of two colours in a channel.
fn apart(one: [u8; 3], other: [u8; 3]) -> u8 {
    let differences = std::iter::zip(one, other).map(|(one, other)| one.abs_diff(other));
    differences.max().unwrap_or(0)
}

/// The median of each channel; `None` without pixels.
fn median(colors: &[[u8; 3]]) -> Option<[u8; 3]> {
    let of_channel = |channel: usize| {
        let mut levels: Vec<u8> = colors.iter().map(|color| color[channel]).collect();
        let middle = levels.len() / 2;
        *levels.select_nth_unstable(middle).1
    };
    (!colors.is_empty()).then(|| [0, 1, 2].map(of_channel))
}

/// The outermost pixels of a picture `[h, w, c]` of `(height, width)`, each with its channels.
pub(super) fn edge(
    pixels: &[u8],
    (height, width): (usize, usize),
    channels: usize,
) -> impl Iterator<Item = &[u8]> {
    let row = move |row: usize| &pixels[row * width * channels..][..width * channels];
    let last = if height > 1 { row(height - 1) } else { &[] };
    let sides = (1..height.max(1) - 1).flat_map(move |y| {
        let row = row(y);
        [&row[..channels], &row[(width - 1) * channels..]]
    });
    let (first, last) = (row(0).chunks_exact(channels), last.chunks_exact(channels));
    first.chain(last).chain(sides)
}
