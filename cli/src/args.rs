//! The command line: every flag, its help, its default and what it accepts.
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use hubel::data::{Augmentation, BadFiles, Balance, Options, Resize};
use hubel::network::Initialisation;
use hubel::{Cpu, InstructionSet, Optimizer, Schedule, Shape, TrainSettings};

/// Train, understand and ship convolutional neural networks, on a CPU, from one binary.
#[derive(Parser)]
#[command(
    name = "hubel",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  hubel train                                   learn to read digits (MNIST is part of the binary)
  hubel predict runs/mnist-cnn photo.jpg        what is in this picture?
  hubel check photos/                           what is wrong with these pictures?
  hubel inspect resnet18                        the layers of a network, with sizes and costs
  hubel bench                                   how fast is this machine, and what to expect

`hubel COMMAND --help` has every flag, with examples. Exit codes: 0 done, 1 failed, 2 wrong command line, 130 Ctrl-C."
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

Ctrl-C saves the model as it is and leaves with 130; a second Ctrl-C leaves at once.")]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// A network by name or as text [default: mnist-cnn for grey pictures, tutorial for colour]
    #[arg(long, short, value_name = "NAME|TEXT")]
    pub(crate) model: Option<String>,
    /// How often each training image is seen [default: 3 for writing, 30 for pictures]
    #[arg(long, short, value_parser = at_least_1)]
    pub(crate) epochs: Option<usize>,
    /// Images per step
    #[arg(long, short, default_value_t = usual().batch_size, value_parser = at_least_1)]
    pub(crate) batch_size: usize,
    /// The highest learning rate of the schedule [default: one that suits the optimizer]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) learning_rate: Option<f32>,
    /// How weights follow their gradients (sgd: with Nesterov momentum) [default: the one that trains MNIST best]
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Momentum of --optimizer sgd [default: 0.9]
    #[arg(long, value_parser = fraction)]
    pub(crate) momentum: Option<f32>,
    /// How the learning rate moves over the run
    #[arg(long, value_enum, default_value_t = ScheduleName::from(usual().schedule))]
    pub(crate) schedule: ScheduleName,
    /// Pull of the weights towards 0
    #[arg(long, value_name = "DECAY", default_value_t = usual().weight_decay, value_parser = not_negative)]
    pub(crate) weight_decay: f32,
    /// Probability spread over all classes in the targets
    #[arg(long, value_name = "SHARE", default_value_t = usual().label_smoothing, value_parser = fraction)]
    pub(crate) label_smoothing: f32,
    /// How weights begin (he: He normal before ReLU and its like, Xavier elsewhere; pytorch: uniform within ±1/√inputs)
    #[arg(long, value_enum, default_value_t = InitialisationName::He)]
    pub(crate) initialisation: InitialisationName,
    /// What is done about classes of very different size: none, loss (rare ones weigh more), sample (rare ones come more often)
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// No Winograd: compute every product of each convolution; smaller rounding errors, slower
    #[arg(long)]
    pub(crate) precise: bool,
    /// Folder for the model [default: a new one, runs/NAME]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: test_accuracy, seconds, model, epochs …
    #[arg(long)]
    pub(crate) json: bool,
}

impl Train {
    /// What the trainer is to do with data that shows `writing`, or other pictures.
    ///
    /// # Errors
    /// When the augmentation cannot be read.
    pub(crate) fn settings(&self, writing: bool) -> hubel::Result<TrainSettings> {
        let usual = usual();
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
        Ok(TrainSettings {
            epochs: self
                .epochs
                .unwrap_or(if writing { usual.epochs } else { 30 }),
            batch_size: self.batch_size,
            learning_rate: self.learning_rate.unwrap_or(usual_rate),
            optimizer,
            schedule: self.schedule.into(),
            weight_decay: self.weight_decay,
            label_smoothing: self.label_smoothing,
            seed: self.data.seed,
            augmentation: self.data.augmentation(writing)?,
            balance: self.balance,
            bad_files: self.data.files.bad_files,
            initialisation: match self.initialisation {
                InitialisationName::He => Initialisation::HeOrXavier,
                InitialisationName::Pytorch => Initialisation::PyTorch,
            },
            precise: self.precise,
        })
    }
}

