//! The settings of training, and their checks.
use super::{Phase, class_weights};
use crate::data::{Augmentation, Balance, Mixing};
use crate::network::{Initialisation, Node, Operation};
use crate::{Dataset, Error, Optimizer, Result, Schedule};

/// Which weights training returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those of the last step.
    #[default]
    Last,
    /// Those of the epoch with the highest accuracy on the validation images; at equal accuracy, those with the lower loss. If classes are
    /// [balanced](TrainSettings::balance), the balanced accuracy decides.
    Best,
}

/// The settings of training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Number of passes over the training images.
    pub epochs: usize,
    /// Images per batch, and per step unless [`TrainSettings::accumulate`] says otherwise.
    pub batch_size: usize,
    /// Gradient accumulation: batches per step. Their gradients are averaged, each by its number of images, before one update of the weights.
    /// So a step is like one of a batch that would not fit into memory, up to rounding (1e-5 of the largest gradient), except that batch
    /// norms compute their statistics from each small batch, and images are mixed within it. The last step of an epoch has the batches that
    /// are left. Epochs, steps, the schedule and events count steps.
    pub accumulate: usize,
    /// The learning rate, or the largest one of the schedule.
    pub learning_rate: f32,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The schedule of the learning rate.
    pub schedule: Schedule,
    /// Weight decay (not for biases and batch norms).
    pub weight_decay: f32,
    /// Label smoothing: the share of the target that is spread over all classes.
    pub label_smoothing: f32,
    /// The seed of all random numbers: initial weights, order, augmentation, dropout.
    pub seed: u64,
    /// Random changes to the training pictures.
    pub augmentation: Augmentation,
    /// Mixtures of the training pictures with each other, after augmentation. If a phase of a [`Transfer`](crate::Transfer) trains on kept
    /// features of frozen layers, mixup mixes these (as in Verma et al. 2019), and CutMix is refused.
    pub mixing: Mixing,
    /// How classes of very different size are balanced.
    pub balance: Balance,
    /// How much each class counts in the loss, in the order of [`Dataset::classes`]; see also [`class_weights`](crate::class_weights). Only the
    /// ratios matter. `None`: all the same, unless [`Balance::Loss`] computes weights, which excludes weights by hand.
    pub class_weights: Option<Vec<f32>>,
    /// The initialisation of the weights.
    pub initialisation: Initialisation,
    /// Whether convolutions avoid Winograd.
    pub precise: bool,
    /// Which weights are kept at the end. [`Keep::Best`] needs validation images. A [`Transfer`](crate::Transfer) with many validation images always keeps the
    /// best, see [`Transfer::DECIDING`](crate::Transfer::DECIDING).
    pub keep: Keep,
    /// Early stopping: training ends after this many epochs without better weights, compared as in [`Keep::Best`]. `None` trains
    /// for all epochs. Needs validation images. The learning rate schedule still spans all epochs, so [`Schedule::Constant`] fits best.
    pub patience: Option<usize>,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 3,
            batch_size: 128,
            accumulate: 1,
            learning_rate: 0.002,
            optimizer: Optimizer::AdamW,
            schedule: Schedule::OneCycle,
            weight_decay: 0.01,
            label_smoothing: 0.0,
            seed: 1,
            augmentation: Augmentation::default(),
            mixing: Mixing::None,
            balance: Balance::None,
            class_weights: None,
            initialisation: Initialisation::default(),
            precise: false,
            keep: Keep::Last,
            patience: None,
        }
    }
}

impl TrainSettings {
    /// The learning rate of a step, counted from 0, of `steps`.
    ///
    /// # Errors
    /// [`Error::Settings`] if the schedule gives a rate that is negative, NaN or infinite.
    pub(super) fn learning_rate_at(&self, step: usize, steps: usize) -> Result<f32> {
        let peak = self.learning_rate;
        let rate = (self.schedule).learning_rate(peak, step as u64, steps as u64);
        match rate >= 0.0 && rate.is_finite() {
            true => Ok(rate),
            false => Err(Error::Settings {
                problem: format!(
                    "the schedule gives step {step} a learning rate of {rate}; it must be a number from 0 on"
                ),
            }),
        }
    }
}

