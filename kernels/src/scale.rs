//! One factor and perhaps one summand for each channel: weight · x + bias, over rows of channels `[m, c]`, where m counts the pixels of all images.
use crate::Cpu;
use crate::activation::Activation;
use crate::batch_norm::normalise;
use crate::batch_norm::passes::{GradientSums, RowLayout};
use crate::multiply::Product;

/// The weights of the channels.
#[derive(Clone, Copy, Debug)]
pub struct Scale<'a> {
    /// The factors, `[c]`.
    pub weight: &'a [f32],
    /// The summands, `[c]`.
    pub bias: Option<&'a [f32]>,
}

impl Scale<'_> {
    /// All pixels share the factors.
    fn product(&self, map: &[f32]) -> Product {
        let channels = self.weight.len();
        assert!(channels > 0, "a map has channels");
        assert!(map.len().is_multiple_of(channels), "a map has whole pixels");
        Product {
            pixels: map.len() / channels,
            channels,
        }
    }

    /// Writes weight · input + bias.
    ///
    /// # Panics
    /// If there is no pixel or channel, or if a length is not that of the map or of the channels.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        match self.bias {
            Some(bias) => {
                let none = Activation::Identity;
                normalise(cpu, input, self.weight, bias, None, none, output);
            }
            None => (self.product(input)).apply(cpu, input, self.weight, output, false),
        }
    }

    /// Writes the gradient of the input. `accumulate` adds it instead.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn input_gradient(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        input_gradient: &mut [f32],
        accumulate: bool,
    ) {
        let product = self.product(output_gradient);
        product.apply(
            cpu,
            output_gradient,
            self.weight,
            input_gradient,
            accumulate,
        );
    }
}

/// Floats of scratch memory of [`weight_gradients`] for a map of `length` values.
///
/// # Panics
/// If there is no channel.
pub fn scratch_len(length: usize, channels: usize) -> usize {
    let layout = RowLayout::new(channels);
    (length.div_ceil(layout.piece()) * 2 + 1) * layout.width
}

/// Writes the gradients of the factors and, if there are any, of the summands: sums over all pixels, whose order does not depend on the number of threads.
///
/// # Panics
/// If there is no channel, or if a length is not that of the map, of the channels or of the [scratch memory](scratch_len).
pub fn weight_gradients(
    cpu: &Cpu,
    input: &[f32],
    output_gradient: &[f32],
    scratch: &mut [f32],
    weight_gradient: &mut [f32],
    bias_gradient: Option<&mut [f32]>,
) {
    let channels = weight_gradient.len();
    assert!(channels > 0, "a map has channels");
    assert!(
        input.len().is_multiple_of(channels),
        "a map has whole pixels"
    );
    assert_eq!(input.len(), output_gradient.len(), "lengths of the maps");
    let expected = scratch_len(input.len(), channels);
    assert_eq!(scratch.len(), expected, "scratch memory");
    let layout = RowLayout::new(channels);
    let (zeros, sums) = scratch.split_at_mut(layout.width);
    zeros.fill(0.0);
    let piece = layout.piece();
    cpu.parallel_chunks(sums, 2 * layout.width, |i, sums| {
        let range = i * piece..input.len().min((i + 1) * piece);
        let (sum, product) = sums.split_at_mut(layout.width);
        cpu.dispatch(GradientSums {
            input: &input[range.clone()],
            gradient: &output_gradient[range],
            origin: zeros,
            sum,
            product,
        });
    });
    let write = |gradient: &mut [f32], k: usize| {
        assert_eq!(gradient.len(), channels, "length of a gradient");
        for (c, gradient) in gradient.iter_mut().enumerate() {
            let parts = sums.chunks_exact(2 * layout.width);
            let totals = parts.map(|part| layout.total(&part[k * layout.width..], c));
            *gradient = totals.sum::<f64>() as f32;
        }
    };
    write(weight_gradient, 1);
    if let Some(bias_gradient) = bias_gradient {
        write(bias_gradient, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    fn wave(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin() + 0.3).collect()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        for set in InstructionSet::available() {
            for (pixels, channels) in [(1, 1), (5, 3), (30_000, 7), (40, 768)] {
                let (input, gradient) =
                    (wave(pixels * channels, 0.7), wave(pixels * channels, 1.1));
                let (weight, bias) = (wave(channels, 0.3), wave(channels, 0.2));
                for bias in [None, Some(&bias[..])] {
                    let scale = Scale {
                        weight: &weight,
                        bias,
                    };
                    let mut first = None;
                    for threads in 1..4 {
                        let cpu = Cpu::new(set, threads);
                        let mut output = vec![f32::NAN; input.len()];
                        let mut of_input = wave(input.len(), 0.1);
                        let mut of_weight = vec![f32::NAN; channels];
                        let mut of_bias = bias.map(|bias| vec![f32::NAN; bias.len()]);
                        let mut scratch = vec![f32::NAN; scratch_len(input.len(), channels)];
                        scale.forward(&cpu, &input, &mut output);
                        scale.input_gradient(&cpu, &gradient, &mut of_input, true);
                        weight_gradients(
                            &cpu,
                            &input,
                            &gradient,
                            &mut scratch,
                            &mut of_weight,
                            of_bias.as_deref_mut(),
                        );
                        let all = [output, of_input, of_weight, of_bias.unwrap_or_default()];
                        assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "bits");
                    }
                    let [output, of_input, of_weight, of_bias] = first.unwrap();
                    let is_near = |own: f32, expected: f64, size: f64| {
                        let error = (f64::from(own) - expected).abs();
                        assert!(error < 1e-6 * (1.0 + size), "{own} {expected}");
                    };
                    let before = wave(input.len(), 0.1);
                    let mut sums = vec![[0.0; 3]; channels];
                    for (i, value) in input.iter().copied().map(f64::from).enumerate() {
                        let c = i % channels;
                        let (by, factor) = (f64::from(gradient[i]), f64::from(weight[c]));
                        let summand = bias.map_or(0.0, |bias| f64::from(bias[c]));
                        is_near(output[i], value * factor + summand, 1.0);
                        is_near(of_input[i], f64::from(before[i]) + by * factor, 1.0);
                        sums[c][0] += value * by;
                        sums[c][1] += by;
                        sums[c][2] += (value * by).abs() + by.abs();
                    }
                    for (c, [product, sum, size]) in sums.into_iter().enumerate() {
                        is_near(of_weight[c], product, size);
                        if !of_bias.is_empty() {
                            is_near(of_bias[c], sum, size);
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "whole pixels")]
    fn maps_have_whole_pixels() {
        let scale = Scale {
            weight: &[1.0; 3],
            bias: None,
        };
        scale.forward(&Cpu::best(1), &[0.0; 7], &mut [0.0; 7]);
    }
}
