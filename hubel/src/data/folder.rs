//! Listing pictures in class folders: `root/class/**`, `root/{train,val,test}/class/**`, or `root/class/{train,val,test}/**`.
mod parts;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::bad_files::is_quarantine;
use crate::data::catalogue::{Catalogue, ClassFolder, File, Part, name_of, problem, thousands};
use crate::data::ignored::{Ignored, Reason};
use crate::data::names::{composed, natural_order};
use crate::data::picture;
use crate::formats::regular;
use crate::{Error, Result, one_line, shown};
use parts::{Divided, Inner, Layout};

pub(crate) use parts::part_called;
#[cfg(feature = "tables")]
pub(crate) use parts::part_within;

/// The form of data in class folders, for people.
pub(super) const FORM: &str = "class folders";

/// The form of pictures that lie in no class folder, for the folder may be one itself: what a model knows is called so.
pub(super) const CLASS_FOLDER: &str = "one class folder";

/// Endings of pictures that are not read, of which a user should hear.
const FOREIGN_ENDINGS: [&str; 11] = [
    "heic", "heif", "avif", "jxl", "jp2", "svg", "psd", "dng", "cr2", "nef", "arw",
];

/// What systems leave in folders, beside hidden files.
const SYSTEM_NAMES: [&str; 9] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    "lost+found",
];

/// What a folder contains itself, sorted by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Folders, and links to folders.
    pub(super) folders: Vec<PathBuf>,
    /// Files, and links to anything but a folder.
    pub(super) files: Vec<PathBuf>,
    /// What belongs to the system.
    pub(super) ignored: Ignored,
}

impl Contents {
    /// Whether one of the files is a picture.
    fn has_pictures(&self) -> bool {
        self.files.iter().any(|file| passed_over(file).is_none())
    }
}

/// Reads a folder.
///
/// # Errors
/// [`Error::Io`] when it cannot be read.
pub(super) fn contents(folder: &Path) -> Result<Contents> {
    let failed = |source| Error::Io {
        action: "read",
        path: folder.to_owned(),
        source,
    };
    let mut contents = Contents::default();
    // Names are sorted, not paths: to compare a million paths costs several times as much.
    let (mut folders, mut files): (Vec<OsString>, Vec<OsString>) = Default::default();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if belongs_to_the_system(&name) {
            contents.ignored.note(Reason::System, &entry.path());
            continue;
        }
        let mut kind = entry.file_type().map_err(failed)?;
        if kind.is_symlink() {
            // A link that leads nowhere counts as a file, which then cannot be read, and is reported as such.
            let target = std::fs::metadata(entry.path()).map(|target| target.file_type());
            kind = target.unwrap_or(kind);
        }
        if kind.is_dir() && is_quarantine(&name) {
            contents.ignored.note(Reason::Quarantine, &entry.path());
        } else if kind.is_dir() && is_of_runs(&entry.path()) {
            contents.ignored.note(Reason::Runs, &entry.path());
        } else if kind.is_dir() {
            folders.push(name);
        } else if kind.is_file() || kind.is_symlink() {
            files.push(name);
        } else {
            // Whoever opens a pipe waits for ever.
            contents.ignored.note(Reason::Special, &entry.path());
        }
    }
    let sorted = |mut names: Vec<OsString>| {
        names.sort_unstable();
        names.into_iter().map(|name| folder.join(name)).collect()
    };
    contents.folders = sorted(folders);
    contents.files = sorted(files);
    Ok(contents)
}

/// Whether a folder is the one that `hubel train` writes its models to: it lies among the data when that was `.`. Each run has a folder
/// there, which is empty until its model is saved.
fn is_of_runs(folder: &Path) -> bool {
    let entries = |folder: &Path| -> Option<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).ok()?.flatten();
        Some(entries.map(|entry| entry.path()).collect())
    };
    let is_model = |file: &PathBuf| {
        file.extension()
            .is_some_and(|ending| ending == "safetensors")
    };
    let holds = |run: &PathBuf| run.join("model.safetensors").is_file();
    let is_run = |run: &PathBuf| {
        run.is_dir() && entries(run).is_some_and(|files| files.iter().all(is_model))
    };
    folder.file_name().is_some_and(|name| name == "runs")
        && entries(folder).is_some_and(|runs| runs.iter().any(holds) || runs.iter().all(is_run))
}

