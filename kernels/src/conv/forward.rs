//! The forward pass by any algorithm.
use crate::Cpu;
use crate::pool::Winner;

use super::gather::Gather;
use super::{Algorithm, Epilogue, Geometry, Input, depthwise, direct, windows, winograd};

/// A forward pass, prepared for one geometry: tables of positions, the order of work.
#[derive(Debug)]
pub struct Forward(By, Geometry);

#[derive(Debug)]
enum By {
    Direct(Box<direct::Forward>),
    /// Direct with few filters, pooled.
    Windows(windows::Forward),
    Winograd(winograd::Forward),
    Depthwise(depthwise::Forward),
}

impl Forward {
    /// Prepares a pass.
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Self {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        let by = match algorithm {
            Algorithm::Direct => By::Direct(Box::new(direct::Forward::new(cpu, geometry))),
            Algorithm::Winograd => By::Winograd(winograd::Forward::new(cpu, geometry)),
            Algorithm::Depthwise => By::Depthwise(depthwise::Forward::new(geometry)),
        };
        Self(by, geometry)
    }

    /// Prepares a pass whose output is max pooled by 2×2 windows side by side before it is written, if `algorithm` can; the last
    /// row and column of an odd map take part in nothing. For [`Forward::run_pooled`].
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn pooled(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Option<Self> {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        let geometry = geometry.pooled()?;
        let by = match algorithm {
            Algorithm::Direct => match windows::Forward::new(cpu, geometry) {
                Some(windows) => By::Windows(windows),
                None => By::Direct(Box::new(direct::Forward::new(cpu, geometry).pooled()?)),
            },
            Algorithm::Winograd => By::Winograd(winograd::Forward::new(cpu, geometry)),
            Algorithm::Depthwise => return None,
        };
        Some(Self(by, geometry))
    }

    /// Whether it is one of [`windows`].
    #[cfg(test)]
    pub(super) fn is_by_windows(&self) -> bool {
        matches!(self.0, By::Windows(_))
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            By::Direct(_) | By::Windows(_) => Algorithm::Direct,
            By::Winograd(_) => Algorithm::Winograd,
            By::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// Numbers in the packed weights; 0 where [`Forward::run`] takes the weights as they are instead.
    pub fn packed_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.packed_len(),
            By::Windows(windows) => windows.packed_len(),
            By::Winograd(winograd) => winograd.packed_len(),
            By::Depthwise(depthwise) => depthwise.packed_len(),
        }
    }

    /// Writes `weights` in the order that [`Forward::run`] reads; does nothing where `packed` is empty.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        match &self.0 {
            By::Direct(direct) => direct.pack(cpu, weights, packed),
            By::Windows(windows) => windows.pack(weights, packed),
            By::Winograd(winograd) => winograd.pack(cpu, weights, packed),
            By::Depthwise(_) => packed.copy_from_slice(weights),
        }
    }

    /// Parts in which [`Forward::run`] sums what it stores; none if it cannot.
    pub fn sums_parts(&self) -> Option<usize> {
        match &self.0 {
            By::Direct(direct) => direct.sums_parts(),
            By::Windows(_) => None,
            By::Winograd(winograd) => Some(winograd.sums_parts()),
            By::Depthwise(depthwise) => Some(depthwise.sums_parts()),
        }
    }

    /// Has it normalise what it reads, where it is asked to; false if it cannot.
    pub fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        match &mut self.0 {
            By::Direct(direct) => direct.normalise_input(cpu),
            By::Windows(_) => false,
            By::Winograd(_) | By::Depthwise(_) => true,
        }
    }

    /// Numbers of scratch that [`Forward::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.scratch_len(),
            By::Windows(_) | By::Depthwise(_) => 0,
            By::Winograd(winograd) => winograd.scratch_len(),
        }
    }

    /// Computes the output, every number of it.
    ///
    /// # Panics
    /// If a length is wrong, or the input is to be normalised without [`Forward::normalise_input`].
    pub fn run<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let input = input.into();
        match &self.0 {
            By::Direct(direct) => direct.run(cpu, input, packed, epilogue, output, scratch),
            By::Windows(_) => panic!("this pass pools"),
            By::Winograd(winograd) => winograd.run(cpu, input, packed, epilogue, output, scratch),
            By::Depthwise(depthwise) => depthwise.run(cpu, input, packed, epilogue, output),
        }
    }

    /// As [`Forward::run`] of a pass made by [`Forward::pooled`]: `output` is the pooled map `[n, y / 2, x / 2, c]`, and `winners`, if
    /// asked for, says for each of its numbers which of its window it was, as [`pool::max_forward`](crate::pool::max_forward) would.
    ///
    /// # Panics
    /// If a length is wrong, something is to be added, or the pass was not made for it.
    #[allow(clippy::too_many_arguments, reason = "as `run`, and the winners")]
    pub fn run_pooled<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        winners: Option<&mut [Winner]>,
        scratch: &mut [f32],
    ) {
        let input = input.into();
        match &self.0 {
            By::Direct(direct) => {
                direct.run_pooled(cpu, input, packed, epilogue, output, winners, scratch)
            }
            By::Windows(windows) => {
                windows.run(cpu, input.plain(), packed, epilogue, output, winners)
            }
            By::Winograd(winograd) => {
                winograd.run_pooled(cpu, input, packed, epilogue, output, winners, scratch)
            }
            By::Depthwise(_) => panic!("the depthwise algorithm does not pool"),
        }
    }

    /// What it was made for.
    pub(super) fn geometry(&self) -> &Geometry {
        &self.1
    }

    /// The loop of a direct convolution that gathers.
    pub(super) fn gather(&self) -> Option<&Gather> {
        match &self.0 {
            By::Direct(direct) => direct.gather(),
            _ => None,
        }
    }

    /// The pass, if it is depthwise.
    pub(super) fn depthwise(&self) -> Option<&depthwise::Forward> {
        match &self.0 {
            By::Depthwise(depthwise) => Some(depthwise),
            _ => None,
        }
    }
}
