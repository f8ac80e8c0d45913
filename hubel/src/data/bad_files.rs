//! What is done about picture files that cannot be read.
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFile {
    /// Where it is, or was.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub problem: String,
    /// Where it was moved.
    pub quarantined: Option<PathBuf>,
}

/// How many bad files are worth a line in a message.
const SHOWN: usize = 20;

impl BadFiles {
    /// Does what the policy says about `bad` of `count` files of the data at `root`.
    ///
    /// # Errors
    /// [`Error::BadFiles`] under [`BadFiles::Fail`]; [`Error::Io`] where a file cannot be moved.
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
            Self::Quarantine => bad.into_iter().map(|bad| quarantine(root, bad)).collect(),
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
fn quarantine(root: &Path, bad: BadFile) -> Result<BadFile> {
    let refused = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    };
    let root = root.canonicalize().map_err(refused("find", root))?;
    let mut folder = root.clone().into_os_string();
    folder.push(".quarantine");
    // A file from elsewhere (a table names any path) goes in by its name alone.
    let place = match bad.path.canonicalize() {
        Ok(path) => path.strip_prefix(&root).map(Path::to_owned).ok(),
        Err(_) => None,
    };
    let name = place.unwrap_or_else(|| bad.path.file_name().unwrap_or_default().into());
    let target = (1..)
        .map(|number| {
            let mut target = PathBuf::from(&folder).join(&name).into_os_string();
            if number > 1 {
                target.push(format!(".{number}"));
            }
            PathBuf::from(target)
        })
        .find(|target| !target.exists())
        .expect("one of infinitely many names is free");
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(refused("create", parent))?;
    fs::rename(&bad.path, &target).map_err(refused("move", &bad.path))?;
    Ok(BadFile {
        quarantined: Some(target),
        ..bad
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
                    "`{text}` is nothing that is done about bad files; what can be done is fail, skip and quarantine"
                ),
            })
    }
}