fn belongs_to_the_system(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b".")
        || SYSTEM_NAMES
            .iter()
            .any(|system| name.eq_ignore_ascii_case(system))
}

/// Lists the class folders at `root`, whose own contents are given.
///
/// # Errors
/// [`Error::DataForm`] when there are fewer than two; [`Error::Io`] when a folder cannot be read.
pub(super) fn find(root: &Path, contents: Contents) -> Result<Catalogue> {
    let mut listing = Listing::new(root);
    let mut notes = Vec::new();
    match parts::layout(root, &contents.folders)? {
        Layout::Divided(parts, remark) => {
            notes.extend(remark);
            listing.pass_over(&contents)?;
            let is_part = |folder: &PathBuf| parts.iter().any(|part| part.folder == *folder);
            let beside = contents.folders.iter().filter(|folder| !is_part(folder));
            for folder in beside {
                listing.ignored.note(Reason::Beside, folder);
                notes.extend(taken_for_parts(root, folder, &parts));
            }
            for part in parts {
                listing.class_folders(part.contents, Some(part.part))?;
            }
        }
        Layout::Classes(remark) => {
            notes.extend(remark);
            listing.class_folders(contents, None)?;
        }
    }
    let mut catalogue = listing.catalogue()?;
    catalogue.notes.extend(notes);
    Ok(catalogue)
}

/// What to say of a folder beside `parts`, if it holds pictures, as a class may.
fn taken_for_parts(root: &Path, folder: &PathBuf, parts: &[Divided]) -> Option<String> {
    let name = file_name(folder);
    let pictures = match part_called(&name) {
        // A `test` that nobody has labelled.
        Some(_) => 0,
        None => pictures_below(root, std::slice::from_ref(folder)).len(),
    };
    let advice = match parts {
        [part] => format!(
            "rename `{}` if it is a class as well",
            file_name(&part.folder)
        ),
        _ => "move them into the parts if they belong to the data".into(),
    };
    (pictures > 0).then(|| {
        format!(
            "the pictures in `{name}` ({}) take no part, since the folders beside it were taken for parts of the data; {advice}",
            thousands(pictures)
        )
    })
}

/// Files and classes as they are found.
struct Listing<'a> {
    root: &'a Path,
    files: Vec<File>,
    folders: Vec<ClassFolder>,
    /// Labels by the names of classes, as they were met.
    labels: HashMap<String, usize>,
    ignored: Ignored,
    notes: Vec<String>,
    /// Pictures that lie beside class folders instead of in one.
    stray_pictures: usize,
    /// `root` and all folders above it: a link that leads there leads in circles.
    above: HashSet<PathBuf>,
}

