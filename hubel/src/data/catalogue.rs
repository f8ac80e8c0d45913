//! What a path holds, found out by looking and without decoding a picture.
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::given::Given;
#[cfg(feature = "mnist")]
use crate::data::mnist;
use crate::data::{BadFiles, Dataset, Splits, ValueRange, folder, picture, tables};
use crate::formats::regular;
use crate::{Error, Result, Shape};

pub(crate) use crate::data::part::Part;
pub(crate) use crate::one_line::thousands;

/// What was found at a path.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one such value at a time"
)]
pub(crate) enum Found {
    /// Picture files and their classes; nothing of them was read.
    Files(Catalogue),
    /// Arrays of pictures of one shape, read as they were found; the training part is empty where there are others only.
    Arrays(Splits),
}

/// Picture files and their classes.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// A short name of the data, for reports.
    pub(crate) name: String,
    /// What form it has: "class folders", …
    pub(crate) form: &'static str,
    /// The classes; labels count them from 0. A class without files is among them.
    pub(crate) classes: Vec<String>,
    /// The files, in an order that depends on nothing but their names.
    pub(crate) files: Vec<File>,
    /// The folders of the classes; none where a table names the files.
    pub(crate) folders: Vec<ClassFolder>,
    /// What was ignored and why, counted, one line for each reason.
    pub(crate) notes: Vec<String>,
    /// The table that names files which are missing, and which: they are among the files, and bad.
    pub(crate) missing: Option<(PathBuf, String)>,
    /// Where all files are of one class, from which nothing can be learnt: what is wrong, and of which file or folder.
    pub(crate) one_class: Option<(PathBuf, String)>,
}

impl Catalogue {
    /// Refuses data of which files are missing, if that is the policy.
    ///
    /// # Errors
    /// [`Error::DataFile`]
    pub(super) fn refuse_missing(&self, policy: BadFiles) -> Result<()> {
        match &self.missing {
            Some((path, problem)) if policy == BadFiles::Fail => Err(Error::DataFile {
                path: path.clone(),
                problem: format!("{problem}; or let them be left out (`bad_files = skip`)"),
            }),
            _ => Ok(()),
        }
    }
}

/// A picture file of a [`Catalogue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its class, as an index into [`Catalogue::classes`].
    pub(crate) label: usize,
    /// The part of the data that it belongs to; `None` where the data is not divided.
    pub(crate) part: Option<Part>,
    /// Where its bytes come from, if it is no file; then `path` is its name.
    pub(crate) given: Option<Given>,
}

impl File {
    /// Its bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when they cannot be read; [`Error::Picture`] when there are too many.
    pub(super) fn contents(&self) -> Result<Vec<u8>> {
        match &self.given {
            None => picture::contents(&self.path),
            Some(given) => given.contents(&self.path),
        }
    }

    /// Whether it is never trained on.
    pub(crate) fn is_held_out(&self) -> bool {
        self.part.is_some_and(Part::is_held_out)
    }
}

/// A folder whose pictures are of one class and part.
#[derive(Clone, Debug)]
pub(crate) struct ClassFolder {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its class, as an index into [`Catalogue::classes`].
    pub(crate) label: usize,
    /// The part of the data that it belongs to; `None` where the data is not divided.
    pub(crate) part: Option<Part>,
}

impl Catalogue {
    /// Number of files of a part; `None` counts the files that belong to no part.
    pub(crate) fn count(&self, part: Option<Part>) -> usize {
        self.files.iter().filter(|file| file.part == part).count()
    }

    /// The files to train on, those that are held out later included.
    pub(super) fn training_files(&self) -> Vec<&File> {
        let files = self.files.iter();
        files.filter(|file| !file.is_held_out()).collect()
    }

    /// Number of files of each class.
    #[cfg(test)]
    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.files.iter().for_each(|file| counts[file.label] += 1);
        counts
    }

    /// What was found, in one line: "class folders, 10 classes, 50,000 + 10,000 images of 32×32×3", as far as the shape is known.
    pub(crate) fn description(&self, shape: Option<Shape>) -> String {
        let parts = [Part::Train, Part::Validation, Part::Test];
        let counts = parts.map(|part| self.count(Some(part)));
        describe(
            self.form,
            self.classes.len(),
            [self.count(None) + counts[0], counts[1], counts[2]],
            shape,
        )
    }
}

/// A form, its classes and the images of each part in one line.
fn describe(form: &str, classes: usize, counts: [usize; 3], shape: Option<Shape>) -> String {
    let present: Vec<(usize, Part)> = counts
        .into_iter()
        .zip([Part::Train, Part::Validation, Part::Test])
        .filter(|&(count, _)| count > 0)
        .collect();
    let counts: Vec<String> = present.iter().map(|&(count, _)| thousands(count)).collect();
    let names: Vec<String> = present.iter().map(|(_, part)| part.to_string()).collect();
    // Nobody has to be told what `50,000 + 10,000` or a single number means.
    let names = match present[..] {
        [] | [(_, Part::Train)] | [(_, Part::Train), (_, Part::Test)] => String::new(),
        _ => format!(" ({})", names.join(" + ")),
    };
    let counts = if counts.is_empty() {
        "no".to_owned()
    } else {
        counts.join(" + ")
    };
    let images = if counts == "1" { "image" } else { "images" };
    let shape = shape.map_or_else(String::new, |shape| format!(" of {shape}"));
    format!("{form}, {classes} classes, {counts} {images}{shape}{names}")
}

