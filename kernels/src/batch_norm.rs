//! Batch normalisation (Ioffe and Szegedy 2015) over rows of channels: `[m, c]` with m the pixels of all images.
//!
//! The sums of a batch go through the maps from the last block to the first: the end of a map that was just written is still in a
//! cache, and so is then its beginning, with which the pass after the sums starts.
mod passes;

use std::ops::Range;

use crate::Cpu;
use crate::activation::Activation;
use crate::stream::is_streamed;
use passes::{GradientSums, Layout, Normalise, ROOM, Sums};

/// Mean and (biased) variance of each channel. Blocks of rows are summed about their first row and combined in order, in f64.
pub fn statistics(cpu: &Cpu, input: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let channels = mean.len();
    assert!(input.len().is_multiple_of(channels) && variance.len() == channels);
    let layout = Layout::new(channels);
    let piece = layout.piece();
    let tasks = input.len().div_ceil(piece);
    let mut sums = vec![0.0; tasks * 2 * layout.width];
    cpu.parallel_chunks(&mut sums, 2 * layout.width, |task, sums| {
        let i = tasks - 1 - task;
        let block = &input[i * piece..input.len().min((i + 1) * piece)];
        let (sum, square) = sums.split_at_mut(layout.width);
        let mut room = ROOM;
        let origin = layout.widen(&block[..channels], &mut room);
        cpu.dispatch(Sums {
            input: block,
            origin,
            sum,
            square,
        });
    });
    for c in 0..channels {
        let (mut count, mut total_mean, mut total_square) = (0.0, 0.0, 0.0);
        for i in 0..tasks {
            let block = (piece.min(input.len() - i * piece) / channels) as f64;
            let task = tasks - 1 - i;
            let sum = layout.total(&sums[2 * task * layout.width..], c);
            let square = layout.total(&sums[(2 * task + 1) * layout.width..], c);
            let square = square - sum * sum / block;
            let mean = f64::from(input[i * piece + c]) + sum / block;
            // Chan, Golub and LeVeque 1979.
            let difference = mean - total_mean;
            total_square += square + difference * difference * count * block / (count + block);
            total_mean += difference * block / (count + block);
            count += block;
        }
        mean[c] = total_mean as f32;
        variance[c] = (total_square / count).max(0.0) as f32;
    }
}

/// As [`statistics`] of a map of `rows` rows, from the [sums](crate::conv::Sums) that the convolution took which stored it: parts of them,
/// `[part, 2, channels]`, about `origin`. False where that lies so far from a mean that the variance, which `epsilon` is added to, would
/// not be exact: then nothing is meant by what was written.
#[must_use]
pub fn statistics_of_sums(
    parts: &[f32],
    origin: &[f32],
    rows: usize,
    epsilon: f32,
    mean: &mut [f32],
    variance: &mut [f32],
) -> bool {
    let mut is_exact = true;
    for (c, [sum, square]) in totals(parts, mean.len()).into_iter().enumerate() {
        let difference = sum / rows as f64;
        let around = square / rows as f64 - difference * difference;
        // Squares that overflow are further from everything than any deviation.
        is_exact &= around.is_finite()
            && difference.abs() <= FARTHEST * (around.max(0.0) + f64::from(epsilon)).sqrt();
        mean[c] = (f64::from(origin[c]) + difference) as f32;
        variance[c] = around.max(0.0) as f32;
    }
    is_exact
}

/// In standard deviations. A part is the sum, in f32, of sums of some pixels each, at most some ten thousand: exact by 2⁻¹² where all
/// are alike, which rounds each time to the same side, else by 2⁻¹⁸ or so. At this distance the variance is then exact by 2⁻⁸, or 2⁻¹⁴.
const FARTHEST: f64 = 4.0;

/// The two sums of each channel.
fn totals(parts: &[f32], channels: usize) -> Vec<[f64; 2]> {
    let mut totals = vec![[0.0; 2]; channels];
    for part in parts.chunks_exact(2 * channels) {
        let (first, second) = part.split_at(channels);
        for (total, (first, second)) in totals.iter_mut().zip(first.iter().zip(second)) {
            total[0] += f64::from(*first);
            total[1] += f64::from(*second);
        }
    }
    totals
}

