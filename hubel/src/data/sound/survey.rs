//! Decodes all recordings once, and chooses settings that suit the training recordings.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::decode::{Recording, decode};
use super::settings::{kilohertz, rounded};
use super::{SoundOptions, SoundSettings, Spectrogram};
use crate::data::catalogue::{File, thousands};
use crate::data::fingerprint::Fingerprint;
use crate::on_all_cores::on_all_cores;
use crate::{Error, Result, shown};

/// The highest rate that is chosen by default: speech and most sounds differ below 8 kHz, and each doubling doubles the work.
pub(super) const HIGHEST_RATE: u32 = 16_000;

/// The longest length that is chosen by default, in seconds.
const LONGEST_SECONDS: f64 = 10.0;

/// Share of the training recordings that fit into the length chosen by default.
const FITTING: f64 = 0.95;

/// The fewest windows of the length chosen by default, so that the default network's poolings fit.
const FEWEST_FRAMES: usize = 16;

/// A decoded file.
pub(super) struct Surveyed {
    pub(super) fingerprint: Fingerprint,
    rate: u32,
    /// Samples at its own rate.
    length: usize,
    /// What is strange about it.
    note: Option<String>,
    /// The decoded recording, if there is room for it.
    pub(super) recording: Option<Recording>,
}

impl Surveyed {
    fn seconds(&self) -> f64 {
        self.length as f64 / f64::from(self.rate)
    }
}

/// Decodes all files on all cores, and keeps the recordings that fit into `room` bytes.
pub(super) fn decode_all(
    files: &[File],
    room: usize,
    listen: impl Fn(usize) + Sync,
) -> Vec<Result<Surveyed>> {
    let free = AtomicUsize::new(room);
    let look = |file: &File| {
        let contents = file.contents()?;
        let recording = decode(&contents, &file.path)?;
        let bytes = size_of::<f32>() * recording.samples.len();
        let take = |free: usize| free.checked_sub(bytes);
        let fits = free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        Ok(Surveyed {
            fingerprint: Fingerprint::of_content(&contents),
            rate: recording.rate,
            length: recording.samples.len(),
            note: recording.notes.first().cloned(),
            recording: fits.is_ok().then_some(recording),
        })
    };
    on_all_cores(files.iter(), look, listen)
}

/// The settings that `options` ask for, completed to suit the training recordings, and notes about them.
///
/// # Errors
/// [`Error::Settings`] if the settings are impossible.
pub(super) fn settings(
    training: &[(&File, &Surveyed)],
    options: &SoundOptions,
) -> Result<(SoundSettings, Vec<String>)> {
    if let Some(settings) = options.model {
        return Ok((settings, notes(training, &settings, options)));
    }
    let usual = most_frequent_rate(training).min(HIGHEST_RATE);
    let spectrogram = options.spectrogram(options.rate.unwrap_or(usual))?;
    let length = match options.seconds {
        Some(seconds) => (f64::from(seconds) * f64::from(spectrogram.rate)).round() as usize,
        None => usual_length(training, &spectrogram),
    };
    let settings = SoundSettings::new(length, spectrogram);
    settings
        .check()
        .map_err(|problem| Error::Settings { problem })?;
    Ok((settings, notes(training, &settings, options)))
}

/// The most frequent rate; of equally frequent ones the highest.
fn most_frequent_rate(training: &[(&File, &Surveyed)]) -> u32 {
    let rates = rates(training).into_iter();
    let most = rates.max_by_key(|(_, count)| *count);
    most.map_or(HIGHEST_RATE, |(rate, _)| rate)
}

fn rates(training: &[(&File, &Surveyed)]) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for (_, surveyed) in training {
        *counts.entry(surveyed.rate).or_default() += 1;
    }
    counts
}

/// The length in samples that [`FITTING`] of the training recordings do not exceed, rounded up to a hop.
fn usual_length(training: &[(&File, &Surveyed)], spectrogram: &Spectrogram) -> usize {
    let mut seconds: Vec<f64> = training.iter().map(|(_, own)| own.seconds()).collect();
    seconds.sort_by(f64::total_cmp);
    let place = (FITTING * seconds.len() as f64).ceil() as usize;
    let fitting = seconds.get(place.saturating_sub(1)).copied();
    let rate = f64::from(spectrogram.rate);
    let samples = fitting.unwrap_or(1.0).min(LONGEST_SECONDS) * rate;
    let hop = spectrogram.hop;
    let fewest = (FEWEST_FRAMES * hop).max(spectrogram.window);
    ((samples.round() as usize).next_multiple_of(hop)).max(fewest)
}

/// What was decided about the training recordings, and what is strange about some of them.
fn notes(
    training: &[(&File, &Surveyed)],
    settings: &SoundSettings,
    options: &SoundOptions,
) -> Vec<String> {
    let seconds = || training.iter().map(|(_, own)| own.seconds());
    let shortest = seconds().fold(f64::INFINITY, f64::min);
    let longest = seconds().fold(0.0, f64::max);
    let half_a_sample = 0.5 / f64::from(settings.rate());
    let longer = seconds()
        .filter(|own| *own > settings.seconds() + half_a_sample)
        .count();
    let cut = match longer {
        0 => String::new(),
        _ => format!(
            ", {} longer ones cut at their loudest stretch",
            thousands(longer)
        ),
    };
    let mut notes = vec![format!(
        "recordings of {} to {} s become {settings}: shorter ones are padded{cut}",
        rounded(shortest, 2),
        rounded(longest, 2),
    )];
    notes.extend(rates_note(&rates(training), settings.rate(), options));
    let strange = training
        .iter()
        .filter_map(|(file, own)| Some((file, own.note.as_ref()?)));
    let strange: Vec<_> = strange.collect();
    if let Some((file, note)) = strange.first() {
        notes.push(format!(
            "{} of the recordings {} unusual, such as {}: {note}",
            thousands(strange.len()),
            if strange.len() == 1 { "is" } else { "are" },
            shown(&file.path)
        ));
    }
    notes
}

/// A note on recordings of another rate than the chosen one.
fn rates_note(rates: &BTreeMap<u32, usize>, chosen: u32, options: &SoundOptions) -> Option<String> {
    let others: Vec<(&u32, &usize)> = rates.iter().filter(|(rate, _)| **rate != chosen).collect();
    let all: usize = rates.values().sum();
    let count: usize = others.iter().map(|(_, count)| **count).sum();
    let &(&highest, _) = others.last()?;
    let named: Vec<String> = others
        .iter()
        .take(4)
        .map(|(rate, _)| kilohertz(**rate))
        .collect();
    let which = match count == all {
        true if count == 1 => "the recording".to_owned(),
        true => "the recordings".to_owned(),
        false => format!("{} of the recordings", thousands(count)),
    };
    let more = match highest > chosen
        && options
            .rate
            .or(options.model.map(|own| own.rate()))
            .is_none()
    {
        true => format!(" (`rate = {highest}` keeps more of them)"),
        false => String::new(),
    };
    let are = if count == 1 { "is" } else { "are" };
    Some(format!(
        "{which} at {} {are} resampled to {}{more}",
        named.join(", "),
        kilohertz(chosen)
    ))
}
