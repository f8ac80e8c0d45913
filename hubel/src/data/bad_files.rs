//! The policies for picture files that cannot be read.
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use serde::{Serialize, Serializer};

use crate::data::names::is_table;
use crate::data::{clip, sound};
use crate::formats::atomic::folder_of;
use crate::formats::regular;
use crate::{Error, Result, shown};

/// The policy for picture files that cannot be read. All files are read once before training, so that none stops it later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadFiles {
    /// List the first of them, and stop.
    #[default]
    Fail,
    /// List them and leave them out.
    Skip,
    /// List them and move them into the folder `DATA.quarantine` beside the data. Tables, and files outside the data, stay where
    /// they are. Files that become unreadable later are left out.
    Quarantine,
}

/// A picture file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// Its path, now or before it was moved.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// The reason.
    pub problem: String,
    /// Its new path, if it was moved.
    #[serde(serialize_with = "as_text_if_any")]
    pub quarantined: Option<PathBuf>,
}

/// A path for messages, even if it is not Unicode.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn as_text_if_any<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    path.as_ref()
        .map(|path| path.display().to_string())
        .serialize(serializer)
}

impl BadFile {
    pub(crate) fn new(path: &Path, error: Error) -> Self {
        Self {
            path: path.to_owned(),
            problem: error.without_path(),
            quarantined: None,
        }
    }
}

impl From<BadFile> for Error {
    fn from(bad: BadFile) -> Self {
        let BadFile { path, problem, .. } = bad;
        if sound::is_named(&path) {
            return Self::Recording { path, problem };
        }
        match path.is_dir() || clip::is_video(&path) {
            true => Self::Clip { path, problem },
            false => Self::Picture { path, problem },
        }
    }
}

/// The suffix of the quarantine folder after the name of the data.
const ENDING: &str = ".quarantine";

/// Most bad files that a message lists.
const SHOWN: usize = 20;

impl BadFiles {
    /// Rejects `bad` of `count` files of the data at `root` under the policy `fail`. The message suggests to move them away if they can be moved.
    ///
    /// # Errors
    /// [`Error::BadFiles`] under [`BadFiles::Fail`].
    pub(super) fn refuse(
        self,
        root: &Path,
        count: usize,
        can_be_moved: bool,
        bad: &[BadFile],
    ) -> Result<()> {
        if self != Self::Fail || bad.is_empty() {
            return Ok(());
        }
        Err(Error::BadFiles {
            root: root.to_owned(),
            bad: bad.len(),
            count,
            listing: listing(bad),
            can_be_moved,
        })
    }

    /// Moves `bad` files under the policy `quarantine`, and records where. A file that cannot be moved is left out, and its problem says why
    /// it was not moved.
    pub(super) fn clear(self, root: &Path, bad: Vec<BadFile>) -> Vec<BadFile> {
        match self {
            Self::Fail | Self::Skip => bad,
            Self::Quarantine => bad.into_iter().map(|bad| quarantined(root, bad)).collect(),
        }
    }
}

/// One line for each of the first bad files.
pub(super) fn listing(bad: &[BadFile]) -> String {
    let mut lines: Vec<String> = bad
        .iter()
        .take(SHOWN)
        .map(|bad| format!("  {}: {}", shown(&bad.path), bad.problem))
        .collect();
    if bad.len() > SHOWN {
        lines.push(format!(
            "  … and {} more; `check::check` lists all",
            bad.len() - SHOWN
        ));
    }
    lines.join("\n")
}

/// Moves a file into `ROOT.quarantine`, with its relative path.
fn quarantined(root: &Path, bad: BadFile) -> BadFile {
    if bad.path.symlink_metadata().is_err() {
        return bad;
    }
    match quarantine(root, &bad.path) {
        Ok(target) => BadFile {
            quarantined: Some(target),
            ..bad
        },
        Err(why) => BadFile {
            problem: format!("{}; not moved: {why}", bad.problem),
            ..bad
        },
    }
}

/// The new path of the file, or why it was not moved.
fn quarantine(root: &Path, path: &Path) -> std::result::Result<PathBuf, String> {
    if is_table(path) {
        return Err("it is a table".into());
    }
    let Some(place) = place(root, path) else {
        return Err("it is outside the data's folder".into());
    };
    moved(root, path, &place).map_err(|error| error.to_string())
}

/// The path of a file relative to the folder of the data at `root`; `None` if it is outside, or its folder does not exist. For a link, the link's
/// own path counts.
fn place(root: &Path, path: &Path) -> Option<PathBuf> {
    // The root of a table's data is the table's folder.
    let top = match root.is_dir() {
        true => root,
        false => folder_of(root),
    };
    let path = folder_of(path).canonicalize().ok()?.join(path.file_name()?);
    let place = path.strip_prefix(top.canonicalize().ok()?);
    place.ok().map(Path::to_owned)
}

fn moved(root: &Path, path: &Path, place: &Path) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let target = (1..)
        .map(|number| {
            let mut target = folder(&root).join(place).into_os_string();
            if number > 1 {
                target.push(format!(".{number}"));
            }
            PathBuf::from(target)
        })
        .find(|target| target.symlink_metadata().is_err())
        .expect("one of infinitely many names is free");
    fs::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
    match fs::rename(path, &target) {
        // The data is a link to another disk, or the picture is on one.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let copied = regular::open(path)
                .and_then(|mut file| io::copy(&mut file, &mut File::create_new(&target)?));
            let moved = copied.and_then(|_| fs::remove_file(path));
            if moved.is_err() {
                // The file stays where it is, without a copy.
                let _ = fs::remove_file(&target);
            }
            moved?;
        }
        moved => moved?,
    }
    Ok(target)
}

/// The quarantine folder for the data at `root`.
fn folder(root: &Path) -> PathBuf {
    let mut folder = root.to_owned().into_os_string();
    folder.push(ENDING);
    folder.into()
}

/// Whether a folder name is that of a quarantine folder.
pub(super) fn is_quarantine(name: &OsStr) -> bool {
    name.to_string_lossy().ends_with(ENDING)
}

/// Whether the picture that a table calls `name` is in quarantine, after a run on the table or on its folder.
pub(super) fn is_quarantined(table: &Path, name: &Path) -> bool {
    let is_beside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    // Its former folder may no longer exist.
    let by_name = || name.components().all(is_beside).then(|| name.to_owned());
    let Some(place) = place(table, &folder_of(table).join(name)).or_else(by_name) else {
        return false;
    };
    [table, folder_of(table)].into_iter().any(|root| {
        root.canonicalize()
            .and_then(|root| folder(&root).join(&place).symlink_metadata())
            .is_ok_and(|moved| !moved.is_dir())
    })
}

impl fmt::Display for BadFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Quarantine => "quarantine",
        })
    }
}

impl FromStr for BadFiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Fail, Self::Skip, Self::Quarantine]
            .into_iter()
            .find(|policy| policy.to_string() == text)
            .ok_or_else(|| Error::Settings {
                problem: format!(
                    "`{text}` is no policy for bad files; the policies are fail, skip and quarantine"
                ),
            })
    }
}
