//! `hubel train`.
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hubel::data::{Balance, Kind, Mirrored, Subject};
use hubel::network::Initialisation;
use hubel::{
    Dataset, Keep, Model, Optimizer, Pace, Phase, RunFolder, Schedule, TrainSettings, WarmUp,
    class_weights,
};

use super::values::{
    at_least_1, betas, fraction, minutes, model_folder, network, not_negative, parsed, positive,
    seconds_or_0, svg,
};
use super::{Processor, TrainingData};
use crate::presets;

/// `hubel train`
#[derive(Args, Clone)]
// A negative number is a wrong value of its flag and not an unknown flag.
#[command(allow_negative_numbers = true)]
#[command(after_help = "\
Examples:
  hubel train
  hubel train photos/                     few pictures: fine-tunes a network trained on photographs
  hubel train photos/ --from none         trains from scratch
  hubel train words/                      recordings: WAV, FLAC, MP3, OGG, AIFF
  hubel train photos/ --from runs/animals --freeze none
  hubel train --model lenet5 --epochs 3 --seed 7
  hubel train --model '[conv(16, padding=same)-relu-pool]x2-flatten-fc(classes)' --out runs/small
  hubel train --resume runs/mnist-cnn     goes on after a stop or a crash
  hubel train --resume runs/mnist-cnn --epochs 10
  hubel train --model mlp --optimizer sgd --learning-rate 0.05 --schedule cosine
  hubel train --preset fast               99 % on MNIST in seconds
  hubel train --find-lr                   which learning rate?
  hubel train --seeds 5                   five trainings: mean ± standard deviation, for `hubel compare`
  hubel train --config run.toml --epochs 20
  hubel train --config runs/mnist-cnn/run.toml    the same training again

