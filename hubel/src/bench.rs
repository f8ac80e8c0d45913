//! Measurements on this machine: its speed, and the times of networks and single convolutions.
mod feed;
mod kernels;
mod machine;
mod network;
mod shapes;

pub use feed::feed;
pub use kernels::{KernelRow, KernelTable, kernels};
pub use machine::{Machine, machine, peak_gflops};
pub use network::{Bench, StepRow, Timing, usual_batch};
pub use shapes::{ConvolutionShape, Fusion};

use crate::random::{Purpose, Random};

/// Fills `values` with tokens of a text without padding.
fn tokens(values: &mut [f32], vocabulary: usize) {
    let known = vocabulary.saturating_sub(1).max(1);
    for (i, value) in values.iter_mut().enumerate() {
        *value = (1 + i * 7919 % known).min(vocabulary - 1) as f32;
    }
}

/// Fills `values` with random values from −1 to 1.
fn random(values: &mut [f32]) {
    let mut stream = Random::new(7).stream(Purpose::Initialise, 0, 0);
    values
        .iter_mut()
        .for_each(|value| *value = stream.uniform() * 2.0 - 1.0);
}
