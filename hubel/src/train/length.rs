//! The length of a phase: a number of epochs, or a time.
use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::settings::Moment;
use super::{Position, TrainSettings};

/// How long a phase is, and how its schedule advances.
pub(super) struct Length {
    /// Steps of an epoch.
    steps: usize,
    kind: Kind,
}

enum Kind {
    /// This number of epochs; the schedule advances evenly.
    Epochs(usize),
    /// By plans. They are made while it runs if there is a clock; otherwise they are those of an earlier training.
    Paced(Pace, Option<Clock>),
}

/// A [`Length`] in a state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredLength {
    pace: Option<Pace>,
    /// The time limit, the seconds used, and those of the last validation.
    minutes: Option<f64>,
    seconds: f64,
    validation: f64,
}

impl StoredLength {
    /// How the schedule advanced, if it did not advance evenly.
    pub(super) fn pace(&self) -> Option<&Pace> {
        self.pace.as_ref()
    }
}

/// The end of an unknown number of steps.
const UNKNOWN: u64 = 1 << 40;

impl Length {
    /// The length that the settings give to a phase with epochs of `steps` steps.
    pub(super) fn new(settings: &TrainSettings, steps: usize) -> Self {
        let kind = match (&settings.pace, settings.minutes) {
            (Some(pace), _) => Kind::Paced(pace.clone(), None),
            (None, Some(minutes)) => {
                Kind::Paced(Pace::default(), Some(Clock::new(minutes, 0.0, 0.0)))
            }
            (None, None) => Kind::Epochs(settings.epochs),
        };
        Self { steps, kind }
    }

    /// Number of steps after which the phase ends.
    pub(super) fn end(&self) -> usize {
        match &self.kind {
            Kind::Epochs(epochs) => epochs * self.steps,
            Kind::Paced(pace, _) => pace.end().unwrap_or(UNKNOWN) as usize,
        }
    }

    /// At least as many epochs as there will be; batches are prepared only shortly before they are needed.
    pub(super) fn most_epochs(&self) -> usize {
        match self.kind {
            Kind::Epochs(epochs) => epochs,
            Kind::Paced(..) => usize::MAX / 2 / self.steps,
        }
    }

    /// The same position, with the number of epochs that is planned now; without a plan, the number stays.
    pub(super) fn of(&self, position: Position) -> Position {
        match self.end() as u64 {
            UNKNOWN => position,
            end => Position {
                epochs: (end as usize).div_ceil(self.steps).max(position.epoch),
                ..position
            },
        }
    }

    /// The step after `done` steps, and where the schedule is then.
    pub(super) fn moment(&self, done: usize) -> Moment {
        Moment {
            step: done as u64,
            steps: self.end() as u64,
            progress: self.pace().map(|pace| pace.progress(done as u64)),
        }
    }

    /// Before a step: starts to count the time, and makes the first plan.
    pub(super) fn begin(&mut self) {
        if let Kind::Paced(pace, Some(clock)) = &mut self.kind {
            clock.start.get_or_insert_with(Instant::now);
            if pace.plans().is_empty() {
                pace.plan(0, UNKNOWN);
            }
        }
    }

    /// After `done` steps: plans the end again, if it is time for that.
    pub(super) fn plan(&mut self, done: usize) {
        if let Kind::Paced(pace, Some(clock)) = &mut self.kind
            && let Some(end) = clock.plan(done as u64)
        {
            pace.plan(done as u64, end);
        }
    }

    /// Records how long a validation took: another one follows the last step.
    pub(super) fn validated(&mut self, seconds: f64) {
        if let Kind::Paced(_, Some(clock)) = &mut self.kind {
            clock.validation = seconds;
        }
    }

    /// How the schedule advances, if it does not advance evenly.
    pub(super) fn pace(&self) -> Option<&Pace> {
        match &self.kind {
            Kind::Epochs(_) => None,
            Kind::Paced(pace, _) => Some(pace),
        }
    }

    pub(super) fn stored(&self) -> StoredLength {
        match &self.kind {
            Kind::Epochs(_) => StoredLength::default(),
            Kind::Paced(pace, clock) => StoredLength {
                pace: Some(pace.clone()),
                minutes: clock.as_ref().map(|clock| clock.limit / 60.0),
                seconds: clock.as_ref().map_or(0.0, Clock::elapsed),
                validation: clock.as_ref().map_or(0.0, |clock| clock.validation),
            },
        }
    }

    /// Goes on at a position. Returns whether the phase is longer than it was to be before.
    ///
    /// # Errors
    /// The problem, if the phase would end before this position, or had another kind of length.
    pub(super) fn restore(
        &mut self,
        stored: &StoredLength,
        position: Position,
    ) -> Result<bool, String> {
        let done = position.steps_done() as u64;
        match &mut self.kind {
            Kind::Epochs(epochs) if position.epoch > *epochs => Err(format!(
                "it is in epoch {} already, and {epochs} epochs are wanted; give at least {}",
                position.epoch, position.epoch
            )),
            Kind::Epochs(epochs) => Ok(*epochs > position.epochs),
            Kind::Paced(_, None) => Ok(false),
            Kind::Paced(pace, Some(clock)) => {
                let Some(before) = &stored.pace else {
                    return Err(
                        "its length was a number of epochs, and is now a time; give epochs".into(),
                    );
                };
                let minutes = clock.limit / 60.0;
                *clock = Clock::new(minutes, stored.seconds, stored.validation);
                *pace = before.clone();
                match stored.minutes {
                    // Its steps were those of an earlier training.
                    None => pace.plan(done, UNKNOWN),
                    // As an extension by epochs, it stretches the schedule.
                    Some(limit) if minutes > limit && done > 0 => {
                        *pace = Pace::stretched(done, stored.seconds / clock.limit);
                    }
                    Some(_) => {}
                }
                Ok(stored.minutes.is_none_or(|limit| minutes > limit))
            }
        }
    }
}

/// Measures the speed of a training with a time limit, and plans its end.
struct Clock {
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

/// The first plan is made after this number of steps: the first steps are slower, because they allocate memory.
const STEPS_BEFORE_PLAN: usize = 3;

/// Time between plans, as a share of the limit.
const BETWEEN_PLANS: f64 = 0.02;

/// Number of plans over which the speed is averaged.
const MARKS: usize = 8;

impl Clock {
    /// For a training that has used some seconds already.
    fn new(minutes: f64, before: f64, validation: f64) -> Self {
        Self {
            limit: 60.0 * minutes,
            before,
            start: None,
            planned: before,
            marks: VecDeque::new(),
            validation,
        }
    }

    /// Seconds of training so far.
    fn elapsed(&self) -> f64 {
        self.before
            + self
                .start
                .map_or(0.0, |start| start.elapsed().as_secs_f64())
    }

    /// After `steps` steps: the step after which training is to end, if it is time for another plan.
    fn plan(&mut self, steps: u64) -> Option<u64> {
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
