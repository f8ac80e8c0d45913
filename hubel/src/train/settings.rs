//! The settings of training, and their checks.
use std::fmt;
use std::str::FromStr;

use super::pace::Pace;
use super::{Phase, class_weights};
use crate::data::{Augmentation, Balance, Mixing};
use crate::network::{Initialisation, Node, Operation};
use crate::{Dataset, Error, Optimizer, PlateauState, Result, Schedule, WarmUp};

/// Which weights training returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The best with at least [`Keep::DECIDING`] validation images, else the last.
    #[default]
    Auto,
    /// Those of the last step.
    Last,
    /// Those of the epoch with the highest accuracy on the validation images; at equal accuracy, those with the lower loss. If classes are
    /// [balanced](TrainSettings::balance), the balanced accuracy decides.
    Best,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Last => "last",
            Self::Best => "best",
        })
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Auto, Self::Last, Self::Best]
            .into_iter()
            .find(|keep| keep.to_string() == text)
            .ok_or_else(|| Error::Settings {
                problem: format!("`{text}` are no weights to keep; use auto, best or last"),
            })
    }
}

impl Keep {
    /// With at least this many validation images, [`Keep::Auto`] lets them decide. With fewer, the best of many epochs would mostly be the luckiest.
    pub const DECIDING: usize = 100;

    /// Whether the best weights are kept, with this number of validation images.
    pub(super) fn is_best(self, images: usize) -> bool {
        match self {
            Self::Auto => images >= Self::DECIDING,
            Self::Best => true,
            Self::Last => false,
        }
    }
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
    /// The steps at the beginning in which the learning rate rises to that of the schedule. `None` starts with the full rate. In a run with several phases, it is
    /// a setting of each phase.
    pub warm_up: Option<WarmUp>,
    /// Weight decay (not for biases and batch norms).
    pub weight_decay: f32,
    /// The largest norm of a step's gradient, over all trained parameters; a larger gradient is scaled down to it
    /// (`torch.nn.utils.clip_grad_norm_`). `None` does not measure the norm.
    pub clip: Option<f32>,
    /// Label smoothing: the share of the target that is spread over all classes.
    pub label_smoothing: f32,
    /// The seed of all random numbers: initial weights, order, augmentation, dropout.
    pub seed: u64,
    /// Random changes to the training pictures.
    pub augmentation: Augmentation,
    /// Training and its schedule end within this many minutes; [`epochs`](Self::epochs) is not used. How many steps fit is measured while it runs.
    /// It counts from the first step, with validation and checkpoints. In a run with several phases, it is a setting of each phase.
    pub minutes: Option<f64>,
    /// Repeats the steps of a training with a time limit, see [`Trainer::pace`](crate::Trainer::pace). It replaces [`epochs`](Self::epochs) and [`minutes`](Self::minutes).
    pub pace: Option<Pace>,
    /// Mixtures of the training pictures with each other, after augmentation. If a phase of a [`Trainer`](crate::Trainer) trains on kept
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
    /// Which weights are kept at the end. [`Keep::Best`] needs validation images.
    pub keep: Keep,
    /// The decay of the exponential moving average of the weights, such as 0.999; `None` for no average. The averaged weights are validated and
    /// kept, with averaged statistics of batch norms. The decay of the first steps is smaller: (1 + n) / (10 + n) for step n, counted from 0.
    pub average: Option<f32>,
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
            optimizer: Optimizer::adam_w(),
            schedule: Schedule::one_cycle(),
            warm_up: None,
            weight_decay: 0.01,
            clip: None,
            label_smoothing: 0.0,
            seed: 1,
            augmentation: Augmentation::default(),
            minutes: None,
            pace: None,
            mixing: Mixing::None,
            balance: Balance::None,
            class_weights: None,
            initialisation: Initialisation::default(),
            precise: false,
            keep: Keep::Auto,
            average: None,
            patience: None,
        }
    }
}

