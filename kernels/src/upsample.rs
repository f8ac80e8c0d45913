//! Upsampling of maps by whole factors: each pixel repeated, or values between the pixels.
use crate::Cpu;
use crate::shape::map_len;

/// How a value between pixels is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// That of the pixel that covers it.
    Nearest,
    /// A mean of the nearest pixels, two on each axis, weighted by nearness. The values of a pixel lie at its centre, so beyond the outermost centres the value is
    /// that of the outermost pixel (PyTorch: `align_corners=False`).
    Bilinear,
}

/// A map and the larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsampling {
    /// Images.
    pub batch: usize,
    /// Height, width, channels of the smaller map.
    pub input: [usize; 3],
    /// How many rows and columns of the output each of the input becomes.
    pub factor: [usize; 2],
    /// How the values between are computed.
    pub interpolation: Interpolation,
}

impl Upsampling {
    /// Height, width, channels of the larger map.
    pub fn output(&self) -> [usize; 3] {
        let [height, width, channels] = self.input;
        let [down, across] = self.factor;
        [height * down, width * across, channels]
    }

    /// The rows (axis 0) or columns (axis 1) of the input that place `i` of the output reads, with their weights, which add up to 1. The second is `None` if one
    /// suffices.
    pub fn sources(&self, axis: usize, i: usize) -> (usize, f32, Option<(usize, f32)>) {
        let (factor, last) = (self.factor[axis], self.input[axis] - 1);
        if self.interpolation == Interpolation::Nearest {
            return (i / factor, 1.0, None);
        }
        // In halves of an output pixel: its centre lies at 2i + 1, that of an input pixel at factor · (2p + 1).
        let Some(beyond) = (2 * i + 1).checked_sub(factor) else {
            return (0, 1.0, None);
        };
        let (first, rest) = (beyond / (2 * factor), beyond % (2 * factor));
        if first >= last || rest == 0 {
            return (first.min(last), 1.0, None);
        }
        let weight = (rest as f64 / (2 * factor) as f64) as f32;
        (first, 1.0 - weight, Some((first + 1, weight)))
    }

    /// Values of one image, input and output.
    ///
    /// # Panics
    /// If a size or factor is 0, or if the lengths are not those of the maps.
    fn check(&self, input: usize, output: usize) -> [usize; 2] {
        assert!(!self.input.contains(&0), "a map has pixels");
        assert!(!self.factor.contains(&0), "a factor is at least 1");
        let [of_input, of_output] = [self.input, self.output()].map(|shape| {
            let length = |batch| map_len(batch, shape).expect("no slice is as long as this map");
            [length(1), length(self.batch)]
        });
        assert_eq!(input, of_input[1], "length of the input");
        assert_eq!(output, of_output[1], "length of the output");
        [of_input[0], of_output[0]]
    }

    /// Calls `body(pixel of the output, pixel of the input, weight)` for all pixels that row `y` of an image's output reads.
    fn row(&self, y: usize, mut body: impl FnMut(usize, usize, f32)) {
        let (up, weight, below) = self.sources(0, y);
        let rows = [Some((up, weight)), below];
        for x in 0..self.output()[1] {
            let (left, weight, right) = self.sources(1, x);
            let columns = [Some((left, weight)), right];
            for (row, down) in rows.into_iter().flatten() {
                for (column, across) in columns.into_iter().flatten() {
                    body(x, row * self.input[1] + column, down * across);
                }
            }
        }
    }

