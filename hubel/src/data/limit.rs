//! Limits that are checked before memory is allocated.
use std::io::Read;
use std::path::Path;

use crate::formats::regular;
use crate::memory;
use crate::{Error, Result};

/// The largest accepted picture, in pixels: larger than any camera's, but small enough for the memory of a small computer.
/// Fuzzers use smaller limits, so that they decode thousands of pictures per second; the largest input of the zoo, 300×300, is below.
pub(crate) const LARGEST_PICTURE: u64 = if cfg!(fuzzing) { 90_000 } else { 100_000_000 };

/// Deflate expands each byte to at most this many bytes.
const LARGEST_EXPANSION: u64 = 1032;

/// Rejects data that needs more memory than is free.
///
/// # Errors
/// [`Error::DataFile`] with both numbers.
pub(super) fn check_memory(path: &Path, bytes: u64) -> Result<()> {
    match memory::available() {
        Some(free) if bytes > free as u64 => Err(Error::DataFile {
            path: path.to_owned(),
            problem: format!(
                "its pictures need {:.1} GB of memory and {:.1} GB are free; take a version with smaller or fewer pictures, or picture files in class folders",
                bytes as f64 / 1e9,
                free as f64 / 1e9
            ),
        }),
        _ => Ok(()),
    }
}

/// Reads exactly `length` bytes from `compressed` bytes of deflate. An impossible `length` allocates no memory.
/// After `Ok` the reader is at its end.
///
/// # Errors
/// A message: `length` is too large, or the data ends early, is damaged, or is too long.
pub(super) fn expand(
    reader: &mut impl Read,
    length: usize,
    compressed: u64,
) -> std::result::Result<Vec<u8>, String> {
    let again = "copy or download it again";
    if length as u64 > compressed.saturating_mul(LARGEST_EXPANSION) {
        return Err(format!(
            "its header gives {length} bytes, which {compressed} compressed bytes cannot contain; {again}"
        ));
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| format!("its {length} bytes do not fit into memory"))?;
    reader
        .by_ref()
        .take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("its compressed data is damaged ({error}); {again}"))?;
    if bytes.len() < length {
        return Err(format!(
            "its header gives {length} bytes, but there are {}; {again}",
            bytes.len()
        ));
    }
    // The checksum is only checked at the end of the data.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(format!(
            "it has more bytes than the {length} in its header; {again}"
        )),
        Err(error) => Err(format!("its compressed data is damaged ({error}); {again}")),
    }
}

/// The contents of a data file, if there is memory for them.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DataFile`] if it is larger than the free memory.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let unread = |source| unread(path, source);
    let mut file = regular::open(path).map_err(unread)?;
    check_memory(path, file.metadata().map_err(unread)?.len())?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

/// The size of a file in bytes.
///
/// # Errors
/// [`Error::Io`]
pub(super) fn length(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path).map_err(|source| unread(path, source))?;
    Ok(metadata.len())
}

/// The first bytes of a file, at most the requested number.
///
/// # Errors
/// [`Error::Io`]
pub(super) fn start(path: &Path, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    regular::open(path)
        .and_then(|file| file.take(most as u64).read_to_end(&mut bytes))
        .map_err(|source| unread(path, source))?;
    Ok(bytes)
}

fn unread(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    }
}
