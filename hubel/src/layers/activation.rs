//! Activations: elementwise functions between layers. Without them a network would be one linear map.
use super::arguments::{ArgumentError, Arguments};
pub use hubel_kernels::activation::Activation;

/// Its name in the architecture text, without settings.
pub(crate) fn name(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "identity",
        Activation::Relu => "relu",
        Activation::Relu6 => "relu6",
        Activation::LeakyRelu(_) => "leakyrelu",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::Silu => "silu",
        Activation::HardSwish => "hardswish",
        Activation::Gelu => "gelu",
        Activation::HardSigmoid => "hardsigmoid",
        Activation::Elu(_) => "elu",
        Activation::Mish => "mish",
        Activation::Softplus => "softplus",
        Activation::GeluTanh => "gelutanh",
        Activation::Clip { .. } => "clip",
    }
}

/// Its architecture text.
pub(crate) fn text(activation: Activation) -> String {
    match activation {
        Activation::LeakyRelu(slope) => format!("leakyrelu({slope})"),
        Activation::Elu(alpha) => format!("elu({alpha})"),
        Activation::Clip { least, most } => format!("clip({least}, {most})"),
        _ => name(activation).into(),
    }
}

/// Whether it is close to 0 for about half of its inputs, so that He initialisation suits the layer before.
pub(crate) fn is_relu_like(activation: Activation) -> bool {
    !matches!(
        activation,
        Activation::Identity
            | Activation::Sigmoid
            | Activation::Tanh
            | Activation::HardSigmoid
            | Activation::Clip { .. }
    )
}

fn limit(arguments: &mut Arguments, name: &'static str) -> Result<f32, ArgumentError> {
    let message = "`clip` needs the smallest and the largest value: `clip(-1, 1)`";
    (arguments.number(name)?).ok_or_else(|| ArgumentError::layer(message))
}

/// The activation called `name`, if there is one. The slope of a leaky ReLU is 0.01 by default.
pub(crate) fn parse(
    name: &str,
    arguments: &mut Arguments,
) -> Result<Option<Activation>, ArgumentError> {
    Ok(Some(match name {
        "identity" => Activation::Identity,
        "relu" => Activation::Relu,
        "relu6" => Activation::Relu6,
        "leakyrelu" => {
            let slope = arguments.number("slope")?.unwrap_or(0.01);
            Activation::LeakyRelu(slope)
        }
        "sigmoid" => Activation::Sigmoid,
        "tanh" => Activation::Tanh,
        "silu" => Activation::Silu,
        "hardswish" => Activation::HardSwish,
        "gelu" => Activation::Gelu,
        "hardsigmoid" => Activation::HardSigmoid,
        "elu" => Activation::Elu(arguments.number("alpha")?.unwrap_or(1.0)),
        "mish" => Activation::Mish,
        "softplus" => Activation::Softplus,
        "gelutanh" => Activation::GeluTanh,
        "clip" => Activation::Clip {
            least: limit(arguments, "least")?,
            most: limit(arguments, "most")?,
        },
        _ => return Ok(None),
    }))
}
