//! Layer norm (Ba, Kiros and Hinton 2016) over the channels of each pixel: `[m, c]`, where m counts the pixels of all images.
use crate::Cpu;
use crate::activation::PIECE;

/// Layer norm with its weights.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// Added to the variance.
    pub epsilon: f32,
    /// The learned factor, `[c]`.
    pub scale: &'a [f32],
    /// The learned summand, `[c]`.
    pub shift: &'a [f32],
}

impl LayerNorm<'_> {
    fn channels(&self) -> usize {
        self.scale.len()
    }

    /// # Panics
    /// If there is no channel, no value of each channel in the shift and in each pixel, or if the maps differ in length.
    fn check(&self, map: &[f32], other: &[f32]) {
        let channels = self.channels();
        assert!(channels > 0, "a map has channels");
        assert_eq!(self.shift.len(), channels, "length of the shift");
        assert!(map.len().is_multiple_of(channels), "a map has whole pixels");
        assert_eq!(map.len(), other.len(), "lengths of the maps");
    }

    /// Writes scale · (input − mean) / √(variance + epsilon) + shift, with mean and biased variance of each pixel.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        self.check(input, output);
        let piece = PIECE.div_ceil(self.channels()) * self.channels();
        cpu.parallel_chunks(output, piece, |i, output| {
            let input = input[i * piece..].chunks_exact(self.channels());
            cpu.vectorised(
                #[inline(always)]
                || {
                    for (output, input) in output.chunks_exact_mut(self.channels()).zip(input) {
                        let moments = Moments::of(input, self.epsilon);
                        let weights = self.scale.iter().zip(self.shift);
                        for ((output, input), (scale, shift)) in
                            output.iter_mut().zip(input).zip(weights)
                        {
                            *output = scale * moments.normalised(*input) + shift;
                        }
                    }
                },
            );
        });
    }

    /// Writes the gradient of the input. `accumulate` adds it instead.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn input_gradient(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        input_gradient: &mut [f32],
        accumulate: bool,
    ) {
        self.check(input, output_gradient);
        self.check(input, input_gradient);
        let piece = PIECE.div_ceil(self.channels()) * self.channels();
        cpu.parallel_chunks(input_gradient, piece, |i, target| {
            let pixels = input[i * piece..].chunks_exact(self.channels());
            let gradients = output_gradient[i * piece..].chunks_exact(self.channels());
            let targets = target.chunks_exact_mut(self.channels());
            cpu.vectorised(
                #[inline(always)]
                || {
                    for ((target, input), gradient) in targets.zip(pixels).zip(gradients) {
                        self.pixel_gradient(input, gradient, target, accumulate);
                    }
                },
            );
        });
    }

    /// With h = scale · gradient and the normalised input z, the gradient is (h − mean of h − z · mean of h·z) / √(variance + epsilon).
    #[inline(always)]
    fn pixel_gradient(&self, input: &[f32], gradient: &[f32], target: &mut [f32], add: bool) {
        let moments = Moments::of(input, self.epsilon);
        let count = input.len() as f32;
        let mean = sum(
            [gradient, self.scale],
            #[inline(always)]
            |[gradient, scale]| gradient * scale,
        ) / count;
        let product = sum(
            [input, gradient, self.scale],
            #[inline(always)]
            |[input, gradient, scale]| gradient * scale * moments.normalised(input),
        ) / count;
        let values = input.iter().zip(gradient).zip(self.scale);
        for (target, ((input, gradient), scale)) in target.iter_mut().zip(values) {
            let centred = gradient * scale - mean - moments.normalised(*input) * product;
            let before = if add { *target } else { 0.0 };
            *target = before + moments.inverse * centred;
        }
    }

    /// Writes the gradients of scale and shift: sums over all pixels, whose order does not depend on the number of threads.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn weight_gradients(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        scale_gradient: &mut [f32],
        shift_gradient: &mut [f32],
    ) {
        self.check(input, output_gradient);
        let channels = self.channels();
        let lengths = [scale_gradient.len(), shift_gradient.len()];
        assert_eq!(lengths, [channels; 2], "lengths of the gradients");
        let piece = (PIECE / channels).clamp(LEAST_PIXELS, MOST_PIXELS) * channels;
        let mut parts = vec![0.0; input.len().div_ceil(piece) * 2 * channels];
        cpu.parallel_chunks(&mut parts, 2 * channels, |i, sums| {
            let end = input.len().min((i + 1) * piece);
            let pixels = input[i * piece..end].chunks_exact(channels);
            let gradients = output_gradient[i * piece..end].chunks_exact(channels);
            let (scale_sums, shift_sums) = sums.split_at_mut(channels);
            cpu.vectorised(
                #[inline(always)]
                || {
                    for (input, gradient) in pixels.zip(gradients) {
                        let moments = Moments::of(input, self.epsilon);
                        let sums = scale_sums.iter_mut().zip(shift_sums.iter_mut());
                        for ((scale, shift), (input, gradient)) in
                            sums.zip(input.iter().zip(gradient))
                        {
                            *scale += gradient * moments.normalised(*input);
                            *shift += gradient;
                        }
                    }
                },
            );
        });
        let total = |place: usize| -> f32 {
            let parts = parts.iter().skip(place).step_by(2 * channels);
            parts.map(|sum| f64::from(*sum)).sum::<f64>() as f32
        };
        for channel in 0..channels {
            scale_gradient[channel] = total(channel);
            shift_gradient[channel] = total(channels + channel);
        }
    }
}

