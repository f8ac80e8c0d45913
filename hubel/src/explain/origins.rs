//! Where the gradient of one value comes from: the values of later layers that read it.
use std::collections::BTreeMap;

use super::Explainer;
use super::arithmetic;
use super::terms_norm::{self, TermsNorm};
use super::windows::{Border, ConvolutionWindows, PoolingWindows, Upsampled};
use crate::network::{Operation, Role};
use crate::{Place, Result, Shape};

/// A value that reads another one, and the gradient that it passes back to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Origin {
    /// The node of the reading value.
    pub node: usize,
    /// Its place.
    pub at: Place,
    /// The gradient of the score by the reading value.
    pub gradient: f32,
    /// The derivative of the reading value by the value that is read.
    pub derivative: f64,
}

impl Origin {
    /// What it adds to the gradient.
    pub fn share(&self) -> f64 {
        f64::from(self.gradient) * self.derivative
    }
}

/// The values that read the value at `at` in the map of `node`, in the order of their layers and places. The sum of their
/// [shares](Origin::share) is the gradient by this value, for the score of the last [`trace_back`](Explainer::trace_back). Empty for the last layer, whose gradient is
/// that of the score itself, and for the tokens of a text, which have none.
///
/// # Errors
/// If the map has no such place.
pub fn of(explainer: &Explainer, node: usize, at: Place) -> Result<Vec<Origin>> {
    of_some(explainer, node, at, &|_| true)
}

/// The same without the values of convolutions and group norms.
pub(super) fn of_few(explainer: &Explainer, node: usize, at: Place) -> Result<Vec<Origin>> {
    let is_few = |operation: &Operation| {
        !matches!(
            operation,
            Operation::Conv(_) | Operation::TimeConv(_) | Operation::GroupNorm { .. }
        )
    };
    of_some(explainer, node, at, &is_few)
}

fn of_some(
    explainer: &Explainer,
    node: usize,
    at: Place,
    is_wanted: &dyn Fn(&Operation) -> bool,
) -> Result<Vec<Origin>> {
    let read = &explainer.nodes()[node];
    arithmetic::check(&read.name, read.shape, at)?;
    let mut origins = Vec::new();
    if let Operation::Tokens { .. } = read.operation {
        return Ok(origins);
    }
    for (reader, own) in explainer.nodes().iter().enumerate().skip(node + 1) {
        if !own.inputs.contains(&node) || !is_wanted(&own.operation) {
            continue;
        }
        let derivatives = derivatives(explainer, reader, node, at)?;
        let gradients = explainer.gradient(reader);
        origins.extend(derivatives.into_iter().map(|(at, derivative)| Origin {
            node: reader,
            at,
            gradient: gradients[own.shape.index(at)],
            derivative,
        }));
    }
    Ok(origins)
}

