use proptest::prelude::*;

use super::*;
use crate::{Buffer, InstructionSet};

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

fn both_factors(
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    scale: &[f32],
    shift: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let (mut factor, mut summand) = (vec![0.0; mean.len()], vec![0.0; mean.len()]);
    let (to, and) = (&mut factor, &mut summand);
    factors(mean, variance, epsilon, scale, shift, to, and);
    (factor, summand)
}

#[test]
fn statistics_and_gradients_are_those_of_the_formula() {
    for (rows, channels) in [(2, 1), (37, 5), (5000, 19)] {
        let wave = |i: usize| (i as f64 * 0.7371).sin() + 3.0;
        let x: Vec<f64> = (0..rows * channels).map(wave).collect();
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
            shift: &single(&shift),
        };
        let (gradient, coefficients) = (single(&weights), &mut vec![0.0; 3 * channels]);
        let (to_scale, to_shift) = (&mut d_scale, &mut d_shift);
        backward(
            &cpu,
            batch,
            &gradient,
            None,
            to_scale,
            to_shift,
            coefficients,
        )
        .write(&cpu, &mut d_input, false);
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
            both_factors(&mean, &variance, epsilon as f32, &scale32, &single(&shift));
        let mut output = vec![0.0; x.len()];
        normalise(
            &cpu,
            &input,
            &factor,
            &summand,
            None,
            Activation::Identity,
            &mut output,
        );
        let sum: f64 = output
            .iter()
            .zip(&weights)
            .map(|(y, w)| f64::from(*y) * w)
            .sum();
        let exact = objective(&x, &weights, &scale, &shift, epsilon);
        assert!((sum - exact).abs() < 1e-4 * x.len() as f64);
    }
}

/// Output, mean, variance and gradients of one step, one after the other.
fn everything(cpu: &Cpu, input: &[f32], gradient: &[f32], channels: usize) -> Vec<f32> {
    let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
    statistics(cpu, input, &mut mean, &mut variance);
    let scale: Vec<f32> = (0..channels).map(|c| 0.5 + c as f32 / 9.0).collect();
    let shift = vec![0.25; channels];
    let (factor, summand) = both_factors(&mean, &variance, 1e-3, &scale, &shift);
    let mut output = vec![0.0; input.len()];
    normalise(
        cpu,
        input,
        &factor,
        &summand,
        Some(gradient),
        Activation::Relu,
        &mut output,
    );
    let batch = Batch {
        input,
        mean: &mean,
        variance: &variance,
        epsilon: 1e-3,
        scale: &scale,
        shift: &shift,
    };
    let (mut d_scale, mut d_shift) = (vec![0.0; channels], vec![0.0; channels]);
    let mut d_input = vec![1.0; input.len()];
    let (to_scale, to_shift) = (&mut d_scale, &mut d_shift);
    let coefficients = &mut vec![0.0; 3 * channels];
    backward(cpu, batch, gradient, None, to_scale, to_shift, coefficients).write(
        cpu,
        &mut d_input,
        true,
    );
    [output, mean, variance, d_scale, d_shift, d_input].concat()
}

