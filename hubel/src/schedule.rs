//! Learning rate schedules.
mod plateau;
mod warm_up;

use std::f32::consts::PI;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::named::{self, Named};
use crate::{Error, Result};

pub use plateau::PlateauState;
pub use warm_up::WarmUp;

/// A learning rate schedule. A [`WarmUp`] can precede each of them.
///
/// In text (serde, [`FromStr`]), it is its name: `constant`, `step`, `cosine`, `onecycle`, `linear` or `plateau`.
///
/// ```
/// use hubel::{Schedule, TrainSettings};
///
/// // A tenth of the rate after half of the steps.
/// let schedule = Schedule::Step { at: vec![0.5], factor: 0.1 };
/// assert_eq!(schedule.learning_rate(0.2, 49, 100), 0.2);
/// assert!((schedule.learning_rate(0.2, 50, 100) - 0.02).abs() < 1e-8);
/// let settings = TrainSettings { schedule, ..TrainSettings::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    tag = "name",
    rename_all = "lowercase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Schedule {
    /// The full rate in every step.
    Constant,
    /// The full rate, multiplied by a factor each time that one of these shares of the steps is over.
    Step {
        /// The shares of the steps, each from 0 to 1 and rounded to a whole step.
        at: Vec<f32>,
        /// What the rate is multiplied by.
        factor: f32,
    },
    /// Falls from the full rate to 0 along half a cosine (Loshchilov & Hutter 2017, without restarts).
    Cosine,
    /// Rises from 1/25 of the full rate, then falls to nearly 0, both along half a cosine (Smith & Topin 2019).
    ///
    /// It is PyTorch's `OneCycleLR`, except that PyTorch reaches the peak and the end one step earlier.
    OneCycle {
        /// The share of the steps in which the rate rises.
        rise: f32,
        /// The rate at the end, as a share of the full rate.
        end: f32,
    },
    /// Rises along a straight line, then falls along another one (slanted triangular: Howard & Ruder 2018).
    Linear {
        /// The rate of the first step, as a share of the full rate. Without a rise it is not used.
        start: f32,
        /// The share of the steps in which the rate rises.
        rise: f32,
        /// The rate at the end, as a share of the full rate.
        end: f32,
    },
    /// The full rate, multiplied by a factor each time that the loss on the validation images has stopped falling: `ReduceLROnPlateau` of
    /// PyTorch. Needs validation images. [`PlateauState`] counts the epochs.
    Plateau {
        /// What the rate is multiplied by.
        factor: f32,
        /// Epochs without progress that are waited for. The rate falls after one more.
        patience: usize,
        /// Progress is a loss that is smaller by more than this share.
        threshold: f32,
    },
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

impl Default for Schedule {
    /// [`Schedule::one_cycle`]
    fn default() -> Self {
        Self::one_cycle()
    }
}

impl Schedule {
    /// A schedule from a function of (step, number of steps) that returns a share of the full learning rate. Steps count from 0. In a run with
    /// several phases, they are the steps of a phase.
    pub fn of(part_of_rate: impl Fn(u64, u64) -> f32 + Send + Sync + 'static) -> Self {
        Self::Own(OwnSchedule(Arc::new(part_of_rate)))
    }

    /// A tenth of the rate after half of the steps, and a hundredth after three quarters, as for CIFAR-10 in He et al. 2016.
    pub fn step() -> Self {
        Self::Step {
            at: vec![0.5, 0.75],
            factor: 0.1,
        }
    }

    /// One cycle that rises over the first 30 % of the steps and ends at 1/250,000 of the full rate, as in PyTorch.
    pub fn one_cycle() -> Self {
        Self::OneCycle {
            rise: 0.3,
            end: 1.0 / 25e4,
        }
    }

    /// Falls from the full rate to 0 along a straight line.
    pub fn linear() -> Self {
        Self::Linear {
            start: 0.0,
            rise: 0.0,
            end: 0.0,
        }
    }

    /// A tenth of the rate after six epochs without progress. Progress is a loss that is smaller by 0.01 %. (PyTorch waits for eleven epochs.)
    pub fn plateau() -> Self {
        Self::Plateau {
            factor: 0.1,
            patience: 5,
            threshold: 1e-4,
        }
    }

