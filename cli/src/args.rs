//! The command line: every flag, its help, its default and what it accepts.
mod bench;
mod data;
mod explain;
mod features;
mod lab;
mod train;
mod values;

use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use hubel::{Cpu, InstructionSet, Model, Shape};

pub(crate) use bench::{Bench, BenchCommand, BenchData, BenchKernels, BenchNetwork, BenchOverview};
pub(crate) use data::{Check, Data, Files, Preview, TrainingData};
pub(crate) use explain::{Explain, Method};
pub(crate) use features::{Embed, Similar};
pub(crate) use lab::Lab;
pub(crate) use train::{OptimizerName, Train};
use values::{answers, at_least_1, shape};

/// Train, understand and ship convolutional neural networks, on a CPU, from one binary.
#[derive(Parser)]
#[command(
    name = "hubel",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  hubel train                                   learn to read digits (MNIST is part of the binary)
  hubel predict runs/mnist-cnn photo.jpg        what is in this picture?
  hubel explain runs/mnist-cnn photo.jpg        why does it say so? A page with pictures
  hubel similar efficientnet-lite0 photos/ cat.jpg   which pictures are most alike?
  hubel check photos/                           what is wrong with these pictures?
  hubel inspect resnet18                        the layers of a network, with sizes and costs
  hubel lab flatten                             does it matter which pixels are neighbours? an experiment
  hubel bench                                   how fast is this machine, and what to expect

`hubel COMMAND --help` has every flag, with examples.
Exit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl-C (143 SIGTERM, 129 SIGHUP)."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// No progress and no remarks on stderr; errors still
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Arguments {
    /// The command line of this process; a wrong one ends it with 2 and what is wrong.
    pub(crate) fn read() -> Self {
        let arguments = Self::parse();
        if let Err(problem) = arguments.check() {
            let kind = clap::error::ErrorKind::ArgumentConflict;
            Self::command().error(kind, problem).exit();
        }
        arguments
    }

    /// Refuses flags that would do nothing.
    fn check(&self) -> Result<(), &'static str> {
        match &self.command {
            Command::Train(train)
                if train.momentum.is_some()
                    && !matches!(train.optimizer, Some(OptimizerName::Sgd)) =>
            {
                Err("--momentum is a setting of --optimizer sgd; give that too, or leave it out")
            }
            Command::Train(train)
                if train.is_of_its_own()
                    && (train.data.from.as_deref())
                        .is_some_and(|from| from != Path::new("none")) =>
            {
                Err(
                    "--from goes on from a network with its weights: --model and --initialisation begin another one; leave out either",
                )
            }
            Command::Train(train)
                if (train.freeze.is_some() || train.versions.is_some())
                    && (train.is_of_its_own()
                        || train.data.from.as_deref() == Some(Path::new("none"))) =>
            {
                Err(
                    "--freeze and --versions are for training that goes on from a model: leave them out, or give one (--from)",
                )
            }
            Command::Explain(explain) if explain.kernel.is_none() && explain.paths.len() < 2 => {
                Err(
                    "a model and a picture are needed, in this order; only --kernel goes without a model",
                )
            }
            Command::Inspect(inspect) if inspect.plan.is_none() && inspect.processor.is_given() => {
                Err("--threads and --cpu decide how a network is computed: they need --plan")
            }
            _ => Ok(()),
        }
    }
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Train a network and save it as one model file
    Train(Train),
    /// Measure a model on labelled pictures
    Evaluate(Evaluate),
    /// Say what is in pictures
    Predict(Predict),
    /// Show what a network computes for a picture, and why it says what it says
    Explain(Explain),
    /// Write what a model makes of pictures before it decides, for other programs
    Embed(Embed),
    /// Find the pictures that a model takes for most alike
    Similar(Similar),
    /// Run what is said about convolutional networks as experiments: does it hold here?
    Lab(Lab),
    /// Show the layers of a model or a network: sizes, parameters, multiply-adds
    Inspect(Inspect),
    /// Find what is wrong with data: broken files, duplicates, leaks, rare classes …
    Check(Check),
    /// Look at data as a network sees it
    #[command(subcommand)]
    Data(Data),
    /// Measure times on this machine
    Bench(Bench),
    /// Print completions for a shell
    Completions(Completions),
}

/// `hubel evaluate`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel evaluate runs/mnist-cnn
  hubel evaluate runs/photos-efficientnet-lite0 photos/ --json")]
