//! Data before it is read: the files at a path, and statistics of a few of them.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::catalogue::{self, Found, Located};
use crate::data::clip;
use crate::data::conflicts;
use crate::data::corrections::{Corrections, Labels};
use crate::data::divide::Division;
use crate::data::open::{as_they_are, leaks, read_splits, trainable, with_all_classes};
use crate::data::reading::{Listen, Survey};
#[cfg(feature = "sound")]
use crate::data::sound;
use crate::data::{BadFiles, Kind, Options, Pictures, Splits, given, text};
use crate::{Error, Result, Shape};

/// Data that was found and not yet read. At most a hundred of its picture files are read for [`Source::outlook`].
pub struct Source {
    path: PathBuf,
    found: Found,
    /// The corrected labels of its folder. They are applied after the division, so that they move no sample to another split.
    labels: Labels,
    /// The result of a look at some picture files; `None` before the first look.
    survey: Option<Survey>,
}

/// Counts and sizes, from the names of all files and the contents of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// Number of training images, including those that are held out later.
    pub images: usize,
    /// Number of their classes.
    pub classes: usize,
    /// For picture files: the height and width of the picture with the median area; 1 channel if all are grey, else 3. For arrays: their
    /// shape. `None` if no picture can be read.
    pub size: Option<Shape>,
    /// Whether they are values whose levels of black and white are unknown.
    pub is_of_floats: bool,
    /// What the samples are.
    pub kind: Kind,
}

impl Source {
    /// Finds the data with this path or name; see [`open`](crate::data::open).
    ///
    /// # Errors
    /// As for [`open`](crate::data::open), if the form is unknown or arrays are damaged.
    pub fn find(path_or_name: impl AsRef<Path>) -> Result<Self> {
        Self::find_as(path_or_name, None)
    }

    /// As [`Self::find`], with samples of this kind. Without a kind, the most frequent one is chosen, and animated pictures are clips.
    ///
    /// # Errors
    /// As for [`Self::find`]; [`Error::DataForm`] if the data is of another kind.
    pub fn find_as(path_or_name: impl AsRef<Path>, kind: Option<Kind>) -> Result<Self> {
        let path = path_or_name.as_ref().to_owned();
        let Located { found, labels } = catalogue::find(&path, kind)?;
        Ok(Self {
            path,
            found,
            labels,
            survey: None,
        })
    }

    /// Data from the caller's own pictures; `name` is for messages and reports.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if there are no pictures, or all have one class.
    pub fn of(name: &str, pictures: impl Pictures + 'static) -> Result<Self> {
        Ok(Self {
            path: name.into(),
            found: Found::Files(given::catalogue(name, Arc::new(pictures))?),
            labels: Labels::default(),
            survey: None,
        })
    }

    /// What its samples are.
    pub fn kind(&self) -> Kind {
        match &self.found {
            Found::Arrays(splits) => splits.train.kind(),
            Found::Files(catalogue) => catalogue.kind,
        }
    }

    /// Counts and sizes of the data.
    ///
    /// # Errors
    /// If the pictures of an array can no longer be read.
    pub fn outlook(&mut self) -> Result<Outlook> {
        Ok(match &self.found {
            Found::Arrays(splits) => {
                let train = &splits.train;
                let channels = match train.shape().channels == 3 && !train.has_colour()? {
                    true => 1,
                    false => train.shape().channels,
                };
                Outlook {
                    images: train.len(),
                    classes: train.classes().len(),
                    size: (train.kind() == Kind::Pictures).then(|| Shape {
                        channels,
                        ..train.shape()
                    }),
                    is_of_floats: train.is_of_floats(),
                    kind: self.kind(),
                }
            }
            Found::Files(catalogue) => {
                let files = catalogue.training_files();
                // Without training files, `open` returns the error.
                let are_pictures = catalogue.kind == Kind::Pictures;
                if self.survey.is_none() && !files.is_empty() && are_pictures {
                    self.survey = Some(Survey::of(&files)?);
                }
                Outlook {
                    images: files.len(),
                    classes: catalogue.classes.len(),
                    size: self.survey.as_ref().and_then(Survey::middle),
                    is_of_floats: false,
                    kind: self.kind(),
                }
            }
        })
    }

    /// Reads and divides the data. Several threads call `listen` with the number of files read so far and the number of all files.
    ///
    /// # Errors
    /// As for [`open_with`](crate::data::open_with); [`Error::Settings`] for [`BadFiles::Quarantine`] if the pictures are not files.
    pub fn open(self, options: &Options, listen: Listen<'_>) -> Result<Splits> {
        options.check()?;
        if options.bad_files == BadFiles::Quarantine && self.is_given() {
            return Err(Error::Settings {
                problem: format!(
                    "{} has no files to move away; use BadFiles::Skip to leave out the pictures that cannot be read",
                    self.path.display()
                ),
            });
        }
        let path = &self.path;
        let splits = match self.found {
            Found::Files(catalogue) if catalogue.kind == Kind::Clips => {
                clip::splits(path, &catalogue, options, listen)?
            }
            #[cfg(feature = "sound")]
            Found::Files(catalogue) if catalogue.kind == Kind::Sounds => {
                sound::reading::read_splits(path, &catalogue, options, listen)?
            }
            Found::Files(catalogue) => read_splits(path, &catalogue, self.survey, options, listen)?,
            Found::Arrays(splits) if splits.train.kind() == Kind::Texts => {
                let splits = text::without_bad(path, splits, options.bad_files)?;
                with_all_classes(path, trainable(path, splits)?)?
            }
            Found::Arrays(splits) => as_they_are(path, splits, options)?,
        };
        let mut splits = Division::divide(splits, options.validation, options.test, options.seed);
        let corrected = self.labels.apply_to_splits(&mut splits);
        if corrected.is_some() {
            check_corrected(path, &splits)?;
        }
        splits.notes.extend(corrected);
        splits = text::with_length(splits, options);
        splits.notes.extend(leaks(&splits));
        splits.notes.extend(conflicts::note(&splits));
        // Only now, so that no file is moved if the data is refused.
        splits.bad_files = options.bad_files.clear(path, splits.bad_files);
        Ok(splits)
    }

    /// Whether it was made from [`Pictures`].
    fn is_given(&self) -> bool {
        match &self.found {
            Found::Files(catalogue) => catalogue.files.iter().any(|file| file.given.is_some()),
            Found::Arrays(_) => false,
        }
    }
}

/// Refuses data in which the corrected labels leave a class nothing to train on.
///
/// # Errors
/// [`Error::DataForm`]
fn check_corrected(path: &Path, splits: &Splits) -> Result<()> {
    let (train, kind) = (&splits.train, splits.train.kind());
    match train.counts().iter().position(|&count| count == 0) {
        None => Ok(()),
        Some(class) => Err(catalogue::problem(
            path,
            format!(
                "{} leaves the class `{}` no {} to train on; take some of its lines back, or delete the class",
                Corrections::FILE,
                train.classes()[class],
                kind.singular()
            ),
        )),
    }
}
