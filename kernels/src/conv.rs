//! Convolution: forward, input gradient, weight gradient, each by the loop that [`Algorithm::choose`] names.
mod choose;
mod classes;
mod correlation;
mod depthwise;
mod direct;
mod finish;
mod fused;
mod geometry;
mod loops;
mod parts;
mod pass;
mod prefetch;
mod windows;
mod winograd;

pub use choose::Algorithm;
pub use finish::sums::Sums;
pub use finish::{Epilogue, GradientEpilogue};
pub use fused::bands::{Bands, Link};
pub use fused::joint::{JointGradients, JointOperands};
pub use geometry::{Geometry, Settings};
pub use loops::{Fused, Pass};
pub use pass::{
    Destination, Forward, ForwardOperands, InputGradient, InputGradientOperands, MapPass,
    OutputGradient, WeightGradient, WeightGradientOperands,
};

#[cfg(test)]
mod tests;
