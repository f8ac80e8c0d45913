//! The loss of a batch: the cross-entropy with labels or with target probabilities, or a loss of the user's own.
use std::fmt;
use std::sync::Arc;

use hubel_kernels::softmax::largest;

use crate::run::BatchLoss;
use crate::{Plan, Workspace};

/// One batch, for a loss of your own; see [`Trainer::with_loss`](crate::Trainer::with_loss).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LossInput<'a> {
    /// The outputs of the network before softmax, `[n, classes]` row by row.
    pub logits: &'a [f32],
    /// The number of classes.
    pub classes: usize,
    /// The class of each image, `[n]`. Of [mixed](crate::data::Mixing) images it is that of the image with the share λ, not of its partner.
    pub labels: &'a [u32],
    /// The target probabilities, `[n, classes]`, if the data [has them](crate::Dataset::with_targets) or images are mixed. They are not smoothed.
    pub targets: Option<&'a [f32]>,
    /// The weight of each class, as far as the settings have them. Their mean over the training images is 1.
    pub class_weights: Option<&'a [f32]>,
    /// [`TrainSettings::label_smoothing`](crate::TrainSettings::label_smoothing)
    pub label_smoothing: f32,
}

impl LossInput<'_> {
    /// The target probability of a class for an image: from the targets, or else 1 for its label and 0 for the others.
    pub fn target(&self, image: usize, class: usize) -> f32 {
        match self.targets {
            Some(targets) => targets[image * self.classes + class],
            None => f32::from(u8::from(self.labels[image] as usize == class)),
        }
    }

    /// Images whose largest logit is at their largest target.
    fn correct(&self) -> usize {
        let rows = self.logits.chunks(self.classes).enumerate();
        rows.filter(|(image, logits)| {
            let expected = match self.targets {
                Some(targets) => largest(&targets[image * self.classes..][..self.classes]),
                None => self.labels[*image] as usize,
            };
            largest(logits) == expected
        })
        .count()
    }
}

/// A loss of the user's own. It writes its gradient by the logits.
#[derive(Clone)]
pub(super) struct OwnLoss(Arc<Function>);

/// A function from a batch and the memory for its gradient to the mean loss.
type Function = dyn Fn(&LossInput<'_>, &mut [f32]) -> f64 + Send + Sync;

impl fmt::Debug for OwnLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a function")
    }
}

impl OwnLoss {
    pub(super) fn new(
        loss: impl Fn(&LossInput<'_>, &mut [f32]) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(loss))
    }
}

/// What the loss of a batch is computed from, besides its logits.
pub(super) struct Expected<'a> {
    pub(super) labels: &'a [u32],
    /// `[n, classes]`; `None` if the labels are the targets.
    pub(super) targets: Option<&'a [f32]>,
    pub(super) class_weights: Option<&'a [f32]>,
    pub(super) label_smoothing: f32,
}

impl Expected<'_> {
    /// The loss of the last forward run; leaves its gradient by the logits in the workspace.
    pub(super) fn loss(
        &self,
        plan: &Plan,
        workspace: &mut Workspace,
        own: Option<&OwnLoss>,
    ) -> BatchLoss {
        let (smoothing, weights) = (self.label_smoothing, self.class_weights);
        match (own, self.targets) {
            (None, None) => plan.loss(workspace, self.labels, smoothing, weights),
            (None, Some(targets)) => plan.loss_of_targets(workspace, targets, smoothing, weights),
            (Some(own), targets) => {
                let mut correct = 0;
                let loss = plan.loss_of(workspace, |logits, gradient| {
                    let input = LossInput {
                        logits,
                        classes: logits.len() / self.labels.len(),
                        labels: self.labels,
                        targets,
                        class_weights: weights,
                        label_smoothing: smoothing,
                    };
                    correct = input.correct();
                    own.0(&input, gradient)
                });
                BatchLoss { loss, correct }
            }
        }
    }

    /// By how much this batch counts in the mean over several: by its images; or, where the loss is a mean by class weights, by the weight
    /// of its labels.
    pub(super) fn weight(&self, own: Option<&OwnLoss>) -> f64 {
        match (own, self.targets, self.class_weights) {
            (None, None, Some(weights)) => {
                let weights = (self.labels.iter()).map(|&label| f64::from(weights[label as usize]));
                weights.sum()
            }
            _ => self.labels.len() as f64,
        }
    }
}
