//! Tables with texts: a column of texts, one of labels, and perhaps one of splits.
use ::csv::StringRecord;

use super::columns::{LABELS, PATHS, SPLITS, column};
use crate::Result;
use crate::data::Splits;
use crate::data::catalogue::Part;
use crate::data::folder::part_called;
use crate::data::labelled::classes_of;
use crate::data::text::{Places, Texts, of_texts};

const TEXTS: [&str; 11] = [
    "text", "sentence", "review", "message", "comment", "content", "tweet", "document", "body",
    "question", "title",
];

/// The indices of the used columns, counted from 0.
pub(super) struct TextColumns {
    text: usize,
    label: usize,
    split: Option<usize>,
}

impl TextColumns {
    /// The columns, if the first line names one of texts and one of labels, and none of paths.
    pub(super) fn named(first: &StringRecord) -> Option<Self> {
        Some(Self {
            text: column_of_texts(first)?,
            label: column(first, &LABELS)?,
            split: column(first, &SPLITS),
        })
    }
}

/// The column of texts, if the first line names one, and none of paths.
pub(super) fn column_of_texts(first: &StringRecord) -> Option<usize> {
    let is_of_paths = column(first, &PATHS).is_some();
    column(first, &TEXTS).filter(|_| !is_of_paths)
}

/// The texts of a table read so far.
pub(super) struct TextTable {
    columns: TextColumns,
    texts: Vec<String>,
    lines: Vec<u64>,
    labels: Vec<String>,
    parts: Vec<Part>,
    /// The lines of empty texts.
    empty: Vec<u64>,
}

impl TextTable {
    pub(super) fn new(columns: TextColumns) -> Self {
        Self {
            columns,
            texts: Vec::new(),
            lines: Vec::new(),
            labels: Vec::new(),
            parts: Vec::new(),
            empty: Vec::new(),
        }
    }

    /// Adds one line.
    ///
    /// # Errors
    /// A message with the line, if a field is missing, or the split is unknown.
    pub(super) fn line(&mut self, record: &StringRecord, line: u64) -> Result<(), String> {
        let field = |column: usize, what: &str| {
            record.get(column).ok_or_else(|| {
                format!(
                    "line {line} has no {what} (it ends before field {}); complete the line or delete it",
                    column + 1
                )
            })
        };
        let text = field(self.columns.text, "text")?;
        let label = field(self.columns.label, "label")?;
        if label.is_empty() {
            return Err(format!(
                "line {line} has no label (field {} is empty); complete the line or delete it",
                self.columns.label + 1
            ));
        }
        let part = match self.columns.split {
            None => Part::Train,
            Some(column) => {
                let word = field(column, "split")?;
                part_called(word).ok_or_else(|| {
                    format!(
                        "line {line} names the split `{word}`; train, val, valid, validation, dev and test are known"
                    )
                })?
            }
        };
        if text.is_empty() {
            self.empty.push(line);
            return Ok(());
        }
        self.texts.push(text.to_owned());
        self.lines.push(line);
        self.labels.push(label.to_owned());
        self.parts.push(part);
        Ok(())
    }

    /// The data set `name` of this table.
    ///
    /// # Errors
    /// [`Error::DataMismatch`](crate::Error::DataMismatch) if there are too many classes, or the name of one is too long.
    pub(super) fn splits(self, name: &str) -> Result<Splits> {
        let classes = classes_of(self.labels.iter());
        let place = |label: &String| {
            let place = classes.iter().position(|class| class == label);
            place.expect("the classes are those of the labels")
        };
        let labels = self.labels.iter().map(place).collect();
        let texts = Texts::new(self.texts, Places::Lines(name.to_owned(), self.lines));
        let mut splits = of_texts(
            "table of texts",
            name,
            classes.clone(),
            texts,
            labels,
            &self.parts,
        )?;
        let empty = self.empty.iter();
        splits.empty_texts = empty.map(|line| format!("line {line} of {name}")).collect();
        Ok(splits)
    }
}
