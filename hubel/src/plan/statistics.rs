//! What a batch normalisation remembers of a batch, in one buffer.

/// Parts of it; `channels` numbers each but for the last.
pub(crate) struct Statistics<T> {
    pub(crate) mean: T,
    /// The biased one.
    pub(crate) variance: T,
    /// y = factor · x + summand, before the activation.
    pub(crate) factor: T,
    pub(crate) summand: T,
    /// Those of the gradient of the input: three for each channel.
    pub(crate) coefficients: T,
}

/// Numbers for each channel.
const PARTS: usize = 7;

impl<T> Statistics<T> {
    /// Floats for so many channels.
    pub(crate) fn len(channels: usize) -> usize {
        PARTS * channels
    }
}

impl<'a> Statistics<&'a [f32]> {
    pub(crate) fn of(all: &'a [f32]) -> Self {
        let (mean, rest) = all.split_at(all.len() / PARTS);
        let (variance, rest) = rest.split_at(mean.len());
        let (factor, rest) = rest.split_at(mean.len());
        let (summand, coefficients) = rest.split_at(mean.len());
        Self {
            mean,
            variance,
            factor,
            summand,
            coefficients,
        }
    }
}

impl<'a> Statistics<&'a mut [f32]> {
    pub(crate) fn of_mut(all: &'a mut [f32]) -> Self {
        let channels = all.len() / PARTS;
        let (mean, rest) = all.split_at_mut(channels);
        let (variance, rest) = rest.split_at_mut(channels);
        let (factor, rest) = rest.split_at_mut(channels);
        let (summand, coefficients) = rest.split_at_mut(channels);
        Self {
            mean,
            variance,
            factor,
            summand,
            coefficients,
        }
    }
}
