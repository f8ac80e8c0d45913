//! Reading what was found at a path: to train on it, or to judge a model by it.
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use crate::data::bad_files::listing;
use crate::data::blank::Blanks;
use crate::data::catalogue::{self, Catalogue, Found, Part};
use crate::data::class_names::{known_by, unknown_class};
use crate::data::divide::{self, Division};
use crate::data::folder;
use crate::data::names::composed;
use crate::data::preparation::Unlike;
use crate::data::reading::{self, Listen, Read, Survey};
use crate::data::source::Source;
use crate::data::tiff::levels_note;
use crate::data::{
    BadFile, Dataset, Options, Pixels, Preparation, Splits, ValueRange, picture, transparency,
};
use crate::listed;
use crate::{Error, Result};

/// Opens the data at `path_or_name` with default [`Options`]: the name `mnist`; class folders `root/class/**`,
/// `root/{train,val,test}/class/**` or `root/class/{train,val,test}/**`; a table (CSV) of paths, labels and parts, or of pixels, or a folder
/// with one; a folder with IDX files, or one of them; a folder with CIFAR's binary files; NumPy's `.npz` in MedMNIST's layout.
///
/// # Errors
/// [`Error::DataForm`] when no known form is there; [`Error::BadFiles`] for pictures that cannot be read, other variants for other bad
/// files; [`Error::DataMismatch`] when parts do not fit together.
pub fn open(path_or_name: impl AsRef<Path>) -> Result<Splits> {
    open_with(path_or_name, &Options::default(), &|_, _| ())
}

/// As [`open`], with options. `listen` is called from several threads, with the files that have been read and those to be read.
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

/// Arrays are trained on as they are; pictures that the model is shown later are resized as `options` say.
pub(super) fn as_they_are(path: &Path, splits: Splits, options: &Options) -> Result<Splits> {
    if splits.train.is_empty() {
        return Err(catalogue::problem(
            path,
            format!(
                "it holds no images to train on ({}); `Model::evaluate` judges a model by it",
                splits.description
            ),
        ));
    }
    let shape = splits.train.shape();
    if let Some(wanted) = options.shape.filter(|wanted| *wanted != shape) {
        return Err(Error::Settings {
            problem: format!(
                "{} holds arrays of {shape}, which are trained on as they are: only picture files are brought to a size such as {wanted}; \
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
        // The hundred of the survey were others than most.
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
    let parts: Vec<Option<Part>> = read
        .places
        .iter()
        .map(|place| catalogue.files[*place].part.or(Some(Part::Train)))
        .collect();
    let subset = |part| divide::subset(&read.dataset, &parts, part);
    let train = subset(Part::Train);
    if let Some(class) = train.counts().iter().position(|&count| count == 0) {
        let class = &catalogue.classes[class];
        let bad = listing(&bad_files);
        let problem = format!("no training picture of the class `{class}` can be read:\n{bad}");
        return Err(catalogue::problem(path, problem));
    }
    let given = |part| Some(subset(part)).filter(|dataset| !dataset.is_empty());
    Ok(Splits {
        description: catalogue.description(Some(shape)),
        train,
        validation: given(Part::Validation),
        test: given(Part::Test),
        notes,
        bad_files,
        division: None,
    })
}

/// Where the size was chosen as that of a sample of the files: how many of the others have another.
fn of_another_size(dataset: &Dataset) -> Option<String> {
    let shape = dataset.shape();
    let count = dataset.resized_files().count();
    (count > 0).then(|| {
        format!(
            "{} of the pictures have another size and are brought to {}×{}",
            catalogue::thousands(count),
            shape.width,
            shape.height
        )
    })
}

/// Where grey was chosen by a sample of the files: how many of the others have colour.
fn without_color(read: &Read) -> Option<String> {
    let shape = read.dataset.shape();
    (read.greyed > 0).then(|| {
        format!(
            "{} of the pictures have colour, which a grey input does not show; `shape = {}x{}x3` would",
            catalogue::thousands(read.greyed),
            shape.height,
            shape.width
        )
    })
}

/// A note on so many pictures that had the other polarity than most.
fn inverted_note(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{} of the pictures are inverted, since their ground is light where that of most is dark, or dark where it is light",
            catalogue::thousands(count)
        )
    })
}

/// Held out images that are trained on as well, to the bit, where the data came divided; divided here, they stay on one side.
pub(super) fn leaks(splits: &Splits) -> Vec<String> {
    let Pixels::Files(_) = splits.train.pixels else {
        return Vec::new();
    };
    let trained: HashSet<u64> = splits.train.contents().collect();
    let parts = [("validation", &splits.validation), ("test", &splits.test)];
    let notes = parts.into_iter().filter_map(|(part, dataset)| {
        let dataset = dataset.as_ref()?;
        let count = dataset.contents().filter(|content| trained.contains(content)).count();
        (count > 0).then(|| {
            format!(
                "{} of the {} {part} images are trained on as well, so that the score flatters; `check::check` lists them",
                catalogue::thousands(count),
                catalogue::thousands(dataset.len())
            )
        })
    });
    notes.collect()
}

/// Reads the files of a catalogue; bad ones are refused if that is the policy, and not yet moved.
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
    policy.refuse(path, files.len(), &bad)?;
    match read.places.is_empty() {
        true => Err(catalogue::problem(
            path,
            format!("none of its files can be read:\n{}", listing(&bad)),
        )),
        false => Ok((read, bad)),
    }
}

