//! What judges the labels of a data set: the network that `hubel train` would begin with, in a short training that does not learn wrong labels by heart.
use std::fmt;

use super::LabelSettings;
use super::out_of_fold::{Course, Judge};
use crate::data::{Augmentation, Kind, Outlook};
use crate::{Dataset, Keep, Model, Network, Preparation, Result, Schedule, TrainSettings};

/// The models for a data set.
pub(super) struct Recipe {
    pub(super) judge: Judge,
    pub(super) course: Course,
    name: String,
}

/// Images to show to a linear layer on features.
const SHOWN_TO_HEAD: usize = 32_000;

/// Images to show to a network that is trained from scratch, but at least 4 epochs.
const SHOWN_TO_NETWORK: usize = 280_000;

/// Epochs for texts. After more, a network knows wrong labels by heart.
const TEXT_EPOCHS: usize = 5;

/// Networks for each fold. With 5 % wrong labels among 20,000 digits, the first 1,000 of the ranking were 97.5 % wrong ones with two networks, and 96.8 % with one.
const MODELS: usize = 2;

/// A network that learns digits in seconds.
const TWO_CONVOLUTIONS: &str = "conv(24, kernel=5)-relu-maxpool(2, round=floor)-conv(32)-relu-maxpool(2, round=floor)-flatten-linear(256)-relu-linear(classes)";

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
    /// If no network fits the shape of the samples.
    pub(super) fn network(dataset: &Dataset, settings: &LabelSettings) -> Result<Self> {
        let classes = dataset.classes().len();
        let input = Preparation::measure(dataset)?.input();
        let is_text = dataset.kind() == Kind::Texts;
        let networks: &[(&str, &str)] = match input.shape.channels {
            _ if is_text => &[("kim2014", "kim2014")],
            1 => &[("of two convolutions", TWO_CONVOLUTIONS), ("mlp", "mlp")],
            _ => &[("tutorial", "tutorial"), ("mlp", "mlp")],
        };
        let fits = |text: &str| Network::resolve(text)?.graph(input, classes);
        let (name, text) = *(networks.iter())
            .find(|(_, text)| fits(text).is_ok())
            .unwrap_or(&networks[0]);
        Ok(Self {
            judge: Judge::Network(Network::resolve(text)?),
            course: Course {
                folds: settings.folds,
                models: MODELS,
                settings: TrainSettings {
                    epochs: match is_text {
                        true => TEXT_EPOCHS,
                        false => (SHOWN_TO_NETWORK / dataset.len().max(1)).clamp(4, 40),
                    },
                    batch_size: 128.min(dataset.len().div_ceil(16)).max(2),
                    learning_rate: if is_text { 0.001 } else { 0.003 },
                    augmentation: Augmentation::none(),
                    label_smoothing: 0.1,
                    schedule: Schedule::one_cycle(),
                    keep: Keep::Last,
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
            (Judge::Network(_), 1) => write!(f, "a network ({}), trained from scratch", self.name)?,
            (Judge::Network(_), models) => {
                write!(f, "{models} networks ({}), trained from scratch", self.name)?;
            }
        }
        match settings.epochs {
            1 => f.write_str(", 1 epoch"),
            epochs => write!(f, ", {epochs} epochs"),
        }
    }
}
