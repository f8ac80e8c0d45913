//! Similarity of filters, by their weights and by their responses.
use crate::explain::{Heatmap, Kernel};
use crate::{Result, Shape};

/// A square filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    /// `[side, side, channels]`
    weights: Vec<f32>,
    side: usize,
    channels: usize,
}

/// A filter made by hand.
pub(super) struct HandMade {
    pub(super) name: &'static str,
    pub(super) filter: Filter,
}

impl HandMade {
    /// All named kernels, brought to one size. Each channel gets an equal part of the weights, so that brightness decides.
    pub(super) fn all(side: usize, channels: usize) -> Result<Vec<Self>> {
        let of = |name| {
            let kernel = Kernel::parse(name)?;
            let plane = Heatmap {
                layer: String::new(),
                time: 1,
                height: kernel.height,
                width: kernel.width,
                values: kernel.weights,
            };
            let plane = plane.resized([1, side, side]).values;
            let part = |weight: f32| vec![weight / channels as f32; channels];
            let weights = plane.into_iter().flat_map(part).collect();
            let filter = Filter::new(weights, side, channels);
            Ok(Self { name, filter })
        };
        Kernel::names().map(of).collect()
    }
}

impl Filter {
    /// From weights `[side, side, channels]`.
    pub(super) fn new(weights: Vec<f32>, side: usize, channels: usize) -> Self {
        assert_eq!(weights.len(), side * side * channels, "weights");
        Self {
            weights,
            side,
            channels,
        }
    }

    /// The sum over the channels: the response to grey.
    pub(super) fn plane(&self) -> Vec<f32> {
        let pixels = self.weights.chunks(self.channels);
        pixels.map(|channels| channels.iter().sum()).collect()
    }

    /// The root of the sum of the squares of its weights.
    pub(super) fn length(&self) -> f64 {
        product(&self.weights, &self.weights).sqrt()
    }

    /// The length of the difference.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let pairs = self.weights.iter().zip(&other.weights);
        let difference: Vec<f32> = pairs.map(|(a, b)| a - b).collect();
        product(&difference, &difference).sqrt()
    }

    /// The cosine of the angle between both after summing their channels: 1 if they differ by a positive factor, -1 if one is the reverse.
    pub(super) fn cosine(&self, other: &Self) -> f64 {
        let [a, b] = [self.plane(), other.plane()];
        let lengths = (product(&a, &a) * product(&b, &b)).sqrt();
        product(&a, &b) / lengths.max(f64::MIN_POSITIVE)
    }
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Pearson's correlation; 0 if one does not vary.
pub(super) fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let around_mean = |values: &[f32]| -> Vec<f32> {
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        let mean = (sum / values.len() as f64) as f32;
        values.iter().map(|value| value - mean).collect()
    };
    let [a, b] = [around_mean(a), around_mean(b)];
    let lengths = (product(&a, &a) * product(&b, &b)).sqrt();
    match lengths > 0.0 {
        true => product(&a, &b) / lengths,
        false => 0.0,
    }
}

/// The response of the filter at each place of images `[n, h, w, c]`: `[n, h, w]`, the sum of window × filter, plus the bias. Zero padding
/// gives as many responses as pixels.
pub(super) fn answers(images: &[f32], shape: Shape, filter: &Filter, bias: f32) -> Vec<f32> {
    let (side, channels) = (filter.side, filter.channels);
    let before = side / 2;
    let mut answers = Vec::with_capacity(images.len() / channels);
    for image in images.chunks(shape.len()) {
        for y in 0..shape.height {
            for x in 0..shape.width {
                let mut sum = f64::from(bias);
                for row in before.saturating_sub(y)..side.min(shape.height + before - y) {
                    let columns = before.saturating_sub(x)..side.min(shape.width + before - x);
                    let length = columns.len() * channels;
                    let weights = (row * side + columns.start) * channels;
                    let pixels = (y + row - before) * shape.width + x + columns.start - before;
                    sum += product(
                        &image[pixels * channels..][..length],
                        &filter.weights[weights..][..length],
                    );
                }
                answers.push(sum as f32);
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_alike_itself_by_any_factor_and_its_reverse_is_its_opposite() -> Result<()> {
        let all = HandMade::all(5, 3)?;
        for hand_made in &all {
            let by = |factor: f32| {
                let weights = hand_made
                    .filter
                    .weights
                    .iter()
                    .map(|weight| weight * factor);
                Filter::new(weights.collect(), 5, 3)
            };
            assert!((hand_made.filter.cosine(&by(3.0)) - 1.0).abs() < 1e-6);
            assert!((hand_made.filter.cosine(&by(-0.5)) + 1.0).abs() < 1e-6);
            let twice = hand_made.filter.distance(&by(-1.0)) / hand_made.filter.length();
            assert!((twice - 2.0).abs() < 1e-6, "{}", hand_made.name);
        }
        // One is horizontal, the other vertical: they are orthogonal.
        let named = |name| {
            all.iter()
                .find(|each| each.name == name)
                .expect("it exists")
        };
        assert!(
            named("sobel-x")
                .filter
                .cosine(&named("sobel-y").filter)
                .abs()
                < 1e-6
        );
        Ok(())
    }

    #[test]
    fn answers_are_window_times_filter_and_the_bias() {
        // 1 2      0 0 0
        // 3 4  and 0 1 2, the filter: 1 + 2·2, then 2; 3 + 2·4, then 4; each and the bias.
        let filter = Filter::new(vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0], 3, 1);
        let found = answers(&[1.0, 2.0, 3.0, 4.0], Shape::new(2, 2, 1), &filter, 0.5);
        assert_eq!(found, [5.5, 2.5, 11.5, 4.5]);
        // Two channels, and a picture smaller than the filter.
        let filter = Filter::new((1..19).map(|weight| weight as f32).collect(), 3, 2);
        let found = answers(&[1.0, 10.0], Shape::new(1, 1, 2), &filter, 0.0);
        assert_eq!(found, [9.0 + 100.0]);
    }

    #[test]
    fn correlation_minds_neither_factor_nor_summand() {
        assert!((correlation(&[1.0, 2.0, 4.0], &[3.0, 5.0, 9.0]) - 1.0).abs() < 1e-6);
        assert!((correlation(&[1.0, 2.0, 4.0], &[-1.0, -2.0, -4.0]) + 1.0).abs() < 1e-6);
        assert_eq!(correlation(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }
}