/// The same, by the formulas in f64.
fn oracle(input: &[f32], gradient: &[f32], channels: usize) -> Vec<f64> {
    let rows = input.len() / channels;
    let mut parts = vec![
        vec![0.0; input.len()],
        vec![0.0; channels],
        vec![0.0; channels],
    ];
    parts.extend([
        vec![0.0; channels],
        vec![0.0; channels],
        vec![0.0; input.len()],
    ]);
    for c in 0..channels {
        let column = |from: &[f32]| -> Vec<f64> {
            from.iter()
                .skip(c)
                .step_by(channels)
                .map(|x| f64::from(*x))
                .collect()
        };
        let (x, g) = (column(input), column(gradient));
        let mean_of = |values: &[f64]| values.iter().sum::<f64>() / rows as f64;
        let mean = mean_of(&x);
        let variance = mean_of(&x.iter().map(|x| (x - mean).powi(2)).collect::<Vec<_>>());
        let deviation = (variance + 1e-3).sqrt();
        let normal: Vec<f64> = x.iter().map(|x| (x - mean) / deviation).collect();
        let products: Vec<f64> = g.iter().zip(&normal).map(|(g, x)| g * x).collect();
        let scale = 0.5 + c as f64 / 9.0;
        (parts[1][c], parts[2][c]) = (mean, variance);
        let (mean_gradient, mean_product) = (mean_of(&g), mean_of(&products));
        parts[3][c] = mean_product * rows as f64;
        parts[4][c] = mean_gradient * rows as f64;
        for m in 0..rows {
            parts[0][m * channels + c] = (scale * normal[m] + 0.25 + g[m]).max(0.0);
            parts[5][m * channels + c] =
                1.0 + scale / deviation * (g[m] - mean_gradient - normal[m] * mean_product);
        }
    }
    parts.concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Maps of one row and more, channels that do not fill a vector, several blocks.
    #[test]
    fn all_passes_are_the_formulas_on_all_instruction_sets(
        rows in prop_oneof![1..40_usize, 2000..2100_usize],
        channels in prop_oneof![1..40_usize, 60..70_usize, 128..131_usize],
    ) {
        let wave = |i: usize, seed: f32| ((i as f32 + seed) * 0.7371).sin();
        let input: Vec<f32> = (0..rows * channels).map(|i| 2.0 * wave(i, 0.0) + 3.0).collect();
        let gradient: Vec<f32> = (0..rows * channels).map(|i| wave(i, 9.0)).collect();
        let expected_all = oracle(&input, &gradient, channels);
        for set in InstructionSet::available() {
            let values = everything(&Cpu::new(set, 1), &input, &gradient, channels);
            for (i, (value, expected)) in values.iter().zip(&expected_all).enumerate() {
                // The mean is rounded to f32. Where the variance is small, the error is a large part of x − mean.
                let variance = expected_all[(rows + 1) * channels + i % channels];
                let of_sum = 2e-5 + 2e-6 * (rows as f64).sqrt();
                let bound = of_sum * (1.0 + 1.0 / (variance + 1e-3)) * expected.abs().max(1.0);
                prop_assert!((f64::from(*value) - expected).abs() < bound, "{set} {i}: {value} {expected}");
            }
            prop_assert_eq!(&everything(&Cpu::new(set, 3), &input, &gradient, channels), &values);
        }
    }
}

#[test]
fn a_nan_shows_behind_relu() {
    let mut output = [0.0; 2];
    normalise(
        &Cpu::best(1),
        &[f32::NAN, -1.0],
        &[1.0],
        &[0.0],
        None,
        Activation::Relu,
        &mut output,
    );
    assert!(output[0].is_nan() && output[1] == 0.0);
}

/// Memory that begins on a cache line, so that maps are streamed, and memory that does not. The last row fills its cache lines, or not.
#[test]
fn large_maps_do_not_depend_on_where_they_lie() {
    for (rows, channels) in [(2001, 8), (2000, 8), (500, 64), (301, 96), (700, 5)] {
        let length = rows * channels;
        let waves = |seed: f32| -> Vec<f32> {
            let wave = |i: usize| ((i as f32 + seed) * 0.7371).sin();
            (0..length).map(wave).collect()
        };
        let (input, gradient) = (waves(0.0), waves(9.0));
        let (mean, scale) = (vec![0.125; channels], vec![0.75; channels]);
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            let written = |shift: usize| {
                let mut output = Buffer::zeros(length + shift);
                let mut d_input = output.clone();
                let relu = Activation::Relu;
                normalise(
                    &cpu,
                    &input,
                    &scale,
                    &mean,
                    Some(&gradient),
                    relu,
                    &mut output[shift..],
                );
                let batch = Batch {
                    input: &input,
                    mean: &mean,
                    variance: &scale,
                    epsilon: 1e-3,
                    scale: &scale,
                    shift: &mean,
                };
                let (mut d_scale, mut d_shift) = (mean.clone(), mean.clone());
                let (to_scale, to_shift) = (&mut d_scale, &mut d_shift);
                let coefficients = &mut vec![0.0; 3 * channels];
                backward(
                    &cpu,
                    batch,
                    &gradient,
                    None,
                    to_scale,
                    to_shift,
                    coefficients,
                )
                .write(&cpu, &mut d_input[shift..], false);
                [&output[shift..], &d_input[shift..], &d_scale, &d_shift].concat()
            };
            assert!(written(0) == written(1), "{set} {rows}×{channels}");
        }
    }
}

