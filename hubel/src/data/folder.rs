//! Lists pictures in class folders: `root/class/**`, `root/{train,val,test}/class/**`, or `root/class/{train,val,test}/**`.
mod clips;
mod parts;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::bad_files::is_quarantine;
use crate::data::catalogue::{Catalogue, ClassFolder, File, Part, name_of, problem, thousands};
use crate::data::ignored::{Ignored, Reason};
use crate::data::names::{composed, natural_order};
use crate::data::{Kind, clip, picture, sound, text};
use crate::formats::regular;
use crate::{Error, Result, one_line, shown};
use parts::{Divided, Inner, Layout};

pub(super) use clips::ANIMATED_ENDINGS;
pub(crate) use parts::part_called;
#[cfg(feature = "tables")]
pub(crate) use parts::part_within;

/// The name of this form of data.
pub(super) const FORM: &str = "class folders";

/// The form of pictures outside class folders. The folder may be a class folder itself, if its name is a class of the model.
pub(super) const CLASS_FOLDER: &str = "one class folder";

/// Extensions of unsupported pictures, which are reported.
const FOREIGN_ENDINGS: [&str; 11] = [
    "heic", "heif", "avif", "jxl", "jp2", "svg", "psd", "dng", "cr2", "nef", "arw",
];

/// Files that systems create in folders, besides hidden files.
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

/// The direct contents of a folder, sorted by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Folders, and links to folders.
    pub(super) folders: Vec<PathBuf>,
    /// Files, and links to anything but a folder.
    pub(super) files: Vec<PathBuf>,
    /// Hidden files and files of the system.
    pub(super) ignored: Ignored,
}

impl Contents {
    /// Whether one of the files is a picture, or several are texts: one or two may be notes about the data.
    fn has_samples(&self) -> bool {
        let kinds = || self.files.iter().filter_map(|file| kind_of(file));
        kinds().any(|kind| kind != Kind::Texts) || kinds().count() > MOST_NOTES
    }
}

/// Reads a folder.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub(super) fn contents(folder: &Path) -> Result<Contents> {
    let failed = Error::io("read", folder);
    let mut contents = Contents::default();
    // Sorts names, not paths: comparing a million paths takes several times as long.
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
            // A dangling link counts as a file. Reading it fails, which is reported.
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
            // Opening a pipe would wait forever.
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

/// Whether a folder is the one where `hubel train` writes its models; it is in the data if the data is `.`. Each run has a folder
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

