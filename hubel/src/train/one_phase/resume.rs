//! The state of a phase, and going on from it.
use std::collections::BTreeMap;

use super::OnePhase;
use crate::train::TrainSettings;
use crate::train::average::Average;
use crate::train::best::Best;
use crate::train::length::Length;
use crate::train::progress::Progress;
use crate::train::resume::differ;
use crate::train::state::{BEST, Counters, OPTIMIZER, TRAINED, TrainState};
use crate::{Model, Result};

/// How a phase goes on from a state.
pub(in crate::train) struct Continuation {
    length: Length,
    /// Whether it is longer than it was to be before.
    is_extended: bool,
    /// Whether nothing of it is left.
    is_over: bool,
}

impl Continuation {
    /// For a phase with these settings.
    ///
    /// # Errors
    /// The problem, if the state belongs to another training.
    pub(in crate::train) fn new(
        settings: &TrainSettings,
        state: &TrainState,
    ) -> Result<Self, String> {
        let (position, counters) = (state.position(), state.counters());
        match (settings.average, counters.average) {
            (Some(_), None) => return Err("its weights were not averaged".into()),
            (None, Some(_)) => return Err("its weights were averaged".into()),
            _ => {}
        }
        (settings.optimizer).check_buffers(&state.optimizer_buffers())?;
        let mut length = Length::new(settings, position.steps);
        let is_extended = length.restore(&counters.length, position)?;
        let has_ended_early = counters.has_ended_early && !is_extended;
        let is_over = !counters.awaits_validation
            && (position.steps_done() >= length.end() || has_ended_early);
        Ok(Self {
            length,
            is_extended,
            is_over,
        })
    }

    /// Whether nothing of the phase is left, as when the state was made.
    pub(in crate::train) fn was_over(&self, state: &TrainState) -> bool {
        self.is_over && self.length.of(state.position()) == state.position()
    }
}

impl OnePhase {
    /// Everything that is needed to go on from here.
    ///
    /// # Errors
    /// [`Error::Diverged`](crate::Error::Diverged) if a weight or an output is NaN or infinite.
    pub(in crate::train) fn state(&mut self) -> Result<TrainState> {
        self.keep_copy()?;
        let (steps, buffers) = self.optimizer.state();
        let mut tensors: BTreeMap<String, Vec<f32>> = buffers
            .into_iter()
            .map(|(name, values)| (format!("{OPTIMIZER}{name}"), values.to_vec()))
            .collect();
        if let Some(average) = &self.average {
            tensors.insert(TRAINED.into(), average.trained.values().to_vec());
        }
        let best = self.selection.best();
        if let Some(best) = best {
            tensors.insert(BEST.into(), best.parameters.values().to_vec());
        }
        let counters = Counters {
            is_told: true,
            instruction_set: self.cpu.instruction_set().to_string(),
            versions: self.part.versions,
            held_out: self.selection.images(),
            optimizer: Some(steps),
            average: self.average.as_ref().map(Average::count),
            progress: self.progress.counts(),
            length: self.length.stored(),
            awaits_validation: self.awaits_validation,
            best: best.map(Best::result),
            plateau: self.plateau,
            without_progress: self.without_progress,
            has_ended_early: self.has_ended_early,
            is_over: self.is_over && self.position.phase == self.position.phases,
        };
        let model = Model {
            stopped_at: Some(self.position),
            choice: None,
            ..self.model.clone()
        };
        Ok(TrainState::new(model, counters, tensors))
    }

    /// Goes on from a state. The length may differ.
    ///
    /// # Errors
    /// The problem, if the state belongs to another training; then the phase must not be used.
    pub(in crate::train) fn restore(&mut self, state: &TrainState) -> Result<(), String> {
        let (position, counters) = (state.position(), state.counters());
        differ(
            "the number of steps per epoch",
            &self.position.steps,
            &position.steps,
        )?;
        let continuation = Continuation::new(&self.settings, state)?;
        self.model.parameters = state.model().parameters.clone();
        if let (Some(average), Some(count)) = (&mut self.average, counters.average) {
            let length = average.trained.values().len();
            average.restore(state.tensor(TRAINED, length)?, count);
        }
        if let Some(steps) = counters.optimizer {
            self.optimizer.restore(steps, &state.optimizer_buffers())?;
        }
        self.selection.restore(state.best()?);
        self.progress = Progress::restored(self.feed.images(), counters.progress.clone());
        self.length = continuation.length;
        self.position = self.length.of(position);
        self.awaits_validation = counters.awaits_validation;
        self.plateau = counters.plateau;
        (self.without_progress, self.has_ended_early) = match continuation.is_extended {
            // More epochs are wanted, so patience begins again.
            true => (0, false),
            false => (counters.without_progress, counters.has_ended_early),
        };
        self.is_over = continuation.is_over;
        self.loader = None;
        self.good.store(&self.model.parameters, self.position);
        Ok(())
    }
}
