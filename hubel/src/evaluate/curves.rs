//! ROC and precision-recall curves: how well a score separates the images of a class from all others, whatever the threshold.
use serde::Serialize;

use crate::evaluate::answers::Answers;

/// A curve over all thresholds of a score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Curve {
    /// Its points (x, y), from the highest threshold to the lowest.
    pub points: Vec<[f64; 2]>,
    /// The area below it.
    pub area: f64,
}

/// The two curves of a score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Separation {
    /// x: false-positive rate, y: true-positive rate. The area is the probability that a positive has a higher score than a negative (ties count half).
    pub roc: Curve,
    /// x: recall, y: precision. The area is the average precision: Σ (recallᵢ − recallᵢ₋₁) · precisionᵢ, as in scikit-learn.
    pub precision_recall: Curve,
}

/// The curves of scores that should be higher for positives; `None` if there are no positives or no negatives.
///
/// # Panics
/// If the lengths differ.
pub fn separation(scores: &[f32], is_positive: &[bool]) -> Option<Separation> {
    assert_eq!(scores.len(), is_positive.len(), "one truth for each score");
    let positives = is_positive.iter().filter(|is| **is).count();
    let negatives = is_positive.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (positives, negatives) = (positives as f64, negatives as f64);
    let mut roc = Curve {
        points: vec![[0.0, 0.0]],
        area: 0.0,
    };
    let mut precision_recall = Curve {
        points: Vec::new(),
        area: 0.0,
    };
    let (mut hits, mut misses) = (0.0, 0.0);
    let (mut rate, mut recall) = (0.0, 0.0);
    let mut order = order.into_iter().peekable();
    while let Some(place) = order.next() {
        match is_positive[place] {
            true => hits += 1.0,
            false => misses += 1.0,
        }
        // Equal scores are one threshold. 0 and -0 are equal, too.
        if (order.peek()).is_some_and(|next| scores[*next] == scores[place]) {
            continue;
        }
        let (next_rate, next_recall) = (misses / negatives, hits / positives);
        let precision = hits / (hits + misses);
        roc.area += (next_rate - rate) * (next_recall + recall) / 2.0;
        precision_recall.area += (next_recall - recall) * precision;
        (rate, recall) = (next_rate, next_recall);
        roc.points.push([rate, recall]);
        precision_recall.points.push([recall, precision]);
    }
    Some(Separation {
        roc,
        precision_recall,
    })
}

impl Answers {
    /// The curves of a class against all others, by its probability; `None` if no image or every image is of this class.
    pub fn separation(&self, class: usize) -> Option<Separation> {
        let scores: Vec<f32> = (0..self.len())
            .map(|place| self.probabilities(place)[class])
            .collect();
        let is_positive: Vec<bool> = self.labels().iter().map(|label| *label == class).collect();
        separation(&scores, &is_positive)
    }
}

impl Curve {
    /// At most `count` of its points, for drawing: those that are at least 1/`count` of the curve's length from the one before, and the last.
    pub fn thinned(&self, count: usize) -> Vec<[f64; 2]> {
        let Some((&first, rest)) = self.points.split_first() else {
            return Vec::new();
        };
        // From one corner of the square to the other there are at most 2 along its sides.
        let least = 2.0 / count.max(1) as f64;
        let mut kept = vec![first];
        for (number, &point) in rest.iter().enumerate() {
            let last = kept[kept.len() - 1];
            let distance = (point[0] - last[0]).abs() + (point[1] - last[1]).abs();
            if distance >= least || number + 1 == rest.len() {
                kept.push(point);
            }
        }
        kept
    }
}
