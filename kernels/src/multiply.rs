//! The product of a map and factors: one for each value, or one for each channel of a frame, as in squeeze-and-excitation.
use crate::Cpu;
use crate::activation::PIECE;

/// The sizes of a map `[n, pixels, c]` and of its factors `[n, c]`. With one pixel the factors are a map of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Pixels that share their factors.
    pub pixels: usize,
    /// Channels of the map, and factors of a pixel.
    pub channels: usize,
}

impl Product {
    /// # Panics
    /// If the lengths do not fit.
    fn check(&self, map: usize, factors: usize) {
        let frame = self.pixels.checked_mul(self.channels);
        let frame = frame
            .filter(|frame| *frame > 0)
            .expect("a map has pixels and channels");
        assert!(map.is_multiple_of(frame), "a map has whole frames");
        assert_eq!(map / frame * self.channels, factors, "factors of the map");
    }

    /// The factors of pixel `pixel`, counted over all frames.
    fn factors_of<'f>(&self, factors: &'f [f32], pixel: usize) -> &'f [f32] {
        &factors[pixel / self.pixels * self.channels..][..self.channels]
    }

    /// Writes `map` times `factors` to `output`, or adds it. The gradient of the map is the same of the output's gradient.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn apply(
        &self,
        cpu: &Cpu,
        map: &[f32],
        factors: &[f32],
        output: &mut [f32],
        accumulate: bool,
    ) {
        self.check(map.len(), factors.len());
        assert_eq!(map.len(), output.len(), "lengths of the maps");
        let pixels = PIECE.div_ceil(self.channels);
        cpu.parallel_chunks(output, pixels * self.channels, |i, output| {
            let map = &map[i * pixels * self.channels..][..output.len()];
            let pairs = output
                .chunks_exact_mut(self.channels)
                .zip(map.chunks_exact(self.channels));
            cpu.vectorised(|| {
                for (pixel, (output, map)) in pairs.enumerate() {
                    let factors = self.factors_of(factors, i * pixels + pixel);
                    for ((output, value), factor) in output.iter_mut().zip(map).zip(factors) {
                        let before = if accumulate { *output } else { 0.0 };
                        *output = before + value * factor;
                    }
                }
            });
        });
    }

    /// Writes the gradient of the factors, the sum of `map` times `output_gradient` over the pixels that share them, or adds it.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn factor_gradient(
        &self,
        cpu: &Cpu,
        map: &[f32],
        output_gradient: &[f32],
        gradient: &mut [f32],
        accumulate: bool,
    ) {
        self.check(map.len(), gradient.len());
        assert_eq!(map.len(), output_gradient.len(), "lengths of the maps");
        // Whole frames, so that the order of each sum does not depend on the number of threads.
        let frame = self.pixels * self.channels;
        let frames = PIECE.div_ceil(frame);
        cpu.parallel_chunks(gradient, frames * self.channels, |i, gradient| {
            cpu.vectorised(|| {
                for (place, gradient) in gradient.chunks_exact_mut(self.channels).enumerate() {
                    let start = (i * frames + place) * frame;
                    let maps = map[start..][..frame].chunks_exact(self.channels);
                    let gradients = output_gradient[start..][..frame].chunks_exact(self.channels);
                    if !accumulate {
                        gradient.fill(0.0);
                    }
                    for (map, of_output) in maps.zip(gradients) {
                        for ((sum, value), by) in gradient.iter_mut().zip(map).zip(of_output) {
                            *sum += value * by;
                        }
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn products_and_their_gradients_are_those_of_plain_loops() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 3);
            for (frames, pixels, channels) in [(1, 1, 1), (3, 5, 7), (2, 300, 33), (1, 1, 9000)] {
                let product = Product { pixels, channels };
                let count = frames * pixels * channels;
                // Whole numbers, whose sums are exact.
                let map: Vec<f32> = (0..count).map(|i| (i % 13) as f32 - 5.0).collect();
                let factors: Vec<f32> = (0..frames * channels)
                    .map(|i| (i % 7) as f32 - 2.0)
                    .collect();
                let gradient: Vec<f32> = (0..count).map(|i| (i % 5) as f32 - 1.0).collect();
                let factor = |i: usize| i / (pixels * channels) * channels + i % channels;
                let mut output = vec![1.0; count];
                for times in [1.0, 2.0] {
                    product.apply(&cpu, &map, &factors, &mut output, times > 1.0);
                    for (i, output) in output.iter().enumerate() {
                        assert_eq!(*output, times * map[i] * factors[factor(i)]);
                    }
                }
                let mut expected = vec![0.0; factors.len()];
                for i in 0..count {
                    expected[factor(i)] += map[i] * gradient[i];
                }
                let mut own = vec![1.0; factors.len()];
                product.factor_gradient(&cpu, &map, &gradient, &mut own, false);
                assert_eq!(own, expected);
                product.factor_gradient(&cpu, &map, &gradient, &mut own, true);
                assert!(
                    own.iter()
                        .zip(&expected)
                        .all(|(own, one)| *own == 2.0 * one)
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "factors of the map")]
    fn other_lengths_are_refused() {
        let product = Product {
            pixels: 2,
            channels: 3,
        };
        product.apply(&Cpu::best(1), &[0.0; 12], &[0.0; 3], &mut [0.0; 12], false);
    }
}
