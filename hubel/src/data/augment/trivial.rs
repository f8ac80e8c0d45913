//! TrivialAugment (Müller and Hutter, 2021) in its wide form: one of 14 operations with one of 31 strengths, all equally likely.
//!
//! The list and the strengths are those of torchvision's `TrivialAugmentWide`; pixels from beyond the border are black.
use super::affine::Map;
use super::shift::{Border, move_window, sizes};
use super::{Picture, colour, levels};
use crate::random::Stream;

/// One of the 14, with its strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    Identity,
    /// Shift in columns per row.
    ShearX(f64),
    /// Shift in rows per column.
    ShearY(f64),
    /// Pixels to the right.
    TranslateX(i64),
    /// Pixels down.
    TranslateY(i64),
    /// Degrees, counter-clockwise.
    Rotate(f64),
    /// Factors.
    Brightness(f32),
    Colour(f32),
    Contrast(f32),
    Sharpness(f32),
    /// Number of kept bits.
    Posterize(u32),
    /// Levels from this one on are inverted.
    Solarize(f32),
    AutoContrast,
    Equalize,
}

const OPERATIONS: usize = 14;
const STRENGTHS: usize = 31;

pub(super) fn apply(picture: &mut Picture<'_>, stream: &mut Stream) {
    let operation = stream.below(OPERATIONS);
    let strength = stream.below(STRENGTHS);
    let negative = stream.below(2) == 1;
    Choice::of(operation, strength, negative).apply(picture);
}

impl Choice {
    /// Operation number `operation` of 14 at `strength` 0 to 30. `other_sign` reverses its direction if it has one.
    pub(super) fn of(operation: usize, strength: usize, negative: bool) -> Self {
        let part = strength as f64 / (STRENGTHS - 1) as f64;
        let signed = |most: f64| if negative { -most * part } else { most * part };
        let factor = 1.0 + signed(0.99) as f32;
        match operation {
            0 => Self::Identity,
            1 => Self::ShearX(signed(0.99)),
            2 => Self::ShearY(signed(0.99)),
            3 => Self::TranslateX(signed(32.0) as i64),
            4 => Self::TranslateY(signed(32.0) as i64),
            5 => Self::Rotate(signed(135.0)),
            6 => Self::Brightness(factor),
            7 => Self::Colour(factor),
            8 => Self::Contrast(factor),
            9 => Self::Sharpness(factor),
            // From 8 bits down to 2, one bit per 5 strengths.
            10 => Self::Posterize(8 - (strength as f64 / 5.0).round_ties_even() as u32),
            11 => Self::Solarize((255.0 * (1.0 - part)) as f32),
            12 => Self::AutoContrast,
            _ => Self::Equalize,
        }
    }

    pub(super) fn apply(self, picture: &mut Picture<'_>) {
        let (height, width, _) = sizes(picture);
        match self {
            Self::ShearX(0.0) | Self::ShearY(0.0) | Self::Rotate(0.0) | Self::Identity => {}
            // About the upper left corner of the picture, half a pixel from the middle of the first pixel.
            Self::ShearX(shear) => {
                Map([1.0, shear, 0.5 * shear, 0.0, 1.0, 0.0]).warp(picture, Border::Zeros);
            }
            Self::ShearY(shear) => {
                Map([1.0, 0.0, 0.0, shear, 1.0, 0.5 * shear]).warp(picture, Border::Zeros);
            }
            Self::TranslateX(pixels) => move_window(picture, 0, -pixels, Border::Zeros),
            Self::TranslateY(pixels) => move_window(picture, -pixels, 0, Border::Zeros),
            Self::Rotate(degrees) => {
                let (sine, cosine) = degrees.to_radians().sin_cos();
                let (x, y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
                let map = [
                    cosine,
                    -sine,
                    x - cosine * x + sine * y,
                    sine,
                    cosine,
                    y - sine * x - cosine * y,
                ];
                Map(map).warp(picture, Border::Zeros);
            }
            Self::Brightness(factor) => levels::brightness(picture, factor),
            Self::Colour(factor) => colour::saturation(picture, factor),
            Self::Contrast(factor) => levels::contrast(picture, factor),
            Self::Sharpness(factor) => colour::sharpness(picture, factor),
            Self::Posterize(bits) => levels::posterize(picture, bits),
            Self::Solarize(threshold) => levels::solarize(picture, threshold),
            Self::AutoContrast => levels::autocontrast(picture),
            Self::Equalize => levels::equalize(picture),
        }
    }
}
