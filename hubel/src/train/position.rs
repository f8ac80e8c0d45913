//! A position in a training run.
use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in a training run: how many steps of an epoch are done. It is displayed as `epoch 12 of 30` at an epoch's end, otherwise as
/// `epoch 13 of 30, step 200 of 446`; in a run with several phases as `phase 1 of 2, epoch 12 of 30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Completed steps of the epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// The phase of the run, counted from 1; epochs are those of the phase.
    #[serde(default = "one")]
    pub phase: usize,
    /// Number of phases.
    #[serde(default = "one")]
    pub phases: usize,
}

/// A run with a single phase, the default for older files without phases.
pub(super) fn one() -> usize {
    1
}

impl Position {
    /// The position before the first step of a run with one phase.
    pub fn start(epochs: usize, steps: usize) -> Self {
        Self {
            epoch: 1,
            epochs,
            step: 0,
            steps,
            phase: 1,
            phases: 1,
        }
    }

    /// Whether it is before the first step of the run.
    pub fn is_start(&self) -> bool {
        self.phase == 1 && self.steps_done() == 0
    }

    /// Completed steps since the start of the phase.
    pub fn steps_done(&self) -> usize {
        (self.epoch - 1) * self.steps + self.step
    }

    /// Whether the epoch is done.
    pub fn is_end_of_epoch(&self) -> bool {
        self.step == self.steps
    }

    /// Whether all epochs of the phase are done.
    pub fn is_end_of_phase(&self) -> bool {
        self.epoch == self.epochs && self.is_end_of_epoch()
    }

    /// Whether the last phase is done.
    pub fn is_end(&self) -> bool {
        self.phase == self.phases && self.is_end_of_phase()
    }

    /// Whether the position is possible; the values may come from a damaged file.
    pub(crate) fn is_possible(&self) -> bool {
        (1..=self.phases).contains(&self.phase)
            && (1..=self.epochs).contains(&self.epoch)
            && self.step <= self.steps
            && self.epochs.checked_mul(self.steps).is_some()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.phases > 1 {
            write!(f, "phase {} of {}, ", self.phase, self.phases)?;
        }
        write!(f, "epoch {} of {}", self.epoch, self.epochs)?;
        match self.is_end_of_epoch() {
            true => Ok(()),
            false => write!(f, ", step {} of {}", self.step, self.steps),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_named() {
        let at = |epoch, step| Position {
            epoch,
            step,
            ..Position::start(30, 446)
        };
        assert_eq!(at(1, 0), Position::start(30, 446));
        assert_eq!(at(1, 0).steps_done(), 0);
        assert_eq!(at(13, 200).steps_done(), 12 * 446 + 200);
        assert_eq!(at(12, 446).to_string(), "epoch 12 of 30");
        assert_eq!(at(13, 200).to_string(), "epoch 13 of 30, step 200 of 446");
        assert!(at(30, 446).is_end() && !at(29, 446).is_end() && !at(30, 445).is_end());
        let second = Position {
            phase: 2,
            phases: 2,
            ..at(1, 0)
        };
        assert!(!second.is_start() && !Position { phase: 1, ..second }.is_end_of_phase());
        assert_eq!(
            second.to_string(),
            "phase 2 of 2, epoch 1 of 30, step 0 of 446"
        );
        let third = Position { phase: 3, ..second };
        for impossible in [at(0, 1), at(31, 1), at(1, 447), third] {
            assert!(!impossible.is_possible(), "{impossible:?}");
        }
        let endless = Position::start(usize::MAX, 3);
        assert!(at(30, 446).is_possible() && !endless.is_possible());
    }
}
