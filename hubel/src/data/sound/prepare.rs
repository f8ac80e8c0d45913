//! From the bytes of a sound file to the network's input. Training, evaluation and prediction use the same code.
use std::cell::RefCell;
use std::path::Path;

use image::DynamicImage;

use super::decode::{Recording, decode};
use super::length::{self, fit};
use super::mel::MelPlan;
use super::resample::Resampler;
use super::survey::HIGHEST_RATE;
use super::{SoundSettings, Spectrogram, picture};
use crate::data::thumbnail::picture_of;
use crate::data::{Medium, Preparation, Prepared, picture as pictures};
use crate::{Error, Result};

/// How many times as wide as high the picture of a recording is at most.
const WIDEST: u32 = 3;

/// A recording at a model's rate and length.
pub(super) struct Fitted {
    pub(super) samples: Vec<f32>,
    /// Where these begin in the recording, in seconds; negative if silence stands before it.
    pub(super) start: f64,
    /// Whether it was longer.
    pub(super) is_cut: bool,
}

/// Decodes a sound file, and brings it to the rate and the length of `settings`; `path` is for messages.
///
/// # Errors
/// [`Error::Recording`] if it cannot be decoded.
pub(super) fn fitted(bytes: &[u8], path: &Path, settings: &SoundSettings) -> Result<Fitted> {
    decode(bytes, path).map(|recording| fitted_recording(&recording, settings))
}

/// Brings a recording to the rate and the length of `settings`.
pub(super) fn fitted_recording(recording: &Recording, settings: &SoundSettings) -> Fitted {
    let samples = resampled(recording, settings.rate());
    Fitted {
        start: start(&samples, settings),
        is_cut: samples.len() > settings.length,
        samples: fit(&samples, settings.length),
    }
}

/// Where the input of a network begins in these samples, in seconds.
fn start(samples: &[f32], settings: &SoundSettings) -> f64 {
    length::start(samples, settings.length) as f64 / f64::from(settings.rate())
}

thread_local! {
    /// The last filter and the last plan of this thread, because planning takes longer than a short recording.
    static RESAMPLER: RefCell<Option<((u32, u32), Resampler)>> = const { RefCell::new(None) };
    static PLAN: RefCell<Option<MelPlan>> = const { RefCell::new(None) };
}

/// The samples at `rate` Hz.
pub(super) fn resampled(recording: &Recording, rate: u32) -> Vec<f32> {
    if recording.rate == rate {
        return recording.samples.clone();
    }
    let rates = (recording.rate, rate);
    RESAMPLER.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(known, _)| *known != rates) {
            let filter = Resampler::new(rates.0, rates.1).expect("both rates were checked");
            *kept = Some((rates, filter));
        }
        let (_, filter) = kept.as_mut().expect("it was just set");
        filter.resample(&recording.samples)
    })
}

/// Writes the log-mel spectrogram of samples into `out`, `[bands, frames, 1]` in dB, low frequencies at the bottom.
///
/// # Panics
/// If the settings were not checked, or a length does not fit them.
pub(super) fn spectrogram(samples: &[f32], settings: &SoundSettings, out: &mut [f32]) {
    let wanted: Spectrogram = settings.spectrogram;
    PLAN.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|plan| *plan.settings() != wanted) {
            *kept = Some(wanted.plan().expect("the settings were checked"));
        }
        let plan = kept.as_mut().expect("it was just set");
        plan.log(samples, out);
    });
}

/// A whole recording as a picture: its spectrogram, low frequencies at the bottom. A long one is narrowed. `None` if it cannot be decoded.
pub(crate) fn drawn(bytes: &[u8], path: &Path) -> Option<DynamicImage> {
    let recording = decode(bytes, path).ok()?;
    let rate = recording.rate.min(HIGHEST_RATE);
    let samples = resampled(&recording, rate);
    let settings = SoundSettings::new(samples.len(), Spectrogram::at(rate));
    let shape = settings.shape();
    let mut map = vec![0.0; shape.len()];
    spectrogram(&samples, &settings, &mut map);
    let drawn = picture_of(picture(&map), shape)?;
    let (width, height) = (drawn.width(), drawn.height());
    Some(match width > WIDEST * height {
        true => drawn.thumbnail_exact(WIDEST * height, height),
        false => drawn,
    })
}

impl Preparation {
    /// Prepares a recording from the bytes of its file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Recording`] if it cannot be decoded; [`Error::DataMismatch`] if the model is none of recordings, or damaged.
    pub(in crate::data) fn recording(&self, bytes: &[u8], path: &Path) -> Result<Prepared> {
        let settings = *self.sound_settings()?;
        let Fitted {
            samples,
            start,
            is_cut,
        } = fitted(bytes, path, &settings)?;
        Ok(Prepared {
            start,
            cut: is_cut,
            ..self.samples(&samples, &settings)
        })
    }

    /// Prepares samples at the rate and the length of the settings.
    fn samples(&self, samples: &[f32], settings: &SoundSettings) -> Prepared {
        let mut tensor = vec![0.0; self.shape.len()];
        spectrogram(samples, settings, &mut tensor);
        let pixels = picture(&tensor);
        self.normalise(&mut tensor);
        Prepared::unchanged(tensor, pixels, self.shape)
    }

    /// The settings for recordings, checked.
    fn sound_settings(&self) -> Result<&SoundSettings> {
        self.check(self.shape)?;
        match &self.medium {
            Medium::Sound(settings) => Ok(settings),
            medium => Err(Error::DataMismatch(format!(
                "the model was trained on {}, not on recordings",
                medium.kind()
            ))),
        }
    }

    /// Prepares stretches of the recording at `path`, each of the model's length; a new one begins every `hop` seconds. The last one ends with
    /// the recording. A shorter recording is one stretch, with zeros around it.
    ///
    /// # Errors
    /// As [`Preparation::picture`]; [`Error::Settings`] if the hop is less than a sample.
    pub fn stretches(&self, path: &Path, hop: f64) -> Result<impl Iterator<Item = Stretch>> {
        let settings = *self.sound_settings()?;
        let rate = f64::from(settings.rate());
        let step = (hop * rate).round() as usize;
        if step == 0 {
            return Err(Error::Settings {
                problem: format!(
                    "a new stretch of the recording cannot begin every {hop} s; give at least 0.001"
                ),
            });
        }
        let recording = decode(&pictures::contents(path)?, path)?;
        let samples = resampled(&recording, settings.rate());
        let length = settings.length;
        let last = samples.len().saturating_sub(length);
        let mut starts: Vec<usize> = (0..last).step_by(step).collect();
        starts.push(last);
        Ok(starts.into_iter().map(move |start| {
            let end = (start + length).min(samples.len());
            Stretch {
                start: start as f64 / rate,
                end: end as f64 / rate,
                prepared: Prepared {
                    start: start as f64 / rate + self::start(&samples[start..end], &settings),
                    ..self.samples(&fit(&samples[start..end], length), &settings)
                },
            }
        }))
    }
}

/// A stretch of a recording.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stretch {
    /// Its start in seconds.
    pub start: f64,
    /// Its end in seconds.
    pub end: f64,
    /// Its input of the network.
    pub prepared: Prepared,
}
