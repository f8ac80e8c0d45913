//! `hubel explain`
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hubel::Place;

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
  hubel explain runs/reviews-kim2014 --text 'witty and never dull' --layer 1.0.0 --at 2,0,0,5    the value of filter 5 at time 2

Layers have the names that `hubel inspect` shows. Kernels by name: edge, sobel-x, sobel-y, blur, sharpen, corner, curve.")]
pub(crate) struct Explain {
    /// A model file (or the folder that `hubel train` wrote) and a picture, recording or clip; with --text only the model; with --kernel only a picture
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "FILE"])]
    pub(crate) paths: Vec<PathBuf>,
    /// The text to explain, for a model of texts
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["filter", "kernel", "data", "size", "method"])]
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
    /// Show how the value at this row, column and channel of --layer is computed, counted from 0; in the map of a clip or text, the time comes before them
    #[arg(long, value_name = "[T,]Y,X,C", requires = "layer", value_parser = place, conflicts_with = "kernel")]
    pub(crate) at: Option<At>,
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

/// `--at`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// The place; its time is 0 if none was given.
    pub(crate) place: Place,
    /// Whether a time was given.
    pub(crate) has_time: bool,
}

/// `4,7,0`, or with a time `2,4,7,0`
fn place(text: &str) -> Result<At, String> {
    let numbers: Option<Vec<usize>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let (place, has_time) = match numbers.as_deref() {
        Some(&[row, column, channel]) => (Place::new(row, column, channel), false),
        Some(&[time, row, column, channel]) => (Place::new(row, column, channel).over(time), true),
        _ => {
            let needed = "row, column and channel are needed, such as 4,7,0; for a clip or text with the time before them, such as 2,4,7,0";
            return Err(needed.into());
        }
    };
    Ok(At { place, has_time })
}