/// Refuses classes that cannot be learnt since there is no picture of them.
fn check_classes(path: &Path, catalogue: &Catalogue) -> Result<()> {
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
                "it holds no images to train on ({}); {} to learn from",
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
                "{}: of the class `{class}` there are pictures for validation or test and none to train on; the other classes are {}",
                path.display(),
                listed(learnt.iter().map(String::as_str))
            )));
        }
        if training == 0 {
            return Err(Error::DataForm {
                path: path.to_owned(),
                problem: format!(
                    "the class `{class}` holds no picture ({}); fill it or delete it{}",
                    picture::ENDINGS.join(", "),
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

/// The images that a finished model is judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Judged {
    /// The data's test images.
    Test,
    /// The data's test images, some of which the model was trained on.
    LeakedTest,
    /// The images that were held out for the test when the model was trained on this data.
    HeldOut,
    /// The same, where some of them are frames of series that the model was trained on, too.
    HeldOutOfSeries,
    /// All images: the data has no test part, and none of it is known to have been trained on.
    All,
    /// All images, since the data has no test part and none was held out; the model was trained on some of them.
    Seen,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::LeakedTest => {
                "test, with some that the model was trained on: the score flatters it"
            }
            Self::HeldOut => "held out in training: the model was trained on others of this data",
            Self::HeldOutOfSeries => {
                "held out in training, of the same series as what was trained on: the score says little about other series"
            }
            Self::All => "all",
            Self::Seen => {
                "all, with those that the model was trained on: no measure of what it can do"
            }
        })
    }
}

/// Data to judge a model by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The images, with the model's classes.
    pub dataset: Dataset,
    /// Which images of the data they are.
    pub judged: Judged,
    /// Images of the data in all its parts, of which they are some or all; those that could not be read are not counted.
    pub found: usize,
    /// What a user should know about how arrays were read.
    pub notes: Vec<String>,
    /// Files that could not be read and were left out, with the reasons.
    pub bad_files: Vec<BadFile>,
    /// Images that were read and stand on another ground than those that the model learned from.
    pub unlike: Unlike,
    /// Whether the images that were read hold some that the model was trained on; `None` where it does not know.
    pub has_trained: Option<bool>,
}

/// Reads the data that a finished model is to be judged on: the test part where the data has one; else, of data that the model was
/// trained on, what was held out then; else all of it. Picture files go through `preparation` as they do in prediction; classes are
/// matched by name with the model's `classes`; of the options only `bad_files` and `cache` matter.
///
/// # Errors
/// As [`open`], but that a single class is enough; [`Error::DataMismatch`] when the data has a class that the model does not know.
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
    // Which other classes there are, the model knows.
    let (undivided, test, found, bad_files, unlike) =
        match catalogue::find_of_known_classes(path, preparation.range)? {
            Found::Arrays(splits) => {
                preparation.check(splits.train.shape())?;
                check_numbers(path, preparation, &splits)?;
                if splits.train.is_empty() && splits.test.is_none() {
                    return Err(validation_only(path));
                }
                notes = splits.notes;
                let parts = [splits.validation.as_ref(), splits.test.as_ref()];
                let held_out: usize = parts.into_iter().flatten().map(Dataset::len).sum();
                let found = splits.train.len() + held_out;
                let unlike = preparation.unlike(splits.test.as_ref().unwrap_or(&splits.train))?;
                (splits.train, splits.test, found, Vec::new(), unlike)
            }
            Found::Files(mut catalogue) => {
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
                let (read, bad) = read_files(path, &catalogue, preparation, options, listen)?;
                let test = has_test.then(|| read.dataset.clone());
                (read.dataset, test, all - bad.len(), bad, read.unlike)
            }
        };
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

/// What is said of data that holds nothing to judge by.
fn validation_only(path: &Path) -> Error {
    catalogue::problem(
        path,
        "it holds validation images only; name data whose images nothing was chosen by, or rename `val` to `test`",
    )
}

/// Refuses arrays of standardised numbers for a model of levels, and levels for a model of such numbers.
pub(super) fn check_numbers(path: &Path, preparation: &Preparation, splits: &Splits) -> Result<()> {
    let standardised = |range| range == Some(ValueRange::Standardised);
    match (
        standardised(preparation.range),
        standardised(splits.train.range),
    ) {
        (true, false) => preparation.check_levels(),
        (false, true) => Err(Error::DataMismatch(format!(
            "{}: its numbers are standardised, and the model was trained on levels from black to white; save them as they were before",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// What of undivided data that a model of this division was trained on it is judged by.
fn held_out(dataset: Dataset, division: &Division) -> (Dataset, Judged) {
    let test = division.held_out(&dataset);
    match (test.is_empty(), division.series) {
        (true, _) => (dataset, Judged::Seen),
        (false, true) => (test, Judged::HeldOutOfSeries),
        (false, false) => (test, Judged::HeldOut),
    }
}

/// Numbers the classes as in `classes`; a class without files may be unknown to them.
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
