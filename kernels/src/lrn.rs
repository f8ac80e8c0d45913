//! Local response normalisation: each value is divided by a power of the squares of the channels around it (Krizhevsky et al. 2012).
use crate::Cpu;
use crate::activation::PIECE;

/// y = x / (bias + alpha / size · Σ x²)^beta, the sum over `size` channels around each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Channels of the sum, an odd number.
    pub size: usize,
    /// The factor of the mean square.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
    /// Added to the mean square.
    pub bias: f32,
    /// Channels of the map.
    pub channels: usize,
}

impl Lrn {
    /// Writes the normalised `input` to `output`.
    ///
    /// # Panics
    /// If the slices differ in length, or do not hold whole pixels.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        self.check(input, output.len());
        cpu.parallel_chunks(output, self.chunk(), |i, output| {
            let input = input[i * self.chunk()..].chunks_exact(self.channels);
            for (output, input) in output.chunks_exact_mut(self.channels).zip(input) {
                self.bases(input, output);
                for (output, value) in output.iter_mut().zip(input) {
                    *output = value * self.power(*output);
                }
            }
        });
    }

    /// Writes the gradient of the input, or adds it.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn backward(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        gradient: &mut [f32],
        accumulate: bool,
    ) {
        self.check(input, gradient.len());
        self.check(output_gradient, gradient.len());
        let each = 2.0 * self.alpha * self.beta / self.size as f32;
        cpu.parallel_chunks(gradient, self.chunk(), |i, gradient| {
            let start = i * self.chunk();
            let input = input[start..].chunks_exact(self.channels);
            let by_output = output_gradient[start..].chunks_exact(self.channels);
            let mut bases = vec![0.0; self.channels];
            let mut shares = vec![0.0; self.channels];
            let pixels = gradient.chunks_exact_mut(self.channels).zip(input);
            for ((gradient, input), by_output) in pixels.zip(by_output) {
                self.bases(input, &mut bases);
                for channel in 0..self.channels {
                    let power = self.power(bases[channel]);
                    // What a channel of the sum gets, but for its own value.
                    shares[channel] = by_output[channel] * input[channel] * power / bases[channel];
                    let before = if accumulate { gradient[channel] } else { 0.0 };
                    gradient[channel] = before + by_output[channel] * power;
                }
                for (channel, gradient) in gradient.iter_mut().enumerate() {
                    let around: f32 = shares[self.around(channel)].iter().sum();
                    *gradient -= each * input[channel] * around;
                }
            }
        });
    }

    /// The channels of the sum of one.
    pub fn around(&self, channel: usize) -> std::ops::Range<usize> {
        let reach = self.size / 2;
        channel.saturating_sub(reach)..(channel + reach + 1).min(self.channels)
    }

    /// What each channel is divided by, before the power.
    fn bases(&self, pixel: &[f32], bases: &mut [f32]) {
        let each = self.alpha / self.size as f32;
        for (channel, base) in bases.iter_mut().enumerate() {
            let squares = pixel[self.around(channel)]
                .iter()
                .map(|value| value * value);
            *base = self.bias + each * squares.sum::<f32>();
        }
    }

    /// base^(−beta)
    fn power(&self, base: f32) -> f32 {
        match self.beta {
            // The usual exponent, without logarithms.
            0.75 => 1.0 / (base.sqrt() * base.sqrt().sqrt()),
            beta => base.powf(-beta),
        }
    }

    /// Values of one task: whole pixels.
    fn chunk(&self) -> usize {
        PIECE.div_ceil(self.channels) * self.channels
    }

    fn check(&self, map: &[f32], length: usize) {
        assert_eq!(map.len(), length, "lengths of the maps");
        let is_whole = self.channels > 0 && map.len().is_multiple_of(self.channels);
        assert!(is_whole, "a map has whole pixels");
        assert!(
            self.size % 2 == 1,
            "the channels of a sum are an odd number"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LRN: Lrn = Lrn {
        size: 5,
        alpha: 0.3,
        beta: 0.75,
        bias: 1.5,
        channels: 7,
    };

    fn waves(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| 2.0 * (i as f32 * step).sin()).collect()
    }

    #[test]
    fn values_are_those_of_the_definition() {
        let input = waves(7 * 5, 0.7);
        for lrn in [
            LRN,
            Lrn {
                beta: 0.6,
                size: 3,
                ..LRN
            },
            Lrn { size: 21, ..LRN },
        ] {
            let mut output = vec![0.0; input.len()];
            lrn.forward(&Cpu::best(2), &input, &mut output);
            for (i, own) in output.iter().enumerate() {
                let (pixel, channel) = (i / 7 * 7, i % 7);
                let reach = lrn.size as isize / 2;
                let sum: f64 = (0..7)
                    .filter(|other| (*other as isize - channel as isize).abs() <= reach)
                    .map(|other| f64::from(input[pixel + other]).powi(2))
                    .sum();
                let base = f64::from(lrn.bias) + f64::from(lrn.alpha) / lrn.size as f64 * sum;
                let expected = f64::from(input[i]) / base.powf(lrn.beta.into());
                assert!(
                    (f64::from(*own) - expected).abs() < 1e-6,
                    "{own} for {expected}"
                );
            }
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        let (input, weights) = (waves(7 * 3, 0.9), waves(7 * 3, 1.3));
        for lrn in [
            LRN,
            Lrn {
                beta: 1.2,
                size: 3,
                ..LRN
            },
        ] {
            let cpu = Cpu::best(2);
            let score = |input: &[f32]| -> f64 {
                let mut output = vec![0.0; input.len()];
                lrn.forward(&cpu, input, &mut output);
                let products = output.iter().zip(&weights);
                products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            let mut gradient = vec![1.0; input.len()];
            lrn.backward(&cpu, &input, &weights, &mut gradient, false);
            let mut twice = gradient.clone();
            lrn.backward(&cpu, &input, &weights, &mut twice, true);
            for i in 0..input.len() {
                let moved = |by: f32| {
                    let mut moved = input.clone();
                    moved[i] += by;
                    score(&moved)
                };
                let difference = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((f64::from(gradient[i]) - difference).abs() < 1e-3, "{i}");
                assert!((twice[i] - 2.0 * gradient[i]).abs() < 1e-5);
            }
        }
    }
}
