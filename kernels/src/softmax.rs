//! Softmax and cross-entropy. The loss and its gradient are computed in one pass.
use crate::Cpu;

/// A gradient nearer to 0 is set to 0, which changes no weight. Its products with weights, layer by layer, would become subnormal
/// floats (below 1.2e-38), and processors compute those a hundred times slower.
const SMALLEST_GRADIENT: f64 = 1e-24;

/// Writes the probabilities of each row of `classes` logits.
///
/// # Panics
/// If there is no class, no whole row of them, or not a probability for each logit.
pub fn softmax(cpu: &Cpu, logits: &[f32], classes: usize, output: &mut [f32]) {
    assert!(
        classes > 0 && logits.len().is_multiple_of(classes),
        "rows of {classes} logits, which are {} in all",
        logits.len()
    );
    assert_eq!(logits.len(), output.len(), "length of the output");
    cpu.parallel_chunks(output, classes, |n, output| {
        let logits = &logits[n * classes..][..classes];
        let sum = exponentials(logits, output);
        output.iter_mut().for_each(|value| *value /= sum);
    });
}

/// Returns the mean cross-entropy in nats of logits `[n, classes]` for `labels`, and the number of rows whose largest logit is at
/// their label. The first of equal logits counts as the largest. A NaN among the logits makes the loss NaN. Writes the gradient of
/// the mean by the logits to `gradient`. `label_smoothing` is the share of the target that is spread evenly over all classes
/// (Szegedy et al. 2016).
///
/// `class_weights` say how much each class counts in the mean; `None` means 1 for all. Only their ratios matter. They multiply the
/// smoothed target, as in PyTorch's `CrossEntropyLoss(weight, label_smoothing)`. As there, the loss is NaN if the labels of the batch
/// weigh 0 together.
///
/// # Panics
/// If there is no class, if a length does not fit, or if a label is not below `classes`.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    label_smoothing: f32,
    class_weights: Option<&[f32]>,
    gradient: &mut [f32],
) -> (f64, usize) {
    assert!(classes > 0, "logits of no class");
    assert_eq!(
        Some(logits.len()),
        labels.len().checked_mul(classes),
        "a label for each row of {classes} logits"
    );
    assert_eq!(gradient.len(), logits.len(), "length of the gradient");
    if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
        panic!("label {label} of {classes} classes");
    }
    if let Some(weights) = class_weights {
        assert_eq!(weights.len(), classes, "a weight for each class");
    }
    let weight = |class: usize| class_weights.map_or(1.0, |weights| f64::from(weights[class]));
    let smoothing = f64::from(label_smoothing);
    let rest = smoothing / classes as f64;
    let total: f64 = labels.iter().map(|label| weight(*label as usize)).sum();
    let of_all: f64 = (0..classes).map(weight).sum();
    let (mut loss, mut correct) = (0.0, 0);
    for ((logits, gradient), label) in logits
        .chunks(classes)
        .zip(gradient.chunks_mut(classes))
        .zip(labels)
    {
        let label = *label as usize;
        let sum = exponentials(logits, gradient);
        let largest = largest(logits);
        let log_sum = f64::from(logits[largest]) + f64::from(sum).ln();
        let at_label = (1.0 - smoothing) * weight(label);
        let targets = at_label + rest * of_all;
        loss += targets * log_sum - at_label * f64::from(logits[label]);
        correct += usize::from(largest == label);
        for (c, (value, logit)) in gradient.iter_mut().zip(logits).enumerate() {
            let spread = rest * weight(c);
            loss -= spread * f64::from(*logit);
            let target = spread + if c == label { at_label } else { 0.0 };
            let slope = (targets * f64::from(*value / sum) - target) / total;
            *value = flushed(slope);
        }
    }
    (loss / total, correct)
}

