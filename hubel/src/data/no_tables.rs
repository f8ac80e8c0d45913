//! Replaces `tables.rs` without the feature `tables`.
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{Found, problem};
use crate::data::names::is_table;
use crate::data::{ValueRange, folder};

/// Finds nothing.
#[allow(clippy::unnecessary_wraps, reason = "the signature of `tables.rs`")]
pub(super) fn in_folder(
    _: &Path,
    _: &folder::Contents,
    _: Option<ValueRange>,
) -> Result<Option<Found>> {
    Ok(None)
}

/// Refuses the files that `tables.rs` reads.
///
/// # Errors
/// [`Error::DataForm`](crate::Error::DataForm)
pub(super) fn in_file(
    path: &Path,
    name: &str,
    start: &[u8],
    _: Option<ValueRange>,
) -> Result<Option<Found>> {
    let is_array = name.to_lowercase().ends_with(".npz")
        || start.starts_with(&[0, 0, 8, 3])
        || start.starts_with(&[0, 0, 8, 4]);
    match is_array || is_table(path) {
        true => Err(problem(
            path,
            "tables and arrays are not read by this program; build it with the feature `tables` of hubel, or give a folder of class folders",
        )),
        false => Ok(None),
    }
}
