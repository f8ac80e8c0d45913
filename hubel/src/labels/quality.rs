//! Scores of labels, each from the probabilities of one picture.
use super::GivenLabels;

/// How well a label fits the probabilities: from 0 (doubtful) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Score {
    /// The probability of the given label.
    #[default]
    SelfConfidence,
    /// (p − q + 1) / 2 for the probability p of the given label and the largest probability q of another class.
    NormalisedMargin,
    /// ln(1 + x) / x for x = entropy / (ln(classes) · p). As in cleanlab, p and the divisor x are at least 10⁻⁶. So a picture with a probability of exactly 1 has
    /// an entropy of 0 and a score of 0, even if its label is right.
    ConfidenceWeightedEntropy,
}

/// The least divisor in [`Score::ConfidenceWeightedEntropy`].
const LEAST: f64 = 1e-6;

impl GivenLabels<'_> {
    /// The score of each label.
    pub fn quality(&self, score: Score) -> Vec<f64> {
        let scores = (0..self.len()).map(|picture| {
            let (row, label) = self.row(picture);
            match score {
                Score::SelfConfidence => row[label],
                Score::NormalisedMargin => {
                    let other = row[self.suggested(picture)];
                    (row[label] - other + 1.0) / 2.0
                }
                Score::ConfidenceWeightedEntropy => {
                    let weighted = normalised_entropy(&row) / row[label].max(LEAST);
                    (weighted + 1.0).ln() / weighted.max(LEAST)
                }
            }
        });
        scores.collect()
    }
}

/// The entropy, divided by that of equal probabilities: from 0 to 1.
fn normalised_entropy(row: &[f64]) -> f64 {
    let terms = row.iter().filter(|&&p| p > 0.0).map(|&p| p * p.ln());
    // An empty sum is -0.
    0.0 - terms.sum::<f64>() / (row.len() as f64).ln()
}
