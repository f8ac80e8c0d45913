//! The state of a training, and going on from it.
use std::fmt;
use std::ops::ControlFlow;

use super::best::Best;
use super::one_phase::Continuation;
use super::selection::Selection;
use super::{Phase, TrainState, Trainer};
use crate::{Error, Model, Result};

/// A state from within a phase that has not begun in this process: the features of its frozen layers are still to be computed, or nothing of it is left.
pub(super) struct Awaited {
    pub(super) state: TrainState,
    /// Whether nothing of the phase is left.
    pub(super) is_over: bool,
}

impl Trainer {
    /// Everything that is needed to go on from here: in another process, with another number of threads. The weights are tested before, as in [`Trainer::run`].
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight, or an output for the images of the last step, is NaN or infinite.
    pub fn state(&mut self) -> Result<TrainState> {
        if let Some(phase) = &mut self.phase {
            return phase.state();
        }
        if let Some(awaited) = &self.awaited {
            return Ok(awaited.state.clone());
        }
        let (model, best) = (self.model(), self.best.as_ref());
        Ok(TrainState::before_a_phase(
            model,
            best,
            self.is_told,
            &self.cpu,
        ))
    }

    /// Goes on from a state. The trainer must have been made as the one that made the state: with the same data, settings and phases; only the number of threads
    /// and the length of the last phase may differ. With the same length and instruction set, the bits are those of a training without interruption.
    ///
    /// # Errors
    /// [`Error::Settings`] if the state is that of another training. Then, the trainer is as before, unless it has begun a phase from the state.
    pub fn restore(&mut self, state: TrainState) -> Result<()> {
        let awaited = self.check(state).map_err(refused)?;
        let (state, position) = (&awaited.state, awaited.state.position());
        self.current = position.phase - 1;
        self.start = Model {
            division: self.start.division.clone(),
            ..state.model().clone()
        }
        .with_precise(self.phases[self.current].settings.precise);
        // What was told before is not told again.
        self.is_told = state.counters().is_told || self.is_told && position.phase == 1;
        (self.phase, self.best) = (None, None);
        self.awaited = match state.has_begun() {
            true => Some(awaited),
            false => {
                self.best = state.best().map_err(refused)?;
                None
            }
        };
        if self.begins_at_once()? {
            let _ = self.begin(&mut |_| ControlFlow::Continue(()))?;
        }
        Ok(())
    }

    /// Checks all of a state that can be checked before its phase begins.
    ///
    /// # Errors
    /// The problem.
    fn check(&self, state: TrainState) -> Result<Awaited, String> {
        let (position, model) = (state.position(), state.model());
        differ("the network", &self.start.network, &model.network)?;
        let [mine, other] = [&self.start, model].map(|model| model.classes.len());
        differ("the number of classes", &mine, &other)?;
        let phases = self.phases.len();
        differ("the number of phases", &phases, &position.phases)?;
        state.best()?;
        let mut is_over = false;
        if state.has_begun() {
            let phase = &self.phases[position.phase - 1];
            let versions = state.counters().versions;
            if versions > phase.versions {
                return Err(format!(
                    "it has features of {versions} versions of each example, and now at most {} are wanted",
                    phase.versions
                ));
            }
            let settings = phase.settings_with(versions);
            is_over = Continuation::new(&settings, &state)?.was_over(&state);
        }
        Ok(Awaited { state, is_over })
    }

    /// What the current phase gives, if this state of it is at its end: the model, and the best weights so far.
    pub(super) fn outcome_of(&self, state: &TrainState) -> Result<(Model, Option<Best>)> {
        let settings = &self.phases[self.current].settings;
        let images = state.counters().held_out;
        let selection = Selection::new(settings, images, state.best().map_err(refused)?);
        let model = selection.choose(self.start.clone(), state.position());
        Ok((model, selection.into_best()))
    }

    /// The size of a model's weights.
    pub(crate) fn model_bytes(&self) -> usize {
        size_of_val(self.start.parameters.values())
    }

    /// The most bytes of tensors in [`Trainer::state`], now or later.
    pub(crate) fn state_bytes(&self) -> usize {
        let of_phase = |phase: &Phase| {
            let settings = &phase.settings;
            let trained = usize::from(settings.average.is_some());
            let best = usize::from(self.validation.is_some());
            1 + settings.optimizer.buffers().len() + trained + best
        };
        let parts = self.phases.iter().map(of_phase).max();
        parts.expect("there is a phase") * self.model_bytes()
    }
}

pub(super) fn refused(problem: String) -> Error {
    Error::Settings {
        problem: format!("this training cannot go on from that state: {problem}"),
    }
}

/// Refuses a state whose value differs from that of this training.
pub(super) fn differ<T: PartialEq + fmt::Display>(
    what: &str,
    mine: &T,
    stored: &T,
) -> Result<(), String> {
    match mine == stored {
        true => Ok(()),
        false => Err(format!("{what} was {stored}, and is now {mine}")),
    }
}