The defaults of epochs, rates and decay below are for training from scratch. Fine-tuning has its own defaults, and prints the epochs. \
\"Small grey pictures\" are grey pictures of at most 32x32 pixels, or of any size on a nearly black or nearly white background.
Training saves everything that is needed to go on in last.safetensors in the run's folder: every 30 seconds, and when it ends or is stopped. \
After a stop, a crash or a power failure, `hubel train --resume DIR` goes on from there, with the bits of an undisturbed run. \
Ctrl-C stops it after the current step (exit code 130). SIGTERM and a closed terminal stop it too (143, 129), unless nohup started it. A second Ctrl-C exits at once.")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// Train this network from scratch: a name or an architecture text [default: see --from; from scratch, mnist-cnn for grey pictures, tutorial for colour, sound-cnn for recordings, kim2014 for texts, clip-cnn for clips]
    #[arg(long, short, value_name = "NAME|TEXT", value_parser = network)]
    pub(crate) model: Option<String>,
    /// Layers that fine-tuning does not change: all (but the last), none, or all up to and including LAYER
    /// [default: first all; then, if there is enough data, none]
    #[arg(long, value_name = "all|none|LAYER")]
    pub(crate) freeze: Option<String>,
    /// Number of versions of each example whose features are computed and kept while layers are frozen: the original, and augmented ones
    /// [default: 1 to 8, fewer for more data]
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) versions: Option<usize>,
    /// Number of passes over the training part [default: 30; for small grey pictures 3 to 100, so that 600,000 pictures are shown in all, or 170,000 of writing; for recordings 10 to 100, so that 60,000 are shown; for texts 10]
    #[arg(long, short, value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// Train for this time instead of a number of epochs; the schedule ends inside it. Opening the data and the final test are not counted
    #[arg(long, value_name = "MINUTES", value_parser = minutes, conflicts_with = "epochs")]
    pub(crate) minutes: Option<f64>,
    /// Repeat the steps of a run with --minutes; its run.toml has them
    #[arg(long, hide = true, value_parser = parsed::<Pace>)]
    pub(crate) pace: Option<Pace>,
    /// Batches per step: averages the gradients of so many batches before each change of the weights. Batch norms still see single batches
    #[arg(long, value_name = "BATCHES", default_value_t = usual().accumulate, value_parser = at_least_1)]
    pub(crate) accumulate: usize,
    /// Peak learning rate of the schedule [default: 0.002; with sgd 0.05, rmsprop 0.001, lion 0.0004, muon 0.02]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) learning_rate: Option<f32>,
    /// Optimizer; sgd and muon have Nesterov momentum. muon trains the inner layers; adamw, with a tenth of the rate, the first and last layer, biases and
    /// batch norms [default: adamw]
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Momentum of --optimizer sgd, muon or rmsprop [default: 0.9; with muon 0.95, with rmsprop 0]
    #[arg(long, value_parser = fraction)]
    pub(crate) momentum: Option<f32>,
    /// β1 and β2 of --optimizer adamw, adam or lion: how much of the past gradients, and of their squares, stays at each step
    /// [default: 0.9,0.999; with lion 0.9,0.99]
    #[arg(long, value_name = "B1,B2", value_parser = betas)]
    pub(crate) betas: Option<[f32; 2]>,
    /// Do not train, but search for a learning rate: three sweeps of 200 steps with growing rates, drawn into an SVG file [default file: learning-rates.svg]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "learning-rates.svg",
          value_parser = svg, conflicts_with_all = ["resume", "learning_rate", "out", "seeds"])]
    pub(crate) find_lr: Option<PathBuf>,
    /// Learning rate schedule. step: a tenth after 50 % and again after 75 % of the steps; onecycle: rises for 30 % of the steps, then falls; cosine and linear: fall to 0;
    /// plateau: a tenth after 6 epochs without progress on the validation part [default: onecycle]
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// Steps at the beginning in which the learning rate rises to that of the schedule: a number such as 500, or a share of all steps such as 5% [default: none]
    #[arg(long, value_name = "STEPS|SHARE%", value_parser = parsed::<WarmUp>)]
    pub(crate) warm_up: Option<WarmUp>,
    /// Largest norm of the gradient of a step; a larger gradient is scaled down to it [default: no limit]
    #[arg(long, value_name = "NORM", value_parser = positive)]
    pub(crate) clip: Option<f32>,
    /// Weight decay
    /// [default: 0.15, for small grey pictures 0.01; with sgd, adam and rmsprop 0.0005; with lion 5 times and with muon a tenth of adamw's]
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
    /// How much each class counts in the loss, by name (cat=2,dog=1; the others count 1) or all in the order of the classes (2,1,1) [default: all the same]
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) class_weights: Option<String>,
    /// Which weights to keep: best (of the epoch that was best on the validation part), last, or auto: best if the validation part has at least 100 examples
    #[arg(long, value_name = "auto|best|last", default_value_t = Keep::Auto, value_parser = parsed::<Keep>)]
    pub(crate) keep: Keep,
    /// Keep and validate the moving average of the weights, with this decay, such as 0.999 [default: no average]
    #[arg(long, value_name = "DECAY", value_parser = fraction)]
    pub(crate) average: Option<f32>,
    /// End after so many epochs in which the validation part showed no progress [default: never]
    #[arg(long, value_name = "EPOCHS", value_parser = at_least_1)]
    pub(crate) patience: Option<usize>,
    /// Do not use Winograd convolution: slower, with smaller rounding errors
    #[arg(long)]
    pub(crate) precise: bool,
    /// A recipe for pictures of at most 32x32 pixels: fast (grey, such as digits: 99 % on MNIST in seconds), best (grey or colour, 15 to 30 minutes:
    /// 99.7 % on MNIST, 88 % on CIFAR-10). Flags and --config win over its settings
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(presets::NAMES), conflicts_with = "resume")]
    pub(crate) preset: Option<String>,
    /// Read flags from this TOML file, such as `epochs = 20`, `model = "lenet5"`, `precise = true`, and the data as `data = "photos"`. Flags of the command line win. Paths in the
    /// file are relative to the current folder, as in flags. Each training writes its own flags into run.toml in the model's folder; the table [run] there holds facts and is not read
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the model [default: a new one, such as runs/photos-efficientnet-lite0]
    #[arg(long, short, value_name = "DIR", value_parser = model_folder)]
    pub(crate) out: Option<PathBuf>,
    /// Train so many times, with the seeds --seed, --seed + 1, …, into the folders seed-1, seed-2, … of one folder, and report mean ± standard deviation. The same part of the data is held out for all of them. `hubel compare` compares two such folders
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) seeds: Option<usize>,
    /// Go on with the run in this folder, from its last checkpoint and with its settings. --epochs or --minutes extends it. In a folder of --seeds: go on with the runs that have not ended; a larger --seeds adds runs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"])]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = RunFolder::INTERVAL.as_secs_f64(), value_parser = seconds_or_0)]
    pub(crate) checkpoint: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: test_accuracy, seconds, model, epochs, stopped_at …
    #[arg(long)]
    pub(crate) json: bool,
}

