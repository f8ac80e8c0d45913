//! `hubel embed`, `hubel similar`
use std::path::PathBuf;

use clap::Args;

use super::values::{archive, at_least_1};
use super::{Processor, Size};

/// `hubel embed`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel embed efficientnet-lite0 photos/ --out features.npz
  hubel embed runs/photos-efficientnet-lite0 'new/*.jpg' --layer _conv_head --out features.npz

The file has the arrays `features` (one row per file) and `paths`; in Python: numpy.load('features.npz')['features']. The features are the input of the last linear \
layer, or the output of --layer. A map of several places is averaged over them.")]
pub(crate) struct Embed {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or PyTorch weights such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// Files, folders, patterns in quotes, - or @names.txt for a list of names, as in `predict`
    #[arg(required = true, value_name = "FILE")]
    pub(crate) images: Vec<PathBuf>,
    /// File to write, .npz
    #[arg(long, short, value_name = "FILE", value_parser = archive)]
    pub(crate) out: PathBuf,
    /// Use the output of this layer, by the name that `hubel inspect` shows
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    #[command(flatten)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: out, layer, dimensions, count, bad_files
    #[arg(long)]
    pub(crate) json: bool,
}

/// `hubel similar`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel similar efficientnet-lite0 photos/ cat.jpg
  hubel similar runs/photos-efficientnet-lite0 'new/**/*.jpg' cat.jpg --count 20 --json

Files are compared by their features, the input of the last linear layer. The distance is 1 - cosine of the angle between them: 0 for the same direction, 1 for a right angle. \
What is similar depends on what the model was trained on. `hubel embed` writes the features to a file.")]
pub(crate) struct Similar {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or PyTorch weights such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// Where to search: a folder, a pattern in quotes, - or @names.txt for a list of names
    #[arg(value_name = "FOLDER")]
    pub(crate) among: PathBuf,
    /// The file to compare with
    #[arg(value_name = "FILE")]
    pub(crate) image: PathBuf,
    /// Number of similar files to show
    #[arg(long, default_value_t = 10, value_parser = at_least_1)]
    pub(crate) count: usize,
    /// Compare the output of this layer, by the name that `hubel inspect` shows
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    #[command(flatten)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: similar (path, distance), layer, compared, bad_files
    #[arg(long)]
    pub(crate) json: bool,
}
