//! Finds the training images of a model in its data.
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{self, Found};
use crate::data::class_names::known_by;
use crate::data::divide::Division;
use crate::data::open::{check_kind, check_numbers, number_classes, read_for_model};
use crate::data::reading::Listen;
use crate::data::{BadFile, Dataset, Options, Preparation};

/// Images that a model was, or may have been, trained on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Learned {
    /// The images, with the model's classes.
    pub dataset: Dataset,
    /// Whether the model was trained on them; `None` if it does not know.
    pub is_known: Option<bool>,
    /// Notes for the user on how arrays were read, and on corrected labels.
    pub notes: Vec<String>,
    /// Files that could not be read and were left out, with the reasons.
    pub bad_files: Vec<BadFile>,
}

/// Reads the training split of the data at a path, without the images that were held out when the model was trained on this data. If the data has only
/// test images, reads all of them. They go through `preparation`, and classes are matched by name with the model's `classes`, as in
/// [`evaluation`](crate::data::evaluation).
///
/// # Errors
/// As of [`evaluation`](crate::data::evaluation).
pub fn learned(
    path_or_name: impl AsRef<Path>,
    preparation: &Preparation,
    classes: &[String],
    division: Option<&Division>,
    options: &Options,
    listen: Listen<'_>,
) -> Result<Learned> {
    let path = path_or_name.as_ref();
    let labels = division.map_or(&[][..], |division| &division.labels);
    let mut notes = Vec::new();
    let kind = Some(preparation.medium.kind());
    let located = catalogue::find_of_known_classes(path, preparation.range, kind)?;
    let (found, corrected) = located.corrected();
    let (dataset, bad_files) = match found {
        Found::Arrays(splits) => {
            preparation.check_data(&splits.train)?;
            check_numbers(path, preparation, &splits)?;
            notes = splits.notes;
            let train = Some(splits.train).filter(|train| !train.is_empty());
            let given = train.or(splits.test).or(splits.validation);
            let none = || catalogue::problem(path, "it is empty");
            (given.ok_or_else(none)?, Vec::new())
        }
        Found::Files(mut catalogue) => {
            check_kind(path, &catalogue, preparation)?;
            catalogue.refuse_missing(options.bad_files)?;
            if catalogue.files.iter().any(|file| !file.is_held_out()) {
                catalogue.files.retain(|file| !file.is_held_out());
            }
            catalogue.classes = known_by(&catalogue.classes, labels, classes);
            number_classes(path, &mut catalogue, classes)?;
            let (dataset, _, bad) = read_for_model(path, &catalogue, preparation, options, listen)?;
            (dataset, bad)
        }
    };
    notes.extend(corrected);
    let is_known = division.map(|division| division.recognises(&dataset));
    let dataset = match division {
        Some(division) if is_known == Some(true) => division.trained_on(&dataset),
        _ => dataset,
    };
    let known = known_by(dataset.classes(), labels, classes);
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Ok(Learned {
        dataset: dataset.renamed(&known)?.with_classes(classes)?,
        is_known,
        notes,
        bad_files: options.bad_files.clear(path, bad_files),
    })
}