/// What is trained on, and what is done to it before a network sees it.
#[derive(Args, Clone)]
pub(crate) struct TrainingData {
    /// `mnist`, or a folder or file of labelled pictures: class folders, a table (CSV), IDX, CIFAR or npz files
    #[arg(default_value = "mnist")]
    pub(crate) data: String,
    /// Size that pictures are brought to [default: their own where all agree, else a square of at most 64]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// Pictures of other proportions: letterbox (all of it, black bars), crop (the middle), stretch
    #[arg(long, default_value_t = Resize::Letterbox, value_parser = parsed::<Resize>)]
    pub(crate) resize: Resize,
    /// Random changes to training pictures: none, light, standard, strong, or operations such as 'flip, crop(4)'
    /// [default: standard for pictures, none for writing]
    #[arg(long, value_name = "PRESET|OPERATIONS")]
    pub(crate) augment: Option<String>,
    /// Share of the images held out to watch the run, where the data has no such part
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().validation, value_parser = share)]
    pub(crate) val: f64,
    /// Share of the images held out for the final judgement, where the data has no such part
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().test, value_parser = share)]
    pub(crate) test: f64,
    /// Decides all that is random. Same seed and instruction set: the same bits, for any number of threads
    #[arg(long, default_value_t = usual().seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) files: Files,
}

impl TrainingData {
    /// How the data is read and divided.
    pub(crate) fn options(&self) -> Options {
        Options {
            shape: self.input,
            resize: self.resize,
            validation: self.val,
            test: self.test,
            seed: self.seed,
            ..self.files.options()
        }
    }

    /// The random changes asked for, or those that suit the data.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn augmentation(&self, writing: bool) -> hubel::Result<Augmentation> {
        match &self.augment {
            None => Ok(Augmentation::usual(writing)),
            Some(text) => Augmentation::parse(text, writing),
        }
    }
}

/// `hubel data`
#[derive(Subcommand)]
pub(crate) enum Data {
    /// Draw the pictures of one training step, exactly as the network sees them
    Preview(Preview),
}

/// `hubel data preview`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel data preview photos/ --out sheet.png
  hubel data preview photos/ --augment strong --original
  hubel data preview photos/ --epoch 3 --step 40 --seed 7 --batch-size 64

With the flags of `hubel train` that say how data is read, divided, augmented, balanced and put into
batches, these are the pictures of that step of that run. Under each stand its class, its index among
the training images and its file.")]
pub(crate) struct Preview {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// The epoch, counted from 1
    #[arg(long, short, default_value_t = 1, value_parser = at_least_1)]
    pub(crate) epoch: usize,
    /// The step in the epoch, counted from 1
    #[arg(long, short, default_value_t = 1, value_parser = at_least_1)]
    pub(crate) step: usize,
    /// Images per step
    #[arg(long, short, default_value_t = usual().batch_size, value_parser = at_least_1)]
    pub(crate) batch_size: usize,
    /// What is done about classes of very different size, as of `train`: none, loss, sample
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// Put each picture as it was before augmentation on its left
    #[arg(long)]
    pub(crate) original: bool,
    /// Show only the first so many pictures of the step
    #[arg(long, value_name = "PICTURES", value_parser = at_least_1)]
    pub(crate) count: Option<usize>,
    /// The PNG file to write
    #[arg(long, short, value_name = "FILE", default_value = "sheet.png")]
    pub(crate) out: PathBuf,
    /// Print one JSON object: sheet, epoch, step, steps, augmentation, pictures with index, class, path
    #[arg(long)]
    pub(crate) json: bool,
}

/// How picture files are read.
#[derive(Args, Clone)]
pub(crate) struct Files {
    /// Pictures that cannot be read: fail (list them and stop), skip (leave them out), quarantine (move them beside the data)
    #[arg(long, value_name = "POLICY", default_value_t = BadFiles::Fail, value_parser = parsed::<BadFiles>)]
    pub(crate) bad_files: BadFiles,
    /// Memory for decoded pictures, such as 500MB; what does not fit is decoded again in each epoch [default: half of what is free]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) cache: Option<usize>,
}

impl Files {
    /// How files are read.
    pub(crate) fn options(&self) -> Options {
        Options {
            bad_files: self.bad_files,
            cache: self.cache,
            ..Options::default()
        }
    }
}

/// How weights begin, by name.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum InitialisationName {
    He,
    Pytorch,
}

/// `hubel evaluate`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel evaluate runs/mnist-cnn
  hubel evaluate runs/mnist-cnn mnist --json")]
