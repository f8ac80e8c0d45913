//! How one map of a layer is made of the maps before it.
use std::collections::BTreeMap;

use super::arithmetic::along_time;
use super::padded::{Padded, Source};
use super::{Explainer, origins};
use crate::network::{Convolution, Operation, Role};
use crate::{Error, Result};

/// The maps that one map of a layer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    /// The maps it reads; of many, those that add most to a sum.
    pub parts: Vec<Part>,
    /// The number of maps that are not among the parts, and the sum of what they add, `[height, width]`.
    pub others: Option<(usize, Vec<f32>)>,
    /// The bias of a convolution or linear layer.
    pub bias: Option<f32>,
}

/// A map that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its node.
    pub node: usize,
    /// Its channel.
    pub channel: usize,
    /// The weights of a convolution between this map and the other, `[kernel height, kernel width]`.
    pub kernel: Option<Vec<f32>>,
    /// What it adds to the map, `[height, width]`; `None` if the layer computes no sum.
    pub adds: Option<Vec<f32>>,
}

/// The maps that map `channel` of `node` is made of, for the first picture of the last [`look`](Explainer::look). At most `most` parts. The sum of what they add,
/// the others and the bias is the map.
///
/// # Errors
/// If the layer has no such channel, is the image, or computes along time.
pub fn of(explainer: &Explainer, node: usize, channel: usize, most: usize) -> Result<Composition> {
    let nodes = explainer.nodes();
    let own = &nodes[node];
    if channel >= own.shape.channels {
        return Err(Error::Settings {
            problem: format!(
                "layer `{}` has {} maps, which count from 0; there is no map {channel}",
                own.name, own.shape.channels
            ),
        });
    }
    let inputs = own.inputs.iter().map(|input| nodes[*input].shape);
    if own.shape.time > 1 || inputs.clone().any(|shape| shape.time > 1) {
        return Err(along_time(&own.name));
    }
    let part = |node: usize, channel: usize| Part {
        node,
        channel,
        kernel: None,
        adds: None,
    };
    let parts = match &own.operation {
        Operation::Image | Operation::Tokens { .. } => {
            let problem = "the input is made of nothing; name a layer".to_owned();
            return Err(Error::Settings { problem });
        }
        Operation::Conv(settings) => {
            let parts = of_convolution(explainer, node, settings, channel);
            let bias = explainer.parameters().range(node, Role::Bias);
            let bias = bias.map(|range| explainer.parameters().values()[range][channel]);
            return Ok(strongest(parts, bias, most));
        }
        Operation::Add => {
            let parts = own.inputs.iter().map(|input| Part {
                adds: Some(explainer.channel(*input, channel)),
                ..part(*input, channel)
            });
            parts.collect()
        }
        Operation::Concat => {
            let mut rest = channel;
            let mut parts = Vec::new();
            for &input in &own.inputs {
                let channels = nodes[input].shape.channels;
                if rest < channels {
                    parts.push(part(input, rest));
                    break;
                }
                rest -= channels;
            }
            parts
        }
        Operation::Flatten => {
            let from = nodes[own.inputs[0]].shape;
            vec![part(own.inputs[0], from.place(channel)[2])]
        }
        // Every output reads all values.
        Operation::Linear { .. } => Vec::new(),
        _ => vec![part(own.inputs[0], channel)],
    };
    Ok(Composition {
        parts,
        others: None,
        bias: None,
    })
}

/// What each channel of the input adds to the map of a filter.
fn of_convolution(
    explainer: &Explainer,
    node: usize,
    settings: &Convolution,
    filter: usize,
) -> Vec<Part> {
    let nodes = explainer.nodes();
    let (own, input) = (&nodes[node], nodes[node].inputs[0]);
    let from = nodes[input].shape;
    let weights = explainer.weights(node).expect("a convolution has weights");
    let values = explainer.map(input);
    let padded = Padded::of(settings, from);
    let channels = settings.channels_of(filter, from);
    let depth = channels.len();
    let [height, width] = settings.kernel;
    let taps = || (0..height * width).map(|tap| [tap / width, tap % width]);
    let weight = |tap: [usize; 2], place: usize| {
        weights[((tap[0] * width + tap[1]) * depth + place) * settings.filters + filter]
    };
    let mut adds = vec![Vec::with_capacity(own.shape.height * own.shape.width); depth];
    let mut sums = vec![0.0; depth];
    for y in 0..own.shape.height {
        for x in 0..own.shape.width {
            sums.fill(0.0_f64);
            for tap in taps() {
                let pixel = match padded.source([y, x], tap) {
                    Source::Pixel([row, column]) => Ok(from.index([row, column, channels.start])),
                    Source::Border(value) => Err(value),
                };
                for (place, sum) in sums.iter_mut().enumerate() {
                    let value = pixel.map_or_else(|border| border, |first| values[first + place]);
                    *sum += f64::from(value) * f64::from(weight(tap, place));
                }
            }
            for (adds, sum) in adds.iter_mut().zip(&sums) {
                adds.push(*sum as f32);
            }
        }
    }
    let parts = channels.zip(adds).enumerate();
    let parts = parts.map(|(place, (channel, adds))| Part {
        node: input,
        channel,
        kernel: Some(taps().map(|tap| weight(tap, place)).collect()),
        adds: Some(adds),
    });
    parts.collect()
}

