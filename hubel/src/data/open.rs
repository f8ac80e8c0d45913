//! Reads data from a path, for training or for evaluation.
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use crate::data::bad_files::listing;
use crate::data::blank::Blanks;
use crate::data::catalogue::{self, Catalogue, Found, Part};
use crate::data::class_names::{known_by, unknown_class};
use crate::data::divide::Division;
use crate::data::folder;
use crate::data::names::composed;
use crate::data::preparation::Unlike;
use crate::data::reading::{self, Listen, Read, Survey};
use crate::data::source::Source;
use crate::data::tiff::levels_note;
use crate::data::{
    BadFile, Dataset, Kind, Options, Pixels, Preparation, Splits, ValueRange, clip, picture, sound,
    text, transparency,
};
use crate::listed;
use crate::{Error, Result};

/// Opens the data at `path_or_name` with default [`Options`]. It may be:
/// - the name `mnist`;
/// - class folders `root/class/**`, `root/{train,val,test}/class/**` or `root/class/{train,val,test}/**`;
/// - a table (CSV) of paths, labels and splits, or of pixels; or a folder with one;
/// - a folder with IDX files, or one of these files;
/// - a folder with CIFAR's binary files;
/// - NumPy's `.npz` in MedMNIST's layout.
///
/// # Errors
/// [`Error::DataForm`] for an unknown form; [`Error::BadFiles`] for pictures that cannot be read, other variants for other bad
/// files; [`Error::DataMismatch`] if the splits do not fit together.
pub fn open(path_or_name: impl AsRef<Path>) -> Result<Splits> {
    open_with(path_or_name, &Options::default(), &|_, _| ())
}

