//! A schedule that ends inside a given time.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, one_line};

/// How the schedule of a training advances: a list of plans, each from a step on. A plan says at which step training would end; in between, the schedule
/// advances evenly. With a time limit, the plans are made while training runs, by the speed that is measured. They are stored with the run, and a run that is given them makes the same steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PacePlan>", into = "Vec<PacePlan>")]
pub struct Pace {
    plans: Vec<PacePlan>,
}

/// A plan of a [`Pace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacePlan {
    /// The step from which it holds, counted from 0.
    pub from: u64,
    /// The number of steps after which training ends.
    pub end: u64,
}

impl Pace {
    /// These plans, in the order of their steps.
    ///
    /// # Errors
    /// The problem, if the first plan does not begin at step 0, the steps do not rise, or a plan ends before it begins.
    pub fn new(plans: Vec<PacePlan>) -> std::result::Result<Self, String> {
        let is_first = plans.first().is_none_or(|plan| plan.from == 0);
        let rise = plans
            .windows(2)
            .all(|pair| pair[0].from < pair[1].from && pair[1].from <= pair[0].end);
        let end = plans
            .iter()
            .all(|plan| plan.end >= plan.from && plan.end > 0);
        match is_first && rise && end {
            true => Ok(Self { plans }),
            false => Err(
                "the plans of a pace begin at step 0, follow each other, and end after they begin"
                    .into(),
            ),
        }
    }

    /// Its plans.
    pub fn plans(&self) -> &[PacePlan] {
        &self.plans
    }

    /// The step after which training ends, by the last plan; `None` without a plan.
    pub(super) fn end(&self) -> Option<u64> {
        self.plans.last().map(|plan| plan.end)
    }

    /// The pace of a training that is extended after `step` steps, when its schedule is to have come to `progress`.
    pub(super) fn stretched(step: u64, progress: f64) -> Self {
        let end = (step as f64 / progress.clamp(1e-9, 1.0)).ceil() as u64;
        let mut pace = Self::default();
        pace.plan(0, end.max(step + 1));
        pace
    }

    /// Plans again at `step`, counted from 0: training is to end after `end` steps. Plans of earlier steps stay, those of later ones do not.
    pub(super) fn plan(&mut self, step: u64, end: u64) {
        let end = end.max(step).max(1);
        self.plans.retain(|plan| plan.from <= step);
        match self.plans.last_mut() {
            Some(last) if last.from == step => last.end = end,
            Some(last) if last.end == end => {}
            _ => self.plans.push(PacePlan { from: step, end }),
        }
    }

    /// How far the schedule is before `step`, counted from 0: from 0 to 1.
    pub(super) fn progress(&self, step: u64) -> f64 {
        let mut progress = 0.0;
        for (i, plan) in self.plans.iter().enumerate() {
            if plan.from > step {
                break;
            }
            let until = self
                .plans
                .get(i + 1)
                .map_or(step, |next| next.from.min(step));
            let length = plan.end.saturating_sub(plan.from);
            if length > 0 {
                let share = (until - plan.from) as f64 / length as f64;
                progress += (1.0 - progress) * share.min(1.0);
            }
        }
        progress
    }
}

impl TryFrom<Vec<PacePlan>> for Pace {
    type Error = String;

    fn try_from(plans: Vec<PacePlan>) -> std::result::Result<Self, String> {
        Self::new(plans)
    }
}

impl From<Pace> for Vec<PacePlan> {
    fn from(pace: Pace) -> Self {
        pace.plans
    }
}

impl fmt::Display for Pace {
    /// `0:1000 40:850`: from step 0 on, training was to end after 1000 steps; from step 40 on, after 850.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, PacePlan { from, end }) in self.plans.iter().enumerate() {
            let gap = if i > 0 { " " } else { "" };
            write!(f, "{gap}{from}:{end}")?;
        }
        Ok(())
    }
}

impl FromStr for Pace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plan = |plan: &str| {
            let (from, end) = plan.split_once(':')?;
            let (from, end) = (from.parse().ok()?, end.parse().ok()?);
            Some(PacePlan { from, end })
        };
        let plans: Option<Vec<PacePlan>> = text.split_whitespace().map(plan).collect();
        let pace = plans.and_then(|plans| Self::new(plans).ok());
        let pace = pace.filter(|pace| !pace.plans.is_empty());
        pace.ok_or_else(|| Error::Settings {
            problem: format!(
                "`{}` is no pace; take that of a run with a time limit, such as `0:1000 40:850`",
                one_line(text)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_advances_evenly_and_goes_on_from_where_it_is_when_the_plan_changes() {
        let mut pace = Pace::default();
        pace.plan(0, 100);
        assert_eq!(pace.progress(0), 0.0);
        assert_eq!(pace.progress(50), 0.5);
        // Slower than planned: the second half is to be done in 10 steps.
        pace.plan(50, 60);
        assert_eq!(pace.progress(50), 0.5);
        assert_eq!(pace.progress(55), 0.75);
        assert_eq!(pace.progress(60), 1.0);
        // Faster.
        pace.plan(55, 75);
        assert_eq!(pace.progress(55), 0.75);
        assert_eq!(pace.progress(65), 0.875);
        assert_eq!(pace.progress(75), 1.0);
        assert_eq!(pace.end(), Some(75));
        assert_eq!(pace.to_string(), "0:100 50:60 55:75");
        assert_eq!(pace.to_string().parse::<Pace>().expect("a pace"), pace);
        assert_eq!(Pace::new(pace.plans().to_vec()), Ok(pace));
    }

    #[test]
    fn plans_that_do_not_follow_each_other_are_refused() {
        let plan = |from, end| PacePlan { from, end };
        for plans in [
            vec![plan(1, 5)],
            vec![plan(0, 0)],
            vec![plan(0, 5), plan(0, 6)],
            vec![plan(0, 5), plan(6, 9)],
            vec![plan(0, 5), plan(3, 2)],
        ] {
            assert!(Pace::new(plans.clone()).is_err(), "{plans:?}");
        }
        assert!(Pace::new(Vec::new()).is_ok());
    }
}
