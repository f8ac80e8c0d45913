//! Upsampling by whole factors.
use super::{
    Layer, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
    window::Pair,
};
use crate::{Shape, network::Operation};
pub use hubel_kernels::upsample::Interpolation;
use hubel_kernels::upsample::Upsampling;
use std::fmt;

/// Settings of an upsampling (`torch.nn.Upsample` with a whole `scale_factor` and `align_corners=False`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsample {
    /// How many rows and columns each of the input becomes: `[height, width]`.
    pub factor: [usize; 2],
    /// How the values between are computed; nearest by default.
    pub interpolation: Interpolation,
}

/// The names of the architecture text.
const NAMES: [(&str, Interpolation); 2] = [
    ("nearest", Interpolation::Nearest),
    ("bilinear", Interpolation::Bilinear),
];

impl Upsample {
    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let message =
            "it needs a factor: one number for both axes or (height, width), such as `upsample(2)`";
        let factor = arguments.pair("factor")?;
        Ok(Self {
            factor: factor.ok_or_else(|| ArgumentError::layer(message))?,
            interpolation: (arguments.choice("mode", &NAMES)?).unwrap_or(Interpolation::Nearest),
        })
    }

    /// The layer as the kernels compute it, for `batch` samples, each frame by itself.
    pub(crate) fn for_kernels(&self, batch: usize, input: Shape) -> Upsampling {
        Upsampling {
            batch: batch * input.time,
            input: [input.height, input.width, input.channels],
            factor: self.factor,
            interpolation: self.interpolation,
        }
    }

    pub(crate) fn resolve(&self, input: Shape) -> Result<Resolved, Misfit> {
        if self.factor.contains(&0) {
            return Err("factor must be at least 1".to_owned().into());
        }
        let product = |size: usize, factor: usize| {
            let product = size.checked_mul(factor);
            product.ok_or_else(|| "its output is larger than any memory".to_owned())
        };
        let [down, across] = self.factor;
        let shape = Shape {
            height: product(input.height, down)?,
            width: product(input.width, across)?,
            ..input
        };
        let operation = Operation::Upsample(*self);
        Ok(Resolved::new(operation, shape, Vec::new())?)
    }
}

impl From<Upsample> for Layer {
    fn from(upsample: Upsample) -> Self {
        Self::Upsample(upsample)
    }
}

impl fmt::Display for Upsample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upsample({}", Pair(self.factor))?;
        if self.interpolation == Interpolation::Bilinear {
            f.write_str(", mode=bilinear")?;
        }
        f.write_str(")")
    }
}
