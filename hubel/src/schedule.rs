//! Learning rate schedules.
use std::f32::consts::PI;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A learning rate schedule.
///
/// ```
/// use hubel::{Schedule, TrainSettings};
///
/// // A tenth of the rate after half of the steps.
/// let schedule = Schedule::of(|step, steps| if 2 * step < steps { 1.0 } else { 0.1 });
/// let settings = TrainSettings { schedule, ..TrainSettings::default() };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Schedule {
    /// The full rate in every step.
    Constant,
    /// Falls from the full rate to 0 along half a cosine (Loshchilov & Hutter 2017, without restarts).
    Cosine,
    /// Rises from 1/25 of the full rate over the first 30 % of the steps, then falls to nearly 0, both along half a cosine
    /// (Smith & Topin 2019; with the defaults of PyTorch's `OneCycleLR`).
    #[default]
    OneCycle,
    /// Your own function, see [`Schedule::of`]. It has no name in text.
    #[serde(skip)]
    Own(OwnSchedule),
}

/// A function from (step, number of steps) to a share of the full learning rate. Only clones of the same function are equal.
#[derive(Clone)]
pub struct OwnSchedule(Arc<dyn Fn(u64, u64) -> f32 + Send + Sync>);

impl fmt::Debug for OwnSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}

impl PartialEq for OwnSchedule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Schedule {
    /// A schedule from a function of (step, number of steps) that returns a share of the full learning rate. Steps count from 0. In a run with
    /// several phases, they are the steps of a phase.
    pub fn of(part_of_rate: impl Fn(u64, u64) -> f32 + Send + Sync + 'static) -> Self {
        Self::Own(OwnSchedule(Arc::new(part_of_rate)))
    }

    /// The learning rate of `step` (from 0) of `steps`, with `peak` the full rate.
    pub fn learning_rate(&self, peak: f32, step: u64, steps: u64) -> f32 {
        let progress = step as f32 / steps.max(1) as f32;
        match self {
            Self::Constant => peak,
            Self::Cosine => between(peak, 0.0, progress),
            Self::OneCycle if progress < RISE => between(peak / 25.0, peak, progress / RISE),
            Self::OneCycle => between(peak, peak / 25e4, (progress - RISE) / (1.0 - RISE)),
            Self::Own(part) => peak * part.0(step, steps),
        }
    }
}

const RISE: f32 = 0.3;

/// From `start` to `end` along half a cosine.
fn between(start: f32, end: f32, progress: f32) -> f32 {
    end + (start - end) * 0.5 * (1.0 + (PI * progress.clamp(0.0, 1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_begin_peak_and_end_where_they_should() {
        assert_eq!(Schedule::Constant.learning_rate(0.1, 77, 100), 0.1);
        assert_eq!(Schedule::Cosine.learning_rate(0.1, 0, 100), 0.1);
        assert!((Schedule::Cosine.learning_rate(0.1, 50, 100) - 0.05).abs() < 1e-6);
        assert!((Schedule::OneCycle.learning_rate(0.1, 0, 100) - 0.004).abs() < 1e-6);
        assert!((Schedule::OneCycle.learning_rate(0.1, 30, 100) - 0.1).abs() < 1e-6);
        assert!(Schedule::OneCycle.learning_rate(0.1, 99, 100) < 0.001);
    }
}