impl Train {
    /// Settings for training from scratch on this number of `images` of `classes`.
    ///
    /// # Errors
    /// If the augmentation or the class weights cannot be parsed.
    pub(crate) fn settings(
        &self,
        subject: &Subject,
        images: usize,
        classes: &[String],
    ) -> hubel::Result<TrainSettings> {
        let (usual, kind) = (usual(), usual_for(subject));
        let optimizer = self.optimizer().unwrap_or(usual.optimizer);
        let usual_rate = optimizer.usual_learning_rate(usual.learning_rate);
        let usual_decay = optimizer.usual_weight_decay(kind.weight_decay);
        Ok(TrainSettings {
            epochs: self.epochs.unwrap_or_else(|| usual_epochs(subject, images)),
            minutes: self.minutes,
            pace: self.pace.clone(),
            batch_size: self.data.batch_size(subject),
            accumulate: self.accumulate,
            learning_rate: self.learning_rate.unwrap_or(usual_rate),
            optimizer,
            schedule: self.schedule.map_or(usual.schedule, Schedule::from),
            warm_up: self.warm_up,
            weight_decay: self.weight_decay.unwrap_or(usual_decay),
            clip: self.clip,
            label_smoothing: self.label_smoothing.unwrap_or(kind.label_smoothing),
            seed: self.data.seed,
            augmentation: self.data.augmentation(subject)?,
            mixing: self.data.mixing(),
            balance: self.balance,
            class_weights: self.class_weights(classes)?,
            initialisation: match self.initialisation {
                None | Some(InitialisationName::He) => Initialisation::HeOrXavier,
                Some(InitialisationName::Pytorch) => Initialisation::PyTorch,
            },
            precise: self.precise,
            keep: self.keep,
            average: self.average,
            patience: self.patience,
        })
    }
}

impl Train {
    /// The phases of fine-tuning `model` on `train`. The flags for epochs, optimizer, rates, decay, clipping and mixing apply to the last
    /// phase.
    ///
    /// # Errors
    /// If the augmentation or the class weights cannot be parsed.
    pub(crate) fn phases(
        &self,
        model: &Model,
        subject: &Subject,
        train: &Dataset,
    ) -> hubel::Result<Vec<Phase>> {
        let images = train.len();
        let settings = TrainSettings {
            augmentation: self.data.augmentation(subject)?,
            label_smoothing: self.label_smoothing.unwrap_or(0.1),
            seed: self.data.seed,
            accumulate: self.accumulate,
            balance: self.balance,
            class_weights: self.class_weights(train.classes())?,
            precise: self.precise,
            keep: self.keep,
            average: self.average,
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
        let optimizer = self.optimizer().unwrap_or(usual.optimizer);
        let usual_rate = match optimizer {
            Optimizer::Sgd { .. } => 0.01,
            _ => optimizer.usual_learning_rate(usual.learning_rate),
        };
        let usual_decay = optimizer.usual_weight_decay(usual.weight_decay);
        last.settings = TrainSettings {
            mixing: self.data.mixing(),
            minutes: self.minutes,
            pace: self.pace.clone(),
            epochs: self.epochs.unwrap_or(usual.epochs),
            learning_rate: self.learning_rate.unwrap_or(usual_rate),
            optimizer,
            schedule: (self.schedule).map_or(usual.schedule.clone(), Schedule::from),
            warm_up: self.warm_up,
            weight_decay: self.weight_decay.unwrap_or(usual_decay),
            clip: self.clip,
            ..usual.clone()
        };
        Ok(phases)
    }

    /// `--class-weights`.
    fn class_weights(&self, classes: &[String]) -> hubel::Result<Option<Vec<f32>>> {
        let text = self.class_weights.as_deref();
        text.map(|text| class_weights(text, classes)).transpose()
    }

    /// Whether a flag is given that only training from scratch has.
    pub(crate) fn is_of_its_own(&self) -> bool {
        self.model.is_some() || self.initialisation.is_some()
    }

    /// The time between checkpoints.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.checkpoint)
    }

    /// The optimizer of `--optimizer` with `--momentum` and `--betas`. None if none of them is given.
    fn optimizer(&self) -> Option<Optimizer> {
        let usual = match (self.optimizer, self.betas) {
            (None, None) => return None,
            (None, Some(_)) => usual().optimizer,
            (Some(name), _) => Optimizer::from(name),
        };
        let momentum = |usual: f32| self.momentum.unwrap_or(usual);
        let betas = |beta1: f32, beta2: f32| self.betas.unwrap_or([beta1, beta2]);
        Some(match usual {
            Optimizer::Sgd { momentum: own, .. } => Optimizer::Sgd {
                momentum: momentum(own),
                nesterov: momentum(own) > 0.0,
            },
            Optimizer::RmsProp {
                alpha,
                epsilon,
                momentum: own,
            } => Optimizer::RmsProp {
                alpha,
                epsilon,
                momentum: momentum(own),
            },
            Optimizer::Muon {
                momentum: own,
                nesterov,
                adam_rate,
            } => Optimizer::Muon {
                momentum: momentum(own),
                nesterov,
                adam_rate,
            },
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            } => {
                let [beta1, beta2] = betas(beta1, beta2);
                Optimizer::Adam {
                    beta1,
                    beta2,
                    epsilon,
                }
            }
            Optimizer::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let [beta1, beta2] = betas(beta1, beta2);
                Optimizer::AdamW {
                    beta1,
                    beta2,
                    epsilon,
                }
            }
            Optimizer::Lion { beta1, beta2 } => {
                let [beta1, beta2] = betas(beta1, beta2);
                Optimizer::Lion { beta1, beta2 }
            }
            other => other,
        })
    }

    /// What is wrong with the flags of the optimizer.
    pub(super) fn optimizer_problem(&self) -> Option<&'static str> {
        use OptimizerName::{Adam, Adamw, Lion, Muon, Rmsprop, Sgd};
        if self.momentum.is_some() && !matches!(self.optimizer, Some(Sgd | Muon | Rmsprop)) {
            return Some(
                "--momentum needs --optimizer sgd, muon or rmsprop; add one of them, or leave --momentum out",
            );
        }
        // Without a name, it is adamw.
        if self.betas.is_some() && !matches!(self.optimizer, None | Some(Adamw | Adam | Lion)) {
            return Some(
                "--betas needs --optimizer adamw, adam or lion; choose one of them, or leave --betas out",
            );
        }
        None
    }
}

