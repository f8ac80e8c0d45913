//! Train, understand and ship convolutional neural networks on a CPU.
//!
//! ```
//! use hubel::{Cpu, Dataset, Model, Network, Shape, TrainSettings, Trainer};
//! use std::ops::ControlFlow;
//!
//! // One's own arrays: images [n, h, w, c] and a label for each. Here: dark or bright pictures.
//! let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
//! let images: Vec<f32> = (0..200 * 64).map(|i| labels[i / 64] as f32 + (i as f32).sin()).collect();
//! let dataset = Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)?;
//!
//! let network = Network::parse("conv(8, padding=same)-relu-pool-flatten-fc(classes)")?;
//! let cpu = Cpu::best(Cpu::available_threads());
//! let settings = TrainSettings { epochs: 10, batch_size: 20, ..TrainSettings::default() };
//! let mut trainer = Trainer::new(cpu.clone(), network, &dataset, None, settings)?;
//! let model = trainer.run(&mut |_event| ControlFlow::Continue(()))?;
//! assert!(model.evaluate(&cpu, &dataset)?.accuracy > 0.9);
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("model.safetensors");
//! model.save(&path)?;
//! assert_eq!(Model::load(&path)?, model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A model at work, of which a program makes one for each of its threads:
//!
//! ```no_run
//! # #[cfg(feature = "pictures")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use hubel::{Cpu, Model, Predictor};
//!
//! let model = Model::load("animals.safetensors")?; // Or Model::from_bytes(include_bytes!(…)).
//! let mut predictor = Predictor::new(model, Cpu::best(1))?;
//! let prediction = predictor.predict(&std::fs::read("photo.jpg")?)?;
//! println!("{}  {:.1} %", prediction.class, 100.0 * prediction.probability);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "pictures"))]
//! # fn main() {}
//! ```
//!
//! # Where to begin
//!
//! | task | types | example |
//! |---|---|---|
//! | classify | [`Predictor`], [`Model`] | `classify_bytes`, `serve_threads` |
//! | train | [`Trainer`], [`TrainSettings`], [`TrainState`], [`Record`] | `train_arrays` |
//! | read data | [`Dataset`], and the module [`data`] | |
//! | describe a network | [`Network`], [`network::NetworkBuilder`] | `custom_architecture` |
//! | write another training loop | [`Plan`], [`Workspace`], [`Parameters`] | `custom_architecture` |
//! | judge | [`Model::evaluate`], [`Model::evaluate_each`] | |
//! | compare two models or settings | [`compare`] | |
//! | look inside | [`features`], [`explain`] | |
//! | find out why it does not learn | [`doctor`] | |
//!
//! `cargo run --release --package hubel --example NAME` runs an example of `hubel/examples/`.
//!
//! # Features
//!
//! All are on by default. `default-features = false` leaves training, evaluation and prediction from pixels and tensors.
//!
//! | feature | what it adds | what it brings |
//! |---|---|---|
//! | `pictures` | decoders of picture files; data from class folders and from [`data::Pictures`]; [`check`] | `image`, `tiff`, `memchr` |
//! | `tables` | data from CSV, IDX, CIFAR's files and `.npz`; [`features::save`]; needs `pictures` | `csv`, `zip`, `flate2` |
//! | `sound` | decoders of sound files; data from class folders and tables of them; needs `pictures` | `symphonia`, `rubato`, `realfft` |
//! | `run-settings` | the settings of runs and their differences: [`run_toml`] | `toml` |
//! | `onnx` | models from ONNX files: [`onnx`] | `prost` |
//! | `torch` | weights of other programs: [`Weights`] | `zip`, `flate2` |
//! | `drawings` | explanations and augmented pictures as PNG files; needs `pictures` | `noto-sans-mono-bitmap` |
//! | `mnist` | the data set MNIST, 10 MB; needs `tables`; with `drawings` the experiments of [`lab`] | `ruzstd` |
//! | `backbone` | EfficientNet-Lite0 with its ImageNet weights, 9 MB: [`Model::pretrained`] | `ruzstd` |
//!
//! | features | crates, this one and procedural macros included |
//! |---|---|
//! | none | 33, of which 23 end up in the program |
//! | `pictures` | 56, of which 46 end up in the program |
//! | `sound` | 90, of which 78 end up in the program |
//! | all | 116, of which 99 end up in the program |
//!
//! `cargo tree --package hubel --edges normal --no-default-features` lists them. The example `serve_threads` without features is a program of
//! 3.9 MB (thin LTO, stripped; x86-64, with kernels for all its instruction sets).
//!
//! # Other crates in the interface
//!
//! Decoded pictures are those of the crate `image`, which is there as [`image`]; the values of settings in [`run_toml`] are those of `toml`; [`Cpu`] and [`softmax`] come from `hubel-kernels`.
//!
//! # Building
//!
//! Build with `--release`. Cargo's own release profile is as fast as that of hubel's binary, but `lto = "off"` makes a network seven times
//! slower. For development builds, optimise the kernels at least: `[profile.dev.package.hubel-kernels] opt-level = 3`.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(
        feature = "backbone",
        feature = "drawings",
        feature = "mnist",
        feature = "onnx",
        feature = "pictures",
        feature = "sound",
        feature = "tables",
        feature = "torch"
    )),
    allow(
        dead_code,
        reason = "a feature that is left out may be the only user of something"
    )
)]