/// As [`open`], with options. Several threads call `listen` with the number of files read so far and the number of all files.
///
/// # Errors
/// As [`open`]; [`Error::Settings`] for shares that cannot be held out.
pub fn open_with(
    path_or_name: impl AsRef<Path>,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Splits> {
    options.check()?;
    Source::find(path_or_name)?.open(options, listen)
}

/// Splits with samples to train on.
///
/// # Errors
/// [`Error::DataForm`] if there are none.
pub(super) fn trainable(path: &Path, splits: Splits) -> Result<Splits> {
    match splits.train.is_empty() {
        false => Ok(splits),
        true => Err(catalogue::problem(
            path,
            format!(
                "it holds no {} to train on ({}); `Model::evaluate` judges a model by it",
                splits.train.kind().plural(),
                splits.description
            ),
        )),
    }
}

/// Splits in which each class has texts to train on.
///
/// # Errors
/// [`Error::DataForm`] if the texts of a class cannot be read or are empty.
pub(super) fn with_all_classes(path: &Path, splits: Splits) -> Result<Splits> {
    let train = &splits.train;
    match train.counts().iter().position(|&count| count == 0) {
        None => Ok(splits),
        Some(class) => {
            let problem = format!(
                "the class `{}` has no text to train on that can be read and is not empty; add some, or delete the class\n{}",
                train.classes()[class],
                listing(&splits.bad_files)
            );
            Err(catalogue::problem(path, problem.trim_end()))
        }
    }
}

/// Arrays are not resized. The model will resize later pictures as `options` say.
pub(super) fn as_they_are(path: &Path, splits: Splits, options: &Options) -> Result<Splits> {
    let splits = trainable(path, splits)?;
    let shape = splits.train.shape();
    if let Some(wanted) = options.shape.filter(|wanted| *wanted != shape) {
        return Err(Error::Settings {
            problem: format!(
                "{} holds arrays of {shape}, which are trained on as they are: only picture files are resized, to {wanted} for instance; \
                 leave out `Options::shape`, or save them as pictures in class folders",
                path.display()
            ),
        });
    }
    let resized = |dataset: Dataset| dataset.with_resize(options.resize);
    let mut splits = Splits {
        train: resized(splits.train),
        validation: splits.validation.map(resized),
        test: splits.test.map(resized),
        ..splits
    };
    let parts = [
        Some(&splits.train),
        splits.validation.as_ref(),
        splits.test.as_ref(),
    ];
    let blanks = Blanks::of_parts(splits.train.classes(), parts.into_iter().flatten())?;
    splits.notes.extend(blanks.note(splits.train.classes()));
    let mut preparation = Preparation::unmeasured(shape, options.resize);
    preparation.ground = Preparation::ground(&splits.train)?;
    let unlike = preparation.unlike(&splits.train)?;
    splits.notes.extend(inverted_note(unlike.inverted));
    Ok(splits)
}

pub(super) fn read_splits(
    path: &Path,
    catalogue: &Catalogue,
    survey: Option<Survey>,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Splits> {
    catalogue.refuse_missing(options.bad_files)?;
    check_classes(path, catalogue)?;
    let survey = match survey {
        Some(survey) => survey,
        None => Survey::of(&catalogue.training_files())?,
    };
    let (shape, note) = match (options.shape, options.network) {
        (Some(shape), _) => (shape, None),
        (None, Some(input)) => (survey.shape_for(input), None),
        (None, None) => survey.shape(options),
    };
    let mut preparation = Preparation::unmeasured(shape, options.resize);
    preparation.transparent = survey.transparent();
    preparation.ground = survey.ground(preparation.transparent);
    let (mut read, mut bad_files) = read_files(path, catalogue, &preparation, options, listen)?;
    let transparent = read.transparent.iter();
    let transparent = transparent.filter(|(place, _)| !catalogue.files[*place].is_held_out());
    let transparent = transparency::best_level(transparent.map(|(_, contrast)| contrast));
    if transparent != preparation.transparent {
        // The survey's hundred files suggested another level than all files.
        preparation.transparent = transparent;
        preparation.ground = survey.ground(transparent);
        drop(read);
        (read, bad_files) = read_files(path, catalogue, &preparation, options, listen)?;
    }
    let mut notes = catalogue.notes.clone();
    notes.extend(picture::dim_note(read.dim));
    notes.extend(levels_note(read.levels.iter().copied()));
    notes.extend(transparent.and_then(|level| transparency::note(read.transparent.len(), level)));
    notes.extend(inverted_note(read.unlike.inverted));
    notes.extend(read.blanks.note(&catalogue.classes));
    if options.shape.or(options.network).is_none() {
        notes.extend(note.or_else(|| of_another_size(&read.dataset)));
        notes.extend(without_color(&read));
    }
    let place = |place: &usize| catalogue.files[*place].part;
    let parts: Vec<Option<Part>> = read.places.iter().map(place).collect();
    catalogue.splits(path, (&read.dataset, &parts), Some(shape), notes, bad_files)
}

/// `1 picture is`, `2 pictures are`
fn of_pictures(count: usize) -> String {
    match count {
        1 => "1 picture is".to_owned(),
        _ => format!("{} pictures are", catalogue::thousands(count)),
    }
}

/// A note on pictures of another size than the one chosen from a sample of the files.
fn of_another_size(dataset: &Dataset) -> Option<String> {
    let shape = dataset.shape();
    let count = dataset.resized_files().count();
    (count > 0).then(|| {
        format!(
            "{} of another size, resized to {}×{}",
            of_pictures(count),
            shape.width,
            shape.height
        )
    })
}

/// A note on pictures with colour, if grey was chosen from a sample of the files.
fn without_color(read: &Read) -> Option<String> {
    let shape = read.dataset.shape();
    (read.greyed > 0).then(|| {
        format!(
            "{} in colour, which a grey input does not show; `shape = {}x{}x3` would",
            of_pictures(read.greyed),
            shape.height,
            shape.width
        )
    })
}

/// A note on `count` pictures with the opposite polarity of most.
fn inverted_note(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{} inverted: the background is light and that of most pictures dark, or the other way round",
            of_pictures(count)
        )
    })
}

