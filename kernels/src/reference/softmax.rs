//! Softmax and cross-entropy by definition.

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

/// The mean loss of rows of logits, and its gradient.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[u32],
    classes: usize,
    label_smoothing: f32,
) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, Vec::new());
    let smoothing = f64::from(label_smoothing);
    for (logits, label) in logits.chunks(classes).zip(labels) {
        for (c, probability) in softmax(logits).into_iter().enumerate() {
            let hit = f64::from(u8::from(c == *label as usize));
            let target = hit * (1.0 - smoothing) + smoothing / classes as f64;
            loss -= target * probability.ln();
            gradient.push((probability - target) / labels.len() as f64);
        }
    }
    (loss / labels.len() as f64, gradient)
}
