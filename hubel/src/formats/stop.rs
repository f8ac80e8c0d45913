//! Why the reading of a file ended early.
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::shortened;

/// Why reading ended early.
pub(super) enum Stop {
    /// The system could not read.
    Io(io::Error),
    /// What is wrong with the contents, and a way out.
    Problem(String),
}

impl Stop {
    /// The same as an error of the file at `path`; `error` makes one of what is wrong with the contents.
    pub(super) fn of(self, path: &Path, error: fn(PathBuf, String) -> Error) -> Error {
        match self {
            Self::Io(source) => Error::Io {
                action: "read",
                path: path.into(),
                source,
            },
            Self::Problem(problem) => error(path.into(), shortened(problem)),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Self::Problem("it became shorter while it was read; read it again".into())
            }
            _ => Self::Io(error),
        }
    }
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

/// Ends reading with what is wrong.
pub(super) fn problem<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Problem(text.into()))
}
