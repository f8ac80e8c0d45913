//! Data sets: pictures with their classes, and their preparation for a network.
//!
//! | data | call |
//! |---|---|
//! | a folder, a table, arrays in files | [`open`], [`open_with`]; the form is detected automatically |
//! | MNIST, embedded in the library | [`mnist`] |
//! | pictures in a database, on a network, in an archive | [`Source::of`] with your implementation of [`Pictures`] |
//! | pixels in memory: bytes, or `f32` | [`Dataset::from_bytes`], [`Dataset::from_arrays`] |
//!
//! [`Preparation`] is measured on the training part and stored with the model.
mod augment;
mod bad_files;
#[cfg(feature = "pictures")]
pub(crate) mod blank;
#[cfg(feature = "pictures")]
pub(crate) mod catalogue;
#[cfg(feature = "tables")]
mod cifar;
mod class_names;
pub(crate) mod clip;
#[cfg(feature = "pictures")]
mod conflicts;
#[cfg(feature = "pictures")]
mod corrections;
#[cfg(feature = "tables")]
mod csv;
#[cfg(feature = "pictures")]
mod decoded;
mod divide;
#[cfg(feature = "pictures")]
pub(crate) mod ending;
mod feed;
#[cfg_attr(not(feature = "pictures"), path = "data/no_files.rs")]
mod files;
pub(crate) mod fingerprint;
#[cfg(feature = "pictures")]
pub(crate) mod folder;
mod from_memory;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(feature = "pictures")]
mod given;
pub(crate) mod grey;
mod ground;
#[cfg(feature = "tables")]
mod idx;
#[cfg(feature = "pictures")]
mod ignored;
mod ink;
mod joined;
#[cfg(feature = "pictures")]
mod jpeg;
#[cfg(feature = "tables")]
mod labelled;
#[cfg(feature = "pictures")]
mod learned;
mod likeness;
pub(crate) mod limit;
pub(crate) mod loader;
mod manifest;
mod medium;
mod mix;
#[cfg(feature = "mnist")]
mod mnist;
pub(crate) mod names;
#[cfg(feature = "tables")]
mod npz;
#[cfg(feature = "pictures")]
mod open;
mod options;
mod part;
#[cfg(feature = "pictures")]
pub mod picture;
mod preparation;
#[cfg(feature = "pictures")]
pub(crate) mod reading;
mod rearrange;
mod resize;
#[cfg(feature = "drawings")]
mod sheet;
pub(crate) mod sound;
#[cfg(feature = "pictures")]
mod source;
mod split;
mod storage;
pub(crate) mod subject;
#[cfg_attr(not(feature = "tables"), path = "data/no_tables.rs")]
#[cfg(feature = "pictures")]
mod tables;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod text;
#[cfg(feature = "pictures")]
pub(crate) mod thumbnail;
#[cfg(feature = "pictures")]
pub(crate) mod tiff;
#[cfg(feature = "pictures")]
pub(crate) mod transparency;
mod value_range;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use hubel_kernels::Cpu;

pub use augment::{Augmentation, Presets};
pub use bad_files::{BadFile, BadFiles};
#[cfg(feature = "pictures")]
pub use catalogue::files as files_of;
#[cfg(feature = "pictures")]
pub use corrections::{Correction, Corrections};
#[cfg(feature = "tables")]
pub use csv::texts_in_table;
pub use divide::Division;
pub use feed::{Balance, Feed, FeedSettings};
#[cfg(feature = "pictures")]
pub use folder::{pictures, samples};
#[cfg(feature = "pictures")]
pub use given::{EncodedPicture, Pictures};
pub use ground::Ground;
#[cfg(feature = "pictures")]
pub use learned::{Learned, learned};
pub use manifest::Manifest;
pub use medium::{ClipSettings, Kind, Medium};
pub use mix::Mixing;
#[cfg(feature = "mnist")]
pub use mnist::mnist;
#[cfg(feature = "pictures")]
pub use open::{Evaluation, Judged, evaluation, open, open_with};
pub use options::Options;
pub use part::Part;
pub use preparation::{Preparation, Prepared, Unlike};
pub use resize::Resize;
#[cfg(feature = "drawings")]
pub use sheet::{Partner, Sheet, SheetSettings, Shown};
#[cfg(feature = "sound")]
pub use sound::prepare::Stretch;
pub use sound::{SoundOptions, SoundSettings, Spectrogram};
#[cfg(feature = "pictures")]
pub use source::{Outlook, Source};
pub use subject::{Mirrored, Subject};
#[cfg(feature = "pictures")]
pub use text::files::text_in_file;
pub use text::{Tokens, Unknown, Vocabulary};
#[cfg(feature = "pictures")]
pub use thumbnail::Thumbnail;
pub use value_range::ValueRange;

