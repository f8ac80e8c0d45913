//! Rotation, translation, scaling and shearing, with a single bilinear interpolation.
use super::shift::{Border, move_window, sizes};
use super::{Picture, between};
use crate::random::Stream;

/// torchvision's `RandomAffine`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    /// Largest rotation in degrees, in either direction.
    pub(super) rotate: f32,
    /// Largest shift as a share of height and of width; the shift is a whole number of pixels.
    pub(super) translate: f32,
    /// Smallest and largest factor.
    pub(super) scale: [f32; 2],
    /// Largest shear of vertical lines in degrees, in either direction.
    pub(super) shear: f32,
    pub(super) mode: Border,
}

impl Default for Affine {
    fn default() -> Self {
        Self {
            rotate: 0.0,
            translate: 0.0,
            scale: [1.0; 2],
            shear: 0.0,
            mode: Border::Zeros,
        }
    }
}

impl Affine {
    pub(super) fn apply(self, picture: &mut Picture<'_>, stream: &mut Stream) {
        let (height, width, _) = sizes(picture);
        let mut within = |most: f32| between(stream, -most, most);
        let (angle, shear) = (within(self.rotate), within(self.shear));
        let across = within(self.translate * width as f32).round();
        let down = within(self.translate * height as f32).round();
        let scale = between(stream, self.scale[0], self.scale[1]);
        if (angle, shear, scale) == (0.0, 0.0, 1.0) {
            move_window(picture, -(down as i64), -(across as i64), self.mode);
            return;
        }
        let map = Map::of(f64::from(angle), f64::from(scale), f64::from(shear));
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        let way = [f64::from(across), f64::from(down)];
        map.about(centre, way).warp(picture, self.mode);
    }
}

/// The source position of each pixel of the result: `x' = m[0]·x + m[1]·y + m[2]`, `y' = m[3]·x + m[4]·y + m[5]`,
/// with x to the right, y down, and the middle of the first pixel at (0, 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Map(pub(super) [f64; 6]);

/// Binary places of a coordinate: steps of 2⁻³² add up exactly enough along any row.
const PLACES: u32 = 32;

impl Map {
    /// The inverse of scaling, then shearing by `shear` degrees, then rotating by `angle` degrees (clockwise), about (0, 0).
    fn of(angle: f64, scale: f64, shear: f64) -> Self {
        let (sine, cosine) = angle.to_radians().sin_cos();
        let lean = shear.to_radians().tan();
        // Forward: scale · [[cos, −sin], [sin, cos]] · [[1, −lean], [0, 1]], of determinant scale².
        let (a, b) = (cosine, -cosine * lean - sine);
        let (c, d) = (sine, -sine * lean + cosine);
        Self([d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0])
    }

    /// The same about `centre` (x, y), followed by a shift by `way`.
    fn about(self, centre: [f64; 2], way: [f64; 2]) -> Self {
        let [a, b, _, c, d, _] = self.0;
        let (x, y) = (centre[0] + way[0], centre[1] + way[1]);
        Self([
            a,
            b,
            centre[0] - a * x - b * y,
            c,
            d,
            centre[1] - c * x - d * y,
        ])
    }

    /// Transforms the picture by this map.
    pub(super) fn warp(self, picture: &mut Picture<'_>, mode: Border) {
        // With a constant number of channels, the compiler unrolls the loop over them.
        match picture.shape.channels {
            1 => self.warp_channels(picture, mode, 1),
            3 => self.warp_channels(picture, mode, 3),
            channels => self.warp_channels(picture, mode, channels),
        }
    }

    #[inline(always)]
    fn warp_channels(self, picture: &mut Picture<'_>, mode: Border, channels: usize) {
        let (height, width, _) = sizes(picture);
        let source = picture.pixels.to_vec();
        let stride = width * channels;
        let fixed = |value: f64| (value * (1u64 << PLACES) as f64).round() as i64;
        let [a, b, c, d, e, f] = self.0;
        let (step_x, step_y) = (fixed(a), fixed(d));
        for (row, line) in picture.pixels.chunks_exact_mut(stride).enumerate() {
            // Adds half of 1/256, so that truncating to 8 binary places rounds.
            let half = 1 << (PLACES - 9);
            let mut x = fixed(b * row as f64 + c).wrapping_add(half);
            let mut y = fixed(e * row as f64 + f).wrapping_add(half);
            for target in line.chunks_exact_mut(channels) {
                let (column, row) = (x >> PLACES, y >> PLACES);
                let right = (x >> (PLACES - 8)) as u32 & 255;
                let lower = (y >> (PLACES - 8)) as u32 & 255;
                let inside =
                    (column as u64) < (width as u64 - 1) && (row as u64) < (height as u64 - 1);
                if inside {
                    let start = row as usize * stride + column as usize * channels;
                    let above = &source[start..][..2 * channels];
                    let below = &source[start + stride..][..2 * channels];
                    for (channel, target) in target.iter_mut().enumerate() {
                        let corners = [
                            above[channel],
                            above[channel + channels],
                            below[channel],
                            below[channel + channels],
                        ];
                        *target = blend(corners, right, lower);
                    }
                } else {
                    let columns = [column, column + 1].map(|column| mode.pixel(column, width));
                    let rows = [row, row + 1].map(|row| mode.pixel(row, height));
                    for (channel, target) in target.iter_mut().enumerate() {
                        let level = |row: usize, column: usize| match (rows[row], columns[column]) {
                            (Some(row), Some(column)) => {
                                source[row * stride + column * channels + channel]
                            }
                            _ => 0,
                        };
                        let corners = [level(0, 0), level(0, 1), level(1, 0), level(1, 1)];
                        *target = blend(corners, right, lower);
                    }
                }
                x = x.wrapping_add(step_x);
                y = y.wrapping_add(step_y);
            }
        }
    }
}