    /// The learning rate of `step` (from 0) of `steps`, with `peak` the full rate. The factor of [`Schedule::Plateau`] is
    /// [`PlateauState::factor`], and that of a warm-up [`WarmUp::factor`].
    pub fn learning_rate(&self, peak: f32, step: u64, steps: u64) -> f32 {
        let progress = step as f32 / steps.max(1) as f32;
        match self {
            Self::Constant | Self::Plateau { .. } => peak,
            Self::Step { at, factor } => {
                let is_over =
                    |share: &&f32| step as f64 >= (f64::from(**share) * steps as f64).round();
                let times = at.iter().filter(is_over).count();
                peak * factor.powi(times as i32)
            }
            Self::Cosine => between(peak, 0.0, progress),
            Self::OneCycle { rise, .. } if progress < *rise => {
                between(peak / 25.0, peak, progress / rise)
            }
            Self::OneCycle { rise, end } => {
                between(peak, peak * end, (progress - rise) / (1.0 - rise))
            }
            Self::Linear { start, rise, .. } if progress < *rise => {
                peak * on_line(*start, 1.0, progress / rise)
            }
            Self::Linear { rise, end, .. } => {
                peak * on_line(1.0, *end, (progress - rise) / (1.0 - rise))
            }
            Self::Own(part) => peak * part.0(step, steps),
        }
    }

    /// What is wrong with a setting, and what to give.
    pub(crate) fn problem(&self) -> Option<String> {
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        match self {
            Self::Step { at, factor } => {
                if !at.iter().all(|share| is_share(*share)) {
                    Some(format!(
                        "the rate cannot fall at {at:?} of the steps; give shares from 0 to 1, such as [0.5, 0.75]"
                    ))
                } else {
                    factor_problem(*factor)
                }
            }
            Self::OneCycle { rise, end } => shape_problem(*rise, 0.0, *end),
            Self::Linear { start, rise, end } => shape_problem(*rise, *start, *end),
            Self::Plateau {
                factor, threshold, ..
            } => factor_problem(*factor).or_else(|| {
                (!(0.0..1.0).contains(threshold)).then(|| {
                    format!("a threshold of {threshold} is no share of the loss; give a number from 0 to less than 1, such as 0.0001")
                })
            }),
            Self::Constant | Self::Cosine | Self::Own(_) => None,
        }
    }
}

/// The problem of a factor by which the rate falls.
fn factor_problem(factor: f32) -> Option<String> {
    let fits = factor > 0.0 && factor < 1.0;
    (!fits).then(|| {
        format!("a factor of {factor} does not lower the learning rate; give a number between 0 and 1, such as 0.1")
    })
}

/// The problem of a schedule that rises and falls.
fn shape_problem(rise: f32, start: f32, end: f32) -> Option<String> {
    if !(0.0..1.0).contains(&rise) {
        return Some(format!(
            "the rate cannot rise for {rise} of the steps; give a share from 0 to less than 1, such as 0.3"
        ));
    }
    let outside = [start, end]
        .into_iter()
        .find(|share| !(0.0..=1.0).contains(share));
    outside.map(|share| {
        format!("a rate at the start or the end of {share} is no share of the full one; give a number from 0 to 1")
    })
}

/// From `start` to `end` along half a cosine.
fn between(start: f32, end: f32, progress: f32) -> f32 {
    end + (start - end) * 0.5 * (1.0 + (PI * progress.clamp(0.0, 1.0)).cos())
}

/// From `start` to `end` along a straight line.
fn on_line(start: f32, end: f32, progress: f32) -> f32 {
    start + (end - start) * progress.clamp(0.0, 1.0)
}

