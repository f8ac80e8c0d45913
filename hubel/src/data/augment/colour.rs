//! Changes of brightness and colour.
use super::shift::sizes;
use super::{Picture, between, levels};
use crate::random::Stream;

/// torchvision's `ColorJitter`: changes brightness, contrast, saturation and hue in a random order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Jitter {
    /// The factor is 1 ± this, at least 0.
    pub(super) brightness: f32,
    /// As for brightness.
    pub(super) contrast: f32,
    /// As for brightness.
    pub(super) saturation: f32,
    /// Largest hue rotation in either direction, in full circles.
    pub(super) hue: f32,
}

impl Jitter {
    pub(super) fn apply(self, picture: &mut Picture<'_>, stream: &mut Stream) {
        let mut order = [0, 1, 2, 3];
        stream.shuffle(&mut order);
        let mut factor = |most: f32| between(stream, (1.0 - most).max(0.0), 1.0 + most);
        let brightness = factor(self.brightness);
        let contrast = factor(self.contrast);
        let saturate = factor(self.saturation);
        let turn = between(stream, -self.hue, self.hue);
        for operation in order {
            match operation {
                0 => levels::brightness(picture, brightness),
                1 => levels::contrast(picture, contrast),
                2 => saturation(picture, saturate),
                _ => hue(picture, turn),
            }
        }
    }
}

/// Multiplies each pixel's distance from its own grey by `factor`.
pub(super) fn saturation(picture: &mut Picture<'_>, factor: f32) {
    if picture.shape.channels != 3 || factor == 1.0 {
        return;
    }
    for pixel in picture.pixels.as_chunks_mut().0 {
        let grey = f32::from(levels::grey(*pixel));
        *pixel = pixel.map(|level| (grey + factor * (f32::from(level) - grey) + 0.5) as u8);
    }
}

/// Rotates the hue (of hue, saturation and value) by this many full circles.
pub(super) fn hue(picture: &mut Picture<'_>, turn: f32) {
    if picture.shape.channels != 3 || turn == 0.0 {
        return;
    }
    let turn = 6.0 * turn.rem_euclid(1.0);
    for pixel in picture.pixels.as_chunks_mut().0 {
        *pixel = turned(*pixel, turn);
    }
}

/// One colour with its hue rotated by 0 to 6 sixths of a circle.
#[inline(always)]
fn turned(pixel: [u8; 3], turn: f32) -> [u8; 3] {
    let [red, green, blue] = pixel.map(f32::from);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let range = most - least;
    if range == 0.0 {
        return pixel;
    }
    // Sixths of a circle from red, through green at 2 and blue at 4.
    let hue = if most == red {
        (green - blue) / range
    } else if most == green {
        2.0 + (blue - red) / range
    } else {
        4.0 + (red - green) / range
    };
    // Adds 6, since the hue of purple reds is negative.
    let hue = hue + turn + 6.0;
    // How far each channel is below the largest: 0 within a sixth of its own hue, the full range from two sixths on.
    [5.0, 3.0, 1.0].map(|own| {
        let around = own + hue;
        let around = around - 6.0 * (around * (1.0 / 6.0)).floor();
        let below = around.min(4.0 - around).clamp(0.0, 1.0);
        (most - range * below + 0.5) as u8
    })
}

/// Blends the picture with a smoothed one. A `factor` above 1 sharpens, below 1 smooths. The outermost pixels do not change.
pub(super) fn sharpness(picture: &mut Picture<'_>, factor: f32) {
    let (height, width, channels) = sizes(picture);
    if height < 3 || width < 3 || factor == 1.0 {
        return;
    }
    let source = picture.pixels.to_vec();
    let stride = width * channels;
    for row in 1..height - 1 {
        let inner = stride - 2 * channels;
        let around = |down: usize, right: usize| {
            &source[(row + down - 1) * stride + right * channels..][..inner]
        };
        let (a, b, c) = (around(0, 0), around(0, 1), around(0, 2));
        let (d, e, f) = (around(1, 0), around(1, 1), around(1, 2));
        let (g, h, i) = (around(2, 0), around(2, 1), around(2, 2));
        let line = &mut picture.pixels[row * stride + channels..][..inner];
        for (place, target) in line.iter_mut().enumerate() {
            let ring = [a, b, c, d, f, g, h, i].map(|neighbours| u16::from(neighbours[place]));
            let own = f32::from(e[place]);
            let sum = ring.iter().sum::<u16>() + 5 * u16::from(e[place]);
            let smooth = (f32::from(sum) * (1.0 / 13.0) + 0.5).floor();
            *target = (smooth + factor * (own - smooth) + 0.5) as u8;
        }
    }
}