/// Moves the running statistics towards those of a batch of `rows` rows; the running variance is the unbiased one, as in PyTorch.
pub fn update_running(
    mean: &[f32],
    variance: &[f32],
    rows: usize,
    momentum: f32,
    running_mean: &mut [f32],
    running_variance: &mut [f32],
) {
    let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
    for c in 0..mean.len() {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_variance[c] += momentum * (variance[c] * unbiased - running_variance[c]);
    }
}

/// Writes the factor and the summand that a batch normalisation comes to: y = factor · x + summand.
pub fn factors(
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    scale: &[f32],
    shift: &[f32],
    factor: &mut [f32],
    summand: &mut [f32],
) {
    for c in 0..mean.len() {
        factor[c] = scale[c] / (variance[c] + epsilon).sqrt();
        summand[c] = shift[c] - mean[c] * factor[c];
    }
}

/// activation(factor · x + summand + add) for each row; `add` is a map of the input's shape (a residual connection).
pub fn normalise(
    cpu: &Cpu,
    input: &[f32],
    factor: &[f32],
    summand: &[f32],
    add: Option<&[f32]>,
    activation: Activation,
    output: &mut [f32],
) {
    let channels = factor.len();
    assert!(input.len() == output.len() && input.len().is_multiple_of(channels));
    assert!(add.is_none_or(|add| add.len() == input.len()));
    let layout = Layout::new(channels);
    let mut rooms = [ROOM; 2];
    let [for_factor, for_summand] = &mut rooms;
    let factor = layout.widen(factor, for_factor);
    let summand = layout.widen(summand, for_summand);
    let piece = layout.piece();
    let is_streamed = is_streamed(output, layout.width);
    cpu.parallel_chunks(output, piece, |i, output| {
        let range = i * piece..i * piece + output.len();
        cpu.dispatch(Normalise {
            input: &input[range.clone()],
            factor,
            summand,
            add: add.map(|add| &add[range]),
            activation,
            output,
            is_streamed,
        });
    });
}

/// What [`backward`] needs of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// What was normalised, `[m, c]`.
    pub input: &'a [f32],
    /// Its mean.
    pub mean: &'a [f32],
    /// Its biased variance.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
    /// The learned factor.
    pub scale: &'a [f32],
    /// The learned summand.
    pub shift: &'a [f32],
}

impl Batch<'_> {
    /// Whether what was normalised can be told from the output as exactly as its gradient needs: (output − shift) / scale.
    fn follows_from_output(&self) -> bool {
        let tells =
            |(scale, shift): (&f32, &f32)| *scale != 0.0 && shift.abs() <= MOST_SHIFT * scale.abs();
        self.scale.iter().zip(self.shift).all(tells)
    }
}

/// An output of f32 then tells what was normalised by 2⁻¹⁴ of its standard deviation.
const MOST_SHIFT: f32 = 1000.0;

/// Computes the gradients of scale and shift and the `coefficients`, `[3, c]`, of the input's, which it returns. `parts` are the
/// [sums](crate::conv::Sums) about `shift` that the pass took which stored the output's gradient; its mask was the output, which is
/// where that gradient is not 0 a linear function of the input.
pub fn backward<'a>(
    cpu: &Cpu,
    batch: Batch<'a>,
    output_gradient: &'a [f32],
    parts: Option<&[f32]>,
    scale_gradient: &mut [f32],
    shift_gradient: &mut [f32],
    coefficients: &'a mut [f32],
) -> InputGradient<'a> {
    let Batch {
        input,
        mean,
        variance,
        epsilon,
        scale,
        ..
    } = batch;
    let channels = mean.len();
    assert!(input.len() == output_gradient.len() && input.len().is_multiple_of(channels));
    let inverse: Vec<f64> = variance
        .iter()
        .map(|variance| 1.0 / (f64::from(*variance) + f64::from(epsilon)).sqrt())
        .collect();
    // Of the gradient, and of its product with the normalised input.
    let sums: Vec<[f64; 2]> = match parts.filter(|_| batch.follows_from_output()) {
        Some(parts) => (totals(parts, channels).into_iter().zip(scale))
            .map(|([sum, product], scale)| [sum, product / f64::from(*scale)])
            .collect(),
        None => (gradient_sums(cpu, &batch, output_gradient)
            .into_iter()
            .zip(&inverse))
        .map(|([sum, product], inverse)| [sum, product * inverse])
        .collect(),
    };
    let count = (input.len() / channels) as f64;
    assert_eq!(coefficients.len(), 3 * channels, "coefficients");
    let (a, rest) = coefficients.split_at_mut(channels);
    let (b, d) = rest.split_at_mut(channels);
    for c in 0..channels {
        let [sum, product] = sums[c];
        shift_gradient[c] = sum as f32;
        scale_gradient[c] = product as f32;
        let factor = f64::from(scale[c]) * inverse[c];
        a[c] = factor as f32;
        b[c] = (-factor * inverse[c] * product / count) as f32;
        d[c] = (-factor * sum / count) as f32;
    }
    InputGradient {
        input,
        mean,
        output_gradient,
        coefficients,
    }
}

