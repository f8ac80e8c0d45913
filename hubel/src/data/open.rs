//! Finding out by looking what form data has, and reading it.
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{Dataset, Preparation, Reading, Resize, Splits, folder, idx, mnist, picture};
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

/// What was found at a path.
pub(super) enum Form {
    Mnist,
    Idx {
        train: PathBuf,
        test: Option<PathBuf>,
    },
    Folders {
        train: folder::Listing,
        validation: Option<folder::Listing>,
        test: Option<folder::Listing>,
    },
}

/// Opens the data at `path_or_name` with default [`Options`]: the name `mnist`, a folder with IDX files, one IDX file of
/// pictures with its labels beside it, or class folders `root/class/*` or `root/{train,test}/class/*`.
///
/// # Errors
/// [`Error::DataForm`] when no known form is there; [`Error::Idx`], [`Error::Picture`], [`Error::Io`] for a bad file;
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
    match find(path)? {
        Form::Mnist => mnist(),
        Form::Idx { train, test } => {
            let train = idx::read_pair(&train)?;
            let test = test.map(|test| idx::read_pair(&test)).transpose()?;
            splits("IDX files", train, test, Vec::new())
        }
        Form::Folders {
            train,
            validation,
            test,
        } => {
            let shape = match options.shape {
                Some(shape) => shape,
                None => folder::choose_shape(&train, options)?,
            };
            let name = name_of(path);
            let geometry = Preparation::unmeasured(shape, options.resize);
            let mut notes = ignored_notes(&[Some(&train), validation.as_ref(), test.as_ref()]);
            let mut training = read(&name, &train, &geometry)?;
            if let Some(validation) = validation {
                notes.push(format!(
                    "the {} validation images were added to the training images, out of which validation images are held",
                    validation.files.len()
                ));
                let validation = read(
                    &name,
                    &same_classes(path, validation, &train.classes)?,
                    &geometry,
                )?;
                training = training.joined(&validation);
            }
            let test = test
                .map(|test| read(&name, &same_classes(path, test, &train.classes)?, &geometry))
                .transpose()?;
            splits("class folders", training, test, notes)
        }
    }
}

/// The part of a data set that a finished model is judged on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The test images.
    Test,
    /// All images, since the data has no test part.
    All,
}

impl fmt::Display for Part {
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
) -> Result<(Dataset, Part)> {
    let path = path_or_name.as_ref();
    let part = |has_test| if has_test { Part::Test } else { Part::All };
    let (dataset, part) = match find(path)? {
        Form::Mnist => {
            let splits = mnist()?;
            (splits.test.unwrap_or(splits.train), Part::Test)
        }
        Form::Idx { train, test } => {
            let part = part(test.is_some());
            (idx::read_pair(&test.unwrap_or(train))?, part)
        }
        Form::Folders { train, test, .. } => {
            let part = part(test.is_some());
            let listing = same_classes(path, test.unwrap_or(train), classes)?;
            return Ok((read(&name_of(path), &listing, preparation)?, part));
        }
    };
    preparation.check(dataset.shape())?;
    Ok((dataset.with_classes(classes)?, part))
}

fn find(path: &Path) -> Result<Form> {
    if path.as_os_str().eq_ignore_ascii_case("mnist") {
        return Ok(Form::Mnist);
    }
    let problem = |problem: &str| Error::DataForm {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(problem(
                "there is no such file or folder; give a folder of class folders, a folder with IDX files, or the name `mnist`",
            ));
        }
        Err(source) => {
            return Err(Error::Io {
                action: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    if metadata.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if idx::is_images(&name) {
            return Ok(Form::Idx {
                train: path.to_owned(),
                test: None,
            });
        }
        return Err(problem(
            "a single file must hold pictures in IDX form, with `images` and `idx3` in its name; give the folder instead",
        ));
    }
    if let Some(form) = idx::find(path)? {
        return Ok(form);
    }
    folder::find(path)?.ok_or_else(|| {
        problem(
            "it holds neither class folders (one folder of pictures for each class) nor IDX files",
        )
    })
}

/// Reads pictures through the one function that prediction uses too.
fn read(name: &str, listing: &folder::Listing, preparation: &Preparation) -> Result<Dataset> {
    let shape = preparation.shape;
    let resized = AtomicBool::new(false);
    let mut dataset = folder::read(name, listing, shape, &|path| {
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

fn splits(form: &str, train: Dataset, test: Option<Dataset>, notes: Vec<String>) -> Result<Splits> {
    let test = match test {
        Some(test) if test.shape() != train.shape() => {
            return Err(Error::DataMismatch(format!(
                "the training images are {} and the test images {}; they must agree",
                train.shape(),
                test.shape()
            )));
        }
        Some(test) => Some(test.with_classes(train.classes())?),
        None => None,
    };
    let tested = test
        .as_ref()
        .map_or_else(String::new, |test| format!(" + {}", thousands(test.len())));
    Ok(Splits {
        description: format!(
            "{form}, {} classes, {}{tested} images of {}",
            train.classes().len(),
            thousands(train.len()),
            train.shape()
        ),
        train,
        test,
        notes,
    })
}

/// A listing with its classes numbered as in `classes`.
fn same_classes(
    path: &Path,
    mut listing: folder::Listing,
    classes: &[String],
) -> Result<folder::Listing> {
    let mut places = Vec::new();
    for class in &listing.classes {
        let place = classes.iter().position(|known| known == class);
        places.push(place.ok_or_else(|| unknown_class(path, class, classes))?);
    }
    for (_, class) in &mut listing.files {
        *class = places[*class];
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

fn ignored_notes(listings: &[Option<&folder::Listing>]) -> Vec<String> {
    let ignored: usize = listings
        .iter()
        .flatten()
        .map(|listing| listing.ignored)
        .sum();
    if ignored == 0 {
        return Vec::new();
    }
    let files = if ignored == 1 {
        "1 file was ignored: it is no picture by its ending".into()
    } else {
        format!(
            "{} files were ignored: they are no pictures by their ending",
            thousands(ignored)
        )
    };
    vec![format!("{files} ({})", picture::ENDINGS.join(", "))]
}

fn name_of(path: &Path) -> String {
    path.canonicalize()
        .ok()
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
}

/// A number with commas between its thousands.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
