//! `hubel explain`
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::at_least_1;
use super::{Files, Processor, Size};

/// `hubel explain`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel explain runs/mnist-cnn photo.jpg                  a page with all maps and filters, and why this class
  hubel explain runs/photos-efficientnet-lite0 cat.jpg --class dog --against cat --method all
  hubel explain runs/photos-efficientnet-lite0 cat.jpg --data photos/ --check   can the maps be trusted? also the most similar training pictures
  hubel explain runs/mnist-cnn 7.png --layer 3 --filter 5           where filter 5 of layer 3 responds
  hubel explain runs/mnist-cnn 7.png --layer 3 --at 4,7,5 --backward    the arithmetic of one value
  hubel explain photo.jpg --kernel sobel-x                a filter made by hand; needs no model
  hubel explain runs/reviews-kim2014 --text 'gorgeous, witty and never dull' --check    which words support the class

Layers have the names that `hubel inspect` shows. Kernels by name: edge, sobel-x, sobel-y, blur, sharpen, corner, curve.")]
pub(crate) struct Explain {
    /// A model file (or the folder that `hubel train` wrote) and a picture, recording or clip; with --text only the model; with --kernel only a picture
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "FILE"])]
    pub(crate) paths: Vec<PathBuf>,
    /// The text to explain, for a model of texts
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["at", "filter", "kernel", "data", "layer", "size", "method"])]
    pub(crate) text: Option<String>,
    /// Folder for the page and its pictures [default: explain- with the name of the file; for a text, none is written]
    #[arg(long, short, value_name = "DIR", conflicts_with = "at")]
    pub(crate) out: Option<PathBuf>,
    /// Class to explain [default: the predicted class]
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// Explain why the class is preferred to this one: the difference of their logits
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Methods that explain the class
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["grad-cam", "gradient"], value_name = "METHOD", conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) method: Vec<Method>,
    /// Check whether each map can be trusted: does it find what matters to the network? With --data: does it depend on the learned weights?
    #[arg(long, conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) check: bool,
    /// The training data of the model: shows what the network finds most similar in it; --check also uses it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) data: Option<PathBuf>,
    /// Number of similar examples of --data to show
    #[arg(long, value_name = "N", default_value_t = 8, requires = "data", value_parser = at_least_1)]
    pub(crate) nearest: usize,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Show all maps and filters of this layer, and compute Grad-CAM on it
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    /// Show where this filter of --layer responds, counted from 0
    #[arg(long, value_name = "N", requires = "layer", conflicts_with_all = ["at", "kernel", "class", "against"])]
    pub(crate) filter: Option<usize>,
    /// Show how the value at this row, column and channel of --layer is computed, counted from 0
    #[arg(long, value_name = "Y,X,C", requires = "layer", value_parser = place, conflicts_with = "kernel")]
    pub(crate) at: Option<[usize; 3]>,
    /// With --at: also show the gradient of each value that goes into it
    #[arg(long, requires = "at")]
    pub(crate) backward: bool,
    /// Apply a filter made by hand to the picture: a name, or a matrix such as [[1,0,-1],[2,0,-2],[1,0,-1]]
    #[arg(long, value_name = "NAME|MATRIX", conflicts_with_all = ["layer", "class", "against", "size"])]
    pub(crate) kernel: Option<String>,
    #[command(flatten)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: class, score, layers, explanations with their checks, nearest, files; with --at the arithmetic; with --filter or --kernel the places
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--method`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Method {
    /// Where the map of a layer supports the class
    GradCam,
    /// How the score changes with each value of the input
    Gradient,
    /// The mean gradient over 32 noisy copies
    SmoothGrad,
    /// The gradient along the path from the mean input; it adds up to the score's difference
    IntegratedGradients,
    /// How much the score falls when a part is covered
    Occlusion,
    /// All of them
    All,
}

/// `4,7,0`
fn place(text: &str) -> Result<[usize; 3], String> {
    let numbers: Option<Vec<usize>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "row, column and channel are needed, such as 4,7,0".into())
}