/// As [`find_of_known_classes`], for whoever knows no classes but those that are there.
///
/// # Errors
/// As of that function, and [`Error::DataForm`] for fewer than two classes.
pub(crate) fn find(path: &Path) -> Result<Found> {
    match find_of_known_classes(path, None)? {
        Found::Files(Catalogue {
            one_class: Some((path, why)),
            ..
        }) => Err(problem(&path, why)),
        Found::Arrays(splits) => {
            splits.train.check_classes()?;
            Ok(Found::Arrays(splits))
        }
        found => Ok(found),
    }
}

/// Finds out by looking what is at `path`, or what the name `mnist` means; also data of a single class, to judge a model by, which knows the
/// classes, and was trained on arrays of the range `remembered`, if it was.
///
/// # Errors
/// [`Error::DataForm`] when no known form is there; [`Error::Io`] when a folder cannot be
/// read; [`Error::DataFile`], [`Error::Idx`], [`Error::DataMismatch`] when tables or arrays are damaged or do not fit together.
pub(crate) fn find_of_known_classes(path: &Path, remembered: Option<ValueRange>) -> Result<Found> {
    #[cfg(feature = "mnist")]
    if path.as_os_str().eq_ignore_ascii_case("mnist") {
        let mut splits = mnist()?;
        if path.is_dir() {
            let name = path.display();
            splits.notes.push(format!(
                "`{name}` is the MNIST in this program; the folder of that name is ./{name}"
            ));
        }
        return Ok(Found::Arrays(splits));
    }
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => problem(
            path,
            "there is no such file or folder; give a folder of class folders, a table (CSV), a folder with IDX or CIFAR files, an .npz file, or the name `mnist`",
        ),
        _ => Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        },
    })?;
    let mut found = if metadata.is_dir() {
        in_folder(path, remembered)?
    } else if metadata.is_file() {
        in_file(path, remembered)?
    } else {
        return Err(problem(path, "it is neither a file nor a folder"));
    };
    if let Found::Files(catalogue) = &mut found {
        let alike = classes_called_alike(&catalogue.classes);
        catalogue.notes.extend(alike);
    }
    Ok(found)
}

/// A note on each group of classes whose names differ in nothing but case and spaces.
fn classes_called_alike(classes: &[String]) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for class in classes {
        let plain = class.split_whitespace().collect::<Vec<_>>().join(" ");
        let group = groups.entry(plain.to_lowercase()).or_default();
        group.push(format!("`{class}`"));
    }
    let alike = groups.into_values().filter(|group| group.len() > 1);
    alike
        .map(|group| {
            format!(
                "the classes {} differ in case or spaces alone; if they are one, give them one name",
                group.join(" and ")
            )
        })
        .collect()
}

/// What a folder holds, told by the names in it.
fn in_folder(path: &Path, remembered: Option<ValueRange>) -> Result<Found> {
    let contents = folder::contents(path)?;
    if let Some(found) = tables::in_folder(path, &contents, remembered)? {
        return Ok(found);
    }
    folder::find(path, contents).map(Found::Files)
}

/// What a single file holds, told by its first bytes, and by its name where those say nothing.
fn in_file(path: &Path, remembered: Option<ValueRange>) -> Result<Found> {
    let mut start = Vec::new();
    regular::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .map_err(|source| Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(found) = tables::in_file(path, &name, &start, remembered)? {
        return Ok(found);
    }
    Err(problem(
        path,
        match &start[..] {
            [0, 0, 8, 1, ..] => {
                "these are the labels of an IDX pair; give the file of the pictures, or the folder of both"
            }
            [b'P', b'K', 3, 4, ..]
            | [0x1f, 0x8b, ..]
            | [0xfd, b'7', b'z', b'X', b'Z', ..]
            | [b'B', b'Z', b'h', ..] => "it is an archive; unpack it and give the folder",
            start if picture::is_known(start) => {
                "it is a single picture; give the folder instead, in which each class has a folder of pictures"
            }
            [] => "the file is empty",
            _ => {
                "a single file must be a table (its name ends in .csv or .tsv), NumPy's arrays (.npz) or IDX pictures; give the folder instead"
            }
        },
    ))
}

/// An [`Error::DataForm`] about `path`.
pub(super) fn problem(path: &Path, problem: impl Into<String>) -> Error {
    Error::DataForm {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// Data that was read as arrays, the classes of the other parts matched by name with those of the training part.
pub(crate) fn arrays(
    form: &str,
    train: Dataset,
    validation: Option<Dataset>,
    test: Option<Dataset>,
) -> Result<Splits> {
    let like_training = |part: Option<Dataset>, name: Part| match part {
        Some(part) if part.shape() != train.shape() => Err(Error::DataMismatch(format!(
            "the training images are {} and the {name} images {}; they must agree",
            train.shape(),
            part.shape()
        ))),
        Some(part) => part.with_classes(train.classes()).map(Some),
        None => Ok(None),
    };
    let validation = like_training(validation, Part::Validation)?;
    let test = like_training(test, Part::Test)?;
    let count = |part: &Option<Dataset>| part.as_ref().map_or(0, Dataset::len);
    let description = describe(
        form,
        train.classes().len(),
        [train.len(), count(&validation), count(&test)],
        Some(train.shape()),
    );
    Ok(Splits::found(description, train, validation, test))
}

/// The name of a folder or file as a report shows it, also for `.` and links.
pub(super) fn name_of(path: &Path) -> String {
    path.canonicalize()
        .ok()
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
}
