//! The events of a run, and the counts for them.
use std::time::{Duration, Instant};

use crate::data::loader::Batch;
use crate::data::{BadFile, Feed};
use crate::run::BatchLoss;
use crate::train::Position;
use crate::{Model, Report};

/// An event of training.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step is done. Epochs and steps count from 1; loss and accuracy are means over the epoch so far. If images are
    /// [mixed](crate::data::Mixing) or the data has [target probabilities](crate::Dataset::with_targets), an image counts as correct if its
    /// largest logit is at its largest target (for mixed images: the class with the larger share), as in torchvision and Keras.
    #[non_exhaustive]
    Step {
        /// The epoch.
        epoch: usize,
        /// Number of epochs.
        epochs: usize,
        /// The step in the epoch.
        step: usize,
        /// Steps per epoch.
        steps: usize,
        /// Mean loss: the cross-entropy in nats, or that of [`Trainer::with_loss`](crate::Trainer::with_loss).
        loss: f32,
        /// Share of training images classified correctly.
        accuracy: f32,
        /// Mean speed since the start.
        images_per_second: f64,
        /// Expected time until the end of training.
        seconds_left: f64,
    },
    /// An epoch is done.
    #[non_exhaustive]
    Epoch {
        /// Its number.
        epoch: usize,
        /// Mean loss of its training steps.
        loss: f32,
        /// Share of training images classified correctly in its training steps.
        accuracy: f32,
        /// Loss on the validation images.
        validation_loss: Option<f32>,
        /// Accuracy on the validation images.
        validation_accuracy: Option<f32>,
        /// Mean of the classes' accuracies on the validation images, see [`Report::balanced_accuracy`].
        validation_balanced_accuracy: Option<f32>,
        /// Its duration.
        seconds: f64,
        /// The part of the duration spent waiting for batches.
        waiting: f64,
        /// The current model. It can be used and saved, and records how far it came. It costs nothing unless it is used.
        model: &'a Model,
    },
    /// A phase begins, in a run with several phases.
    Phase {
        /// Its number.
        phase: usize,
        /// Number of phases.
        phases: usize,
        /// The last frozen layer; all before it are frozen too. `None` if all layers are trained.
        frozen: Option<String>,
    },
    /// The outputs of the frozen layers are being computed.
    Features {
        /// Number of finished pictures. Each augmented version of a picture counts.
        done: usize,
        /// Number of all pictures.
        all: usize,
        /// Expected time until all are finished.
        seconds_left: f64,
    },
    /// Training, or a phase of it, ends before its last epoch: the validation images showed no progress for as many epochs as
    /// [`TrainSettings::patience`](crate::TrainSettings::patience) says.
    #[non_exhaustive]
    EndedEarly {
        /// The position at which it ends.
        position: Position,
        /// Epochs without progress.
        epochs: usize,
    },
    /// A phase is over, and the model has the weights of an earlier position, which were best on the validation images.
    Kept {
        /// The earlier position.
        position: Position,
        /// Their accuracy on the validation images; the balanced accuracy if classes are balanced.
        accuracy: f32,
    },
    /// A picture that could be read when the data was opened can no longer be read. In training another picture takes its place; in validation it is
    /// left out.
    BadFile(BadFile),
    /// A checkpoint was saved, see [`Trainer::with_checkpoints`](crate::Trainer::with_checkpoints).
    Saved {
        /// How long training waited for it.
        seconds: f64,
    },
    /// A checkpoint could not be saved. Training continues, and the next regular save is the next attempt.
    NotSaved {
        /// The reason.
        problem: String,
    },
}

/// The progress of a run.
pub(super) struct Progress<'a> {
    feed: &'a Feed,
    epochs: usize,
    /// Batches per step.
    accumulate: usize,
    start: Instant,
    epoch_start: Instant,
    /// Of the whole run.
    images_done: usize,
    /// Of the epoch so far.
    epoch: usize,
    step: usize,
    loss: f64,
    correct: usize,
    count: usize,
    waited: Duration,
}

impl<'a> Progress<'a> {
    pub(super) fn new(feed: &'a Feed, epochs: usize, accumulate: usize) -> Self {
        let now = Instant::now();
        Self {
            feed,
            epochs,
            accumulate,
            start: now,
            epoch_start: now,
            images_done: 0,
            epoch: 0,
            step: 0,
            loss: 0.0,
            correct: 0,
            count: 0,
            waited: Duration::ZERO,
        }
    }

    /// Counts a batch.
    pub(super) fn add(&mut self, batch: &Batch, result: BatchLoss, waited: Duration) {
        self.epoch = batch.epoch;
        self.step = batch.step / self.accumulate + 1;
        let images = batch.draws.len();
        self.images_done += images;
        self.count += images;
        self.loss += result.loss * images as f64;
        self.correct += result.correct;
        self.waited += waited;
    }

    /// Since the start of training.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn loss(&self) -> f32 {
        (self.loss / self.count as f64) as f32
    }

    fn accuracy(&self) -> f32 {
        self.correct as f32 / self.count as f32
    }

    pub(super) fn step(&self) -> Event<'static> {
        let seconds = self.start.elapsed().as_secs_f64();
        let left = self.epochs * self.feed.images() - self.images_done;
        Event::Step {
            epoch: self.epoch,
            epochs: self.epochs,
            step: self.step,
            steps: self.feed.steps().div_ceil(self.accumulate),
            loss: self.loss(),
            accuracy: self.accuracy(),
            images_per_second: self.images_done as f64 / seconds,
            seconds_left: seconds * left as f64 / self.images_done as f64,
        }
    }

    /// Ends the counts of an epoch, and begins those of the next.
    pub(super) fn epoch<'m>(&mut self, validation: Option<&Report>, model: &'m Model) -> Event<'m> {
        let event = Event::Epoch {
            epoch: self.epoch,
            loss: self.loss(),
            accuracy: self.accuracy(),
            validation_loss: validation.map(|report| report.loss),
            validation_accuracy: validation.map(|report| report.accuracy),
            validation_balanced_accuracy: validation.map(Report::balanced_accuracy),
            seconds: self.epoch_start.elapsed().as_secs_f64(),
            waiting: self.waited.as_secs_f64(),
            model,
        };
        *self = Self {
            start: self.start,
            images_done: self.images_done,
            ..Self::new(self.feed, self.epochs, self.accumulate)
        };
        event
    }
}
