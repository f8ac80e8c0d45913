//! Train, understand and ship convolutional neural networks on a CPU.
#![forbid(unsafe_code)]

mod error;
pub mod layers;
mod nearest;
pub mod network;
mod shape;

pub use error::{Error, LayerError, Result};
pub use network::Network;
pub use shape::Shape;
