//! Train, understand and ship convolutional neural networks on a CPU.
#![forbid(unsafe_code)]

pub mod bench;
pub mod data;
mod error;
mod evaluate;
pub mod layers;
mod model;
mod nearest;
pub mod network;
mod optimizer;
pub mod parameters;
pub mod plan;
mod random;
mod run;
mod schedule;
mod shape;
mod train;
mod workspace;

pub use data::{Dataset, Preparation, Splits};
pub use error::{Error, Result};
pub use evaluate::Report;
pub use hubel_kernels::{Cpu, InstructionSet};
pub use model::{Model, Prediction};
pub use network::Network;
pub use optimizer::Optimizer;
pub use parameters::Parameters;
pub use plan::{Plan, PlanSettings};
pub use random::{Purpose, Random, Stream};
pub use run::BatchLoss;
pub use schedule::Schedule;
pub use shape::Shape;
pub use train::{Event, TrainSettings, Trainer};
pub use workspace::Workspace;
