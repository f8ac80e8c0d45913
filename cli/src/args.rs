//! The command line: every flag, its help text, default and accepted values.
mod bench;
mod check;
mod compare;
mod data;
mod doctor;
mod explain;
mod features;
mod lab;
mod onnx;
mod runs;
mod studio;
mod train;
mod values;

use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use hubel::{Cpu, InstructionSet, Model, Shape};

pub(crate) use bench::{Bench, BenchCommand, BenchData, BenchKernels, BenchNetwork, BenchOverview};
pub(crate) use check::Check;
pub(crate) use compare::Compare;
pub(crate) use data::{Data, Files, Preview, TrainingData, decided};
pub(crate) use doctor::Doctor;
pub(crate) use explain::{At, Explain, Method};
pub(crate) use features::{Embed, Similar};
pub(crate) use lab::Lab;
pub(crate) use onnx::{Export, GraphInput, Import};
pub(crate) use runs::{Order, Runs};
pub(crate) use studio::Studio;
pub(crate) use train::Train;
pub(crate) use values::short;
use values::{answers, at_least_1, seconds, shape, share_or_percent};

use crate::config;

/// Train, understand and ship convolutional neural networks on a CPU.
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
  hubel explain runs/mnist-cnn photo.jpg        why this class? a page with pictures
  hubel similar efficientnet-lite0 photos/ cat.jpg   which pictures are most similar?
  hubel check photos/                           what is wrong with these pictures?
  hubel doctor photos/                          why does the network not learn?
  hubel inspect resnet18                        the layers of a network, with sizes and costs
  hubel runs                                    which run was best, and what differed?
  hubel compare runs/a runs/b                   do these two models differ, or is it noise?
  hubel lab flatten                             an experiment: do neighbouring pixels matter?
  hubel export runs/photos --onnx photos.onnx   the model for another program
  hubel studio                                  a page in the browser: networks, sizes, runs
  hubel bench                                   how fast is this machine?

`hubel COMMAND --help` has every flag, with examples.
Exit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl-C (143 SIGTERM, 129 SIGHUP)."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print only errors on stderr, no progress and no remarks
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Arguments {
    /// Parses the command line of this process. If it is wrong, prints the problem and exits with 2.
    pub(crate) fn read() -> Self {
        let arguments = std::env::args_os().collect();
        let arguments = config::with_config(arguments, Self::command()).unwrap_or_else(|problem| {
            let kind = clap::error::ErrorKind::ValueValidation;
            Self::command().error(kind, problem).exit()
        });
        let arguments = Self::parse_from(arguments);
        if let Err(problem) = arguments.check() {
            let kind = clap::error::ErrorKind::ArgumentConflict;
            Self::command().error(kind, problem).exit();
        }
        arguments
    }

    /// Rejects flags that would have no effect.
    fn check(&self) -> Result<(), &'static str> {
        match &self.command {
            Command::Train(train) if train.optimizer_problem().is_some() => {
                train.optimizer_problem().map_or(Ok(()), Err)
            }
            Command::Train(train)
                if train.is_of_its_own()
                    && (train.data.from.as_deref())
                        .is_some_and(|from| from != Path::new("none")) =>
            {
                Err(
                    "--from starts from the weights of a model; --model and --initialisation start a new network: leave out one of the two",
                )
            }
            Command::Train(train)
                if (train.freeze.is_some() || train.versions.is_some())
                    && (train.is_of_its_own()
                        || train.data.from.as_deref() == Some(Path::new("none"))) =>
            {
                Err(
                    "--freeze and --versions are for fine-tuning: leave them out, or name a model to fine-tune (--from)",
                )
            }
            Command::Doctor(doctor) if doctor.problem().is_some() => {
                doctor.problem().map_or(Ok(()), Err)
            }
            Command::Explain(explain) if explain.text.is_some() && explain.paths.len() > 1 => {
                Err("--text is explained by a model; name only the model besides")
            }
            Command::Explain(explain)
                if explain.kernel.is_none()
                    && explain.text.is_none()
                    && explain.paths.len() < 2 =>
            {
                Err(
                    "a model and a file to explain are needed, in this order; only --kernel needs no model",
                )
            }
            Command::Inspect(inspect) if inspect.plan.is_none() && inspect.processor.is_given() => {
                Err("--threads and --cpu affect only the plan: add --plan, or leave them out")
            }
            Command::Check(check) if !check.labels && check.search.processor.is_given() => {
                Err("--threads and --cpu affect only the training: add --labels, or leave them out")
            }
            _ => Ok(()),
        }
    }
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Train a network and save it as one model file
    Train(Box<Train>),
    /// Examine a training before it begins: does the network learn, and if not, why?
    Doctor(Box<Doctor>),
    /// List the runs in a folder: state, accuracies, and the settings that differ
    Runs(Runs),
    /// Say whether two models, or two settings, differ: settings, data, weights, answers that flipped, and a test
    Compare(Compare),
    /// Measure a model on labelled data
    Evaluate(Evaluate),
    /// Classify pictures, recordings, texts or clips
    Predict(Predict),
    /// Show what a network computes for a picture, recording, text or clip, and why it chooses a class
    Explain(Explain),
    /// Write the features of pictures, recordings or clips to a file, for other programs
    Embed(Embed),
    /// Find the pictures, recordings or clips that are most similar to one
    Similar(Similar),
    /// Run experiments that test what is said about convolutional networks
    Lab(Lab),
    /// Show the layers of a model or network: sizes, parameters, multiply-adds
    Inspect(Inspect),
    /// Make a model of an ONNX file, to use or to train on
    Import(Import),
    /// Write a model as an ONNX file for other programs, and check it
    Export(Export),
    /// Show networks, sizes and runs on a page in the browser, from a server on this machine
    Studio(Studio),
    /// Find problems in the data: broken files, duplicates, leaks, rare classes …
    Check(Check),
    /// Show data as a network sees it
    #[command(subcommand)]
    Data(Data),
    /// Measure speed on this machine
    Bench(Bench),
    /// Print shell completions
    Completions(Completions),
}

