//! What a batch norm keeps of a batch, in one buffer.
use std::ops::Range;

/// The parts of the buffer. Each has one value for each channel, the last has three.
pub(crate) struct Statistics<T> {
    pub(crate) mean: T,
    /// The biased variance.
    pub(crate) variance: T,
    /// y = factor · x + summand, before the activation.
    pub(crate) factor: T,
    pub(crate) summand: T,
    /// The coefficients of the input gradient: three for each channel.
    pub(crate) coefficients: T,
}

/// Values for each channel.
const NUMBERS: usize = 7;

/// The places of the parts in a buffer of this length.
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
    /// Floats of the buffer.
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
