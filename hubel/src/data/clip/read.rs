//! Reads the clips of a catalogue.
use std::path::Path;
use std::sync::Arc;

use super::Clips;
use super::decode::{self, Taken};
use super::video::require;
use crate::data::bad_files::listing;
use crate::data::catalogue::{self, Catalogue, File, Part, thousands};
use crate::data::reading::{Listen, own_size};
use crate::data::{
    BadFile, BadFiles, ClipSettings, Dataset, Kind, Medium, Options, Pixels, Preparation, Prepared,
    Reading, Resize, Splits, picture,
};
use crate::on_all_cores::on_all_cores;
use crate::{Error, Result, Shape, memory, shown};

/// The most frames that a network reads by default.
const MOST_FRAMES: usize = 12;
/// Clips that are examined to choose a shape.
const EXAMINED: usize = 24;

/// Clips that were read.
pub(in crate::data) struct ReadClips {
    pub(in crate::data) dataset: Dataset,
    /// The split of each, as the catalogue has it.
    pub(in crate::data) parts: Vec<Option<Part>>,
    pub(in crate::data) bad: Vec<BadFile>,
    /// A note on clips whose frames are numbered in an unusual way.
    remark: Option<String>,
}

/// How clips are read.
#[derive(Clone, Copy)]
struct Manner {
    shape: Shape,
    resize: Resize,
    settings: ClipSettings,
}

