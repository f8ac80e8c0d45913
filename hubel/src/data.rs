//! Data sets: pictures and their classes, in memory, and the preparation that makes a network's input of them.
//!
//! | data | call |
//! |---|---|
//! | a folder, a table, arrays in files | [`open`], [`open_with`], which detect the form |
//! | MNIST, part of the library | [`mnist`] |
//! | pictures in a database, on a network, in an archive | [`Source::of`] with one's own [`Pictures`] |
//! | pixels in memory: bytes, or `f32` | [`Dataset::from_bytes`], [`Dataset::from_arrays`] |
//!
//! [`Preparation`] is measured on the training part and stored with the model.
mod augment;
mod bad_files;
pub(crate) mod blank;
pub(crate) mod catalogue;
mod cifar;
mod class_names;
mod conflicts;
mod csv;
mod divide;
pub(crate) mod ending;
mod feed;
pub(crate) mod fingerprint;
pub(crate) mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod given;
mod ground;
mod idx;
mod ignored;
mod ink;
mod jpeg;
mod labelled;
mod learned;
mod limit;
pub(crate) mod loader;
#[cfg(feature = "mnist")]
mod mnist;
pub(crate) mod names;
mod npz;
mod open;
pub mod picture;
mod preparation;
pub(crate) mod reading;
mod rearrange;
mod resize;
mod sheet;
mod source;
mod split;
mod storage;
pub(crate) mod subject;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tiff;
pub(crate) mod transparency;
mod value_range;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use hubel_kernels::Cpu;

pub use augment::{Augmentation, Presets};
pub use bad_files::{BadFile, BadFiles};
pub use catalogue::Part;
pub use divide::Division;
pub use feed::{Balance, Feed, FeedSettings};
pub use folder::pictures;
pub use given::{EncodedPicture, Pictures};
pub use ground::Ground;
pub use learned::{Learned, learned};
#[cfg(feature = "mnist")]
pub use mnist::mnist;
pub use open::{Evaluation, Judged, Options, evaluation, open, open_with};
pub use preparation::{Preparation, Prepared, Unlike};
pub use resize::Resize;
pub use sheet::{Sheet, SheetSettings, Shown};
pub use source::{Outlook, Source};
pub use subject::{Mirrored, Subject};
pub use value_range::ValueRange;

use names::composed;
use open::unknown_class;
use storage::{Pixels, Sample};

use crate::on_all_cores::on_each_image;
use crate::{Error, Result, Shape};

/// A data set divided into a part to train on and parts that are never trained on.
#[derive(Clone, Debug)]
pub struct Splits {
    /// Samples to train on.
    pub train: Dataset,
    /// Samples to watch training by, and to make choices by.
    pub validation: Option<Dataset>,
    /// Samples for the final judgement only, which take part in no choice.
    pub test: Option<Dataset>,
    /// What was found, in one line.
    pub description: String,
    /// What a user should know about it: what was ignored or put together.
    pub notes: Vec<String>,
    /// Files that could not be read and were left out, with the reasons.
    pub bad_files: Vec<BadFile>,
    /// How the parts came about, to be kept with the model; `None` where nothing was to be decided.
    pub division: Option<Division>,
}

impl Splits {
    /// Data that was found in these parts.
    fn found(
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
            division: None,
        }
    }
}

/// Pictures (or other maps) of one shape with their classes. Cloning it, or taking a part, shares the pixels.
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    shape: Shape,
    pixels: Pixels,
    /// Where in `pixels` the samples are, in units of one sample.
    rows: Vec<usize>,
    labels: Vec<usize>,
    /// How the pixels came from picture files, or such files would; `None` when nobody has said.
    reading: Option<Reading>,
    /// What numbers of arrays that were no bytes stood for; `None` for all other data.
    range: Option<ValueRange>,
}

/// What was done to picture files when they were read, so that it is done once and not twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reading {
    resize: Resize,
    /// See [`Preparation::transparent`].
    transparent: Option<u8>,
    ground: Option<Ground>,
    /// What is done about a picture that can no longer be read.
    bad_files: BadFiles,
}

/// A table of which class was taken for which has the square of so many entries.
const MOST_CLASSES: usize = 5000;

/// The longest name of a class, in bytes: of a folder, no system allows more.
const LONGEST_CLASS: usize = 255;

/// What is wrong with the first name of a class that nobody could read.
pub(crate) fn long_name(classes: &[String]) -> Option<String> {
    let long = classes.iter().find(|class| class.len() > LONGEST_CLASS)?;
    Some(format!(
        "the class `{}…` has a name of {} bytes, and up to {LONGEST_CLASS} are read",
        long.chars().take(40).collect::<String>(),
        long.len()
    ))
}

