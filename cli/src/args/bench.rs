//! `hubel bench`.
use clap::{Args, Subcommand};
use hubel::Shape;

use super::values::{at_least_1, seconds, shape};
use super::{Processor, TrainingData};

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
  hubel bench infer runs/photos-efficientnet-lite0        a model of yours
  hubel bench train 'conv(32, padding=1)-relu-pool-flatten-fc(classes)' --input 64x64x3 --steps")]
pub(crate) struct BenchNetwork {
    /// A model file or its folder, a network by name, or architecture text [default: mnist-cnn]
    #[arg(value_name = "MODEL|NAME|TEXT")]
    network: Option<String>,
    /// The same, as a flag
    #[arg(long, value_name = "MODEL|NAME|TEXT", conflicts_with = "network")]
    net: Option<String>,
    /// Images per step [default: usual for the network, else 64]
    #[arg(long, short, alias = "batch-size", value_parser = at_least_1)]
    batch: Option<usize>,
    /// Size of the input [default: the model's or the network's own, else 28x28x1]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// How many classes `linear(classes)` has [default: the model's, else 10]
    #[arg(long, value_parser = at_least_1)]
    pub(crate) classes: Option<usize>,
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
