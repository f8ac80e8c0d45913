//! Random changes to recordings and their spectrograms.
use std::fmt;

use super::between;
use crate::Shape;
use crate::data::sound::change;
use crate::random::Stream;

/// The names of the operations.
pub(super) const NAMES: [&str; 5] = ["timeshift", "gain", "noise", "timemask", "bandmask"];

/// One random change to a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SoundOperation {
    /// Moves it by up to this share of its length.
    TimeShift(f32),
    /// Changes its loudness by up to this many dB.
    Gain(f32),
    /// Adds noise with a signal-to-noise ratio between these, in dB.
    Noise([f32; 2]),
    /// Hides up to this many frames.
    TimeMask(usize),
    /// Hides up to this many bands.
    BandMask(usize),
}

/// The operations of the preset of this name.
pub(super) fn preset(name: &str) -> Option<Vec<SoundOperation>> {
    use SoundOperation::{BandMask, Gain, Noise, TimeMask, TimeShift};
    Some(match name {
        "none" => vec![],
        "light" => vec![TimeShift(0.1), Gain(6.0)],
        "standard" => vec![TimeShift(0.1), Gain(6.0), TimeMask(10), BandMask(6)],
        "strong" => vec![
            TimeShift(0.2),
            Gain(10.0),
            Noise([10.0, 40.0]),
            TimeMask(20),
            TimeMask(20),
            BandMask(10),
        ],
        _ => return None,
    })
}

impl SoundOperation {
    /// See `Operation::code`.
    pub(super) fn code(self) -> u64 {
        match self {
            Self::TimeShift(_) => 9,
            Self::Gain(_) => 10,
            Self::Noise(_) => 11,
            Self::TimeMask(_) => 12,
            Self::BandMask(_) => 13,
        }
    }

    /// Changes the samples.
    pub(super) fn change(self, samples: &mut [f32], mut stream: Stream) {
        match self {
            Self::TimeShift(most) => change::shift(samples, most, stream.uniform()),
            Self::Gain(most) => change::gain(samples, most, stream.uniform()),
            Self::Noise([min, max]) => {
                let ratio = between(&mut stream, min, max);
                change::noise(samples, ratio, || stream.uniform());
            }
            Self::TimeMask(_) | Self::BandMask(_) => {}
        }
    }

    /// Hides a part of the spectrogram `[bands, frames, 1]`.
    pub(super) fn hide(self, map: &mut [f32], shape: Shape, mut stream: Stream) {
        let draws = [stream.uniform(), stream.uniform()];
        let (mean, frames) = (change::mean(map), shape.width);
        match self {
            Self::TimeMask(widest) => change::mask_time(map, frames, widest, mean, draws),
            Self::BandMask(widest) => change::mask_bands(map, frames, widest, mean, draws),
            Self::TimeShift(_) | Self::Gain(_) | Self::Noise(_) => {}
        }
    }
}

/// The text that [`parse`](super::text::parse) parses as the same operation.
impl fmt::Display for SoundOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeShift(share) => write!(f, "timeshift({share})"),
            Self::Gain(decibels) => write!(f, "gain({decibels})"),
            Self::Noise([min, max]) => write!(f, "noise({min}, {max})"),
            Self::TimeMask(frames) => write!(f, "timemask({frames})"),
            Self::BandMask(bands) => write!(f, "bandmask({bands})"),
        }
    }
}
