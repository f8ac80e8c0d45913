//! Replaces `tables.rs` without the feature `tables`.
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{Found, problem};
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

/// Refuses files that could be tables or arrays.
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
