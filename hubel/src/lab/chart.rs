//! Plots as plain numbers: what to draw, not how.
use serde::Serialize;

use super::Sample;

/// A plot: values over an axis, or over names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The axis of the values.
    pub y: Axis,
    /// What stands over the other axis.
    pub marks: Marks,
}

/// An axis with its label and unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What is measured along it, with the unit in brackets.
    pub label: String,
    /// Whether equal distances are equal ratios.
    pub logarithmic: bool,
}

/// What stands over the horizontal axis.
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
    /// Values over names: dots, so that small differences between large values are seen.
    Groups {
        /// The names.
        groups: Vec<String>,
        /// Each with one value for each name.
        series: Vec<Series>,
    },
}

/// Values that belong together.
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
    /// The place on the horizontal axis; over names the number of its name, from 0.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// The standard deviation over the seeds; 0 where nothing varies.
    pub error: f64,
}

impl Axis {
    /// An axis of equal distances.
    pub fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            logarithmic: false,
        }
    }

    /// An axis of equal ratios, for positive values.
    pub fn logarithmic(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            logarithmic: true,
        }
    }
}

impl Point {
    /// The mean over the seeds with their deviation.
    pub fn of(x: f64, sample: &Sample) -> Self {
        Self {
            x,
            y: sample.mean(),
            error: sample.deviation(),
        }
    }

    /// A number that does not vary.
    pub fn exact(x: f64, y: f64) -> Self {
        Self { x, y, error: 0.0 }
    }
}

impl Series {
    /// A series over names: a sample for each.
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
