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

The file has the arrays `features` (a row of numbers for each picture) and `paths`; in Python: numpy.load('features.npz')['features']. The numbers are those before the last linear \
layer, or the output of --layer; of a map of several pixels the mean over them.")]
pub(crate) struct Embed {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or weights of PyTorch such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// The pictures, as of `predict`: files, folders, patterns in quotes, - or @names.txt for lists of names
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// The file to write, .npz
    #[arg(long, short, value_name = "FILE", value_parser = archive)]
    pub(crate) out: PathBuf,
    /// The layer whose output is taken, by the name that `hubel inspect` shows
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

Pictures are compared by the numbers before the last linear layer: the distance is 1 - cosine of the angle between them, 0 for the same direction and 1 for a right angle. \
A model that was trained on other things finds other things alike. To keep the numbers: `hubel embed`.")]
pub(crate) struct Similar {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or weights of PyTorch such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// Where to look: a folder, a pattern in quotes, - or @names.txt for a list of names
    #[arg(value_name = "FOLDER")]
    pub(crate) among: PathBuf,
    /// The picture to compare with
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// How many of the most alike to show
    #[arg(long, default_value_t = 10, value_parser = at_least_1)]
    pub(crate) count: usize,
    /// The layer by whose output they are compared, by the name that `hubel inspect` shows
    #[arg(long, value_name = "NAME")]
    pub(crate) layer: Option<String>,
    #[command(flatten)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: similar with path and distance, layer, compared, bad_files
    #[arg(long)]
    pub(crate) json: bool,
}
