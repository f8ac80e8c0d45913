//! A learned factor for each channel, and perhaps a summand: the layer scale of ConvNeXt (Liu et al. 2022), and Caffe's layer of this name.
use super::{
    Layer, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
    tensor_zero,
};
use crate::{
    Shape,
    network::{Initial, Operation, Role, Tensor},
};

pub(super) fn parse(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let bias = arguments.switch("bias")?.unwrap_or(true);
    Ok(Layer::Scale { bias })
}

pub(super) fn resolve(bias: bool, input: Shape) -> Result<Resolved, Misfit> {
    let mut tensors = vec![Tensor {
        initial: Initial::One,
        ..tensor_zero("weight", Role::Scale, input.channels)
    }];
    if bias {
        tensors.push(tensor_zero("bias", Role::Shift, input.channels));
    }
    Ok(Resolved::new(Operation::Scale { bias }, input, tensors)?)
}