/// The parts that add most, in their order, and the sum of the others.
fn strongest(mut parts: Vec<Part>, bias: Option<f32>, most: usize) -> Composition {
    let strength = |part: &Part| -> f64 {
        let adds = part.adds.iter().flatten();
        adds.map(|value| f64::from(value.abs())).sum()
    };
    let mut others = None;
    if parts.len() > most {
        parts.sort_by(|one, other| strength(other).total_cmp(&strength(one)));
        let weak = parts.split_off(most);
        let mut sum = vec![0.0; weak[0].adds.as_ref().map_or(0, Vec::len)];
        for part in &weak {
            for (sum, value) in sum.iter_mut().zip(part.adds.iter().flatten()) {
                *sum += value;
            }
        }
        others = Some((weak.len(), sum));
        parts.sort_by_key(|part| (part.node, part.channel));
    }
    Composition {
        parts,
        others,
        bias: Some(bias.unwrap_or(0.0)),
    }
}

/// The maps of later layers that pass a gradient back to map `channel` of `node`, for the score of the last [`trace_back`](Explainer::trace_back). What the parts and
/// the others add is the gradient by the map. Empty for the last layer, whose gradient is that of the score itself.
///
/// # Errors
/// As [`of`].
pub fn of_gradient(
    explainer: &Explainer,
    node: usize,
    channel: usize,
    most: usize,
) -> Result<Composition> {
    let nodes = explainer.nodes();
    let shape = nodes[node].shape;
    let mut parts = Vec::new();
    for (reader, own) in nodes.iter().enumerate().skip(node + 1) {
        if !own.inputs.contains(&node) {
            continue;
        }
        if shape.time > 1 || own.shape.time > 1 {
            return Err(along_time(&own.name));
        }
        if let Operation::Conv(settings) = &own.operation {
            parts.extend(back_through(explainer, reader, settings, channel));
        }
    }
    let mut sums: BTreeMap<(usize, usize), Vec<f32>> = BTreeMap::new();
    for place in 0..shape.height * shape.width {
        let at = [place / shape.width, place % shape.width, channel];
        for origin in origins::but_convolutions(explainer, node, at)? {
            let map = sums.entry((origin.node, origin.at[2]));
            map.or_insert_with(|| vec![0.0; shape.height * shape.width])[place] +=
                origin.share() as f32;
        }
    }
    parts.extend(sums.into_iter().map(|((node, channel), adds)| Part {
        node,
        channel,
        kernel: None,
        adds: Some(adds),
    }));
    Ok(Composition {
        bias: None,
        ..strongest(parts, None, most)
    })
}

/// What each filter of a convolution adds to the gradient by one channel of its input.
fn back_through(
    explainer: &Explainer,
    reader: usize,
    settings: &Convolution,
    channel: usize,
) -> Vec<Part> {
    let nodes = explainer.nodes();
    let own = nodes[reader].shape;
    let from = nodes[nodes[reader].inputs[0]].shape;
    let weights = explainer
        .weights(reader)
        .expect("a convolution has weights");
    let gradients = explainer.gradient(reader);
    let padded = Padded::of(settings, from);
    let filters = settings.filters_of(channel, from);
    let channels = settings.channels_of(filters.start, from);
    let place = channel - channels.start;
    let [height, width] = settings.kernel;
    let mut adds = vec![vec![0.0; from.height * from.width]; filters.len()];
    for down in 0..height {
        for across in 0..width {
            let tap = ((down * width + across) * channels.len() + place) * settings.filters;
            for y in 0..own.height {
                for x in 0..own.width {
                    let Source::Pixel([row, column]) = padded.source([y, x], [down, across]) else {
                        continue;
                    };
                    for (filter, adds) in filters.clone().zip(&mut adds) {
                        adds[row * from.width + column] +=
                            gradients[own.index([y, x, filter])] * weights[tap + filter];
                    }
                }
            }
        }
    }
    let weight = |tap: usize, filter: usize| {
        weights[(tap * channels.len() + place) * settings.filters + filter]
    };
    let kernel = |filter: usize| (0..height * width).map(|tap| weight(tap, filter)).collect();
    let parts = filters.zip(adds);
    let parts = parts.map(|(filter, adds)| Part {
        node: reader,
        channel: filter,
        kernel: Some(kernel(filter)),
        adds: Some(adds),
    });
    parts.collect()
}