impl Dataset {
    /// A data set from `images` `[n, h, w, c]` and their `labels` `[n]`, which count classes from 0.
    /// The classes are named by their numbers; see [`Dataset::renamed`]. A model that is to see pictures later must be trained on numbers from
    /// 0 (black) to 1 (white); levels from 0 to 255 are for [`Dataset::from_bytes`].
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when the lengths do not fit, a number is not finite, or there is only one class.
    pub fn from_arrays(images: &[f32], shape: Shape, labels: &[usize]) -> Result<Self> {
        check_lengths(images.len(), shape, labels.len())?;
        if let Some(index) = images.iter().position(|value| !value.is_finite()) {
            return Err(Error::DataMismatch(format!(
                "image {} holds {} at position {} of its {shape}; replace it or leave the image out",
                index / shape.len(),
                images[index],
                index % shape.len()
            )));
        }
        // A label far beyond the number of samples is a mistake, and must not become a list of names.
        if let Some(label) = labels
            .iter()
            .find(|&&label| label >= labels.len().max(1000))
        {
            return Err(Error::DataMismatch(format!(
                "label {label} among {} samples: labels count the classes from 0",
                labels.len()
            )));
        }
        let classes = labels.iter().max().map_or(0, |largest| largest + 1);
        let classes = (0..classes).map(|class| class.to_string()).collect();
        Self::new(
            "arrays",
            classes,
            shape,
            Pixels::Floats(Arc::new(images.to_vec())),
            labels.to_vec(),
        )
    }

    /// A data set from finite numbers `[n, h, w, c]` of these classes.
    ///
    /// # Errors
    /// As of [`Dataset::from_bytes`].
    pub(crate) fn of_floats(
        name: &str,
        classes: &[String],
        shape: Shape,
        numbers: Vec<f32>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        check_lengths(numbers.len(), shape, labels.len())?;
        let pixels = Pixels::Floats(Arc::new(numbers));
        Self::of_any_classes(name, classes.to_vec(), shape, pixels, labels)
    }

    /// A data set from bytes `[n, h, w, c]`, of which 255 stands for 1.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when the lengths do not fit, a label has no class, or there are fewer than two classes.
    pub fn from_bytes(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        images: Vec<u8>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        check_lengths(images.len(), shape, labels.len())?;
        Self::new(
            name,
            classes,
            shape,
            Pixels::Bytes(Arc::new(images)),
            labels,
        )
    }

    fn new(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        pixels: Pixels,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let dataset = Self::of_any_classes(name, classes, shape, pixels, labels)?;
        dataset.check_classes().map(|()| dataset)
    }

    /// Refuses a single class, from which nothing can be learnt.
    fn check_classes(&self) -> Result<()> {
        match self.classes.len() < 2 {
            false => Ok(()),
            true => Err(Error::DataMismatch(format!(
                "{}: {} samples of {} classes; a classifier needs at least two classes",
                self.name,
                self.len(),
                self.classes.len()
            ))),
        }
    }

    /// As [`Dataset::new`]; a single class is enough to judge a model by, which knows the others.
    fn of_any_classes(
        name: &str,
        classes: Vec<String>,
        shape: Shape,
        pixels: Pixels,
        labels: Vec<usize>,
    ) -> Result<Self> {
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            return Err(Error::DataMismatch(format!(
                "{name}: label {label}, but there are only {} classes, counted from 0",
                classes.len()
            )));
        }
        if classes.len() > MOST_CLASSES {
            return Err(Error::DataMismatch(format!(
                "{name}: {} samples of {} classes, and at most {MOST_CLASSES} are told apart; do the labels name classes, or single pictures?",
                labels.len(),
                classes.len()
            )));
        }
        if let Some(problem) = long_name(&classes) {
            return Err(Error::DataMismatch(format!(
                "{name}: {problem}; do the labels name classes?"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            classes,
            shape,
            pixels,
            rows: (0..labels.len()).collect(),
            labels,
            reading: None,
            range: None,
        })
    }

    /// A short name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the classes; labels count them from 0.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The shape of each sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The class of each sample.
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

    /// The pixels of one sample, as they are stored or read from its file.
    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        self.pixels.sample(self.rows[index], self.shape)
    }

