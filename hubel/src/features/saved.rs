//! Features in a file.
use std::io;
use std::path::PathBuf;

use crate::Replacement;
use crate::formats::npz;

/// Writes features of pictures as NumPy's `.npz`, `features`, `[pictures, dimensions]`, and `paths`, and gives the file its name.
///
/// # Errors
/// When the file cannot be written.
///
/// # Panics
/// If there are more or fewer paths than features.
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
