//! The updates of the optimizers, each in one pass over weights, gradient and state. [`Muon`] needs more than one pass.
mod adam;
mod lion;
mod muon;
mod newton_schulz;
mod norm;
mod rms_prop;
mod sgd;

use crate::{Cpu, DisjointMut};

pub use adam::Adam;
pub use lion::Lion;
pub use muon::Muon;
pub use newton_schulz::NewtonSchulz;
pub use norm::sum_of_squares;
pub use rms_prop::RmsProp;
pub use sgd::Sgd;

/// Weights of a task: few, because a layer may not have many.
const PIECE: usize = 4 * 1024;

/// State nearer to 0 is set to 0, which changes no weight. Without a gradient it would shrink step by step to subnormal floats
/// (below 1.2e-38), and processors compute those a hundred times slower.
const SMALLEST_STATE: f32 = 1e-30;
/// The same limit for a gradient whose square goes into the state.
const SMALLEST_GRADIENT: f32 = 1e-17;

/// The value, or 0 where it is nearer to 0 than `smallest`.
#[inline(always)]
fn flushed(value: f32, smallest: f32) -> f32 {
    if value.abs() < smallest { 0.0 } else { value }
}

/// The gradient that an update reads.
#[derive(Clone, Copy, Debug)]
pub struct Gradient<'a> {
    /// One element for each weight.
    pub values: &'a [f32],
    /// Each element is multiplied by this while it is read: less than 1 if the gradient is clipped.
    pub factor: f32,
}

impl<'a> From<&'a [f32]> for Gradient<'a> {
    /// The gradient as it is.
    fn from(values: &'a [f32]) -> Self {
        Self {
            values,
            factor: 1.0,
        }
    }
}

/// Moves each value of an average by `share` of its distance to the new value.
///
/// # Panics
/// If the slices differ in length.
pub fn average(cpu: &Cpu, average: &mut [f32], values: &[f32], share: f32) {
    in_pieces(cpu, average, values, [], |average, values, []| {
        for (average, value) in average.iter_mut().zip(values) {
            *average = flushed(*average + share * (value - *average), SMALLEST_STATE);
        }
    });
}

/// Runs `body(values, gradient, state)` for each piece of these slices.
///
/// # Panics
/// If the slices differ in length.
fn in_pieces<const N: usize>(
    cpu: &Cpu,
    values: &mut [f32],
    gradient: &[f32],
    state: [&mut [f32]; N],
    body: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) {
    assert_eq!(gradient.len(), values.len(), "length of the gradient");
    for state in &state {
        assert_eq!(state.len(), values.len(), "length of the optimizer's state");
    }
    let state = state.map(DisjointMut::new);
    cpu.parallel_chunks(values, PIECE, |i, values| {
        let range = i * PIECE..i * PIECE + values.len();
        // SAFETY: the ranges of different `i` do not overlap, and `parallel_chunks` runs each `i` once.
        let state = std::array::from_fn(|k| unsafe { state[k].slice(range.clone()) });
        cpu.vectorised(|| body(values, &gradient[range.clone()], state));
    });
}

#[cfg(test)]
mod tests;
