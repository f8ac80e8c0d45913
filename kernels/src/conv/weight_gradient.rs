//! The weight gradient by any algorithm.
use crate::Cpu;
use crate::pool::Pooled;
use crate::pool::fused::Source;

use super::{
    Algorithm, Geometry, Input, depthwise_weight_gradient as depthwise,
    direct_weight_gradient as direct, spread_weight_gradient as spread, windows, winograd,
};

/// Weight and bias gradient, prepared for one geometry.
#[derive(Debug)]
pub struct WeightGradient(By);

#[derive(Debug)]
enum By {
    Direct(direct::WeightGradient),
    /// Direct with few filters.
    Spread(spread::WeightGradient),
    /// Direct with few channels, pooled.
    Windows(windows::WeightGradient),
    Winograd(winograd::WeightGradient),
    Depthwise(depthwise::WeightGradient),
}

impl WeightGradient {
    /// Prepares a pass; `geometry` is the forward convolution's.
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Self {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        Self(match algorithm {
            Algorithm::Direct => spread::WeightGradient::new(cpu, geometry).map_or_else(
                || By::Direct(direct::WeightGradient::new(geometry)),
                By::Spread,
            ),
            Algorithm::Winograd => By::Winograd(winograd::WeightGradient::new(cpu, geometry)),
            Algorithm::Depthwise => By::Depthwise(depthwise::WeightGradient::new(geometry)),
        })
    }

    /// Prepares a pass that reads the gradient of the pooled output of [`Forward::pooled`](super::Forward::pooled), if `algorithm`
    /// can. For [`WeightGradient::run_pooled`].
    ///
    /// # Panics
    /// If `algorithm` does not support `geometry`.
    pub fn pooled(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Option<Self> {
        assert!(algorithm.supports(&geometry), "{algorithm}: {geometry:?}");
        let geometry = geometry.pooled()?;
        if algorithm == Algorithm::Direct
            && let Some(windows) = windows::WeightGradient::new(cpu, geometry)
        {
            return Some(Self(By::Windows(windows)));
        }
        let pass = Self::new(cpu, geometry, algorithm);
        let expands = match &pass.0 {
            By::Direct(direct) => direct.expands(),
            By::Spread(_) | By::Windows(_) | By::Winograd(_) => true,
            By::Depthwise(_) => false,
        };
        expands.then_some(pass)
    }

    /// Whether it is one of [`windows`].
    #[cfg(test)]
    pub(super) fn is_by_windows(&self) -> bool {
        matches!(self.0, By::Windows(_))
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            By::Direct(_) | By::Spread(_) | By::Windows(_) => Algorithm::Direct,
            By::Winograd(_) => Algorithm::Winograd,
            By::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// The pass, if it is direct, and neither [`spread`] nor [`windows`].
    pub(super) fn direct(&self) -> Option<&direct::WeightGradient> {
        match &self.0 {
            By::Direct(direct) => Some(direct),
            _ => None,
        }
    }

    /// Has it normalise the input, where it is asked to; false if it cannot.
    pub fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        match &mut self.0 {
            By::Direct(direct) => direct.normalise_input(cpu),
            By::Spread(_) | By::Windows(_) => false,
            By::Winograd(_) | By::Depthwise(_) => true,
        }
    }

    /// Numbers of scratch that [`WeightGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        match &self.0 {
            By::Direct(direct) => direct.scratch_len(),
            By::Spread(spread) => spread.scratch_len(),
            By::Windows(windows) => windows.scratch_len(),
            By::Winograd(winograd) => winograd.scratch_len(),
            By::Depthwise(depthwise) => depthwise.scratch_len(),
        }
    }

    /// Computes the weight gradient and, if asked, the bias gradient; what was there before is overwritten.
    ///
    /// # Panics
    /// If a length is wrong, or the input is to be normalised without [`WeightGradient::normalise_input`].
    pub fn run<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        output_gradient: &[f32],
        weight_gradient: &mut [f32],
        bias_gradient: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let source = Source::map(output_gradient);
        let input = input.into();
        self.run_source(cpu, input, source, weight_gradient, bias_gradient, scratch);
    }

    /// As [`WeightGradient::run`] of a pass made by [`WeightGradient::pooled`], with the gradient of the pooled output.
    ///
    /// # Panics
    /// If a length is wrong or the pass was not made for it.
    pub fn run_pooled<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        output_gradient: Pooled,
        weight_gradient: &mut [f32],
        bias_gradient: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let source = Source::pooled(output_gradient);
        let input = input.into();
        self.run_source(cpu, input, source, weight_gradient, bias_gradient, scratch);
    }

    fn run_source(
        &self,
        cpu: &Cpu,
        input: Input,
        source: Source,
        weights: &mut [f32],
        bias: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        match &self.0 {
            By::Direct(direct) => direct.run(cpu, input, source, weights, bias, scratch),
            By::Spread(spread) => spread.run(cpu, input.plain(), source, weights, bias, scratch),
            By::Windows(windows) => {
                windows.run(cpu, input.plain(), source, weights, bias, scratch);
            }
            By::Winograd(winograd) => winograd.run(cpu, input, source, weights, bias, scratch),
            By::Depthwise(depthwise) => {
                depthwise.run(cpu, input, source.unpooled(), weights, bias, scratch);
            }
        }
    }
}
