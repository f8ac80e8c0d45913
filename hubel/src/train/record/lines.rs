//! The lines of `events.jsonl`.
use serde::{Deserialize, Serialize, Serializer};

use super::Place;
use super::growing::Growing;
use crate::Result;
use crate::train::{Event, LayerGradient, Position};

/// Adds the line of an event that happened at `now`: first what does not depend on the clock, then from `wall_time` on what does.
pub(super) fn write(buffer: &mut Vec<u8>, event: &Event, place: &Place, now: f64) {
    match event {
        Event::Step {
            epoch,
            epochs,
            step,
            steps,
            step_of_run,
            loss,
            accuracy,
            batch_loss,
            learning_rate,
            gradient_norm,
            layer_gradients,
            images_per_second,
            seconds_left,
        } => Line::begin(buffer, "step")
            .place(place)
            .field("epoch", epoch)
            .field("epochs", epochs)
            .field("step", step)
            .field("steps", steps)
            .field("step_of_run", step_of_run)
            .field("loss", loss)
            .field("accuracy", accuracy)
            .field("batch_loss", batch_loss)
            .field("learning_rate", learning_rate)
            .field_if_any("gradient_norm", gradient_norm.as_ref())
            .gradients(layer_gradients, *step_of_run == 1)
            .field("wall_time", now)
            .field("images_per_second", images_per_second)
            .field("seconds_left", seconds_left),
        Event::Epoch {
            epoch,
            loss,
            accuracy,
            learning_rate,
            clipped,
            validation_loss,
            validation_accuracy,
            validation_balanced_accuracy,
            is_best,
            seconds,
            waiting,
            model: _,
        } => Line::begin(buffer, "epoch")
            .place(place)
            .field("epoch", epoch)
            .field("step_of_run", place.steps)
            .field("loss", loss)
            .field("accuracy", accuracy)
            .field("learning_rate", learning_rate)
            .field("clipped", clipped)
            .field_if_any("validation_loss", validation_loss.as_ref())
            .field_if_any("validation_accuracy", validation_accuracy.as_ref())
            .field_if_any(
                "validation_balanced_accuracy",
                validation_balanced_accuracy.as_ref(),
            )
            .field("is_best", is_best)
            .field("wall_time", now)
            .field("seconds", seconds)
            .field("waiting_seconds", waiting),
        Event::Phase {
            phase,
            phases,
            frozen,
        } => Line::begin(buffer, "phase")
            .field("phase", phase)
            .field("phases", phases)
            .field("steps_before", place.steps_before)
            .field("frozen", frozen)
            .field("wall_time", now),
        Event::EndedEarly { position, epochs } => Line::begin(buffer, "ended_early")
            .position(position)
            .field("epochs_without_progress", epochs)
            .field("wall_time", now),
        Event::Kept { position, accuracy } => Line::begin(buffer, "kept")
            .position(position)
            .field("accuracy", accuracy)
            .field("wall_time", now),
        Event::BadFile(file) => Line::begin(buffer, "bad_file")
            .field("file", file)
            .field("wall_time", now),
        Event::Features {
            done,
            all,
            seconds_left,
        } => Line::begin(buffer, "features")
            .field("wall_time", now)
            .field("done", done)
            .field("all", all)
            .field("seconds_left", seconds_left),
        Event::Saved { seconds } => Line::begin(buffer, "saved")
            .field("wall_time", now)
            .field("seconds", seconds),
        Event::NotSaved { problem } => Line::begin(buffer, "not_saved")
            .field("wall_time", now)
            .field("problem", problem),
    }
    .end();
}

/// An object with a value of each layer.
struct ByLayer<'a, V>(&'a [LayerGradient], fn(&LayerGradient) -> V);

impl<V: Serialize> Serialize for ByLayer<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self(layers, value) = self;
        serializer.collect_map(layers.iter().map(|layer| (&layer.layer, value(layer))))
    }
}

/// A JSON object that is being written.
struct Line<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    fn begin(buffer: &'a mut Vec<u8>, event: &str) -> Self {
        for part in ["{\"event\":\"", event, "\""] {
            buffer.extend_from_slice(part.as_bytes());
        }
        Self { buffer }
    }

    /// Adds a field. Numbers are as short as possible without losing a bit; NaN and infinite ones become `null`.
    fn field(self, name: &str, value: impl Serialize) -> Self {
        for part in [",\"", name, "\":"] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        serde_json::to_writer(&mut *self.buffer, &value).expect("memory takes plain values");
        self
    }

    /// Adds the norms by the names of the layers; in the first step of a phase also the kinds of the layers.
    fn gradients(self, layers: &[LayerGradient], is_first: bool) -> Self {
        let line = match layers.is_empty() || !is_first {
            true => self,
            false => self.field("layer_kinds", ByLayer(layers, |layer| layer.kind)),
        };
        match layers {
            [] => line,
            layers => line.field("layer_gradient_norms", ByLayer(layers, |layer| layer.norm)),
        }
    }

    fn field_if_any(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds the phase, if there are several.
    fn place(self, place: &Place) -> Self {
        match place.phases {
            1 => self,
            phases => self
                .field("phase", place.phase)
                .field("phases", phases)
                .field("steps_before", place.steps_before),
        }
    }

    fn position(self, position: &Position) -> Self {
        let line = match position.phases {
            1 => self,
            phases => self.field("phase", position.phase).field("phases", phases),
        };
        line.field("epoch", position.epoch)
            .field("epochs", position.epochs)
            .field("step", position.step)
            .field("steps", position.steps)
    }

    fn end(self) {
        self.buffer.extend_from_slice(b"}\n");
    }
}

/// The part of a line of `events.jsonl` or of `metrics.csv` that does not depend on the clock. `None` if the whole line does: `saved`, `not_saved`,
/// `features` and `resumed`. In these parts, a run that was interrupted and resumed is equal to an undisturbed one.
pub fn without_times(line: &str) -> Option<&str> {
    let line = line.trim_end();
    if !line.starts_with('{') {
        return super::metrics::without_times(line);
    }
    // Quotation marks in a text are escaped, so this is no part of one.
    let end = line.find(",\"wall_time\":").unwrap_or(line.len());
    let depends = ["saved", "not_saved", "features", "resumed"];
    let name = line[..end].strip_prefix("{\"event\":\"");
    let name = name.and_then(|rest| rest.split('"').next());
    name.is_none_or(|name| !depends.contains(&name))
        .then_some(&line[..end])
}

/// The fields of a line that say how far the run has come.
#[derive(Deserialize)]
struct Counts {
    event: String,
    #[serde(default = "crate::train::position::one")]
    phase: usize,
    #[serde(default = "crate::train::position::one")]
    phases: usize,
    #[serde(default)]
    steps_before: usize,
    #[serde(default)]
    step_of_run: usize,
}

/// How far the run had come with the last line of a phase or a step. `None` if there is no such line.
pub(super) fn last_place(events: &mut Growing) -> Result<Option<Place>> {
    let mut length = 1 << 16;
    loop {
        let end = events.end(length)?;
        let place = end
            .rsplit(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Counts>(line).ok())
            .find(|counts| ["step", "phase"].contains(&counts.event.as_str()));
        if place.is_some() || (end.len() as u64) < length {
            return Ok(place.map(|counts| Place {
                phase: counts.phase,
                phases: counts.phases,
                steps_before: counts.steps_before,
                steps: counts.step_of_run,
            }));
        }
        length *= 4;
    }
}
