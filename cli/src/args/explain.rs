//! `hubel explain`
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::at_least_1;
use super::{Files, Processor, Size};

/// `hubel explain`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel explain runs/mnist-cnn photo.jpg                  a page with all maps, the filters, and why
  hubel explain runs/photos-efficientnet-lite0 cat.jpg --class dog --against cat --method all
  hubel explain runs/photos-efficientnet-lite0 cat.jpg --data photos/ --check   can the maps be trusted; the training pictures most alike
  hubel explain runs/mnist-cnn 7.png --layer 3 --filter 5           where filter 5 of layer 3 fires
  hubel explain runs/mnist-cnn 7.png --layer 3 --at 4,7,5 --backward    the arithmetic of one number
  hubel explain photo.jpg --kernel sobel-x                a filter made by hand, no model needed

Layers have the names that `hubel inspect` shows. Kernels by name: edge, sobel-x, sobel-y, blur, sharpen, corner, curve.")]
pub(crate) struct Explain {
    /// A model file, or the folder that `hubel train` wrote, and a picture; with --kernel the picture alone
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "IMAGE"])]
    pub(crate) paths: Vec<PathBuf>,
    /// The folder for pictures and page [default: explain-IMAGE]
    #[arg(long, short, value_name = "DIR", conflicts_with = "at")]
    pub(crate) out: Option<PathBuf>,
    /// The class that is explained [default: the one that the model predicts]
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// Explain why the class rather than this one: the difference of their logits
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
    /// Why this class, by which methods
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["grad-cam", "gradient"], value_name = "METHOD", conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) method: Vec<Method>,
    /// Check each map: does it find what counts for the network, and, with --data, does it depend on what was learned
    #[arg(long, conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) check: bool,
    /// The data that the model was trained on: shows its pictures that the network finds most alike; --check compares with others of them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["at", "filter", "kernel"])]
    pub(crate) data: Option<PathBuf>,
    /// How many pictures of --data to show
    #[arg(long, value_name = "N", default_value_t = 8, requires = "data", value_parser = at_least_1)]
    pub(crate) nearest: usize,
    #[command(flatten)]
    pub(crate) files: Files,
    /// A layer by name: all of its maps and filters, and Grad-CAM on its map
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    /// Show where this filter of --layer fires, counted from 0
    #[arg(long, value_name = "N", requires = "layer", conflicts_with_all = ["at", "kernel", "class", "against"])]
    pub(crate) filter: Option<usize>,
    /// Show the arithmetic of the number at this row, column and channel of the map of --layer, counted from 0
    #[arg(long, value_name = "Y,X,C", requires = "layer", value_parser = place, conflicts_with = "kernel")]
    pub(crate) at: Option<[usize; 3]>,
    /// With --at: which of the numbers it is made of the gradient goes to
    #[arg(long, requires = "at")]
    pub(crate) backward: bool,
    /// Lay a filter made by hand over the picture: a name, or a matrix such as [[1,0,-1],[2,0,-2],[1,0,-1]]
    #[arg(long, value_name = "NAME|MATRIX", conflicts_with_all = ["layer", "class", "against", "size"])]
    pub(crate) kernel: Option<String>,
    #[command(flatten)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: class, logit, layers, explanations with their checks, nearest, files; with --at the arithmetic; with --filter or --kernel the places
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a class is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Method {
    /// Where the map of a layer speaks for the class
    GradCam,
    /// How the score changes with each pixel
    Gradient,
    /// The mean gradient over 32 noisy copies
    SmoothGrad,
    /// The gradient on the way from the mean picture, complete: it sums up to the score
    IntegratedGradients,
    /// By how much the score falls when a part is covered
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