/// The values of the node `reader` that read the value, with their derivatives by it.
fn derivatives(
    explainer: &Explainer,
    reader: usize,
    node: usize,
    at: Place,
) -> Result<BTreeMap<Place, f64>> {
    let nodes = explainer.nodes();
    let (own, from) = (&nodes[reader], nodes[node].shape);
    if let Some(windows) = ConvolutionWindows::of(&own.operation, from) {
        let weights = explainer.weights(reader);
        let weights = weights.expect("a convolution has weights");
        let mut sums = BTreeMap::new();
        for (place, tap) in windows.readers(at, own.shape) {
            for channel in windows.filters_of(at.channel) {
                let weight = weights[windows.weight(tap, at.channel, channel)];
                *sums.entry(Place { channel, ..place }).or_insert(0.0) += f64::from(weight);
            }
        }
        return Ok(sums);
    }
    let places: Vec<Place> = match &own.operation {
        Operation::Linear { .. } => {
            let range = explainer.parameters().range(reader, Role::Weight);
            let weights =
                &explainer.parameters().values()[range.expect("a linear layer has weights")];
            let outputs = own.shape.channels;
            let weights = &weights[from.index(at) * outputs..][..outputs];
            let weights = weights.iter().enumerate();
            return Ok(weights
                .map(|(output, weight)| (Place::new(0, 0, output), f64::from(*weight)))
                .collect());
        }
        // All channels of the pixel read it, as a part of their mean and variance.
        Operation::LayerNorm { epsilon } => {
            let first = from.index(Place { channel: 0, ..at });
            let pixel = &explainer.map(node)[first..][..from.channels];
            let norm = TermsNorm::of(pixel.iter().copied(), *epsilon);
            let range = explainer.parameters().range(reader, Role::Scale);
            let scales = &explainer.parameters().values()[range.expect("a layer norm has a scale")];
            let scales = scales.iter().enumerate();
            return Ok(scales
                .map(|(channel, scale)| {
                    let derivative = f64::from(*scale) * norm.derivative(channel, at.channel);
                    (Place { channel, ..at }, derivative)
                })
                .collect());
        }
        // So do all values of the group.
        Operation::GroupNorm { groups, epsilon } => {
            let channels = terms_norm::channels_of_group(from, *groups, at.channel);
            let by = terms_norm::index_within(from, &channels, at);
            let map = explainer.map(node);
            let values = terms_norm::places_of(from, channels.clone());
            let norm = TermsNorm::of(values.map(|place| map[from.index(place)]), *epsilon);
            let range = explainer.parameters().range(reader, Role::Scale);
            let scales = &explainer.parameters().values()[range.expect("a group norm has a scale")];
            let places = terms_norm::places_of(from, channels).enumerate();
            return Ok(places
                .map(|(of, place)| {
                    let scale = f64::from(scales[place.channel]);
                    (place, scale * norm.derivative(of, by))
                })
                .collect());
        }
        Operation::Flatten => vec![Place::new(0, 0, from.index(at))],
        Operation::Channels { .. } | Operation::Shuffle { .. } => (0..own.shape.channels)
            .filter(|channel| {
                let moved = own.operation.moved_channel(*channel, from.channels);
                moved == Some(at.channel)
            })
            .map(|channel| Place { channel, ..at })
            .collect(),
        Operation::Pad { sides, mode } => Border::of(from, *sides, *mode).readers(at),
        Operation::Upsample(upsample) => Upsampled::of(from, *upsample).readers(at),
        Operation::Concat => side_by_side(explainer, reader, node, at),
        // The sum of a channel has the same channels around it.
        Operation::Lrn(settings) => (settings.around(at.channel, from.channels))
            .map(|channel| Place { channel, ..at })
            .collect(),
        // A factor of a channel is read at all its places.
        Operation::Multiply if own.shape != from => (0..own.shape.height)
            .flat_map(|row| (0..own.shape.width).map(move |column| Place { row, column, ..at }))
            .collect(),
        _ => match PoolingWindows::of(explainer, reader) {
            Some(windows) => windows.readers(at, own.shape),
            None => vec![at],
        },
    };
    let mut sums = BTreeMap::new();
    for place in places {
        let terms = arithmetic::of(explainer, reader, place)?.terms;
        let terms = terms.iter();
        let own = terms.filter(|term| term.node == node && term.at == Some(at));
        sums.insert(place, own.map(|term| term.derivative).sum());
    }
    Ok(sums)
}

/// The places of a concatenation that the value goes to: one for each input that is `node`.
fn side_by_side(explainer: &Explainer, reader: usize, node: usize, at: Place) -> Vec<Place> {
    let nodes = explainer.nodes();
    let mut first = 0;
    let mut places = Vec::new();
    for &input in &nodes[reader].inputs {
        let Shape { channels, .. } = nodes[input].shape;
        if input == node {
            let channel = first + at.channel;
            places.push(Place { channel, ..at });
        }
        first += channels;
    }
    places
}
