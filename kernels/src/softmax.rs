//! Softmax, and its cross-entropy: loss and gradient in one pass.
use crate::Cpu;

/// Probabilities of each row of `classes` logits.
pub fn softmax(cpu: &Cpu, logits: &[f32], classes: usize, output: &mut [f32]) {
    assert_eq!(logits.len(), output.len());
    cpu.parallel_chunks(output, classes, |n, output| {
        let logits = &logits[n * classes..][..classes];
        let sum = exponentials(logits, output);
        output.iter_mut().for_each(|value| *value /= sum);
    });
}

/// The mean cross-entropy (nats) of logits `[n, classes]` against `labels`, and how many rows have their largest logit (the first of
/// equals) at their label. `gradient` becomes that of the mean by the logits. A NaN among the logits gives a NaN loss.
/// `label_smoothing` spreads this share of the target evenly over all classes (Szegedy et al. 2016).
///
/// # Panics
/// If a label is not below `classes`.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    label_smoothing: f32,
    gradient: &mut [f32],
) -> (f64, usize) {
    assert!(logits.len() == labels.len() * classes && gradient.len() == logits.len());
    let scale = 1.0 / labels.len() as f32;
    let rest = label_smoothing / classes as f32;
    let (mut loss, mut correct) = (0.0, 0);
    for ((logits, gradient), label) in logits
        .chunks(classes)
        .zip(gradient.chunks_mut(classes))
        .zip(labels)
    {
        let label = *label as usize;
        assert!(label < classes, "label {label} of {classes} classes");
        let sum = exponentials(logits, gradient);
        let largest = largest(logits);
        let log_sum = f64::from(logits[largest]) + f64::from(sum).ln();
        let mean = logits.iter().map(|logit| f64::from(*logit)).sum::<f64>() / classes as f64;
        let smoothing = f64::from(label_smoothing);
        loss += log_sum - (1.0 - smoothing) * f64::from(logits[label]) - smoothing * mean;
        correct += usize::from(largest == label);
        for (c, value) in gradient.iter_mut().enumerate() {
            let target = rest
                + if c == label {
                    1.0 - label_smoothing
                } else {
                    0.0
                };
            *value = scale * (*value / sum - target);
        }
    }
    (loss / labels.len() as f64, correct)
}

/// e to the logits less the largest, and their sum.
fn exponentials(logits: &[f32], output: &mut [f32]) -> f32 {
    let shift = logits[largest(logits)];
    let mut sum = 0.0;
    for (output, logit) in output.iter_mut().zip(logits) {
        *output = (logit - shift).exp();
        sum += *output;
    }
    sum
}

/// The place of the largest number, the first of equals.
fn largest(values: &[f32]) -> usize {
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
        for smoothing in [0.0, 0.1] {
            let mut gradient = [0.0; 9];
            cross_entropy(&logits, &labels, 3, smoothing, &mut gradient);
            for i in 0..9 {
                let at = |shift: f32| {
                    let mut moved = logits;
                    moved[i] += shift;
                    cross_entropy(&moved, &labels, 3, smoothing, &mut [0.0; 9]).0
                };
                let difference = (at(0.01) - at(-0.01)) / 0.02;
                assert!((f64::from(gradient[i]) - difference).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn nan_and_hits_are_seen() {
        assert!(
            cross_entropy(&[f32::NAN, 0.0], &[0], 2, 0.0, &mut [0.0; 2])
                .0
                .is_nan()
        );
        assert!(
            cross_entropy(&[0.0, f32::NAN], &[0], 2, 0.0, &mut [0.0; 2])
                .0
                .is_nan()
        );
        assert_eq!(
            cross_entropy(&[1.0, 2.0, 3.0, 2.0], &[1, 1], 2, 0.0, &mut [0.0; 4]).1,
            1
        );
    }

    proptest! {
        #[test]
        fn loss_gradient_and_probabilities_are_the_formulas(
            rows in 1..5_usize, classes in 1..40_usize, scale in 0.1..30.0_f32, smoothing in prop_oneof![Just(0.0_f32), 0.0..0.5_f32],
        ) {
            let logits: Vec<f32> = (0..rows * classes).map(|i| scale * (i as f32 * 12.9898).sin()).collect();
            let labels: Vec<u32> = (0..rows).map(|n| (n * 7 % classes) as u32).collect();
            let mut gradient = vec![0.0; logits.len()];
            let (loss, correct) = cross_entropy(&logits, &labels, classes, smoothing, &mut gradient);
            let (expected, slope) = reference::cross_entropy(&logits, &labels, classes, smoothing);
            prop_assert!((loss - expected).abs() < 1e-5 * expected.max(1.0), "{loss}, not {expected}");
            prop_assert!(correct <= rows);
            prop_assert!(gradient.iter().zip(&slope).all(|(value, exact)| (f64::from(*value) - exact).abs() < 1e-6));
            for set in InstructionSet::available() {
                let mut output = vec![0.0; logits.len()];
                softmax(&Cpu::new(set, 2), &logits, classes, &mut output);
                let exact = logits.chunks(classes).flat_map(reference::softmax);
                prop_assert!(output.iter().zip(exact).all(|(value, exact)| (f64::from(*value) - exact).abs() < 1e-6));
            }
        }
    }
}