/// Lists the class folders at `root`, whose own contents are given. `wanted` is the kind of their files; without it, the most frequent one is.
///
/// # Errors
/// [`Error::DataForm`] if there are fewer than two; [`Error::Io`] if a folder cannot be read.
pub(super) fn find(root: &Path, contents: Contents, wanted: Option<Kind>) -> Result<Catalogue> {
    let mut listing = Listing::new(root);
    listing.wanted = wanted;
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

/// A note on a folder beside `parts` that contains pictures and so may be a class.
fn taken_for_parts(root: &Path, folder: &PathBuf, parts: &[Divided]) -> Option<String> {
    let name = file_name(folder);
    let files = match part_called(&name) {
        // A `test` folder without labels.
        Some(_) => Vec::new(),
        None => files_below(root, std::slice::from_ref(folder)),
    };
    let kind = files.first().and_then(|file| kind_of(file))?;
    let advice = match parts {
        [part] => format!(
            "rename `{}` if it is a class as well",
            file_name(&part.folder)
        ),
        _ => "move them into these folders if they belong to the data".into(),
    };
    Some(format!(
        "the {kind} in `{name}` ({}) are not used, since the folders beside it are splits of the data; {advice}",
        thousands(files.len())
    ))
}

/// Files and classes as they are found.
struct Listing<'a> {
    root: &'a Path,
    files: Vec<File>,
    folders: Vec<ClassFolder>,
    /// Labels by the names of classes, in the order found.
    labels: HashMap<String, usize>,
    ignored: Ignored,
    notes: Vec<String>,
    /// The kinds of the pictures and recordings beside class folders instead of in one.
    stray: Vec<Kind>,
    /// The kind of the samples; `None`: the most frequent one.
    wanted: Option<Kind>,
    /// `root` and all folders above it: a link to one of them is a cycle.
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
            stray: Vec::new(),
            wanted: None,
            above: real(root).ancestors().map(Path::to_owned).collect(),
        }
    }

    /// Records files at a level where only folders are used. A dangling link may have been a folder.
    fn pass_over(&mut self, contents: &Contents) -> Result<()> {
        if let Some(link) = contents.files.iter().find(|file| leads_nowhere(file)) {
            return Err(problem(
                link,
                "it is a dangling link, perhaps to pictures on a disk that is not mounted; mount the disk, or delete the link",
            ));
        }
        self.ignored.add(&contents.ignored);
        for file in &contents.files {
            self.ignored.note(Reason::Stray, file);
            let kind = kind_of(file).filter(|kind| *kind != Kind::Texts);
            self.stray.extend(kind);
        }
        Ok(())
    }

    /// Lists each folder as a class of `part`, or of the splits that are folders in it.
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
                        "it is the same folder as `{other}`, so its files would be of both classes; delete the link"
                    ),
                ));
            }
            let contents = self::contents(&folder)?;
            classes.push((folder, contents));
        }
        let inner = parts::inner_layout(self.root, &classes, part.is_some(), self.wanted)?;
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

    /// Records that two folders are one class, with two spellings of its name.
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

    /// Lists a class folder with one folder per split.
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

    /// Lists the pictures of one class and split.
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

    /// Lists all pictures in and below a class folder with the given contents: first those of a folder by name, then those of the folders
    /// in it. Skips folders in `seen`, so that cyclic links end.
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
                match kind_of(&path) {
                    Some(_) => self.files.push(File {
                        path,
                        label,
                        part,
                        given: None,
                        is_left_out: false,
                    }),
                    None => {
                        let reason = passed_over(&path).unwrap_or(Reason::Ending);
                        self.ignored.note(reason, &path);
                    }
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
        let mut kind = self.choose_kind();
        let mut form = FORM;
        let one_class = match self.labels.len() {
            0 if self.stray.is_empty() => return Err(problem(self.root, self.no_classes())),
            0 => {
                form = CLASS_FOLDER;
                self.labels.insert(name_of(self.root), 0);
                let mut seen = self.above.clone();
                self.pictures(contents(self.root)?, 0, None, &mut seen)?;
                kind = self.choose_kind();
                Some(self.no_classes())
            }
            1 => Some(self.one_class(kind)),
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
            kind,
            form,
            classes: classes.into_iter().map(|(class, _)| class).collect(),
            files: self.files,
            folders: self.folders,
            notes: self.notes,
        })
    }

    /// Keeps the files of the wanted kind if there are any, or else of the most frequent one, and ignores the others.
    fn choose_kind(&mut self) -> Kind {
        let is_there = |wanted: &Kind| match wanted {
            Kind::Clips => self.may_hold_clips(),
            wanted => {
                let mut kinds = self.files.iter().filter_map(|file| kind_of(&file.path));
                kinds.any(|kind| kind == *wanted)
            }
        };
        let wanted = self.wanted.filter(is_there);
        let kind = wanted.unwrap_or_else(|| self.most_frequent_kind());
        self.keep(kind);
        kind
    }

    fn most_frequent_kind(&self) -> Kind {
        let (mut texts, mut sounds, mut others) = (0, 0, 0);
        for file in &self.files {
            match kind_of(&file.path) {
                Some(Kind::Texts) => texts += 1,
                Some(Kind::Sounds) => sounds += 1,
                _ => others += 1,
            }
        }
        if others >= texts.max(sounds) {
            return match self.are_clips() {
                true => Kind::Clips,
                false => Kind::Pictures,
            };
        }
        match sounds >= texts {
            true => Kind::Sounds,
            false => Kind::Texts,
        }
    }

    /// Keeps the files of this kind, and ignores the others.
    fn keep(&mut self, kind: Kind) {
        self.ignored.expect(kind);
        if kind == Kind::Clips {
            return self.keep_clips();
        }
        let files = std::mem::take(&mut self.files).into_iter();
        let (own, others) = files.partition(|file| kind_of(&file.path) == Some(kind));
        self.files = own;
        for file in others {
            let reason = kind_of(&file.path).map_or(Reason::Ending, Reason::of_other);
            self.ignored.note(reason, &file.path);
        }
    }

    fn no_classes(&self) -> String {
        let pictures = match (self.stray.len(), self.stray.first()) {
            (1, Some(Kind::Sounds)) => "1 recording, but ".to_owned(),
            (1, _) => "1 picture, but ".to_owned(),
            (many, Some(kind)) => format!("{} {kind}, but ", thousands(many)),
            (_, None) => String::new(),
        };
        format!(
            "it holds {pictures}neither class folders nor a table, nor files in IDX, CIFAR or NumPy form; {TWO_CLASSES}"
        )
    }

    /// The error for a single class.
    fn one_class(&self, kind: Kind) -> String {
        let class = self.labels.keys().next().map_or("", String::as_str);
        let folder = self.root.join(class);
        let inner = contents(&folder).unwrap_or_default();
        let pictures = inner.files.iter().any(|file| kind_of(file).is_some());
        let is_filled = pictures || kind == Kind::Clips;
        let hint = match is_filled || inner.folders.is_empty() && inner.files.is_empty() {
            true => String::new(),
            false => format!("; do you mean {}?", shown(&folder)),
        };
        format!(
            "only one class folder is there, `{}`; {TWO_CLASSES}{hint}",
            one_line(class)
        )
    }
}

