//! The record of a run: three files in its folder that grow while it trains.
mod board;
mod by_layer;
mod events;
mod growing;
mod lines;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use self::by_layer::{GradientCurves, GradientLayer, GradientMean, NormRange};
pub(crate) use self::events::began_and_kept;
pub use self::events::{Events, Notable, StepMean, read_events};
use self::growing::Growing;
pub use self::lines::without_times;
pub use self::metrics::{Row, read_metrics, row_of};
use crate::formats::atomic::sync_folder;
use crate::train::Event;
use crate::{Error, Result, shown};

/// The record of a training run. It consists of three files in the folder of the run:
///
/// | file | contents | for |
/// |---|---|---|
/// | `events.jsonl` | a JSON object per line for each [`Event`], and one each time the run goes on | programs, `tail -f`, [`read_events`] |
/// | `metrics.csv` | a line per epoch, see [`Row`] | spreadsheets, [`read_metrics`] |
/// | `events.out.tfevents.….hubel` | losses, accuracies and rates by step | TensorBoard |
///
/// Everything that depends on the clock stands at the end of a line, see [`without_times`]. The rest is the same for an undisturbed run and for
/// one that was interrupted and resumed.
///
/// ```
/// # use hubel::{Cpu, Dataset, Network, Result, Shape, TrainSettings, Trainer, record::{self, Record}};
/// # use std::ops::ControlFlow;
/// # fn main() -> Result<()> {
/// # let dataset = Dataset::from_arrays(&[0.0, 1.0, 0.1, 0.9], Shape::new(1, 1, 1), &[0, 1, 0, 1])?;
/// # let network = Network::parse("flatten-linear(classes)")?;
/// # let temporary = tempfile::tempdir().expect("a temporary folder");
/// # let folder = temporary.path();
/// let mut trainer = Trainer::new(Cpu::best(1), network, &dataset, None, TrainSettings::default())?;
/// let mut record = Record::create(folder)?;
/// trainer.run(&mut |event| {
///     record.add(event);
///     ControlFlow::Continue(())
/// })?;
/// record.flush()?;
/// let rows = record::read_metrics(&folder.join(Record::METRICS))?;
/// assert_eq!(rows.len(), TrainSettings::default().epochs);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Record {
    events: Growing,
    metrics: Growing,
    board: Growing,
    place: Place,
    /// Whether the record has a line for the current phase.
    has_phase: bool,
    /// Of the last step. It depends on the clock.
    images_per_second: Option<f64>,
    written: Instant,
    /// When the last progress of computing features was recorded.
    features: Option<Instant>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    phase: usize,
    phases: usize,
    /// The steps of earlier phases.
    steps_before: usize,
    /// The steps of this phase.
    steps: usize,
}

impl Place {
    const START: Self = Self {
        phase: 1,
        phases: 1,
        steps_before: 0,
        steps: 0,
    };

    /// The steps of all phases.
    fn all_steps(&self) -> usize {
        self.steps_before + self.steps
    }
}

/// How long steps wait in memory before they are written to the file.
const STEPS_WAIT: Duration = Duration::from_secs(1);

/// How long other events wait. A slow part of the run may follow, such as validation, in which nothing is added.
const OTHERS_WAIT: Duration = Duration::from_millis(100);

/// The shortest time between two lines about the progress of features.
const BETWEEN_FEATURES: Duration = Duration::from_secs(1);

impl Record {
    /// The file with a line per event.
    pub const EVENTS: &str = "events.jsonl";
    /// The file with a line per epoch.
    pub const METRICS: &str = "metrics.csv";

