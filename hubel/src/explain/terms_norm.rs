//! Values that are normalised together, in f64, and the derivatives: the channels of a pixel (layer norm), or a group of channels (group norm).
use std::ops::Range;

use crate::{Place, Shape};

/// Values with their mean and variance.
pub(super) struct TermsNorm {
    pub(super) mean: f64,
    /// The biased variance.
    pub(super) variance: f64,
    /// √(variance + epsilon)
    deviation: f64,
    values: Vec<f64>,
}

impl TermsNorm {
    pub(super) fn of(values: impl Iterator<Item = f32>, epsilon: f32) -> Self {
        let values: Vec<f64> = values.map(f64::from).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        let variance = squares.sum::<f64>() / count;
        Self {
            mean,
            variance,
            deviation: (variance + f64::from(epsilon)).sqrt(),
            values,
        }
    }

    /// (value − mean) / √(variance + epsilon) of a value, by its index.
    pub(super) fn normalised(&self, index: usize) -> f64 {
        (self.values[index] - self.mean) / self.deviation
    }

    /// The derivative of normalised value `of` by value `by`.
    pub(super) fn derivative(&self, of: usize, by: usize) -> f64 {
        let own = f64::from(u8::from(of == by));
        self.passed_back(own, [1.0, self.normalised(of)], by)
    }

    /// The gradient by value `by` that some normalised values pass back: from their gradients' sum, the sum of gradient · normalised value, and the gradient
    /// of normalised value `by` itself, if it is one of them.
    pub(super) fn passed_back(&self, own: f64, [sum, product]: [f64; 2], by: usize) -> f64 {
        let count = self.values.len() as f64;
        (own - (sum + self.normalised(by) * product) / count) / self.deviation
    }
}

/// The channels of a channel's group, of `groups` groups.
pub(super) fn channels_of_group(shape: Shape, groups: usize, channel: usize) -> Range<usize> {
    let of_group = shape.channels / groups;
    let first = channel / of_group * of_group;
    first..first + of_group
}

/// The places of some channels of a map, pixel by pixel.
pub(super) fn places_of(shape: Shape, channels: Range<usize>) -> impl Iterator<Item = Place> {
    let pixels = (0..shape.len()).step_by(shape.channels);
    pixels
        .flat_map(move |pixel| (channels.clone()).map(move |channel| shape.place(pixel + channel)))
}

/// The index of a place of a group among its [places](places_of).
pub(super) fn index_within(shape: Shape, channels: &Range<usize>, at: Place) -> usize {
    shape.index(at) / shape.channels * channels.len() + at.channel - channels.start
}
