//! Detects what is at a path, without decoding a picture.
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::bad_files::listing;
use crate::data::corrections::{self, Corrections, Labels};
use crate::data::given::Given;
#[cfg(feature = "mnist")]
use crate::data::mnist;
use crate::data::{
    BadFile, BadFiles, Dataset, Kind, Splits, ValueRange, divide, folder, picture, sound, tables,
    text,
};
use crate::formats::regular;
use crate::{Error, Result, Shape};

pub(crate) use crate::data::part::Part;
pub(crate) use crate::one_line::thousands;

/// The data found at a path.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one such value at a time"
)]
pub(crate) enum Found {
    /// Picture files and their classes; the files were not read.
    Files(Catalogue),
    /// Arrays of pictures of one shape, already read. The training split is empty if there are only other splits.
    Arrays(Splits),
}

/// The data found at a path, with the corrected labels of its folder, which are not applied yet.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) found: Found,
    pub(crate) labels: Labels,
}

impl Located {
    /// The data with the corrected labels, and a note about them.
    pub(crate) fn corrected(mut self) -> (Found, Option<String>) {
        let note = self.labels.apply(&mut self.found);
        (self.found, note)
    }
}

impl From<Found> for Located {
    fn from(found: Found) -> Self {
        Self {
            found,
            labels: Labels::default(),
        }
    }
}

/// Picture files and their classes.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// A short name of the data, for reports.
    pub(crate) name: String,
    /// What the files are.
    pub(crate) kind: Kind,
    /// The form: "class folders", …
    pub(crate) form: &'static str,
    /// The classes; labels count them from 0. Includes classes without files.
    pub(crate) classes: Vec<String>,
    /// The files, in an order that depends only on their names.
    pub(crate) files: Vec<File>,
    /// The folders of the classes; empty if a table names the files.
    pub(crate) folders: Vec<ClassFolder>,
    /// What was ignored and why, counted, one line for each reason.
    pub(crate) notes: Vec<String>,
    /// The table that names missing files, and a message about them. They are among the files, and bad.
    pub(crate) missing: Option<(PathBuf, String)>,
    /// A file or folder and a message, if all files are of one class, which cannot be trained on.
    pub(crate) one_class: Option<(PathBuf, String)>,
}

impl Catalogue {
    /// The samples that were read, with the split of each as the catalogue has it, by their splits. Samples without one are for training.
    ///
    /// # Errors
    /// [`Error::DataForm`] if a class has no sample for training.
    pub(super) fn splits(
        &self,
        path: &Path,
        (dataset, parts): (&Dataset, &[Option<Part>]),
        shape: Option<Shape>,
        notes: Vec<String>,
        bad_files: Vec<BadFile>,
    ) -> Result<Splits> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| part.or(Some(Part::Train)))
            .collect();
        let subset = |part| divide::subset(dataset, &parts, part);
        let train = subset(Part::Train);
        if let Some(class) = train.counts().iter().position(|&count| count == 0) {
            let (kind, class) = (self.kind.singular(), &self.classes[class]);
            let bad = listing(&bad_files);
            return Err(problem(
                path,
                format!("no training {kind} of the class `{class}` can be read:\n{bad}"),
            ));
        }
        let given = |part| Some(subset(part)).filter(|dataset| !dataset.is_empty());
        Ok(Splits {
            description: self.description(shape),
            validation: given(Part::Validation),
            test: given(Part::Test),
            train,
            notes,
            bad_files,
            empty_texts: Vec::new(),
            division: None,
        })
    }

    /// Rejects data with missing files under the policy `fail`.
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
    /// Its path.
    pub(crate) path: PathBuf,
    /// Its class, as an index into [`Catalogue::classes`].
    pub(crate) label: usize,
    /// Its split; `None` if the data is not divided.
    pub(crate) part: Option<Part>,
    /// Where its bytes come from, if it is no file; then `path` is its name.
    pub(crate) given: Option<Given>,
    /// Whether the corrected labels leave it out. Then it need not be readable.
    pub(crate) is_left_out: bool,
}

