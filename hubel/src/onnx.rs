//! ONNX: models of other programs, and for them.
mod constant;
mod export;
mod file;
mod import;
mod proto;

use std::path::Path;

pub use export::{ExportInput, ExportSettings, Exported, export};
pub use import::{ImportSettings, Imported, import};

use crate::Error;

/// The error for a file that hubel cannot use.
fn unusable(path: &Path, problem: String) -> Error {
    Error::Onnx {
        path: path.into(),
        problem,
    }
}

#[cfg(test)]
mod tests;