impl<'a> Listing<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            files: Vec::new(),
            folders: Vec::new(),
            labels: HashMap::new(),
            ignored: Ignored::default(),
            notes: Vec::new(),
            stray_pictures: 0,
            above: real(root).ancestors().map(Path::to_owned).collect(),
        }
    }

    /// Notes files that lie where only folders mean something; a link that leads nowhere may have been one.
    fn pass_over(&mut self, contents: &Contents) -> Result<()> {
        if let Some(link) = contents.files.iter().find(|file| leads_nowhere(file)) {
            return Err(problem(
                link,
                "it is a link to what is not there, perhaps pictures on a disk that is not mounted; bring that back, or delete the link",
            ));
        }
        self.ignored.add(&contents.ignored);
        for file in &contents.files {
            self.ignored.note(Reason::Stray, file);
            self.stray_pictures += usize::from(passed_over(file).is_none());
        }
        Ok(())
    }

    /// Lists each folder as a class of `part`, or of the parts that the folders in it are called by.
    fn class_folders(&mut self, contents: Contents, part: Option<Part>) -> Result<()> {
        self.pass_over(&contents)?;
        let mut places: HashMap<PathBuf, String> = HashMap::new();
        let mut classes = Vec::new();
        for folder in contents.folders {
            let place = real(&folder);
            if self.above.contains(&place) {
                self.ignored.note(Reason::Loop, &folder);
                continue;
            }
            let name = file_name(&folder);
            if let Some(other) = places.insert(place, name) {
                return Err(problem(
                    &folder,
                    format!(
                        "it is the same folder as `{other}`, so its pictures would be of both classes; delete the link"
                    ),
                ));
            }
            let contents = self::contents(&folder)?;
            classes.push((folder, contents));
        }
        let inner = parts::inner_layout(self.root, &classes, part.is_some())?;
        let mut met: HashMap<String, PathBuf> = HashMap::new();
        for (folder, contents) in classes {
            let class = composed(&file_name(&folder));
            if let Some(other) = met.insert(class.clone(), folder.clone()) {
                self.note_spellings(&class, &other, &folder)?;
            }
            let new = self.labels.len();
            let label = *self.labels.entry(class).or_insert(new);
            match inner {
                Inner::Whole => self.class_folder(folder, contents, label, part)?,
                Inner::Parts => self.divided_class(folder, contents, label)?,
            }
        }
        Ok(())
    }

    /// Notes that two folders are one class, whose name they spell in two ways.
    fn note_spellings(&mut self, class: &str, one: &Path, other: &Path) -> Result<()> {
        if one.to_str().is_none() || other.to_str().is_none() {
            return Err(problem(
                other,
                "its name is not valid Unicode and cannot be told from another class folder's; rename it",
            ));
        }
        self.notes.push(format!(
            "two folders are the class `{class}`: their names differ in how Unicode composes the letters"
        ));
        Ok(())
    }

    /// Lists a class folder that holds a folder for each part.
    fn divided_class(&mut self, class: PathBuf, contents: Contents, label: usize) -> Result<()> {
        self.ignored.add(&contents.ignored);
        for file in &contents.files {
            self.ignored.note(Reason::Stray, file);
        }
        if contents.folders.is_empty() {
            return self.class_folder(class, Contents::default(), label, None);
        }
        for folder in contents.folders {
            match part_called(&file_name(&folder)) {
                Some(part) => {
                    let contents = self::contents(&folder)?;
                    self.class_folder(folder, contents, label, Some(part))?;
                }
                None => self.ignored.note(Reason::Beside, &folder),
            }
        }
        Ok(())
    }

    /// Lists the pictures of one class and part.
    fn class_folder(
        &mut self,
        folder: PathBuf,
        contents: Contents,
        label: usize,
        part: Option<Part>,
    ) -> Result<()> {
        let mut seen: HashSet<PathBuf> = real(&folder).ancestors().map(Path::to_owned).collect();
        seen.extend(self.above.iter().cloned());
        self.folders.push(ClassFolder {
            path: folder,
            label,
            part,
        });
        self.pictures(contents, label, part, &mut seen)
    }

    /// Lists all pictures in and below a class folder, here with what it contains: those of a folder by name, then those of the folders
    /// in it. No folder of `seen` is entered, so that links in circles end.
    fn pictures(
        &mut self,
        class: Contents,
        label: usize,
        part: Option<Part>,
        seen: &mut HashSet<PathBuf>,
    ) -> Result<()> {
        let mut next = Some(class);
        let mut waiting: Vec<PathBuf> = Vec::new();
        while let Some(contents) = next {
            self.ignored.add(&contents.ignored);
            for path in contents.files {
                match passed_over(&path) {
                    None => self.files.push(File {
                        path,
                        label,
                        part,
                        given: None,
                    }),
                    Some(reason) => self.ignored.note(reason, &path),
                }
            }
            for folder in contents.folders.into_iter().rev() {
                if seen.insert(real(&folder)) {
                    waiting.push(folder);
                } else {
                    self.ignored.note(Reason::Loop, &folder);
                }
            }
            next = waiting
                .pop()
                .map(|folder| self::contents(&folder))
                .transpose()?;
        }
        Ok(())
    }

    /// The listing with its classes in the order of their names.
    fn catalogue(mut self) -> Result<Catalogue> {
        let mut form = FORM;
        let one_class = match self.labels.len() {
            0 if self.stray_pictures == 0 => return Err(problem(self.root, self.no_classes())),
            0 => {
                form = CLASS_FOLDER;
                self.labels.insert(name_of(self.root), 0);
                let mut seen = self.above.clone();
                self.pictures(contents(self.root)?, 0, None, &mut seen)?;
                Some(self.no_classes())
            }
            1 => Some(self.one_class()),
            _ => None,
        };
        let one_class = one_class.map(|why| (self.root.to_owned(), why));
        let mut classes: Vec<(String, usize)> = self.labels.into_iter().collect();
        classes.sort_by(|(one, _), (other, _)| natural_order(one, other));
        let mut places = vec![0; classes.len()];
        for (place, (_, label)) in classes.iter().enumerate() {
            places[*label] = place;
        }
        for file in &mut self.files {
            file.label = places[file.label];
        }
        for folder in &mut self.folders {
            folder.label = places[folder.label];
        }
        self.notes.extend(self.ignored.notes(self.root));
        Ok(Catalogue {
            missing: None,
            one_class,
            name: name_of(self.root),
            form,
            classes: classes.into_iter().map(|(class, _)| class).collect(),
            files: self.files,
            folders: self.folders,
            notes: self.notes,
        })
    }

    fn no_classes(&self) -> String {
        let pictures = match self.stray_pictures {
            0 => String::new(),
            1 => "1 picture, but ".to_owned(),
            many => format!("{} pictures, but ", thousands(many)),
        };
        format!(
            "it holds {pictures}neither class folders nor a table, nor files in IDX, CIFAR or NumPy form; {TWO_CLASSES}"
        )
    }

    /// What is wrong with a single class.
    fn one_class(&self) -> String {
        let class = self.labels.keys().next().map_or("", String::as_str);
        let folder = self.root.join(class);
        let inner = contents(&folder).unwrap_or_default();
        let pictures = inner.files.iter().any(|file| passed_over(file).is_none());
        let hint = match pictures || inner.folders.is_empty() && inner.files.is_empty() {
            true => String::new(),
            false => format!("; is {} what you mean?", shown(&folder)),
        };
        format!(
            "only one class folder is there, `{}`; {TWO_CLASSES}{hint}",
            one_line(class)
        )
    }
}

