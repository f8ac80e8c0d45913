//! `metrics.csv`: a line per epoch.
use std::fs;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use super::Place;
use crate::train::{Event, Position};
use crate::{Error, Result, shown};

/// A line of `metrics.csv`: the results of an epoch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The phase of the run, counted from 1.
    pub phase: usize,
    /// The epoch of the phase, counted from 1.
    pub epoch: usize,
    /// Steps since the start of the run, over all phases.
    pub step: usize,
    /// The learning rate of the last step.
    pub learning_rate: f32,
    /// Mean loss of the training steps.
    pub loss: f32,
    /// Share of training images classified correctly in the training steps.
    pub accuracy: f32,
    /// Loss on the validation images.
    pub validation_loss: Option<f32>,
    /// Accuracy on the validation images.
    pub validation_accuracy: Option<f32>,
    /// Mean of the classes' accuracies on the validation images.
    pub validation_balanced_accuracy: Option<f32>,
    /// When the epoch ended, in seconds since 1970.
    pub wall_time: f64,
    /// The duration of the epoch.
    pub seconds: f64,
    /// The part of the duration spent waiting for batches.
    pub waiting_seconds: f64,
    /// Mean speed since the start of training, or since it was resumed.
    pub images_per_second: Option<f64>,
}

/// The names of the columns. Those from `wall_time` on depend on the clock.
const COLUMNS: [&str; 13] = [
    "phase",
    "epoch",
    "step",
    "learning_rate",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "wall_time",
    "seconds",
    "waiting_seconds",
    "images_per_second",
];

/// Adds the names of the columns.
pub(super) fn write_header(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(COLUMNS.join(",").as_bytes());
    buffer.push(b'\n');
}

impl Row {
    /// The row of an epoch that ended at `now`; `None` for other events.
    pub(super) fn new(
        event: &Event,
        place: &Place,
        images_per_second: Option<f64>,
        now: f64,
    ) -> Option<Self> {
        let Event::Epoch {
            epoch,
            loss,
            accuracy,
            learning_rate,
            validation_loss,
            validation_accuracy,
            validation_balanced_accuracy,
            is_best: _,
            clipped: _,
            seconds,
            waiting,
            model: _,
        } = event
        else {
            return None;
        };
        Some(Self {
            phase: place.phase,
            epoch: *epoch,
            step: place.all_steps(),
            learning_rate: *learning_rate,
            loss: *loss,
            accuracy: *accuracy,
            validation_loss: *validation_loss,
            validation_accuracy: *validation_accuracy,
            validation_balanced_accuracy: *validation_balanced_accuracy,
            wall_time: now,
            seconds: *seconds,
            waiting_seconds: *waiting,
            images_per_second,
        })
    }

    /// Adds its line. Numbers are as short as possible without losing a bit.
    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        let cell = |value: Option<f32>| value.map_or_else(String::new, |value| value.to_string());
        let line = writeln!(
            buffer,
            "{},{},{},{},{},{},{},{},{},{},{},{},{}",
            self.phase,
            self.epoch,
            self.step,
            self.learning_rate,
            self.loss,
            self.accuracy,
            cell(self.validation_loss),
            cell(self.validation_accuracy),
            cell(self.validation_balanced_accuracy),
            self.wall_time,
            self.seconds,
            self.waiting_seconds,
            self.images_per_second
                .map_or_else(String::new, |value| value.to_string()),
        );
        line.expect("memory takes text");
    }
}

/// The rows of a `metrics.csv`. Other columns are ignored. If the last line does not end, it is left out: the run may be writing it, or was killed.
///
/// # Errors
/// [`Error::Io`]; [`Error::Settings`] if it is no such file.
pub fn read_metrics(path: &Path) -> Result<Vec<Row>> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n');
    let text = String::from_utf8_lossy(&bytes[..complete.unwrap_or(0)]);
    let mut lines = text.lines();
    // A run that has just begun.
    let Some(header) = lines.next().filter(|_| complete.is_some()) else {
        return Ok(Vec::new());
    };
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let rows = lines.enumerate().map(|(index, line)| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let row = Cells {
            names: &names,
            cells: &cells,
        };
        row.row().map_err(|problem| Error::Settings {
            problem: format!(
                "line {} of {} cannot be read: {problem}; remove the line, or restore the file from a copy",
                index + 2,
                shown(path)
            ),
        })
    });
    rows.collect()
}

/// The row of the epoch that a model is from: that of `kept`, or the last one. `None` if there is no such row.
pub fn row_of(rows: &[Row], kept: Option<Position>) -> Option<&Row> {
    match kept {
        None => rows.last(),
        Some(kept) => {
            let is_it = |row: &&Row| (row.phase, row.epoch) == (kept.phase, kept.epoch);
            rows.iter().find(is_it)
        }
    }
}

/// A line as it is read.
struct Cells<'a> {
    names: &'a [&'a str],
    cells: &'a [&'a str],
}

impl Cells<'_> {
    fn row(&self) -> Result<Row, String> {
        Ok(Row {
            phase: self.needed("phase")?,
            epoch: self.needed("epoch")?,
            step: self.needed("step")?,
            learning_rate: self.needed("learning_rate")?,
            loss: self.needed("loss")?,
            accuracy: self.needed("accuracy")?,
            validation_loss: self.optional("validation_loss")?,
            validation_accuracy: self.optional("validation_accuracy")?,
            validation_balanced_accuracy: self.optional("validation_balanced_accuracy")?,
            wall_time: self.needed("wall_time")?,
            seconds: self.needed("seconds")?,
            waiting_seconds: self.needed("waiting_seconds")?,
            images_per_second: self.optional("images_per_second")?,
        })
    }

    fn needed<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let value = self.optional(name)?;
        value.ok_or_else(|| format!("there is no number for `{name}`"))
    }

    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let column = self.names.iter().position(|known| *known == name);
        let cell = column.and_then(|column| self.cells.get(column));
        match cell.filter(|cell| !cell.is_empty()) {
            None => Ok(None),
            Some(cell) => match cell.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!("`{name}` must be a number, not `{cell}`")),
            },
        }
    }
}

/// The part of a line before the columns that depend on the clock.
pub(super) fn without_times(line: &str) -> Option<&str> {
    let first = COLUMNS.iter().position(|name| *name == "wall_time");
    let (end, _) = line.match_indices(',').nth(first? - 1)?;
    Some(&line[..end])
}