pub(crate) struct Evaluate {
    /// A model file, the folder that `hubel train` wrote, or weights of PyTorch such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// `mnist`, or a folder or file of labelled pictures, as of `train`: its test images where it has some, else those that were held
    /// out in training [default: mnist for a model of digits]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) size: Size,
    /// No Winograd, as of `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: accuracy, accuracy_interval, balanced_accuracy, baseline_accuracy, loss, count, classes, class_accuracy, confusion, stopped_at …
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel predict`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel predict runs/mnist-cnn photo.jpg
  hubel predict efficientnet-lite0 photo.jpg    one of ImageNet's thousand classes; no training
  hubel predict runs/mnist-cnn *.png --json
  hubel predict runs/photos-efficientnet-lite0 new/ --out answers.csv
  hubel predict runs/photos-efficientnet-lite0 'new/**/*.jpg' --out answers.jsonl
  find new/ -name '*.jpg' -print0 | hubel predict runs/photos-efficientnet-lite0 -

Pictures are JPEG, PNG, WebP, GIF, BMP, TIFF or PNM of any size. Of a folder, all pictures in and below it are meant. Names in a list stand one in a line, or with a NUL behind each; paths in it begin at the current folder. The answers come in the order given. What cannot be read is said at the end, and the exit code is 1 then. Dark ink on light paper is recognised where the model learned light on dark; it is then inverted, and the output says so.")]
pub(crate) struct Predict {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or weights of PyTorch such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// The pictures: files, folders, patterns in quotes ('new/*.jpg'), - for a list of names on stdin, @names.txt for one in a file
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Write the answers into this file instead, for any number of pictures: a table (.csv) or an object in each line (.jsonl)
    #[arg(long, short, value_name = "FILE", value_parser = answers)]
    pub(crate) out: Option<PathBuf>,
    /// How many of the likeliest classes to show
    #[arg(long, default_value_t = 3, value_parser = at_least_1)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) size: Size,
    /// No Winograd, as of `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: predictions with path, class, probability, top, inverted, greyed; bad_files. With --out: count, out, bad_files
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel inspect`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel inspect resnet18
  hubel inspect runs/mnist-cnn --json
  hubel inspect resnet18 --plan                 how it is trained: fusions, algorithms, memory
  hubel inspect resnet18 --plan inference --batch 1
  hubel inspect 'conv(8, kernel=5, padding=2)-relu-pool-flatten-fc(classes)' --input 28x28x1

Names: lenet5, mnist-cnn, tutorial, tutorial-bn, vgg16, resnet18, resnet50, mobilenet-v2, efficientnet-lite0 to -lite4, mlp.")]
pub(crate) struct Inspect {
    /// A model file or its folder, a network by name, or architecture text
    #[arg(value_name = "MODEL|NAME|TEXT")]
    pub(crate) network: String,
    /// Size of the input [default: the model's or the network's own, else 28x28x1]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// How many classes `linear(classes)` has [default: the model's, else 10]
    #[arg(long, value_parser = at_least_1)]
    pub(crate) classes: Option<usize>,
    /// Show the plan instead: what is computed together, by which algorithms, in how much memory
    #[arg(long, value_enum, value_name = "MODE", num_args = 0..=1, default_missing_value = "training")]
    pub(crate) plan: Option<PlanMode>,
    /// Images per step of the plan [default: usual for the network, else 64]
    #[arg(long, short, alias = "batch-size", requires = "plan", value_parser = at_least_1)]
    pub(crate) batch: Option<usize>,
    /// A plan without Winograd, as of `train --precise`
    #[arg(long, requires = "plan")]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: parameters, multiply_adds, layers, class_names, stopped_at, origin, frozen; with --plan: mode, steps, memory …
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel completions`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel completions bash > ~/.local/share/bash-completion/completions/hubel
  hubel completions fish > ~/.config/fish/completions/hubel.fish")]
pub(crate) struct Completions {
    pub(crate) shell: clap_complete::Shell,
}

/// What to compute on.
#[derive(Args)]
pub(crate) struct Processor {
    /// Threads [default: as many as this machine runs at once]
    #[arg(long, short, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Vector instructions: auto, avx512, avx2, neon, scalar [default: auto]
    #[arg(long, value_name = "SET")]
    cpu: Option<InstructionSet>,
}

impl Processor {
    fn is_given(&self) -> bool {
        self.threads.is_some() || self.cpu.is_some()
    }

    /// The processor asked for.
    pub(crate) fn cpu(&self) -> Cpu {
        let threads = self.threads.unwrap_or_else(Cpu::available_threads);
        Cpu::new(self.cpu.unwrap_or_else(InstructionSet::best), threads)
    }
}

/// The size at which a model looks at pictures.
#[derive(Args)]
pub(crate) struct Size {
    /// Height and width at which the model looks at pictures, instead of its own. Fewer pixels take less time (128 instead of 224: a third) and cost accuracy. Not for networks with a linear layer on a map that is not pooled as a whole
    #[arg(long, value_name = "PIXELS", value_parser = at_least_1)]
    size: Option<usize>,
}

impl Size {
    /// The model at this size.
    pub(crate) fn of(&self, model: Model) -> Result<Model, hubel::Error> {
        match self.size {
            Some(side) => {
                let channels = model.input().channels;
                model.with_input(Shape::new(side, side, channels))
            }
            None => Ok(model),
        }
    }
}

/// `--plan`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PlanMode {
    Training,
    Inference,
}

#[cfg(test)]
mod tests {
    use hubel::data::{Mirrored, Subject};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn train_without_flags_has_the_library_s_defaults() {
        let Command::Train(train) = Arguments::parse_from(["hubel", "train"]).command else {
            panic!("`train` is another command");
        };
        let digits = Subject {
            shape: Shape::new(28, 28, 1),
            is_grey: true,
            ground: None,
            mirrored: Mirrored::OfOtherClasses,
            has_levels: true,
        };
        assert_eq!(
            train
                .settings(&digits, 57_000)
                .expect("no augmentation is asked for"),
            hubel::TrainSettings {
                augmentation: digits.usual_augmentation(),
                ..hubel::TrainSettings::default()
            }
        );
        let epochs = |subject: Subject, images| {
            let settings = train.settings(&subject, images);
            settings.expect("no augmentation is asked for").epochs
        };
        let clothes = Subject {
            mirrored: Mirrored::Uncertain,
            ..digits
        };
        let photographs = Subject {
            shape: Shape::new(64, 64, 3),
            is_grey: false,
            ..clothes
        };
        assert_eq!([epochs(digits, 1_797), epochs(digits, 100)], [94, 100]);
        assert_eq!(
            [epochs(clothes, 57_000), epochs(photographs, 57_000)],
            [10, 30]
        );
    }
}
