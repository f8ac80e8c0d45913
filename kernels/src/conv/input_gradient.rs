//! The input gradient by any algorithm.
use crate::Cpu;
use crate::pool::Pooled;
use crate::pool::fused::Source;

use super::gather::Gather;
use super::{Algorithm, Geometry, GradientEpilogue, depthwise, direct, windows, winograd};

/// An input gradient (a transposed convolution of the output gradient), prepared for one geometry.
#[derive(Debug)]
pub struct InputGradient(By);

#[derive(Debug)]
enum By {
    Direct(Box<direct::InputGradient>),
    /// Direct with few channels, pooled.
    Windows(windows::InputGradient),
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

    /// Prepares a pass that reads the gradient of the pooled output of [`Forward::pooled`](super::Forward::pooled), if `algorithm`
    /// can. For [`InputGradient::run_pooled`].
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn pooled(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Option<Self> {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        let geometry = geometry.pooled()?;
        Some(Self(match algorithm {
            Algorithm::Direct => match windows::InputGradient::new(cpu, geometry) {
                Some(windows) => By::Windows(windows),
                None => {
                    let direct = direct::InputGradient::new(cpu, geometry);
                    By::Direct(Box::new(direct.expanding()?))
                }
            },
            Algorithm::Winograd => By::Winograd(winograd::InputGradient::new(cpu, geometry)),
            Algorithm::Depthwise => return None,
        }))
    }

    /// Whether it is one of [`windows`].
    #[cfg(test)]
    pub(super) fn is_by_windows(&self) -> bool {
        matches!(self.0, By::Windows(_))
    }

    /// The loop, if it is the one that gathers.
    pub(super) fn gather(&self) -> Option<&Gather> {
        match &self.0 {
            By::Direct(direct) => direct.gather(),
            _ => None,
        }
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            By::Direct(_) | By::Windows(_) => Algorithm::Direct,
            By::Winograd(_) => Algorithm::Winograd,
            By::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// Numbers in the packed weights; 0 where [`InputGradient::run`] takes the weights as they are instead.
    pub fn packed_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.packed_len(),
            By::Windows(windows) => windows.packed_len(),
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
            By::Windows(windows) => windows.pack(weights, packed),
            By::Winograd(winograd) => winograd.pack(cpu, weights, packed),
            By::Depthwise(depthwise) => depthwise.pack(weights, packed),
        }
    }

    /// Parts in which [`InputGradient::run`] and [`InputGradient::run_pooled`] sum what they store; none if they cannot.
    pub fn sums_parts(&self) -> Option<usize> {
        match &self.0 {
            By::Direct(direct) => direct.sums_parts(),
            By::Windows(_) => None,
            By::Winograd(winograd) => Some(winograd.sums_parts()),
            By::Depthwise(depthwise) => Some(depthwise.sums_parts()),
        }
    }

    /// Whether the y of the [mask](GradientEpilogue::mask) may be one that is normalised on the way.
    pub fn normalises_mask(&self) -> bool {
        match &self.0 {
            By::Direct(direct) => direct.normalises_mask(),
            By::Windows(_) => false,
            By::Winograd(_) | By::Depthwise(_) => true,
        }
    }

    /// Numbers of scratch that [`InputGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        match &self.0 {
            By::Direct(_) | By::Windows(_) | By::Depthwise(_) => 0,
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
        let source = Source::map(output_gradient);
        self.run_source(cpu, source, packed, epilogue, input_gradient, scratch);
    }

    /// As [`InputGradient::run`] of a pass made by [`InputGradient::pooled`], with the gradient of the pooled output.
    ///
    /// # Panics
    /// If a length is wrong or the pass was not made for it.
    pub fn run_pooled(
        &self,
        cpu: &Cpu,
        output_gradient: Pooled,
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
        scratch: &mut [f32],
    ) {
        let source = Source::pooled(output_gradient);
        self.run_source(cpu, source, packed, epilogue, input_gradient, scratch);
    }

    fn run_source(
        &self,
        cpu: &Cpu,
        source: Source,
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
        scratch: &mut [f32],
    ) {
        match &self.0 {
            By::Direct(direct) => direct.run(cpu, source, packed, epilogue, input_gradient),
            By::Windows(windows) => windows.run(cpu, source, packed, epilogue, input_gradient),
            By::Winograd(winograd) => {
                winograd.run(cpu, source, packed, epilogue, input_gradient, scratch);
            }
            By::Depthwise(depthwise) => {
                depthwise.run(cpu, source.unpooled(), packed, epilogue, input_gradient);
            }
        }
    }
}
