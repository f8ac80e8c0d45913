//! Local response normalisation (Krizhevsky et al. 2012), which AlexNet and GoogLeNet use.
use std::fmt;
use std::ops::Range;

use hubel_kernels::lrn::Lrn;

use super::arguments::{ArgumentError, Arguments};
use super::{Misfit, Resolved};
use crate::Shape;
use crate::network::Operation;

/// Settings of local response normalisation (`torch.nn.LocalResponseNorm`): y = x / (bias + alpha / size · Σ x²)^beta, the sum over `size` channels
/// around each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponse {
    /// Channels of the sum, an odd number.
    pub size: usize,
    /// The factor of the mean square; 0.0001 by default.
    pub alpha: f32,
    /// The exponent; 0.75 by default.
    pub beta: f32,
    /// Added to the mean square; 1 by default.
    pub bias: f32,
}

impl LocalResponse {
    /// PyTorch's settings for this number of channels.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            alpha: 1e-4,
            beta: 0.75,
            bias: 1.0,
        }
    }

    /// The channels of the sum for one of `channels`.
    pub fn around(self, channel: usize, channels: usize) -> Range<usize> {
        self.for_kernels(channels).around(channel)
    }

    /// The layer as the kernels compute it, on a map with this number of channels.
    pub(crate) fn for_kernels(self, channels: usize) -> Lrn {
        Lrn {
            size: self.size,
            alpha: self.alpha,
            beta: self.beta,
            bias: self.bias,
            channels,
        }
    }

    pub(super) fn parse(arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let usual = Self::new(arguments.number("size")?.unwrap_or(5));
        Ok(Self {
            alpha: arguments.number("alpha")?.unwrap_or(usual.alpha),
            beta: arguments.number("beta")?.unwrap_or(usual.beta),
            bias: arguments.number("bias")?.unwrap_or(usual.bias),
            ..usual
        })
    }

    pub(super) fn resolve(self, input: Shape) -> Result<Resolved, Misfit> {
        // Larger numbers would overflow, and have no use.
        const MOST: f32 = 1e6;
        if self.size.is_multiple_of(2) || self.size > 1 << 20 {
            let reason = "the size must be an odd number of channels below a million";
            return Err(reason.to_string().into());
        }
        let is_usable = (0.0..=MOST).contains(&self.alpha)
            && (0.0..=MOST).contains(&self.beta)
            && self.bias > 0.0
            && self.bias <= MOST;
        if !is_usable {
            let reason = "alpha and beta must be at least 0, the bias above 0, and none larger than a million";
            return Err(reason.to_string().into());
        }
        Ok(Resolved::new(Operation::Lrn(self), input, Vec::new())?)
    }
}

impl fmt::Display for LocalResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::new(self.size);
        write!(f, "lrn({}", self.size)?;
        for (name, own, usual) in [
            ("alpha", self.alpha, usual.alpha),
            ("beta", self.beta, usual.beta),
            ("bias", self.bias, usual.bias),
        ] {
            if own != usual {
                write!(f, ", {name}={own}")?;
            }
        }
        f.write_str(")")
    }
}
