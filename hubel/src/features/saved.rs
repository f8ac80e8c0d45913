//! Features in a file.
use std::io;
use std::path::PathBuf;

use crate::Replacement;
use crate::formats::npz;

/// Writes NumPy's `.npz` with the arrays `features`, `[pictures, dimensions]`, and `paths`.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If the numbers of paths and features differ.
pub fn save(mut file: Replacement, pictures: &[PathBuf], features: &[Vec<f32>]) -> io::Result<()> {
    assert_eq!(pictures.len(), features.len(), "features of each picture");
    let names = pictures
        .iter()
        .map(|path| path.to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    let arrays = [
        ("features", npz::Array::Rows(features)),
        ("paths", npz::Array::Texts(&names)),
    ];
    npz::write(&mut file, &arrays)?;
    file.finish()
}
