//! The forward pass by any algorithm.
use crate::Cpu;

use super::{Algorithm, Epilogue, Geometry, depthwise, direct};

/// A forward pass, prepared for one geometry: tables of positions, the order of work.
#[derive(Debug)]
pub struct Forward(By);

#[derive(Debug)]
enum By {
    Direct(direct::Forward),
    Depthwise(depthwise::Forward),
}

impl Forward {
    /// Prepares a pass.
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Self {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        Self(match algorithm {
            Algorithm::Direct => By::Direct(direct::Forward::new(cpu, geometry)),
            Algorithm::Depthwise => By::Depthwise(depthwise::Forward::new(geometry)),
            Algorithm::Winograd => unreachable!("supports nothing"),
        })
    }

    /// Numbers in the packed weights.
    pub fn packed_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.packed_len(),
            By::Depthwise(depthwise) => depthwise.packed_len(),
        }
    }

    /// Writes `weights` in the order that [`Forward::run`] reads.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        match &self.0 {
            By::Direct(direct) => direct.pack(cpu, weights, packed),
            By::Depthwise(_) => packed.copy_from_slice(weights),
        }
    }

    /// Numbers of scratch that [`Forward::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        0
    }

    /// Computes the output, every number of it.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        _scratch: &mut [f32],
    ) {
        match &self.0 {
            By::Direct(direct) => direct.run(cpu, input, packed, epilogue, output),
            By::Depthwise(depthwise) => depthwise.run(cpu, input, packed, epilogue, output),
        }
    }
}