impl File {
    /// Its bytes.
    ///
    /// # Errors
    /// [`Error::Io`] when they cannot be read; [`Error::Picture`] when there are too many.
    pub(crate) fn contents(&self) -> Result<Vec<u8>> {
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

/// A folder whose pictures have one class and split.
#[derive(Clone, Debug)]
pub(crate) struct ClassFolder {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Its class, as an index into [`Catalogue::classes`].
    pub(crate) label: usize,
    /// Its split; `None` if the data is not divided.
    pub(crate) part: Option<Part>,
}

impl Catalogue {
    /// Number of files of a split; `None` counts the files without a split.
    pub(crate) fn count(&self, part: Option<Part>) -> usize {
        self.files.iter().filter(|file| file.part == part).count()
    }

    /// The training files, including those that are held out later.
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

    /// A description in one line: "class folders, 10 classes, 50,000 + 10,000 images of 32×32×3"; the shape if it is known.
    pub(crate) fn description(&self, shape: Option<Shape>) -> String {
        let parts = [Part::Train, Part::Validation, Part::Test];
        let counts = parts.map(|part| self.count(Some(part)));
        describe(
            self.form,
            self.classes.len(),
            [self.count(None) + counts[0], counts[1], counts[2]],
            shape,
            self.kind,
        )
    }
}

/// A description of form, classes and images per split in one line.
fn describe(
    form: &str,
    classes: usize,
    counts: [usize; 3],
    shape: Option<Shape>,
    kind: Kind,
) -> String {
    let present: Vec<(usize, Part)> = counts
        .into_iter()
        .zip([Part::Train, Part::Validation, Part::Test])
        .filter(|&(count, _)| count > 0)
        .collect();
    let counts: Vec<String> = present.iter().map(|&(count, _)| thousands(count)).collect();
    let names: Vec<String> = present.iter().map(|(_, part)| part.to_string()).collect();
    // `50,000 + 10,000` and a single number need no names of splits.
    let names = match present[..] {
        [] | [(_, Part::Train)] | [(_, Part::Train), (_, Part::Test)] => String::new(),
        _ => format!(" ({})", names.join(" + ")),
    };
    let counts = if counts.is_empty() {
        "no".to_owned()
    } else {
        counts.join(" + ")
    };
    let images = match counts == "1" {
        true => kind.singular(),
        false => kind.plural(),
    };
    let noun = if classes == 1 { "class" } else { "classes" };
    let shape = shape.map_or_else(String::new, |shape| format!(" of {shape}"));
    format!("{form}, {classes} {noun}, {counts} {images}{shape}{names}")
}

/// The files that hold the samples at `path`, without reading them: those in class folders, or those that a table names. A clip may be a folder. Arrays, and a table of pixels or texts, have
/// none.
///
/// # Errors
/// As for [`open`](crate::data::open), if there is no known form or a table is damaged.
pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let of_catalogue = |catalogue: Catalogue| {
        let files = catalogue.files.into_iter();
        files.map(|file| file.path).collect()
    };
    let found = match path.is_dir() {
        true => {
            let mut contents = folder::contents(path)?;
            contents.files.retain(|file| !Corrections::is_file(file));
            match tables::in_folder(path, &contents, None)? {
                None => return folder::find(path, contents, None).map(of_catalogue),
                Some(found) => found,
            }
        }
        false => in_file(path, None)?,
    };
    Ok(match found {
        Found::Files(catalogue) => of_catalogue(catalogue),
        Found::Arrays(_) => Vec::new(),
    })
}

/// As [`find_of_known_classes`], when the classes are not known in advance.
///
/// # Errors
/// As for that function, and [`Error::DataForm`] for fewer than two classes.
pub(crate) fn find(path: &Path, wanted: Option<Kind>) -> Result<Located> {
    let located = find_of_known_classes(path, None, wanted)?;
    let kind = match &located.found {
        Found::Files(catalogue) => catalogue.kind,
        Found::Arrays(splits) => splits.train.kind(),
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != kind) {
        return Err(problem(path, format!("it holds {kind}, not {wanted}")));
    }
    match &located.found {
        Found::Files(Catalogue {
            one_class: Some((path, why)),
            ..
        }) => Err(problem(path, why)),
        Found::Arrays(splits) => {
            splits.train.check_classes()?;
            Ok(located)
        }
        Found::Files(_) => Ok(located),
    }
}

/// The files in the class folders of a folder, without their corrected labels.
///
/// # Errors
/// [`Error::DataForm`] if there are none; [`Error::DataFile`] if its labels are in a table or in arrays.
pub(super) fn of_class_folders(path: &Path) -> Result<Catalogue> {
    let mut contents = folder::contents(path)?;
    contents.files.retain(|file| !Corrections::is_file(file));
    match tables::in_folder(path, &contents, None)? {
        None => folder::find(path, contents, None),
        Some(_) => Err(problem(
            path,
            "its labels are in a table or in arrays, not in class folders; correct them there",
        )),
    }
}

/// Detects the data at `path`, or that of the name `mnist`. Also accepts a single class, for evaluating a model that knows the
/// classes. `remembered` is the value range of the arrays that the model was trained on, if it was trained on such arrays. `wanted` is what the
/// samples are, if that is known; the files of class folders and tables are then taken as such.
///
/// # Errors
/// [`Error::DataForm`] if there is no known form; [`Error::Io`] if a folder cannot be
/// read; [`Error::DataFile`], [`Error::Idx`], [`Error::DataMismatch`] if tables or arrays are damaged or do not fit together.
pub(crate) fn find_of_known_classes(
    path: &Path,
    remembered: Option<ValueRange>,
    wanted: Option<Kind>,
) -> Result<Located> {
    #[cfg(feature = "mnist")]
    if path.as_os_str().eq_ignore_ascii_case("mnist") {
        let mut splits = mnist()?;
        if path.is_dir() {
            let name = path.display();
            splits.notes.push(format!(
                "`{name}` is the MNIST in this program; the folder of that name is ./{name}"
            ));
        }
        return Ok(Found::Arrays(splits).into());
    }
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => problem(
            path,
            format!(
                "there is no such file or folder; give {}",
                match (cfg!(feature = "mnist"), cfg!(feature = "tables")) {
                    (true, _) => {
                        "a folder of class folders, a table (CSV), a folder with IDX or CIFAR files, an .npz file, or the name `mnist`"
                    }
                    (false, true) => {
                        "a folder of class folders, a table (CSV), a folder with IDX or CIFAR files, or an .npz file"
                    }
                    (false, false) => "a folder of class folders",
                }
            ),
        ),
        _ => Error::Io {
            action: "read",
            path: path.to_owned(),
            source,
        },
    })?;
    let mut located = if metadata.is_dir() {
        in_folder(path, remembered, wanted)?
    } else if metadata.is_file() {
        in_file(path, remembered)?.into()
    } else {
        return Err(problem(path, "it is neither a file nor a folder"));
    };
    if let Found::Files(catalogue) = &mut located.found {
        // Class folders were searched for files of the wanted kind. The files of a table can be both.
        let can_be_both = |kind: Kind| matches!(kind, Kind::Pictures | Kind::Clips);
        let is_open = catalogue.folders.is_empty() && can_be_both(catalogue.kind);
        if let Some(wanted) = wanted.filter(|wanted| is_open && can_be_both(*wanted)) {
            catalogue.kind = wanted;
        }
        let alike = classes_called_alike(&catalogue.classes);
        catalogue.notes.extend(alike);
    }
    Ok(located)
}

