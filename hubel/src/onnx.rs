//! ONNX: models of other programs, and for them.
mod constant;
mod export;
mod file;
mod import;
mod proto;

use std::path::Path;

pub use export::{ExportInput, ExportSettings, Exported, OPSETS, export};
pub use import::{ImportSettings, Imported, import};

use crate::Error;

/// The value of a graph that resizes pictures of any size: their levels at the model's size, `[n, c, h, w]`, from 0 to 255.
const LEVELS: &str = "/image/levels";

/// Reads the bytes of an ONNX file that needs no other files.
#[cfg(any(test, fuzzing))]
pub(crate) fn read(bytes: &[u8]) -> crate::Result<Imported> {
    let path = Path::new("model.onnx");
    let source = file::Source::of_bytes(bytes.to_vec().into(), std::path::PathBuf::new());
    let source = source.map_err(|problem| unusable(path, problem))?;
    import::of_source(&source, path, &ImportSettings::default())
}

/// The error for a file that hubel cannot use.
fn unusable(path: &Path, problem: String) -> Error {
    Error::Onnx {
        path: path.into(),
        problem,
    }
}

#[cfg(test)]
mod tests;
