//! Tables of pixel values: one line per picture with its label and one column per pixel, like Kaggle's digits.
use std::collections::BTreeMap;

use ::csv::StringRecord;

use super::columns::{LABELS, PATHS, SPLITS, column};
use crate::Shape;
use crate::data::catalogue::Part;
use crate::data::folder::part_called;
use crate::data::labelled::Labelled;
use crate::data::names::composed;
use crate::data::value_range::Numbers;

/// The fewest pixels of a picture in a table.
const FEWEST: usize = 16;

/// The columns of a table of pixel values.
#[derive(Debug)]
pub(super) struct PixelColumns {
    label: usize,
    split: Option<usize>,
    pixels: Vec<usize>,
    shape: Shape,
    /// Whether the first line is a header.
    pub(super) has_header: bool,
}

impl PixelColumns {
    /// The columns, from the first two lines of a table; `None` if it has no pixel values. Without a header, the label comes first.
    ///
    /// # Errors
    /// A message, if the pixels do not form a picture, or there are no labels.
    pub(super) fn find(
        first: &StringRecord,
        second: Option<&StringRecord>,
    ) -> Result<Option<Self>, String> {
        let is_number = |field: &str| field.parse::<f32>().is_ok();
        if first.iter().all(is_number) {
            let in_second = second.is_none_or(|second| second.iter().all(is_number));
            return Ok(Self::of_numbers(first).filter(|_| in_second));
        }
        let (label, split) = (column(first, &LABELS), column(first, &SPLITS));
        let pixels: Vec<usize> = (0..first.len())
            .filter(|&place| Some(place) != label && Some(place) != split)
            .collect();
        let numbered = |place: &usize| numbered(&first[*place]);
        let prefix = pixels.first().and_then(numbered);
        let alike = prefix.is_some() && pixels.iter().all(|place| numbered(place) == prefix);
        // A field that is no number is an error later.
        let of_numbers = second.is_some_and(|second| {
            let numbers = pixels
                .iter()
                .filter(|&&place| second.get(place).is_some_and(is_number));
            2 * numbers.count() > pixels.len()
        });
        if pixels.len() < FEWEST || !alike || !of_numbers || column(first, &PATHS).is_some() {
            return Ok(None);
        }
        let label = label.ok_or_else(|| {
            format!(
                "it has {} columns of pixels ({} …) and none of labels; name that one label, class, category or target",
                pixels.len(),
                &first[pixels[0]]
            )
        })?;
        let shape = shape(pixels.len()).ok_or_else(|| {
            format!(
                "its {} columns of pixels are no square picture, neither grey nor of three colours; save such pictures as an .npz file or as picture files",
                pixels.len()
            )
        })?;
        Ok(Some(Self {
            label,
            split,
            pixels,
            shape,
            has_header: true,
        }))
    }

    /// The columns, from a first line of numbers, which may also be a header that counts from 0. The label comes first.
    fn of_numbers(first: &StringRecord) -> Option<Self> {
        let counts = |from: usize| {
            let names = first.iter().skip(from).enumerate();
            names
                .into_iter()
                .all(|(place, name)| name == place.to_string())
        };
        let pixels = 1..first.len();
        let shape = shape(pixels.len()).filter(|shape| shape.len() >= FEWEST)?;
        Some(Self {
            label: 0,
            split: None,
            pixels: pixels.collect(),
            shape,
            has_header: counts(0) || counts(1),
        })
    }
}

/// The prefix of a column's name before its number: `pixel` for `pixel0`, empty for `28x1`; `None` without a number.
fn numbered(name: &str) -> Option<&str> {
    let number = |letter: char| letter.is_ascii_digit();
    let prefix = name.trim_end_matches(|letter: char| number(letter) || letter == 'x');
    let rest = &name[prefix.len()..];
    // The `x` of `px1` belongs to the prefix, that of `1x1` does not.
    let rest = rest.trim_start_matches('x');
    (rest.starts_with(number) && rest.ends_with(number)).then_some(prefix)
}

/// The shape of a square picture with this many values: grey, or three values per pixel.
fn shape(values: usize) -> Option<Shape> {
    let square = |pixels: usize, channels| {
        let side = pixels.isqrt();
        (side > 0 && side * side == pixels).then(|| Shape::new(side, side, channels))
    };
    square(values, 1).or_else(|| match values % 3 {
        0 => square(values / 3, 3),
        _ => None,
    })
}

