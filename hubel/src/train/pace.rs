//! A schedule that ends inside a given time.
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

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
    /// The problem, if they are not: the first is from step 0, the steps rise, and each ends after it begins.
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

    /// Plans again at `step`, counted from 0: training is to end after `end` steps. Has no effect on earlier steps.
    pub(super) fn plan(&mut self, step: u64, end: u64) {
        let end = end.max(step).max(1);
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

/// Measures the speed of a training with a time limit, and plans its end.
pub(super) struct Clock {
    /// All times are in seconds of training.
    limit: f64,
    /// Used before an interruption.
    before: f64,
    start: Option<Instant>,
    /// When the last plan was made.
    planned: f64,
    /// Times and numbers of steps, the oldest first.
    marks: VecDeque<(f64, u64)>,
    /// How long the last validation took: another one follows the last step.
    validation: f64,
}

/// The end of an unknown number of steps.
const UNKNOWN: u64 = 1 << 40;

/// The first plan is made after this number of steps: the first steps are slower, because they allocate memory.
const STEPS_BEFORE_PLAN: usize = 3;

/// Time between plans, as a share of the limit.
const BETWEEN_PLANS: f64 = 0.02;

/// Number of plans over which the speed is averaged.
const MARKS: usize = 8;

impl Clock {
    /// For a training that has used some seconds already.
    pub(super) fn new(minutes: f64, before: f64) -> Self {
        Self {
            limit: 60.0 * minutes,
            before,
            start: None,
            planned: before,
            marks: VecDeque::new(),
            validation: 0.0,
        }
    }

    /// Seconds of training so far.
    pub(super) fn elapsed(&self) -> f64 {
        self.before
            + self
                .start
                .map_or(0.0, |start| start.elapsed().as_secs_f64())
    }

    /// Begins to count, if it does not count yet. Returns the plan for the beginning.
    pub(super) fn begin(&mut self) -> u64 {
        self.start.get_or_insert_with(Instant::now);
        UNKNOWN
    }

    /// Records how long a validation took.
    pub(super) fn validated(&mut self, seconds: f64) {
        self.validation = seconds;
    }

    /// After `steps` steps: the step after which training is to end, if it is time for another plan.
    pub(super) fn plan(&mut self, steps: u64) -> Option<u64> {
        let now = self.elapsed();
        let left = self.limit - self.validation - now;
        if left <= 0.0 {
            return Some(steps);
        }
        self.marks.push_back((now, steps));
        let is_first = self.marks.len() <= STEPS_BEFORE_PLAN;
        if is_first && self.marks.len() < STEPS_BEFORE_PLAN {
            return None;
        }
        if !is_first && now - self.planned < BETWEEN_PLANS * self.limit {
            self.marks.pop_back();
            return None;
        }
        while self.marks.len() > MARKS {
            self.marks.pop_front();
        }
        self.planned = now;
        let (since, first) = self.marks[0];
        let per_step = (now - since) / (steps - first).max(1) as f64;
        Some(steps + (left / per_step.max(1e-9)) as u64)
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
