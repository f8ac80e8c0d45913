//! The findings of an experiment, as plain values.
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{Chart, Claim, Sample, Verdict};
use crate::Drawing;
use crate::one_line::thousands;

/// The findings of an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The name of the experiment.
    pub name: &'static str,
    /// The title.
    pub title: &'static str,
    /// The tutorial items that it tests.
    pub items: &'static [&'static str],
    /// The question.
    pub question: &'static str,
    /// The setup: data, seeds, epochs, networks, threads.
    pub setup: Vec<Fact>,
    /// The measured values.
    pub tables: Vec<Table>,
    /// The same as plots.
    pub charts: Vec<Chart>,
    /// Pictures.
    pub pictures: Vec<Picture>,
    /// Two sentences: what was measured, and the result.
    pub measured: [String; 2],
    /// The claims of the tutorial, with their verdicts.
    pub claims: Vec<Claim>,
}

/// A setting that was the same for all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// The title.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// The unit of its values; may be empty.
    pub unit: &'static str,
    /// Number of decimals to show.
    pub decimals: usize,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A value that does not vary.
    Number(f64),
    /// A value that was measured with each seed.
    Spread(Sample),
    /// No value: it does not exist or could not be measured.
    Nothing,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its name, valid as a file name.
    pub name: String,
    /// The caption.
    pub caption: String,
    /// The picture.
    pub drawing: Drawing,
    /// The picture as text for a terminal, if possible.
    pub text: Option<String>,
}

impl Findings {
    /// Whether all claims have this verdict; false if there are no claims.
    pub fn all(&self, verdict: Verdict) -> bool {
        !self.claims.is_empty() && self.claims.iter().all(|claim| claim.verdict == verdict)
    }
}

impl Table {
    /// A table without rows.
    pub fn new(title: &str, columns: Vec<Column>) -> Self {
        Self {
            title: title.to_owned(),
            columns,
            rows: Vec::new(),
        }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If the number of cells differs from the number of columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "cells of {}", self.title);
        self.rows.push(row);
    }

    /// Whether a column has no numbers.
    pub fn is_of_words(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().map(|row| &row[column]);
        cells.all(|cell| matches!(cell, Cell::Text(_)))
    }
}

impl Column {
    /// A column of words or integers.
    pub fn of(name: &str) -> Self {
        Self::in_unit(name, "", 0)
    }

    /// A column of values with a unit.
    pub fn in_unit(name: &str, unit: &'static str, decimals: usize) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            decimals,
        }
    }

    /// Its name with its unit: `accuracy (%)`.
    pub fn heading(&self) -> String {
        match self.unit {
            "" => self.name.clone(),
            unit => format!("{} ({unit})", self.name),
        }
    }
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An integer.
    pub fn count(count: usize) -> Self {
        Self::Number(count as f64)
    }

    /// One value per seed.
    pub fn spread(sample: &Sample) -> Self {
        Self::Spread(sample.clone())
    }

    /// The cell as text, in this column: `94.12 ± 0.35`, mean and standard deviation over the seeds.
    pub fn shown(&self, column: &Column) -> String {
        let decimals = column.decimals;
        match self {
            Self::Text(text) => text.clone(),
            Self::Nothing => "–".into(),
            Self::Number(number) => of_number(*number, decimals),
            Self::Spread(sample) if sample.values.len() < 2 => of_number(sample.mean(), decimals),
            Self::Spread(sample) => format!(
                "{} ± {:.decimals$}",
                of_number(sample.mean(), decimals),
                sample.deviation()
            ),
        }
    }
}

fn of_number(number: f64, decimals: usize) -> String {
    match decimals {
        0 if number >= 0.0 => thousands(number.round() as usize),
        _ => format!("{number:.decimals$}"),
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Nothing => serializer.serialize_none(),
            Self::Spread(sample) => {
                let mut spread = serializer.serialize_struct("Spread", 3)?;
                spread.serialize_field("mean", &sample.mean())?;
                spread.serialize_field("deviation", &sample.deviation())?;
                spread.serialize_field("values", &sample.values)?;
                spread.end()
            }
        }
    }
}

impl Serialize for Picture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut picture = serializer.serialize_struct("Picture", 3)?;
        picture.serialize_field("name", &self.name)?;
        picture.serialize_field("caption", &self.caption)?;
        picture.serialize_field("text", &self.text)?;
        picture.end()
    }
}
