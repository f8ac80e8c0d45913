//! Corrected labels of a data folder, in a file beside the samples. The samples themselves stay where they are.
mod lines;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use crate::data::catalogue::{self, Catalogue, Found, thousands};
use crate::data::folder::Contents;
use crate::data::names::composed;
use crate::data::{Dataset, Kind, Splits};
use crate::formats::{atomic, regular};
use crate::{Error, Result, listed, one_line, shown};
use lines::Line;

/// The right label of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Correction {
    /// The sample is of this class.
    Class(String),
    /// The sample is left out: it is neither trained on nor judged.
    LeftOut,
}

/// The corrected labels of the samples in a folder. They are in the file [`Corrections::FILE`] there: a header, then for each sample a line with its path, relative to the folder, and
/// its right class. A line without a class leaves the sample out.
///
/// ```text
/// path,class
/// cats/17.jpg,dogs
/// "cats/a, b.jpg",
/// ```
///
/// All functions that read labelled data from a folder apply the file: [`open`](crate::data::open), [`evaluation`](crate::data::evaluation), [`learned`](crate::data::learned) and
/// [`check`](crate::check::check). The data is divided before the labels are corrected, so a correction moves no sample to another split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrections {
    lines: Vec<Line>,
}

/// Only one thread of this program changes such a file at a time.
static CHANGING: Mutex<()> = Mutex::new(());

impl Corrections {
    /// The name of the file.
    pub const FILE: &str = "hubel-labels.csv";