/// Notes on validation and test images that are also training images, bit by bit. This happens only in data that came divided;
/// [`Division::divide`] keeps equal images in one split.
pub(super) fn leaks(splits: &Splits) -> Vec<String> {
    if matches!(splits.train.pixels, Pixels::Bytes(_) | Pixels::Floats(_)) {
        return Vec::new();
    }
    let kind = splits.train.kind().plural();
    let trained: HashSet<u64> = splits.train.contents().collect();
    let parts = [("validation", &splits.validation), ("test", &splits.test)];
    let notes = parts.into_iter().filter_map(|(part, dataset)| {
        let dataset = dataset.as_ref()?;
        let count = dataset.contents().filter(|content| trained.contains(content)).count();
        (count > 0).then(|| {
            format!(
                "{} of the {} {part} {kind} {} also in the training part, so the score is likely too high; `check::check` lists them",
                catalogue::thousands(count),
                catalogue::thousands(dataset.len()),
                if count == 1 { "is" } else { "are" }
            )
        })
    });
    notes.collect()
}

/// Reads the files of a catalogue. Refuses bad files if that is the policy; does not move them yet.
pub(super) fn read_files(
    path: &Path,
    catalogue: &Catalogue,
    preparation: &Preparation,
    options: &Options,
    listen: Listen<'_>,
) -> Result<(Read, Vec<BadFile>)> {
    let Catalogue {
        name,
        classes,
        files,
        ..
    } = catalogue;
    let cache = options.cache_bytes();
    let policy = options.bad_files;
    let mut read = reading::read(name, classes, files, preparation, cache, policy, listen)?;
    let bad = std::mem::take(&mut read.bad);
    let can_be_moved = files.iter().all(|file| file.given.is_none());
    policy.refuse(path, files.len(), can_be_moved, &bad)?;
    match read.places.is_empty() {
        true => Err(catalogue::problem(
            path,
            format!("none of its files can be read:\n{}", listing(&bad)),
        )),
        false => Ok((read, bad)),
    }
}

/// Refuses files of another kind than those that a model was trained on.
///
/// # Errors
/// [`Error::DataMismatch`]
pub(super) fn check_kind(
    path: &Path,
    catalogue: &Catalogue,
    preparation: &Preparation,
) -> Result<()> {
    let (own, other) = (preparation.medium.kind(), catalogue.kind);
    match own == other {
        true => Ok(()),
        false => Err(Error::DataMismatch(format!(
            "{}: it holds {other}, and the model was trained on {own}",
            path.display()
        ))),
    }
}

/// Reads the files of a catalogue as a model with this preparation reads them.
///
/// # Errors
/// As for [`read_files`].
pub(super) fn read_for_model(
    path: &Path,
    catalogue: &Catalogue,
    preparation: &Preparation,
    options: &Options,
    listen: Listen<'_>,
) -> Result<(Dataset, Unlike, Vec<BadFile>)> {
    if catalogue.kind == Kind::Clips {
        let policy = options.bad_files;
        let read = clip::with_preparation(path, catalogue, preparation, policy, listen)?;
        return Ok((read.dataset, Unlike::default(), read.bad));
    }
    #[cfg(feature = "sound")]
    if catalogue.kind == Kind::Sounds {
        let (dataset, bad) =
            sound::reading::read_for_model(path, catalogue, preparation, options, listen)?;
        return Ok((dataset, Unlike::default(), bad));
    }
    let (read, bad) = read_files(path, catalogue, preparation, options, listen)?;
    Ok((read.dataset, read.unlike, bad))
}

