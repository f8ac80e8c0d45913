//! Reads `events.jsonl` back: a curve of few points, and the events that are worth a line.
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::by_layer::{self, Entries, GradientCurves};
use crate::train::Position;
use crate::{Error, Result, shown};

/// What `events.jsonl` says about a run, in brief.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Events {
    /// Means over neighbouring steps, from the first to the last.
    pub steps: Vec<StepMean>,
    /// The norm of the gradient of each layer. Empty in records of earlier versions of the library.
    pub gradients: GradientCurves,
    /// The events that are worth a line, in their order. Files that cannot be read are named once.
    pub notable: Vec<Notable>,
    /// The position of the weights that are kept, if training has ended and they are not the last ones.
    pub kept: Option<Position>,
    /// How many checkpoints were saved.
    pub saved: usize,
    /// How often the run was resumed and made a step.
    pub resumed: usize,
    /// The time of the first event, in seconds since 1970.
    pub began: Option<f64>,
    /// The time of the last event, in seconds since 1970.
    pub ended: Option<f64>,
}

/// The mean over some neighbouring steps.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepMean {
    /// How many steps these are.
    pub count: usize,
    /// Their mean place in the run, in epochs of all phases: 1.5 is the middle of the second epoch.
    pub epochs: f64,
    /// Mean loss; `None` if no loss was a number.
    pub loss: Option<f64>,
    /// The learning rate of the last of them.
    pub learning_rate: f64,
    /// Mean length of the gradient, if it was measured.
    pub gradient_norm: Option<f64>,
    /// The speed that the last of them reported.
    pub images_per_second: Option<f64>,
}

/// An event that is worth a line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notable {
    /// A phase began.
    Phase {
        /// Its number.
        phase: usize,
        /// Number of phases.
        phases: usize,
        /// The last frozen layer.
        frozen: Option<String>,
    },
    /// The run was resumed.
    Resumed {
        /// When, in seconds since 1970.
        wall_time: f64,
    },
    /// Training or a phase ended before its last epoch.
    EndedEarly {
        /// Where it ended.
        position: Position,
        /// Epochs without progress.
        epochs: usize,
    },
    /// The weights of an earlier position were kept.
    Kept {
        /// The earlier position.
        position: Position,
        /// Their accuracy on the validation images, as in [`Event::Kept`](crate::Event::Kept).
        accuracy: f32,
    },
    /// A picture could no longer be read.
    BadFile {
        /// Its path.
        path: String,
        /// The reason.
        problem: String,
    },
    /// A checkpoint could not be saved.
    NotSaved {
        /// The reason.
        problem: String,
        /// How many times in a row.
        times: usize,
    },
}

/// A line, with the fields of all events.
#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default = "crate::train::position::one")]
    phase: usize,
    #[serde(default)]
    phases: usize,
    #[serde(default)]
    epoch: usize,
    #[serde(default)]
    step: usize,
    #[serde(default)]
    steps: usize,
    /// `null` if it was not finite.
    batch_loss: Option<f64>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f64>,
    #[serde(default)]
    layer_kinds: Entries<String>,
    #[serde(default)]
    layer_gradient_norms: Entries<Option<f64>>,
    images_per_second: Option<f64>,
    #[serde(default)]
    epochs_without_progress: usize,
    accuracy: Option<f32>,
    frozen: Option<String>,
    file: Option<BadFile>,
    problem: Option<String>,
    wall_time: Option<f64>,
}

#[derive(Deserialize)]
struct BadFile {
    path: String,
    problem: String,
}

/// Reads an `events.jsonl`. Its steps become at most `most` means, and the norms of the layers as well. If the last line does not end, it is left out: the run may be writing it, or was killed.
/// Events of a later version of the library are ignored.
///
/// # Errors
/// [`Error::Io`]; [`Error::Settings`] if another line is damaged.
pub fn read_events(path: &Path, most: usize) -> Result<Events> {
    let refused = Error::io("read", path);
    let mut file = BufReader::new(File::open(path).map_err(refused)?);
    let mut reading = Reading::new(most);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        file.read_until(b'\n', &mut bytes).map_err(refused)?;
        let Some(line) = bytes.strip_suffix(b"\n") else {
            break;
        };
        reading.add(line).map_err(|error| Error::Settings {
            problem: format!(
                "line {number} of {} cannot be read ({error}); remove the line, or restore the file from a copy",
                shown(path)
            ),
        })?;
    }
    Ok(reading.finish())
}