/// Reads all clips for training.
///
/// # Errors
/// As for [`open_with`](crate::data::open_with).
pub(in crate::data) fn splits(
    path: &Path,
    catalogue: &Catalogue,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Splits> {
    catalogue.refuse_missing(options.bad_files)?;
    require(path, catalogue.files.iter().map(|file| file.path.as_path()))?;
    let settings = ClipSettings {
        rate: options.frame_rate,
    };
    let (shape, about) = choose_shape(catalogue, settings, options);
    let manner = Manner {
        shape,
        resize: options.resize,
        settings,
    };
    let read = read(path, catalogue, manner, options.bad_files, listen)?;
    let how = match settings.rate {
        Some(rate) => format!("{} frames of the middle, at {rate} per second", shape.time),
        None => format!("{} frames, spread evenly over it", shape.time),
    };
    let mut notes = catalogue.notes.clone();
    notes.extend(read.remark);
    notes.push(format!(
        "{about}; of each clip the network sees {how}, at {}",
        shape.frame()
    ));
    let read_parts = (&read.dataset, &read.parts[..]);
    catalogue.splits(path, read_parts, Some(shape), notes, read.bad)
}

/// Reads the clips as a model with this preparation sees them.
///
/// # Errors
/// As for [`evaluation`](crate::data::evaluation).
pub(in crate::data) fn with_preparation(
    path: &Path,
    catalogue: &Catalogue,
    preparation: &Preparation,
    policy: BadFiles,
    listen: Listen<'_>,
) -> Result<ReadClips> {
    let Medium::Clip(settings) = preparation.medium else {
        return Err(Error::DataMismatch(format!(
            "{}: it holds {}, and the model was trained on {}",
            path.display(),
            Kind::Clips,
            preparation.medium.kind()
        )));
    };
    require(path, catalogue.files.iter().map(|file| file.path.as_path()))?;
    let manner = Manner {
        shape: preparation.shape,
        resize: preparation.resize,
        settings,
    };
    read(path, catalogue, manner, policy, listen)
}

/// The shape of the network's input, and a sentence about the clips.
fn choose_shape(
    catalogue: &Catalogue,
    settings: ClipSettings,
    options: &Options,
) -> (Shape, String) {
    let files = catalogue.training_files();
    let step = files.len().div_ceil(EXAMINED).max(1);
    let look = |file: &&File| decode::read(&file.path, settings, 1).ok();
    let seen = on_all_cores(files.iter().step_by(step), look, |_| ());
    let seen: Vec<Taken> = seen.into_iter().flatten().collect();
    let mut counts: Vec<usize> = seen.iter().map(|clip| clip.count).collect();
    counts.sort_unstable();
    let middle = counts.get(counts.len() / 2).copied().unwrap_or(MOST_FRAMES);
    let frames = options.frames.unwrap_or(middle.clamp(2, MOST_FRAMES));
    let about = match (counts.first(), counts.last()) {
        (Some(least), Some(most)) if least != most => format!("clips of {least} to {most} frames"),
        (Some(count), _) => format!("clips of {count} frames"),
        _ => "clips that cannot be read".to_owned(),
    };
    if let Some(shape) = options.shape.or(options.network) {
        return (shape.frame().over(frames), about);
    }
    let first = |clip: &Taken| {
        (
            clip.frames[0].height() as usize,
            clip.frames[0].width() as usize,
        )
    };
    let channels = match seen.iter().any(|clip| picture::has_colour(&clip.frames[0])) {
        true => 3,
        false => 1,
    };
    let (height, width) =
        own_size(seen.iter().map(first), options.largest_side).unwrap_or_else(|| {
            let sides = seen.iter().map(|clip| first(clip).0.min(first(clip).1));
            let side = sides.min().unwrap_or(1).min(options.largest_side);
            (side, side)
        });
    (Shape::new(height, width, channels).over(frames), about)
}

fn read(
    path: &Path,
    catalogue: &Catalogue,
    manner: Manner,
    policy: BadFiles,
    listen: Listen<'_>,
) -> Result<ReadClips> {
    let files = &catalogue.files;
    let length = manner.shape.len();
    if let Some(free) = memory::available()
        && files.len().saturating_mul(length) > free
    {
        return Err(Error::Settings {
            problem: format!(
                "{} clips of {} take {:.1} GB and {:.1} GB are free; give fewer frames (`Options::frames`) or a smaller `Options::shape`",
                thousands(files.len()),
                manner.shape,
                (files.len() * length) as f64 / 1e9,
                free as f64 / 1e9
            ),
        });
    }
    let mut bytes = vec![0; files.len() * length];
    let seen = on_all_cores(
        files.iter().zip(bytes.chunks_exact_mut(length)),
        |(file, room)| manner.read(&file.path, room),
        |done| listen(done, files.len()),
    );
    let (mut rows, mut labels, mut parts, mut bad) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut contents = Vec::with_capacity(files.len());
    let mut remarks = Vec::new();
    for (row, (seen, file)) in seen.into_iter().zip(files).enumerate() {
        match seen {
            Ok((content, remark)) => {
                remarks.extend(remark.map(|remark| format!("{}: {remark}", shown(&file.path))));
                rows.push(row);
                labels.push(file.label);
                parts.push(file.part);
                contents.push(content);
            }
            Err(error) => {
                contents.push(0);
                if !file.is_left_out {
                    bad.push(BadFile::new(&file.path, error));
                }
            }
        }
    }
    policy.refuse(path, files.len(), true, &bad)?;
    if rows.is_empty() {
        let problem = format!("none of its clips can be read:\n{}", listing(&bad));
        return Err(catalogue::problem(path, problem));
    }
    let clips = Clips {
        paths: files.iter().map(|file| file.path.clone()).collect(),
        contents,
        bytes,
        length,
    };
    let pixels = Pixels::Clips(Arc::new(clips));
    let classes = catalogue.classes.clone();
    let dataset = Dataset::of_any_classes(&catalogue.name, classes, manner.shape, pixels, labels)?;
    let reading = Reading {
        resize: manner.resize,
        clips: manner.settings,
        bad_files: policy,
        ..Reading::default()
    };
    Ok(ReadClips {
        dataset: Dataset {
            rows,
            reading: Some(reading),
            ..dataset
        },
        parts,
        bad,
        remark: odd_numbers(&remarks),
    })
}

/// A note on clips whose frames are numbered in an unusual way.
fn odd_numbers(remarks: &[String]) -> Option<String> {
    let example = remarks.first()?;
    let clips = match remarks.len() {
        1 => "1 clip has unusual frame numbers and is used".to_owned(),
        many => format!(
            "{} clips have unusual frame numbers and are used, such as",
            thousands(many)
        ),
    };
    let example = match remarks.len() {
        1 => format!(": {example}"),
        _ => format!(" {example}"),
    };
    Some(format!("{clips}{example}; `check::check` lists them"))
}

impl Manner {
    /// Writes the clip at `path` to `room`, `[t, h, w, c]`; returns the hash of its files, and what is unusual about it.
    fn read(&self, path: &Path, room: &mut [u8]) -> Result<(u64, Option<String>)> {
        let of_frame = Preparation::unmeasured(self.shape.frame(), self.resize);
        let taken = decode::read(path, self.settings, self.shape.time)?;
        for (frame, room) in taken
            .frames
            .into_iter()
            .zip(room.chunks_exact_mut(self.shape.frame().len()))
        {
            let (pixels, shape) = of_frame.opaque(frame)?;
            room.copy_from_slice(&of_frame.brought(pixels, shape)?.0);
        }
        Ok((taken.content, taken.remark))
    }
}

impl Preparation {
    /// How frames are taken from clips.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the model is none of clips.
    pub(crate) fn clip_settings(&self) -> Result<ClipSettings> {
        match self.medium {
            Medium::Clip(settings) => Ok(settings),
            _ => Err(Error::DataMismatch(format!(
                "the model was trained on {}, not on {}",
                self.medium.kind(),
                Kind::Clips
            ))),
        }
    }

    /// The clip at `path` as the network's input, `[t, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be read; [`Error::DataMismatch`] if the model is none of clips.
    pub fn clip(&self, path: &Path) -> Result<Prepared> {
        let manner = Manner {
            shape: self.shape,
            resize: self.resize,
            settings: self.clip_settings()?,
        };
        let mut bytes = vec![0; self.shape.len()];
        manner.read(path, &mut bytes)?;
        let mut tensor = vec![0.0; bytes.len()];
        self.normalise_bytes(&self.tables(), &bytes, &mut tensor);
        Ok(Prepared::unchanged(tensor, bytes, self.shape))
    }
}
