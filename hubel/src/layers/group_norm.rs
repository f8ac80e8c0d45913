//! Group norm (Wu and He 2018): normalises each group of neighbouring channels over all pixels and times of a sample to mean 0 and variance 1, then scales and
//! shifts each channel. With a group for each channel it is instance norm.
use super::{
    Layer, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
    scale_and_shift,
};
use crate::{Shape, network::Operation};

/// PyTorch's epsilon.
pub(super) const EPSILON: f32 = 1e-5;

pub(super) fn parse(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let message = "it needs the number of groups: `groupnorm(8)`";
    let groups = arguments.number("groups")?;
    Ok(Layer::GroupNorm {
        groups: groups.ok_or_else(|| ArgumentError::layer(message))?,
        epsilon: arguments.number("epsilon")?.unwrap_or(EPSILON),
    })
}

pub(super) fn resolve(groups: usize, epsilon: f32, input: Shape) -> Result<Resolved, Misfit> {
    if epsilon <= 0.0 || epsilon.is_nan() {
        return Err("epsilon must be above 0".to_owned().into());
    }
    let is_divisor = |groups: usize| groups > 0 && input.channels.is_multiple_of(groups);
    let has_values = |groups: usize| input.len() / groups > 1;
    let reason = match groups {
        _ if !is_divisor(groups) => format!(
            "{} channels do not divide into {groups} groups",
            input.channels
        ),
        _ if !has_values(groups) => {
            "each of its groups has one value, and normalising one value gives a constant".into()
        }
        _ => {
            let operation = Operation::GroupNorm { groups, epsilon };
            return Ok(Resolved::new(
                operation,
                input,
                scale_and_shift(input.channels),
            )?);
        }
    };
    let near = (0..input.channels)
        .flat_map(|away| [groups.saturating_sub(away), groups.saturating_add(away)])
        .find(|groups| is_divisor(*groups) && has_values(*groups));
    let ways_out = near.map(|groups| format!("`groupnorm({groups})`"));
    let ways_out = ways_out.into_iter().collect();
    Err(Misfit { reason, ways_out })
}