/// What class folders are needed for.
const TWO_CLASSES: &str = "a classifier needs at least two classes, one folder of pictures each";

/// All pictures in and below a folder, those of each folder by name before those of the folders in it, and a line for each kind of thing
/// that was passed over.
///
/// # Errors
/// [`Error::Io`] when it, or a folder in it, cannot be read.
pub fn pictures(folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let mut listing = Listing::new(folder);
    let mut seen = listing.above.clone();
    listing.pictures(contents(folder)?, 0, None, &mut seen)?;
    let notes = listing.ignored.notes(folder);
    let paths = listing.files.into_iter().map(|file| file.path);
    Ok((paths.collect(), notes))
}

/// The pictures in and below folders of `root`, as far as these can be read.
pub(super) fn pictures_below(root: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut listing = Listing::new(root);
    let mut seen = listing.above.clone();
    for folder in folders {
        if seen.insert(real(folder)) {
            // What cannot be read ends the folder and nothing else: these pictures are only counted.
            let _ = contents(folder)
                .and_then(|contents| listing.pictures(contents, 0, None, &mut seen));
        }
    }
    listing.files.into_iter().map(|file| file.path).collect()
}

/// Why a file in a class folder is no picture, or `None` when it is to be read as one.
pub(super) fn passed_over(file: &Path) -> Option<Reason> {
    let Some(ending) = file.extension() else {
        return (!begins_like_a_picture(file)).then_some(Reason::Ending);
    };
    let ending = ending.to_string_lossy().to_lowercase();
    if picture::ENDINGS.contains(&ending.as_str()) {
        None
    } else if FOREIGN_ENDINGS.contains(&ending.as_str()) {
        Some(Reason::Format)
    } else {
        Some(Reason::Ending)
    }
}

/// Whether a path is a link to what is not there, and may have been a class: it is not called like a picture.
fn leads_nowhere(path: &Path) -> bool {
    path.is_symlink() && !path.exists() && passed_over(path) == Some(Reason::Ending)
}

/// Whether the first bytes of a file are those of a picture format that is read.
fn begins_like_a_picture(file: &Path) -> bool {
    let mut start = Vec::new();
    regular::open(file)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .is_ok()
        && picture::is_known(&start)
}

/// Where a folder or file really is; the path itself if the system cannot tell.
pub(super) fn real(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