use class_names::unknown_class;
pub(crate) use from_memory::long_name;
use names::composed;
use storage::{Pixels, Sample};

use crate::on_all_cores::on_each_image;
use crate::{Error, Result, Shape};

/// A data set divided into training, validation and test splits.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Training samples.
    pub train: Dataset,
    /// Validation samples, for choices such as the best epoch.
    pub validation: Option<Dataset>,
    /// Test samples, for the final evaluation only.
    pub test: Option<Dataset>,
    /// The form, the classes and the counts, in one line.
    pub description: String,
    /// Notes for the user, for instance which files were ignored.
    pub notes: Vec<String>,
    /// Files that could not be read and were left out, with the reasons.
    pub bad_files: Vec<BadFile>,
    /// The names of texts without words, which were left out.
    pub empty_texts: Vec<String>,
    /// How the data was divided, to be stored with the model; `None` if it came divided.
    pub division: Option<Division>,
}

impl Splits {
    /// Data that came in these splits.
    pub(crate) fn found(
        description: String,
        train: Dataset,
        validation: Option<Dataset>,
        test: Option<Dataset>,
    ) -> Self {
        Self {
            train,
            validation,
            test,
            description,
            notes: Vec::new(),
            bad_files: Vec::new(),
            empty_texts: Vec::new(),
            division: None,
        }
    }
}

/// Pictures (or other maps) of one shape with their classes. Clones and subsets share the pixels.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    shape: Shape,
    pixels: Pixels,
    /// The row in `pixels` of each sample.
    rows: Vec<usize>,
    labels: Vec<usize>,
    /// The target probabilities `[n, classes]` of the samples, if these are not the labels.
    targets: Option<Arc<Vec<f32>>>,
    /// How picture files are converted to pixels of this data; `None` if unknown.
    reading: Option<Reading>,
    /// The range of the values, for arrays that are not bytes; `None` for all other data.
    range: Option<ValueRange>,
}

/// The steps of preparation that were done when picture files were read, and must not be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reading {
    resize: Resize,
    /// See [`Preparation::transparent`].
    transparent: Option<u8>,
    ground: Option<Ground>,
    /// The policy for pictures that can no longer be read.
    bad_files: BadFiles,
    /// What texts are divided into.
    tokens: Tokens,
    /// How frames are taken from clips.
    clips: ClipSettings,
}