/// A note on each group of classes whose names differ only in case and spaces.
pub(super) fn classes_called_alike(classes: &[String]) -> Vec<String> {
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
                "the classes {} differ only in case or spaces; if they are the same class, give them the same name",
                group.join(" and ")
            )
        })
        .collect()
}

/// The data in a folder, detected by the names in it, with the corrected labels of this folder.
fn in_folder(path: &Path, remembered: Option<ValueRange>, wanted: Option<Kind>) -> Result<Located> {
    let mut contents = folder::contents(path)?;
    let corrections = Corrections::taken_from(path, &mut contents)?;
    if let Some(found) = tables::in_folder(path, &contents, remembered)? {
        corrections.refuse_without_folders(path)?;
        return Ok(found.into());
    }
    let mut catalogue = folder::find(path, contents, wanted)?;
    let labels = corrections.labels(path, &catalogue)?;
    let left_out = labels.left_out();
    for file in &mut catalogue.files {
        file.is_left_out = left_out.contains(file.path.as_path());
    }
    let found = match catalogue.kind {
        Kind::Texts => Found::Arrays(text::files::read(catalogue)?),
        Kind::Pictures | Kind::Clips => Found::Files(catalogue),
        Kind::Sounds => recordings(path, catalogue)?,
    };
    Ok(Located { found, labels })
}

/// A catalogue of recordings.
///
/// # Errors
/// [`Error::DataForm`] without the feature `sound`.
pub(super) fn recordings(path: &Path, catalogue: Catalogue) -> Result<Found> {
    match cfg!(feature = "sound") {
        true => Ok(Found::Files(catalogue)),
        false => Err(problem(
            path,
            "it holds recordings, which need hubel's feature `sound`",
        )),
    }
}

/// The data in a single file, detected by its first bytes, or else by its name.
fn in_file(path: &Path, remembered: Option<ValueRange>) -> Result<Found> {
    corrections::refuse_as_data(path)?;
    let mut start = Vec::new();
    regular::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .map_err(Error::io("read", path))?;
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
            _ if sound::is_named(path) => {
                "it is a single recording; give the folder instead, in which each class has a folder of recordings"
            }
            start if picture::is_known(start) => {
                "it is a single picture; give the folder instead, in which each class has a folder of pictures"
            }
            [] => "the file is empty",
            _ if !cfg!(feature = "tables") => {
                "a single file is no data set; give a folder in which each class has a folder"
            }
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

/// Data from arrays. The classes of the other splits are matched by name with those of the training split.
pub(crate) fn arrays(
    form: &str,
    train: Dataset,
    validation: Option<Dataset>,
    test: Option<Dataset>,
) -> Result<Splits> {
    let like_training = |part: Option<Dataset>, name: Part| match part {
        Some(part) if part.shape() != train.shape() => Err(Error::DataMismatch(format!(
            "the training part is of {} and the {name} part of {}; they must agree",
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
        Some(train.shape()).filter(|_| train.kind() == Kind::Pictures),
        train.kind(),
    );
    Ok(Splits::found(description, train, validation, test))
}

/// The name of a folder or file for reports, also for `.` and links.
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
