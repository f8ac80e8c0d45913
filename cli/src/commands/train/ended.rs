//! What a training leaves beside its model: what came out as JSON, and the report.
use std::ops::Deref;
use std::path::Path;
use std::time::Instant;

use hubel::data::{BadFile, Balance, Subject};
use hubel::record::{self, Events, Record, Row};
use hubel::{Cpu, Error, Model, Report, RunFolder, Splits};
use serde_json::{Value, json};

use super::{Log, report};
use crate::args::Train;
use crate::commands::doctor::sign_object;
use crate::commands::{self, Assessment, program, quoted, untested};
use crate::console::{self, Console};
use crate::wording::of_command_line;

/// What is trained, and where.
#[derive(Clone, Copy)]
pub(super) struct Training<'a> {
    pub(super) arguments: &'a Train,
    /// The name of the network.
    pub(super) name: &'a str,
    /// The folder of the run.
    pub(super) folder: &'a Path,
    pub(super) cpu: &'a Cpu,
    pub(super) splits: &'a Splits,
    pub(super) subject: &'a Subject,
    pub(super) begin: Instant,
    /// Seconds of training before the run was interrupted.
    pub(super) seconds_before: f64,
}

/// A training that has ended or was stopped.
pub(super) struct Ended<'a> {
    pub(super) training: Training<'a>,
    pub(super) model: &'a Model,
    /// The file of its weights.
    pub(super) file: &'a Path,
    /// The results on the test images.
    pub(super) judgement: Option<&'a Assessment>,
    /// Why training failed, or why the model could not be tested.
    pub(super) problem: Option<&'a Error>,
    /// Of this process; the record has the whole run.
    pub(super) log: &'a Log,
    pub(super) is_interrupted: bool,
}

/// The record of the whole run.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) rows: Vec<Row>,
    pub(super) events: Events,
}

/// The most points of a curve by step.
const POINTS: usize = 500;

impl Recorded {
    /// Reads the record in a folder.
    fn read(folder: &Path) -> Result<Self, Error> {
        Ok(Self {
            rows: record::read_metrics(&folder.join(Record::METRICS))?,
            events: record::read_events(&folder.join(Record::EVENTS), POINTS)?,
        })
    }

    /// The epoch of the model's weights.
    pub(super) fn row(&self) -> Option<&Row> {
        record::row_of(&self.rows, self.events.kept)
    }
}

impl<'a> Deref for Ended<'a> {
    type Target = Training<'a>;

    fn deref(&self) -> &Training<'a> {
        &self.training
    }
}

