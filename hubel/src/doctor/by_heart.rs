//! Overfits one batch. A network that works learns a few pictures by heart; one that does not tells whether the learning rate is the cause.
use std::ops::ControlFlow;

use serde::Serialize;

use super::{Halt, Sign, Steps};
use crate::data::{Augmentation, Balance, Mixing};
use crate::train::Event;
use crate::{Dataset, Error, Keep, Model, Phase, Result, Schedule, TrainSettings, Trainer, WarmUp};

/// The most steps of a trial.
const STEPS: usize = 200;

/// The steps in which the learning rate of a trial rises.
const WARM_UP: u64 = 10;

/// Pictures of the batch, and multiply-adds of a step that these are reduced for.
const IMAGES: [usize; 2] = [8, 32];
const STEP_COST: u64 = 6_000_000_000;

/// At the end of a trial, the loss of a batch that is learned by heart is below this share of the loss of guessing.
const LEARNED: f32 = 0.1;

/// A network with dropout guesses a part of a batch that it knows. At the end of a trial, this share of right answers is enough.
const RIGHT: f32 = 0.9;

/// Steps at the end of a trial whose right answers are counted.
const LAST: usize = 10;

/// A loss that rises to this multiple of the larger of its start and the loss of guessing is a sign of a rate that is too high.
pub(super) const RISEN: f32 = 5.0;

/// A loss above this share of the start has not fallen.
const UNCHANGED: f32 = 0.9;

/// One batch that is trained on again and again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ByHeart {
    /// Pictures of the batch.
    pub images: usize,
    /// Classes of these pictures.
    pub classes: usize,
    /// The trial with the learning rate of the settings, then those with other rates; these were made only if the first one did not succeed.
    pub trials: Vec<Trial>,
}

/// A training on one batch with a constant learning rate after a short warm-up, without augmentation, smoothing and weight decay.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Trial {
    /// The learning rate.
    pub rate: f32,
    /// The steps that were made. A trial ends when the batch is learned.
    pub steps: usize,
    /// The loss before the first step, in nats. Infinite or NaN if it is not finite from the start.
    pub loss_before: f32,
    /// The loss of the last step, before its update. Infinite if training diverged.
    pub loss_after: f32,
    /// The largest loss of all steps. Infinite if training diverged.
    pub largest_loss: f32,
    /// The share of pictures that are classified correctly in the last ten steps; 1 if the last step has all.
    pub accuracy: f32,
    /// Whether the batch is learned by heart.
    pub is_learned: bool,
}

impl ByHeart {
    /// The trial with the learning rate of the settings.
    pub fn first(&self) -> &Trial {
        &self.trials[0]
    }

    /// The trial that learned the batch without a loss that rose much before: that with the learning rate of the settings, or else the one with the
    /// fewest steps.
    pub fn success(&self) -> Option<&Trial> {
        let [first, others @ ..] = &self.trials[..] else {
            return None;
        };
        let others = others.iter().filter(|trial| self.succeeds(trial));
        match self.succeeds(first) {
            true => Some(first),
            false => others.min_by_key(|trial| trial.steps),
        }
    }

    fn succeeds(&self, trial: &Trial) -> bool {
        trial.is_learned && !self.has_risen(trial)
    }

    /// Whether the loss rose far above that of guessing.
    fn has_risen(&self, trial: &Trial) -> bool {
        // Written so that NaN counts.
        let is_below = trial.largest_loss < RISEN * trial.loss_before.max(guessing(self.classes));
        !is_below
    }

    /// What the trials show.
    pub(super) fn sign(&self, contradictions: usize) -> Option<Sign> {
        let first = self.first();
        if self.succeeds(first) {
            return None;
        }
        let works = self.success();
        Some(match works {
            Some(works) if works.rate < first.rate => Sign::RateTooHigh {
                rate: first.rate,
                loss_before: first.loss_before,
                largest_loss: first.largest_loss,
                loss_after: first.loss_after,
                works: Some(works.rate),
            },
            Some(works) => Sign::RateTooLow {
                rate: first.rate,
                steps: first.steps,
                loss_before: first.loss_before,
                loss_after: first.loss_after,
                works: Some(works.rate),
            },
            None => Sign::NotByHeart {
                images: self.images,
                steps: first.steps,
                loss_before: first.loss_before,
                loss_after: first.loss_after,
                accuracy: first.accuracy,
                contradictions,
            },
        })
    }
}

/// The cross-entropy of guessing among this many equally frequent classes.
pub(super) fn guessing(classes: usize) -> f32 {
    (classes.max(2) as f32).ln()
}

/// Pictures of the batch, for a network of so many multiply-adds a picture. Forward and backward pass cost three times as much as forward alone.
pub(super) fn images(multiply_adds: u64) -> usize {
    let affordable = STEP_COST / multiply_adds.saturating_mul(3).max(1);
    (affordable as usize).clamp(IMAGES[0], IMAGES[1])
}

