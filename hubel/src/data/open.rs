//! Reading what was found at a path.
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::catalogue::{self, Catalogue, Found, Part};
use crate::data::reading::{self, Listing};
use crate::data::{Dataset, Preparation, Reading, Resize, Splits, picture};
use crate::{Error, Result, Shape};

/// How pictures are read into memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The shape they are brought to; `None`: their own where they agree, else a square.
    pub shape: Option<Shape>,
    /// What is done with other proportions.
    pub resize: Resize,
    /// The largest side chosen where `shape` is `None`.
    pub largest_side: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shape: None,
            resize: Resize::Letterbox,
            largest_side: 64,
        }
    }
}

/// Opens the data at `path_or_name` with default [`Options`]: the name `mnist`; class folders `root/class/**` or
/// `root/{train,val,test}/class/**`; a table (CSV) of paths, labels and parts, or a folder with one; a folder with IDX files, or one
/// of them; a folder with CIFAR's binary files; NumPy's `.npz` in MedMNIST's layout.
///
/// # Errors
/// [`Error::DataForm`] when no known form is there; [`Error::DataFile`], [`Error::Idx`], [`Error::Picture`],
/// [`Error::Io`] for a bad file;
/// [`Error::DataMismatch`] when parts do not fit together.
pub fn open(path_or_name: impl AsRef<Path>) -> Result<Splits> {
    open_with(path_or_name, &Options::default())
}

/// As [`open`], with options.
///
/// # Errors
/// As [`open`].
pub fn open_with(path_or_name: impl AsRef<Path>, options: &Options) -> Result<Splits> {
    let path = path_or_name.as_ref();
    let catalogue = match catalogue::find(path)? {
        Found::Files(catalogue) => catalogue,
        Found::Arrays(splits) => return Ok(splits),
    };
    check_classes(path, &catalogue)?;
    let train = listing(&catalogue, |part| matches!(part, None | Some(Part::Train)));
    let shape = match options.shape {
        Some(shape) => shape,
        None => reading::choose_shape(&train, options)?,
    };
    let geometry = Preparation::unmeasured(shape, options.resize);
    let mut notes = catalogue.notes.clone();
    let mut training = read(&catalogue.name, &train, &geometry)?;
    let validation = listing(&catalogue, |part| part == Some(Part::Validation));
    if !validation.files.is_empty() {
        notes.push(format!(
            "the {} validation images were added to the training images, out of which validation images are held",
            validation.files.len()
        ));
        training = training.joined(&read(&catalogue.name, &validation, &geometry)?);
    }
    let test = listing(&catalogue, |part| part == Some(Part::Test));
    let test = match test.files.is_empty() {
        true => None,
        false => Some(read(&catalogue.name, &test, &geometry)?),
    };
    Ok(Splits {
        description: format!("{} of {shape}", catalogue.description()),
        train: training,
        validation: None,
        test,
        notes,
    })
}

/// Refuses classes that cannot be learnt since there is no picture of them.
fn check_classes(path: &Path, catalogue: &Catalogue) -> Result<()> {
    let mut counts = vec![[0; 2]; catalogue.classes.len()];
    for file in &catalogue.files {
        counts[file.label][usize::from(file.part == Some(Part::Test))] += 1;
    }
    let learnt: Vec<String> = std::iter::zip(&catalogue.classes, &counts)
        .filter(|(_, [training, _])| *training > 0)
        .map(|(class, _)| class.clone())
        .collect();
    if learnt.is_empty() && !catalogue.files.is_empty() {
        return Err(Error::DataForm {
            path: path.to_owned(),
            problem: format!(
                "it holds test images only ({}); a folder `train` with class folders is needed to learn from",
                catalogue.description()
            ),
        });
    }
    for (class, [training, test]) in std::iter::zip(&catalogue.classes, counts) {
        if training == 0 && test > 0 {
            return Err(unknown_class(path, class, &learnt));
        }
        if training == 0 {
            return Err(Error::DataForm {
                path: path.to_owned(),
                problem: format!(
                    "the class `{class}` holds no picture ({}); fill it or delete it",
                    picture::ENDINGS.join(", ")
                ),
            });
        }
    }
    Ok(())
}

/// The files of the parts that `wanted` names.
fn listing(catalogue: &Catalogue, wanted: impl Fn(Option<Part>) -> bool) -> Listing {
    let files = catalogue.files.iter().filter(|file| wanted(file.part));
    Listing {
        classes: catalogue.classes.clone(),
        files: files.map(|file| (file.path.clone(), file.label)).collect(),
    }
}

/// The part of a data set that a finished model is judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The test images.
    Test,
    /// All images, since the data has no test part.
    All,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::All => "all",
        })
    }
}

/// Reads the data that a finished model is to be judged on: the test part where the data has one, else all of it.
/// Picture files go through `preparation` as they do in prediction; classes are matched by name with the model's `classes`.
///
/// # Errors
/// As [`open`]; [`Error::DataMismatch`] when the data has a class that the model does not know.
pub fn evaluation(
    path_or_name: impl AsRef<Path>,
    preparation: &Preparation,
    classes: &[String],
) -> Result<(Dataset, Judged)> {
    let path = path_or_name.as_ref();
    match catalogue::find(path)? {
        Found::Arrays(splits) => {
            let (dataset, judged) = match splits.test {
                Some(test) => (test, Judged::Test),
                None => (splits.train, Judged::All),
            };
            preparation.check(dataset.shape())?;
            Ok((dataset.with_classes(classes)?, judged))
        }
        Found::Files(catalogue) => {
            let has_test = catalogue.count(Some(Part::Test)) > 0;
            let files = listing(&catalogue, |part| !has_test || part == Some(Part::Test));
            let files = same_classes(path, files, classes)?;
            let judged = if has_test { Judged::Test } else { Judged::All };
            Ok((read(&catalogue.name, &files, preparation)?, judged))
        }
    }
}

/// Reads pictures through the one function that prediction uses too.
fn read(name: &str, listing: &Listing, preparation: &Preparation) -> Result<Dataset> {
    let shape = preparation.shape;
    let resized = AtomicBool::new(false);
    let mut dataset = reading::read(name, listing, shape, &|path| {
        let prepared = preparation.picture(path)?;
        if prepared.original != shape {
            resized.store(true, Ordering::Relaxed);
        }
        Ok(prepared.pixels)
    })?;
    dataset.reading = Some(Reading {
        resize: preparation.resize,
        ink: preparation.ink,
        resized: resized.into_inner(),
    });
    Ok(dataset)
}

/// A listing with its classes numbered as in `classes`; a class without files may be unknown to them.
fn same_classes(path: &Path, mut listing: Listing, classes: &[String]) -> Result<Listing> {
    let known: HashMap<&String, usize> = classes.iter().zip(0..).collect();
    for (_, label) in &mut listing.files {
        let class = &listing.classes[*label];
        *label = *known
            .get(class)
            .ok_or_else(|| unknown_class(path, class, classes))?;
    }
    listing.classes = classes.to_vec();
    Ok(listing)
}

pub(super) fn unknown_class(path: &Path, class: &str, classes: &[String]) -> Error {
    let shown: Vec<&str> = classes.iter().take(12).map(String::as_str).collect();
    Error::DataMismatch(format!(
        "{}: class `{class}` is not among the {} that were trained: {}{}",
        path.display(),
        classes.len(),
        shown.join(", "),
        if classes.len() > 12 { " …" } else { "" }
    ))
}
