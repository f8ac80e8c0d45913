//! Without the feature `tables`, no file is a table or holds arrays.
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{Found, problem};
use crate::data::{ValueRange, folder};

/// None of a folder.
#[allow(clippy::unnecessary_wraps, reason = "as of the tables that are read")]
pub(super) fn in_folder(
    _: &Path,
    _: &folder::Contents,
    _: Option<ValueRange>,
) -> Result<Option<Found>> {
    Ok(None)
}

/// Refuses what could be one.
///
/// # Errors
/// [`Error::DataForm`](crate::Error::DataForm)
pub(super) fn in_file(
    path: &Path,
    _: &str,
    _: &[u8],
    _: Option<ValueRange>,
) -> Result<Option<Found>> {
    Err(problem(
        path,
        "tables and arrays are not read by this program; build it with the feature `tables` of hubel, or give a folder of class folders",
    ))
}