/// The events of the lines so far.
struct Reading {
    events: Events,
    curve: Curve,
    gradients: by_layer::Reading,
    phase: usize,
    /// Epochs of the phases before the current one.
    epochs_before: usize,
    /// Completed epochs of all phases.
    epochs_done: usize,
    /// A resumption that no step follows so far.
    resumed: Option<f64>,
}

impl Reading {
    fn new(most: usize) -> Self {
        Self {
            events: Events::default(),
            curve: Curve::new(most),
            gradients: by_layer::Reading::new(most),
            phase: 1,
            epochs_before: 0,
            epochs_done: 0,
            resumed: None,
        }
    }

    fn add(&mut self, line: &[u8]) -> serde_json::Result<()> {
        let position = |line: &[u8]| serde_json::from_slice::<Position>(line);
        let Line {
            event,
            phase,
            phases,
            epoch,
            step,
            steps,
            batch_loss,
            learning_rate,
            gradient_norm,
            layer_kinds,
            layer_gradient_norms,
            images_per_second,
            epochs_without_progress,
            accuracy,
            frozen,
            file,
            problem,
            wall_time,
        } = serde_json::from_slice(line)?;
        self.events.began = self.events.began.or(wall_time);
        self.events.ended = wall_time.or(self.events.ended);
        let notable = &mut self.events.notable;
        match event.as_str() {
            "step" => {
                // It was about an earlier phase.
                self.events.kept = None;
                if let Some(wall_time) = self.resumed.take() {
                    self.events.resumed += 1;
                    notable.push(Notable::Resumed { wall_time });
                }
                if phase != self.phase {
                    (self.phase, self.epochs_before) = (phase, self.epochs_done);
                }
                let share = step as f64 / steps.max(1) as f64;
                let epochs = (self.epochs_before + epoch.saturating_sub(1)) as f64 + share;
                self.gradients.add_kinds(layer_kinds);
                self.gradients.add(epochs, &layer_gradient_norms);
                self.curve.add(Step {
                    epochs,
                    loss: batch_loss,
                    learning_rate: learning_rate.unwrap_or(0.0),
                    gradient_norm,
                    images_per_second,
                });
            }
            "epoch" => self.epochs_done = self.epochs_before + epoch,
            "phase" => notable.push(Notable::Phase {
                phase,
                phases,
                frozen,
            }),
            "resumed" => self.resumed = wall_time,
            "ended_early" => notable.push(Notable::EndedEarly {
                position: position(line)?,
                epochs: epochs_without_progress,
            }),
            "kept" => {
                let position = position(line)?;
                self.events.kept = Some(position);
                notable.push(Notable::Kept {
                    position,
                    accuracy: accuracy.unwrap_or(f32::NAN),
                });
            }
            "bad_file" => {
                if let Some(BadFile { path, problem }) = file {
                    let bad = Notable::BadFile { path, problem };
                    // The same file may be reported in every epoch.
                    if !notable.contains(&bad) {
                        notable.push(bad);
                    }
                }
            }
            "saved" => self.events.saved += 1,
            "not_saved" => {
                let problem = problem.unwrap_or_default();
                match notable.last_mut() {
                    Some(Notable::NotSaved {
                        problem: last,
                        times,
                    }) if *last == problem => *times += 1,
                    _ => notable.push(Notable::NotSaved { problem, times: 1 }),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Events {
        Events {
            steps: self.curve.finish(),
            gradients: self.gradients.finish(),
            ..self.events
        }
    }
}

/// What a line says of a step.
struct Step {
    epochs: f64,
    loss: Option<f64>,
    learning_rate: f64,
    gradient_norm: Option<f64>,
    images_per_second: Option<f64>,
}

/// A curve of at most `most` points. When there are more, each two neighbours become one.
struct Curve {
    most: usize,
    /// Steps of a point.
    width: usize,
    points: Vec<Sum>,
    open: Sum,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    count: usize,
    epochs: f64,
    losses: usize,
    loss: f64,
    learning_rate: f64,
    norms: usize,
    gradient_norm: f64,
    images_per_second: Option<f64>,
}

impl Curve {
    fn new(most: usize) -> Self {
        Self {
            most: most.max(2),
            width: 1,
            points: Vec::new(),
            open: Sum::default(),
        }
    }

    fn add(&mut self, step: Step) {
        if self.open.count == self.width {
            self.points.push(std::mem::take(&mut self.open));
        }
        // The open point is one more.
        if self.points.len() == self.most {
            let pairs = self.points.chunks(2).map(|pair| match pair {
                [one, other] => one.and(other),
                _ => pair[0],
            });
            self.points = pairs.collect();
            self.width *= 2;
            // The last of an odd number is half full.
            if let Some(last) = self.points.pop_if(|last| last.count < self.width) {
                self.open = last;
            }
        }
        self.open = self.open.and(&Sum {
            count: 1,
            epochs: step.epochs,
            losses: usize::from(step.loss.is_some()),
            loss: step.loss.unwrap_or(0.0),
            learning_rate: step.learning_rate,
            norms: usize::from(step.gradient_norm.is_some()),
            gradient_norm: step.gradient_norm.unwrap_or(0.0),
            images_per_second: step.images_per_second,
        });
    }

    fn finish(mut self) -> Vec<StepMean> {
        if self.open.count > 0 {
            self.points.push(self.open);
        }
        self.points.iter().map(Sum::mean).collect()
    }
}

impl Sum {
    /// The sum with later steps.
    fn and(&self, later: &Self) -> Self {
        Self {
            count: self.count + later.count,
            epochs: self.epochs + later.epochs,
            losses: self.losses + later.losses,
            loss: self.loss + later.loss,
            learning_rate: later.learning_rate,
            norms: self.norms + later.norms,
            gradient_norm: self.gradient_norm + later.gradient_norm,
            images_per_second: later.images_per_second.or(self.images_per_second),
        }
    }

    fn mean(&self) -> StepMean {
        let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
        StepMean {
            count: self.count,
            epochs: self.epochs / self.count as f64,
            loss: mean(self.loss, self.losses),
            learning_rate: self.learning_rate,
            gradient_norm: mean(self.gradient_norm, self.norms),
            images_per_second: self.images_per_second,
        }
    }
}

/// The bytes at the end of an `events.jsonl` that have all lines after the last step.
const END: u64 = 1 << 16;

/// When the first event of an `events.jsonl` happened, and the position of the weights that are kept if training ended and they are not the last ones. `None`
/// for what the file does not say. Reads only its first line and its end.
pub(crate) fn began_and_kept(path: &Path) -> (Option<f64>, Option<Position>) {
    let read = || -> std::io::Result<_> {
        let mut file = BufReader::new(File::open(path)?);
        let mut first = Vec::new();
        file.by_ref().take(END).read_until(b'\n', &mut first)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut end = Vec::new();
        file.take(END).read_to_end(&mut end)?;
        Ok((first, end))
    };
    let Ok((first, end)) = read() else {
        return (None, None);
    };
    let began = serde_json::from_slice::<Line>(&first);
    let began = began.ok().and_then(|line| line.wall_time);
    let lines = end.rsplit(|byte| *byte == b'\n');
    let read = lines.filter_map(|line| Some((serde_json::from_slice::<Line>(line).ok()?, line)));
    let kept = (read.take_while(|(found, _)| found.event != "step"))
        .find(|(found, _)| found.event == "kept")
        .and_then(|(_, line)| serde_json::from_slice(line).ok());
    (began, kept)
}

/// Adds the line of a run that goes on `now`. The whole line depends on the clock.
pub(super) fn write_resumed(buffer: &mut Vec<u8>, now: f64) {
    let line = format!("{{\"event\":\"resumed\",\"wall_time\":{now}}}\n");
    buffer.extend_from_slice(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::record::Record;

    /// The file of a run of `epochs` epochs with ten steps each, whose losses are 1, 2, 3 …, and further lines.
    fn file(epochs: usize, more: &str) -> tempfile::NamedTempFile {
        let mut text = String::new();
        for step in 0..epochs * 10 {
            let (epoch, place) = (step / 10 + 1, step % 10 + 1);
            text += &format!(
                "{{\"event\":\"step\",\"epoch\":{epoch},\"epochs\":{epochs},\"step\":{place},\"steps\":10,\"batch_loss\":{},\"learning_rate\":0.5,\"wall_time\":{step}}}\n",
                step + 1
            );
            if place == 10 {
                text +=
                    &format!("{{\"event\":\"epoch\",\"epoch\":{epoch},\"wall_time\":{step}}}\n");
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text + more).unwrap();
        file
    }

    #[test]
    fn a_long_run_has_as_few_points_as_wanted_and_the_same_mean() {
        for (epochs, most) in [(1, 500), (1, 10), (7, 10), (30, 7), (100, 500), (3, 2)] {
            let file = file(epochs, "");
            let steps = read_events(file.path(), most).unwrap().steps;
            assert!(steps.len() <= most + 1, "{} of {most}", steps.len());
            assert!(
                steps.len() * 2 + 2 >= most.min(epochs * 10),
                "{}",
                steps.len()
            );
            let count: usize = steps.iter().map(|step| step.count).sum();
            assert_eq!(count, epochs * 10);
            let sum: f64 = (steps.iter())
                .map(|step| step.loss.unwrap() * step.count as f64)
                .sum();
            assert_eq!(sum.round() as usize, count * (count + 1) / 2);
            assert!(steps.is_sorted_by(|one, next| one.epochs < next.epochs));
            assert!(steps.last().unwrap().epochs <= epochs as f64);
        }
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_another_damaged_one_is_named() {
        let cut = "{\"event\":\"kept\",\"epo";
        let events = read_events(file(1, cut).path(), 500).unwrap();
        assert_eq!((events.steps.len(), events.notable.len()), (10, 0));
        let refused = read_events(file(1, "{\"event\n{}\n").path(), 500).unwrap_err();
        assert!(refused.to_string().contains("line 12 of"), "{refused}");
    }

    #[test]
    fn what_is_worth_a_line_is_told_once() {
        let place = "\"epoch\":1,\"epochs\":2,\"step\":10,\"steps\":10";
        let bad = "{\"event\":\"bad_file\",\"file\":{\"path\":\"a.png\",\"problem\":\"it is empty\",\"quarantined\":null},\"wall_time\":20}\n";
        let full = "{\"event\":\"not_saved\",\"wall_time\":20,\"problem\":\"full\"}\n";
        let kept = format!("{{\"event\":\"kept\",{place},\"accuracy\":0.5,\"wall_time\":21}}\n");
        let later = "{\"event\":\"of_tomorrow\"}\n";
        let resumed = "{\"event\":\"resumed\",\"wall_time\":19.5}\n";
        let text = std::fs::read_to_string(file(1, "").path()).unwrap();
        // Only a resumption that made a step counts.
        let text = format!("{resumed}{text}{bad}{bad}{full}{full}{kept}{later}{resumed}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let events = read_events(file.path(), 500).unwrap();
        let position = Position {
            step: 10,
            ..Position::start(2, 10)
        };
        let expected = [
            Notable::Resumed { wall_time: 19.5 },
            Notable::BadFile {
                path: "a.png".into(),
                problem: "it is empty".into(),
            },
            Notable::NotSaved {
                problem: "full".into(),
                times: 2,
            },
            Notable::Kept {
                position,
                accuracy: 0.5,
            },
        ];
        assert_eq!(events.notable, expected);
        assert_eq!((events.resumed, events.saved), (1, 0));
        assert_eq!(events.kept, Some(position));
        assert_eq!(began_and_kept(file.path()), (Some(19.5), Some(position)));
    }

    #[test]
    fn a_record_can_be_read_while_it_is_written_and_says_that_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::create(folder.path()).unwrap();
        let lengths = record.flush().unwrap();
        drop(record);
        let mut record = Record::resume(folder.path(), &lengths).unwrap();
        record.add_resumption();
        record.flush().unwrap();
        let path = folder.path().join(Record::EVENTS);
        let events = read_events(&path, 500).unwrap();
        assert!(events.began.is_some() && events.notable.is_empty());
    }
}