impl Dataset {
    /// A short name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the classes; labels are indices into them.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The shape of each sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The index of each sample's class.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of samples of each class.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// The pixels of one sample, from memory or from its file.
    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        self.pixels.sample(self.rows[index], self.shape)
    }

    /// The bytes `[h, w, c]` of one sample, of a recording the picture of its spectrogram; `None` if the data set was made of `f32` or of texts.
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn bytes(&self, index: usize) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(match self.sample(index)? {
            Sample::Bytes(bytes) => Some(bytes),
            Sample::Floats(_) | Sample::Text(_) => None,
        })
    }

    /// The path of a sample's file, or its name if it came from [`Pictures`]; `None` otherwise.
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &self.pixels {
            Pixels::Files(files) => Some(files.path(self.rows[index])),
            Pixels::Texts(texts) => texts.path(self.rows[index]),
            Pixels::Clips(clips) => Some(clips.path(self.rows[index])),
            Pixels::Sounds(sounds) => Some(sounds.path(self.rows[index])),
            _ => None,
        }
    }

    /// What the samples are.
    pub fn kind(&self) -> Kind {
        match &self.pixels {
            Pixels::Texts(_) => Kind::Texts,
            Pixels::Clips(_) => Kind::Clips,
            Pixels::Sounds(_) => Kind::Sounds,
            _ => Kind::Pictures,
        }
    }

    /// How frames are taken from clips.
    pub(crate) fn clip_settings(&self) -> ClipSettings {
        self.reading.unwrap_or_default().clips
    }

    /// The name of a sample in messages: its path, or `image` with its index.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn name_of(&self, index: usize) -> String {
        match (&self.pixels, self.path(index)) {
            (Pixels::Texts(texts), _) => texts.name(self.rows[index]),
            (_, Some(path)) => crate::shown(path),
            (_, None) => format!("image {index}"),
        }
    }

    /// The samples at `indices`, in that order; the pixels are shared, not copied.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            name: self.name.clone(),
            classes: self.classes.clone(),
            shape: self.shape,
            pixels: self.pixels.clone(),
            rows: indices.iter().map(|&index| self.rows[index]).collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            targets: self.targets_at(indices),
            reading: self.reading,
            range: self.range,
        }
    }

    /// The same samples, with the range of their values.
    fn with_range(self, range: Option<ValueRange>) -> Self {
        Self { range, ..self }
    }

    /// The same samples. A model trained on them will resize pictures in this way.
    fn with_resize(self, resize: Resize) -> Self {
        let reading = Reading {
            resize,
            ..Reading::default()
        };
        Self {
            reading: Some(reading),
            ..self
        }
    }

    /// The same samples with labels for `classes`, matched by name; classes without samples are allowed.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if a class of this data set is not among them.
    pub fn with_classes(mut self, classes: &[String]) -> Result<Self> {
        if self.classes == classes {
            return Ok(self);
        }
        let mut places = Vec::new();
        for class in &self.classes {
            let place = classes
                .iter()
                .position(|known| composed(known) == composed(class));
            places.push(place.ok_or_else(|| unknown_class(Path::new(&self.name), class, classes))?);
        }
        self.labels
            .iter_mut()
            .for_each(|label| *label = places[*label]);
        self.targets = self.targets_moved(&places, classes.len());
        self.classes = classes.to_vec();
        Ok(self)
    }

    /// The same samples with other names for the classes, in the same order.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the number of names is not that of classes.
    pub fn renamed(mut self, names: &[&str]) -> Result<Self> {
        if names.len() != self.classes.len() {
            return Err(Error::DataMismatch(format!(
                "{} names for {} classes",
                names.len(),
                self.classes.len()
            )));
        }
        self.classes = names.iter().map(|&name| name.to_owned()).collect();
        Ok(self)
    }

    /// Writes the samples at `indices`, prepared for the network, into `out` as `[n, h, w, c]` of the preparation's shape. If the data's
    /// policy leaves out bad files, returns the pictures that can no longer be read, with their positions in `indices`.
    ///
    /// # Errors
    /// The error of the first such picture, if the policy is another.
    ///
    /// # Panics
    /// If `out` has another length, an index is out of range, or [`Preparation::check`] refuses this data set's shape.
    pub fn fill(
        &self,
        cpu: &Cpu,
        indices: &[usize],
        preparation: &Preparation,
        out: &mut [f32],
    ) -> Result<Vec<(usize, BadFile)>> {
        let length = preparation.shape.len();
        assert_eq!(out.len(), indices.len() * length, "length of the batch");
        let tables = preparation.tables();
        let samples = on_each_image(cpu, out, length, |place, out| {
            preparation.sample(&tables, self, indices[place], &mut |_| (), out)
        });
        let samples = samples.into_iter().enumerate();
        let failed = samples.filter_map(|(place, sample)| Some((place, sample.err()?)));
        failed
            .map(|(place, error)| Ok((place, self.left_out(indices[place], error)?)))
            .collect()
    }

    /// One sample, prepared for the network as in evaluation. It is not known whether it was inverted, greyed or cut: these flags are `false`. If the data's policy
    /// leaves out bad files, the outcome may be such a file.
    ///
    /// # Errors
    /// As of [`Dataset::fill`].
    ///
    /// # Panics
    /// As of [`Dataset::fill`].
    pub fn prepared(
        &self,
        cpu: &Cpu,
        index: usize,
        preparation: &Preparation,
    ) -> Result<std::result::Result<Prepared, BadFile>> {
        let mut tensor = vec![0.0; preparation.shape.len()];
        let mut bad = self.fill(cpu, &[index], preparation, &mut tensor)?;
        Ok(match bad.pop() {
            Some((_, bad)) => Err(bad),
            None => {
                let pixels = preparation.displayed(&tensor);
                Ok(Prepared::unchanged(tensor, pixels, self.shape()))
            }
        })
    }

    /// The bad file of a picture that could not be read, if the policy leaves it out; otherwise the error.
    fn left_out(&self, index: usize, error: Error) -> Result<BadFile> {
        match (self.reading, self.path(index)) {
            (Some(reading), Some(path)) if reading.bad_files != BadFiles::Fail => {
                Ok(BadFile::new(path, error))
            }
            _ => Err(error),
        }
    }

    /// The path of a picture whose own size is not that of the data set; `None` for other pictures.
    fn resized_file(&self, index: usize) -> Option<&Path> {
        match &self.pixels {
            Pixels::Files(files) => {
                let row = self.rows[index];
                files.is_resized(row).then(|| files.path(row))
            }
            _ => None,
        }
    }

    /// If a picture's own size is not that of the data set, reads it again and prepares it by `preparation`; `None` for other pictures.
    fn resized_anew(&self, index: usize, preparation: &Preparation) -> Option<Result<Vec<u8>>> {
        match &self.pixels {
            Pixels::Files(files) => {
                let row = self.rows[index];
                files.is_resized(row).then(|| files.anew(row, preparation))
            }
            _ => None,
        }
    }

    /// The paths of all pictures whose own size is not that of the data set.
    fn resized_files(&self) -> impl Iterator<Item = &Path> {
        (0..self.len()).filter_map(|index| self.resized_file(index))
    }

    /// A subset of the samples for statistics, evenly spaced because files are often sorted by class; empty if the data set was made of `f32`.
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    fn some(&self) -> Result<Vec<Sampled<'_>>> {
        let most = (SAMPLED_BYTES / self.shape.len()).clamp(50, 1000);
        let step = self.len().div_ceil(most).max(1);
        let mut some = Vec::new();
        for index in (0..self.len()).step_by(step) {
            match self.bytes(index) {
                Ok(pixels) => some.extend(pixels.map(|pixels| Sampled {
                    pixels: self.middle_frame(pixels),
                    label: self.labels[index],
                })),
                // Left out by the policy; training reports it.
                Err(error) => drop(self.left_out(index, error)?),
            }
        }
        Ok(some)
    }

    /// The frame in the middle of a clip; a picture as it is.
    fn middle_frame<'a>(&self, pixels: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let length = self.shape.frame().len();
        let middle = self.shape.time / 2 * length..(self.shape.time / 2 + 1) * length;
        match pixels {
            _ if self.shape.time == 1 => pixels,
            Cow::Borrowed(pixels) => Cow::Borrowed(&pixels[middle]),
            Cow::Owned(pixels) => Cow::Owned(pixels[middle].to_vec()),
        }
    }

    /// Whether the samples were given as `f32`. Their levels of black and white are unknown, so they cannot be augmented.
    pub fn is_of_floats(&self) -> bool {
        matches!(self.pixels, Pixels::Floats(_))
    }
}

/// A sample used for statistics of a data set.
struct Sampled<'a> {
    pixels: Cow<'a, [u8]>,
    label: usize,
}

/// The most bytes of the samples for statistics; there are at least 50 samples.
const SAMPLED_BYTES: usize = 64 << 20;