impl Ended<'_> {
    /// Writes `result.json` and `report.html` into the folder of the run, and returns what came out. A file that cannot be written is a remark: the model is saved.
    pub(super) fn write(&self, console: &Console) -> Value {
        let recorded = Recorded::read(self.folder).unwrap_or_else(|error| {
            console.remark(&format!("the record of the run cannot be read: {error}"));
            Recorded::default()
        });
        let result = self.result(&recorded);
        // The epochs are in metrics.csv, also those of an earlier process.
        let mut stored = result.clone();
        if let Some(fields) = stored.as_object_mut() {
            fields.remove("epochs");
        }
        let file = self.folder.join(RunFolder::RESULT);
        let written = hubel::replace_file(&file, format!("{stored:#}\n").as_bytes())
            .and_then(|()| report::write(self, &recorded));
        if let Err(error) = written {
            console.remark(&format!("the report could not be written: {error}"));
        }
        result
    }

    /// The object that `--json` prints.
    fn result(&self, recorded: &Recorded) -> Value {
        let model = self.model;
        let of_test = |value: &dyn Fn(&Report) -> Value| self.report().map(value);
        let number = |number: &dyn Fn(&Report) -> f32| {
            self.report().map(|report| console::decimal(number(report)))
        };
        let row = recorded.row();
        let of_row = |value: fn(&Row) -> Option<f32>| row.and_then(value).map(console::decimal);
        let notes = self.splits.notes.iter();
        json!({
            "test_accuracy": number(&|report| report.accuracy),
            "test_accuracy_interval": of_test(&|report| json!(report.interval().map(console::decimal))),
            "test_balanced_accuracy": number(&Report::balanced_accuracy),
            "test_baseline_accuracy": number(&|report| report.baseline().1),
            "test_loss": number(&|report| report.loss),
            "test_count": self.report().map(|report| report.count),
            "untested_classes": of_test(&|report| json!(untested(report, model.classes()))),
            "validation_accuracy": of_row(|row| row.validation_accuracy),
            "validation_balanced_accuracy": of_row(|row| row.validation_balanced_accuracy),
            "validation_loss": of_row(|row| row.validation_loss),
            "seconds": self.seconds(),
            "model": self.file.display().to_string(),
            "network": model.network().to_string(),
            "origin": model.origin(),
            "frozen": model.frozen(),
            "choice": model.choice(),
            "temperature": model.temperature(),
            "data": self.splits.train.name(),
            "subject": self.subject.to_string(),
            "notes": notes.map(|note| of_command_line(note)).collect::<Vec<_>>(),
            "bad_files": self.log.bad_files,
            "waiting_share": self.waiting_share(),
            "saving_seconds": self.log.saving,
            "training_loss_includes": self.log.loss_includes,
            "signs": self.log.signs.iter().map(sign_object).collect::<Vec<_>>(),
            "epochs": self.log.epochs,
            "interrupted": self.is_interrupted,
            "stopped_at": model.stopped_at(),
        })
    }

    pub(super) fn report(&self) -> Option<&Report> {
        Some(&self.judgement?.report)
    }

    /// The duration of the run so far.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds_before + self.begin.elapsed().as_secs_f64()
    }

    /// What came out, for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let classes = self.model.classes();
        if let Some(report) = self.report() {
            let is_balanced = self.arguments.balance != Balance::None;
            let headline = commands::headline(report, classes);
            text += &format!("test accuracy  {headline}\n");
            for (name, value) in commands::beside_accuracy(report, classes, is_balanced) {
                text += &format!("{name:<15}{value}\n");
            }
        }
        text += &format!(
            "time           {:.1} s, {:.1} % of the training spent waiting for data\nmodel          {}\n",
            self.seconds(),
            100.0 * self.waiting_share(),
            self.file.display()
        );
        if let Some(choice) = self.model.choice() {
            text += &format!("weights        {choice}\n");
        }
        if let Some(temperature) = self.model.temperature() {
            text += &format!(
                "probabilities  calibrated on the validation {}: temperature {temperature:.2}\n",
                self.splits.train.kind().plural()
            );
        }
        text += &report_line(self.folder);
        let data = &self.arguments.data.data;
        let next = next_command(self.folder, data, &self.log.bad_files);
        text + &format!("next           {next}")
    }

    /// The share of the training of this process that was spent waiting for batches.
    pub(super) fn waiting_share(&self) -> f64 {
        self.log.sum("waiting_seconds") / self.log.sum("seconds").max(f64::MIN_POSITIVE)
    }
}

/// The line that names the report, if it could be written.
fn report_line(folder: &Path) -> String {
    let file = folder.join(report::FILE);
    match file.exists() {
        true => format!("report         {}\n", file.display()),
        false => String::new(),
    }
}

fn next_command(folder: &Path, data: &Path, bad_files: &[BadFile]) -> String {
    let mut command = format!("{} evaluate {}", quoted(program()), quoted(folder));
    if data != Path::new("mnist") {
        command += &format!(" {}", quoted(data));
    }
    // Skipped files are still in the data, and would stop `evaluate`.
    if bad_files.iter().any(|bad| bad.quarantined.is_none()) {
        command += " --bad-files skip";
    }
    command
}
