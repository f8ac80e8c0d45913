//! Embedding: a vector for each token of a text (Bengio et al. 2003). Token 0 is padding; its vector is 0 and stays so.
use super::{
    Layer, LayerInput, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
    tensor_weight,
};
use crate::{Shape, network::Operation};

pub(super) fn parse(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let message = "`embedding` needs the length of its vectors";
    let size = arguments.number("size")?;
    Ok(Layer::Embedding(
        size.ok_or_else(|| ArgumentError::layer(message))?,
    ))
}

/// From t×1×1×1 tokens to t×1×1×size.
pub(super) fn resolve(size: usize, input: LayerInput) -> Result<Resolved, Misfit> {
    let Some(vocabulary) = input.vocabulary else {
        return Err(Misfit {
            reason: "it takes the tokens of a text, and this input holds other numbers".into(),
            ways_out: vec!["leave it out".into()],
        });
    };
    if size == 0 {
        return Err("its vectors need at least 1 number".to_string().into());
    }
    let operation = Operation::Embedding { vocabulary };
    let shape = Shape {
        channels: size,
        ..input.shape
    };
    let tensors = vec![tensor_weight(vec![vocabulary, size])?];
    Ok(Resolved::new(operation, shape, tensors)?)
}

/// The misfit of a layer other than an embedding that reads tokens.
pub(crate) fn missing() -> Misfit {
    Misfit {
        reason: "it takes numbers, and its input holds the tokens of a text".into(),
        ways_out: vec!["`embedding(128)` before it gives it a vector for each token".into()],
    }
}