/// Refuses classes without training samples.
///
/// # Errors
/// [`Error::DataForm`], or [`Error::DataMismatch`] if a class has held-out samples alone.
pub(super) fn check_classes(path: &Path, catalogue: &Catalogue) -> Result<()> {
    let mut counts = vec![[0; 2]; catalogue.classes.len()];
    for file in &catalogue.files {
        let held_out = file.is_held_out();
        counts[file.label][usize::from(held_out)] += 1;
    }
    let learnt: Vec<String> = std::iter::zip(&catalogue.classes, &counts)
        .filter(|(_, [training, _])| *training > 0)
        .map(|(class, _)| class.clone())
        .collect();
    if learnt.is_empty() && !catalogue.files.is_empty() {
        return Err(Error::DataForm {
            path: path.to_owned(),
            problem: format!(
                "it holds no {} to train on ({}); {} to learn from",
                catalogue.kind.plural(),
                catalogue.description(None),
                match catalogue.form {
                    folder::FORM => "a folder `train` with class folders is needed",
                    _ => "rows of the split `train` are needed",
                }
            ),
        });
    }
    for (class, [training, held_out]) in std::iter::zip(&catalogue.classes, counts) {
        if training == 0 && held_out > 0 {
            return Err(Error::DataMismatch(format!(
                "{}: of the class `{class}` there are {} for validation or test and none to train on; the other classes are {}",
                path.display(),
                catalogue.kind,
                listed(learnt.iter().map(String::as_str))
            )));
        }
        if training == 0 {
            return Err(Error::DataForm {
                path: path.to_owned(),
                problem: format!(
                    "the class `{class}` holds no {} ({}); fill it or delete it{}",
                    catalogue.kind.one(),
                    match catalogue.kind {
                        Kind::Sounds => sound::ENDINGS.join(", "),
                        _ => picture::ENDINGS.join(", "),
                    },
                    catalogue
                        .notes
                        .iter()
                        .map(|note| format!("\n{note}"))
                        .collect::<String>()
                ),
            });
        }
    }
    Ok(())
}

/// Which images a model is evaluated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judged {
    /// The data's test images.
    Test,
    /// The data's test images; the model was trained on some of them.
    LeakedTest,
    /// The test images that were held out when the model was trained on this data.
    HeldOut,
    /// The same, but the model was trained on other frames of the same series.
    HeldOutOfSeries,
    /// All images: the data has no test split, and the model is not known to have been trained on any of it.
    All,
    /// All images: the data has no test split and none was held out. The model was trained on some of them.
    Seen,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::LeakedTest => {
                "test, but the model was trained on some of these: the score is likely too high"
            }
            Self::HeldOut => "held out in training: the model was trained on the rest of this data",
            Self::HeldOutOfSeries => {
                "held out in training, but from the same series as the training part: the score says little about other series"
            }
            Self::All => "all",
            Self::Seen => {
                "all, including its training part: the score says little about new data"
            }
        })
    }
}

/// Data for the evaluation of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The images, with the model's classes.
    pub dataset: Dataset,
    /// Which images these are.
    pub judged: Judged,
    /// Number of images in all splits of the data, without those that could not be read.
    pub found: usize,
    /// What a user should know about how arrays were read, and how many labels are corrected.
    pub notes: Vec<String>,
    /// Files that could not be read and were left out, with the reasons.
    pub bad_files: Vec<BadFile>,
    /// Numbers of images with another background than the model's training images.
    pub unlike: Unlike,
    /// Whether the model was trained on some of the images that were read; `None` if unknown.
    pub has_trained: Option<bool>,
}

