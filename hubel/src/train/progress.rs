//! The events of a run, and the counts for them.
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::data::BadFile;
use crate::run::BatchLoss;
use crate::train::{LayerGradient, Position};
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
        /// The norm of the gradient before clipping, if [`TrainSettings::clip`](crate::TrainSettings::clip) is set.
        gradient_norm: Option<f32>,
        /// The gradient of each trained layer, in the order of the network. Empty in steps in which it was not measured: it is in the first 50 steps of a phase, and
        /// then in each tenth.
        layer_gradients: &'a [LayerGradient],
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
        /// Steps whose gradient was clipped, see [`TrainSettings::clip`](crate::TrainSettings::clip).
        clipped: usize,
        /// Loss on the validation images.
        validation_loss: Option<f32>,
        /// Accuracy on the validation images.
        validation_accuracy: Option<f32>,
        /// Mean of the classes' accuracies on the validation images, see [`Report::balanced_accuracy`].
        validation_balanced_accuracy: Option<f32>,
        /// Whether its weights are the best so far on the validation images; with balanced classes, by the balanced accuracy.
        is_best: bool,
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
    /// A checkpoint was saved, see [`RunFolder::train`](crate::RunFolder::train).
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StepResult {
    images: usize,
    /// Sum of the losses of all images.
    loss: f64,
    correct: usize,
    /// Time spent waiting for its batches.
    pub(super) waited: Duration,
    /// Whether the weights were changed. Before, further batches follow.
    pub(super) is_complete: bool,
    pub(super) learning_rate: f32,
    /// The length of the gradient, if it was measured.
    pub(super) gradient_norm: Option<f32>,
    /// Whether the gradients of the layers were measured.
    pub(super) has_layer_gradients: bool,
    pub(super) is_clipped: bool,
}

impl StepResult {
    /// Adds a batch.
    pub(super) fn add(&mut self, images: usize, loss: BatchLoss) {
        self.images += images;
        self.loss += loss.loss * images as f64;
        self.correct += loss.correct;
    }
}

/// The progress of a phase.
pub(super) struct Progress {
    images: usize,
    start: Instant,
    /// Since `start`.
    images_done: usize,
    epoch_start: Instant,
    epoch: Counts,
    last: StepResult,
}

/// The counts of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Bits of the f64 sum of the losses of all images.
    loss: u64,
    correct: usize,
    count: usize,
    /// Time before an interruption.
    seconds: f64,
    /// Time spent waiting for batches.
    waited: f64,
    /// Steps whose gradient was clipped.
    clipped: usize,
    /// Bits of the learning rate of the last step, an f32.
    learning_rate: u32,
}

impl Counts {
    fn loss(&self) -> f32 {
        (f64::from_bits(self.loss) / self.count as f64) as f32
    }

    fn accuracy(&self) -> f32 {
        self.correct as f32 / self.count as f32
    }
}

impl Progress {
    /// For epochs of this many images.
    pub(super) fn new(images: usize) -> Self {
        Self::restored(images, Counts::default())
    }

    /// Goes on with the counts of an epoch.
    pub(super) fn restored(images: usize, epoch: Counts) -> Self {
        let now = Instant::now();
        Self {
            images,
            start: now,
            images_done: 0,
            epoch_start: now,
            epoch,
            last: StepResult::default(),
        }
    }

    /// The counts of the epoch so far.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            seconds: self.epoch_seconds(),
            ..self.epoch.clone()
        }
    }

    /// Counts a step.
    pub(super) fn add(&mut self, result: StepResult) {
        self.images_done += result.images;
        let epoch = &mut self.epoch;
        epoch.count += result.images;
        epoch.loss = (f64::from_bits(epoch.loss) + result.loss).to_bits();
        epoch.correct += result.correct;
        epoch.waited += result.waited.as_secs_f64();
        epoch.learning_rate = result.learning_rate.to_bits();
        epoch.clipped += usize::from(result.is_clipped);
        self.last = result;
    }

    fn epoch_seconds(&self) -> f64 {
        self.epoch.seconds + self.epoch_start.elapsed().as_secs_f64()
    }

    /// The event of the step before `position`. `gradients` are those that were measured last.
    pub(super) fn step<'a>(
        &self,
        position: &Position,
        gradients: &'a [LayerGradient],
    ) -> Event<'a> {
        let seconds = self.start.elapsed().as_secs_f64();
        // The counts may come from a file.
        let of_epoch = self.images.saturating_sub(self.epoch.count);
        let left = position.epochs.saturating_sub(position.epoch) * self.images + of_epoch;
        Event::Step {
            epoch: position.epoch,
            epochs: position.epochs,
            step: position.step,
            steps: position.steps,
            loss: self.epoch.loss(),
            accuracy: self.epoch.accuracy(),
            step_of_run: position.steps_done(),
            batch_loss: (self.last.loss / self.last.images as f64) as f32,
            learning_rate: self.last.learning_rate,
            gradient_norm: self.last.gradient_norm,
            layer_gradients: match self.last.has_layer_gradients {
                true => gradients,
                false => &[],
            },
            images_per_second: self.images_done as f64 / seconds,
            seconds_left: seconds * left as f64 / self.images_done as f64,
        }
    }

    /// The event of the epoch that ends at `position`.
    pub(super) fn epoch<'m>(
        &self,
        position: &Position,
        validation: Option<&Report>,
        is_best: bool,
        model: &'m Model,
    ) -> Event<'m> {
        Event::Epoch {
            epoch: position.epoch,
            loss: self.epoch.loss(),
            accuracy: self.epoch.accuracy(),
            learning_rate: f32::from_bits(self.epoch.learning_rate),
            clipped: self.epoch.clipped,
            validation_loss: validation.map(|report| report.loss),
            validation_accuracy: validation.map(|report| report.accuracy),
            validation_balanced_accuracy: validation.map(Report::balanced_accuracy),
            is_best,
            seconds: self.epoch_seconds(),
            waiting: self.epoch.waited,
            model,
        }
    }

    /// Begins the counts of the next epoch.
    pub(super) fn end_epoch(&mut self) {
        (self.epoch, self.epoch_start) = (Counts::default(), Instant::now());
    }
}