/// `hubel evaluate`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel evaluate runs/mnist-cnn
  hubel evaluate runs/photos-efficientnet-lite0 photos/ --json
  hubel evaluate runs/mnist-cnn --html report.html     the mistakes, calibration, curves
  hubel evaluate runs/mnist-cnn --wrong-at-most 1%     from now on, `predict` says \"not sure\" where it must
  hubel evaluate runs/mnist-cnn --foreign photos/      is data of another kind recognised as such?")]
pub(crate) struct Evaluate {
    /// A model file, the folder that `hubel train` wrote, or PyTorch weights such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// `mnist`, or labelled data in any form that `hubel train` takes. Uses its test part, or else what was held out in training [default: mnist for a model of digits]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) size: Size,
    /// Do not use Winograd convolution, as in `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Find the probability below which the model must say \"not sure\", so that at most this share of its answers is wrong (with 95 % confidence, for data like
    /// this), and store it in the model
    #[arg(long, value_name = "SHARE", conflicts_with = "size", value_parser = share_or_percent)]
    pub(crate) wrong_at_most: Option<f64>,
    /// Data of another kind (files or folders): how well is it told apart by its distance to the nearest training example?
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) foreign: Vec<PathBuf>,
    /// Write the answer for each example to this table (CSV)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write a report to this page: classes, calibration, curves, and the worst mistakes
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON object: accuracy, accuracy_interval, balanced_accuracy, baseline_accuracy, loss, brier, calibration_error, count, classes, precision, recall, f1,
    /// roc_area, confusion, mistakes, stopped_at …
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel predict`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel predict runs/mnist-cnn photo.jpg
  hubel predict efficientnet-lite0 photo.jpg    one of the thousand classes of ImageNet, without training
  hubel predict runs/mnist-cnn *.png --json
  hubel predict runs/photos-efficientnet-lite0 new/ --out answers.csv
  hubel predict runs/photos-efficientnet-lite0 'new/**/*.jpg' --out answers.jsonl
  hubel predict runs/digits-sound-cnn long.wav --hop 0.5    what is heard when
  hubel predict runs/clips-clip-cnn 'new/*.gif' new/0001/    animations, video files and folders of numbered frames
  hubel predict runs/reviews-kim2014 lines.txt new.csv    each line of a text file; the column `text` of a table
  hubel predict runs/reviews-kim2014 --text 'gorgeous, witty and never dull'
  find new/ -name '*.jpg' -print0 | hubel predict runs/photos-efficientnet-lite0 -

Pictures are JPEG, PNG, WebP, GIF, BMP, TIFF or PNM of any size; recordings are WAV, FLAC, MP3, Ogg Vorbis or AIFF; clips are animated pictures, video files (read by ffmpeg) or folders of numbered frames. A folder stands for all files of the model's kind in it and below it; for a model of texts, each .txt file in it is one text. A list has one name per line, or a NUL after each name; its paths are relative to the current folder. Answers come in the given order. Files that cannot be read are listed at the end, and the exit code is then 1. If the model learned light on dark and a picture is dark on light, the picture is inverted, and the output says so. A model with a threshold (`hubel evaluate --wrong-at-most`) is not sure of answers below it.")]
pub(crate) struct Predict {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or PyTorch weights such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// Files, folders, patterns in quotes ('new/*.jpg'), - for a list of names on stdin, or @names.txt for a list in a file. For a model of texts, each
    /// line of a file is a text, and - reads such lines from stdin; of a table (.csv, .tsv) with a column `text`, that column is classified; of a folder,
    /// each .txt file is one text
    #[arg(required_unless_present = "text", value_name = "FILE")]
    pub(crate) images: Vec<PathBuf>,
    /// A text to classify; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with = "images")]
    pub(crate) text: Vec<String>,
    /// Divide recordings into stretches of the model's length, a new one every so many seconds, and classify each: a time line
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) hop: Option<f64>,
    /// Write the answers to this file instead: a table (.csv) or one JSON object per line (.jsonl)
    #[arg(long, short, value_name = "FILE", value_parser = answers)]
    pub(crate) out: Option<PathBuf>,
    /// How many of the most probable classes to show
    #[arg(long, default_value_t = 3, value_parser = at_least_1)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) size: Size,
    /// Do not use Winograd convolution, as in `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: predictions (path or text, class, probability, sure, top, inverted, greyed), bad_files; with --out: count, out, bad_files
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

