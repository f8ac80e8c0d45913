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
//! Build with `--release`. Cargo's own release profile is as fast as that of hubel's binary, but `lto = "off"` makes a network seven times
//! slower. For development builds, optimise the kernels at least: `[profile.dev.package.hubel-kernels] opt-level = 3`.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(all(feature = "mnist", feature = "backbone")),
    allow(
        dead_code,
        reason = "the experiments and the backbone use some parts alone"
    )
)]

pub mod bench;
pub mod check;
pub mod data;
mod drawing;
mod error;
mod evaluate;
pub mod explain;
pub mod features;
mod formats;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod inference;
#[cfg(feature = "mnist")]
pub mod lab;
pub mod layers;
mod memory;
mod model;
mod nearest;
pub mod network;
mod on_all_cores;
mod one_line;
mod optimizer;
pub mod parameters;
pub mod plan;
mod predict;
#[cfg(feature = "backbone")]
mod pretrained;
mod random;
mod run;
mod schedule;
mod shape;
mod train;
mod weights;
mod workspace;

pub use data::{Dataset, Preparation, Splits};
pub use drawing::Drawing;
pub use error::{Error, LayerError, Result};
pub use evaluate::{Answer, Report};
pub use explain::{Explainer, Score};
pub use formats::atomic::{Replacement, replace_file};
pub use hubel_kernels::softmax::softmax;
pub use hubel_kernels::{Cpu, InstructionSet};
pub use model::Model;
pub use network::Network;
pub use one_line::{listed, one_line, shown};
pub use optimizer::Optimizer;
pub use parameters::Parameters;
pub use plan::{Plan, PlanSettings};
pub use predict::{Prediction, Predictor};
pub use random::{Purpose, Random, Stream};
pub use run::BatchLoss;
pub use schedule::Schedule;
pub use shape::Shape;
#[cfg(feature = "backbone")]
pub use train::Advice;
pub use train::{
    Checkpoints, Event, Keep, Phase, Position, RunFolder, TrainSettings, Trainer, Transfer,
};
pub use weights::{Normalisation, Weights};
pub use workspace::Workspace;