    /// Writes the larger map.
    ///
    /// # Panics
    /// If a size or factor is 0, or if a length is not that of its map.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        let [of_input, _] = self.check(input.len(), output.len());
        let [height, width, channels] = self.output();
        cpu.parallel_chunks(output, width * channels, |i, output| {
            let input = &input[i / height * of_input..][..of_input];
            output.fill(0.0);
            cpu.vectorised(
                #[inline(always)]
                || {
                    self.row(i % height, |to, from, weight| {
                        let source = &input[from * channels..][..channels];
                        let target = &mut output[to * channels..][..channels];
                        for (target, source) in target.iter_mut().zip(source) {
                            *target += weight * source;
                        }
                    });
                },
            );
        });
    }

    /// Writes to each pixel of `input_gradient` the sum of the weighted gradients of all that read it. `accumulate` adds it instead.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn backward(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        input_gradient: &mut [f32],
        accumulate: bool,
    ) {
        let [of_input, of_output] = self.check(input_gradient.len(), output_gradient.len());
        let [height, width, channels] = self.output();
        cpu.parallel_chunks(input_gradient, of_input, |n, target| {
            if !accumulate {
                target.fill(0.0);
            }
            let rows = output_gradient[n * of_output..][..of_output].chunks_exact(width * channels);
            cpu.vectorised(
                #[inline(always)]
                || {
                    for (y, gradient) in (0..height).zip(rows) {
                        self.row(y, |from, to, weight| {
                            let source = &gradient[from * channels..][..channels];
                            let target = &mut target[to * channels..][..channels];
                            for (target, source) in target.iter_mut().zip(source) {
                                *target += weight * source;
                            }
                        });
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;

    #[test]
    fn values_lie_at_the_centres_of_pixels() {
        let of = |factor, interpolation| {
            let upsampling = Upsampling {
                batch: 1,
                input: [1, 3, 1],
                factor: [1, factor],
                interpolation,
            };
            let mut output = vec![0.0; 3 * factor];
            upsampling.forward(&Cpu::best(1), &[0.0, 4.0, 12.0], &mut output);
            output
        };
        assert_eq!(
            of(2, Interpolation::Nearest),
            [0.0, 0.0, 4.0, 4.0, 12.0, 12.0]
        );
        assert_eq!(
            of(2, Interpolation::Bilinear),
            [0.0, 1.0, 3.0, 6.0, 10.0, 12.0]
        );
        assert_eq!(of(1, Interpolation::Bilinear), [0.0, 4.0, 12.0]);
    }

    /// The weight with which place `i` of an axis reads place `p` of `size`, by the definition.
    fn weight(interpolation: Interpolation, factor: usize, size: usize, i: usize, p: usize) -> f64 {
        match interpolation {
            Interpolation::Nearest => f64::from(u8::from(i / factor == p)),
            Interpolation::Bilinear => {
                let centre = (i as f64 + 0.5) / factor as f64 - 0.5;
                let centre = centre.clamp(0.0, (size - 1) as f64);
                (1.0 - (centre - p as f64).abs()).max(0.0)
            }
        }
    }

    fn upsamplings() -> impl Strategy<Value = Upsampling> {
        let interpolation =
            prop_oneof![Just(Interpolation::Nearest), Just(Interpolation::Bilinear)];
        let sizes = [1..5_usize, 1..5, 1..20];
        (1..3_usize, sizes, [1..5_usize, 1..4], interpolation).prop_map(
            |(batch, input, factor, interpolation)| Upsampling {
                batch,
                input,
                factor,
                interpolation,
            },
        )
    }

    proptest! {
        #[test]
        fn both_ways_are_the_definition(upsampling in upsamplings()) {
            let Upsampling { batch, input: [height, width, channels], factor: [down, across], interpolation } = upsampling;
            let [output_height, output_width, _] = upsampling.output();
            let values = |count: usize| -> Vec<f32> { (0..batch * count * channels).map(|i| (i * 7 % 23) as f32 - 9.0).collect() };
            let (input, gradient) = (values(height * width), values(output_height * output_width));
            let (mut expected, mut back) = (vec![0.0; gradient.len()], vec![0.0; input.len()]);
            for n in 0..batch {
                for (y, x) in (0..output_height).flat_map(|y| (0..output_width).map(move |x| (y, x))) {
                    for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
                        let weight = weight(interpolation, down, height, y, row) * weight(interpolation, across, width, x, column);
                        for c in 0..channels {
                            let from = ((n * height + row) * width + column) * channels + c;
                            let to = ((n * output_height + y) * output_width + x) * channels + c;
                            expected[to] += weight * f64::from(input[from]);
                            back[from] += weight * f64::from(gradient[to]);
                        }
                    }
                }
            }
            // Sums of up to 64 values of at most 13.
            let is_close = |own: &[f32], expected: &[f64], more: f64| {
                own.iter().zip(expected).all(|(own, expected)| (f64::from(*own) - expected - more).abs() < 1e-4)
            };
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                let mut output = vec![7.0; gradient.len()];
                upsampling.forward(&cpu, &input, &mut output);
                prop_assert!(is_close(&output, &expected, 0.0));
                let mut own = vec![7.0; input.len()];
                upsampling.backward(&cpu, &gradient, &mut own, false);
                prop_assert!(is_close(&own, &back, 0.0));
                let mut own = vec![1.0; input.len()];
                upsampling.backward(&cpu, &gradient, &mut own, true);
                prop_assert!(is_close(&own, &back, 1.0));
            }
        }
    }
}