/// The pictures read from a table of pixel values.
pub(super) struct Pixels {
    columns: PixelColumns,
    parts: BTreeMap<Part, (Vec<f32>, Vec<String>)>,
    /// Whether any number has a decimal point or an exponent.
    has_floats: bool,
}

impl Pixels {
    pub(super) fn new(columns: PixelColumns) -> Self {
        Self {
            columns,
            parts: BTreeMap::new(),
            has_floats: false,
        }
    }

    /// Adds one line.
    ///
    /// # Errors
    /// A message, if a field is missing or no number.
    pub(super) fn line(&mut self, record: &StringRecord, line: u64) -> Result<(), String> {
        let label = record.get(self.columns.label).unwrap_or_default();
        if label.is_empty() {
            return Err(format!(
                "line {line} has no label; complete the line or delete it"
            ));
        }
        let part = match self.columns.split {
            None => Part::Train,
            Some(column) => {
                let word = record.get(column).unwrap_or_default();
                part_called(word).ok_or_else(|| {
                    format!("line {line} names the split `{word}`; train, val and test are known")
                })?
            }
        };
        let (numbers, labels) = self.parts.entry(part).or_default();
        for &column in &self.columns.pixels {
            let field = record.get(column).ok_or_else(|| {
                format!(
                    "line {line} ends before field {}; complete the line or delete it",
                    column + 1
                )
            })?;
            let number = field.parse().ok().filter(|number: &f32| number.is_finite());
            numbers.push(number.ok_or_else(|| {
                format!(
                    "line {line} has `{field}` in field {} where a pixel is expected",
                    column + 1
                )
            })?);
            self.has_floats |= !field
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
        }
        labels.push(composed(label));
        Ok(())
    }

    /// All pictures, by split.
    pub(super) fn labelled(self) -> Vec<Labelled> {
        let parts = self.parts.into_iter();
        parts
            .map(|(part, (numbers, labels))| Labelled {
                name: String::new(),
                part,
                shape: self.columns.shape,
                numbers: match self.has_floats {
                    true => Numbers::Floats(numbers),
                    false => Numbers::Integers(numbers),
                },
                labels,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_pixels_are_known_by_their_names_or_as_numbers() {
        let named = |prefix: &str, from: usize, count: usize| -> Vec<String> {
            (from..from + count)
                .map(|place| format!("{prefix}{place}"))
                .collect()
        };
        let with = |first: &[&str], others: Vec<String>, last: &[&str]| -> StringRecord {
            let fields = first
                .iter()
                .copied()
                .chain(others.iter().map(String::as_str));
            fields.chain(last.iter().copied()).collect()
        };
        let numbers = |count: usize| with(&[], vec!["7".to_owned(); count], &[]);
        let find =
            |first: &StringRecord, second: &StringRecord| PixelColumns::find(first, Some(second));
        let shape = |first: &StringRecord| {
            let columns = find(first, &numbers(first.len()))
                .unwrap()
                .expect("these are pixels");
            (columns.shape, columns.label, columns.has_header)
        };
        let grey = Shape::new(4, 4, 1);
        assert_eq!(
            shape(&with(&["label"], named("pixel", 0, 16), &[])),
            (grey, 0, true)
        );
        assert_eq!(
            shape(&with(&[], named("px", 1, 16), &["Class"])),
            (grey, 16, true)
        );
        assert_eq!(
            shape(&with(&["label"], named("1x", 1, 16), &[])),
            (grey, 0, true)
        );
        assert_eq!(
            shape(&with(&[], named("pixel000", 0, 48), &["label"])),
            (Shape::new(4, 4, 3), 48, true)
        );
        assert_eq!(shape(&numbers(17)), (grey, 0, false));
        assert_eq!(
            shape(&with(&["label"], named("", 0, 16), &[])),
            (grey, 0, true)
        );
        assert_eq!(shape(&with(&[], named("", 0, 17), &[])), (grey, 0, true));
        let none =
            |first: StringRecord| assert!(find(&first, &numbers(first.len())).unwrap().is_none());
        none(numbers(16));
        none(with(&["image", "label"], named("pixel", 0, 16), &[]));
        none(with(&["label", "other"], named("pixel", 0, 16), &[]));
        none(with(&["label"], named("pixel", 0, 4), &[]));
        let wrong = |first: StringRecord| find(&first, &numbers(first.len())).unwrap_err();
        assert!(wrong(with(&[], named("pixel", 0, 16), &[])).contains("none of labels"));
        assert!(wrong(with(&["label"], named("pixel", 0, 17), &[])).contains("no square picture"));
    }
}
