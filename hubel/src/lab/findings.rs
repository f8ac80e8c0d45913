//! What an experiment found, as plain values.
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{Chart, Claim, Sample, Verdict};
use crate::Drawing;

/// What an experiment found.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The name of the experiment.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// The items of the tutorial that it is about.
    pub items: &'static [&'static str],
    /// What it was to find out.
    pub question: &'static str,
    /// What was run: data, seeds, epochs, networks, threads.
    pub setup: Vec<Fact>,
    /// The numbers.
    pub tables: Vec<Table>,
    /// The same as plots.
    pub charts: Vec<Chart>,
    /// What is better seen than counted.
    pub pictures: Vec<Picture>,
    /// Two sentences: what was measured, and what came out.
    pub measured: [String; 2],
    /// What the tutorial claims, and what the numbers say of it here.
    pub claims: Vec<Claim>,
}

/// Something that was the same for all that was run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// What it is.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// Rows of numbers under columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// What is in it.
    pub name: String,
    /// The unit of its numbers; empty where they have none.
    pub unit: &'static str,
    /// Digits behind the point that are worth showing.
    pub decimals: usize,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A number that does not vary.
    Number(f64),
    /// A number that was measured with each seed.
    Spread(Sample),
    /// What does not exist, or could not be measured.
    Nothing,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Its name, of letters that a file name may have.
    pub name: String,
    /// What is to be seen.
    pub caption: String,
    /// The picture.
    pub drawing: Drawing,
    /// The same in letters, for a terminal, where that is possible.
    pub text: Option<String>,
}

impl Findings {
    /// Whether all claims have this verdict; false where there are none.
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
    /// If it has more or fewer cells than there are columns.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "cells of {}", self.title);
        self.rows.push(row);
    }
}

impl Column {
    /// A column of words or whole numbers.
    pub fn of(name: &str) -> Self {
        Self::in_unit(name, "", 0)
    }

    /// A column of numbers with a unit.
    pub fn in_unit(name: &str, unit: &'static str, decimals: usize) -> Self {
        Self {
            name: name.to_owned(),
            unit,
            decimals,
        }
    }
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    pub fn count(count: usize) -> Self {
        Self::Number(count as f64)
    }

    /// A number for each seed.
    pub fn spread(sample: &Sample) -> Self {
        Self::Spread(sample.clone())
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