/// Interpolates between the upper left, upper right, lower left and lower right corner, in parts of 256.
#[inline(always)]
fn blend(corners: [u8; 4], right: u32, lower: u32) -> u8 {
    let [upper_left, upper_right, lower_left, lower_right] = corners.map(u32::from);
    let upper = upper_left * (256 - right) + upper_right * right;
    let below = lower_left * (256 - right) + lower_right * right;
    ((upper * (256 - lower) + below * lower + (1 << 15)) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    /// The same in f64, directly from the definition.
    fn reference(source: &[u8], shape: Shape, map: Map, mode: Border) -> Vec<f64> {
        let [a, b, c, d, e, f] = map.0;
        let mut result = Vec::new();
        for row in 0..shape.height {
            for column in 0..shape.width {
                let (x, y) = (
                    a * column as f64 + b * row as f64 + c,
                    d * column as f64 + e * row as f64 + f,
                );
                for channel in 0..shape.channels {
                    let mut sum = 0.0;
                    for (row, weight_y) in [
                        (y.floor(), 1.0 - y + y.floor()),
                        (y.floor() + 1.0, y - y.floor()),
                    ] {
                        for (column, weight_x) in [
                            (x.floor(), 1.0 - x + x.floor()),
                            (x.floor() + 1.0, x - x.floor()),
                        ] {
                            let row = mode.pixel(row as i64, shape.height);
                            let column = mode.pixel(column as i64, shape.width);
                            if let (Some(row), Some(column)) = (row, column) {
                                let level =
                                    source[(row * shape.width + column) * shape.channels + channel];
                                sum += weight_y * weight_x * f64::from(level);
                            }
                        }
                    }
                    result.push(sum);
                }
            }
        }
        result
    }

    #[test]
    fn warping_is_bilinear_interpolation_at_the_mapped_place() {
        for (height, width, channels) in [(9, 14, 3), (17, 5, 1), (1, 1, 1), (1, 7, 3), (6, 6, 2)] {
            let shape = Shape::new(height, width, channels);
            // Smooth, so that rounding a position to 1/256 of a pixel changes a level by less than one.
            let source: Vec<u8> = (0..shape.len())
                .map(|index| {
                    let (pixel, channel) = (index / channels, index % channels);
                    (9 * (pixel / width) + 7 * (pixel % width) + 20 * channel) as u8
                })
                .collect();
            let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
            for (angle, scale, shear, way) in [
                (30.0, 1.0, 0.0, [0.0, 0.0]),
                (-75.0, 0.7, 12.0, [2.0, -1.0]),
                (180.0, 1.3, -20.0, [0.0, 3.0]),
            ] {
                let map = Map::of(angle, scale, shear).about(centre, way);
                for (_, mode) in Border::NAMES {
                    let mut pixels = source.clone();
                    map.warp(
                        &mut Picture {
                            pixels: &mut pixels,
                            shape,
                        },
                        mode,
                    );
                    let expected = reference(&source, shape, map, mode);
                    for (pixel, expected) in pixels.iter().zip(expected) {
                        // Two roundings of weights to 1/512 of up to 255 levels, and half a level.
                        assert!(
                            (f64::from(*pixel) - expected).abs() < 1.5,
                            "{pixel} for {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_quarter_turn_is_clockwise_and_exact() {
        let mut pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let shape = Shape::new(3, 3, 1);
        let map = Map::of(90.0, 1.0, 0.0).about([1.0, 1.0], [0.0, 0.0]);
        map.warp(
            &mut Picture {
                pixels: &mut pixels,
                shape,
            },
            Border::Zeros,
        );
        assert_eq!(pixels, [7, 4, 1, 8, 5, 2, 9, 6, 3]);
    }

    #[test]
    fn the_map_undoes_turning_shearing_and_scaling() {
        let Map([a, b, _, c, d, _]) = Map::of(25.0, 1.5, 10.0);
        let (sine, cosine) = 25f64.to_radians().sin_cos();
        let lean = 10f64.to_radians().tan();
        for [x, y] in [[1.0, 0.0], [0.0, 1.0], [2.0, -3.0]] {
            // Scaled, then sheared along x, then rotated, with y down.
            let (scaled_x, scaled_y) = (1.5 * x, 1.5 * y);
            let sheared = scaled_x - lean * scaled_y;
            let turned_x = cosine * sheared - sine * scaled_y;
            let turned_y = sine * sheared + cosine * scaled_y;
            assert!((a * turned_x + b * turned_y - x).abs() < 1e-12);
            assert!((c * turned_x + d * turned_y - y).abs() < 1e-12);
        }
    }
}