/// An explanation of class folders for messages.
const TWO_CLASSES: &str = "a classifier needs at least two classes, one folder each";

/// All pictures in and below a folder, those of each folder by name before those of the folders in it, and a line for each kind of
/// ignored file.
///
/// # Errors
/// [`Error::Io`] if it, or a folder in it, cannot be read.
pub fn pictures(folder: &Path) -> Result<(Vec<PathBuf>, Vec<String>)> {
    samples(folder, Kind::Pictures)
}

/// All files of a kind in and below a folder, as [`pictures`] lists pictures. A clip may be a folder of frames, also `folder` itself.
///
/// # Errors
/// As for [`pictures`].
pub fn samples(folder: &Path, kind: Kind) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let mut listing = Listing::new(folder);
    let mut seen = listing.above.clone();
    listing.pictures(contents(folder)?, 0, None, &mut seen)?;
    listing.keep(kind);
    let notes = listing.ignored.notes(folder);
    let paths = listing.files.into_iter().map(|file| file.path);
    Ok((paths.collect(), notes))
}

/// The pictures and recordings in and below folders of `root`, as far as these can be read.
pub(super) fn files_below(root: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut listing = Listing::new(root);
    let mut seen = listing.above.clone();
    for folder in folders {
        if seen.insert(real(folder)) {
            // An unreadable folder is skipped, because these pictures are only counted.
            let _ = contents(folder)
                .and_then(|contents| listing.pictures(contents, 0, None, &mut seen));
        }
    }
    let files = listing.files.into_iter().map(|file| file.path);
    files
        .filter(|file| kind_of(file) != Some(Kind::Texts))
        .collect()
}

/// Most text files of a folder that count as notes about the data and not as samples.
const MOST_NOTES: usize = 2;

/// What a file in a class folder is, by its ending; `None` if it is no sample.
pub(super) fn kind_of(file: &Path) -> Option<Kind> {
    if sound::has_ending(file, &text::files::ENDINGS) {
        return Some(Kind::Texts);
    }
    if sound::has_ending(file, &clip::ENDINGS) {
        return Some(Kind::Clips);
    }
    if sound::is_named(file) {
        return Some(Kind::Sounds);
    }
    passed_over(file).is_none().then_some(Kind::Pictures)
}

/// Why a file in a class folder is no picture, or `None` if it is read as one.
pub(super) fn passed_over(file: &Path) -> Option<Reason> {
    let Some(ending) = file.extension() else {
        return (!begins_like_a_picture(file)).then_some(Reason::Ending);
    };
    let ending = ending.to_string_lossy().to_lowercase();
    if picture::ENDINGS.contains(&ending.as_str()) {
        None
    } else if FOREIGN_ENDINGS.contains(&ending.as_str()) {
        Some(Reason::Format)
    } else if sound::FOREIGN_ENDINGS.contains(&ending.as_str()) {
        Some(Reason::SoundFormat)
    } else {
        Some(Reason::Ending)
    }
}

/// Whether a path is a dangling link that may have been a class, because it has no picture extension.
fn leads_nowhere(path: &Path) -> bool {
    path.is_symlink() && !path.exists() && passed_over(path) == Some(Reason::Ending)
}

/// Whether the first bytes of a file are those of a supported picture format.
fn begins_like_a_picture(file: &Path) -> bool {
    let mut start = Vec::new();
    regular::open(file)
        .and_then(|file| file.take(16).read_to_end(&mut start))
        .is_ok()
        && picture::is_known(&start)
}

/// The canonical path of a folder or file; the path itself if the system cannot tell.
pub(super) fn real(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
