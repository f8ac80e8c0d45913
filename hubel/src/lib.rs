//! Train, understand and ship convolutional neural networks on a CPU.
#![forbid(unsafe_code)]

mod error;
mod shape;

pub use error::{Error, Result};
pub use shape::Shape;