pub mod bench;
mod binomial;
#[cfg(feature = "pictures")]
pub mod check;
pub mod compare;
pub mod data;
pub mod doctor;
#[cfg(feature = "drawings")]
mod drawing;
mod error;
mod evaluate;
pub mod explain;
pub mod features;
#[cfg(feature = "pictures")]
mod film;
#[cfg(any(feature = "onnx", feature = "torch"))]
mod foreign;
mod formats;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod inference;
#[cfg(all(feature = "drawings", feature = "mnist"))]
pub mod lab;
pub mod labels;
pub mod layers;
mod memory;
mod model;
mod named;
mod nearest;
pub mod network;
mod on_all_cores;
mod one_line;
#[cfg(feature = "onnx")]
pub mod onnx;
mod optimizer;
pub mod parameters;
mod percent;
pub mod plan;
mod predict;
#[cfg(feature = "backbone")]
mod pretrained;
mod random;
mod run;
#[cfg(feature = "run-settings")]
pub mod run_toml;
mod schedule;
mod shape;
mod train;
#[cfg(feature = "torch")]
mod weights;
mod workspace;

pub use data::{Dataset, Preparation, Splits};
#[cfg(feature = "drawings")]
pub use drawing::Drawing;
pub use error::{Error, LayerError, Result};
pub use evaluate::{
    Answer, Answers, Assessment, Bin, Calibration, ClassScores, Curve, Familiarity, Report,
    Separation, Threshold, separation,
};
pub use explain::{Explainer, Score};
#[cfg(any(feature = "onnx", feature = "torch"))]
pub use foreign::Normalisation;
pub use formats::atomic::{Replacement, replace_file};
pub use hubel_kernels::softmax::softmax;
pub use hubel_kernels::{Cpu, InstructionSet};
#[cfg(feature = "pictures")]
pub use image;
pub use model::Model;
pub use network::Network;
pub use one_line::{listed, one_line, shown};
pub use optimizer::Optimizer;
pub use parameters::Parameters;
pub use percent::in_percent;
pub use plan::{Plan, PlanSettings};
#[cfg(feature = "sound")]
pub use predict::StretchPrediction;
pub use predict::{Prediction, Predictor};
pub use random::{Purpose, Random, Stream};
pub use run::BatchLoss;
pub use schedule::{PlateauState, Schedule, WarmUp};
pub use shape::{Place, Shape};
#[cfg(all(feature = "backbone", feature = "pictures"))]
pub use train::Advice;
pub use train::record::{self, Record};
pub use train::{
    Event, Keep, LayerGradient, LossInput, Overview, Pace, PacePlan, Phase, Position, RatePoint,
    RateSearch, RateSweep, Resumed, RunFolder, RunState, TrainSettings, TrainState, Trainer,
    class_weights,
};
#[cfg(feature = "torch")]
pub use weights::Weights;
pub use workspace::Workspace;
