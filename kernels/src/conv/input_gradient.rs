//! The input gradient by any algorithm.
use crate::Cpu;

use super::{Algorithm, Geometry, GradientEpilogue, depthwise, direct, winograd};

/// An input gradient (a transposed convolution of the output gradient), prepared for one geometry.
#[derive(Debug)]
pub struct InputGradient(By);

#[derive(Debug)]
enum By {
    Direct(Box<direct::InputGradient>),
    Winograd(winograd::InputGradient),
    Depthwise(depthwise::InputGradient),
}

impl InputGradient {
    /// Prepares a pass; `geometry` is the forward convolution's.
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Self {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        Self(match algorithm {
            Algorithm::Direct => By::Direct(Box::new(direct::InputGradient::new(cpu, geometry))),
            Algorithm::Winograd => By::Winograd(winograd::InputGradient::new(cpu, geometry)),
            Algorithm::Depthwise => By::Depthwise(depthwise::InputGradient::new(geometry)),
        })
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            By::Direct(_) => Algorithm::Direct,
            By::Winograd(_) => Algorithm::Winograd,
            By::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// Numbers in the packed weights; 0 where [`InputGradient::run`] takes the weights as they are instead.
    pub fn packed_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.packed_len(),
            By::Winograd(winograd) => winograd.packed_len(),
            By::Depthwise(depthwise) => depthwise.packed_len(),
        }
    }

    /// Writes `weights` in the order that [`InputGradient::run`] reads; does nothing where `packed` is empty.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        match &self.0 {
            By::Direct(direct) => direct.pack(cpu, weights, packed),
            By::Winograd(winograd) => winograd.pack(cpu, weights, packed),
            By::Depthwise(depthwise) => depthwise.pack(weights, packed),
        }
    }

    /// Numbers of scratch that [`InputGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        match &self.0 {
            By::Direct(_) | By::Depthwise(_) => 0,
            By::Winograd(winograd) => winograd.scratch_len(),
        }
    }

    /// Computes the input gradient, every number of it.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
        scratch: &mut [f32],
    ) {
        match &self.0 {
            By::Direct(direct) => {
                direct.run(cpu, output_gradient, packed, epilogue, input_gradient)
            }
            By::Winograd(winograd) => winograd.run(
                cpu,
                output_gradient,
                packed,
                epilogue,
                input_gradient,
                scratch,
            ),
            By::Depthwise(depthwise) => {
                depthwise.run(cpu, output_gradient, packed, epilogue, input_gradient)
            }
        }
    }
}