/// As [`cross_entropy`], for target probabilities `[n, classes]` in place of labels. A row counts as correct if its largest logit is at its
/// largest target.
///
/// The targets are smoothed, then multiplied by the class weights. The mean divides by the number of rows and not by their weight, as in
/// PyTorch's `CrossEntropyLoss` with probabilities. So the size of the weights matters here, and for targets of 0 and 1 the loss with
/// weights differs from that of the labels by a factor. Rows whose sum is not 1 count by their sum. The loss of no row is NaN.
///
/// # Panics
/// If there is no class, no whole row of them, or if a length does not fit.
pub fn cross_entropy_of_probabilities(
    logits: &[f32],
    targets: &[f32],
    classes: usize,
    label_smoothing: f32,
    class_weights: Option<&[f32]>,
    gradient: &mut [f32],
) -> (f64, usize) {
    assert!(
        classes > 0 && logits.len().is_multiple_of(classes),
        "rows of {classes} logits, which are {} in all",
        logits.len()
    );
    assert_eq!(targets.len(), logits.len(), "length of the targets");
    assert_eq!(gradient.len(), logits.len(), "length of the gradient");
    if let Some(weights) = class_weights {
        assert_eq!(weights.len(), classes, "a weight for each class");
    }
    let smoothing = f64::from(label_smoothing);
    let rest = smoothing / classes as f64;
    let weighted = |class: usize, target: f32| {
        let weight = class_weights.map_or(1.0, |weights| f64::from(weights[class]));
        weight * ((1.0 - smoothing) * f64::from(target) + rest)
    };
    let rows = (logits.len() / classes) as f64;
    let (mut loss, mut correct) = (0.0, 0);
    for ((logits, gradient), row) in logits
        .chunks(classes)
        .zip(gradient.chunks_mut(classes))
        .zip(targets.chunks(classes))
    {
        let sum = exponentials(logits, gradient);
        let largest_logit = largest(logits);
        let log_sum = f64::from(logits[largest_logit]) + f64::from(sum).ln();
        let mut of_row = 0.0;
        for (c, (target, logit)) in row.iter().zip(logits).enumerate() {
            let target = weighted(c, *target);
            of_row += target;
            loss += target * (log_sum - f64::from(*logit));
        }
        correct += usize::from(largest_logit == largest(row));
        for (c, (value, target)) in gradient.iter_mut().zip(row).enumerate() {
            let slope = (of_row * f64::from(*value / sum) - weighted(c, *target)) / rows;
            *value = flushed(slope);
        }
    }
    (loss / rows, correct)
}

/// Sets values of a gradient to 0 if they are nearer to 0 than 1e-24, as [`cross_entropy`] does. For the gradient of another loss.
pub fn flush(gradient: &mut [f32]) {
    for value in gradient {
        *value = flushed(f64::from(*value));
    }
}

/// The value of a gradient, or 0 if it is nearer to 0 than [`SMALLEST_GRADIENT`].
fn flushed(slope: f64) -> f32 {
    match slope.abs() < SMALLEST_GRADIENT {
        true => 0.0,
        false => slope as f32,
    }
}

/// Writes e^(logit − largest logit) and returns the sum.
fn exponentials(logits: &[f32], output: &mut [f32]) -> f32 {
    let shift = logits[largest(logits)];
    let mut sum = 0.0;
    for (output, logit) in output.iter_mut().zip(logits) {
        *output = (logit - shift).exp();
        sum += *output;
    }
    sum
}

