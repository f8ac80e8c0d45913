//! Listing pictures in class folders: `root/class/**`, or `root/{train,val,test}/class/**`.
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::bad_files::is_quarantine;
use crate::data::catalogue::{Catalogue, File, Part, name_of, problem, thousands};
use crate::data::ignored::{Ignored, Reason};
use crate::data::picture;
use crate::{Error, Result, one_line, shown};

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
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Folders, and links to folders.
    pub(super) folders: Vec<PathBuf>,
    /// Files, and links to anything but a folder.
    pub(super) files: Vec<PathBuf>,
    /// What belongs to the system.
    pub(super) ignored: Ignored,
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
    let mut note = None;
    match parts(root, &contents.folders)? {
        Layout::Divided(parts) => {
            listing.pass_over(&contents)?;
            for folder in &contents.folders {
                if !parts.iter().any(|(_, part, _)| part == folder) {
                    listing.ignored.note(Reason::Beside, folder);
                }
            }
            for (part, _, contents) in parts {
                listing.class_folders(contents, Some(part))?;
            }
        }
        Layout::Classes(remark) => {
            note = remark;
            listing.class_folders(contents, None)?;
        }
    }
    let mut catalogue = listing.catalogue()?;
    catalogue.notes.extend(note);
    Ok(catalogue)
}

/// What the folders of a data set are.
enum Layout {
    /// Some are parts, here with what they contain.
    Divided(Vec<(Part, PathBuf, Contents)>),
    /// All are classes; with a note where one could have been a part.
    Classes(Option<String>),
}

/// Whether `folders` of `root` are parts or classes.
///
/// # Errors
/// [`Error::DataForm`] where they are neither, or two of them the same part; [`Error::Io`] when a folder cannot be read.
fn parts(root: &Path, folders: &[PathBuf]) -> Result<Layout> {
    let mut parts: Vec<(Part, PathBuf, Contents)> = Vec::new();
    // Folders of pictures that can only be classes, and those that may be parts without classes as well.
    let (mut class_beside, mut flat) = (None, Vec::new());
    for folder in folders {
        let named = part_called(&file_name(folder));
        if named.is_none() && (class_beside.is_some() || parts.len() > 1) {
            continue;
        }
        let contents = contents(folder)?;
        let pictures = || {
            contents
                .files
                .iter()
                .any(|file| passed_over(file).is_none())
        };
        let Some(part) = named else {
            class_beside = pictures().then(|| file_name(folder));
            continue;
        };
        // A folder called `train` may also be the class of trains, which holds pictures itself.
        if contents.folders.is_empty() || contents.folders.len() == 1 && pictures() {
            if pictures() {
                flat.push(file_name(folder));
            }
            continue;
        }
        if let Some((_, other, _)) = parts.iter().find(|(known, _, _)| *known == part) {
            return Err(problem(
                root,
                format!(
                    "`{}` and `{}` both hold {part} images; put them together or rename one",
                    file_name(other),
                    file_name(folder)
                ),
            ));
        }
        parts.push((part, folder.clone(), contents));
    }
    if flat.len() > 1 && flat.len() == folders.len() {
        return Err(problem(
            root,
            format!(
                "{} hold pictures and no class folders; classes are folders in each of them, or are named by one table (CSV) of paths and classes beside them",
                flat.join(" and ")
            ),
        ));
    }
    parts.sort_by_key(|(part, _, _)| *part);
    let divided = match &parts[..] {
        [] => false,
        // Beside it there may be a `test` whose pictures nobody has labelled.
        [(Part::Train, _, contents)] => {
            class_beside.is_none() && (flat.is_empty() || contents.folders.len() > 1)
        }
        [_] => folders.len() == 1,
        [(Part::Train, _, _), ..] => true,
        _ => folders.len() == parts.len(),
    };
    if divided {
        return Ok(Layout::Divided(parts));
    }
    let taken = |(_, part, _): &(Part, PathBuf, Contents)| {
        let (part, beside) = (file_name(part), class_beside?);
        Some(format!(
            "`{part}` was taken for a class, since `{beside}` beside it holds pictures; if the folders in `{part}` are the classes, move `{beside}` away"
        ))
    };
    // `train` may well be the class of trains.
    let held_out = flat.iter().find_map(|name| {
        let part = part_called(name).filter(|part| *part != Part::Train)?;
        Some(format!(
            "`{name}` was taken for a class like the folders beside it; if it holds {part} images, put class folders into it and the others into a folder `train`"
        ))
    });
    Ok(Layout::Classes(parts.first().and_then(taken).or(held_out)))
}

