//! How a model is usually trained on: measured in docs/benchmarks/2026-11-29-transfer.txt.
use super::{Phase, TrainSettings};
use crate::features::before_the_head;
use crate::{Model, Result, Schedule};

/// Images of a step: where layers are frozen, and where all learn.
const BATCH: [usize; 2] = [64, 32];

/// Images shown while the last layer alone learns, unless each is to be seen [`LEAST_EPOCHS`] times: epochs of it take next to no time.
const SHOWN_TO_HEAD: usize = 32_000;

/// The same of several layers.
const SHOWN_TO_LAYERS: usize = 8_000;

/// The fewest epochs of a phase in which layers are frozen.
const LEAST_EPOCHS: usize = 5;

/// The most epochs of such a phase.
const MOST_EPOCHS: usize = 200;

/// Versions of all pictures together that frozen layers are to see, where each picture has more than one.
const VERSIONS_SHOWN: usize = 1_000;

/// The most versions of a picture.
const MOST_VERSIONS: usize = 8;

/// From so many images on, all layers are trained in the end; of fewer they would learn too much by heart.
const ENOUGH_FOR_ALL: usize = 500;

/// Images shown while all layers learn, in 1 to [`MOST_EPOCHS_OF_ALL`] epochs: each takes five times as long as its features.
const SHOWN_TO_ALL: usize = 10_000;

/// The most epochs of all layers.
const MOST_EPOCHS_OF_ALL: usize = 3;

impl Phase {
    /// The phases that suit `images` training images: first the last layer learns, and, where there are enough images for it, then all do. Of `settings`
    /// seed, augmentation, class balance, label smoothing and precision are taken.
    ///
    /// # Errors
    /// Where the network of the model is damaged.
    pub fn usual(model: &Model, images: usize, settings: &TrainSettings) -> Result<Vec<Self>> {
        let head = Self::of_head(model, images, settings)?;
        Ok(match images < ENOUGH_FOR_ALL {
            true => vec![head],
            false => vec![head, Self::of_all(images, settings)],
        })
    }

    /// The last layer learns, from what all others make of `images` training images; as of [`Phase::usual`].
    ///
    /// # Errors
    /// As of [`Phase::usual`].
    pub fn of_head(model: &Model, images: usize, settings: &TrainSettings) -> Result<Self> {
        let graph = model.graph()?;
        let layer = graph.nodes[before_the_head(&graph)].name.clone();
        let settings = TrainSettings {
            learning_rate: 0.001,
            weight_decay: 1.0,
            ..settings.clone()
        };
        Ok(Self::of_kept(layer, images, SHOWN_TO_HEAD, settings))
    }

    /// All layers after one learn, from what the others make of `images` training images; as of [`Phase::usual`].
    pub fn after(layer: String, images: usize, settings: &TrainSettings) -> Self {
        let settings = TrainSettings {
            learning_rate: 0.0005,
            weight_decay: 0.05,
            ..settings.clone()
        };
        Self::of_kept(layer, images, SHOWN_TO_LAYERS, settings)
    }

    /// What comes after a layer learns, from what the others make of `images` training images, until so many are `shown`.
    fn of_kept(layer: String, images: usize, shown: usize, settings: TrainSettings) -> Self {
        let versions = match settings.augmentation.is_none() {
            true => 1,
            false => (VERSIONS_SHOWN / images.max(1)).clamp(1, MOST_VERSIONS),
        };
        let epochs = shown.div_ceil(versions * images.max(1));
        Self {
            frozen: Some(layer),
            settings: TrainSettings {
                epochs: epochs.clamp(LEAST_EPOCHS, MOST_EPOCHS),
                batch_size: BATCH[0],
                schedule: Schedule::OneCycle,
                ..settings
            },
            versions,
            first_rate: 1.0,
            keeps_statistics: true,
        }
    }

    /// All layers learn, the first at a tenth of the rate of the last; batch normalisations stay as they are. As of [`Phase::usual`].
    pub fn of_all(images: usize, settings: &TrainSettings) -> Self {
        Self {
            frozen: None,
            settings: TrainSettings {
                epochs: (SHOWN_TO_ALL / images.max(1)).clamp(1, MOST_EPOCHS_OF_ALL),
                batch_size: BATCH[1],
                learning_rate: 0.0005,
                schedule: Schedule::OneCycle,
                weight_decay: 0.05,
                ..settings.clone()
            },
            versions: 0,
            first_rate: 0.1,
            keeps_statistics: true,
        }
    }
}
