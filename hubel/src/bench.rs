//! Measurements on this machine: its speed, and the times of networks and single convolutions.
mod feed;
mod kernels;
mod machine;
mod network;

pub use feed::feed;
pub use kernels::{ConvolutionShape, Fusion, KernelRow, KernelTable, kernels};
pub use machine::{Machine, machine, peak_gflops};
pub use network::{Bench, StepRow, Timing, usual_batch};

use crate::random::{Purpose, Random};

/// Fills `values` with random values from −1 to 1.
fn random(values: &mut [f32]) {
    let mut stream = Random::new(7).stream(Purpose::Initialise, 0, 0);
    values
        .iter_mut()
        .for_each(|value| *value = stream.uniform() * 2.0 - 1.0);
}
