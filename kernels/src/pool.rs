//! Pooling: the largest number or the mean of each window, and the way back.
use std::ops::Range;

use crate::{Cpu, DisjointMut};

/// Where the windows of a pooling lie, for a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels.
    pub output: [usize; 3],
    /// The rule that places the windows.
    pub regions: Regions,
}

/// How windows are laid over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Windows of one size at one interval.
    Sliding {
        /// Height and width.
        kernel: [usize; 2],
        /// Interval down and to the right.
        stride: [usize; 2],
        /// Rows and columns outside the map: top, left, bottom, right.
        padding: [usize; 4],
        /// Whether the mean's divisor counts the padding.
        count_padding: bool,
    },
    /// Output i of n reads rows ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉, as in PyTorch; with n = 1, the whole map.
    Adaptive,
}

/// The place of a winner within its window, row by row.
pub type Index = u16;

impl Window {
    /// The rows (axis 0) or columns (axis 1) of the map under window `i`.
    fn range(&self, axis: usize, i: usize) -> Range<usize> {
        let size = self.input[axis];
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                ..
            } => {
                let start = i * stride[axis];
                let clip = |place: usize| place.saturating_sub(padding[axis]).min(size);
                clip(start)..clip(start + kernel[axis])
            }
            Regions::Adaptive => {
                let count = self.output[axis];
                i * size / count..((i + 1) * size).div_ceil(count)
            }
        }
    }

    /// What the mean along this axis is divided by.
    fn divisor(&self, axis: usize, i: usize) -> usize {
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                count_padding: true,
            } => {
                let start = i * stride[axis];
                let end = self.input[axis] + padding[axis] + padding[axis + 2];
                (start + kernel[axis]).min(end) - start
            }
            _ => self.range(axis, i).len(),
        }
    }

    fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// Calls `body` with (place of the output pixel, rows, columns, divisor) for every window of an image.
    #[inline(always)]
    fn windows(&self, mut body: impl FnMut(usize, Range<usize>, Range<usize>, f32)) {
        for y in 0..self.output[0] {
            let (rows, height) = (self.range(0, y), self.divisor(0, y));
            for x in 0..self.output[1] {
                let divisor = (height * self.divisor(1, x)) as f32;
                body(
                    (y * self.output[1] + x) * self.output[2],
                    rows.clone(),
                    self.range(1, x),
                    divisor,
                );
            }
        }
    }

    fn check(&self, input: usize, output: usize) {
        assert_eq!(input, self.batch * self.input_len(), "length of the input");
        assert_eq!(
            output,
            self.batch * self.output_len(),
            "length of the output"
        );
        assert_eq!(self.input[2], self.output[2], "pooling keeps the channels");
    }
}

/// The largest number of each window and, in `index`, its place. The first of equal numbers wins, a NaN always, padding never; as in
/// PyTorch.
pub fn max_forward(
    cpu: &Cpu,
    window: &Window,
    input: &[f32],
    output: &mut [f32],
    index: Option<&mut [Index]>,
) {
    window.check(input.len(), output.len());
    let (length, channels) = (window.input_len(), window.input[2]);
    let mut unused = Vec::new();
    let index = index.unwrap_or_else(|| {
        unused.resize(output.len(), 0);
        &mut unused
    });
    assert_eq!(index.len(), output.len());
    let index = DisjointMut::new(index);
    let size = window.output_len();
    cpu.parallel_chunks(output, size, |n, output| {
        // SAFETY: each image writes a part of its own.
        let index = unsafe { index.slice(n * size..(n + 1) * size) };
        let input = &input[n * length..][..length];
        cpu.vectorised(|| {
            window.windows(|at, rows, columns, _| {
                let (best, winner) = (&mut output[at..][..channels], &mut index[at..][..channels]);
                best.fill(f32::NEG_INFINITY);
                winner.fill(0);
                let mut place = 0;
                for y in rows {
                    for x in columns.clone() {
                        let pixel = &input[(y * window.input[1] + x) * channels..][..channels];
                        for c in 0..channels {
                            let wins = pixel[c] > best[c] || pixel[c].is_nan();
                            best[c] = if wins { pixel[c] } else { best[c] };
                            winner[c] = if wins { place } else { winner[c] };
                        }
                        place += 1;
                    }
                }
            });
        });
    });
}

/// Hands the gradient of each window to its winner; adds to what is there where `accumulate`.
pub fn max_backward(
    cpu: &Cpu,
    window: &Window,
    index: &[Index],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    window.check(input_gradient.len(), output_gradient.len());
    let (size, channels) = (window.output_len(), window.input[2]);
    cpu.parallel_chunks(input_gradient, window.input_len(), |n, input_gradient| {
        let (index, gradient) = (
            &index[n * size..][..size],
            &output_gradient[n * size..][..size],
        );
        cpu.vectorised(|| {
            if !accumulate {
                input_gradient.fill(0.0);
            }
            window.windows(|at, rows, columns, _| {
                let (gradient, winner) = (&gradient[at..][..channels], &index[at..][..channels]);
                let mut place = 0;
                for y in rows {
                    for x in columns.clone() {
                        let pixel =
                            &mut input_gradient[(y * window.input[1] + x) * channels..][..channels];
                        for c in 0..channels {
                            pixel[c] += if winner[c] == place { gradient[c] } else { 0.0 };
                        }
                        place += 1;
                    }
                }
            });
        });
    });
}

