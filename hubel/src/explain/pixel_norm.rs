//! Layer norm of one pixel in f64, and its derivatives.

/// The values of a pixel with their mean and variance.
pub(super) struct PixelNorm {
    pub(super) mean: f64,
    /// The biased variance.
    pub(super) variance: f64,
    /// √(variance + epsilon)
    deviation: f64,
    values: Vec<f64>,
}

impl PixelNorm {
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

    /// (value − mean) / √(variance + epsilon) of a channel.
    pub(super) fn normalised(&self, channel: usize) -> f64 {
        (self.values[channel] - self.mean) / self.deviation
    }

    /// The derivative of the normalised value of channel `of` by the value of channel `by`.
    pub(super) fn derivative(&self, of: usize, by: usize) -> f64 {
        let own = f64::from(u8::from(of == by));
        let count = self.values.len() as f64;
        (own - (1.0 + self.normalised(of) * self.normalised(by)) / count) / self.deviation
    }
}
