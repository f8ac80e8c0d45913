//! How one map of a layer is made of the maps before it.
use std::collections::BTreeMap;

use super::terms_norm::{self, TermsNorm};
use super::windows::{ConvolutionWindows, Source};
use super::{Explainer, origins};
use crate::network::{Operation, Role};
use crate::{Error, Place, Result};

/// The maps that one map of a layer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    /// The maps it reads; of many, those that add most to a sum.
    pub parts: Vec<Part>,
    /// The number of maps that are not among the parts, and the sum of what they add, `[time, height, width]`.
    pub others: Option<(usize, Vec<f32>)>,
    /// The bias of a convolution or a scale layer.
    pub bias: Option<f32>,
}

/// A map that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its node.
    pub node: usize,
    /// Its channel.
    pub channel: usize,
    /// The weights of a convolution between this map and the other, `[kernel height, kernel width]`; of one along time, `[kernel]`.
    pub kernel: Option<Vec<f32>>,
    /// What it adds to the map, `[time, height, width]`; `None` if the layer computes no sum.
    pub adds: Option<Vec<f32>>,
}

/// The maps that map `channel` of `node` is made of, for the first picture of the last [`look`](Explainer::look). At most `most` parts. The sum of what they add,
/// the others and the bias is the map.
///
/// # Errors
/// If the layer has no such channel, or is the input.
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
        Operation::Conv(_) | Operation::TimeConv(_) => {
            let parts = of_convolution(explainer, node, channel);
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
        Operation::Scale { .. } => {
            let of = |role| {
                let range = explainer.parameters().range(node, role)?;
                Some(explainer.parameters().values()[range][channel])
            };
            let weight = of(Role::Scale).expect("a scale layer has factors");
            let values = explainer.channel(own.inputs[0], channel);
            let part = Part {
                adds: Some(values.into_iter().map(|value| weight * value).collect()),
                ..part(own.inputs[0], channel)
            };
            return Ok(strongest(vec![part], of(Role::Shift), most));
        }
        Operation::Lrn(settings) => (settings.around(channel, own.shape.channels))
            .take(most)
            .map(|channel| part(own.inputs[0], channel))
            .collect(),
        Operation::Multiply => own
            .inputs
            .iter()
            .map(|input| part(*input, channel))
            .collect(),
        Operation::Channels { .. } | Operation::Shuffle { .. } => {
            let input = own.inputs[0];
            let moved = (own.operation).moved_channel(channel, nodes[input].shape.channels);
            moved
                .map(|channel| part(input, channel))
                .into_iter()
                .collect()
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
            vec![part(own.inputs[0], from.place(channel).channel)]
        }
        // Each token has one number.
        Operation::Embedding { .. } => vec![part(own.inputs[0], 0)],
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
fn of_convolution(explainer: &Explainer, node: usize, filter: usize) -> Vec<Part> {
    let nodes = explainer.nodes();
    let (own, input) = (&nodes[node], nodes[node].inputs[0]);
    let from = nodes[input].shape;
    let windows = ConvolutionWindows::of(&own.operation, from);
    let windows = windows.expect("the operation is a convolution");
    let weights = explainer.weights(node).expect("a convolution has weights");
    let values = explainer.map(input);
    let channels = windows.channels_of(filter);
    let weight = |tap: usize, channel: usize| weights[windows.weight(tap, channel, filter)];
    let pixels = own.shape.len() / own.shape.channels;
    let mut adds = vec![Vec::with_capacity(pixels); channels.len()];
    let mut sums = vec![0.0; channels.len()];
    for pixel in 0..pixels {
        let at = own.shape.place(pixel * own.shape.channels);
        sums.fill(0.0_f64);
        for (number, tap) in windows.taps().enumerate() {
            let source = windows.source(at, tap);
            for (channel, sum) in channels.clone().zip(&mut sums) {
                let value = match source {
                    Source::Inside(place) => values[from.index(Place { channel, ..place })],
                    Source::Border(value) => value,
                };
                *sum += f64::from(value) * f64::from(weight(number, channel));
            }
        }
        for (adds, sum) in adds.iter_mut().zip(&sums) {
            adds.push(*sum as f32);
        }
    }
    let taps = windows.taps().count();
    let parts = channels.zip(adds).map(|(channel, adds)| Part {
        node: input,
        channel,
        kernel: Some((0..taps).map(|tap| weight(tap, channel)).collect()),
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
        if let Some(windows) = ConvolutionWindows::of(&own.operation, shape) {
            parts.extend(back_through(explainer, reader, &windows, channel));
        }
        if let Operation::GroupNorm { groups, epsilon } = own.operation {
            parts.extend(back_through_group(
                explainer,
                [node, reader],
                groups,
                epsilon,
                channel,
            ));
        }
    }
    let mut sums: BTreeMap<(usize, usize), Vec<f32>> = BTreeMap::new();
    let pixels = shape.len() / shape.channels;
    for pixel in 0..pixels {
        let at = shape.place(pixel * shape.channels + channel);
        for origin in origins::of_few(explainer, node, at)? {
            let map = sums.entry((origin.node, origin.at.channel));
            map.or_insert_with(|| vec![0.0; pixels])[pixel] += origin.share() as f32;
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

/// What each channel of a group norm adds to the gradient by one channel of its input. All values of the group read each value, so this takes sums instead of
/// going from value to value.
fn back_through_group(
    explainer: &Explainer,
    [node, reader]: [usize; 2],
    groups: usize,
    epsilon: f32,
    channel: usize,
) -> Vec<Part> {
    let shape = explainer.nodes()[node].shape;
    let channels = terms_norm::channels_of_group(shape, groups, channel);
    let map = explainer.map(node);
    let values = terms_norm::places_of(shape, channels.clone());
    let norm = TermsNorm::of(values.map(|place| map[shape.index(place)]), epsilon);
    let scales = explainer.parameters().range(reader, Role::Scale);
    let scales = &explainer.parameters().values()[scales.expect("a group norm has a scale")];
    let gradients = &explainer.gradient(reader)[..shape.len()];
    // The index of a channel of a pixel among the values of the group.
    let index = |pixel: usize, channel: usize| pixel * channels.len() + channel - channels.start;
    let parts = channels.clone().map(|reading| {
        let own: Vec<f64> = (super::channel_of(gradients, shape, reading).into_iter())
            .map(|gradient| f64::from(gradient) * f64::from(scales[reading]))
            .collect();
        let each = own.iter().enumerate();
        let products = each
            .clone()
            .map(|(pixel, gradient)| gradient * norm.normalised(index(pixel, reading)));
        let sums = [own.iter().sum(), products.sum()];
        let adds = each.map(|(pixel, gradient)| {
            let own = if reading == channel { *gradient } else { 0.0 };
            norm.passed_back(own, sums, index(pixel, channel)) as f32
        });
        Part {
            node: reader,
            channel: reading,
            kernel: None,
            adds: Some(adds.collect()),
        }
    });
    parts.collect()
}

/// What each filter of a convolution adds to the gradient by one channel of its input.
fn back_through(
    explainer: &Explainer,
    reader: usize,
    windows: &ConvolutionWindows,
    channel: usize,
) -> Vec<Part> {
    let nodes = explainer.nodes();
    let own = nodes[reader].shape;
    let from = nodes[nodes[reader].inputs[0]].shape;
    let weights = explainer
        .weights(reader)
        .expect("a convolution has weights");
    let gradients = explainer.gradient(reader);
    let filters = windows.filters_of(channel);
    let mut adds = vec![vec![0.0; from.len() / from.channels]; filters.len()];
    for (number, tap) in windows.taps().enumerate() {
        for first in (0..own.len()).step_by(own.channels) {
            let Source::Inside(read) = windows.source(own.place(first), tap) else {
                continue;
            };
            let pixel = from.index(read) / from.channels;
            for (filter, adds) in filters.clone().zip(&mut adds) {
                let weight = weights[windows.weight(number, channel, filter)];
                adds[pixel] += gradients[first + filter] * weight;
            }
        }
    }
    let taps = windows.taps().count();
    let parts = filters.zip(adds).map(|(filter, adds)| {
        let weight = |tap: usize| weights[windows.weight(tap, channel, filter)];
        Part {
            node: reader,
            channel: filter,
            kernel: Some((0..taps).map(weight).collect()),
            adds: Some(adds),
        }
    });
    parts.collect()
}
