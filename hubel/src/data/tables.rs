//! Finds tables and arrays.
use std::path::Path;

use crate::data::catalogue::{Found, name_of, problem};
use crate::data::names::is_table;
use crate::data::{Splits, ValueRange, cifar, csv, folder, idx, npz};
use crate::{Result, listed};

/// The table or the arrays in a folder, recognised by the names of its files; `None` if there are none.
///
/// # Errors
/// As for [`find_of_known_classes`](super::catalogue::find_of_known_classes).
pub(super) fn in_folder(
    path: &Path,
    contents: &folder::Contents,
    remembered: Option<ValueRange>,
) -> Result<Option<Found>> {
    if let Some((train, test)) = idx::find(path, contents)? {
        return idx::open(&train, test.as_deref()).map(found);
    }
    if let Some(files) = cifar::find(contents) {
        return cifar::open(path, &files).map(found);
    }
    if cifar::is_pickled(contents) {
        return Err(problem(
            path,
            "these are CIFAR's files for Python; download those called `binary version` and give their folder",
        ));
    }
    if let Some(table) = csv::find(contents) {
        let mut catalogue = match csv::open(&table, remembered)? {
            Found::Files(catalogue) => catalogue,
            pixels => return Ok(Some(pixels)),
        };
        catalogue.name = name_of(path);
        catalogue
            .notes
            .extend(csv::left_out(&table, &catalogue, contents));
        catalogue
            .notes
            .extend(not_class_folders(path, &table, contents));
        return Ok(Some(Found::Files(catalogue)));
    }
    if let ([], [file]) = (&contents.folders[..], &contents.files[..])
        && file
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("npz"))
    {
        return npz::open(file, remembered).map(found);
    }
    let tables = contents.files.iter().filter(|file| is_table(file));
    let tables: Vec<String> = tables.map(|table| name_of(table)).collect();
    if contents.folders.len() < 2 && tables.len() > 1 {
        return Err(problem(
            path,
            format!(
                "it contains several tables ({}); name one of them",
                tables.join(", ")
            ),
        ));
    }
    Ok(None)
}

/// A note if a folder with a table also contains class folders.
fn not_class_folders(path: &Path, table: &Path, contents: &folder::Contents) -> Option<String> {
    let folders = folder::find(path, contents.clone(), None).ok()?;
    let filled = folders.classes.iter().zip(0..);
    let filled = filled.filter(|(_, label)| folders.files.iter().any(|file| file.label == *label));
    let filled: Vec<&str> = filled.map(|(class, _)| class.as_str()).collect();
    (filled.len() > 1).then(|| {
        format!(
            "the table {} defines the classes; the class folders beside it ({}) are not used unless you move it away",
            name_of(table),
            listed(filled)
        )
    })
}

/// The table or the arrays in a file, recognised by its name and its first bytes; `None` if it has neither.
///
/// # Errors
/// As for [`in_folder`].
pub(super) fn in_file(
    path: &Path,
    name: &str,
    start: &[u8],
    remembered: Option<ValueRange>,
) -> Result<Option<Found>> {
    if idx::is_images(name) || start.starts_with(&[0, 0, 8, 3]) || start.starts_with(&[0, 0, 8, 4])
    {
        let test = idx::test_beside(path);
        return idx::open(path, test.as_deref()).map(found);
    }
    if name.to_lowercase().ends_with(".npz") {
        return npz::open(path, remembered).map(found);
    }
    if is_table(path) {
        return csv::open(path, remembered).map(Some);
    }
    Ok(None)
}

fn found(arrays: Splits) -> Option<Found> {
    Some(Found::Arrays(arrays))
}
