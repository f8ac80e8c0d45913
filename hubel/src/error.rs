//! Everything that can go wrong in a way a user can act on.
use std::path::PathBuf;

/// `Result` with hubel's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a way a user can act on: each message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "read", "write", "create" …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
}
