//! `hubel train`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hubel::data::{Balance, Mirrored, Subject};
use hubel::network::Initialisation;
use hubel::{Keep, Model, Optimizer, Phase, Schedule, TrainSettings};

use super::values::{at_least_1, fraction, model_folder, network, not_negative, parsed, positive};
use super::{Processor, TrainingData};

/// `hubel train`
#[derive(Args)]
// A negative number is a wrong value of its flag and not an unknown flag.
#[command(allow_negative_numbers = true)]
#[command(after_help = "\
Examples:
  hubel train
  hubel train photos/                     goes on from a network that knows photographs, where the pictures are few
  hubel train photos/ --from none         begins with nothing
  hubel train photos/ --from runs/animals --freeze none
  hubel train --model lenet5 --epochs 3 --seed 7
  hubel train --model '[conv(16, padding=same)-relu-pool]x2-flatten-fc(classes)' --out runs/small
  hubel train --model mlp --optimizer sgd --learning-rate 0.05 --schedule cosine

Defaults of epochs, rates and decay are those of a training that begins with nothing; one that goes on from a model says its epochs. \
Small grey pictures are: grey ones of at most 32x32, or of any size on a ground that is nearly black or nearly white.
What is learnt so far is saved in last.safetensors in the model's folder: after the first epoch, then once a minute, and when training is stopped. \
Ctrl-C stops it after the step (exit code 130), SIGTERM and a closed terminal too (143, 129), unless nohup started it; a second Ctrl-C leaves at once. \
At the end model.safetensors takes its place.")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// A network by name or as text, which begins with nothing [default: see --from; where training begins with nothing mnist-cnn for grey pictures, tutorial for colour]
    #[arg(long, short, value_name = "NAME|TEXT", value_parser = network)]
    pub(crate) model: Option<String>,
    /// Which layers stay as they are in training that goes on from a model: all (but the last), none, or all up to and including LAYER
    /// [default: first all, then, where there are enough pictures, none]
    #[arg(long, value_name = "all|none|LAYER")]
    pub(crate) freeze: Option<String>,
    /// Of how many versions of each picture what frozen layers make of it is computed and kept: one as it is, the others changed at random
    /// [default: up to 8, the fewer the more pictures there are]
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) versions: Option<usize>,
    /// How often each training image is seen [default: 30; for small grey pictures as many as show 600,000 images, of writing 170,000, from 3 to 100]
    #[arg(long, short, value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// The highest learning rate of the schedule [default: 0.002; with sgd 0.05]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) learning_rate: Option<f32>,
    /// How weights follow their gradients (sgd: with Nesterov momentum) [default: adamw]
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Momentum of --optimizer sgd [default: 0.9]
    #[arg(long, value_parser = fraction)]
    pub(crate) momentum: Option<f32>,
    /// How the learning rate moves over the run
    /// [default: onecycle]
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// Pull of the weights towards 0
    /// [default: 0.15, for small grey pictures 0.01; with sgd 0.0005]
    #[arg(long, value_name = "DECAY", value_parser = not_negative)]
    pub(crate) weight_decay: Option<f32>,
    /// Probability spread over all classes in the targets
    /// [default: 0.1, for small grey pictures 0]
    #[arg(long, value_name = "SHARE", value_parser = fraction)]
    pub(crate) label_smoothing: Option<f32>,
    /// How weights begin (he: He normal before ReLU and its like, Xavier elsewhere; pytorch: uniform within ±1/√inputs)
    /// [default: he]
    #[arg(long, value_enum)]
    pub(crate) initialisation: Option<InitialisationName>,
    /// What is done about classes of very different size: none, loss (rare ones weigh more), sample (rare ones come more often); judge by the balanced accuracy
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// Keep the weights of the epoch that was best on the validation images, not the last ones; training that goes on from a model does so
    /// anyway from 100 such images on
    #[arg(long)]
    pub(crate) keep_best: bool,
    /// End after so many epochs in which the validation images showed no progress [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = at_least_1)]
    pub(crate) patience: Option<usize>,
    /// No Winograd: compute every product of each convolution; smaller rounding errors, slower
    #[arg(long)]
    pub(crate) precise: bool,
    /// Folder for the model [default: a new one, such as runs/photos-efficientnet-lite0]
    #[arg(long, short, value_name = "DIR", value_parser = model_folder)]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: test_accuracy, seconds, model, epochs, stopped_at …
    #[arg(long)]
    pub(crate) json: bool,
}

impl Train {
    /// What the trainer is to do with so many `images` of a subject.
    ///
    /// # Errors
    /// When the augmentation cannot be read.
    pub(crate) fn settings(
        &self,
        subject: &Subject,
        images: usize,
    ) -> hubel::Result<TrainSettings> {
        let (usual, kind) = (usual(), usual_for(subject));
        let optimizer = self.optimizer().unwrap_or(usual.optimizer);
        let usual_rate = match (optimizer, usual.optimizer) {
            (Optimizer::Sgd { .. }, Optimizer::Sgd { .. })
            | (Optimizer::AdamW, Optimizer::AdamW) => usual.learning_rate,
            (Optimizer::Sgd { .. }, _) => 0.05,
            _ => 0.002,
        };
        // SGD's decay is a part of the gradient, and works far more strongly: what is usual for networks of this kind.
        let usual_decay = match optimizer {
            Optimizer::Sgd { .. } => 0.0005,
            _ => kind.weight_decay,
        };
        Ok(TrainSettings {
            epochs: self.epochs.unwrap_or_else(|| usual_epochs(subject, images)),
            batch_size: self.data.batch_size(subject),
            learning_rate: self.learning_rate.unwrap_or(usual_rate),
            optimizer,
            schedule: self.schedule.map_or(usual.schedule, Schedule::from),
            weight_decay: self.weight_decay.unwrap_or(usual_decay),
            label_smoothing: self.label_smoothing.unwrap_or(kind.label_smoothing),
            seed: self.data.seed,
            augmentation: self.data.augmentation(subject)?,
            balance: self.balance,
            initialisation: match self.initialisation {
                None | Some(InitialisationName::He) => Initialisation::HeOrXavier,
                Some(InitialisationName::Pytorch) => Initialisation::PyTorch,
            },
            precise: self.precise,
            keep: self.keep(),
            patience: self.patience,
        })
    }
}