/// The most steps of the first trial.
pub(super) const EXPECTED: usize = STEPS;

/// Learns `batch` by heart with the learning rate of the phase, or else with others. Also gives the model after the first trial.
pub(super) fn learn(
    trainer: &Trainer,
    phase: &Phase,
    batch: &Dataset,
    classes: usize,
    steps: &mut Steps<'_>,
) -> Result<(ByHeart, Model), Halt> {
    let rate = phase.settings.learning_rate;
    let trial = |rate: f32, steps: &mut Steps<'_>| {
        let phase = of_batch(phase, batch.len(), rate);
        run(trainer.trial(phase, batch)?, rate, classes, steps)
    };
    let (first, model) = trial(rate, steps)?;
    let mut by_heart = ByHeart {
        images: batch.len(),
        classes,
        trials: vec![first],
    };
    let first = by_heart.first();
    if by_heart.succeeds(first) {
        return Ok((by_heart, model));
    }
    // A loss that stays where it was asks for larger steps.
    let is_slow = !by_heart.has_risen(first) && first.loss_after > UNCHANGED * first.loss_before;
    let factors = match is_slow {
        true => [10.0, 100.0, 1000.0, 0.1, 0.01, 0.001],
        false => [0.1, 0.01, 0.001, 10.0, 100.0, 1000.0],
    };
    for factor in factors {
        steps.expect(STEPS);
        let (other, _) = trial(factor * rate, steps)?;
        // A rate that needs all of the steps is not yet a good one.
        let is_quick = by_heart.succeeds(&other) && other.steps < STEPS;
        by_heart.trials.push(other);
        if is_quick {
            break;
        }
    }
    Ok((by_heart, model))
}

/// The phase of a trial: nothing but the pictures as they are, and a constant rate.
fn of_batch(phase: &Phase, images: usize, rate: f32) -> Phase {
    Phase {
        settings: TrainSettings {
            epochs: STEPS,
            batch_size: images,
            accumulate: 1,
            learning_rate: rate,
            schedule: Schedule::Constant,
            warm_up: Some(WarmUp::Steps(WARM_UP)),
            weight_decay: 0.0,
            label_smoothing: 0.0,
            ..plain(&phase.settings)
        },
        versions: phase.versions.min(1),
        ..phase.clone()
    }
}

/// These settings without augmentation, mixing, class balance, validation and time limit.
pub(super) fn plain(settings: &TrainSettings) -> TrainSettings {
    TrainSettings {
        augmentation: Augmentation::none(),
        mixing: Mixing::None,
        balance: Balance::None,
        class_weights: None,
        minutes: None,
        pace: None,
        keep: Keep::Last,
        average: None,
        patience: None,
        ..settings.clone()
    }
}

fn run(
    mut trainer: Trainer,
    rate: f32,
    classes: usize,
    steps: &mut Steps<'_>,
) -> Result<(Trial, Model), Halt> {
    let guessing = guessing(classes);
    let mut trial = Trial {
        rate,
        steps: 0,
        loss_before: f32::NAN,
        loss_after: f32::NAN,
        largest_loss: 0.0,
        accuracy: 0.0,
        is_learned: false,
    };
    let mut accuracies = Vec::new();
    while trial.steps < STEPS && !trial.is_learned {
        let stepped = trainer.step(&mut |event| {
            if let Event::Step {
                batch_loss,
                accuracy,
                ..
            } = event
            {
                trial.loss_after = *batch_loss;
                trial.largest_loss = trial.largest_loss.max(*batch_loss);
                accuracies.push(*accuracy);
            }
            ControlFlow::Continue(())
        });
        match stepped {
            Ok(_) => {}
            Err(Error::Diverged { .. }) => {
                (trial.loss_after, trial.largest_loss) = (f32::INFINITY, f32::INFINITY);
                break;
            }
            Err(error) => return Err(error.into()),
        }
        // A step that only computed features has no loss.
        trial.steps = accuracies.len();
        if trial.steps == 1 {
            trial.loss_before = trial.loss_after;
        }
        let knows_all = trial.loss_after < LEARNED * guessing && accuracies.last() == Some(&1.0);
        // A model that knows the batch from the start must still be trained at this rate.
        trial.is_learned = knows_all && trial.steps as u64 > WARM_UP;
        steps.one()?;
    }
    let last = &accuracies[accuracies.len().saturating_sub(LAST)..];
    trial.accuracy = match trial.is_learned {
        true => 1.0,
        false => last.iter().sum::<f32>() / last.len().max(1) as f32,
    };
    trial.is_learned |= trial.accuracy >= RIGHT && trial.loss_after < guessing;
    steps.leave_out(STEPS.saturating_sub(trial.steps));
    Ok((trial, trainer.last_good()))
}