/// Reads the data for an evaluation: the test split if the data has one; otherwise the images held out when the model was trained
/// on this data; otherwise all images. `preparation` prepares pictures as in prediction. Classes are matched by name with the
/// model's `classes`. Of the options only `bad_files` and `cache` matter.
///
/// # Errors
/// As [`open`], but a single class is enough. [`Error::DataMismatch`] if the data has a class that the model does not have.
pub fn evaluation(
    path_or_name: impl AsRef<Path>,
    preparation: &Preparation,
    classes: &[String],
    division: Option<&Division>,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Evaluation> {
    let path = path_or_name.as_ref();
    let labels = division.map_or(&[][..], |division| &division.labels);
    let mut notes = Vec::new();
    // One class is enough, because the model has the others.
    let kind = Some(preparation.medium.kind());
    let located = catalogue::find_of_known_classes(path, preparation.range, kind)?;
    let (found, corrected) = located.corrected();
    let (undivided, test, found, bad_files, unlike) = match found {
        Found::Arrays(splits) => {
            let splits = text::without_bad(path, splits, options.bad_files)?;
            preparation.check_data(&splits.train)?;
            check_numbers(path, preparation, &splits)?;
            if splits.train.is_empty() && splits.test.is_none() {
                return Err(validation_only(path));
            }
            notes = splits.notes;
            let parts = [splits.validation.as_ref(), splits.test.as_ref()];
            let held_out: usize = parts.into_iter().flatten().map(Dataset::len).sum();
            let found = splits.train.len() + held_out;
            let unlike = preparation.unlike(splits.test.as_ref().unwrap_or(&splits.train))?;
            (splits.train, splits.test, found, splits.bad_files, unlike)
        }
        Found::Files(mut catalogue) => {
            check_kind(path, &catalogue, preparation)?;
            catalogue.refuse_missing(options.bad_files)?;
            let all = catalogue.files.len();
            let has_test = catalogue.count(Some(Part::Test)) > 0;
            catalogue.files.retain(|file| match has_test {
                true => file.part == Some(Part::Test),
                false => file.part != Some(Part::Validation),
            });
            if catalogue.files.is_empty() {
                return Err(validation_only(path));
            }
            catalogue.classes = known_by(&catalogue.classes, labels, classes);
            number_classes(path, &mut catalogue, classes)?;
            let (dataset, unlike, bad) =
                read_for_model(path, &catalogue, preparation, options, listen)?;
            let test = has_test.then(|| dataset.clone());
            (dataset, test, all - bad.len(), bad, unlike)
        }
    };
    notes.extend(corrected);
    let has_trained = division.map(|division| division.recognises(&undivided));
    let (dataset, judged) = match (test, division) {
        (Some(test), division) => match division.is_some_and(|known| known.recognises(&test)) {
            true => (test, Judged::LeakedTest),
            false => (test, Judged::Test),
        },
        (None, Some(division)) if has_trained == Some(true) => held_out(undivided, division),
        (None, _) => (undivided, Judged::All),
    };
    let known = known_by(dataset.classes(), labels, classes);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Ok(Evaluation {
        dataset: dataset.renamed(&known)?.with_classes(classes)?,
        notes,
        judged,
        found,
        unlike,
        has_trained,
        bad_files: options.bad_files.clear(path, bad_files),
    })
}

/// The error for data without images to evaluate on.
fn validation_only(path: &Path) -> Error {
    catalogue::problem(
        path,
        "it holds a validation part only; name data by which nothing was chosen, or rename `val` to `test`",
    )
}

/// Refuses arrays of standardised values if the model was trained on levels, and the reverse.
pub(super) fn check_numbers(path: &Path, preparation: &Preparation, splits: &Splits) -> Result<()> {
    let standardised = |range| range == Some(ValueRange::Standardised);
    match (
        standardised(preparation.range),
        standardised(splits.train.range),
    ) {
        (true, false) => preparation.check_levels(),
        (false, true) => Err(Error::DataMismatch(format!(
            "{}: its values are standardised, but the model was trained on levels from black to white; save them as they were before",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// The test images of undivided data on which a model with this division was trained; all images if none were held out.
fn held_out(dataset: Dataset, division: &Division) -> (Dataset, Judged) {
    let test = division.held_out(&dataset);
    match (test.is_empty(), division.series) {
        (true, _) => (dataset, Judged::Seen),
        (false, true) => (test, Judged::HeldOutOfSeries),
        (false, false) => (test, Judged::HeldOut),
    }
}

/// Gives each file the index of its class in `classes`. Only classes with files must be among them.
pub(super) fn number_classes(
    path: &Path,
    catalogue: &mut Catalogue,
    classes: &[String],
) -> Result<()> {
    let known: HashMap<String, usize> = classes
        .iter()
        .map(|class| composed(class))
        .zip(0..)
        .collect();
    for file in &mut catalogue.files {
        let class = &catalogue.classes[file.label];
        let label = known.get(&composed(class));
        file.label = *label.ok_or_else(|| match &catalogue.one_class {
            Some((path, why)) if catalogue.form == folder::CLASS_FOLDER => {
                catalogue::problem(path, why.as_str())
            }
            _ => unknown_class(path, class, classes),
        })?;
    }
    catalogue.classes = classes.to_vec();
    Ok(())
}
