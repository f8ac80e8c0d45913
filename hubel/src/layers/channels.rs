//! Layers that move channels: a part of them, and the channel shuffle of ShuffleNet (Zhang et al. 2018).
use super::{
    Layer, Misfit, Resolved,
    arguments::{ArgumentError, Arguments},
};
use crate::{Shape, network::Operation};

pub(super) fn parse_part(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let (first, count) = (arguments.number("first")?, arguments.number("count")?);
    let (Some(first), Some(count)) = (first, count) else {
        let message =
            "it needs the first channel, counted from 0, and their number: `channels(0, 16)`";
        return Err(ArgumentError::layer(message));
    };
    Ok(Layer::Channels { first, count })
}

pub(super) fn parse_shuffle(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let message = "it needs the number of groups: `shuffle(2)`";
    let groups = arguments.number("groups")?;
    let groups = groups.ok_or_else(|| ArgumentError::layer(message))?;
    Ok(Layer::Shuffle { groups })
}

pub(super) fn resolve_part(first: usize, count: usize, input: Shape) -> Result<Resolved, Misfit> {
    if count == 0 {
        return Err("it needs at least one channel".to_owned().into());
    }
    let end = first.checked_add(count);
    if end.is_none_or(|end| end > input.channels) {
        let reason = format!(
            "it takes {count} channels from channel {first} on, and the input has {}, which count from 0",
            input.channels
        );
        let rest = input.channels.saturating_sub(first);
        let ways_out = (rest > 0).then(|| format!("`channels({first}, {rest})`"));
        let ways_out = ways_out.into_iter().collect();
        return Err(Misfit { reason, ways_out });
    }
    let shape = Shape {
        channels: count,
        ..input
    };
    let operation = Operation::Channels { first, count };
    Ok(Resolved::new(operation, shape, Vec::new())?)
}

pub(super) fn resolve_shuffle(groups: usize, input: Shape) -> Result<Resolved, Misfit> {
    if groups == 0 || !input.channels.is_multiple_of(groups) {
        let reason = format!(
            "{} channels do not divide into {groups} groups",
            input.channels
        );
        let fits = |groups: &usize| *groups > 1 && input.channels.is_multiple_of(*groups);
        let near = (1..input.channels)
            .flat_map(|away| [groups.saturating_sub(away), groups.saturating_add(away)])
            .find(fits);
        let ways_out = near.map(|groups| format!("`shuffle({groups})`"));
        let ways_out = ways_out.into_iter().collect();
        return Err(Misfit { reason, ways_out });
    }
    let operation = Operation::Shuffle { groups };
    Ok(Resolved::new(operation, input, Vec::new())?)
}
