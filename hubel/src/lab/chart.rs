//! Plots as plain numbers: what to draw, not how.
use serde::Serialize;

use super::Sample;

/// A plot: values over an axis, or over names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// The title.
    pub title: String,
    /// The axis of the values.
    pub y: Axis,
    /// The series over the other axis.
    pub marks: Marks,
}

/// An axis with its label and unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// The quantity, with the unit in brackets.
    pub label: String,
    /// Whether the axis is logarithmic.
    pub logarithmic: bool,
}

/// The series over the horizontal axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Marks {
    /// Lines over numbers.
    Lines {
        /// The horizontal axis.
        x: Axis,
        /// Each line.
        series: Vec<Series>,
    },
    /// Values over names, as dots, so that small differences between large values are visible.
    Groups {
        /// The names.
        groups: Vec<String>,
        /// Each series has one value per name.
        series: Vec<Series>,
    },
}

/// A series of values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Its name, for the legend.
    pub name: String,
    /// The values, from left to right.
    pub points: Vec<Point>,
}

/// A value with its spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The position on the horizontal axis; over names, the index of the name.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// The standard deviation over the seeds; 0 if nothing varies.
    pub error: f64,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            logarithmic: false,
        }
    }

    /// A logarithmic axis, for positive values.
    pub fn logarithmic(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            logarithmic: true,
        }
    }
}

impl Point {
    /// The mean and standard deviation over the seeds.
    pub fn of(x: f64, sample: &Sample) -> Self {
        Self {
            x,
            y: sample.mean(),
            error: sample.deviation(),
        }
    }

    /// A value that does not vary.
    pub fn exact(x: f64, y: f64) -> Self {
        Self { x, y, error: 0.0 }
    }
}

impl Series {
    /// A series over names, with a sample for each.
    pub fn of<'a>(name: &str, samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let points = samples.into_iter().enumerate();
        Self {
            name: name.to_owned(),
            points: points
                .map(|(group, sample)| Point::of(group as f64, sample))
                .collect(),
        }
    }
}
