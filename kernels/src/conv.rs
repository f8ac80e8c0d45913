//! Convolution: geometry, choice of algorithm, forward, input gradient, weight gradient.
mod axis;
mod bands;
mod border;
mod classes;
mod depthwise;
mod depthwise_weight_gradient;
mod direct;
mod direct_weight_gradient;
mod finish;
mod forward;
mod gather;
mod input_gradient;
mod joint;
mod parts;
mod prefetch;
mod products;
mod spread;
mod spread_weight_gradient;
mod weight_gradient;
mod windows;
pub mod winograd;

use std::fmt;
use std::ops::Range;

use crate::activation::Activation;
use crate::normalised::{Input, Normalised};

pub use bands::{Bands, Link};
pub use finish::sums::Sums;
pub use forward::Forward;
pub use input_gradient::InputGradient;
pub use joint::JointGradients;
pub use weight_gradient::WeightGradient;

/// The numbers of one convolution. Maps are `[batch, y, x, c]`, weights `[kernel y, kernel x, input channels / groups, output channels]`.
///
/// Output (y, x) reads input rows `y · stride − padding + tap · dilation`; whatever lies outside the input reads as 0, at the
/// bottom and the right too, so `output` alone says how far the windows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels (filters).
    pub output: [usize; 3],
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distance of the kernel's taps.
    pub dilation: [usize; 2],
    /// Zeros above and to the left.
    pub padding: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Geometry {
    /// Multiply-adds of one pass.
    pub fn multiply_adds(&self) -> u64 {
        let [height, width, filters] = self.output.map(|size| size as u64);
        let terms = (self.kernel[0] * self.kernel[1] * self.input[2] / self.groups) as u64;
        self.batch as u64 * height * width * filters * terms
    }

    /// Of [`multiply_adds`](Self::multiply_adds) those with a number of the input: the others multiply padding, which is 0 and is skipped.
    pub fn multiply_adds_inside(&self) -> u64 {
        let taps = |axis: usize| -> u64 {
            let inside = |target: usize| {
                let inside = |tap: &usize| {
                    let reached = target * self.stride[axis] + tap * self.dilation[axis];
                    (self.padding[axis]..self.padding[axis] + self.input[axis]).contains(&reached)
                };
                (0..self.kernel[axis]).filter(inside).count() as u64
            };
            (0..self.output[axis]).map(inside).sum()
        };
        let products = self.input[2] / self.groups * self.output[2];
        self.batch as u64 * taps(0) * taps(1) * products as u64
    }

    /// What of it a max pooling by 2×2 windows side by side sees: an even number of rows and columns; none where there is no window.
    fn pooled(&self) -> Option<Self> {
        let [height, width, filters] = self.output;
        (height >= 2 && width >= 2).then_some(Self {
            output: [height / 2 * 2, width / 2 * 2, filters],
            ..*self
        })
    }

    /// Numbers in the weights.
    pub fn weights(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input[2] / self.groups * self.output[2]
    }
}

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Reads the image in place, one multiply-add for each term.
    Direct,
    /// F(4×4, 3×3): a quarter of the multiplications, for stride 1 and 3×3 kernels without dilation and groups.
    Winograd,
    /// One filter for each channel, along the channels.
    Depthwise,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Winograd => "winograd",
            Self::Depthwise => "depthwise",
        })
    }
}

/// One of the three computations that belong to a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Output from input and weights.
    Forward,
    /// Gradient of the input from that of the output.
    InputGradient,
    /// Gradient of the weights from input and that of the output.
    WeightGradient,
}

impl Pass {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        })
    }
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Depthwise, Self::Winograd, Self::Direct];

    /// Whether this algorithm can compute `geometry`.
    pub fn supports(self, geometry: &Geometry) -> bool {
        match self {
            Self::Direct => true,
            Self::Winograd => winograd::supports(geometry),
            Self::Depthwise => depthwise::supports(geometry),
        }
    }

    /// All that support `geometry`.
    pub fn candidates(geometry: &Geometry) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|algorithm| algorithm.supports(geometry))
            .collect()
    }

    /// The one that is most likely the fastest for this pass of `geometry`.
    pub fn choose(geometry: &Geometry, pass: Pass) -> Self {
        if winograd::supports(geometry) && winograd::is_faster(geometry, pass) {
            Self::Winograd
        } else {
            Self::choose_precise(geometry)
        }
    }

    /// As [`Algorithm::choose`] among those that compute every product of the direct convolution.
    pub fn choose_precise(geometry: &Geometry) -> Self {
        if depthwise::supports(geometry) {
            Self::Depthwise
        } else {
            Self::Direct
        }
    }
}

/// The output rows (axis 0) or columns (1) at which the kernel's row or column `tap` is inside the input.
fn outputs_of_tap(geometry: &Geometry, axis: usize, tap: usize) -> Range<usize> {
    let (stride, padding) = (geometry.stride[axis], geometry.padding[axis]);
    let offset = tap * geometry.dilation[axis];
    let start = padding.saturating_sub(offset).div_ceil(stride);
    let inside = (geometry.input[axis] + padding).saturating_sub(offset);
    let end = inside.div_ceil(stride).min(geometry.output[axis]);
    start.min(end)..end
}

/// What happens to a sum of products before it is stored: `activation(sum + bias + add)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number for each output channel.
    pub bias: Option<&'a [f32]>,
    /// A map of the output's shape (a residual connection).
    pub add: Option<&'a [f32]>,
    /// The function at the end.
    pub activation: Activation,
    /// What is summed of the map that is stored.
    pub sums: Option<&'a Sums<'a>>,
}

/// What happens to an input gradient before it is stored: `(sum + old) · activation'(y)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientEpilogue<'a> {
    /// Whether what is stored already is added.
    pub accumulate: bool,
    /// The convolution's input y, which came out of the activation; its derivative must follow from y
    /// (ReLU, ReLU6, leaky ReLU, sigmoid, tanh).
    pub mask: Option<(Input<'a>, Activation)>,
    /// What is summed of the gradient that is stored; there is a mask then.
    pub sums: Option<&'a Sums<'a>>,
}

#[cfg(test)]
mod tests;
