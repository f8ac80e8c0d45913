//! Layer norm (Ba, Kiros and Hinton 2016): normalises the channels of each pixel to mean 0 and variance 1, then scales and shifts each channel.
use super::{
    Layer, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
    scale_and_shift,
};
use crate::{Shape, network::Operation};

/// The usual epsilon, that of torchvision's networks.
pub(super) const EPSILON: f32 = 1e-6;

pub(super) fn parse(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let epsilon = arguments.number("epsilon")?.unwrap_or(EPSILON);
    Ok(Layer::LayerNorm { epsilon })
}

pub(super) fn resolve(epsilon: f32, input: Shape) -> Result<Resolved, Misfit> {
    let reason = match input.channels {
        _ if epsilon <= 0.0 || epsilon.is_nan() => "epsilon must be above 0",
        1 => "its input has one channel, and normalising one value gives a constant",
        _ => {
            let operation = Operation::LayerNorm { epsilon };
            return Ok(Resolved::new(
                operation,
                input,
                scale_and_shift(input.channels),
            )?);
        }
    };
    Err(reason.to_owned().into())
}
