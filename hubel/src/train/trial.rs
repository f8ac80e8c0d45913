//! Short trainings that are only looked at, see [`doctor`](crate::doctor).
use super::{Phase, Trainer};
use crate::{Dataset, Model, Result};

impl Trainer {
    /// A trainer of one phase on other images, with the processor, the weights at the start of the current phase, and the loss of this one.
    ///
    /// # Errors
    /// As for [`Trainer::new`].
    pub(crate) fn trial(&self, phase: Phase, train: &Dataset) -> Result<Self> {
        let (cpu, start) = (self.cpu.clone(), self.start.clone());
        let mut trial = Self::of_phases(cpu, start, vec![phase], train, None)?;
        trial.room = self.room;
        trial.own_loss = self.own_loss.clone();
        if let Some(phase) = &mut trial.phase {
            phase.set_loss(self.own_loss.clone());
        }
        Ok(trial)
    }

    /// The model at the start of the current phase.
    pub(crate) fn start(&self) -> &Model {
        &self.start
    }

    /// The training images.
    pub(crate) fn images(&self) -> &Dataset {
        &self.train
    }

    /// The validation images.
    pub(crate) fn validation_images(&self) -> Option<&Dataset> {
        self.validation.as_ref()
    }

    /// Whether the loss is one of the caller's own.
    pub(crate) fn has_own_loss(&self) -> bool {
        self.own_loss.is_some()
    }
}