impl Named for Schedule {
    const KIND: &'static str = "schedule";
    const NAMES: &'static [&'static str] = &[
        "constant", "step", "cosine", "onecycle", "linear", "plateau",
    ];

    fn usual(name: &str) -> Option<Self> {
        Some(match name {
            "constant" => Self::Constant,
            "step" => Self::step(),
            "cosine" => Self::Cosine,
            "onecycle" => Self::one_cycle(),
            "linear" => Self::linear(),
            "plateau" => Self::plateau(),
            _ => return None,
        })
    }

    fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Constant => "constant",
            Self::Step { .. } => "step",
            Self::Cosine => "cosine",
            Self::OneCycle { .. } => "onecycle",
            Self::Linear { .. } => "linear",
            Self::Plateau { .. } => "plateau",
            Self::Own(_) => return None,
        })
    }

    fn of_table(table: Value) -> serde_json::Result<Self> {
        Self::deserialize(table)
    }

    fn write_table<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

impl fmt::Display for Schedule {
    /// The name; `own` for a function.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name().unwrap_or("own"))
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        named::of_name(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usual() -> impl Iterator<Item = Schedule> {
        let all = Schedule::NAMES.iter().map(|name| Schedule::usual(name));
        all.map(|schedule| schedule.expect("a name has a schedule"))
    }

    #[test]
    fn schedules_begin_peak_and_end_where_they_should() {
        assert_eq!(Schedule::Constant.learning_rate(0.1, 77, 100), 0.1);
        assert_eq!(Schedule::Cosine.learning_rate(0.1, 0, 100), 0.1);
        assert!((Schedule::Cosine.learning_rate(0.1, 50, 100) - 0.05).abs() < 1e-6);
        let one_cycle = Schedule::one_cycle();
        assert!((one_cycle.learning_rate(0.1, 0, 100) - 0.004).abs() < 1e-6);
        assert!((one_cycle.learning_rate(0.1, 30, 100) - 0.1).abs() < 1e-6);
        assert!(one_cycle.learning_rate(0.1, 99, 100) < 0.001);
        let other = Schedule::OneCycle {
            rise: 0.5,
            end: 0.25,
        };
        assert!((other.learning_rate(0.1, 50, 100) - 0.1).abs() < 1e-6);
        assert!((other.learning_rate(0.1, 100, 100) - 0.025).abs() < 1e-6);
        assert_eq!(Schedule::linear().learning_rate(0.1, 0, 100), 0.1);
        assert!((Schedule::linear().learning_rate(0.1, 99, 100) - 0.001).abs() < 1e-6);
        let triangle = Schedule::Linear {
            start: 0.2,
            rise: 0.25,
            end: 0.07,
        };
        let rates = [0, 25, 100].map(|step| triangle.learning_rate(1.0, step, 100));
        assert!((rates[0] - 0.2).abs() < 1e-6 && (rates[1] - 1.0).abs() < 1e-6);
        assert!((rates[2] - 0.07).abs() < 1e-6);
    }

    #[test]
    fn a_schedule_is_its_name_in_text_or_a_table() -> Result<()> {
        for schedule in usual() {
            let text = serde_json::to_string(&schedule).expect("it can be written");
            let name = schedule.name().expect("it has a name");
            assert_eq!(text, format!("\"{name}\""));
            assert_eq!(name.parse::<Schedule>()?, schedule);
            let again: Schedule = serde_json::from_str(&text).expect(&text);
            assert_eq!(again, schedule);
        }
        let other: Schedule =
            serde_json::from_str(r#"{"name": "step", "at": [0.25]}"#).expect("it is correct");
        let expected = Schedule::Step {
            at: vec![0.25],
            factor: 0.1,
        };
        assert_eq!(other, expected);
        let text = serde_json::to_string(&expected).expect("it can be written");
        assert_eq!(
            serde_json::from_str::<Schedule>(&text).expect(&text),
            expected
        );
        assert!(serde_json::to_string(&Schedule::of(|_, _| 1.0)).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn rates_are_positive_up_to_the_full_one_whatever_the_step(step in 0..3000_u64, steps in 0..2000_u64, rise in 0.0..0.99_f32, end in 0.0..1.0_f32) {
            let others = [Schedule::OneCycle { rise, end }, Schedule::Linear { start: end, rise, end }];
            for schedule in usual().chain(others) {
                prop_assert_eq!(schedule.problem(), None);
                let rate = schedule.learning_rate(0.1, step, steps);
                prop_assert!((0.0..=0.100_001).contains(&rate), "{:?}: {}", schedule, rate);
            }
        }
    }
}