/// Gradients of scale, shift and input.
fn gradients(batch: Batch<'_>, output_gradient: &[f32], parts: Option<&[f32]>) -> [Vec<f32>; 3] {
    let channels = batch.mean.len();
    let [mut scale, mut shift] = [vec![0.0; channels], vec![0.0; channels]];
    let mut input = vec![0.0; output_gradient.len()];
    let cpu = Cpu::best(2);
    let (to_scale, to_shift) = (&mut scale, &mut shift);
    let coefficients = &mut vec![0.0; 3 * channels];
    backward(
        &cpu,
        batch,
        output_gradient,
        parts,
        to_scale,
        to_shift,
        coefficients,
    )
    .write(&cpu, &mut input, false);
    [scale, shift, input]
}

#[test]
fn sums_that_a_convolution_took_give_the_same_statistics_and_gradients() {
    let (rows, channels) = (500, 7);
    let wave = |i: usize| (i as f32 * 0.7371).sin() + 2.0;
    let input: Vec<f32> = (0..rows * channels).map(wave).collect();
    let cpu = Cpu::best(2);
    let [mut mean, mut variance] = [vec![0.0; channels], vec![0.0; channels]];
    statistics(&cpu, &input, &mut mean, &mut variance);
    // The sums about an origin, in two parts.
    let parts = |origin: &[f32], terms: &dyn Fn(usize) -> [f32; 2]| -> Vec<f32> {
        let mut parts = vec![0.0; 2 * 2 * origin.len()];
        for i in 0..rows * channels {
            let part = &mut parts[if i < 1000 { 0 } else { 2 * channels }..];
            let [first, second] = terms(i);
            part[i % channels] += first;
            part[channels + i % channels] += second;
        }
        parts
    };
    let origin = vec![1.5; channels];
    let sums = parts(&origin, &|i| {
        let difference = input[i] - origin[i % channels];
        [difference, difference * difference]
    });
    let [mut summed_mean, mut summed_variance] = [vec![0.0; channels], vec![0.0; channels]];
    let mut told = |sums: &[f32], origin: &[f32]| {
        statistics_of_sums(
            sums,
            origin,
            rows,
            1e-5,
            &mut summed_mean,
            &mut summed_variance,
        )
    };
    let far = vec![-100.0; channels];
    let about_far = parts(&far, &|i| {
        let difference = input[i] + 100.0;
        [difference, difference * difference]
    });
    assert!(!told(&about_far, &far));
    assert!(told(&sums, &origin));
    for c in 0..channels {
        assert!((mean[c] - summed_mean[c]).abs() < 1e-5);
        assert!((variance[c] - summed_variance[c]).abs() < 1e-5);
    }

    let scale: Vec<f32> = (0..channels).map(|c| 0.5 + c as f32 / 9.0).collect();
    let shift: Vec<f32> = (0..channels).map(|c| c as f32 / 3.0 - 1.0).collect();
    let (factor, summand) = both_factors(&mean, &variance, 1e-5, &scale, &shift);
    let y: Vec<f32> = (0..input.len())
        .map(|i| (factor[i % channels] * input[i] + summand[i % channels]).max(0.0))
        .collect();
    let gradient: Vec<f32> = (0..y.len())
        .map(|i| {
            if y[i] > 0.0 {
                (i as f32 * 1.13).cos()
            } else {
                0.0
            }
        })
        .collect();
    let sums = parts(&shift, &|i| {
        [gradient[i], gradient[i] * (y[i] - shift[i % channels])]
    });
    let batch = Batch {
        input: &input,
        mean: &mean,
        variance: &variance,
        epsilon: 1e-5,
        scale: &scale,
        shift: &shift,
    };
    let found = gradients(batch, &gradient, Some(&sums)).concat();
    let expected = gradients(batch, &gradient, None).concat();
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() < 1e-4,
            "{found} instead of {expected}"
        );
    }

    // With a scale of 0 or almost 0, the normalised input does not follow from the output. The sums are then computed anew.
    for small in [0.0, 1e-4] {
        let mut scale = scale.clone();
        scale[3] = small;
        let shift = vec![0.5; channels];
        let batch = Batch {
            scale: &scale,
            shift: &shift,
            ..batch
        };
        let useless = vec![f32::NAN; sums.len()];
        let found = gradients(batch, &gradient, Some(&useless));
        assert_eq!(found, gradients(batch, &gradient, None));
    }
}
