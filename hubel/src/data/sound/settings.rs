//! How recordings become the input of a network.
use std::fmt;

use serde::{Deserialize, Serialize};

use super::LONGEST;
use crate::{Error, Result, Shape};

/// How a recording becomes the input of a network. A model stores it.
///
/// The recording becomes mono, is resampled to the rate, and is brought to the length: a shorter one is centred between zeros, and of
/// a longer one the loudest stretch is kept. Its log-mel spectrogram `[bands, frames, 1]` is the input, after normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SoundSettings {
    /// Length in samples.
    pub length: usize,
    /// The spectrogram.
    pub spectrogram: Spectrogram,
}

/// The settings of a spectrogram. The names in brackets are those of `librosa.feature.melspectrogram`, whose other arguments
/// keep their defaults: a periodic Hann window, frames centred on their time with zeros around the recording, power 2,
/// Slaney's mel scale and normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrogram {
    /// Samples per second (`sr`).
    pub rate: u32,
    /// Samples per window, and the size of the FFT (`n_fft`, `win_length`).
    pub window: usize,
    /// Samples between windows (`hop_length`).
    pub hop: usize,
    /// Number of mel bands (`n_mels`).
    pub bands: usize,
    /// Lower edge of the lowest band, in Hz (`fmin`).
    pub lowest: f32,
    /// Upper edge of the highest band, in Hz (`fmax`).
    pub highest: f32,
    /// The logarithm takes smaller powers as this one. It is absolute, so a value does not depend on the rest of the recording.
    pub floor: f32,
}

/// The largest accepted window, hop, and number of bands.
const LARGEST: usize = 1 << 20;

impl SoundSettings {
    /// Recordings of `length` samples at the rate of `spectrogram`.
    pub fn new(length: usize, spectrogram: Spectrogram) -> Self {
        Self {
            length,
            spectrogram,
        }
    }

    /// Samples per second.
    pub fn rate(&self) -> u32 {
        self.spectrogram.rate
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.length as f64 / f64::from(self.rate())
    }

    /// The network's input: `[bands, frames, 1]`.
    pub fn shape(&self) -> Shape {
        let frames = self.spectrogram.frames(self.length);
        Shape::new(self.spectrogram.bands, frames, 1)
    }

    /// What is wrong with the settings, if anything.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check(&self) -> Result<(), String> {
        self.spectrogram.check()?;
        match (1..=LONGEST).contains(&self.length) {
            true => Ok(()),
            false => Err(format!(
                "a length of {} samples is outside 1 to {LONGEST}",
                self.length
            )),
        }
    }
}

/// "1.0 s at 8 kHz, 40 mel bands, window 25 ms, hop 10 ms".
impl fmt::Display for SoundSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spectrogram {
            rate,
            window,
            hop,
            bands,
            ..
        } = self.spectrogram;
        let milliseconds = |samples: usize| 1e3 * samples as f64 / f64::from(rate);
        write!(
            f,
            "{} s at {}, {bands} mel bands, window {} ms, hop {} ms",
            rounded(self.seconds(), 2),
            kilohertz(rate),
            rounded(milliseconds(window), 1),
            rounded(milliseconds(hop), 1)
        )
    }
}

/// "8 kHz", "22.05 kHz".
pub(super) fn kilohertz(rate: u32) -> String {
    format!("{} kHz", f64::from(rate) / 1e3)
}

/// A number with at most so many decimals, without zeros at the end.
pub(super) fn rounded(number: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (number * factor).round() / factor
}

/// Choices about recordings; `None` leaves a choice to the data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SoundOptions {
    /// The settings of an existing model. The other fields are ignored then.
    pub model: Option<SoundSettings>,
    /// Samples per second. By default the most frequent rate of the training recordings, at most 16 kHz.
    pub rate: Option<u32>,
    /// Length in seconds. By default 95 % of the training recordings fit, and it is at most 10.
    pub seconds: Option<f32>,
    /// Number of mel bands. By default 64, or 40 below 16 kHz.
    pub bands: Option<usize>,
    /// Milliseconds per window. By default 25.
    pub window: Option<f32>,
    /// Milliseconds between windows. By default 10.
    pub hop: Option<f32>,
}

impl SoundOptions {
    /// The spectrogram at this rate.
    ///
    /// # Errors
    /// [`Error::Settings`] if the window, the hop or the number of bands is impossible.
    pub(super) fn spectrogram(&self, rate: u32) -> Result<Spectrogram> {
        let samples = |milliseconds: f32| (milliseconds * rate as f32 / 1e3).round() as usize;
        let usual = Spectrogram::at(rate);
        let spectrogram = Spectrogram {
            window: self.window.map_or(usual.window, samples),
            hop: self.hop.map_or(usual.hop, samples),
            bands: self.bands.unwrap_or(usual.bands),
            ..usual
        };
        spectrogram
            .check()
            .map_err(|problem| Error::Settings { problem })?;
        Ok(spectrogram)
    }
}

impl Spectrogram {
    /// What speech and everyday sounds need: windows of 25 ms, every 10 ms, both rounded down to samples; all frequencies;
    /// 64 bands, or 40 below 16 kHz, where more bands would be narrower than the distance of two frequencies of the FFT;
    /// a floor of −100 dB.
    pub fn at(rate: u32) -> Self {
        let samples = |per_second: u32| (rate / per_second).max(1) as usize;
        Self {
            rate,
            window: samples(40).max(2),
            hop: samples(100),
            bands: if rate < 16_000 { 40 } else { 64 },
            lowest: 0.0,
            highest: rate as f32 / 2.0,
            floor: 1e-10,
        }
    }

    /// What is wrong with the settings, if anything.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn check(&self) -> Result<(), String> {
        let half = self.rate as f32 / 2.0;
        let counts = [
            ("window", self.window, 2),
            ("hop", self.hop, 1),
            ("bands", self.bands, 1),
        ];
        for (name, value, least) in counts {
            if !(least..=LARGEST).contains(&value) {
                return Err(format!("{name} is {value}, outside {least} to {LARGEST}"));
            }
        }
        if !(self.lowest >= 0.0 && self.lowest < self.highest && self.highest <= half) {
            return Err(format!(
                "the frequencies {} to {} Hz are not a range within 0 to {half} Hz, half of the sampling rate",
                self.lowest, self.highest
            ));
        }
        if !(self.floor > 0.0 && self.floor.is_finite()) {
            return Err(format!("floor is {}, not a positive number", self.floor));
        }
        Ok(())
    }

    /// Number of windows for a recording of `samples` samples: one at time 0 and one at each hop that starts in it.
    pub fn frames(&self, samples: usize) -> usize {
        let padded = samples + 2 * (self.window / 2);
        1 + padded.saturating_sub(self.window) / self.hop
    }
}
