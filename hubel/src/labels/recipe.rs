//! What judges the labels of a data set: the network that `hubel train` would begin with, in a short training that does not learn wrong labels by heart.
use std::fmt;

use super::LabelSettings;
use super::out_of_fold::{Course, Judge};
use crate::data::{Outlook, Subject};
use crate::{Dataset, Model, Network, Result, Schedule, TrainSettings};

/// The models for a data set.
pub(super) struct Recipe {
    pub(super) judge: Judge,
    pub(super) course: Course,
    name: String,
}

/// Images to show to a linear layer on features.
const SHOWN_TO_HEAD: usize = 32_000;

impl Recipe {
    /// The model whose features suit data with this outlook; `None` if a network should be trained from scratch.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub(super) fn backbone(outlook: Outlook) -> Result<Option<Model>> {
        match outlook.advice().model() {
            Some(name) => Ok(Model::pretrained(name)?.map(|model| model.with_origin(name))),
            None => Ok(None),
        }
    }

    /// A linear layer on the features of `model`.
    pub(super) fn head(model: Model, images: usize, settings: &LabelSettings) -> Self {
        let name = model.origin().unwrap_or("the model").to_owned();
        Self {
            judge: Judge::Head(Box::new(model)),
            course: Course {
                folds: settings.folds,
                models: 1,
                settings: TrainSettings {
                    epochs: SHOWN_TO_HEAD.div_ceil(images.max(1)).clamp(5, 200),
                    batch_size: 64,
                    learning_rate: 0.001,
                    weight_decay: 1.0,
                    label_smoothing: 0.1,
                    schedule: Schedule::one_cycle(),
                    seed: settings.seed,
                    ..TrainSettings::default()
                },
            },
            name,
        }
    }

    /// A small network, trained from scratch.
    ///
    /// # Errors
    /// If its text cannot be parsed, which is a mistake in this file.
    pub(super) fn network(
        dataset: &Dataset,
        subject: &Subject,
        settings: &LabelSettings,
    ) -> Result<Self> {
        let name = match dataset.shape().channels {
            1 => "mnist-cnn",
            _ => "tutorial",
        };
        Ok(Self {
            judge: Judge::Network(Network::resolve(name)?),
            course: Course {
                folds: settings.folds,
                models: 1,
                settings: TrainSettings {
                    augmentation: subject.usual_augmentation(),
                    label_smoothing: 0.1,
                    seed: settings.seed,
                    ..TrainSettings::default()
                },
            },
            name: name.into(),
        })
    }
}

/// "5 folds, and for each a linear layer on the features of efficientnet-lite0, 33 epochs".
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Course {
            folds,
            models,
            settings,
        } = &self.course;
        write!(f, "{folds} folds, and for each ")?;
        match (&self.judge, models) {
            (Judge::Head(_), _) => write!(f, "a linear layer on the features of {}", self.name)?,
            (Judge::Network(_), 1) => write!(f, "the network {}", self.name)?,
            (Judge::Network(_), models) => write!(f, "{models} networks {}", self.name)?,
        }
        match settings.epochs {
            1 => f.write_str(", 1 epoch"),
            epochs => write!(f, ", {epochs} epochs"),
        }
    }
}