/// The part that a folder's name, or a word in a table, stands for.
pub(crate) fn part_called(name: &str) -> Option<Part> {
    match name.to_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" | "dev" => Some(Part::Validation),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

/// Files and classes as they are found.
struct Listing<'a> {
    root: &'a Path,
    files: Vec<File>,
    /// Labels by the names of classes, as they were met.
    labels: HashMap<String, usize>,
    ignored: Ignored,
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
            labels: HashMap::new(),
            ignored: Ignored::default(),
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

    /// Lists each folder as a class of `part`.
    fn class_folders(&mut self, contents: Contents, part: Option<Part>) -> Result<()> {
        self.pass_over(&contents)?;
        let mut met = HashSet::new();
        let mut places: HashMap<PathBuf, String> = HashMap::new();
        for folder in contents.folders {
            let place = real(&folder);
            if self.above.contains(&place) {
                self.ignored.note(Reason::Loop, &folder);
                continue;
            }
            let class = file_name(&folder);
            if let Some(other) = places.insert(place.clone(), class.clone()) {
                return Err(problem(
                    &folder,
                    format!(
                        "it is the same folder as `{other}`, so its pictures would be of both classes; delete the link"
                    ),
                ));
            }
            let new = self.labels.len();
            let label = *self.labels.entry(class.clone()).or_insert(new);
            if !met.insert(class) {
                return Err(problem(
                    &folder,
                    "its name is not valid Unicode and cannot be told from another class folder's; rename it",
                ));
            }
            let mut seen: HashSet<PathBuf> = place.ancestors().map(Path::to_owned).collect();
            seen.extend(self.above.iter().cloned());
            self.pictures(folder, label, part, &mut seen)?;
        }
        Ok(())
    }

    /// Lists all pictures in and below a class folder: those of a folder by name, then those of the folders in it.
    /// No folder of `seen` is entered, so that links in circles end.
    fn pictures(
        &mut self,
        class: PathBuf,
        label: usize,
        part: Option<Part>,
        seen: &mut HashSet<PathBuf>,
    ) -> Result<()> {
        let mut waiting = vec![class];
        while let Some(folder) = waiting.pop() {
            let contents = contents(&folder)?;
            self.ignored.add(&contents.ignored);
            for path in contents.files {
                match passed_over(&path) {
                    None => self.files.push(File { path, label, part }),
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
                self.pictures(self.root.to_owned(), 0, None, &mut seen)?;
                Some(self.no_classes())
            }
            1 => Some(self.one_class()),
            _ => None,
        };
        let one_class = one_class.map(|why| (self.root.to_owned(), why));
        let mut classes: Vec<(String, usize)> = self.labels.into_iter().collect();
        classes.sort();
        let mut places = vec![0; classes.len()];
        for (place, (_, label)) in classes.iter().enumerate() {
            places[*label] = place;
        }
        for file in &mut self.files {
            file.label = places[file.label];
        }
        Ok(Catalogue {
            missing: None,
            one_class,
            name: name_of(self.root),
            form,
            classes: classes.into_iter().map(|(class, _)| class).collect(),
            files: self.files,
            notes: self.ignored.notes(self.root),
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
    listing.pictures(folder.to_owned(), 0, None, &mut seen)?;
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
            let _ = listing.pictures(folder.clone(), 0, None, &mut seen);
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
    std::fs::File::open(file)
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
