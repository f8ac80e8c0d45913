//! Resizes pixels `[h, w, c]` to another height and width, with antialiasing.
use std::fmt;
use std::str::FromStr;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How to fit a picture whose aspect ratio differs from the network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Keeps the aspect ratio and shows the whole picture, with bars in the background's colour (black if there is none).
    #[default]
    Letterbox,
    /// Keeps the aspect ratio and shows the middle of the picture.
    Crop,
    /// Shows the whole picture and changes the aspect ratio.
    Stretch,
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Letterbox => "letterbox",
            Self::Crop => "crop",
            Self::Stretch => "stretch",
        })
    }
}

impl FromStr for Resize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Letterbox, Self::Crop, Self::Stretch]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| {
                Error::DataMismatch(format!(
                    "`{text}` is no resize mode; the modes are letterbox, crop and stretch"
                ))
            })
    }
}

/// The type of a pixel's values.
pub(super) trait Value: Copy {
    /// One channel in the resizer's form.
    type Plane: PixelTrait;
    fn wrap(self) -> Self::Plane;
    fn unwrap(plane: Self::Plane) -> Self;
}

impl Value for u8 {
    type Plane = U8;
    fn wrap(self) -> U8 {
        U8::new(self)
    }
    fn unwrap(plane: U8) -> u8 {
        plane.0
    }
}

impl Value for f32 {
    type Plane = F32;
    fn wrap(self) -> F32 {
        F32::new(self)
    }
    fn unwrap(plane: F32) -> f32 {
        plane.0
    }
}

/// Fits `pixels` `[from.0, from.1, channels]` into `[to.0, to.1, channels]`, with bars of the colour `bars` beside a letterboxed picture.
/// Returns the same pixels if the sizes are equal.
pub(super) fn fit<V: Value>(
    pixels: &[V],
    from: (usize, usize),
    to: (usize, usize),
    bars: &[V],
    policy: Resize,
) -> Vec<V> {
    if from == to {
        return pixels.to_vec();
    }
    let channels = bars.len();
    let mut result = bars.repeat(to.0 * to.1);
    let ((height, width), source) = match policy {
        Resize::Stretch => (to, whole(from)),
        Resize::Crop => (to, middle(from, to)),
        Resize::Letterbox => (inside(from, to), whole(from)),
    };
    let (top, left) = ((to.0 - height) / 2, (to.1 - width) / 2);
    for channel in 0..channels {
        let plane: Vec<V::Plane> = pixels
            .iter()
            .skip(channel)
            .step_by(channels)
            .map(|value| value.wrap())
            .collect();
        let plane = scale(&plane, from, source, (height, width));
        for (row, line) in plane.chunks_exact(width).enumerate() {
            for (column, &value) in line.iter().enumerate() {
                result[((top + row) * to.1 + left + column) * channels + channel] =
                    V::unwrap(value);
            }
        }
    }
    result
}

/// As [`fit`] for three channels of bytes, the common case of large pictures, in one pass.
pub(super) fn fit_rgb(
    pixels: &[u8],
    from: (usize, usize),
    to: (usize, usize),
    bars: [u8; 3],
    policy: Resize,
) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let ((height, width), source) = match policy {
        Resize::Stretch => (to, whole(from)),
        Resize::Crop => (to, middle(from, to)),
        Resize::Letterbox => (inside(from, to), whole(from)),
    };
    let (top, left) = ((to.0 - height) / 2, (to.1 - width) / 2);
    let view = TypedImageRef::<U8x3>::from_buffer(from.1 as u32, from.0 as u32, pixels)
        .expect("three bytes for each pixel");
    let scaled = scale_view(&view, source, (height, width));
    let mut result = bars.repeat(to.0 * to.1);
    for (row, line) in scaled.pixels().chunks_exact(width).enumerate() {
        let start = ((top + row) * to.1 + left) * 3;
        for (target, pixel) in result[start..].chunks_exact_mut(3).zip(line) {
            target.copy_from_slice(&pixel.0);
        }
    }
    result
}

fn scale<P: PixelTrait>(
    plane: &[P],
    from: (usize, usize),
    source: CropBox,
    to: (usize, usize),
) -> Vec<P> {
    let view = TypedImageRef::new(from.1 as u32, from.0 as u32, plane)
        .expect("a plane has height × width values");
    scale_view(&view, source, to).pixels().to_vec()
}

/// Bilinear with antialiasing: the triangle filter, widened by the reduction factor, as in Pillow and torchvision.
fn scale_view<P: PixelTrait>(
    view: &TypedImageRef<'_, P>,
    source: CropBox,
    to: (usize, usize),
) -> TypedImage<'static, P> {
    let mut scaled = TypedImage::<P>::new(to.1 as u32, to.0 as u32);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(source.left, source.top, source.width, source.height)
        .use_alpha(false);
    Resizer::new()
        .resize_typed(view, &mut scaled, &options)
        .expect("the source box lies inside the picture");
    scaled
}

fn whole(from: (usize, usize)) -> CropBox {
    CropBox {
        left: 0.0,
        top: 0.0,
        width: from.1 as f64,
        height: from.0 as f64,
    }
}

fn middle(from: (usize, usize), to: (usize, usize)) -> CropBox {
    CropBox::fit_src_into_dst_size(
        from.1 as u32,
        from.0 as u32,
        to.1 as u32,
        to.0 as u32,
        Some((0.5, 0.5)),
    )
}

/// The largest size with the aspect ratio of `from` that fits into `to`, at least 1×1.
pub(super) fn inside(from: (usize, usize), to: (usize, usize)) -> (usize, usize) {
    let scale = (to.0 as f64 / from.0 as f64).min(to.1 as f64 / from.1 as f64);
    let side = |side: usize, limit: usize| ((side as f64 * scale).round() as usize).clamp(1, limit);
    (side(from.0, to.0), side(from.1, to.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letterbox_keeps_everything_crop_the_middle_stretch_the_whole() {
        // 2 rows, 4 columns; the outer columns bright.
        let pixels = [200u8, 100, 100, 200, 200, 100, 100, 200];
        let fitted = |policy| fit(&pixels, (2, 4), (4, 4), &[7], policy);
        let letterbox = fitted(Resize::Letterbox);
        assert_eq!(&letterbox[..4], &[7; 4]);
        assert_eq!(&letterbox[4..12], &pixels);
        assert_eq!(&letterbox[12..], &[7; 4]);
        // The filter reaches a quarter of a pixel beyond the cut.
        assert!(fitted(Resize::Crop).iter().all(|&value| value <= 125));
        assert_eq!(&fitted(Resize::Stretch)[..4], &pixels[..4]);
    }

    #[test]
    fn three_channels_at_once_equal_three_planes() {
        let pixels: Vec<u8> = (0..37 * 23 * 3)
            .map(|index| (index * 7919 % 251) as u8)
            .collect();
        for policy in [Resize::Letterbox, Resize::Crop, Resize::Stretch] {
            assert_eq!(
                fit(&pixels, (37, 23), (16, 20), &[9, 8, 7], policy),
                fit_rgb(&pixels, (37, 23), (16, 20), [9, 8, 7], policy)
            );
        }
    }

    #[test]
    fn names_parse_back() {
        for policy in [Resize::Letterbox, Resize::Crop, Resize::Stretch] {
            assert_eq!(policy.to_string().parse::<Resize>().unwrap(), policy);
        }
        assert!("squash".parse::<Resize>().is_err());
    }
}
