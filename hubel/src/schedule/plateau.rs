//! The progress that [`Schedule::Plateau`] watches.
use serde::{Deserialize, Serialize};

use super::Schedule;

/// The progress of training as [`Schedule::Plateau`] sees it. To resume a training exactly, keep it with the state of the optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The share of the full rate that is left.
    factor: f32,
    /// The smallest loss so far.
    best: Option<f32>,
    /// Epochs since then, or since the rate fell.
    without_progress: usize,
}

impl Default for PlateauState {
    /// Before the first epoch.
    fn default() -> Self {
        Self {
            factor: 1.0,
            best: None,
            without_progress: 0,
        }
    }
}

impl PlateauState {
    /// The share of the full learning rate that is left; 1 for schedules other than [`Schedule::Plateau`].
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// Adds an epoch by its loss on the validation images. Returns whether the learning rate falls now. Schedules other than
    /// [`Schedule::Plateau`] change nothing.
    pub fn add_epoch(&mut self, schedule: &Schedule, loss: f32) -> bool {
        let Schedule::Plateau {
            factor,
            patience,
            threshold,
        } = schedule
        else {
            return false;
        };
        // A loss of NaN is no progress.
        let is_progress = match self.best {
            Some(best) => loss < best * (1.0 - threshold),
            None => !loss.is_nan(),
        };
        if is_progress {
            (self.best, self.without_progress) = (Some(loss), 0);
            return false;
        }
        self.without_progress += 1;
        let falls = self.without_progress > *patience;
        if falls {
            self.factor *= factor;
            self.without_progress = 0;
        }
        falls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_after_the_patience_and_survives_a_file() {
        let schedule = Schedule::Plateau {
            factor: 0.5,
            patience: 1,
            threshold: 0.1,
        };
        let mut state = PlateauState::default();
        // 0.95 is not a tenth less than 1, so it is no progress; after NaN, the rate falls.
        let losses = [1.0, 0.95, f32::NAN, 0.8, 0.8, 0.8, 0.8, 0.8];
        let mut falls = Vec::new();
        for loss in losses {
            falls.push(state.add_epoch(&schedule, loss));
            let text = serde_json::to_string(&state).expect("it can be written");
            state = serde_json::from_str(&text).expect(&text);
        }
        assert_eq!(falls, [false, false, true, false, false, true, false, true]);
        assert_eq!(state.factor(), 0.125);
    }

    #[test]
    fn other_schedules_do_not_fall() {
        let mut state = PlateauState::default();
        for _ in 0..100 {
            assert!(!state.add_epoch(&Schedule::Cosine, 1.0));
        }
        assert_eq!(state, PlateauState::default());
    }
}