impl TrainSettings {
    /// The learning rate of a step.
    ///
    /// # Errors
    /// [`Error::Settings`] if the schedule gives a rate that is negative, NaN or infinite, or if the warm-up is as long as training.
    pub(super) fn learning_rate_at(&self, moment: Moment, plateau: &PlateauState) -> Result<f32> {
        let (step, steps) = (moment.step, moment.steps);
        // The end of a phase with a time limit is only planned.
        let known = moment.progress.is_none().then_some(steps);
        if let Some(problem) = (self.warm_up).and_then(|warm_up| warm_up.problem(known)) {
            return Err(Error::Settings { problem });
        }
        let (scheduled_step, scheduled_steps) = moment.of_schedule();
        let rise = (self.warm_up).map_or(1.0, |warm_up| match warm_up {
            WarmUp::Steps(_) => warm_up.factor(step, steps),
            WarmUp::Share(_) => warm_up.factor(scheduled_step, scheduled_steps),
        });
        let scheduled =
            (self.schedule).learning_rate(self.learning_rate, scheduled_step, scheduled_steps);
        let rate = rise * plateau.factor() * scheduled;
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

/// A step of a phase, and where the schedule is then.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Counted from 0.
    pub(super) step: u64,
    pub(super) steps: u64,
    /// How far the schedule is, from 0 to 1, if it does not advance evenly.
    pub(super) progress: Option<f64>,
}

impl Moment {
    /// The step and the number of steps for a schedule.
    fn of_schedule(&self) -> (u64, u64) {
        /// Fine enough for any schedule.
        const PARTS: u64 = 1 << 30;
        match self.progress {
            None => (self.step, self.steps),
            Some(progress) => ((progress * PARTS as f64) as u64, PARTS),
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
    let has_plateau = matches!(settings.schedule, Schedule::Plateau { .. });
    let has_validation = validation.is_some_and(|validation| !validation.is_empty());
    let methods = (settings.optimizer.problem())
        .or_else(|| settings.schedule.problem())
        .or_else(|| settings.warm_up?.problem(None));
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
    } else if let Some(problem) = methods {
        problem
    } else if !(settings.weight_decay >= 0.0 && settings.weight_decay.is_finite()) {
        format!(
            "a weight decay of {} does not pull weights towards 0; give a number from 0 (none) on, such as {}",
            settings.weight_decay,
            TrainSettings::default().weight_decay
        )
    } else if let Some(clip) = settings
        .clip
        .filter(|clip| !(*clip > 0.0 && clip.is_finite()))
    {
        format!(
            "a norm of {clip} is no limit for a gradient; give a positive number, such as 1, or none to leave gradients as they are"
        )
    } else if !fraction.contains(&settings.label_smoothing) {
        format!(
            "a label smoothing of {} is no share of the target; give a number from 0 (none) to less than 1",
            settings.label_smoothing
        )
    } else if let Some(minutes) =
        (settings.minutes).filter(|minutes| !(0.0..1e6).contains(minutes) || *minutes == 0.0)
    {
        format!("{minutes} minutes are no time to train in; give a positive number")
    } else if (settings.pace.as_ref()).is_some_and(|pace| pace.plans().is_empty()) {
        "a pace without a plan says nothing; give that of a training with a time limit, or none"
            .into()
    } else if (settings.average).is_some_and(|decay| !fraction.contains(&decay)) {
        format!(
            "a decay of {} gives no average of weights; give a number from 0 to less than 1, such as 0.999",
            settings.average.unwrap_or_default()
        )
    } else if settings.accumulate == 0 {
        "a step of 0 batches has no gradient (the setting `accumulate`); give at least 1".into()
    } else if let Some(problem) = class_weights::problem(settings, train) {
        problem
    } else if settings.patience == Some(0) {
        "a patience of 0 epochs waits for no progress; give at least 1, or none to train for all epochs".into()
    } else if has_plateau && !has_validation {
        "nothing is held out for validation, and the schedule `plateau` watches the validation loss; hold a part out (`validation = 0.1`), or choose another schedule (`schedule = cosine`)".into()
    } else if compares && !has_validation {
        "nothing is held out for validation, to find the best weights; hold a part out (`validation = 0.1`), or leave out the setting `keep` and the setting `patience`".into()
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
        1 => "each step has one example".to_owned(),
        _ => format!("the last step of an epoch has one of the {images} examples"),
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
        let adam = |beta1, beta2, epsilon| Optimizer::Adam {
            beta1,
            beta2,
            epsilon,
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
            refused.push((
                TrainSettings {
                    label_smoothing: share,
                    ..usual()
                },
                "label smoothing of",
            ));
            let lion = |beta1, beta2| Optimizer::Lion { beta1, beta2 };
            let rms_prop = |alpha, momentum| Optimizer::RmsProp {
                alpha,
                epsilon: 1e-8,
                momentum,
            };
            let muon = |momentum| Optimizer::Muon {
                momentum,
                nesterov: true,
                adam_rate: 0.1,
            };
            for (optimizer, part) in [
                (sgd(share), "a momentum of"),
                (adam(share, 0.9, 1e-8), "a β1 of"),
                (adam(0.9, share, 1e-8), "a β2 of"),
                (lion(share, 0.9), "a β1 of"),
                (lion(0.9, share), "a β2 of"),
                (rms_prop(share, 0.0), "an α of"),
                (rms_prop(0.9, share), "a momentum of"),
                (muon(share), "a momentum of"),
            ] {
                refused.push((
                    TrainSettings {
                        optimizer,
                        ..usual()
                    },
                    part,
                ));
            }
            let linear = |start, rise, end| Schedule::Linear { start, rise, end };
            let plateau = |factor, threshold| Schedule::Plateau {
                factor,
                patience: 3,
                threshold,
            };
            let too_large = if share == 1.0 { 1.1 } else { share };
            for (schedule, part) in [
                (linear(0.0, share, 0.0), "cannot rise for"),
                (linear(too_large, 0.1, 0.0), "at the start or the end"),
                (linear(0.0, 0.1, too_large), "at the start or the end"),
                (plateau(share, 0.1), "a factor of"),
                (plateau(0.1, share), "a threshold of"),
                (
                    Schedule::Step {
                        at: vec![0.5, too_large],
                        factor: 0.1,
                    },
                    "cannot fall at",
                ),
            ] {
                refused.push((
                    TrainSettings {
                        schedule,
                        ..usual()
                    },
                    part,
                ));
            }
            refused.push((
                TrainSettings {
                    warm_up: Some(WarmUp::Share(share)),
                    ..usual()
                },
                "a warm-up of",
            ));
        }
        for positive in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            refused.push((
                TrainSettings {
                    clip: Some(positive),
                    ..usual()
                },
                "a norm of",
            ));
            refused.push((
                TrainSettings {
                    optimizer: adam(0.9, 0.999, positive),
                    ..usual()
                },
                "ε is",
            ));
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
    fn a_plateau_without_validation_images_and_a_warm_up_without_end_are_refused() -> Result<()> {
        let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
        let dataset = Dataset::from_arrays(&[0.5; 20 * 4], Shape::new(2, 2, 1), &labels)?;
        let train = |schedule: Schedule, warm_up, validation| {
            let settings = TrainSettings {
                epochs: 2,
                batch_size: 5,
                schedule,
                warm_up,
                ..TrainSettings::default()
            };
            let network = Network::parse("flatten-fc(classes)")?;
            let trainer = Trainer::new(Cpu::best(1), network, &dataset, validation, settings);
            trainer?.run(&mut |_| std::ops::ControlFlow::Continue(()))
        };
        let plateau = train(Schedule::plateau(), None, None);
        assert!(plateau.is_err_and(|error| error.to_string().contains("`validation = 0.1`")));
        train(Schedule::plateau(), None, Some(&dataset))?;
        let long = train(Schedule::Cosine, Some(WarmUp::Steps(8)), None);
        let problem = long.expect_err("it is refused").to_string();
        assert!(
            problem.contains("because training has 8 steps"),
            "{problem}"
        );
        train(Schedule::Cosine, Some(WarmUp::Steps(7)), None)?;
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
