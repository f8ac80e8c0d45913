//! `hubel train`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hubel::data::{Balance, Mirrored, Subject};
use hubel::network::Initialisation;
use hubel::{Dataset, Model, Optimizer, Phase, Schedule, TrainSettings};

use super::values::{at_least_1, fraction, model_folder, network, not_negative, parsed, positive};
use super::{Processor, TrainingData};

/// `hubel train`
#[derive(Args)]
// A negative number is a wrong value of its flag and not an unknown flag.
#[command(allow_negative_numbers = true)]
#[command(after_help = "\
Examples:
  hubel train
  hubel train --model lenet5 --epochs 3 --seed 7
  hubel train --model '[conv(16, padding=same)-relu-pool]x2-flatten-fc(classes)' --out runs/small
  hubel train --model mlp --optimizer sgd --learning-rate 0.05 --schedule cosine

Small grey pictures are: grey ones of at most 32x32, or of any size on a ground that is nearly black or nearly white.
What is learnt so far is saved in last.safetensors in the model's folder: after the first epoch, then once a minute, and when training is stopped. \
Ctrl-C stops it after the step (exit code 130), SIGTERM and a closed terminal too (143, 129), unless nohup started it; a second Ctrl-C leaves at once. \
At the end model.safetensors takes its place.")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// A network by name or as text [default: mnist-cnn for grey pictures, tutorial for colour]
    #[arg(long, short, value_name = "NAME|TEXT", value_parser = network)]
    pub(crate) model: Option<String>,
    /// Which layers stay as they are in training that goes on from a model: all (but the last), none, or all up to and including LAYER
    /// [default: first all, then, where there are enough pictures, none]
    #[arg(long, value_name = "all|none|LAYER")]
    pub(crate) freeze: Option<String>,
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
    #[arg(long, value_enum, default_value_t = ScheduleName::from(usual().schedule))]
    pub(crate) schedule: ScheduleName,
    /// Pull of the weights towards 0
    /// [default: 0.15, for small grey pictures 0.01; with sgd 0.0005]
    #[arg(long, value_name = "DECAY", value_parser = not_negative)]
    pub(crate) weight_decay: Option<f32>,
    /// Probability spread over all classes in the targets
    /// [default: 0.1, for small grey pictures 0]
    #[arg(long, value_name = "SHARE", value_parser = fraction)]
    pub(crate) label_smoothing: Option<f32>,
    /// How weights begin (he: He normal before ReLU and its like, Xavier elsewhere; pytorch: uniform within ±1/√inputs)
    #[arg(long, value_enum, default_value_t = InitialisationName::He)]
    pub(crate) initialisation: InitialisationName,
    /// What is done about classes of very different size: none, loss (rare ones weigh more), sample (rare ones come more often); judge by the balanced accuracy
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// No Winograd: compute every product of each convolution; smaller rounding errors, slower
    #[arg(long)]
    pub(crate) precise: bool,
    /// Folder for the model [default: a new one, such as runs/photos-tutorial]
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
        let optimizer = match self.optimizer {
            None => usual.optimizer,
            Some(OptimizerName::Adamw) => Optimizer::AdamW,
            Some(OptimizerName::Sgd) => {
                let momentum = self.momentum.unwrap_or(0.9);
                Optimizer::Sgd {
                    momentum,
                    nesterov: momentum > 0.0,
                }
            }
        };
        let usual_rate = match (optimizer, usual.optimizer) {
            (Optimizer::Sgd { .. }, Optimizer::Sgd { .. })
            | (Optimizer::AdamW, Optimizer::AdamW) => usual.learning_rate,
            (Optimizer::Sgd { .. }, _) => 0.05,
            (Optimizer::AdamW, _) => 0.002,
        };
        // SGD's decay is a part of the gradient, and works far more strongly: what is usual for networks of this kind.
        let usual_decay = match optimizer {
            Optimizer::AdamW => kind.weight_decay,
            Optimizer::Sgd { .. } => 0.0005,
        };
        Ok(TrainSettings {
            epochs: self.epochs.unwrap_or_else(|| usual_epochs(subject, images)),
            batch_size: self.data.batch_size(subject),
            learning_rate: self.learning_rate.unwrap_or(usual_rate),
            optimizer,
            schedule: self.schedule.into(),
            weight_decay: self.weight_decay.unwrap_or(usual_decay),
            label_smoothing: self.label_smoothing.unwrap_or(kind.label_smoothing),
            seed: self.data.seed,
            augmentation: self.data.augmentation(subject)?,
            balance: self.balance,
            initialisation: match self.initialisation {
                InitialisationName::He => Initialisation::HeOrXavier,
                InitialisationName::Pytorch => Initialisation::PyTorch,
            },
            precise: self.precise,
        })
    }
}

impl Train {
    pub(crate) fn phases(
        &self,
        model: &Model,
        subject: &Subject,
        train: &Dataset,
        _validation: Option<&Dataset>,
    ) -> hubel::Result<Vec<Phase>> {
        let x = |name: &str, usual: f32| {
            std::env::var(format!("HX_{name}"))
                .ok()
                .map_or(usual, |text| text.parse().expect("a number"))
        };
        let versions = x("VERSIONS", 4.0) as usize;
        let base = TrainSettings {
            seed: self.data.seed,
            augmentation: self.data.augmentation(subject)?,
            balance: self.balance,
            precise: self.precise,
            ..TrainSettings::default()
        };
        let cpu = hubel::Cpu::best(1);
        let layer = model.features(&cpu, None)?.layer().to_owned();
        let head = Phase {
            frozen: Some(match self.freeze.as_deref() {
                Some("all" | "none") | None => layer,
                Some(layer) => layer.to_owned(),
            }),
            settings: TrainSettings {
                epochs: x("HEAD_EPOCHS", 30.0) as usize,
                batch_size: x("HEAD_BATCH", 64.0) as usize,
                learning_rate: x("HEAD_RATE", 0.002),
                weight_decay: x("HEAD_DECAY", 0.01),
                label_smoothing: x("HEAD_SMOOTH", 0.0),
                ..base.clone()
            },
            versions,
            first_rate: 1.0,
            keeps_statistics: true,
        };
        let all = Phase {
            frozen: None,
            settings: TrainSettings {
                epochs: x("ALL_EPOCHS", 4.0) as usize,
                batch_size: x("ALL_BATCH", 32.0) as usize,
                learning_rate: x("ALL_RATE", 0.0005),
                weight_decay: x("ALL_DECAY", 0.01),
                label_smoothing: x("ALL_SMOOTH", 0.1),
                ..base
            },
            versions: 0,
            first_rate: x("ALL_FIRST", 0.1),
            keeps_statistics: x("ALL_KEEP", 1.0) > 0.0,
        };
        let _ = train;
        Ok(match self.freeze.as_deref() {
            Some("none") => vec![all],
            Some(_) => vec![head],
            None => vec![head, all],
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

impl From<Schedule> for ScheduleName {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Constant => Self::Constant,
            Schedule::Cosine => Self::Cosine,
            Schedule::OneCycle => Self::Onecycle,
        }
    }
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
