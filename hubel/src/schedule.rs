//! How the learning rate moves over a training run.
use std::f32::consts::PI;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How the learning rate moves over a training run.
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
    /// The same throughout.
    Constant,
    /// From the full rate down to 0 along half a cosine (Loshchilov & Hutter 2017, without restarts).
    Cosine,
    /// Up from 1/25 of the full rate over the first 30 % of the steps, then down to nearly 0, both along half a cosine
    /// (Smith & Topin 2019; the numbers are those of PyTorch's `OneCycleLR`).
    #[default]
    OneCycle,
    /// A function of one's own, see [`Schedule::of`]. No text stands for it.
    #[serde(skip)]
    Own(OwnSchedule),
}

/// The part of the full learning rate for a step (from 0) of so many. Copies of one are equal, others are not.
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
    /// The rate that `part_of_rate` gives for a step, counted from 0, of so many steps of the run: as a part of the full rate. In a run of several
    /// phases steps are those of a phase.
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
