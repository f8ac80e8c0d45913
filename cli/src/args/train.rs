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
  hubel train photos/                     few pictures: fine-tunes a network trained on photographs
  hubel train photos/ --from none         trains from scratch
  hubel train photos/ --from runs/animals --freeze none
  hubel train --model lenet5 --epochs 3 --seed 7
  hubel train --model '[conv(16, padding=same)-relu-pool]x2-flatten-fc(classes)' --out runs/small
  hubel train --model mlp --optimizer sgd --learning-rate 0.05 --schedule cosine
  hubel train --config run.toml --epochs 20
  hubel train --config runs/mnist-cnn/run.toml    the same training again

The defaults of epochs, rates and decay below are for training from scratch. Fine-tuning has its own defaults, and prints the epochs. \
\"Small grey pictures\" are grey pictures of at most 32x32 pixels, or of any size on a nearly black or nearly white background.
Training saves its weights in last.safetensors in the model's folder: after the first epoch, then once a minute, and when it is stopped. \
Ctrl-C stops it after the current step (exit code 130). SIGTERM and a closed terminal stop it too (143, 129), unless nohup started it. A second Ctrl-C exits at once. \
At the end, model.safetensors replaces last.safetensors.")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// Train this network from scratch: a name or an architecture text [default: see --from; from scratch, mnist-cnn for grey pictures and tutorial for colour]
    #[arg(long, short, value_name = "NAME|TEXT", value_parser = network)]
    pub(crate) model: Option<String>,
    /// Layers that fine-tuning does not change: all (but the last), none, or all up to and including LAYER
    /// [default: first all; then, if there are enough pictures, none]
    #[arg(long, value_name = "all|none|LAYER")]
    pub(crate) freeze: Option<String>,
    /// Number of versions of each picture whose features are computed and kept while layers are frozen: the original, and augmented ones
    /// [default: 1 to 8, fewer for more pictures]
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) versions: Option<usize>,
    /// Number of passes over the training images [default: 30; for small grey pictures 3 to 100, so that 600,000 images are shown in all, or 170,000 of writing]
    #[arg(long, short, value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// Peak learning rate of the schedule [default: 0.002; with sgd 0.05]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) learning_rate: Option<f32>,
    /// Optimizer; sgd has Nesterov momentum [default: adamw]
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Momentum of --optimizer sgd [default: 0.9]
    #[arg(long, value_parser = fraction)]
    pub(crate) momentum: Option<f32>,
    /// Learning rate schedule
    /// [default: onecycle]
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// Weight decay
    /// [default: 0.15, for small grey pictures 0.01; with sgd 0.0005]
    #[arg(long, value_name = "DECAY", value_parser = not_negative)]
    pub(crate) weight_decay: Option<f32>,
    /// Label smoothing: share of the target probability that is spread over all classes
    /// [default: 0.1, for small grey pictures 0]
    #[arg(long, value_name = "SHARE", value_parser = fraction)]
    pub(crate) label_smoothing: Option<f32>,
    /// Initial weights (he: He normal before ReLU and similar activations, Xavier elsewhere; pytorch: uniform within ±1/√inputs)
    /// [default: he]
    #[arg(long, value_enum)]
    pub(crate) initialisation: Option<InitialisationName>,
    /// How to treat classes of very different size: none, loss (rare classes weigh more in the loss), sample (rare classes are shown more often); it improves the balanced accuracy
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// Keep the weights of the epoch that was best on the validation images, not the last ones; training that goes on from a model does so
    /// anyway from 100 such images on
    #[arg(long)]
    pub(crate) keep_best: bool,
    /// End after so many epochs in which the validation images showed no progress [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = at_least_1)]
    pub(crate) patience: Option<usize>,
    /// Do not use Winograd convolution: slower, with smaller rounding errors
    #[arg(long)]
    pub(crate) precise: bool,
    /// Read flags from this TOML file, such as `epochs = 20`, `model = "lenet5"`, `keep-best = true`, and the data as `data = "photos"`. Flags of the command line win. Paths in the
    /// file are relative to the current folder, as in flags. Each training writes its own flags into run.toml in the model's folder; the table [run] there holds facts and is not read
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
    /// Settings for training from scratch on this number of `images`.
    ///
    /// # Errors
    /// If the augmentation cannot be parsed.
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
        // With SGD, decay is part of the gradient and has a far stronger effect. 0.0005 is usual for such networks.
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
    /// The phases of fine-tuning `model` on this number of `images`. The flags for epochs, optimizer, rates and decay apply to the last phase.
    ///
    /// # Errors
    /// If the augmentation cannot be parsed.
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

    /// Whether a flag is given that only training from scratch has.
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

    /// The optimizer of `--optimizer`.
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

/// Images of writing to show over all epochs; the epochs stay between MNIST's and [`MOST_EPOCHS`]. Measured:
/// docs/benchmarks/2026-11-29-grey-defaults.txt.
const WRITING_SHOWN: usize = 170_000;

/// The same for other small grey pictures: ten epochs of Fashion-MNIST.
const THINGS_SHOWN: usize = 600_000;

/// The most epochs of small grey pictures.
const MOST_EPOCHS: usize = 100;

/// The default number of epochs.
fn usual_epochs(subject: &Subject, images: usize) -> usize {
    let shown = match (subject.is_simple(), subject.mirrored) {
        (false, _) => return 30,
        (true, Mirrored::OfOtherClasses) => WRITING_SHOWN,
        (true, Mirrored::Alike | Mirrored::Uncertain) => THINGS_SHOWN,
    };
    (shown / images.max(1)).clamp(usual().epochs, MOST_EPOCHS)
}

/// Default settings for a subject. Those for pictures in general gave `tutorial` its best accuracy on CIFAR-10, among the few that were tried.
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

/// `--initialisation`
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
