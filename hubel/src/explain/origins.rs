//! Where the gradient of one value comes from: the values of later layers that read it.
use std::collections::BTreeMap;

use super::Explainer;
use super::arithmetic::{self, along_time};
use super::padded::Padded;
use crate::network::{Operation, Role};
use crate::{Error, Result, Shape};

/// A value that reads another one, and the gradient that it passes back to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Origin {
    /// The node of the reading value.
    pub node: usize,
    /// Its row, column and channel.
    pub at: [usize; 3],
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

/// The values that read the value at row, column and channel `at` of the map of `node`, in the order of their layers and places. The sum of their
/// [shares](Origin::share) is the gradient by this value, for the score of the last [`trace_back`](Explainer::trace_back). Empty for the last layer, whose gradient is
/// that of the score itself.
///
/// # Errors
/// If the map has no such place, or if a layer that reads it computes along time.
pub fn of(explainer: &Explainer, node: usize, at: [usize; 3]) -> Result<Vec<Origin>> {
    of_some(explainer, node, at, &|_| true)
}

/// The same without the values of convolutions.
pub(super) fn but_convolutions(
    explainer: &Explainer,
    node: usize,
    at: [usize; 3],
) -> Result<Vec<Origin>> {
    let is_other = |operation: &Operation| !matches!(operation, Operation::Conv(_));
    of_some(explainer, node, at, &is_other)
}

fn of_some(
    explainer: &Explainer,
    node: usize,
    at: [usize; 3],
    is_wanted: &dyn Fn(&Operation) -> bool,
) -> Result<Vec<Origin>> {
    let shape = explainer.nodes()[node].shape;
    if at[0] >= shape.height || at[1] >= shape.width || at[2] >= shape.channels {
        return Err(Error::Settings {
            problem: format!(
                "the map of {shape} has no row {}, column {}, channel {}",
                at[0], at[1], at[2]
            ),
        });
    }
    let mut origins = Vec::new();
    for (reader, own) in explainer.nodes().iter().enumerate().skip(node + 1) {
        if !own.inputs.contains(&node) || !is_wanted(&own.operation) {
            continue;
        }
        if own.shape.time > 1 || shape.time > 1 {
            return Err(along_time(&own.name));
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
    at: [usize; 3],
) -> Result<BTreeMap<[usize; 3], f64>> {
    let nodes = explainer.nodes();
    let (own, from) = (&nodes[reader], nodes[node].shape);
    let [y, x, channel] = at;
    let places: Vec<[usize; 3]> = match &own.operation {
        Operation::Conv(settings) => {
            let weights = explainer
                .weights(reader)
                .expect("a convolution has weights");
            let padded = Padded::of(settings, from);
            let filters = settings.filters_of(channel, from);
            let first = settings.channels_of(filters.start, from);
            let mut sums = BTreeMap::new();
            for [row, down] in padded.readers(0, y, own.shape.height) {
                for [column, across] in padded.readers(1, x, own.shape.width) {
                    let tap = (down * settings.kernel[1] + across) * first.len();
                    let weights = &weights[(tap + channel - first.start) * settings.filters..];
                    for filter in filters.clone() {
                        *sums.entry([row, column, filter]).or_insert(0.0) +=
                            f64::from(weights[filter]);
                    }
                }
            }
            return Ok(sums);
        }
        Operation::Linear { .. } => {
            let range = explainer.parameters().range(reader, Role::Weight);
            let weights =
                &explainer.parameters().values()[range.expect("a linear layer has weights")];
            let outputs = own.shape.channels;
            let weights = &weights[from.index(at) * outputs..][..outputs];
            let weights = weights.iter().enumerate();
            return Ok(weights
                .map(|(output, weight)| ([0, 0, output], f64::from(*weight)))
                .collect());
        }
        Operation::Flatten => vec![[0, 0, from.index(at)]],
        Operation::Concat => side_by_side(explainer, reader, node, at),
        operation => match arithmetic::windows_of(operation, from, own.shape) {
            Some(windows) => {
                let read = [y, x];
                let [rows, columns] = [own.shape.height, own.shape.width];
                let readers = |axis: usize, outputs: usize| {
                    let outputs = 0..outputs;
                    outputs.filter(move |output| windows.range(axis, *output).contains(&read[axis]))
                };
                let places = readers(0, rows)
                    .flat_map(|row| readers(1, columns).map(move |column| [row, column, channel]));
                places.collect()
            }
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
fn side_by_side(
    explainer: &Explainer,
    reader: usize,
    node: usize,
    [y, x, channel]: [usize; 3],
) -> Vec<[usize; 3]> {
    let nodes = explainer.nodes();
    let mut first = 0;
    let mut places = Vec::new();
    for &input in &nodes[reader].inputs {
        let Shape { channels, .. } = nodes[input].shape;
        if input == node {
            places.push([y, x, first + channel]);
        }
        first += channels;
    }
    places
}