impl Train {
    /// The phases of a training that goes on from a model, with so many `images` of a subject. What is asked for of epochs, optimizer, rates and decay
    /// holds for the last of them.
    ///
    /// # Errors
    /// When the augmentation cannot be read.
    pub(crate) fn phases(
        &self,
        model: &Model,
        subject: &Subject,
        images: usize,
    ) -> hubel::Result<Vec<Phase>> {
        let settings = TrainSettings {
            augmentation: self.data.augmentation(subject)?,
            label_smoothing: self.label_smoothing.unwrap_or(0.1),
            seed: self.data.seed,
            balance: self.balance,
            precise: self.precise,
            keep: self.keep(),
            patience: self.patience,
            ..usual()
        };
        let mut phases = match self.freeze.as_deref() {
            None => Phase::usual(model, images, &settings)?,
            Some("all") => vec![Phase::of_head(model, images, &settings)?],
            Some("none") => vec![Phase::of_all(images, &settings)],
            Some(layer) => vec![Phase::after(layer.to_owned(), images, &settings)],
        };
        for phase in &mut phases {
            phase.versions = self
                .versions
                .filter(|_| phase.versions > 0)
                .unwrap_or(phase.versions);
            if let Some(batch_size) = self.data.batch_size {
                phase.settings.batch_size = batch_size;
            }
        }
        let last = phases.last_mut().expect("there is at least one phase");
        let usual = &last.settings;
        let optimizer = self.optimizer();
        let is_sgd = matches!(optimizer, Some(Optimizer::Sgd { .. }));
        last.settings = TrainSettings {
            epochs: self.epochs.unwrap_or(usual.epochs),
            learning_rate: self.learning_rate.unwrap_or(if is_sgd {
                0.01
            } else {
                usual.learning_rate
            }),
            optimizer: optimizer.unwrap_or(usual.optimizer),
            schedule: (self.schedule).map_or(usual.schedule.clone(), Schedule::from),
            weight_decay: self.weight_decay.unwrap_or(if is_sgd {
                0.0005
            } else {
                usual.weight_decay
            }),
            ..usual.clone()
        };
        Ok(phases)
    }

    /// Whether what is asked for is only there in a training that begins with nothing.
    pub(crate) fn is_of_its_own(&self) -> bool {
        self.model.is_some() || self.initialisation.is_some()
    }

    /// Which weights are kept.
    fn keep(&self) -> Keep {
        match self.keep_best {
            true => Keep::Best,
            false => Keep::Last,
        }
    }

    /// The optimizer asked for.
    fn optimizer(&self) -> Option<Optimizer> {
        Some(match self.optimizer? {
            OptimizerName::Adamw => Optimizer::AdamW,
            OptimizerName::Sgd => {
                let momentum = self.momentum.unwrap_or(0.9);
                Optimizer::Sgd {
                    momentum,
                    nesterov: momentum > 0.0,
                }
            }
        })
    }
}

/// So many images of writing are shown in all, unless that takes more epochs than [`MOST_EPOCHS`] or fewer than MNIST's: measured in
/// docs/benchmarks/2026-11-29-grey-defaults.txt.
const WRITING_SHOWN: usize = 170_000;

/// The same for other small grey pictures: ten epochs of Fashion-MNIST.
const THINGS_SHOWN: usize = 600_000;

/// The most epochs of small grey pictures.
const MOST_EPOCHS: usize = 100;

/// The epochs that suit so many images of a subject.
fn usual_epochs(subject: &Subject, images: usize) -> usize {
    let shown = match (subject.is_simple(), subject.mirrored) {
        (false, _) => return 30,
        (true, Mirrored::OfOtherClasses) => WRITING_SHOWN,
        (true, Mirrored::Alike | Mirrored::Uncertain) => THINGS_SHOWN,
    };
    (shown / images.max(1)).clamp(usual().epochs, MOST_EPOCHS)
}

/// Settings for a subject: for pictures in general, what brought `tutorial` furthest on CIFAR-10 of the few that were tried.
pub(super) fn usual_for(subject: &Subject) -> TrainSettings {
    match subject.is_simple() {
        true => usual(),
        false => TrainSettings {
            batch_size: 64,
            weight_decay: 0.15,
            label_smoothing: 0.1,
            ..usual()
        },
    }
}

/// How weights begin, by name.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum InitialisationName {
    He,
    Pytorch,
}

/// `--optimizer`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum OptimizerName {
    Sgd,
    Adamw,
}

/// `--schedule`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ScheduleName {
    Constant,
    Cosine,
    Onecycle,
}

impl From<ScheduleName> for Schedule {
    fn from(name: ScheduleName) -> Self {
        match name {
            ScheduleName::Constant => Self::Constant,
            ScheduleName::Cosine => Self::Cosine,
            ScheduleName::Onecycle => Self::OneCycle,
        }
    }
}

pub(super) fn usual() -> TrainSettings {
    TrainSettings::default()
}