Names: lenet5, mnist-cnn, tutorial, tutorial-bn, vgg16, resnet18, resnet50, mobilenet-v2, efficientnet-lite0 to -lite4, mlp, kim2014 (texts), clip-cnn (clips), sound-cnn (recordings).")]
pub(crate) struct Inspect {
    /// A model file or its folder, a network by name, or architecture text
    #[arg(value_name = "MODEL|NAME|TEXT")]
    pub(crate) network: String,
    /// Input size [default: that of the model or network, else 28x28x1]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// Number of classes for `linear(classes)` [default: that of the model, else 10]
    #[arg(long, value_parser = at_least_1)]
    pub(crate) classes: Option<usize>,
    /// Show the plan instead: fused layers, algorithms, memory
    #[arg(long, value_enum, value_name = "MODE", num_args = 0..=1, default_missing_value = "training")]
    pub(crate) plan: Option<PlanMode>,
    /// Examples per step of the plan [default: a usual size for the network, else 64]
    #[arg(long, short, alias = "batch-size", requires = "plan", value_parser = at_least_1)]
    pub(crate) batch: Option<usize>,
    /// Plan without Winograd convolution, as in `train --precise`
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

/// How to compute: threads and instructions.
#[derive(Args, Clone)]
pub(crate) struct Processor {
    /// Number of threads [default: all that this machine can run at once]
    #[arg(long, short, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Vector instructions to use: auto, avx512, avx2, neon, scalar [default: auto]
    #[arg(long, value_name = "SET")]
    cpu: Option<InstructionSet>,
}

impl Processor {
    fn is_given(&self) -> bool {
        self.threads.is_some() || self.cpu.is_some()
    }

