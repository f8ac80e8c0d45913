//! Train, understand and ship convolutional neural networks on a CPU.
#![forbid(unsafe_code)]

mod error;
pub mod layers;
mod nearest;
pub mod network;
pub mod parameters;
pub mod plan;
mod random;
mod run;
mod schedule;
mod shape;
mod workspace;

pub use error::{Error, LayerError, Result};
pub use hubel_kernels::{Cpu, InstructionSet};
pub use network::Network;
pub use parameters::Parameters;
pub use plan::{Plan, PlanSettings};
pub use random::{Purpose, Random, Stream};
pub use run::BatchLoss;
pub use schedule::Schedule;
pub use shape::Shape;
pub use workspace::Workspace;
