//! Saves the model during training, so that little is lost however training ends.
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where and how often the model is saved during training: after the first epoch or after one minute, whichever comes first, then
/// once a minute.
///
/// The file is a model that stores its position ([`Model::stopped_at`](crate::Model::stopped_at)). It is replaced atomically, so that it is
/// complete at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    file: PathBuf,
    interval: Duration,
}

impl Checkpoints {
    /// Saves in `file`.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            interval: Duration::from_secs(60),
        }
    }

    /// The same with another interval. Zero saves after each step.
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Decides when the next save is due. Times count from the start of training.
pub(super) struct Rhythm {
    interval: Duration,
    last: Option<Duration>,
}

impl Rhythm {
    pub(super) fn new(checkpoints: &Checkpoints) -> Self {
        Self {
            interval: checkpoints.interval,
            last: None,
        }
    }

    /// Whether to save after a step, perhaps the last one of an epoch, that ended at `now`.
    pub(super) fn is_due(&self, now: Duration, end_of_epoch: bool) -> bool {
        let waited = now.saturating_sub(self.last.unwrap_or_default());
        waited >= self.interval || (end_of_epoch && self.last.is_none())
    }

    /// Records that a save ended or failed.
    pub(super) fn tried(&mut self, now: Duration) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which a run saves, for steps of these durations and epochs of this many steps.
    fn saves(step_seconds: u64, steps: usize, epochs: usize) -> Vec<u64> {
        let mut rhythm = Rhythm::new(&Checkpoints::new("last.safetensors"));
        let mut seconds = Vec::new();
        for step in 1..=steps * epochs {
            let now = step as u64 * step_seconds;
            if rhythm.is_due(Duration::from_secs(now), step.is_multiple_of(steps)) {
                rhythm.tried(Duration::from_secs(now));
                seconds.push(now);
            }
        }
        seconds
    }

    #[test]
    fn the_first_epoch_is_saved_and_then_each_minute() {
        assert_eq!(saves(1, 10, 3), [10]);
        assert_eq!(saves(1, 10, 20), [10, 70, 130, 190]);
        assert_eq!(saves(1, 150, 2), [60, 120, 180, 240, 300]);
        // A step of two hours is saved after each.
        assert_eq!(saves(7200, 3, 1), [7200, 14_400, 21_600]);
    }

    #[test]
    fn without_an_interval_each_step_is_saved_and_with_an_endless_one_the_first_epoch_alone() {
        let due = |interval, last: Option<u64>, end_of_epoch| {
            let checkpoints = Checkpoints::new("last.safetensors").with_interval(interval);
            let mut rhythm = Rhythm::new(&checkpoints);
            if let Some(last) = last {
                rhythm.tried(Duration::from_secs(last));
            }
            rhythm.is_due(Duration::from_secs(7), end_of_epoch)
        };
        assert!(due(Duration::ZERO, None, false) && due(Duration::ZERO, Some(7), false));
        assert!(due(Duration::MAX, None, true));
        assert!(!due(Duration::MAX, None, false) && !due(Duration::MAX, Some(1), true));
    }
}