    /// The vector instructions of `--cpu`.
    pub(crate) fn instruction_set(&self) -> Option<InstructionSet> {
        self.cpu
    }

    /// The processor with these settings.
    pub(crate) fn cpu(&self) -> Cpu {
        let threads = self.threads.unwrap_or_else(Cpu::available_threads);
        Cpu::new(self.cpu.unwrap_or_else(InstructionSet::best), threads)
    }
}

/// `--size`: a model at another input size.
#[derive(Args)]
pub(crate) struct Size {
    /// Resize pictures to this height and width instead of the model's own. A smaller size is faster (128 instead of 224: a third of the time) and less accurate. The network must have global pooling before its first linear layer
    #[arg(long, value_name = "PIXELS", value_parser = at_least_1)]
    size: Option<usize>,
}

impl Size {
    /// The model at this size.
    pub(crate) fn of(&self, model: Model) -> Result<Model, hubel::Error> {
        match self.size {
            Some(side) => {
                let channels = model.input().channels;
                let frames = model.input().time;
                model.with_input(Shape::new(side, side, channels).over(frames))
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
    fn flags_of_the_optimizer_change_its_settings_or_are_refused() {
        let train = |flags: &[&str]| {
            let all = ["hubel", "train"].iter().chain(flags);
            match Arguments::parse_from(all).command {
                Command::Train(train) => train,
                _ => panic!("`train` is another command"),
            }
        };
        let digits = Subject {
            shape: Shape::new(28, 28, 1),
            is_grey: true,
            ground: None,
            mirrored: Mirrored::OfOtherClasses,
            has_levels: true,
            kind: Default::default(),
        };
        let settings = |flags: &[&str]| {
            let settings = train(flags).settings(&digits, 57_000, &[]);
            settings.expect("no augmentation is asked for")
        };
        for (name, rate, decay) in [
            ("sgd", 0.05, 0.0005),
            ("adam", 0.002, 0.0005),
            ("adamw", 0.002, 0.01),
            ("rmsprop", 0.001, 0.0005),
            ("lion", 0.0004, 0.05),
            ("muon", 0.02, 0.001),
        ] {
            let settings = settings(&["--optimizer", name]);
            assert_eq!(settings.optimizer.to_string(), name);
            let is_near = |value: f32, usual: f32| (value - usual).abs() <= 1e-6 * usual;
            assert!(is_near(settings.learning_rate, rate), "{name}");
            assert!(is_near(settings.weight_decay, decay), "{name}");
        }
        let betas = settings(&["--betas", "0.7,0.9"]).optimizer;
        let expected = hubel::Optimizer::AdamW {
            beta1: 0.7,
            beta2: 0.9,
            epsilon: 1e-8,
        };
        assert_eq!(betas, expected);
        let warm = settings(&["--warm-up", "5%", "--clip", "1", "--schedule", "plateau"]);
        assert_eq!(warm.warm_up, Some(hubel::WarmUp::Share(0.05)));
        assert_eq!(
            (warm.clip, warm.schedule),
            (Some(1.0), hubel::Schedule::plateau())
        );
        let is_refused = |flags: &[&str]| train(flags).optimizer_problem().is_some();
        for name in ["sgd", "muon", "rmsprop"] {
            assert!(!is_refused(&["--momentum", "0.5", "--optimizer", name]));
            assert!(is_refused(&["--betas", "0.5,0.9", "--optimizer", name]));
        }
        for name in ["adam", "adamw", "lion"] {
            assert!(is_refused(&["--momentum", "0.5", "--optimizer", name]));
            assert!(!is_refused(&["--betas", "0.5,0.9", "--optimizer", name]));
        }
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
            kind: Default::default(),
        };
        assert_eq!(
            train
                .settings(&digits, 57_000, &[])
                .expect("no augmentation is asked for"),
            hubel::TrainSettings {
                augmentation: digits.usual_augmentation(),
                ..hubel::TrainSettings::default()
            }
        );
        let epochs = |subject: Subject, images| {
            let settings = train.settings(&subject, images, &[]);
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
