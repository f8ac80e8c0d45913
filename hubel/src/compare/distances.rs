//! How far apart the weights of two models are.
use serde::Serialize;

use crate::Model;

/// The distance of a layer's weights in two models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distance {
    /// The layer's name, as in the names of its tensors.
    pub layer: String,
    /// Number of its weights, running statistics included.
    pub weights: usize,
    /// The Euclidean norm of the difference, divided by the root mean square of the two norms: 0 for equal weights, about 1.4 (√2) for weights that have nothing
    /// to do with each other, 2 for opposite ones.
    pub relative: f64,
}

/// The distance of each layer's weights, in the order of the network. `None` if the networks, their inputs or the numbers of their classes differ.
pub fn distances(first: &Model, second: &Model) -> Option<Vec<Distance>> {
    let [one, other] = [first, second].map(Model::parameters);
    let is_same = first.network() == second.network() && one.entries() == other.entries();
    if !is_same {
        return None;
    }
    /// Sums over the tensors of a layer.
    struct Sums {
        layer: String,
        node: usize,
        weights: usize,
        apart: f64,
        norms: f64,
    }
    let mut layers: Vec<Sums> = Vec::new();
    for entry in one.entries() {
        let place = layers.iter().position(|layer| layer.node == entry.node);
        let place = place.unwrap_or_else(|| {
            let name = entry.name.rsplit_once('.');
            layers.push(Sums {
                layer: name.map_or(&*entry.name, |(layer, _)| layer).to_owned(),
                node: entry.node,
                weights: 0,
                apart: 0.0,
                norms: 0.0,
            });
            layers.len() - 1
        });
        let sums = &mut layers[place];
        sums.weights += entry.range.len();
        for (one, other) in std::iter::zip(one.tensor(entry), other.tensor(entry)) {
            let (one, other) = (f64::from(*one), f64::from(*other));
            sums.apart += (one - other).powi(2);
            sums.norms += (one * one + other * other) / 2.0;
        }
    }
    layers.sort_by_key(|layer| layer.node);
    let distances = layers.into_iter().map(|sums| Distance {
        layer: sums.layer,
        weights: sums.weights,
        relative: match sums.norms > 0.0 {
            true => (sums.apart / sums.norms).sqrt(),
            false => 0.0,
        },
    });
    Some(distances.collect())
}
