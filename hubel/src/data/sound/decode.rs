//! Decodes sound files to mono samples, with limits that are checked before memory is allocated.
mod compressed;
mod kind;
mod ogg;
mod pcm;
mod riff;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::LONGEST;
use crate::{Error, Result};
use kind::Kind;

/// Accepted sampling rates, in Hz. 768 kHz is the highest that sound cards and file formats offer.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 1000..=768_000;

/// Samples above this are an error in the scale of a float file, such as 16-bit integers written as floats: full scale is 1.
const ABSURD_PEAK: f32 = 16.0;

/// A decoded sound file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    /// The mean of all channels, each value in [−1, 1]; never empty.
    pub(crate) samples: Vec<f32>,
    /// Samples per second.
    pub(crate) rate: u32,
    /// Number of channels in the file.
    pub(crate) channels: usize,
    /// What the file is, such as "16-bit PCM in WAV" or "MP3".
    pub(crate) coding: String,
    /// Number of samples that were beyond full scale and are now ±1. Usual for loud MP3 and Vorbis files.
    pub(crate) beyond_full_scale: usize,
    /// What was wrong with the file but did not prevent decoding; sentences without a full stop.
    pub(crate) notes: Vec<String>,
}

/// What a decoder found, before the checks that all formats share.
struct Decoded {
    samples: Vec<f32>,
    rate: u32,
    channels: usize,
    coding: String,
    notes: Vec<String>,
    /// Samples of one channel that the file announces, where it does.
    announced: Option<u64>,
    /// Whether damaged packets were left out.
    damaged: bool,
}

/// Decodes a sound file in memory: WAV (PCM, float, A-law, µ-law, ADPCM), AIFF, FLAC, MP3, Ogg Vorbis and Ogg FLAC. The kind
/// is detected by contents; `path` is for messages, and decides only if the contents are not conclusive.
///
/// # Errors
/// If the bytes are no such file, damaged, broken off, silent for lack of samples, longer than [`LONGEST`], or have a rate
/// outside [`RATES`]. The reason names the kind of a file that is known but not supported.
pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Recording> {
    // A decoder that panics on one file in a million must not stop the work on the others.
    catch_unwind(AssertUnwindSafe(|| checked(bytes, path)))
        .unwrap_or_else(|_| {
            Err(format!(
                "its decoder failed; save it again with another program, or leave it out, for example: {}",
                conversion(path)
            ))
        })
        .map_err(|problem| Error::Recording {
            path: path.to_owned(),
            problem,
        })
}

/// Decodes, then applies the checks that all formats share.
fn checked(bytes: &[u8], path: &Path) -> Result<Recording, String> {
    if bytes.is_empty() {
        return Err("it is empty; copy it again or delete it".to_owned());
    }
    let bytes = kind::without_tags(bytes);
    let decoded = match kind::detect(bytes, path) {
        Kind::Wav => riff::wav(bytes)?.decode()?,
        Kind::Aiff => riff::aiff(bytes)?.decode()?,
        Kind::Flac => compressed::flac(bytes)?,
        Kind::Mp3 => compressed::mp3(bytes)?,
        Kind::Ogg => compressed::ogg(bytes)?,
        Kind::Unsupported(name) => {
            return Err(format!(
                "it is {name}, which hubel cannot decode; convert it: {}",
                conversion(path)
            ));
        }
        Kind::NoSound(name) => {
            return Err(format!("it is {name}, no recording; leave it out"));
        }
        Kind::Unknown => {
            return Err(
                "its contents have no known sound format (WAV, FLAC, MP3, Ogg Vorbis, AIFF)"
                    .to_owned(),
            );
        }
    };
    finished(decoded)
}

/// Checks lengths, and that all samples are finite and in [−1, 1].
fn finished(decoded: Decoded) -> Result<Recording, String> {
    let Decoded {
        mut samples,
        rate,
        channels,
        coding,
        notes,
        announced,
        damaged,
    } = decoded;
    let seconds = |samples: u64| samples as f64 / f64::from(rate);
    if let Some(announced) = announced.filter(|&announced| announced > samples.len() as u64) {
        let [present, all] = [samples.len() as u64, announced].map(seconds);
        return Err(if damaged {
            format!(
                "it is damaged: {present:.2} s of {all:.2} s can be decoded; copy or download it again"
            )
        } else {
            format!("it breaks off after {present:.2} s of {all:.2} s; copy or download it again")
        });
    }
    if samples.is_empty() {
        return Err("it has no samples; record it again or delete it".to_owned());
    }
    let wrong = samples.iter().filter(|sample| !sample.is_finite()).count();
    if wrong > 0 {
        return Err(format!(
            "it has {wrong} samples that are no finite numbers; save it again or leave it out"
        ));
    }
    let peak = samples
        .iter()
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    if peak > ABSURD_PEAK {
        return Err(format!(
            "its samples reach {peak:.0}, but full scale is 1; divide them by their full scale, such as 32768, and save it again"
        ));
    }
    let beyond_full_scale = samples.iter().filter(|sample| sample.abs() > 1.0).count();
    if beyond_full_scale > 0 {
        samples
            .iter_mut()
            .for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
    }
    Ok(Recording {
        samples,
        rate,
        channels,
        coding,
        beyond_full_scale,
        notes,
    })
}

/// An error if the rate is outside [`RATES`].
fn check_rate(rate: u32) -> Result<(), String> {
    if RATES.contains(&rate) {
        return Ok(());
    }
    Err(format!(
        "its sampling rate is {rate} Hz, outside {} to {} Hz; its header is probably damaged",
        RATES.start(),
        RATES.end()
    ))
}

/// An error if a recording of `samples` per channel is longer than [`LONGEST`].
fn check_length(samples: u64) -> Result<(), String> {
    if samples <= LONGEST as u64 {
        return Ok(());
    }
    Err(format!(
        "it has {samples} samples per channel, more than the limit of {LONGEST} (one hour at 48 kHz); cut it into parts"
    ))
}

/// The command that converts the file at `path` to WAV.
fn conversion(path: &Path) -> String {
    let is_wav = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("wav"));
    let target = if is_wav {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!("{stem}-converted.wav"))
    } else {
        path.with_extension("wav")
    };
    format!(
        "ffmpeg -i {} {}",
        quoted(&path.to_string_lossy()),
        quoted(&target.to_string_lossy())
    )
}

/// A word of a shell command.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}