/// The mean of each window.
pub fn average_forward(cpu: &Cpu, window: &Window, input: &[f32], output: &mut [f32]) {
    window.check(input.len(), output.len());
    let (length, channels) = (window.input_len(), window.input[2]);
    cpu.parallel_chunks(output, window.output_len(), |n, output| {
        let input = &input[n * length..][..length];
        cpu.vectorised(|| {
            window.windows(|at, rows, columns, divisor| {
                let sum = &mut output[at..][..channels];
                sum.fill(0.0);
                for y in rows {
                    for x in columns.clone() {
                        let pixel = &input[(y * window.input[1] + x) * channels..][..channels];
                        sum.iter_mut()
                            .zip(pixel)
                            .for_each(|(sum, pixel)| *sum += pixel);
                    }
                }
                sum.iter_mut().for_each(|sum| *sum /= divisor);
            });
        });
    });
}

/// Shares the gradient of each window among its pixels; adds to what is there where `accumulate`.
pub fn average_backward(
    cpu: &Cpu,
    window: &Window,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    window.check(input_gradient.len(), output_gradient.len());
    let (size, channels) = (window.output_len(), window.input[2]);
    cpu.parallel_chunks(input_gradient, window.input_len(), |n, input_gradient| {
        let gradient = &output_gradient[n * size..][..size];
        cpu.vectorised(|| {
            if !accumulate {
                input_gradient.fill(0.0);
            }
            window.windows(|at, rows, columns, divisor| {
                let gradient = &gradient[at..][..channels];
                for y in rows {
                    for x in columns.clone() {
                        let pixel =
                            &mut input_gradient[(y * window.input[1] + x) * channels..][..channels];
                        pixel
                            .iter_mut()
                            .zip(gradient)
                            .for_each(|(pixel, gradient)| *pixel += gradient / divisor);
                    }
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;

    fn window() -> impl Strategy<Value = Window> {
        let sliding = (
            1..4_usize,
            1..4_usize,
            1..4_usize,
            0..2_usize,
            any::<bool>(),
        )
            .prop_map(
                |(kernel, wide, stride, padding, count_padding)| Regions::Sliding {
                    kernel: [kernel, wide],
                    stride: [stride, stride],
                    padding: [padding.min(kernel - 1), 0, 0, padding.min(wide - 1)],
                    count_padding,
                },
            );
        let regions = prop_oneof![sliding, Just(Regions::Adaptive)];
        (1..3_usize, 3..9_usize, 3..9_usize, 1..20_usize, regions).prop_map(
            |(batch, height, width, channels, regions)| {
                let output = match regions {
                    Regions::Sliding {
                        kernel,
                        stride,
                        padding,
                        ..
                    } => [
                        (height + padding[0] + padding[2] - kernel[0]) / stride[0] + 1,
                        (width + padding[1] + padding[3] - kernel[1]) / stride[1] + 1,
                        channels,
                    ],
                    Regions::Adaptive => [2, 3, channels],
                };
                Window {
                    batch,
                    input: [height, width, channels],
                    output,
                    regions,
                }
            },
        )
    }

    fn numbers(count: usize, seed: f32) -> Vec<f32> {
        (0..count)
            .map(|i| ((i as f32 + seed) * 12.9898).sin() * 4.0)
            .collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    }

    proptest! {
        /// Windows from the definition, in f64; the way back is the adjoint of the way there.
        #[test]
        fn pooling_is_what_its_definition_says(window in window()) {
            let input = numbers(window.batch * window.input_len(), 0.0);
            let gradient = numbers(window.batch * window.output_len(), 5.0);
            let [_, width, channels] = window.input;
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                let mut largest = vec![0.0; gradient.len()];
                let mut mean = vec![0.0; gradient.len()];
                let mut index = vec![0; gradient.len()];
                max_forward(&cpu, &window, &input, &mut largest, Some(&mut index));
                average_forward(&cpu, &window, &input, &mut mean);
                for n in 0..window.batch {
                    window.windows(|at, rows, columns, divisor| for c in 0..channels {
                        let image = &input[n * window.input_len()..];
                        let values: Vec<f64> = rows.clone()
                            .flat_map(|y| columns.clone().map(move |x| (y, x)))
                            .map(|(y, x)| f64::from(image[(y * width + x) * channels + c])).collect();
                        let place = n * window.output_len() + at + c;
                        let expected = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                        assert_eq!(f64::from(largest[place]), expected);
                        let expected = values.iter().sum::<f64>() / f64::from(divisor);
                        assert!((f64::from(mean[place]) - expected).abs() < 1e-5);
                    });
                }
                let mut back = vec![0.0; input.len()];
                average_backward(&cpu, &window, &gradient, &mut back, false);
                prop_assert!((dot(&back, &input) - dot(&gradient, &mean)).abs() < 1e-3);
                max_backward(&cpu, &window, &index, &gradient, &mut back, false);
                prop_assert!((dot(&back, &input) - dot(&gradient, &largest)).abs() < 1e-3);
                let once = back.clone();
                max_backward(&cpu, &window, &index, &gradient, &mut back, true);
                prop_assert!(back.iter().zip(&once).all(|(twice, once)| (twice - 2.0 * once).abs() < 1e-4));
            }
        }
    }

    #[test]
    fn the_first_of_equals_wins_and_nan_always() {
        let regions = Regions::Sliding {
            kernel: [2, 2],
            stride: [2, 2],
            padding: [0; 4],
            count_padding: false,
        };
        let window = Window {
            batch: 1,
            input: [2, 4, 1],
            output: [1, 2, 1],
            regions,
        };
        let input = [1.0, 3.0, 0.0, f32::NAN, 3.0, 3.0, 9.0, 1.0];
        let (mut output, mut index) = ([0.0; 2], [0; 2]);
        max_forward(
            &Cpu::best(1),
            &window,
            &input,
            &mut output,
            Some(&mut index),
        );
        assert_eq!((output[0], index[0]), (3.0, 1));
        assert!(output[1].is_nan());
        assert_eq!(index[1], 1);
    }
}
