//! What a batch normalisation remembers of a batch, in one buffer.
use std::ops::Range;

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
const NUMBERS: usize = 7;

/// Where the parts lie in a buffer of this length.
fn places(length: usize) -> [Range<usize>; 5] {
    let channels = length / NUMBERS;
    [0..1, 1..2, 2..3, 3..4, 4..NUMBERS].map(|part| part.start * channels..part.end * channels)
}

impl<T> Statistics<T> {
    fn from_parts([mean, variance, factor, summand, coefficients]: [T; 5]) -> Self {
        Self {
            mean,
            variance,
            factor,
            summand,
            coefficients,
        }
    }
}

impl<'a> Statistics<&'a [f32]> {
    /// Floats for so many channels.
    pub(crate) fn len(channels: usize) -> usize {
        NUMBERS * channels
    }

    pub(crate) fn of(all: &'a [f32]) -> Self {
        Self::from_parts(places(all.len()).map(|place| &all[place]))
    }
}

impl<'a> Statistics<&'a mut [f32]> {
    pub(crate) fn of_mut(all: &'a mut [f32]) -> Self {
        let parts = all.get_disjoint_mut(places(all.len()));
        Self::from_parts(parts.expect("parts of the buffer that do not overlap"))
    }
}
