//! Warm-up.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, one_line};

/// The steps at the beginning in which the learning rate rises along a straight line (Goyal et al. 2017). Step `s`, counted from 0, of `n`
/// has `(s + 1) / n` of the rate that the schedule gives it. The schedule is not moved: in PyTorch, it is chained with
/// `LinearLR(start_factor=1 / n, total_iters=n - 1)`.
///
/// As text ([`FromStr`]), it is a number of steps or a share of all steps: `500`, `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WarmUp {
    /// This number of steps.
    Steps(u64),
    /// This share of all steps, rounded to a whole step.
    Share(f32),
}

impl WarmUp {
    /// What the learning rate of `step` (from 0) of `steps` is multiplied by.
    pub fn factor(&self, step: u64, steps: u64) -> f32 {
        let length = self.steps_of(steps);
        match step < length {
            true => (step + 1) as f32 / length as f32,
            false => 1.0,
        }
    }

    /// Its number of steps, if there are `steps` in all.
    fn steps_of(&self, steps: u64) -> u64 {
        match self {
            Self::Steps(length) => *length,
            Self::Share(share) => (f64::from(*share) * steps as f64).round() as u64,
        }
    }

    /// What is wrong with it, and what to give. The number of steps in all is not always known.
    pub(crate) fn problem(&self, steps: Option<u64>) -> Option<String> {
        match (self, steps) {
            (Self::Share(share), _) if !(0.0..1.0).contains(share) => Some(format!(
                "a warm-up of {share} is no share of the steps; give a number from 0 to less than 1, such as 0.05"
            )),
            (Self::Steps(length), Some(steps)) if *length >= steps => Some(format!(
                "a warm-up of {length} steps never reaches the full learning rate, because training has {steps} steps; give fewer"
            )),
            _ => None,
        }
    }
}

impl FromStr for WarmUp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let warm_up = match text.strip_suffix('%') {
            Some(percent) => {
                let percent: Option<f32> = percent.trim().parse().ok();
                percent.map(|percent| Self::Share(percent / 100.0))
            }
            None => text.parse().ok().map(Self::Steps),
        };
        let fits = warm_up.filter(|warm_up| warm_up.problem(None).is_none());
        fits.ok_or_else(|| Error::Settings {
            problem: format!(
                "`{}` is no warm-up; give a number of steps such as 500, or a share of all steps such as 5%",
                one_line(text)
            ),
        })
    }
}

impl fmt::Display for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(length) => write!(f, "{length}"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_rises_to_the_full_rate() {
        let factors = |warm_up: WarmUp| [0, 1, 3, 4, 99].map(|step| warm_up.factor(step, 100));
        let expected = [0.25, 0.5, 1.0, 1.0, 1.0];
        assert_eq!(factors(WarmUp::Steps(4)), expected);
        assert_eq!(factors(WarmUp::Share(0.04)), expected);
        assert_eq!(factors(WarmUp::Steps(0)), [1.0; 5]);
        assert_eq!(factors(WarmUp::Share(0.0)), [1.0; 5]);
    }

    #[test]
    fn as_text_it_is_a_number_of_steps_or_a_share() -> Result<()> {
        for (text, warm_up) in [("500", WarmUp::Steps(500)), ("5%", WarmUp::Share(0.05))] {
            assert_eq!(text.parse::<WarmUp>()?, warm_up);
            assert_eq!(warm_up.to_string(), text);
            let json = serde_json::to_string(&warm_up).expect("it can be written");
            assert_eq!(serde_json::from_str::<WarmUp>(&json).expect(&json), warm_up);
        }
        for wrong in ["", "%", "-1", "0.5", "100%", "-5%", "NaN%", "5 steps"] {
            let refused = wrong.parse::<WarmUp>();
            assert!(matches!(refused, Err(Error::Settings { .. })), "{wrong}");
        }
        Ok(())
    }
}
