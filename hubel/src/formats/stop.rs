//! Why reading a file stopped.
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::shortened;

/// Why reading stopped.
pub(super) enum Stop {
    /// The system could not read.
    Io(io::Error),
    /// A problem with the contents, and what to do.
    Problem(String),
}

impl Stop {
    /// Converts it to an error for the file at `path`; `error` converts a problem with the contents.
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

/// Stops reading with a problem.
pub(super) fn problem<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Problem(text.into()))
}