    /// Reads the file in a folder; there are no corrections if it does not exist. The classes and paths are not checked.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::DataFile`] with the line if it is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(Self::FILE);
        let bytes = match regular::open(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            opened => lines::bytes(opened, &file)?,
        };
        let lines = lines::read(bytes).map_err(|problem| Error::DataFile {
            path: file,
            problem,
        })?;
        Ok(Self { lines })
    }

    /// Whether the labels of a folder can be corrected in this way: they are those of class folders.
    pub fn are_possible_in(folder: &Path) -> bool {
        folder.is_dir() && catalogue::of_class_folders(folder).is_ok()
    }

    /// Changes the correction of a sample in a folder and replaces the file; `None` takes the correction back. `sample` is the path of the sample relative to the folder, with `/`. A
    /// correction to the class that the sample's folder has already takes it back, too. The file is removed with its last line. Returns the class that the sample has now, or `None` if it
    /// is left out.
    ///
    /// # Errors
    /// [`Error::DataFile`] if the sample or the class does not exist, or if another line of the file is wrong; then the file stays as it is. As for [`open`](crate::data::open), if
    /// there are no class folders. [`Error::Io`] if the file cannot be written.
    pub fn change(
        folder: &Path,
        sample: &str,
        correction: Option<Correction>,
    ) -> Result<Option<String>> {
        let _only_one = CHANGING
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let catalogue = catalogue::of_class_folders(folder)?;
        let mut corrections = Self::read(folder)?;
        let name = composed(sample);
        let old = corrections
            .lines
            .iter()
            .position(|line| line.name() == name);
        let place = old.unwrap_or(corrections.lines.len());
        let line = Line {
            // The header is line 1.
            number: place + 2,
            path: sample.to_owned(),
            // Without a correction, the line only looks for the sample.
            correction: correction.clone().unwrap_or(Correction::LeftOut),
        };
        match old {
            Some(place) => corrections.lines[place] = line,
            None => corrections.lines.push(line),
        }
        let labels = corrections.labels(folder, &catalogue)?;
        let is_it = |path: &Path| name_in(folder, path).is_some_and(|known| known == name);
        let file = catalogue.files.iter().find(|file| is_it(&file.path));
        let file = file.expect("the labels are those of files");
        let right = match correction {
            None => Some(file.label),
            Some(_) => labels.by_path[&file.path],
        };
        if right == Some(file.label) {
            corrections.lines.remove(place);
        }
        corrections.write(folder)?;
        Ok(right.map(|label| catalogue.classes[label].clone()))
    }

    /// The correction of a sample, by its path relative to the folder.
    pub fn of(&self, sample: &str) -> Option<&Correction> {
        let name = composed(sample);
        let line = self.lines.iter().find(|line| line.name() == name);
        line.map(|line| &line.correction)
    }

    /// The paths of all samples with a correction, in the order of the file.
    pub fn samples(&self) -> impl Iterator<Item = (&str, &Correction)> {
        let lines = self.lines.iter();
        lines.map(|line| (line.path.as_str(), &line.correction))
    }

    /// Number of corrections.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let file = folder.join(Self::FILE);
        if !self.is_empty() {
            return atomic::replace_file(&file, lines::written(&self.lines).as_bytes());
        }
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &file)(error))
            }
            _ => Ok(()),
        }
    }

    /// Reads the file of a folder with these contents, and takes it out of them: it is no data.
    ///
    /// # Errors
    /// As for [`Corrections::read`].
    pub(super) fn taken_from(folder: &Path, contents: &mut Contents) -> Result<Self> {
        let before = contents.files.len();
        contents.files.retain(|file| !Self::is_file(file));
        match contents.files.len() < before {
            true => Self::read(folder),
            false => Ok(Self::default()),
        }
    }

    /// Whether a file has the reserved name.
    pub(super) fn is_file(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == Self::FILE)
    }

    /// Refuses corrections of data whose labels are not folders.
    ///
    /// # Errors
    /// [`Error::DataFile`]
    pub(super) fn refuse_without_folders(&self, folder: &Path) -> Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(Error::DataFile {
                path: folder.join(Self::FILE),
                problem: "the labels of this data are in a table or in arrays, not in class folders; correct them there, and delete this file".into(),
            }),
        }
    }

    /// The right label of each file with a correction: the index of its class, or `None` if it is left out.
    ///
    /// # Errors
    /// [`Error::DataFile`] with the line, if it names a sample or a class that does not exist.
    pub(super) fn labels(&self, folder: &Path, catalogue: &Catalogue) -> Result<Labels> {
        let mut labels = Labels::default();
        if self.is_empty() {
            return Ok(labels);
        }
        let files = catalogue.files.iter();
        let files: HashMap<String, &Path> = files
            .filter_map(|file| Some((name_in(folder, &file.path)?, file.path.as_path())))
            .collect();
        let classes: HashMap<String, usize> = (catalogue
            .classes
            .iter()
            .map(|class| composed(class))
            .zip(0..))
        .collect();
        let mut met = HashMap::new();
        for line in &self.lines {
            let refused = |problem: String| Error::DataFile {
                path: folder.join(Self::FILE),
                problem: format!("line {}: {problem}", line.number),
            };
            let name = line.name();
            let Some(path) = files.get(&name) else {
                return Err(refused(no_sample(folder, &line.path, catalogue.kind)));
            };
            if let Some(other) = met.insert(name, line.number) {
                return Err(refused(format!(
                    "`{}` is also in line {other}; delete one of them",
                    one_line(&line.path)
                )));
            }
            let label = match &line.correction {
                Correction::LeftOut => None,
                Correction::Class(class) => Some(*classes.get(&composed(class)).ok_or_else(|| {
                    refused(format!(
                        "no folder has the class `{}`; the classes are {}. Write one of them, or make a folder for a new class and put at least one of its {} there",
                        one_line(class),
                        one_line(&listed(catalogue.classes.iter().map(String::as_str))),
                        catalogue.kind.plural()
                    ))
                })?),
            };
            labels.by_path.insert((*path).to_owned(), label);
        }
        Ok(labels)
    }
}

/// The path of a file relative to the folder, in the form in which paths are compared.
fn name_in(folder: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(folder).ok()?.iter();
    let parts: Vec<_> = parts.map(|part| part.to_string_lossy()).collect();
    Some(composed(&parts.join("/")))
}

/// Why a line names no sample.
fn no_sample(folder: &Path, path: &str, kind: Kind) -> String {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let shown = one_line(path);
    if path.is_empty() || !Path::new(path).components().all(is_plain) {
        return format!(
            "`{shown}` is no path inside the folder; write it relative to the folder, such as `class/name.png`"
        );
    }
    match folder.join(path).exists() {
        true => format!(
            "`{shown}` is none of the {} in the class folders; delete the line",
            kind.plural()
        ),
        false => format!("there is no file `{shown}`; correct the path, or delete the line"),
    }
}

