//! Arrays of labelled pictures: the meaning of their labels and values, for all splits together.
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::data::catalogue::{Part, arrays};
use crate::data::from_memory::check_lengths;
use crate::data::names::natural_order;
use crate::data::storage::Pixels;
use crate::data::value_range::{Numbers, Survey, ValueRange, few_levels};
use crate::data::{Dataset, Splits};
use crate::{Error, Result, Shape};

/// Pictures of one split, with their labels.
pub(super) struct Labelled {
    /// The name of the pictures in messages; empty if a file has nothing else.
    pub(super) name: String,
    pub(super) part: Part,
    pub(super) shape: Shape,
    /// `[n, h, w, c]`
    pub(super) numbers: Numbers,
    /// One per picture; the labels that occur in any split are the classes.
    pub(super) labels: Vec<String>,
}

/// The data set `name` of these splits. The training split is empty if there is none among them, and there may be only
/// one class. Values other than
/// bytes are read in the detected range, or in the `remembered` one of a model.
///
/// # Errors
/// [`Error::DataFile`] about `path` if the range cannot be detected; [`Error::DataMismatch`] if the splits do not fit together, or
/// [`Dataset::from_bytes`] rejects them.
pub(super) fn splits(
    form: &str,
    name: &str,
    path: &Path,
    parts: Vec<Labelled>,
    remembered: Option<ValueRange>,
) -> Result<Splits> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    for part in &parts {
        check_lengths(part.numbers.len(), part.shape, part.labels.len())?;
        if let Some((place, number)) = part.numbers.not_finite() {
            return Err(error(format!(
                "{}picture {} holds {number}; replace it or leave the picture out",
                prefix(&part.name),
                place / part.shape.len().max(1)
            )));
        }
    }
    let survey = Survey::of(parts.iter().map(|part| &part.numbers));
    let range = survey
        .map(|survey| survey.range(remembered))
        .transpose()
        .map_err(error)?;
    if range == Some(ValueRange::Standardised)
        && parts
            .iter()
            .any(|part| matches!(part.numbers, Numbers::Bytes(_)))
    {
        return Err(error(
            "some of its arrays are bytes and others standardised numbers; save all splits in the same way"
                .into(),
        ));
    }
    let said = survey
        .zip(range)
        .and_then(|(survey, range)| survey.note(range));
    let mut notes = Vec::from_iter(said);
    let classes = classes(&parts);
    if let Some(negative) = classes
        .iter()
        .find(|class| class.parse().is_ok_and(|label: i64| label < 0))
        && classes.len() > 2
    {
        notes.push(format!(
            "the label {negative} is used as a class; leave its pictures out if it marks unlabelled pictures"
        ));
    }
    let places: HashMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut datasets: Vec<(Part, Dataset)> = Vec::new();
    for part in parts {
        let labels = part
            .labels
            .iter()
            .map(|label| places[label.as_str()])
            .collect();
        let pixels = part.numbers.into_pixels(range);
        let dataset = Dataset::of_any_classes(name, classes.clone(), part.shape, pixels, labels)?;
        datasets.push((part.part, dataset.with_range(range)));
    }
    let pixels: Vec<&Pixels> = datasets
        .iter()
        .map(|(_, dataset)| &dataset.pixels)
        .collect();
    notes.extend(few_levels(&pixels));
    let mut take = |wanted: Part| {
        let place = datasets.iter().position(|(part, _)| *part == wanted)?;
        Some(datasets.swap_remove(place).1)
    };
    let (train, validation, test) = (take(Part::Train), take(Part::Validation), take(Part::Test));
    let any = [&train, &test, &validation].into_iter().flatten().next();
    let any = any.ok_or_else(|| error("it holds no pictures".into()))?;
    let train = train.clone().unwrap_or_else(|| any.subset(&[]));
    let mut splits = arrays(form, train, validation, test)?;
    splits.notes = notes;
    Ok(splits)
}

/// `x_train: `
fn prefix(name: &str) -> String {
    match name.is_empty() {
        true => String::new(),
        false => format!("{name}: "),
    }
}

/// The labels that occur, in natural order.
fn classes(parts: &[Labelled]) -> Vec<String> {
    classes_of(parts.iter().flat_map(|part| &part.labels))
}

/// As [`classes`], of any labels.
pub(super) fn classes_of<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let labels: BTreeSet<&String> = labels.collect();
    let mut classes: Vec<String> = labels.into_iter().cloned().collect();
    classes.sort_by(|one, other| natural_order(one, other));
    classes
}
