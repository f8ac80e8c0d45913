//! What is done about picture files that cannot be read.
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use serde::Serialize;

use crate::{Error, Result};

/// What is done about picture files that cannot be read. All files are read once before training, so that none ends it later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadFiles {
    /// They are all listed, and nothing is begun.
    #[default]
    Fail,
    /// They are listed and left out.
    Skip,
    /// They are listed and moved into the folder `DATA.quarantine` beside the data.
    Quarantine,
}

/// A picture file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadFile {
    /// Where it is, or was.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub problem: String,
    /// Where it was moved.
    pub quarantined: Option<PathBuf>,
}

impl BadFile {
    pub(super) fn new(path: &Path, error: Error) -> Self {
        Self {
            path: path.to_owned(),
            problem: error.without_path(),
            quarantined: None,
        }
    }
}

/// How many bad files are worth a line in a message.
const SHOWN: usize = 20;

impl BadFiles {
    /// Does what the policy says about `bad` of `count` files of the data at `root`. A file that cannot be moved is left out as well, and
    /// its problem says why it stays.
    ///
    /// # Errors
    /// [`Error::BadFiles`] under [`BadFiles::Fail`].
    pub(super) fn treat(
        self,
        root: &Path,
        count: usize,
        bad: Vec<BadFile>,
    ) -> Result<Vec<BadFile>> {
        match self {
            _ if bad.is_empty() => Ok(bad),
            Self::Skip => Ok(bad),
            Self::Fail => Err(Error::BadFiles {
                root: root.to_owned(),
                bad: bad.len(),
                count,
                listing: listing(&bad),
            }),
            Self::Quarantine => Ok(bad.into_iter().map(|bad| quarantined(root, bad)).collect()),
        }
    }
}

/// One line for each of the first bad files.
fn listing(bad: &[BadFile]) -> String {
    let mut lines: Vec<String> = bad
        .iter()
        .take(SHOWN)
        .map(|bad| format!("  {}: {}", bad.path.display(), bad.problem))
        .collect();
    if bad.len() > SHOWN {
        lines.push(format!("  … and {} more", bad.len() - SHOWN));
    }
    lines.join("\n")
}

/// Moves a file into `ROOT.quarantine`, where it keeps its place.
fn quarantined(root: &Path, bad: BadFile) -> BadFile {
    match quarantine(root, &bad.path) {
        Ok(target) => BadFile {
            quarantined: Some(target),
            ..bad
        },
        Err(error) => BadFile {
            problem: format!("{}; it cannot be moved: {error}", bad.problem),
            ..bad
        },
    }
}

fn quarantine(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    // A file from elsewhere (a table names any path) goes in by its name alone.
    let place = match path.canonicalize()?.strip_prefix(&root) {
        Ok(place) if place != Path::new("") => place.to_owned(),
        _ => path.file_name().unwrap_or_default().into(),
    };
    let target = (1..)
        .map(|number| {
            let mut target = folder(&root).join(&place).into_os_string();
            if number > 1 {
                target.push(format!(".{number}"));
            }
            PathBuf::from(target)
        })
        .find(|target| !target.exists())
        .expect("one of infinitely many names is free");
    fs::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
    match fs::rename(path, &target) {
        // The data is a link to another disk, or the picture lies on one.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(path, &target)?;
            fs::remove_file(path)?;
        }
        moved => moved?,
    }
    Ok(target)
}

/// Where bad files of the data at `root` are moved.
fn folder(root: &Path) -> PathBuf {
    let mut folder = root.to_owned().into_os_string();
    folder.push(".quarantine");
    folder.into()
}

/// Whether the picture that a table calls `name` was moved away, by a run on the table or on its folder.
pub(super) fn is_quarantined(table: &Path, name: &Path) -> bool {
    let of = |root: &Path, name: &Path| {
        root.canonicalize()
            .is_ok_and(|root| folder(&root).join(name).is_file())
    };
    let file_name = Path::new(name.file_name().unwrap_or_default());
    let parent = match table.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    of(table, file_name) || of(parent, name) || of(parent, file_name)
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
                    "`{text}` is nothing that is done about bad files; what can be done is fail, skip and quarantine"
                ),
            })
    }
}
