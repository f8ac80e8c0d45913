//! Default phases of fine-tuning: measured in docs/benchmarks/2026-11-29-transfer.txt.
use super::{Phase, TrainSettings};
use crate::data::Mixing;
use crate::features::last_of_the_body;
use crate::network::FRAME_FEATURES;
use crate::{Model, Result, Schedule};

/// Images per step: with frozen layers, and when all layers are trained.
const BATCH: [usize; 2] = [64, 32];

/// Images to show while only the last layer is trained, but at least [`LEAST_EPOCHS`] epochs: these take almost no time.
const SHOWN_TO_HEAD: usize = 32_000;

/// The same when several layers are trained.
const SHOWN_TO_LAYERS: usize = 8_000;

/// The fewest epochs of a phase with frozen layers.
const LEAST_EPOCHS: usize = 5;

/// The most epochs of such a phase.
const MOST_EPOCHS: usize = 200;

/// Total number of versions of all pictures whose features are computed, if each picture has more than one.
const VERSIONS_SHOWN: usize = 1_000;

/// The most versions of a picture.
const MOST_VERSIONS: usize = 8;

/// From this many images on, the last phase trains all layers; with fewer images it would overfit.
const ENOUGH_FOR_ALL: usize = 500;

/// Images to show while all layers are trained, in 1 to [`MOST_EPOCHS_OF_ALL`] epochs: each takes five times as long as its features.
const SHOWN_TO_ALL: usize = 10_000;

/// The most epochs for all layers.
const MOST_EPOCHS_OF_ALL: usize = 3;

impl Phase {
    /// The default phases for `images` training images: first only the last layer is trained; then, if there are enough images, all layers. Of a model that
    /// [reads clips](Model::along_time) only the layers along time are trained: training all layers would take as long as for all frames. Uses
    /// seed, augmentation, accumulation, class balance and weights, label smoothing and precision of `settings`, and its mixing for phases without
    /// frozen layers.
    ///
    /// # Errors
    /// If the network of the model is damaged.
    pub fn usual(model: &Model, images: usize, settings: &TrainSettings) -> Result<Vec<Self>> {
        let head = Self::of_head(model, images, settings)?;
        let is_head_enough = head.frozen.as_deref() == Some(FRAME_FEATURES);
        Ok(match images < ENOUGH_FOR_ALL || is_head_enough {
            true => vec![head],
            false => vec![head, Self::of_all(images, settings)],
        })
    }

    /// Trains only the last layer, on the features of `images` training images; as for [`Phase::usual`].
    ///
    /// # Errors
    /// As for [`Phase::usual`].
    pub fn of_head(model: &Model, images: usize, settings: &TrainSettings) -> Result<Self> {
        let graph = model.graph()?;
        let layer = graph.nodes[last_of_the_body(&graph)].name.clone();
        let settings = TrainSettings {
            learning_rate: 0.001,
            weight_decay: 1.0,
            ..settings.clone()
        };
        Ok(Self::of_kept(layer, images, SHOWN_TO_HEAD, settings))
    }

    /// Trains the layers after `layer`, on the features of `images` training images; as for [`Phase::usual`].
    pub fn after(layer: String, images: usize, settings: &TrainSettings) -> Self {
        let settings = TrainSettings {
            learning_rate: 0.0005,
            weight_decay: 0.05,
            ..settings.clone()
        };
        Self::of_kept(layer, images, SHOWN_TO_LAYERS, settings)
    }

    /// Trains the layers after `layer`, on the features of `images` training images, until this number is `shown`.
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
                schedule: Schedule::one_cycle(),
                mixing: Mixing::None,
                ..settings
            },
            versions,
            first_rate: 1.0,
            keeps_statistics: true,
        }
    }

    /// Trains all layers, the first at a tenth of the rate of the last. Batch norms keep their statistics. As for [`Phase::usual`].
    pub fn of_all(images: usize, settings: &TrainSettings) -> Self {
        Self {
            frozen: None,
            settings: TrainSettings {
                epochs: (SHOWN_TO_ALL / images.max(1)).clamp(1, MOST_EPOCHS_OF_ALL),
                batch_size: BATCH[1],
                learning_rate: 0.0005,
                schedule: Schedule::one_cycle(),
                weight_decay: 0.05,
                ..settings.clone()
            },
            versions: 0,
            first_rate: 0.1,
            keeps_statistics: true,
        }
    }
}
