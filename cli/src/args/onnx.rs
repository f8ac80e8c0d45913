//! `hubel import` and `hubel export`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hubel::onnx::OPSETS;
use hubel::{Normalisation, Shape};

use super::Processor;
use super::values::{at_least_1, model_folder, of_colours, picture_shape};

/// `hubel import`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel import mobilenet.onnx                        writes runs/mobilenet/model.safetensors
  hubel import mobilenet.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  hubel import cats.onnx --classes names.txt --out runs/cats
  hubel import open.onnx --input 224x224x3           for a file that leaves the size of its pictures open

The result is an ordinary model: `predict`, `evaluate`, `explain`, `inspect`, `train --from` and `export` take it. Training goes on from its weights, batch norm included. An ONNX file does not say how its pictures were normalised, unless its graph does so itself: give --mean and --std as the model's authors name them. A file with operators that hubel does not have is refused, with all of them and the reasons.")]
pub(crate) struct Import {
    /// An ONNX file of an image classifier
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The names of the classes in their order, one a line [default: those in the file; those of ImageNet for a thousand classes; else numbers]
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Mean of red, green and blue (0 to 1) that is subtracted before the graph [default: none]
    #[arg(long, value_name = "R,G,B", requires = "std", value_parser = of_colours)]
    mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue that pictures are divided by before the graph [default: none]
    #[arg(long, value_name = "R,G,B", requires = "mean", value_parser = of_colours)]
    std: Option<[f32; 3]>,
    /// Size of the pictures, for a file that leaves it open
    #[arg(long, short, value_name = "HxWxC", value_parser = picture_shape)]
    pub(crate) input: Option<Shape>,
    /// Folder for the model [default: a new one in runs/]
    #[arg(long, short, value_name = "DIR", value_parser = model_folder)]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object: model, classes, input, parameters, mean, std, remarks
    #[arg(long)]
    pub(crate) json: bool,
}

impl Import {
    /// `--mean` and `--std`, if given.
    pub(crate) fn normalisation(&self) -> Option<Normalisation> {
        let (mean, std) = (self.mean?, self.std?);
        Some(Normalisation { mean, std })
    }
}

/// `hubel export`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel export runs/photos --onnx photos.onnx        takes pictures as bytes [n, h, w, c]; normalises them itself
  hubel export runs/photos --onnx photos.onnx --resize-inside        takes pictures of any size
  hubel export runs/photos --onnx photos.onnx --input float --opset 13
  hubel export runs/photos photos/test --onnx photos.onnx --fp16     compares on these pictures

Before the file is kept, hubel reads it with its own importer and compares the logits with the model's, on your pictures or on pictures of random levels. If they differ by more than 1e-4 of the largest logit (1e-2 with --fp16), or a class changes, nothing is written. The metadata of the file has the names of the classes, the size and normalisation of pictures, the temperature and the threshold.")]
pub(crate) struct Export {
    /// A model file, the folder that `hubel train` wrote, `efficientnet-lite0`, or PyTorch weights such as `resnet18.pth`
    pub(crate) model: PathBuf,
    /// Pictures, folders, patterns such as 'new/*.jpg', or @names.txt, for the comparison [default: pictures of random levels]
    #[arg(value_name = "PICTURE")]
    pub(crate) pictures: Vec<PathBuf>,
    /// Write an ONNX file with this name
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) onnx: PathBuf,
    /// What the graph takes: bytes [n, h, w, c], which it normalises, or normalised floats [n, c, h, w]
    #[arg(long, value_enum, value_name = "KIND", default_value = "bytes")]
    pub(crate) input: GraphInput,
    /// The graph takes pictures of any size as bytes [n, rows, columns, c], and resizes them as hubel does
    #[arg(long, conflicts_with = "input")]
    pub(crate) resize_inside: bool,
    /// Version of ONNX's operators, 13 to 21. What an older one lacks is written in parts
    #[arg(long, value_name = "VERSION", default_value_t = 17, value_parser = opset)]
    pub(crate) opset: i64,
    /// Keep each batch norm as a node of its own; otherwise it becomes part of the layer before it
    #[arg(long)]
    pub(crate) keep_batch_norm: bool,
    /// Weights and arithmetic of 16 bits: half the file
    #[arg(long)]
    pub(crate) fp16: bool,
    /// Number of pictures on which the file and the model are compared; of many they are taken at equal distances
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = at_least_1)]
    pub(crate) compare: usize,
    #[command(flatten)]
    pub(crate) processor: Processor,
    /// Print one JSON object: file, bytes, nodes, difference, compared
    #[arg(long)]
    pub(crate) json: bool,
}

fn opset(text: &str) -> Result<i64, String> {
    let version: Option<i64> = text.parse().ok();
    version
        .filter(|version| OPSETS.contains(version))
        .ok_or_else(|| {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            format!("a whole number from {first} to {last} is needed")
        })
}

/// `--input` of `hubel export`
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum GraphInput {
    Bytes,
    Float,
}
