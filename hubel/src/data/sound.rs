//! Recordings: sound files, and what a network sees of them.
pub(super) mod change;
#[cfg(feature = "sound")]
pub(crate) mod copies;
#[cfg(feature = "sound")]
pub(crate) mod decode;
#[cfg(feature = "sound")]
pub(crate) mod faults;
#[cfg(feature = "sound")]
mod length;
#[cfg(feature = "sound")]
mod mel;
#[cfg(feature = "sound")]
pub(super) mod prepare;
#[cfg(feature = "sound")]
pub(super) mod reading;
#[cfg(feature = "sound")]
mod resample;
mod settings;
#[cfg_attr(not(feature = "sound"), path = "sound/no_store.rs")]
pub(super) mod store;
#[cfg(feature = "sound")]
mod survey;
#[cfg(all(test, feature = "sound"))]
pub(crate) mod tests;

use std::path::Path;

#[cfg(feature = "sound")]
pub(crate) use prepare::drawn;
pub use settings::{SoundOptions, SoundSettings, Spectrogram};

/// Extensions of files that are recordings.
pub(super) const ENDINGS: [&str; 10] = [
    "wav", "wave", "flac", "mp3", "ogg", "oga", "aif", "aiff", "aifc", "rf64",
];

/// Extensions of unsupported recordings, which are reported.
pub(super) const FOREIGN_ENDINGS: [&str; 16] = [
    "opus", "m4a", "m4b", "aac", "wma", "amr", "ac3", "mp2", "ape", "wv", "caf", "au", "snd",
    "webm", "mka", "3gp",
];

/// The longest accepted recording, in samples of one channel: one hour at 48 kHz. As mono f32 it takes 691 MB.
const LONGEST: usize = 3600 * 48_000;

/// Whether a file is a recording by its extension.
pub(crate) fn is_named(path: &Path) -> bool {
    has_ending(path, &ENDINGS)
}

/// Whether a file has one of these extensions, whatever its capitals.
pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().unwrap_or_default();
    let mut endings = endings.iter();
    endings.any(|known| ending.eq_ignore_ascii_case(known))
}

/// A picture shows this many dB below the loudest value.
const SHOWN_DECIBELS: f32 = 80.0;

/// A spectrogram in dB as a grey picture: its loudest value is white, 80 dB less are black. Silence is black.
pub(super) fn picture(map: &[f32]) -> Vec<u8> {
    let loudest = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if map.iter().all(|value| *value == loudest) {
        return vec![0; map.len()];
    }
    let levels = map.iter();
    levels
        .map(|value| (255.0 * (1.0 + (value - loudest) / SHOWN_DECIBELS)).round() as u8)
        .collect()
}
