//! Times on this machine: what it can do, how fast networks are, how fast each convolution is.
mod feed;
mod kernels;
mod machine;
mod network;

pub use feed::feed;
pub use kernels::{ConvolutionShape, Fusion, KernelRow, KernelTable, kernels};
pub use machine::{Machine, machine, peak_gflops};
pub use network::{Bench, StepRow, Timing, usual_batch};

use crate::random::{Purpose, Random};

/// Fills `values` with numbers from −1 to 1.
fn random(values: &mut [f32]) {
    let mut stream = Random::new(7).stream(Purpose::Initialise, 0, 0);
    values
        .iter_mut()
        .for_each(|value| *value = stream.uniform() * 2.0 - 1.0);
}