/// The gradient of what was normalised, for each channel a · gradient + b · (input − mean) + d: the difference first, for b may be large
/// and the input near the mean. It may be written as a map, or be made anew by those who read it.
#[derive(Clone, Copy, Debug)]
pub struct InputGradient<'a> {
    /// What was normalised, `[m, c]`.
    pub input: &'a [f32],
    /// Its mean.
    pub mean: &'a [f32],
    /// The gradient of the output, `[m, c]`.
    pub output_gradient: &'a [f32],
    /// a, b, d, as [`backward`] computed them.
    pub coefficients: &'a [f32],
}

impl InputGradient<'_> {
    /// # Panics
    /// If the lengths do not agree.
    pub(crate) fn check(&self) {
        let channels = self.mean.len();
        assert_eq!(self.coefficients.len(), 3 * channels, "coefficients");
        let length = self.input.len();
        assert!(length == self.output_gradient.len() && length.is_multiple_of(channels));
    }

    /// Writes all of it to `target`, or adds it to what is there.
    pub fn write(&self, cpu: &Cpu, target: &mut [f32], accumulate: bool) {
        assert_eq!(target.len(), self.input.len());
        let layout = Layout::new(self.mean.len());
        let is_streamed = !accumulate && is_streamed(target, layout.width);
        let piece = layout.piece();
        cpu.parallel_chunks(target, piece, |i, target| {
            let range = i * piece..i * piece + target.len();
            self.part(cpu, range, target, accumulate, is_streamed);
        });
    }

    /// Writes the numbers of `range`, whole pixels, to `target` on this thread alone.
    pub(crate) fn write_part(&self, cpu: &Cpu, range: Range<usize>, target: &mut [f32]) {
        self.part(cpu, range, target, false, false);
    }

    fn part(
        &self,
        cpu: &Cpu,
        range: Range<usize>,
        target: &mut [f32],
        accumulate: bool,
        is_streamed: bool,
    ) {
        self.check();
        let channels = self.mean.len();
        assert!(range.start.is_multiple_of(channels));
        let layout = Layout::new(channels);
        let [a, b, d] = [0, 1, 2].map(|i| &self.coefficients[i * channels..(i + 1) * channels]);
        let mut rooms = [ROOM; 4];
        let mut rooms = rooms.iter_mut();
        let coefficients = [a, b, self.mean, d]
            .map(|row| layout.widen(row, rooms.next().expect("a room for each")));
        cpu.dispatch(passes::InputGradient {
            input: &self.input[range.clone()],
            gradient: &self.output_gradient[range],
            coefficients,
            target,
            accumulate,
            is_streamed,
        });
    }
}

/// For each channel the sums of the gradient and of its product with input − mean.
fn gradient_sums(cpu: &Cpu, batch: &Batch<'_>, output_gradient: &[f32]) -> Vec<[f64; 2]> {
    let input = batch.input;
    let layout = Layout::new(batch.mean.len());
    let piece = layout.piece();
    let tasks = input.len().div_ceil(piece);
    let mut sums = vec![0.0; tasks * 2 * layout.width];
    let mut room = ROOM;
    let origin = layout.widen(batch.mean, &mut room);
    cpu.parallel_chunks(&mut sums, 2 * layout.width, |task, sums| {
        let i = tasks - 1 - task;
        let range = i * piece..input.len().min((i + 1) * piece);
        let (sum, product) = sums.split_at_mut(layout.width);
        cpu.dispatch(GradientSums {
            input: &input[range.clone()],
            gradient: &output_gradient[range],
            origin,
            sum,
            product,
        });
    });
    let total = |c: usize, k: usize| -> f64 {
        (0..tasks)
            .rev()
            .map(|task| layout.total(&sums[(2 * task + k) * layout.width..], c))
            .sum()
    };
    (0..batch.mean.len())
        .map(|c| [total(c, 0), total(c, 1)])
        .collect()
}

#[cfg(test)]
mod tests;
