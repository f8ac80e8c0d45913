//! Train, understand and ship convolutional neural networks on a CPU.
#![forbid(unsafe_code)]

mod error;
mod random;
mod shape;

pub use error::{Error, Result};
pub use random::{Purpose, Random, Stream};
pub use shape::Shape;