/// The right labels of samples by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    /// `None`: the sample is left out.
    by_path: HashMap<PathBuf, Option<usize>>,
}

impl Labels {
    /// The paths of the samples that are left out.
    pub(super) fn left_out(&self) -> HashSet<&Path> {
        let left_out = self.by_path.iter().filter(|(_, label)| label.is_none());
        left_out.map(|(path, _)| path.as_path()).collect()
    }

    /// Corrects what was found; a note says so.
    pub(super) fn apply(&self, found: &mut Found) -> Option<String> {
        match found {
            Found::Files(catalogue) => {
                let mut counted = Counted::default();
                catalogue.files.retain_mut(|file| {
                    let Some(right) = self.by_path.get(&file.path) else {
                        return true;
                    };
                    counted.count(file.label, *right);
                    file.label = right.unwrap_or(file.label);
                    right.is_some()
                });
                counted.note(catalogue.kind)
            }
            Found::Arrays(splits) => self.apply_to_splits(splits),
        }
    }

    /// Corrects all splits; a note says so.
    pub(super) fn apply_to_splits(&self, splits: &mut Splits) -> Option<String> {
        if self.by_path.is_empty() {
            return None;
        }
        let mut counted = Counted::default();
        let kind = splits.train.kind();
        let held_out = [&mut splits.validation, &mut splits.test].into_iter();
        let parts = std::iter::once(&mut splits.train).chain(held_out.flatten());
        for part in parts {
            *part = self.corrected(part, &mut counted);
        }
        counted.note(kind)
    }

    fn corrected(&self, dataset: &Dataset, counted: &mut Counted) -> Dataset {
        let right = |index: usize| dataset.path(index).and_then(|path| self.by_path.get(path));
        let mut kept = Vec::with_capacity(dataset.len());
        let mut labels = Vec::with_capacity(dataset.len());
        for (index, &label) in dataset.labels().iter().enumerate() {
            let right = match right(index) {
                None => Some(label),
                Some(right) => {
                    counted.count(label, *right);
                    *right
                }
            };
            if let Some(right) = right {
                kept.push(index);
                labels.push(right);
            }
        }
        Dataset {
            labels,
            ..dataset.subset(&kept)
        }
    }
}

/// What was corrected.
#[derive(Default)]
struct Counted {
    corrected: usize,
    left_out: usize,
}

impl Counted {
    fn count(&mut self, label: usize, right: Option<usize>) {
        match right {
            None => self.left_out += 1,
            Some(right) => self.corrected += usize::from(right != label),
        }
    }

    /// "3 labels are corrected by hubel-labels.csv, and 1 picture is left out"
    fn note(&self, kind: Kind) -> Option<String> {
        let of = |count: usize, one: &str, many: &str| match count {
            1 => format!("1 {one} is"),
            _ => format!("{} {many} are", thousands(count)),
        };
        let corrected = format!("{} corrected", of(self.corrected, "label", "labels"));
        let left_out = format!(
            "{} left out",
            of(self.left_out, kind.singular(), kind.plural())
        );
        let file = Corrections::FILE;
        match (self.corrected, self.left_out) {
            (0, 0) => None,
            (_, 0) => Some(format!("{corrected} by {file}")),
            (0, _) => Some(format!("{left_out} by {file}")),
            _ => Some(format!("{corrected} by {file}, and {left_out}")),
        }
    }
}

/// A file of corrected labels, of arbitrary bytes.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzzed(bytes: &[u8]) -> bool {
    lines::fuzzed(bytes)
}

/// Refuses the file itself as data.
///
/// # Errors
/// [`Error::DataForm`]
pub(super) fn refuse_as_data(path: &Path) -> Result<()> {
    match Corrections::is_file(path) {
        false => Ok(()),
        true => Err(catalogue::problem(
            path,
            format!(
                "it holds corrected labels of the data in its folder; give the folder, {}",
                shown(atomic::folder_of(path))
            ),
        )),
    }
}
