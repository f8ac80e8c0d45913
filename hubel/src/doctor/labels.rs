//! Whether the labels have anything to do with the pictures: a short training, judged by pictures that it did not see.
use std::ops::ControlFlow;

use serde::Serialize;

use super::by_heart::{RISEN, guessing, plain};
use super::choice::Halves;
use super::{Halt, Sign, Steps};
use crate::binomial::{at_least, at_most};
use crate::train::Event;
use crate::{Error, Phase, Result, Schedule, TrainSettings, Trainer};

/// Images per step. Small steps learn more from the same number of pictures.
const BATCH: usize = 32;

/// The fewest and the most steps.
const STEPS: [usize; 2] = [60, 240];

/// The most pictures to train on, and to judge by.
pub(super) const IMAGES: usize = 1024;

/// Multiply-adds of the training, and of the features of frozen layers.
const COST: u64 = 400_000_000_000;

/// The least share of the way from chance to certainty that counts as learned. If the accuracy may be higher, the test decides nothing.
pub(super) const MARGIN: f64 = 0.2;

/// With fewer pictures, equal predictions for all of them say little.
const FEW: usize = 30;

/// The probability with which a bound may be wrong.
pub(super) const DOUBT: f64 = 0.01;

/// A short training on some pictures, judged by others. Both have equally many pictures of each class, so that chance alone is right for one of
/// `classes` pictures, whatever the network prefers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelTest {
    /// Number of classes.
    pub classes: usize,
    /// Pictures that were trained on.
    pub trained_on: usize,
    /// Steps of the training.
    pub steps: usize,
    /// The learning rate, or the largest one of the schedule.
    pub rate: f32,
    /// The mean loss of its first and of its last epoch, in nats. Infinite if training diverged.
    pub losses: [f32; 2],
    /// The largest loss of a step, smoothed over ten steps.
    pub largest_loss: f32,
    /// Pictures that were classified.
    pub images: usize,
    /// Those that were classified correctly.
    pub correct: usize,
    /// The predictions of each class, in the order of the data's classes.
    pub predictions: Vec<usize>,
    /// The accuracy is lower than this with a confidence of 99 % (Clopper and Pearson 1934).
    pub at_most: f64,
}

impl LabelTest {
    /// Whether the predictions are no better than chance. `None` if there are too few pictures to exclude an accuracy well above chance.
    pub fn is_chance(&self) -> Option<bool> {
        let chance = 1.0 / self.classes as f64;
        if at_least(self.correct, self.images, chance) <= DOUBT {
            return Some(false);
        }
        (self.at_most <= chance + MARGIN * (1.0 - chance)).then_some(true)
    }

    /// Whether the loss neither rose far nor ended much higher than with another learning rate.
    pub(super) fn trains_as_well_as(&self, other: &Self) -> bool {
        /// The loss at the end may be larger by this factor, or by this much if both are small.
        const WORSE: f32 = 1.25;
        let start = self.losses[0]
            .min(other.losses[0])
            .max(guessing(self.classes));
        let at_most = (WORSE * other.losses[1]).max(0.1 * guessing(self.classes));
        self.largest_loss < RISEN * start && self.losses[1] <= at_most
    }

    /// The class of nearly all predictions, and their number.
    fn constant(&self) -> Option<(usize, usize)> {
        /// The rest may be a few odd pictures.
        const SHARE: f64 = 0.98;
        let most = (self.predictions.iter().enumerate()).max_by_key(|(_, count)| **count);
        most.filter(|(_, count)| **count as f64 >= SHARE * self.images as f64)
            .map(|(class, count)| (class, *count))
    }

    /// What the test shows. `names` are those of the classes.
    pub(super) fn sign(&self, names: &[String], has_batch_norm: bool) -> Option<Sign> {
        if self.images >= FEW
            && let Some((class, count)) = self.constant()
        {
            return Some(Sign::ConstantPredictions {
                class: names[class].clone(),
                count,
                images: self.images,
                has_batch_norm,
                is_seen: false,
            });
        }
        (self.is_chance() == Some(true)).then_some(Sign::ShuffledLabels {
            accuracy: self.correct as f32 / self.images as f32,
            images: self.images,
            classes: self.classes,
            steps: self.steps,
            at_most: self.at_most,
        })
    }
}

/// The steps for a network of so many multiply-adds a picture.
pub(super) fn steps(multiply_adds: u64, is_of_features: bool) -> usize {
    let shown = COST / multiply_adds.saturating_mul(3).max(1);
    let affordable = match is_of_features {
        true => STEPS[1],
        false => shown as usize / BATCH,
    };
    affordable.clamp(STEPS[0], STEPS[1])
}

/// The most pictures of both parts, for a network of so many multiply-adds a picture.
pub(super) fn images(multiply_adds: u64) -> usize {
    let affordable = COST / multiply_adds.max(1) / 2;
    (affordable as usize).clamp(IMAGES / 4, IMAGES)
}