/// Refuses settings with invalid values, and those that need validation images if there are none.
///
/// # Errors
/// [`Error::Settings`], with valid values.
pub(super) fn check(
    settings: &TrainSettings,
    train: &Dataset,
    validation: Option<&Dataset>,
) -> Result<()> {
    let compares = settings.keep == Keep::Best || settings.patience.is_some();
    let fraction = 0.0..1.0;
    let momentum = match settings.optimizer {
        Optimizer::Sgd { momentum, .. } => momentum,
        Optimizer::AdamW => 0.0,
    };
    settings.mixing.check()?;
    let problem = if settings.epochs == 0 {
        "0 epochs train nothing; give at least 1".into()
    } else if settings.epochs.checked_mul(train.len()).is_none() {
        format!(
            "{} epochs are more than can be counted; give fewer",
            settings.epochs
        )
    } else if !(settings.learning_rate > 0.0 && settings.learning_rate.is_finite()) {
        format!(
            "a learning rate of {} does not train; give a positive number, such as {}",
            settings.learning_rate,
            TrainSettings::default().learning_rate
        )
    } else if !fraction.contains(&momentum) {
        format!(
            "a momentum of {momentum} does not settle; give a number from 0 to less than 1, such as 0.9"
        )
    } else if !(settings.weight_decay >= 0.0 && settings.weight_decay.is_finite()) {
        format!(
            "a weight decay of {} does not pull weights towards 0; give a number from 0 (none) on, such as {}",
            settings.weight_decay,
            TrainSettings::default().weight_decay
        )
    } else if !fraction.contains(&settings.label_smoothing) {
        format!(
            "a label smoothing of {} is no share of the target; give a number from 0 (none) to less than 1",
            settings.label_smoothing
        )
    } else if settings.accumulate == 0 {
        "a step of 0 batches has no gradient (the setting `accumulate`); give at least 1".into()
    } else if let Some(problem) = class_weights::problem(settings, train) {
        problem
    } else if settings.patience == Some(0) {
        "a patience of 0 epochs waits for no progress; give at least 1, or none to train for all epochs".into()
    } else if compares && validation.is_none_or(Dataset::is_empty) {
        "no images are held out as validation images, to find the best weights; hold some out (`validation = 0.1`), or leave out the setting `keep` and the setting `patience`".into()
    } else {
        return Ok(());
    };
    Err(Error::Settings { problem })
}

/// Refuses CutMix for features of frozen layers.
///
/// # Errors
/// [`Error::Settings`]
pub(super) fn check_mixing(phase: &Phase) -> Result<()> {
    let layer = phase.frozen.as_deref().filter(|_| phase.versions > 0);
    match layer.filter(|_| phase.settings.mixing.cuts()) {
        None => Ok(()),
        Some(layer) => Err(Error::Settings {
            problem: format!(
                "CutMix cuts pictures, but the layers after `{layer}` are trained on kept features, which have no rectangles of a picture; \
                 use mixup, or freeze no layers"
            ),
        }),
    }
}

