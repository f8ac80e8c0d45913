//! Batch norm (Ioffe and Szegedy 2015): normalises each channel to mean 0 and variance 1, then scales and shifts it.
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
    Ok(Layer::BatchNorm {
        epsilon: arguments.number("epsilon")?.unwrap_or(1e-5),
        momentum: arguments.number("momentum")?.unwrap_or(0.1),
    })
}

pub(super) fn resolve(epsilon: f32, momentum: f32, input: Shape) -> Result<Resolved, Misfit> {
    if !(epsilon > 0.0 && (0.0..=1.0).contains(&momentum)) {
        let reason = "epsilon must be above 0 and momentum between 0 and 1";
        return Err(reason.to_string().into());
    }
    let operation = Operation::BatchNorm { epsilon, momentum };
    Ok(Resolved::new(operation, input, tensors(input.channels))?)
}

fn tensors(channels: usize) -> Vec<Tensor> {
    let one = |name, role| Tensor {
        initial: Initial::One,
        ..tensor_zero(name, role, channels)
    };
    vec![
        one("weight", Role::Scale),
        tensor_zero("bias", Role::Shift, channels),
        tensor_zero("running_mean", Role::RunningMean, channels),
        one("running_var", Role::RunningVariance),
    ]
}
