//! PReLU (He et al. 2015): a leaky ReLU whose slope is learned for each channel.
use super::{Misfit, Resolved};
use crate::{
    Shape,
    network::{Initial, Operation, Role, Tensor},
};

/// The initial slope, that of the authors and of PyTorch.
const SLOPE: f32 = 0.25;

pub(super) fn resolve(input: Shape) -> Result<Resolved, Misfit> {
    let slopes = Tensor {
        name: "weight",
        shape: vec![input.channels],
        role: Role::Slope,
        initial: Initial::All(SLOPE),
    };
    Ok(Resolved::new(Operation::Prelu, input, vec![slopes])?)
}