pub(crate) struct Evaluate {
    /// A model file, or the folder that `hubel train` wrote
    pub(crate) model: PathBuf,
    /// `mnist`, or a folder of labelled pictures or IDX files; its test images where it has some
    #[arg(default_value = "mnist")]
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) files: Files,
    /// No Winograd, as of `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: accuracy, loss, count, classes, confusion
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel predict`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel predict runs/mnist-cnn photo.jpg
  hubel predict runs/mnist-cnn *.png --json

Pictures are PNG or JPEG of any size. Dark ink on light paper is recognised where the model
learned light on dark; it is then inverted, and the output says so.")]
pub(crate) struct Predict {
    /// A model file, or the folder that `hubel train` wrote
    pub(crate) model: PathBuf,
    /// The pictures
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// How many of the likeliest classes to show
    #[arg(long, default_value_t = 3, value_parser = at_least_1)]
    pub(crate) top: usize,
    /// No Winograd, as of `train --precise`
    #[arg(long)]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: predictions with path, class, probability, top, inverted
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel check`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel check photos/
  hubel check photos/ --html report.html        with the pictures, side by side
  hubel check photos/ --json

Exit codes: 1 where something makes a score untrustworthy (unreadable, truncated, label-conflict,
split-leak, empty-class), or nothing could be checked; 0 otherwise, whatever else was found.")]
pub(crate) struct Check {
    /// The data, in any form that `hubel train` takes
    pub(crate) data: String,
    /// Also write a page with the pictures, in one file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print one JSON object: findings, each with kind, paths, detail
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

Names: lenet5, mnist-cnn, tutorial, tutorial-bn, vgg16, resnet18, resnet50, mobilenet-v2, mlp.")]
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
    #[arg(long, short, requires = "plan", value_parser = at_least_1)]
    pub(crate) batch: Option<usize>,
    /// A plan without Winograd, as of `train --precise`
    #[arg(long, requires = "plan")]
    pub(crate) precise: bool,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: parameters, multiply_adds, layers; with --plan: mode, steps, memory …
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel bench`
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  hubel bench                                   what this machine can do, and images/s of the zoo
  hubel bench train resnet18                    a training step
  hubel bench infer resnet18 --batch 1 --json   a prediction
  hubel bench train mnist-cnn --steps           where the time goes
  hubel bench kernels depthwise                 single convolutions"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    #[command(flatten)]
    pub(crate) overview: BenchOverview,
}

/// What is timed.
#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Time of a training step: forward, backward, update
    Train(BenchNetwork),
    /// Time of a forward pass
    Infer(BenchNetwork),
    /// Time and GFLOP/s of every convolution kernel and direction
    Kernels(BenchKernels),
    /// How fast pictures are read, resized and augmented
    Data(BenchData),
}

/// `hubel bench` alone
#[derive(Args)]
pub(crate) struct BenchOverview {
    /// About how long to measure each network's training and inference
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: machine, networks
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel bench train`, `hubel bench infer`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel bench train resnet18
  hubel bench infer mobilenet-v2 --batch 1 --threads 2
  hubel bench train 'conv(32, padding=1)-relu-pool-flatten-fc(classes)' --input 64x64x3 --steps")]
pub(crate) struct BenchNetwork {
    /// A network by name or as text [default: mnist-cnn]
    #[arg(value_name = "NAME|TEXT")]
    network: Option<String>,
    /// The same, as a flag
    #[arg(long, value_name = "NAME|TEXT", conflicts_with = "network")]
    net: Option<String>,
    /// Images per step [default: usual for the network, else 64]
    #[arg(long, value_parser = at_least_1)]
    batch: Option<usize>,
    /// Size of the input [default: the network's own, else 28x28x1]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// How many classes `linear(classes)` has
    #[arg(long, default_value_t = 10, value_parser = at_least_1)]
    pub(crate) classes: usize,
    /// No Winograd: compute every product of each convolution
    #[arg(long)]
    pub(crate) precise: bool,
    /// Show the time of each step of the plan instead: where the time goes
    #[arg(long)]
    pub(crate) steps: bool,
    /// How long to measure
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: net, mode, batch, threads, cpu, median_ms, images_per_second, peak_memory_bytes, runs
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchNetwork {
    /// The network's name or text.
    pub(crate) fn network(&self) -> &str {
        let given = self.network.as_deref().or(self.net.as_deref());
        given.unwrap_or("mnist-cnn")
    }

    /// Images per step.
    pub(crate) fn batch(&self) -> usize {
        self.batch
            .unwrap_or_else(|| hubel::bench::usual_batch(self.network()))
    }
}

/// `hubel bench kernels`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel bench kernels
  hubel bench kernels '3x3 64->64'
  hubel bench kernels depthwise --threads 1 --json
  hubel bench kernels --assert                  is what a plan chooses the fastest here?")]
pub(crate) struct BenchKernels {
    /// Only the shapes that contain this text, such as 1x1, depthwise, @56 or '64->128'
    #[arg(default_value = "")]
    pub(crate) filter: String,
    /// Leave with 1 if a plan's choice is more than 10 % slower than another algorithm
    #[arg(long)]
    pub(crate) assert: bool,
    /// About how long to measure each algorithm
    #[arg(long, default_value_t = 0.25, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: cpu, threads, peak_gflops, kernels
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel bench data`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel bench data photos/
  hubel bench data photos/ --input 224x224x3 --augment strong --threads 1
  hubel bench data photos/ --cache 2GB          with pictures kept in memory")]
pub(crate) struct BenchData {
    #[command(flatten)]
    data: TrainingData,
    /// Images per step
    #[arg(long, default_value_t = usual().batch_size, value_parser = at_least_1)]
    pub(crate) batch: usize,
    /// How long to measure, at least once through the images
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: images_per_second, images, shape, augmentation, threads
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchData {
    /// The data, of which nothing is kept in memory unless that was asked for: reading is what is measured.
    pub(crate) fn data(&self) -> TrainingData {
        let mut data = self.data.clone();
        data.files.cache.get_or_insert(0);
        data
    }
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

/// `--plan`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PlanMode {
    Training,
    Inference,
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

fn usual() -> TrainSettings {
    TrainSettings::default()
}

fn at_least_1(text: &str) -> Result<usize, String> {
    let count: Option<usize> = text.parse().ok();
    count
        .filter(|count| *count > 0)
        .ok_or_else(|| "a whole number, 1 or more, is needed".into())
}

fn positive(text: &str) -> Result<f32, String> {
    number(text, "greater than 0", |value| value > 0.0)
}

fn not_negative(text: &str) -> Result<f32, String> {
    number(text, "0 or more", |value| value >= 0.0)
}

/// A share as of [`fraction`], in double precision.
fn share(text: &str) -> Result<f64, String> {
    fraction(text)?;
    text.parse().map_err(|_| "a number is needed".into())
}

/// What the library reads from text, with its message.
fn parsed<T: FromStr<Err = hubel::Error>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: hubel::Error| error.to_string())
}

/// `500MB`, `2GB`, `1.5 GiB`, `0`
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let unit = match text[digits.len()..].to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => f64::NAN,
    };
    let size = digits.trim().parse::<f64>().unwrap_or(f64::NAN) * unit;
    match size >= 0.0 && size < 1e18 {
        true => Ok(size as usize),
        false => Err("a size such as 500MB or 2GiB is needed".into()),
    }
}

fn fraction(text: &str) -> Result<f32, String> {
    number(text, "from 0 to less than 1", |value| {
        (0.0..1.0).contains(&value)
    })
}

fn number(text: &str, range: &str, fits: impl Fn(f32) -> bool) -> Result<f32, String> {
    let value: Option<f32> = text.parse().ok();
    value
        .filter(|value| value.is_finite() && fits(*value))
        .ok_or_else(|| format!("a number {range} is needed"))
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|value| value.is_finite() && *value > 0.0)
        .ok_or_else(|| "a number greater than 0 is needed".into())
}

fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Vec<usize> = text
        .split(['x', 'X', '×'])
        .map(|size| size.trim().parse().ok().filter(|size| *size > 0))
        .collect::<Option<_>>()
        .unwrap_or_default();
    match sizes[..] {
        [height, width, channels] => Ok(Shape::new(height, width, channels)),
        [height, width] => Ok(Shape::new(height, width, 1)),
        _ => Err("height×width×channels is needed, such as 28x28x1 or 224x224x3".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn shapes_are_read_and_bad_ones_refused() {
        assert_eq!(shape("28x30x3"), Ok(Shape::new(28, 30, 3)));
        assert_eq!(shape("28×30"), Ok(Shape::new(28, 30, 1)));
        for bad in ["", "28", "0x28x1", "28x28x1x1", "ax28x1", "-1x2x3"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(positive("0").is_err() && positive("nan").is_err() && positive("inf").is_err());
        assert!(fraction("1").is_err() && fraction("-0.1").is_err());
        assert_eq!(fraction("0.25"), Ok(0.25));
        assert!(share("1.0").is_err());
        assert_eq!(share("0.1"), Ok(0.1));
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("1.5MB"), Ok(1_500_000));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        for bad in ["", "MB", "-1", "1 elephant", "nan", "inf"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn train_without_flags_has_the_library_s_defaults() {
        let Command::Train(train) = Arguments::parse_from(["hubel", "train"]).command else {
            panic!("`train` is another command");
        };
        assert_eq!(
            train.settings(true).expect("no augmentation is asked for"),
            TrainSettings::default()
        );
    }
}
