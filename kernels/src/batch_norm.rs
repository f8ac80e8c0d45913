//! Batch normalisation (Ioffe and Szegedy 2015) over rows of channels: `[m, c]`, where m counts the pixels of all images.
//!
//! The passes that sum read a map from its last block to its first. The end of a map that was just written is still in a cache.
//! Afterwards the beginning is, and the next pass starts there.
pub(crate) mod passes;

use std::ops::Range;

use crate::Cpu;
use crate::activation::Activation;
use crate::stream::is_streamed;
use passes::{Coefficients, GradientSums, NormaliseRows, RowLayout, StatisticSums, WIDE_ROW};

/// Writes mean and biased variance of each channel. The sums of a block of rows are about the block's first row; blocks are combined
/// in order, in f64.
///
/// # Panics
/// If there is no channel, no row, or not a value of each channel in each row and in `variance`.
pub fn statistics(cpu: &Cpu, input: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let channels = mean.len();
    assert_rows(input, channels);
    assert!(!input.is_empty(), "statistics of no rows");
    assert_eq!(variance.len(), channels, "length of the variance");
    let layout = RowLayout::new(channels);
    let piece = layout.piece();
    let tasks = input.len().div_ceil(piece);
    let mut sums = vec![0.0; tasks * 2 * layout.width];
    cpu.parallel_chunks(&mut sums, 2 * layout.width, |task, sums| {
        let i = tasks - 1 - task;
        let block = &input[i * piece..input.len().min((i + 1) * piece)];
        let (sum, square) = sums.split_at_mut(layout.width);
        let mut wide = WIDE_ROW;
        let origin = layout.widen(&block[..channels], &mut wide);
        cpu.dispatch(StatisticSums {
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

/// Panics unless `map` has whole rows of at least one channel.
fn assert_rows(map: &[f32], channels: usize) {
    assert!(channels > 0, "a map has channels");
    assert!(map.len().is_multiple_of(channels), "a map has whole rows");
}

/// As [`statistics`] of a map of `rows` rows, from [sums](crate::conv::Sums) that a convolution took while it stored the map.
/// `parts` are these sums, `[part, 2, channels]`: Σ(x − origin) and Σ(x − origin)². Returns false if `origin` is too far from a mean
/// for an exact variance; the outputs are then unspecified. `epsilon` is what the normalisation adds to the variance.
///
/// # Panics
/// If there is no channel, or not a value of each channel in each of the slices.
#[must_use]
pub fn statistics_of_sums(
    parts: &[f32],
    origin: &[f32],
    rows: usize,
    epsilon: f32,
    mean: &mut [f32],
    variance: &mut [f32],
) -> bool {
    let channels = mean.len();
    assert_eq!(origin.len(), channels, "length of the origin");
    assert_eq!(variance.len(), channels, "length of the variance");
    let mut is_exact = true;
    for (c, [sum, square]) in totals(parts, channels).into_iter().enumerate() {
        let difference = sum / rows as f64;
        let around = square / rows as f64 - difference * difference;
        // Squares that overflow come from an origin that is too far away.
        is_exact &= around.is_finite()
            && difference.abs() <= FARTHEST * (around.max(0.0) + f64::from(epsilon)).sqrt();
        mean[c] = (f64::from(origin[c]) + difference) as f32;
        variance[c] = around.max(0.0) as f32;
    }
    is_exact
}

/// The largest distance of an origin from the mean, in standard deviations. A part is a sum in f32 over at most some ten thousand
/// sums of a few pixels. Its relative error is about 2⁻¹⁸, or 2⁻¹² where all pixels are alike and each addition rounds to the same
/// side. At this distance the relative error of the variance is then 2⁻¹⁴, or 2⁻⁸.
const FARTHEST: f64 = 4.0;

/// The two sums of each channel over all parts.
fn totals(parts: &[f32], channels: usize) -> Vec<[f64; 2]> {
    assert!(channels > 0, "a map has channels");
    assert!(parts.len().is_multiple_of(2 * channels), "parts are whole");
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

/// Moves the running statistics towards those of a batch of `rows` rows. The running variance is the unbiased one, as in PyTorch.
///
/// # Panics
/// If the slices differ in length.
pub fn update_running(
    mean: &[f32],
    variance: &[f32],
    rows: usize,
    momentum: f32,
    running_mean: &mut [f32],
    running_variance: &mut [f32],
) {
    let lengths = [variance.len(), running_mean.len(), running_variance.len()];
    assert_eq!(lengths, [mean.len(); 3], "lengths of the statistics");
    let unbiased = rows as f32 / (rows.max(2) - 1) as f32;
    for c in 0..mean.len() {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_variance[c] += momentum * (variance[c] * unbiased - running_variance[c]);
    }
}

/// Writes factor and summand of each channel, so that batch normalisation is y = factor · x + summand.
///
/// # Panics
/// If the slices differ in length.
pub fn factors(
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    scale: &[f32],
    shift: &[f32],
    factor: &mut [f32],
    summand: &mut [f32],
) {
    let lengths = [variance, scale, shift, factor, summand].map(|values| values.len());
    assert_eq!(lengths, [mean.len(); 5], "lengths of the channels' values");
    for c in 0..mean.len() {
        factor[c] = scale[c] / (variance[c] + epsilon).sqrt();
        summand[c] = shift[c] - mean[c] * factor[c];
    }
}

/// Writes activation(factor · x + summand + add) for each row. `add` is a map of the input's shape, for a residual connection.
///
/// # Panics
/// If there is no channel, or if a length is not that of the map or of the channels.
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
    assert_rows(input, channels);
    assert_eq!(input.len(), output.len(), "length of the output");
    assert!(add.is_none_or(|add| add.len() == input.len()));
    let layout = RowLayout::new(channels);
    let (mut wide_factor, mut wide_summand) = (WIDE_ROW, WIDE_ROW);
    let factor = layout.widen(factor, &mut wide_factor);
    let summand = layout.widen(summand, &mut wide_summand);
    let piece = layout.piece();
    let is_streamed = is_streamed(output, layout.width);
    cpu.parallel_chunks(output, piece, |i, output| {
        let range = i * piece..i * piece + output.len();
        cpu.dispatch(NormaliseRows {
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

/// The values of the forward pass that [`backward`] needs.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The map that was normalised, `[m, c]`.
    pub input: &'a [f32],
    /// Its mean, `[c]`.
    pub mean: &'a [f32],
    /// Its biased variance, `[c]`.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
    /// The learned factor, `[c]`.
    pub scale: &'a [f32],
    /// The learned summand, `[c]`.
    pub shift: &'a [f32],
}

impl Batch<'_> {
    /// Whether (output − shift) / scale is as exact as the gradient needs the normalised input.
    fn follows_from_output(&self) -> bool {
        let tells =
            |(scale, shift): (&f32, &f32)| *scale != 0.0 && shift.abs() <= MOST_SHIFT * scale.abs();
        self.scale.iter().zip(self.shift).all(tells)
    }
}

/// With a shift of at most this many scales, an output in f32 gives the normalised input with an error of 2⁻¹⁴ standard deviations.
const MOST_SHIFT: f32 = 1000.0;

/// Writes the gradients of scale and shift, and the `coefficients`, `[3, c]`, of the input's gradient, which it returns.
///
/// `parts` may hold [sums](crate::conv::Sums) that another pass took while it stored `output_gradient`: Σg and Σg(y − shift), where
/// y is this normalisation's output. That pass used y as its mask, so y is a linear function of the input wherever g is not 0.
/// Without parts, this function computes the sums.
///
/// # Panics
/// If there is no channel, or if a length is not that of the map or of the channels.
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
        shift,
    } = batch;
    let channels = mean.len();
    assert_rows(input, channels);
    assert_eq!(output_gradient.len(), input.len(), "length of the gradient");
    let lengths = [variance, scale, shift, scale_gradient, shift_gradient].map(|of| of.len());
    assert_eq!(lengths, [channels; 5], "lengths of the channels' values");
    assert_eq!(coefficients.len(), 3 * channels, "coefficients");
    let inverse: Vec<f64> = variance
        .iter()
        .map(|variance| 1.0 / (f64::from(*variance) + f64::from(epsilon)).sqrt())
        .collect();
    // Σg and Σ g · (normalised input).
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

/// The gradient of the map that was normalised: a · gradient + b · (input − mean) + d for each channel. It subtracts the mean first,
/// because b may be large and the input near the mean. Either [`write`](Self::write) stores it as a map, or its readers compute it.
#[derive(Clone, Copy, Debug)]
pub struct InputGradient<'a> {
    /// The map that was normalised, `[m, c]`.
    pub input: &'a [f32],
    /// Its mean, `[c]`.
    pub mean: &'a [f32],
    /// The gradient of the output, `[m, c]`.
    pub output_gradient: &'a [f32],
    /// a, b, d, each `[c]`, as [`backward`] computed them.
    pub coefficients: &'a [f32],
}

impl InputGradient<'_> {
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub(crate) fn check(&self) {
        let channels = self.mean.len();
        assert_rows(self.input, channels);
        assert_eq!(self.coefficients.len(), 3 * channels, "coefficients");
        let length = self.input.len();
        assert_eq!(self.output_gradient.len(), length, "length of the gradient");
    }

    /// Writes all of it to `target`. `accumulate` adds it to `target` instead.
    ///
    /// # Panics
    /// If there is no channel, or if a length is not that of the map or of the channels.
    pub fn write(&self, cpu: &Cpu, target: &mut [f32], accumulate: bool) {
        self.check();
        assert_eq!(target.len(), self.input.len(), "length of the target");
        let layout = RowLayout::new(self.mean.len());
        let is_streamed = !accumulate && is_streamed(target, layout.width);
        let piece = layout.piece();
        cpu.parallel_chunks(target, piece, |i, target| {
            let range = i * piece..i * piece + target.len();
            self.part(cpu, range, target, accumulate, is_streamed);
        });
    }

    /// Writes the values of `range`, whole pixels, to `target` on this thread alone.
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
        let layout = RowLayout::new(channels);
        let [a, b, d] = [0, 1, 2].map(|i| &self.coefficients[i * channels..(i + 1) * channels]);
        let mut wide = [WIDE_ROW; 4];
        let [wide_a, wide_b, wide_mean, wide_d] = &mut wide;
        let coefficients = Coefficients {
            a: layout.widen(a, wide_a),
            b: layout.widen(b, wide_b),
            mean: layout.widen(self.mean, wide_mean),
            d: layout.widen(d, wide_d),
        };
        cpu.dispatch(passes::InputGradientRows {
            input: &self.input[range.clone()],
            gradient: &self.output_gradient[range],
            coefficients,
            target,
            accumulate,
            is_streamed,
        });
    }
}

/// Σg and Σg(x − mean) of each channel.
fn gradient_sums(cpu: &Cpu, batch: &Batch<'_>, output_gradient: &[f32]) -> Vec<[f64; 2]> {
    let input = batch.input;
    let layout = RowLayout::new(batch.mean.len());
    let piece = layout.piece();
    let tasks = input.len().div_ceil(piece);
    let mut sums = vec![0.0; tasks * 2 * layout.width];
    let mut wide = WIDE_ROW;
    let origin = layout.widen(batch.mean, &mut wide);
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