    /// A new record in `folder`. It replaces the record of an earlier run.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        Self::create_at(folder, wall_time())
    }

    fn create_at(folder: &Path, now: f64) -> Result<Self> {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(board::is_name) {
                fs::remove_file(entry.path()).map_err(growing::refused("remove", &entry.path()))?;
            }
        }
        let mut record = Self::of(
            Growing::create(folder, Self::EVENTS)?,
            Growing::create(folder, Self::METRICS)?,
            Growing::create(folder, &board::name(now))?,
            None,
        );
        metrics::write_header(record.metrics.buffer());
        board::write_version(record.board.buffer(), now);
        record.write_out()?;
        sync_folder(&folder.join(Self::EVENTS));
        Ok(record)
    }

    /// The record in `folder`, to be continued from a checkpoint. `lengths` are those that [`Record::flush`] returned before the checkpoint was saved. Each
    /// file is cut to its length: what was recorded after the checkpoint will be recorded again.
    ///
    /// # Errors
    /// [`Error::Settings`] if a file does not exist or is shorter; [`Error::Io`].
    pub fn resume(folder: &Path, lengths: &BTreeMap<String, u64>) -> Result<Self> {
        let board = lengths.keys().find(|name| board::is_name(name));
        // A missing length names a file that does not exist either; so the message has a name.
        let board = board.map_or("events.out.tfevents", String::as_str);
        let files = [Self::EVENTS, Self::METRICS, board];
        let length = |name: &str| match lengths.get(name) {
            Some(length) => Ok(*length),
            None => Err(Error::Settings {
                problem: format!(
                    "the checkpoint does not say how long {} was; {WAY_OUT}",
                    shown(&folder.join(name))
                ),
            }),
        };
        // All are checked before one is cut.
        for name in files {
            growing::check(folder, name, length(name)?)?;
        }
        let [events, metrics, board] =
            files.map(|name| -> Result<Growing> { Growing::cut(folder, name, length(name)?) });
        let mut events = events?;
        let place = lines::last_place(&mut events)?;
        Ok(Self::of(events, metrics?, board?, place))
    }

    fn of(events: Growing, metrics: Growing, board: Growing, place: Option<Place>) -> Self {
        Self {
            events,
            metrics,
            board,
            place: place.unwrap_or(Place::START),
            has_phase: place.is_some(),
            images_per_second: None,
            written: Instant::now(),
            features: None,
        }
    }

    /// Adds an event. It waits in memory for up to a second; then it is written with the other waiting ones, so that other programs see it.
    /// An error does not end training: what could not be written is kept and tried again, and [`Record::flush`] returns the error.
    pub fn add(&mut self, event: &Event) {
        self.add_at(event, wall_time());
        let waits = match event {
            Event::Step { step, steps, .. } if step < steps => STEPS_WAIT,
            _ => OTHERS_WAIT,
        };
        if self.written.elapsed() >= waits {
            // It is tried again, at the latest by `flush`.
            let _ = self.write_out();
        }
    }

    /// Notes that the run goes on. [`RunFolder`](crate::RunFolder) does so after [`Record::resume`].
    pub fn add_resumption(&mut self) {
        events::write_resumed(self.events.buffer(), wall_time());
    }

    /// Adds an event that happened `now`.
    fn add_at(&mut self, event: &Event, now: f64) {
        match event {
            Event::Phase { phase, phases, .. } => {
                // A resumed run reports its phase again.
                if self.has_phase && *phase == self.place.phase {
                    return;
                }
                self.has_phase = true;
                self.place = Place {
                    phase: *phase,
                    phases: *phases,
                    steps_before: self.place.all_steps(),
                    steps: 0,
                };
            }
            Event::Step {
                step_of_run,
                images_per_second,
                ..
            } => {
                self.place.steps = *step_of_run;
                self.images_per_second = Some(*images_per_second);
                board::write_step(self.board.buffer(), event, &self.place, now);
            }
            Event::Epoch { .. } => {
                if let Some(row) = Row::new(event, &self.place, self.images_per_second, now) {
                    row.write(self.metrics.buffer());
                    board::write_epoch(self.board.buffer(), &row);
                }
            }
            Event::Features { done, all, .. } => {
                let is_early = |last: Instant| last.elapsed() < BETWEEN_FEATURES;
                if done < all && self.features.is_some_and(is_early) {
                    return;
                }
                self.features = Some(Instant::now());
            }
            _ => {}
        }
        lines::write(self.events.buffer(), event, &self.place, now);
    }

    /// Writes everything, waits until the disk has it, and returns the length of each file by its name. [`Record::resume`] cuts the files to these lengths.
    ///
    /// # Errors
    /// [`Error::Io`] if something could not be written, such as on a full disk. Training can go on; the next call tries again.
    pub fn flush(&mut self) -> Result<BTreeMap<String, u64>> {
        self.write_out()?;
        let files = [&self.events, &self.metrics, &self.board];
        let synced = files.map(|file| file.sync().map(|length| (file.name().to_owned(), length)));
        synced.into_iter().collect()
    }

    /// Hands everything to the operating system.
    fn write_out(&mut self) -> Result<()> {
        self.written = Instant::now();
        let files = [&mut self.events, &mut self.metrics, &mut self.board];
        let [events, metrics, board] = files.map(Growing::write_out);
        events.and(metrics).and(board)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Whoever needs to know the error calls `flush` before.
        let _ = self.write_out();
    }
}

/// What a user can do if the files do not fit a checkpoint.
const WAY_OUT: &str = "restore it from a copy, or start a new training from the weights of the checkpoint (`Trainer::from_model`)";

/// Seconds since 1970, in whole microseconds.
fn wall_time() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_micros() as f64 / 1e6
}
