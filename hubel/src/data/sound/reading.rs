//! Reads the recordings of a catalogue for training or for a model.
use std::path::Path;
use std::sync::Arc;

use super::SoundSettings;
use super::prepare::{fitted_recording, spectrogram};
use super::store::Sounds;
use super::survey::{self, Surveyed};
use crate::data::bad_files::listing;
use crate::data::catalogue::{self, Catalogue, File, Part};
use crate::data::open::check_classes;
use crate::data::reading::Listen;
use crate::data::{BadFile, Dataset, Options, Pixels, Preparation, Reading, Splits};
use crate::on_all_cores::on_all_cores;
use crate::{Error, Result, memory};

/// Reads and divides the recordings of a catalogue.
///
/// # Errors
/// [`Error::BadFiles`] if that is the policy; [`Error::DataForm`] if a class has no training recording; [`Error::Settings`] for impossible
/// settings.
pub(in crate::data) fn read_splits(
    path: &Path,
    catalogue: &Catalogue,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Splits> {
    if options.shape.is_some() {
        return Err(Error::Settings {
            problem: format!(
                "{} holds recordings, which have no height and width; leave out `Options::shape`, and give their length (`Options::sound`)",
                path.display()
            ),
        });
    }
    catalogue.refuse_missing(options.bad_files)?;
    check_classes(path, catalogue)?;
    let (read, bad_files) = read_files(path, catalogue, options, listen)?;
    let Read {
        dataset,
        places,
        notes,
    } = read;
    let part_of = |place: &usize| catalogue.files[*place].part;
    let parts: Vec<Option<Part>> = places.iter().map(part_of).collect();
    let notes = [catalogue.notes.clone(), notes].concat();
    catalogue.splits(path, (&dataset, &parts), None, notes, bad_files)
}

/// Reads the recordings of a catalogue with the settings of a model.
///
/// # Errors
/// As [`read_splits`], and [`Error::DataMismatch`] if the model is none of recordings.
pub(in crate::data) fn read_for_model(
    path: &Path,
    catalogue: &Catalogue,
    preparation: &Preparation,
    options: &Options,
    listen: Listen<'_>,
) -> Result<(Dataset, Vec<BadFile>)> {
    let mut options = *options;
    options.sound.model = preparation.medium.sound().copied();
    preparation.check(preparation.shape)?;
    let (read, bad) = read_files(path, catalogue, &options, listen)?;
    Ok((read.dataset, bad))
}

struct Read {
    /// The readable recordings, in order.
    dataset: Dataset,
    /// The index of each of them among the files.
    places: Vec<usize>,
    notes: Vec<String>,
}

/// Decodes all files, then brings them to one rate and length. Refuses bad files if that is the policy; does not move them yet.
fn read_files(
    path: &Path,
    catalogue: &Catalogue,
    options: &Options,
    listen: Listen<'_>,
) -> Result<(Read, Vec<BadFile>)> {
    let files = &catalogue.files;
    let cache = options.cache_bytes();
    check_cache(cache, options)?;
    let surveyed = survey::decode_all(files, cache / 2, |done| listen(done, files.len()));
    let (mut usable, mut bad) = (Vec::new(), Vec::new());
    for (place, surveyed) in surveyed.into_iter().enumerate() {
        match surveyed {
            Ok(surveyed) => usable.push((place, surveyed)),
            Err(_) if files[place].is_left_out => {}
            Err(error) => bad.push(BadFile::new(&files[place].path, error)),
        }
    }
    options.bad_files.refuse(path, files.len(), true, &bad)?;
    if usable.is_empty() {
        let problem = format!("none of its files can be read:\n{}", listing(&bad));
        return Err(catalogue::problem(path, problem));
    }
    let mut learnt: Vec<(&File, &Surveyed)> = Vec::new();
    learnt.extend(usable.iter().map(|(place, own)| (&files[*place], own)));
    // A model is evaluated on held-out recordings alone.
    if learnt.iter().any(|(file, _)| !file.is_held_out()) {
        learnt.retain(|(file, _)| !file.is_held_out());
    }
    let (settings, notes) = survey::settings(&learnt, &options.sound)?;
    let (places, decoded): (Vec<usize>, Vec<Surveyed>) = usable.into_iter().unzip();
    let own = places.iter().map(|place| files[*place].clone()).collect();
    let dataset = prepared(catalogue, own, decoded, settings, options)?;
    Ok((
        Read {
            dataset,
            places,
            notes,
        },
        bad,
    ))
}

/// Refuses a cache that does not fit into memory.
fn check_cache(cache: usize, options: &Options) -> Result<()> {
    match (options.cache, memory::available()) {
        (Some(_), Some(free)) if cache > free => Err(Error::Settings {
            problem: format!(
                "decoded recordings may take {:.1} GB (`Options::cache`) and {:.1} GB are free; give less, or leave it out for half of that",
                cache as f64 / 1e9,
                free as f64 / 1e9
            ),
        }),
        _ => Ok(()),
    }
}

/// The data set of the readable `files` with these settings. Keeps the samples of as many as fit into half of the cache.
fn prepared(
    catalogue: &Catalogue,
    files: Vec<File>,
    decoded: Vec<Surveyed>,
    settings: SoundSettings,
    options: &Options,
) -> Result<Dataset> {
    let cache = options.cache_bytes() / 2;
    let kept_rows = (cache / (size_of::<f32>() * settings.length)).min(files.len());
    let mut kept = vec![0.0; kept_rows * settings.length];
    let room = kept.chunks_exact_mut(settings.length).map(Some);
    let room = room.chain(std::iter::repeat_with(|| None));
    let work = |((file, own), room): ((&File, Surveyed), Option<&mut [f32]>)| -> Result<_> {
        let recording = match own.recording {
            Some(recording) => recording,
            None => super::decode::decode(&file.contents()?, &file.path)?,
        };
        let samples = fitted_recording(&recording, &settings).samples;
        if let Some(room) = room {
            room.copy_from_slice(&samples);
        }
        let mut map = vec![0.0; settings.shape().len()];
        spectrogram(&samples, &settings, &mut map);
        Ok((moments(&map), own.fingerprint))
    };
    let rows = on_all_cores(files.iter().zip(decoded).zip(room), work, |_| ());
    let (mut all_moments, mut fingerprints) = (Vec::new(), Vec::new());
    for row in rows {
        let (moments, fingerprint) = row?;
        all_moments.push(moments);
        fingerprints.push(fingerprint);
    }
    let labels = files.iter().map(|file| file.label).collect();
    let sounds = Sounds::new(files, settings, kept, all_moments, fingerprints);
    let pixels = Pixels::Sounds(Arc::new(sounds));
    let (name, classes) = (&catalogue.name, catalogue.classes.clone());
    let mut dataset = Dataset::of_any_classes(name, classes, settings.shape(), pixels, labels)?;
    dataset.reading = Some(Reading {
        bad_files: options.bad_files,
        ..Reading::default()
    });
    Ok(dataset)
}

/// The sum and the sum of squares of a spectrogram.
fn moments(map: &[f32]) -> [f64; 2] {
    let values = || map.iter().map(|value| f64::from(*value));
    [values().sum(), values().map(|value| value * value).sum()]
}
