//! Softmax and cross-entropy by their definitions.

/// Probabilities of one row.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| (f64::from(*logit) - f64::from(largest)).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The mean loss of rows of logits and its gradient. Each row counts by the weight of its class. The target of a class is its share
/// times its weight.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    label_smoothing: f32,
    class_weights: Option<&[f32]>,
) -> (f64, Vec<f64>) {
    let weights: Vec<f64> = match class_weights {
        Some(weights) => weights.iter().map(|weight| f64::from(*weight)).collect(),
        None => vec![1.0; classes],
    };
    let (mut loss, mut gradient) = (0.0, Vec::new());
    let smoothing = f64::from(label_smoothing);
    let total: f64 = labels.iter().map(|label| weights[*label as usize]).sum();
    for (logits, label) in logits.chunks(classes).zip(labels) {
        let probabilities = softmax(logits);
        let target = |c: usize| {
            let hit = f64::from(u8::from(c == *label as usize));
            weights[c] * (hit * (1.0 - smoothing) + smoothing / classes as f64)
        };
        let targets: f64 = (0..classes).map(target).sum();
        for (c, probability) in probabilities.into_iter().enumerate() {
            loss -= target(c) * probability.ln();
            gradient.push((targets * probability - target(c)) / total);
        }
    }
    (loss / total, gradient)
}

/// The mean loss of rows of logits for rows of target probabilities, and its gradient. The target of a class is its smoothed probability
/// times its weight; each row counts once.
pub fn cross_entropy_of_probabilities(
    logits: &[f32],
    targets: &[f32],
    classes: usize,
    label_smoothing: f32,
    class_weights: Option<&[f32]>,
) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, Vec::new());
    let smoothing = f64::from(label_smoothing);
    let rows = (logits.len() / classes) as f64;
    for (logits, targets) in logits.chunks(classes).zip(targets.chunks(classes)) {
        let target = |c: usize| {
            let weight = class_weights.map_or(1.0, |weights| f64::from(weights[c]));
            weight * ((1.0 - smoothing) * f64::from(targets[c]) + smoothing / classes as f64)
        };
        let sum: f64 = (0..classes).map(target).sum();
        for (c, probability) in softmax(logits).into_iter().enumerate() {
            loss -= target(c) * probability.ln();
            gradient.push((sum * probability - target(c)) / rows);
        }
    }
    (loss / rows, gradient)
}