/// The least pixels of a part of the sums: with few, the parts would be as large as the map.
const LEAST_PIXELS: usize = 16;
/// The most pixels of a part: a longer sum in f32 would be less exact.
const MOST_PIXELS: usize = 512;

/// Mean and deviation of a pixel's values.
#[derive(Clone, Copy)]
struct Moments {
    mean: f32,
    /// 1 / √(variance + epsilon)
    inverse: f32,
}

impl Moments {
    #[inline(always)]
    fn of(pixel: &[f32], epsilon: f32) -> Self {
        let count = pixel.len() as f32;
        // Differences from the first value stay exact where all values are large and alike.
        let first = pixel[0];
        let mean = first
            + sum(
                [pixel],
                #[inline(always)]
                |[value]| value - first,
            ) / count;
        let variance = sum(
            [pixel],
            #[inline(always)]
            |[value]| (value - mean) * (value - mean),
        ) / count;
        Self {
            mean,
            inverse: 1.0 / (variance + epsilon).sqrt(),
        }
    }

    #[inline(always)]
    fn normalised(&self, value: f32) -> f32 {
        (value - self.mean) * self.inverse
    }
}

/// Sums side by side, which the compiler adds as vectors.
const SUMS: usize = 32;

/// The sum of `term` of the values at each place of the slices, which have one length. Its order is the same on all processors.
#[inline(always)]
fn sum<const N: usize>(slices: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let length = slices[0].len();
    let mut sums = [0.0; SUMS];
    for start in (0..length - length % SUMS).step_by(SUMS) {
        let blocks = slices.map(
            #[inline(always)]
            |slice| &slice[start..start + SUMS],
        );
        for (place, sum) in sums.iter_mut().enumerate() {
            *sum += term(blocks.map(
                #[inline(always)]
                |block| block[place],
            ));
        }
    }
    for place in length - length % SUMS..length {
        sums[place % SUMS] += term(slices.map(
            #[inline(always)]
            |slice| slice[place],
        ));
    }
    let mut width = SUMS;
    while width > 1 {
        width /= 2;
        for place in 0..width {
            sums[place] += sums[place + width];
        }
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    const EPSILON: f64 = 1e-3;

    /// Layer norm in f64.
    fn formula(input: &[f64], scale: &[f64], shift: &[f64]) -> Vec<f64> {
        let count = scale.len() as f64;
        let of_pixel = |pixel: &[f64]| {
            let mean = pixel.iter().sum::<f64>() / count;
            let squares = pixel.iter().map(|value| (value - mean).powi(2));
            let deviation = (squares.sum::<f64>() / count + EPSILON).sqrt();
            let normalised = pixel.iter().map(|value| (value - mean) / deviation);
            let weights = scale.iter().zip(shift);
            let scaled = normalised
                .zip(weights)
                .map(|(value, (scale, shift))| scale * value + shift);
            scaled.collect::<Vec<f64>>()
        };
        input.chunks(scale.len()).flat_map(of_pixel).collect()
    }

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|value| *value as f32).collect()
    }

    /// Values that f32 has exactly.
    fn wave(count: usize, step: f64) -> Vec<f64> {
        let value = |i: usize| f64::from((i as f64 * step).sin() as f32);
        (0..count).map(value).collect()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        for set in InstructionSet::available() {
            for (pixels, channels) in [(1, 2), (5, 33), (1100, 7), (40, 768)] {
                let input: Vec<f64> = wave(pixels * channels, 0.7371)
                    .iter()
                    .map(|value| value + 3.0)
                    .collect();
                let [scale, shift] = [0.31, 0.17].map(|step| wave(channels, step));
                let gradient = wave(input.len(), 1.13);
                let [input32, scale32, shift32, gradient32] =
                    [&input, &scale, &shift, &gradient].map(|values| single(values));
                let norm = LayerNorm {
                    epsilon: EPSILON as f32,
                    scale: &scale32,
                    shift: &shift32,
                };
                let mut first = None;
                for threads in 1..4 {
                    let cpu = Cpu::new(set, threads);
                    let [mut output, mut of_input] = [(); 2].map(|()| vec![0.0; input.len()]);
                    let [mut of_scale, mut of_shift] = [(); 2].map(|()| vec![0.0; channels]);
                    norm.forward(&cpu, &input32, &mut output);
                    norm.input_gradient(&cpu, &input32, &gradient32, &mut of_input, false);
                    norm.weight_gradients(
                        &cpu,
                        &input32,
                        &gradient32,
                        &mut of_scale,
                        &mut of_shift,
                    );
                    let all = [output, of_input, of_scale, of_shift];
                    assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "bits");
                }
                let [output, mut of_input, of_scale, of_shift] = first.unwrap();
                for (output, expected) in output.iter().zip(formula(&input, &scale, &shift)) {
                    assert!((f64::from(*output) - expected).abs() < 1e-5);
                }
                let objective = |input: &[f64], scale: &[f64], shift: &[f64]| -> f64 {
                    let output = formula(input, scale, shift);
                    output.iter().zip(&gradient).map(|(a, b)| a * b).sum()
                };
                let moved = |values: &[f64], place: usize, by: f64| {
                    let mut values = values.to_vec();
                    values[place] += by;
                    values
                };
                let step = 1e-5;
                let check = |own: f32, high: f64, low: f64| {
                    let expected = (high - low) / (2.0 * step);
                    let error = (f64::from(own) - expected).abs();
                    assert!(error < 2e-4 * (1.0 + expected.abs()), "{own} {expected}");
                };
                for place in [0, input.len() / 2, input.len() - 1] {
                    let at = |by| objective(&moved(&input, place, by), &scale, &shift);
                    check(of_input[place], at(step), at(-step));
                }
                for channel in [0, channels - 1] {
                    let at = |by| objective(&input, &moved(&scale, channel, by), &shift);
                    check(of_scale[channel], at(step), at(-step));
                    let at = |by| objective(&input, &scale, &moved(&shift, channel, by));
                    check(of_shift[channel], at(step), at(-step));
                }
                let once = of_input.clone();
                let cpu = Cpu::new(set, 2);
                norm.input_gradient(&cpu, &input32, &gradient32, &mut of_input, true);
                let mut pairs = of_input.iter().zip(&once);
                assert!(pairs.all(|(twice, once)| *twice == 2.0 * once));
            }
        }
    }

    #[test]
    fn large_values_that_are_alike_are_normalised_exactly() {
        let input: Vec<f32> = (0..768).map(|i| 4096.0 + (i % 2) as f32 / 64.0).collect();
        let ones = [1.0; 768];
        let norm = LayerNorm {
            epsilon: 1e-12,
            scale: &ones,
            shift: &[0.0; 768],
        };
        let mut output = vec![0.0; 768];
        norm.forward(&Cpu::best(1), &input, &mut output);
        for (i, value) in output.iter().enumerate() {
            let expected = (2 * (i % 2)) as f32 - 1.0;
            assert!((value - expected).abs() < 0.05, "{value}");
        }
    }

    #[test]
    #[should_panic(expected = "whole pixels")]
    fn maps_have_whole_pixels() {
        let norm = LayerNorm {
            epsilon: 1e-5,
            scale: &[1.0; 3],
            shift: &[0.0; 3],
        };
        norm.forward(&Cpu::best(1), &[0.0; 7], &mut [0.0; 7]);
    }
}