/// Images of writing to show over all epochs; the epochs stay between MNIST's and [`MOST_EPOCHS`]. Measured:
/// docs/benchmarks/2026-11-29-grey-defaults.txt.
const WRITING_SHOWN: usize = 170_000;

/// The same for other small grey pictures: ten epochs of Fashion-MNIST.
const THINGS_SHOWN: usize = 600_000;

/// The most epochs of small grey pictures.
const MOST_EPOCHS: usize = 100;

/// The epochs of texts, of which a network soon knows the training part by heart: on the film reviews, 4 give a lower validation accuracy, and 10 no higher one.
const TEXT_EPOCHS: usize = 6;

/// Recordings to show over all epochs: 22 for the 2,700 spoken digits, whose validation accuracy no longer rises then.
const SOUNDS_SHOWN: usize = 60_000;

/// The fewest and the most epochs of recordings.
const SOUND_EPOCHS: [usize; 2] = [10, 100];

/// The default number of epochs.
fn usual_epochs(subject: &Subject, images: usize) -> usize {
    let shown = match (subject.is_simple(), subject.mirrored) {
        (false, _) if subject.kind == Kind::Texts => return TEXT_EPOCHS,
        (false, _) if subject.kind == Kind::Sounds => {
            let [fewest, most] = SOUND_EPOCHS;
            return (SOUNDS_SHOWN / images.max(1)).clamp(fewest, most);
        }
        (false, _) => return 30,
        (true, Mirrored::OfOtherClasses) => WRITING_SHOWN,
        (true, Mirrored::Alike | Mirrored::Uncertain) => THINGS_SHOWN,
    };
    (shown / images.max(1)).clamp(usual().epochs, MOST_EPOCHS)
}

/// Default settings for a subject. Those for pictures in general gave `tutorial` its best accuracy on CIFAR-10, among the few that were tried.
pub(super) fn usual_for(subject: &Subject) -> TrainSettings {
    match (subject.is_simple(), subject.kind) {
        (true, _) => usual(),
        (false, Kind::Texts) => TrainSettings {
            batch_size: 64,
            weight_decay: 0.1,
            ..usual()
        },
        (false, Kind::Sounds) => TrainSettings {
            batch_size: 32,
            weight_decay: 0.1,
            label_smoothing: 0.1,
            ..usual()
        },
        (false, Kind::Pictures | Kind::Clips) => TrainSettings {
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
    Adam,
    Adamw,
    Rmsprop,
    Lion,
    Muon,
}

impl From<OptimizerName> for Optimizer {
    fn from(name: OptimizerName) -> Self {
        match name {
            OptimizerName::Sgd => Self::sgd(),
            OptimizerName::Adam => Self::adam(),
            OptimizerName::Adamw => Self::adam_w(),
            OptimizerName::Rmsprop => Self::rms_prop(),
            OptimizerName::Lion => Self::lion(),
            OptimizerName::Muon => Self::muon(),
        }
    }
}

/// `--schedule`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ScheduleName {
    Constant,
    Step,
    Cosine,
    Onecycle,
    Linear,
    Plateau,
}

impl From<ScheduleName> for Schedule {
    fn from(name: ScheduleName) -> Self {
        match name {
            ScheduleName::Constant => Self::Constant,
            ScheduleName::Step => Self::step(),
            ScheduleName::Cosine => Self::Cosine,
            ScheduleName::Onecycle => Self::one_cycle(),
            ScheduleName::Linear => Self::linear(),
            ScheduleName::Plateau => Self::plateau(),
        }
    }
}

pub(super) fn usual() -> TrainSettings {
    TrainSettings::default()
}