    /// The bytes `[h, w, c]` of one sample; `None` when the data set was made of `f32`.
    ///
    /// # Errors
    /// Where a picture that is not kept in memory can no longer be read from its file.
    ///
    /// # Panics
    /// When `index` lies outside.
    pub fn bytes(&self, index: usize) -> Result<Option<Cow<'_, [u8]>>> {
        Ok(match self.sample(index)? {
            Sample::Bytes(bytes) => Some(bytes),
            Sample::Floats(_) => None,
        })
    }

    /// The file that a sample came from, where it came from one; of [`Pictures`] the name.
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &self.pixels {
            Pixels::Files(files) => Some(files.path(self.rows[index])),
            _ => None,
        }
    }

    /// The samples at `indices`, in that order; the pixels are shared, not copied.
    ///
    /// # Panics
    /// When an index lies outside.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            name: self.name.clone(),
            classes: self.classes.clone(),
            shape: self.shape,
            pixels: self.pixels.clone(),
            rows: indices.iter().map(|&index| self.rows[index]).collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            reading: self.reading,
            range: self.range,
        }
    }

    /// The same samples, of which it is known what their numbers stood for.
    fn with_range(self, range: Option<ValueRange>) -> Self {
        Self { range, ..self }
    }

    /// The same samples, given as they are: pictures that a model of them is shown are resized in this way.
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

    /// The same samples labelled by `classes`, matched by name; classes without samples are allowed.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when this data set has a class that is not among them.
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
        self.classes = classes.to_vec();
        Ok(self)
    }

    /// The same samples with their classes called by other names, in the same order.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when there are not as many names as classes.
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

    /// Writes the samples at `indices`, prepared for the network, into `out` as `[n, h, w, c]` of the preparation's shape. A picture that
    /// is not kept in memory and can no longer be read from its file is returned with its place among them, where bad files are left out
    /// of this data.
    ///
    /// # Errors
    /// The first such picture where they are not.
    ///
    /// # Panics
    /// When `out` has another length, an index lies outside, or [`Preparation::check`] refuses this data set's shape.
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

    /// A picture that could not be read, where such are left out.
    fn left_out(&self, index: usize, error: Error) -> Result<BadFile> {
        match (self.reading, self.path(index)) {
            (Some(reading), Some(path)) if reading.bad_files != BadFiles::Fail => {
                Ok(BadFile::new(path, error))
            }
            _ => Err(error),
        }
    }

    /// The file of a picture that had another size than the data set's shape.
    fn resized_file(&self, index: usize) -> Option<&Path> {
        match &self.pixels {
            Pixels::Files(files) => {
                let row = self.rows[index];
                files.is_resized(row).then(|| files.path(row))
            }
            _ => None,
        }
    }

    /// Reads a picture that had another size than the data set's shape once more, and brings it through `preparation`; `None` for others.
    fn resized_anew(&self, index: usize, preparation: &Preparation) -> Option<Result<Vec<u8>>> {
        match &self.pixels {
            Pixels::Files(files) => {
                let row = self.rows[index];
                files.is_resized(row).then(|| files.anew(row, preparation))
            }
            _ => None,
        }
    }

    /// The files of all pictures that had another size.
    fn resized_files(&self) -> impl Iterator<Item = &Path> {
        (0..self.len()).filter_map(|index| self.resized_file(index))
    }

    /// Some of the samples, evenly spread, since files are often sorted by class: enough to judge all of them by, and none where they were
    /// given as `f32`.
    ///
    /// # Errors
    /// Where a picture that is not kept in memory can no longer be read from its file.
    fn some(&self) -> Result<Vec<Sampled<'_>>> {
        let most = (SAMPLED_BYTES / self.shape.len()).clamp(50, 1000);
        let step = self.len().div_ceil(most).max(1);
        let mut some = Vec::new();
        for index in (0..self.len()).step_by(step) {
            match self.bytes(index) {
                Ok(pixels) => some.extend(pixels.map(|pixels| Sampled {
                    pixels,
                    label: self.labels[index],
                })),
                // What the policy leaves out says nothing; it is reported when it is its turn in training.
                Err(error) => drop(self.left_out(index, error)?),
            }
        }
        Ok(some)
    }

    /// Whether the samples were given as `f32`, of which it is not known what is black and what is white: these cannot be augmented.
    pub fn is_of_floats(&self) -> bool {
        matches!(self.pixels, Pixels::Floats(_))
    }
}

/// One of the samples by which a data set is judged.
struct Sampled<'a> {
    pixels: Cow<'a, [u8]>,
    label: usize,
}

/// Bytes of the samples by which a data set is judged, unless those of 50 are more.
const SAMPLED_BYTES: usize = 64 << 20;

fn check_lengths(numbers: usize, shape: Shape, labels: usize) -> Result<()> {
    let expected = [shape.height, shape.width, shape.channels, labels]
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if shape.height == 0 || shape.width == 0 || shape.channels == 0 {
        return Err(Error::DataMismatch(format!(
            "images of {shape} hold nothing"
        )));
    }
    if labels == 0 {
        return Err(Error::DataMismatch("there are no samples".into()));
    }
    if expected != Some(numbers) {
        return Err(Error::DataMismatch(format!(
            "{numbers} numbers are not {labels} images of {shape}: that takes {}",
            expected.map_or("more than fits into memory".into(), |n| n.to_string())
        )));
    }
    Ok(())
}
