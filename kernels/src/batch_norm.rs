//! Batch normalisation (Ioffe and Szegedy 2015) over rows of channels: `[m, c]` with m the pixels of all images.
use crate::{Cpu, DisjointMut};

/// Rows of one task.
fn rows_of_task(channels: usize) -> usize {
    (32 * 1024 / channels).max(1)
}

/// Mean and (biased) variance of each channel. Blocks of rows are summed about their first row and combined in order, in f64.
pub fn statistics(cpu: &Cpu, input: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let channels = mean.len();
    let rows = rows_of_task(channels);
    let tasks = input.len().div_ceil(rows * channels);
    let mut sums = vec![0.0; tasks * 2 * channels];
    cpu.parallel_chunks(&mut sums, 2 * channels, |i, sums| {
        let start = i * rows * channels;
        let block = &input[start..input.len().min(start + rows * channels)];
        let (sum, square) = sums.split_at_mut(channels);
        cpu.vectorised(|| {
            let first = &block[..channels];
            for row in block.chunks_exact(channels) {
                for c in 0..channels {
                    let difference = row[c] - first[c];
                    sum[c] += difference;
                    square[c] += difference * difference;
                }
            }
        });
    });
    for c in 0..channels {
        let (mut count, mut total_mean, mut total_square) = (0.0, 0.0, 0.0);
        for i in 0..tasks {
            let block = (input.len() / channels - i * rows).min(rows) as f64;
            let sum = f64::from(sums[2 * i * channels + c]);
            let square = f64::from(sums[(2 * i + 1) * channels + c]) - sum * sum / block;
            let mean = f64::from(input[i * rows * channels + c]) + sum / block;
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

/// The factor and the summand that a batch normalisation comes to: y = factor · x + summand.
pub fn factors(
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    scale: &[f32],
    shift: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let factor: Vec<f32> = variance
        .iter()
        .zip(scale)
        .map(|(v, scale)| scale / (v + epsilon).sqrt())
        .collect();
    let summand = (0..mean.len())
        .map(|c| shift[c] - mean[c] * factor[c])
        .collect();
    (factor, summand)
}

/// y = factor · x + summand for each row, then max(y, 0) where `relu`.
pub fn normalise(
    cpu: &Cpu,
    input: &[f32],
    factor: &[f32],
    summand: &[f32],
    relu: bool,
    output: &mut [f32],
) {
    let channels = factor.len();
    assert!(input.len() == output.len() && input.len().is_multiple_of(channels));
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    let piece = rows_of_task(channels) * channels;
    cpu.parallel_chunks(output, piece, |i, output| {
        let input = &input[i * piece..][..output.len()];
        cpu.vectorised(|| {
            for (output, input) in output
                .chunks_exact_mut(channels)
                .zip(input.chunks_exact(channels))
            {
                for c in 0..channels {
                    let y = factor[c] * input[c] + summand[c];
                    // Written so that a NaN stays one.
                    output[c] = if y < least { least } else { y };
                }
            }
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
}

/// Gradients of scale, shift and input. The input's is added to what is there where `accumulate`.
pub fn backward(
    cpu: &Cpu,
    batch: Batch<'_>,
    output_gradient: &[f32],
    scale_gradient: &mut [f32],
    shift_gradient: &mut [f32],
    input_gradient: Option<&mut [f32]>,
    accumulate: bool,
) {
    let Batch {
        input,
        mean,
        variance,
        epsilon,
        scale,
    } = batch;
    let channels = mean.len();
    let rows = rows_of_task(channels);
    let piece = rows * channels;
    let tasks = input.len().div_ceil(piece);
    let mut sums = vec![0.0; tasks * 2 * channels];
    let shared = DisjointMut::new(&mut sums);
    cpu.parallel(tasks, |i| {
        // SAFETY: tasks write parts of their own.
        let sums = unsafe { shared.slice(2 * i * channels..2 * (i + 1) * channels) };
        let range = i * piece..input.len().min((i + 1) * piece);
        let (input, gradient) = (&input[range.clone()], &output_gradient[range]);
        let (sum, product) = sums.split_at_mut(channels);
        cpu.vectorised(|| {
            for (input, gradient) in input
                .chunks_exact(channels)
                .zip(gradient.chunks_exact(channels))
            {
                for c in 0..channels {
                    sum[c] += gradient[c];
                    product[c] += gradient[c] * (input[c] - mean[c]);
                }
            }
        });
    });
    let count = (input.len() / channels) as f64;
    // input gradient = a · gradient + b · input + d
    let (mut a, mut b, mut d) = (
        vec![0.0; channels],
        vec![0.0; channels],
        vec![0.0; channels],
    );
    for c in 0..channels {
        let total = |k: usize| -> f64 {
            (0..tasks)
                .map(|i| f64::from(sums[(2 * i + k) * channels + c]))
                .sum()
        };
        let inverse = 1.0 / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
        let (sum, product) = (total(0), total(1) * inverse);
        shift_gradient[c] = sum as f32;
        scale_gradient[c] = product as f32;
        let factor = f64::from(scale[c]) * inverse;
        let slope = -factor * inverse * product / count;
        a[c] = factor as f32;
        b[c] = slope as f32;
        d[c] = (-factor * sum / count - slope * f64::from(mean[c])) as f32;
    }
    let Some(input_gradient) = input_gradient else {
        return;
    };
    cpu.parallel_chunks(input_gradient, piece, |i, target| {
        let range = i * piece..i * piece + target.len();
        let (input, gradient) = (&input[range.clone()], &output_gradient[range]);
        cpu.vectorised(|| {
            let rows = input
                .chunks_exact(channels)
                .zip(gradient.chunks_exact(channels));
            for (target, (input, gradient)) in target.chunks_exact_mut(channels).zip(rows) {
                for c in 0..channels {
                    let value = a[c] * gradient[c] + (b[c] * input[c] + d[c]);
                    target[c] = if accumulate { target[c] + value } else { value };
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Σ w · (scale · normalised + shift), in f64.
    fn objective(x: &[f64], weights: &[f64], scale: &[f64], shift: &[f64], epsilon: f64) -> f64 {
        let channels = scale.len();
        let rows = x.len() / channels;
        let mut sum = 0.0;
        for c in 0..channels {
            let column = || (0..rows).map(|m| x[m * channels + c]);
            let mean = column().sum::<f64>() / rows as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
            for (m, x) in column().enumerate() {
                sum += weights[m * channels + c]
                    * (scale[c] * (x - mean) / (variance + epsilon).sqrt() + shift[c]);
            }
        }
        sum
    }

    #[test]
    fn statistics_and_gradients_are_those_of_the_formula() {
        for (rows, channels) in [(2, 1), (37, 5), (5000, 19)] {
            let number = |i: usize| (i as f64 * 0.7371).sin() + 3.0;
            let x: Vec<f64> = (0..rows * channels).map(number).collect();
            let weights: Vec<f64> = (0..x.len()).map(|i| (i as f64 * 1.13).cos()).collect();
            let scale: Vec<f64> = (0..channels).map(|c| 0.5 + c as f64 / 7.0).collect();
            let shift = vec![0.25; channels];
            let single =
                |values: &[f64]| -> Vec<f32> { values.iter().map(|value| *value as f32).collect() };
            let cpu = Cpu::best(2);
            let (input, scale32) = (single(&x), single(&scale));
            let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
            statistics(&cpu, &input, &mut mean, &mut variance);
            let (mut d_scale, mut d_shift, mut d_input) =
                (vec![0.0; channels], vec![0.0; channels], vec![0.0; x.len()]);
            let epsilon = 1e-3;
            let batch = Batch {
                input: &input,
                mean: &mean,
                variance: &variance,
                epsilon: epsilon as f32,
                scale: &scale32,
            };
            backward(
                &cpu,
                batch,
                &single(&weights),
                &mut d_scale,
                &mut d_shift,
                Some(&mut d_input),
                false,
            );
            for i in [0, x.len() / 2, x.len() - 1] {
                let at = |shift_by: f64| {
                    let mut moved = x.clone();
                    moved[i] += shift_by;
                    objective(&moved, &weights, &scale, &shift, epsilon)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (f64::from(d_input[i]) - difference).abs() < 1e-3,
                    "{} against {difference}",
                    d_input[i]
                );
            }
            let (factor, summand) =
                factors(&mean, &variance, epsilon as f32, &scale32, &single(&shift));
            let mut output = vec![0.0; x.len()];
            normalise(&cpu, &input, &factor, &summand, false, &mut output);
            let sum: f64 = output
                .iter()
                .zip(&weights)
                .map(|(y, w)| f64::from(*y) * w)
                .sum();
            let exact = objective(&x, &weights, &scale, &shift, epsilon);
            assert!((sum - exact).abs() < 1e-4 * x.len() as f64);
        }
    }
}