/// Refuses steps in which a batch norm has one value per channel (one image, a map of 1×1): the mean is that value itself, so the
/// output is always the shift. PyTorch refuses the same.
pub(super) fn refuse_constants(nodes: &[Node], images: usize, batch_size: usize) -> Result<()> {
    let is_alone = |batch: usize| batch == 1 || images % batch == 1;
    let of_one_pixel = nodes.iter().find(|node| {
        let is_normalisation = matches!(node.operation, Operation::BatchNorm { .. });
        is_normalisation && node.shape.height * node.shape.width == 1
    });
    let Some(layer) = of_one_pixel.filter(|_| is_alone(batch_size)) else {
        return Ok(());
    };
    let step = match batch_size {
        1 => "each step has one image".to_owned(),
        _ => format!("the last step of an epoch has one of the {images} images"),
    };
    let near = (1..images).flat_map(|away| [batch_size + away, batch_size.saturating_sub(away)]);
    let other = near
        .into_iter()
        .find(|&batch| batch > 1 && !is_alone(batch));
    Err(Error::Settings {
        problem: format!(
            "layer {} normalises maps of 1×1, and {step}: from one value it gives a constant, from which nothing is learnt; \
             give a batch size of {}, or leave out that batch norm",
            layer.name,
            other.unwrap_or(images)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Network, Shape, Trainer};

    #[test]
    fn settings_out_of_range_are_refused_with_what_to_give() -> Result<()> {
        let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
        let dataset = Dataset::from_arrays(&[0.5; 20 * 4], Shape::new(2, 2, 1), &labels)?;
        let usual = TrainSettings::default;
        let sgd = |momentum| Optimizer::Sgd {
            momentum,
            nesterov: true,
        };
        let mut refused = vec![
            (
                TrainSettings {
                    epochs: 0,
                    ..usual()
                },
                "0 epochs",
            ),
            (
                TrainSettings {
                    epochs: usize::MAX,
                    ..usual()
                },
                "epochs are more",
            ),
            (
                TrainSettings {
                    batch_size: 0,
                    ..usual()
                },
                "batch size of 0",
            ),
        ];
        for learning_rate in [0.0, -0.1, f32::NAN, f32::INFINITY] {
            refused.push((
                TrainSettings {
                    learning_rate,
                    ..usual()
                },
                "learning rate of",
            ));
        }
        for share in [-0.1, 1.0, f32::NAN] {
            refused.extend([
                (
                    TrainSettings {
                        label_smoothing: share,
                        ..usual()
                    },
                    "label smoothing of",
                ),
                (
                    TrainSettings {
                        optimizer: sgd(share),
                        ..usual()
                    },
                    "momentum of",
                ),
            ]);
        }
        for weight_decay in [-0.1, f32::NAN, f32::INFINITY] {
            refused.push((
                TrainSettings {
                    weight_decay,
                    ..usual()
                },
                "weight decay of",
            ));
        }
        refused.extend([
            (
                TrainSettings {
                    accumulate: 0,
                    ..usual()
                },
                "step of 0 batches",
            ),
            (
                TrainSettings {
                    mixing: Mixing::Mixup { alpha: 0.0 },
                    ..usual()
                },
                "alpha of 0",
            ),
            (
                TrainSettings {
                    class_weights: Some(vec![1.0; 3]),
                    ..usual()
                },
                "3 class weights do not fit 2 classes",
            ),
            (
                TrainSettings {
                    class_weights: Some(vec![1.0, 0.0]),
                    ..usual()
                },
                "a weight of 0 for the class `1`",
            ),
        ]);
        for (settings, part) in refused {
            let network = Network::parse("flatten-fc(classes)")?;
            let trainer = Trainer::new(Cpu::best(1), network, &dataset, None, settings);
            let Err(Error::Settings { problem }) = trainer else {
                panic!("{part} was accepted");
            };
            assert!(
                problem.contains(part) && problem.contains("; give "),
                "{problem}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_step_of_one_image_before_a_normalisation_of_one_pixel_is_refused_and_the_advice_works() {
        let of = |images: usize, batch_size: usize, text: &str| {
            let labels: Vec<usize> = (0..images).map(|i| i % 2).collect();
            let pixels: Vec<f32> = (0..images * 16).map(|i| (i % 7) as f32 / 7.0).collect();
            let dataset = Dataset::from_arrays(&pixels, Shape::new(4, 4, 1), &labels).unwrap();
            let settings = TrainSettings {
                batch_size,
                ..TrainSettings::default()
            };
            let network = Network::parse(text).unwrap();
            Trainer::new(Cpu::best(1), network, &dataset, None, settings).err()
        };
        let pooled = "conv(3)-globalavgpool-batchnorm-fc(classes)";
        for (images, batch_size, advice) in [(9, 1, 3), (9, 4, 5), (9, 8, 9), (7, 2, 4), (2, 1, 2)]
        {
            let Some(Error::Settings { problem }) = of(images, batch_size, pooled) else {
                panic!("{batch_size} of {images} is accepted");
            };
            let way_out = format!("give a batch size of {advice},");
            assert!(problem.contains(&way_out), "{problem}");
            assert!(of(images, advice, pooled).is_none());
        }
        assert!(of(9, 1, "conv(3)-batchnorm-globalavgpool-fc(classes)").is_none());
        assert!(of(9, 2, "globalavgpool-fc(classes)").is_none());
    }
}
