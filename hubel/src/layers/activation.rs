//! Activations: the functions between layers that make a network more than one linear map.
use super::arguments::{ArgumentError, Arguments};
use std::fmt;

/// A function of one number applied to every element of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// min(max(0, x), 6).
    Relu6,
    /// x where positive, `slope`·x elsewhere.
    LeakyRelu(f32),
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// x·sigmoid(x), also called swish.
    Silu,
    /// x·relu6(x + 3)/6.
    HardSwish,
    /// x·Φ(x), with the normal distribution's Φ itself (not its tanh approximation).
    Gelu,
}

impl Activation {
    /// Whether half of the inputs' variance is lost in it, so that He's initialisation suits the layer before.
    pub fn is_relu_like(self) -> bool {
        !matches!(self, Self::Sigmoid | Self::Tanh)
    }

    /// Its name in the architecture text, without settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu(_) => "leakyrelu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Silu => "silu",
            Self::HardSwish => "hardswish",
            Self::Gelu => "gelu",
        }
    }

    pub(crate) fn parse(name: &str, arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        Ok(match name {
            "relu" => Self::Relu,
            "relu6" => Self::Relu6,
            "leakyrelu" => Self::LeakyRelu(arguments.number("slope")?.unwrap_or(0.01)),
            "sigmoid" => Self::Sigmoid,
            "tanh" => Self::Tanh,
            "silu" => Self::Silu,
            "hardswish" => Self::HardSwish,
            "gelu" => Self::Gelu,
            _ => unreachable!("`{name}` is no activation"),
        })
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu(slope) => write!(f, "({slope})"),
            _ => Ok(()),
        }
    }
}
