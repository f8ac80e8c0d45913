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
  hubel bench                                   the machine, and images/s of the named networks
  hubel bench train resnet18                    time of a training step
  hubel bench infer resnet18 --batch 1 --json   time of a prediction
  hubel bench train mnist-cnn --steps           time of each step of the plan
  hubel bench kernels depthwise                 time of single convolutions"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    #[command(flatten)]
    pub(crate) overview: BenchOverview,
}

/// The subcommands of `hubel bench`.
#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure the time of a training step: forward, backward, update
    Train(BenchNetwork),
    /// Measure the time of a forward pass
    Infer(BenchNetwork),
    /// Measure the time and GFLOP/s of each convolution kernel, forward and backward
    Kernels(BenchKernels),
    /// Measure how fast pictures are read, resized and augmented
    Data(Box<BenchData>),
}

/// `hubel bench` alone
#[derive(Args)]
pub(crate) struct BenchOverview {
    /// Seconds to measure each network, about this long for training and for inference
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
  hubel bench infer runs/photos-efficientnet-lite0        your own model
  hubel bench train 'conv(32, padding=1)-relu-pool-flatten-fc(classes)' --input 64x64x3 --steps")]
pub(crate) struct BenchNetwork {
    /// A model file or its folder, a network by name, or architecture text [default: mnist-cnn]
    #[arg(value_name = "MODEL|NAME|TEXT")]
    network: Option<String>,
    /// The same, as a flag
    #[arg(long, value_name = "MODEL|NAME|TEXT", conflicts_with = "network")]
    net: Option<String>,
    /// Examples per step [default: a usual size for the network, else 64]
    #[arg(long, short, alias = "batch-size", value_parser = at_least_1)]
    batch: Option<usize>,
    /// Input size [default: that of the model or network, else 28x28x1]
    #[arg(long, short, value_name = "HxWxC", value_parser = shape)]
    pub(crate) input: Option<Shape>,
    /// Number of classes for `linear(classes)` [default: that of the model, else 10]
    #[arg(long, value_parser = at_least_1)]
    pub(crate) classes: Option<usize>,
    /// Do not use Winograd convolution
    #[arg(long)]
    pub(crate) precise: bool,
    /// Show the time of each step of the plan instead
    #[arg(long)]
    pub(crate) steps: bool,
    /// Seconds to measure
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
  hubel bench kernels --assert                  do plans choose the fastest algorithm here?")]
pub(crate) struct BenchKernels {
    /// Only the shapes that contain this text, such as 1x1, depthwise, @56 or '64->128'
    #[arg(default_value = "")]
    pub(crate) filter: String,
    /// Exit with 1 if the algorithm that a plan chooses is more than 10 % slower than another one
    #[arg(long)]
    pub(crate) assert: bool,
    /// Seconds to measure each algorithm, about
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
  hubel bench data photos/ --cache 2GB          keeps pictures in memory")]
pub(crate) struct BenchData {
    #[command(flatten)]
    data: TrainingData,
    /// Seconds to measure, at least one pass over the images
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub(crate) duration: f64,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: images_per_second, images, shape, augmentation, threads
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchData {
    /// The data. Without `--cache` nothing is kept in memory, because reading is what is measured.
    pub(crate) fn data(&self) -> TrainingData {
        let mut data = self.data.clone();
        data.files.cache.get_or_insert(0);
        data
    }
}