/// Trains on one half of the pictures and classifies the other. `rate` replaces the learning rate of the phase if that one does not train.
pub(super) fn test(
    trainer: &Trainer,
    phase: &Phase,
    rate: Option<f32>,
    halves: &Halves,
    count: usize,
    steps: &mut Steps<'_>,
) -> Result<LabelTest, Halt> {
    let dataset = trainer.images();
    let train = dataset.subset(&halves.train);
    let held_out = dataset.subset(&halves.held_out);
    let phase = short(phase, rate, train.len(), count);
    let rate = phase.settings.learning_rate;
    let mut trial = trainer.trial(phase, &train)?;
    let mut course = Course::default();
    while !trial.is_over() {
        let stepped = trial.step(&mut |event| {
            course.add(event);
            ControlFlow::Continue(())
        });
        match stepped {
            Ok(_) => {}
            // Judged as it was before.
            Err(Error::Diverged { .. }) => {
                course.diverge();
                break;
            }
            Err(error) => return Err(error.into()),
        }
        steps.one()?;
    }
    let model = trial.last_good();
    let mut predictions = vec![0; model.classes().len()];
    let mut correct = 0;
    let report = model.evaluate_each(trial.cpu(), &held_out, &mut |answer| {
        predictions[answer.class] += 1;
        correct += usize::from(answer.class == answer.label);
    })?;
    Ok(LabelTest {
        classes: halves.classes,
        trained_on: train.len(),
        steps: course.steps,
        rate,
        losses: course.losses.unwrap_or([f32::INFINITY; 2]),
        largest_loss: course.largest as f32,
        images: report.count,
        correct,
        predictions,
        at_most: upper_bound(correct, report.count),
    })
}

/// The losses of the short training.
#[derive(Default)]
struct Course {
    steps: usize,
    /// Of the first and of the last epoch.
    losses: Option<[f32; 2]>,
    smoothed: f64,
    largest: f64,
}

impl Course {
    fn add(&mut self, event: &Event) {
        match event {
            Event::Step { batch_loss, .. } => {
                self.steps += 1;
                // The mean of the first ten steps, then ten steps count.
                let share = 1.0 / self.steps.min(10) as f64;
                self.smoothed += share * (f64::from(*batch_loss) - self.smoothed);
                self.largest = self.largest.max(self.smoothed);
            }
            Event::Epoch { loss, .. } => {
                let [first, _] = self.losses.unwrap_or([*loss; 2]);
                self.losses = Some([first, *loss]);
            }
            _ => {}
        }
    }

    fn diverge(&mut self) {
        self.largest = f64::INFINITY;
        let [first, _] = self.losses.unwrap_or([f32::INFINITY; 2]);
        self.losses = Some([first, f32::INFINITY]);
    }
}

/// The phase of the short training.
fn short(phase: &Phase, rate: Option<f32>, images: usize, steps: usize) -> Phase {
    let settings = &phase.settings;
    // A last batch of one picture has no statistics for a batch norm.
    let batch = (2..=BATCH.min(images))
        .rev()
        .find(|batch| images % batch != 1);
    let batch = batch.unwrap_or(1);
    Phase {
        settings: TrainSettings {
            epochs: (steps * batch).div_ceil(images.max(1)),
            batch_size: batch,
            accumulate: 1,
            learning_rate: rate.unwrap_or(settings.learning_rate),
            schedule: match &settings.schedule {
                // Without validation images.
                Schedule::Plateau { .. } => Schedule::Constant,
                other => other.clone(),
            },
            // It may be longer than this training.
            warm_up: None,
            ..plain(settings)
        },
        versions: phase.versions.min(1),
        ..phase.clone()
    }
}

/// The largest accuracy with which so few right answers are not rarer than [`DOUBT`].
pub(super) fn upper_bound(correct: usize, count: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        match at_most(correct, count, middle) > DOUBT {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_clopper_and_pearson() {
        // None of n right: (1 − p)ⁿ = 0.01.
        let bound = upper_bound(0, 100);
        assert!(
            (bound - (1.0 - 0.01_f64.powf(0.01))).abs() < 1e-9,
            "{bound}"
        );
        assert_eq!(upper_bound(100, 100), 1.0);
        assert!((at_most(60, 512, upper_bound(60, 512)) - DOUBT).abs() < 1e-9);
    }

    fn of(correct: usize, images: usize, classes: usize) -> LabelTest {
        LabelTest {
            classes,
            trained_on: images,
            steps: 200,
            rate: 0.1,
            losses: [1.0; 2],
            largest_loss: 1.0,
            images,
            correct,
            predictions: vec![images / classes; classes],
            at_most: upper_bound(correct, images),
        }
    }

    #[test]
    fn few_pictures_decide_nothing_and_many_do() {
        assert_eq!(of(10, 20, 2).is_chance(), None);
        assert_eq!(of(30, 60, 2).is_chance(), None);
        assert_eq!(of(260, 512, 2).is_chance(), Some(true));
        assert_eq!(of(51, 512, 10).is_chance(), Some(true));
        // Hard data: little is learned, but more than chance explains.
        assert_eq!(of(80, 512, 10).is_chance(), Some(false));
        assert_eq!(of(300, 512, 2).is_chance(), Some(false));
        // Even few pictures show that something is learned.
        assert_eq!(of(19, 20, 2).is_chance(), Some(false));
    }
}
