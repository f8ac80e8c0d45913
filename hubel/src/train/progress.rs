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
    /// A step is done. Epochs and steps count from 1; loss and accuracy are means over the epoch so far.
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
        /// Mean cross-entropy in nats.
        loss: f32,
        /// Share of training images classified correctly.
        accuracy: f32,
        /// Steps done since the start of the phase.
        step_of_run: usize,
        /// The loss of this step alone.
        batch_loss: f32,
        /// The learning rate of this step.
        learning_rate: f32,
        /// The length of the gradient, if it was measured.
        gradient_norm: Option<f32>,
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
        /// The learning rate of its last step.
        learning_rate: f32,
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

/// What a step computed.
#[derive(Clone, Copy)]
pub(super) struct StepResult {
    pub(super) batch: BatchLoss,
    pub(super) learning_rate: f32,
    /// The length of the gradient, if it was measured.
    pub(super) gradient_norm: Option<f32>,
}

/// The progress of a run.
pub(super) struct Progress<'a> {
    feed: &'a Feed,
    epochs: usize,
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
    /// Of the last step.
    batch_loss: f32,
    learning_rate: f32,
    gradient_norm: Option<f32>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(feed: &'a Feed, epochs: usize) -> Self {
        let now = Instant::now();
        Self {
            feed,
            epochs,
            start: now,
            epoch_start: now,
            images_done: 0,
            epoch: 0,
            step: 0,
            loss: 0.0,
            correct: 0,
            count: 0,
            waited: Duration::ZERO,
            batch_loss: 0.0,
            learning_rate: 0.0,
            gradient_norm: None,
        }
    }

    /// Counts a step.
    pub(super) fn add(&mut self, batch: &Batch, result: StepResult, waited: Duration) {
        self.epoch = batch.epoch;
        self.step = batch.step + 1;
        let images = batch.draws.len();
        self.images_done += images;
        self.count += images;
        self.loss += result.batch.loss * images as f64;
        self.correct += result.batch.correct;
        self.batch_loss = result.batch.loss as f32;
        self.learning_rate = result.learning_rate;
        self.gradient_norm = result.gradient_norm;
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
            steps: self.feed.steps(),
            loss: self.loss(),
            accuracy: self.accuracy(),
            step_of_run: (self.epoch - 1) * self.feed.steps() + self.step,
            batch_loss: self.batch_loss,
            learning_rate: self.learning_rate,
            gradient_norm: self.gradient_norm,
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
            learning_rate: self.learning_rate,
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
            ..Self::new(self.feed, self.epochs)
        };
        event
    }
}