/// The place of the largest value: the first of equal ones. 0 if the first value is NaN; other NaNs are no value.
pub fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;
    use crate::reference::softmax as reference;

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        let logits = [0.3, -1.2, 2.0, 0.0, 0.5, 0.4, 80.0, -80.0, 0.1];
        let labels = [2, 0, 1];
        let weights = [0.5, 4.0, 1.25];
        for (smoothing, weights) in [
            (0.0, None),
            (0.1, None),
            (0.0, Some(&weights[..])),
            (0.1, Some(&weights[..])),
        ] {
            let loss = |logits: &[f32], gradient: &mut [f32]| {
                cross_entropy(logits, &labels, 3, smoothing, weights, gradient).0
            };
            let mut gradient = [0.0; 9];
            loss(&logits, &mut gradient);
            for i in 0..9 {
                let at = |shift: f32| {
                    let mut moved = logits;
                    moved[i] += shift;
                    loss(&moved, &mut [0.0; 9])
                };
                // A power of two, so that 80 moves by it exactly.
                let shift = 1.0 / 64.0;
                let difference = (at(shift) - at(-shift)) / f64::from(2.0 * shift);
                assert!((f64::from(gradient[i]) - difference).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn the_gradient_of_probabilities_is_the_finite_difference_of_the_loss() {
        let logits = [0.3, -1.2, 2.0, 0.0, 0.5, 0.4, 80.0, -80.0, 0.1];
        // The last row has a sum of 0.9.
        let targets = [0.2, 0.5, 0.3, 0.0, 1.0, 0.0, 0.6, 0.1, 0.2];
        let weights = [0.5, 4.0, 1.25];
        for (smoothing, weights) in [
            (0.0, None),
            (0.1, None),
            (0.0, Some(&weights[..])),
            (0.1, Some(&weights[..])),
        ] {
            let loss = |logits: &[f32], gradient: &mut [f32]| {
                cross_entropy_of_probabilities(logits, &targets, 3, smoothing, weights, gradient).0
            };
            let mut gradient = [0.0; 9];
            loss(&logits, &mut gradient);
            for i in 0..9 {
                let at = |shift: f32| {
                    let mut moved = logits;
                    moved[i] += shift;
                    loss(&moved, &mut [0.0; 9])
                };
                let shift = 1.0 / 64.0;
                let difference = (at(shift) - at(-shift)) / f64::from(2.0 * shift);
                assert!((f64::from(gradient[i]) - difference).abs() < 1e-4);
            }
        }
    }

    /// Without class weights the loss is linear in the targets, and targets of 0 and 1 are labels.
    #[test]
    fn a_mixed_target_gives_the_mixed_loss_and_one_of_0_and_1_that_of_the_label() {
        let logits = [0.3, -1.2, 2.0, 0.7, 0.5, 0.4];
        let of_labels = |labels: &[u32]| {
            let mut gradient = [0.0; 6];
            let (loss, correct) = cross_entropy(&logits, labels, 3, 0.1, None, &mut gradient);
            (loss, correct, gradient)
        };
        let of_targets = |targets: &[f32]| {
            let mut gradient = [0.0; 6];
            let (loss, correct) =
                cross_entropy_of_probabilities(&logits, targets, 3, 0.1, None, &mut gradient);
            (loss, correct, gradient)
        };
        let (first, second) = (of_labels(&[2, 1]), of_labels(&[0, 0]));
        let sharp = of_targets(&[0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert!((sharp.0 - first.0).abs() < 1e-12);
        assert_eq!(sharp.1, first.1);
        let mixed = of_targets(&[0.25, 0.0, 0.75, 0.25, 0.75, 0.0]);
        assert!((mixed.0 - 0.75 * first.0 - 0.25 * second.0).abs() < 1e-12);
        assert_eq!(mixed.1, first.1, "the larger share counts");
        for c in 0..6 {
            assert!((sharp.2[c] - first.2[c]).abs() < 1e-7);
            assert!((mixed.2[c] - 0.75 * first.2[c] - 0.25 * second.2[c]).abs() < 1e-7);
        }
    }

    #[test]
    fn nan_and_hits_are_seen() {
        let plain = |logits: &[f32], labels: &[u32]| {
            let mut gradient = vec![0.0; logits.len()];
            cross_entropy(logits, labels, 2, 0.0, None, &mut gradient)
        };
        assert!(plain(&[f32::NAN, 0.0], &[0]).0.is_nan());
        assert!(plain(&[0.0, f32::NAN], &[0]).0.is_nan());
        assert_eq!(plain(&[1.0, 2.0, 3.0, 2.0], &[1, 1]).1, 1);
    }

    /// A class that weighs twice as much counts as if each of its rows were there twice.
    #[test]
    fn a_weight_is_a_count_of_rows() {
        let (first, second) = ([0.3, -1.2, 0.9], [1.5, 0.2, -0.4]);
        let mut weighted = [0.0; 6];
        let (loss, correct) = cross_entropy(
            &[first, second].concat(),
            &[1, 0],
            3,
            0.0,
            Some(&[1.0, 2.0, 7.0]),
            &mut weighted,
        );
        let mut repeated = [0.0; 9];
        let rows = [first, first, second].concat();
        let expected = cross_entropy(&rows, &[1, 1, 0], 3, 0.0, None, &mut repeated);
        assert!((loss - expected.0).abs() < 1e-12);
        assert_eq!(correct, 1, "a row counts once, whatever its class weighs");
        for c in 0..3 {
            assert!((weighted[c] - repeated[c] - repeated[3 + c]).abs() < 1e-6);
            assert!((weighted[3 + c] - repeated[6 + c]).abs() < 1e-6);
        }
    }

    proptest! {
        #[test]
        fn loss_gradient_and_probabilities_are_the_formulas(
            rows in 1..5_usize, classes in 1..40_usize, scale in 0.1..30.0_f32, smoothing in prop_oneof![Just(0.0_f32), 0.0..0.5_f32],
            spread in prop_oneof![Just(None), (0.1..5.0_f32).prop_map(Some)],
        ) {
            let logits: Vec<f32> = (0..rows * classes).map(|i| scale * (i as f32 * 12.9898).sin()).collect();
            let labels: Vec<u32> = (0..rows).map(|n| (n * 7 % classes) as u32).collect();
            let weights = spread.map(|spread| (0..classes).map(|c| 0.2 + spread * (1.0 + (c as f32 * 78.233).sin())).collect::<Vec<f32>>());
            let weights = weights.as_deref();
            let mut gradient = vec![0.0; logits.len()];
            let (loss, correct) = cross_entropy(&logits, &labels, classes, smoothing, weights, &mut gradient);
            let (expected, slope) = reference::cross_entropy(&logits, &labels, classes, smoothing, weights);
            prop_assert!((loss - expected).abs() < 1e-5 * expected.max(1.0), "{loss}, not {expected}");
            prop_assert!(correct <= rows);
            prop_assert!(gradient.iter().zip(&slope).all(|(value, exact)| (f64::from(*value) - exact).abs() < 1e-6));
            let mut targets: Vec<f32> = (0..rows * classes).map(|i| (i as f32 * 37.719).sin().abs()).collect();
            for row in targets.chunks_mut(classes) {
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|target| *target /= sum.max(1e-3));
            }
            let (loss, correct) = cross_entropy_of_probabilities(&logits, &targets, classes, smoothing, weights, &mut gradient);
            let (expected, slope) = reference::cross_entropy_of_probabilities(&logits, &targets, classes, smoothing, weights);
            prop_assert!((loss - expected).abs() < 1e-5 * expected.max(1.0), "{loss}, not {expected}");
            prop_assert!(correct <= rows);
            // Slopes are at most as large as the largest weight, which is below 11.
            prop_assert!(gradient.iter().zip(&slope).all(|(value, exact)| (f64::from(*value) - exact).abs() < 1e-5));
            for set in InstructionSet::available() {
                let mut output = vec![0.0; logits.len()];
                softmax(&Cpu::new(set, 2), &logits, classes, &mut output);
                let exact = logits.chunks(classes).flat_map(reference::softmax);
                prop_assert!(output.iter().zip(exact).all(|(value, exact)| (f64::from(*value) - exact).abs() < 1e-6));
            }
        }
    }
}
