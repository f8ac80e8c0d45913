//! PReLU (He et al. 2015), a leaky ReLU with a learned slope for each channel: `[m, c]`, where m counts the pixels of all images.
use crate::Cpu;
use crate::activation::PIECE;

/// The slopes of a PReLU, one for each channel.
#[derive(Clone, Copy, Debug)]
pub struct Prelu<'a> {
    /// The factors of values below 0, `[c]`.
    pub slopes: &'a [f32],
}

impl Prelu<'_> {
    /// # Panics
    /// If there is no channel, if the map does not have whole pixels, or if the maps differ in length.
    fn check(&self, map: &[f32], other: &[f32]) {
        let channels = self.slopes.len();
        assert!(channels > 0, "a map has channels");
        assert!(map.len().is_multiple_of(channels), "a map has whole pixels");
        assert_eq!(map.len(), other.len(), "lengths of the maps");
    }

    /// Values of one task: whole pixels.
    fn piece(&self) -> usize {
        PIECE.div_ceil(self.slopes.len()) * self.slopes.len()
    }

    /// Writes x where x is above 0, and the channel's slope times x elsewhere.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        self.check(input, output);
        let (channels, piece) = (self.slopes.len(), self.piece());
        cpu.parallel_chunks(output, piece, |i, output| {
            let input = input[i * piece..].chunks_exact(channels);
            cpu.vectorised(
                #[inline(always)]
                || {
                    for (output, input) in output.chunks_exact_mut(channels).zip(input) {
                        for ((output, x), slope) in output.iter_mut().zip(input).zip(self.slopes) {
                            *output = if *x > 0.0 { *x } else { slope * x };
                        }
                    }
                },
            );
        });
    }

    /// Writes the gradient of the input. `accumulate` adds it instead. Where x is 0, the derivative is the slope, as in PyTorch.
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
        let (channels, piece) = (self.slopes.len(), self.piece());
        cpu.parallel_chunks(input_gradient, piece, |i, target| {
            let pixels = input[i * piece..].chunks_exact(channels);
            let gradients = output_gradient[i * piece..].chunks_exact(channels);
            let targets = target.chunks_exact_mut(channels);
            cpu.vectorised(
                #[inline(always)]
                || {
                    for ((target, input), gradient) in targets.zip(pixels).zip(gradients) {
                        let values = input.iter().zip(gradient).zip(self.slopes);
                        for (target, ((x, gradient), slope)) in target.iter_mut().zip(values) {
                            let before = if accumulate { *target } else { 0.0 };
                            let derivative = if *x > 0.0 { 1.0 } else { *slope };
                            *target = before + derivative * gradient;
                        }
                    }
                },
            );
        });
    }

    /// Writes the gradient of the slopes: sums over all pixels, whose order does not depend on the number of threads.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn slope_gradient(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        slope_gradient: &mut [f32],
    ) {
        self.check(input, output_gradient);
        let channels = self.slopes.len();
        assert_eq!(slope_gradient.len(), channels, "length of the gradient");
        let piece = (PIECE / channels).clamp(LEAST_PIXELS, MOST_PIXELS) * channels;
        let mut parts = vec![0.0; input.len().div_ceil(piece) * channels];
        cpu.parallel_chunks(&mut parts, channels, |i, sums| {
            let end = input.len().min((i + 1) * piece);
            let pixels = input[i * piece..end].chunks_exact(channels);
            let gradients = output_gradient[i * piece..end].chunks_exact(channels);
            cpu.vectorised(
                #[inline(always)]
                || {
                    for (input, gradient) in pixels.zip(gradients) {
                        for (sum, (x, gradient)) in sums.iter_mut().zip(input.iter().zip(gradient))
                        {
                            *sum += if *x > 0.0 { 0.0 } else { x * gradient };
                        }
                    }
                },
            );
        });
        for (channel, gradient) in slope_gradient.iter_mut().enumerate() {
            let parts = parts.iter().skip(channel).step_by(channels);
            *gradient = parts.map(|sum| f64::from(*sum)).sum::<f64>() as f32;
        }
    }
}

/// The least pixels of a part of the sums: with few, the parts would be as large as the map.
const LEAST_PIXELS: usize = 16;
/// The most pixels of a part: a longer sum in f32 would be less exact.
const MOST_PIXELS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn values_and_gradients_are_those_of_plain_loops() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 3);
            for (pixels, channels) in [(1, 1), (35, 7), (1300, 33), (3, 20000)] {
                let count = pixels * channels;
                // Quarters of whole numbers, whose products and sums are exact.
                let input: Vec<f32> = (0..count).map(|i| (i % 13) as f32 - 6.0).collect();
                let gradient: Vec<f32> = (0..count).map(|i| (i * 7 % 5) as f32 - 2.0).collect();
                let slopes: Vec<f32> = (0..channels).map(|i| (i % 9) as f32 * 0.25 - 1.0).collect();
                let prelu = Prelu { slopes: &slopes };
                let mut output = vec![9.0; count];
                prelu.forward(&cpu, &input, &mut output);
                let mut own = vec![1.0; count];
                prelu.input_gradient(&cpu, &input, &gradient, &mut own, false);
                let mut twice = own.clone();
                prelu.input_gradient(&cpu, &input, &gradient, &mut twice, true);
                let mut of_slopes = vec![1.0; channels];
                prelu.slope_gradient(&cpu, &input, &gradient, &mut of_slopes);
                let mut sums = vec![0.0; channels];
                for i in 0..count {
                    let slope = slopes[i % channels];
                    let (x, is_above) = (input[i], input[i] > 0.0);
                    assert_eq!(output[i], if is_above { x } else { slope * x });
                    assert_eq!(own[i], if is_above { 1.0 } else { slope } * gradient[i]);
                    assert_eq!(twice[i], 2.0 * own[i]);
                    sums[i % channels] += f64::from(x.min(0.0)) * f64::from(gradient[i]);
                }
                assert!(
                    of_slopes
                        .iter()
                        .zip(&sums)
                        .all(|(own, sum)| f64::from(*own) == *sum)
                );
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        let mut output = [0.0; 2];
        Prelu { slopes: &[0.5] }.forward(&Cpu::best(1), &[f32::NAN, 1.0], &mut output);
        assert!(output[0].is_nan() && output[1] == 1.0);
    }

    #[test]
    #[should_panic(expected = "whole pixels")]
    fn maps_have_whole_pixels() {
        let prelu = Prelu { slopes: &[0.5; 2] };
        prelu.forward(&Cpu::best(1), &[0.0; 3], &mut [0.0; 3]);
    }
}
