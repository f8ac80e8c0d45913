//! A place in a training run.
use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a training run: so many steps of an epoch are done. It is shown as `epoch 12 of 30` at an epoch's end, else as
/// `epoch 13 of 30, step 200 of 446`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Steps of the epoch that are done.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
}

impl Position {
    /// The place before the first step.
    pub fn start(epochs: usize, steps: usize) -> Self {
        Self {
            epoch: 1,
            epochs,
            step: 0,
            steps,
        }
    }

    /// Steps that are done since the beginning.
    pub fn steps_done(&self) -> usize {
        (self.epoch - 1) * self.steps + self.step
    }

    /// Whether the epoch is done.
    pub fn is_end_of_epoch(&self) -> bool {
        self.step == self.steps
    }

    /// Whether all epochs are done.
    pub fn is_end(&self) -> bool {
        self.epoch == self.epochs && self.is_end_of_epoch()
    }

    /// Whether there is such a place; the numbers may come from a damaged file.
    pub(crate) fn is_possible(&self) -> bool {
        (1..=self.epochs).contains(&self.epoch)
            && self.step <= self.steps
            && self.epochs.checked_mul(self.steps).is_some()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        for impossible in [at(0, 1), at(31, 1), at(1, 447)] {
            assert!(!impossible.is_possible(), "{impossible:?}");
        }
        let endless = Position::start(usize::MAX, 3);
        assert!(at(30, 446).is_possible() && !endless.is_possible());
    }
}
