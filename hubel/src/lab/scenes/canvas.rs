//! Coloured polygons on a small picture, and the camera that takes it.
use super::between;
use crate::random::Stream;

/// Red, green and blue from 0 to 255.
pub(super) type Colour = [f32; 3];

/// Samples per pixel in each direction.
const SAMPLES: usize = 3;
/// Corners of the polygon that approximates an ellipse.
const CORNERS: usize = 16;

/// A picture that is being drawn.
pub(super) struct Canvas {
    /// In pixels.
    side: usize,
    /// The colours at the samples, row by row.
    samples: Vec<Colour>,
}

/// Maps coordinates of a thing to those of the picture. A thing is about 2 wide, from -1 to 1; its y axis points up from the ground.
#[derive(Clone, Copy)]
pub(super) struct View {
    /// Position of the thing's origin: pixels from the left and from the top.
    pub(super) at: [f32; 2],
    /// Pixels per unit of the thing.
    pub(super) size: f32,
    /// Whether the thing is mirrored.
    pub(super) mirrored: bool,
    /// Rotation around its origin, in radians.
    pub(super) tilt: f32,
}

impl View {
    /// The picture itself: x from 0 to the right in pixels, y from 0 down.
    fn place(self, [x, y]: [f32; 2]) -> [f32; 2] {
        let x = if self.mirrored { -x } else { x };
        let (sine, cosine) = self.tilt.sin_cos();
        [
            self.at[0] + self.size * (x * cosine - y * sine),
            self.at[1] - self.size * (x * sine + y * cosine),
        ]
    }
}

impl Canvas {
    pub(super) fn new(side: usize) -> Self {
        Self {
            side,
            samples: vec![[0.0; 3]; (side * SAMPLES).pow(2)],
        }
    }

    /// In pixels.
    pub(super) fn side(&self) -> f32 {
        self.side as f32
    }

    /// Fills each row with a colour, given its distance from the top in pixels.
    pub(super) fn rows(&mut self, colour: impl Fn(f32) -> Colour) {
        let length = self.side * SAMPLES;
        for (row, samples) in self.samples.chunks_exact_mut(length).enumerate() {
            samples.fill(colour((row as f32 + 0.5) / SAMPLES as f32));
        }
    }

    /// Fills a polygon given in pixels from the left and the top, by the even-odd rule.
    pub(super) fn fill(&mut self, corners: &[[f32; 2]], colour: Colour) {
        let length = self.side * SAMPLES;
        let scaled: Vec<[f32; 2]> = corners
            .iter()
            .map(|at| at.map(|x| x * SAMPLES as f32))
            .collect();
        let (top, bottom) = scaled
            .iter()
            .fold((f32::MAX, f32::MIN), |(top, bottom), at| {
                (top.min(at[1]), bottom.max(at[1]))
            });
        let sample = |place: f32| (place.max(0.0).ceil() as usize).min(length);
        for row in sample(top - 0.5)..sample(bottom - 0.5) {
            let y = row as f32 + 0.5;
            let ends = scaled.iter().zip(scaled.iter().cycle().skip(1));
            let crossing = ends.filter(|(from, to)| (from[1] > y) != (to[1] > y));
            let mut columns: Vec<f32> = crossing
                .map(|(from, to)| from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0]))
                .collect();
            columns.sort_by(f32::total_cmp);
            for ends in columns.chunks_exact(2) {
                let [left, right] = [ends[0], ends[1]].map(|column| sample(column - 0.5));
                self.samples[row * length + left..row * length + right].fill(colour);
            }
        }
    }

    /// Fills a polygon of a thing.
    pub(super) fn polygon(&mut self, view: View, corners: &[[f32; 2]], colour: Colour) {
        let corners: Vec<[f32; 2]> = corners.iter().map(|at| view.place(*at)).collect();
        self.fill(&corners, colour);
    }

    /// Fills a rectangle of a thing from its lower left to its upper right corner.
    pub(super) fn box_of(&mut self, view: View, low: [f32; 2], high: [f32; 2], colour: Colour) {
        let corners = [low, [high[0], low[1]], high, [low[0], high[1]]];
        self.polygon(view, &corners, colour);
    }

    /// Fills an ellipse of a thing.
    pub(super) fn ellipse(&mut self, view: View, at: [f32; 2], radii: [f32; 2], colour: Colour) {
        let corners: Vec<[f32; 2]> = (0..CORNERS)
            .map(|corner| {
                let angle = std::f32::consts::TAU * corner as f32 / CORNERS as f32;
                [
                    at[0] + radii[0] * angle.cos(),
                    at[1] + radii[1] * angle.sin(),
                ]
            })
            .collect();
        self.polygon(view, &corners, colour);
    }

    /// The picture with a brightness and noise, as a camera would take it. `[h, w, 3]`
    pub(super) fn photograph(&self, random: &mut Stream) -> Vec<u8> {
        let brightness = between(random, 0.72, 1.12);
        let light = [0; 3].map(|_| brightness * between(random, 0.94, 1.06));
        let noise = between(random, 2.0, 9.0);
        let length = self.side * SAMPLES;
        let mut bytes = Vec::with_capacity(self.side * self.side * 3);
        for row in 0..self.side {
            for column in 0..self.side {
                let mut sum = [0.0; 3];
                for line in row * SAMPLES..(row + 1) * SAMPLES {
                    let samples = &self.samples[line * length + column * SAMPLES..][..SAMPLES];
                    for sample in samples {
                        sum = [0, 1, 2].map(|channel| sum[channel] + sample[channel]);
                    }
                }
                for channel in 0..3 {
                    let level = light[channel] * sum[channel] / (SAMPLES * SAMPLES) as f32;
                    bytes.push((level + noise * random.normal()).round().clamp(0.0, 255.0) as u8);
                }
            }
        }
        bytes
    }
}
