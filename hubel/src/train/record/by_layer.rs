//! Reads the norms of the layers' gradients back, as one curve for each layer.
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// The norm of the gradient of each layer over the steps in which it was measured.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GradientCurves {
    /// The layers that were trained in some phase, in the order of the network.
    pub layers: Vec<GradientLayer>,
    /// Means over neighbouring measurements, from the first to the last.
    pub points: Vec<GradientMean>,
}

/// A layer of [`GradientCurves`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientLayer {
    /// Its name.
    pub name: String,
    /// Its kind, such as `conv`; empty if the record does not say it.
    pub kind: String,
}

/// The mean over some neighbouring measurements.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientMean {
    /// How many measurements these are.
    pub count: usize,
    /// Their mean place in the run, in epochs of all phases.
    pub epochs: f64,
    /// The mean norm of each layer; `None` if the layer was frozen, or if no norm was finite.
    pub norms: Vec<Option<f64>>,
}

impl GradientCurves {
    /// The norms of a layer in brief; `None` if there are none.
    pub fn range(&self, layer: usize) -> Option<NormRange> {
        let norms = self.points.iter().filter_map(|point| point.norms[layer]);
        norms.fold(None, |range, norm| {
            Some(match range {
                None => NormRange {
                    first: norm,
                    last: norm,
                    smallest: norm,
                    largest: norm,
                },
                Some(NormRange {
                    first,
                    smallest,
                    largest,
                    ..
                }) => NormRange {
                    first,
                    last: norm,
                    smallest: norm.min(smallest),
                    largest: norm.max(largest),
                },
            })
        })
    }

    /// The indices of at most `most` layers: all of them, or those whose last norms are the largest and the smallest.
    pub fn outermost(&self, most: usize) -> Vec<usize> {
        let all = 0..self.layers.len();
        if all.len() <= most {
            return all.collect();
        }
        let last: Vec<f64> = all
            .clone()
            .map(|layer| self.range(layer).map_or(0.0, |range| range.last))
            .collect();
        let mut chosen: Vec<usize> = all.collect();
        chosen.sort_by(|one, other| last[*other].total_cmp(&last[*one]));
        chosen.drain(most.div_ceil(2)..chosen.len() - most / 2);
        chosen.sort_unstable();
        chosen
    }
}

/// The norms of a layer over the whole run, in brief.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct NormRange {
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
    /// The smallest.
    pub smallest: f64,
    /// The largest.
    pub largest: f64,
}

/// An object of a line, in the order of the file.
pub(super) struct Entries<V>(pub(super) Vec<(String, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Entries<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a value for each layer")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

/// The curves of the lines so far: at most `most` points. When there are more, each two neighbours become one.
pub(super) struct Reading {
    most: usize,
    /// Measurements of a point.
    width: usize,
    /// In the order in which they became known.
    layers: Vec<GradientLayer>,
    /// The names in the line with the most layers: their order is that of the network.
    order: Vec<String>,
    points: Vec<Sum>,
    open: Sum,
}

/// The sum of some measurements. `norms` has the number and the sum of the norms of each layer; layers that became known later are missing at its end.
#[derive(Clone, Default)]
struct Sum {
    count: usize,
    epochs: f64,
    norms: Vec<(usize, f64)>,
}

impl Reading {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(2),
            width: 1,
            layers: Vec::new(),
            order: Vec::new(),
            points: Vec::new(),
            open: Sum::default(),
        }
    }

    /// Adds the kinds of the layers, from the first step of a phase.
    pub(super) fn add_kinds(&mut self, kinds: Entries<String>) {
        for (name, kind) in kinds.0 {
            let index = self.index(&name);
            self.layers[index].kind = kind;
        }
    }

    /// Adds the norms of a step.
    pub(super) fn add(&mut self, epochs: f64, norms: &Entries<Option<f64>>) {
        if norms.0.is_empty() {
            return;
        }
        if self.open.count == self.width {
            self.points.push(std::mem::take(&mut self.open));
        }
        if self.points.len() == self.most {
            let pairs = self.points.chunks(2);
            self.points = pairs.map(|pair| Sum::of(pair.iter())).collect();
            self.width *= 2;
            // The last of an odd number is half full.
            if let Some(last) = self.points.pop_if(|last| last.count < self.width) {
                self.open = last;
            }
        }
        let mut step = Sum {
            count: 1,
            epochs,
            norms: Vec::new(),
        };
        for (name, norm) in &norms.0 {
            let index = self.index(name);
            step.norms.resize(self.layers.len(), (0, 0.0));
            if let Some(norm) = norm {
                step.norms[index] = (1, *norm);
            }
        }
        self.open = Sum::of([&self.open, &step].into_iter());
        if norms.0.len() > self.order.len() {
            self.order = norms.0.iter().map(|(name, _)| name.clone()).collect();
        }
    }

    /// The index of a layer, which may be new.
    fn index(&mut self, name: &str) -> usize {
        let known = self.layers.iter().position(|layer| layer.name == name);
        known.unwrap_or_else(|| {
            self.layers.push(GradientLayer {
                name: name.to_owned(),
                kind: String::new(),
            });
            self.layers.len() - 1
        })
    }

    pub(super) fn finish(mut self) -> GradientCurves {
        if self.open.count > 0 {
            self.points.push(self.open);
        }
        let place = |index: &usize| {
            let name = &self.layers[*index].name;
            let place = self.order.iter().position(|other| other == name);
            place.unwrap_or(usize::MAX)
        };
        let mut indices: Vec<usize> = (0..self.layers.len()).collect();
        indices.sort_by_key(place);
        let points = self.points.iter();
        GradientCurves {
            points: points.map(|sum| sum.mean(&indices)).collect(),
            layers: indices
                .iter()
                .map(|index| self.layers[*index].clone())
                .collect(),
        }
    }
}

impl Sum {
    fn of<'a>(sums: impl Iterator<Item = &'a Self>) -> Self {
        sums.fold(Self::default(), |mut all, sum| {
            all.count += sum.count;
            all.epochs += sum.epochs;
            let length = all.norms.len().max(sum.norms.len());
            all.norms.resize(length, (0, 0.0));
            for (own, other) in all.norms.iter_mut().zip(&sum.norms) {
                *own = (own.0 + other.0, own.1 + other.1);
            }
            all
        })
    }

    /// The mean, with the layers of these indices.
    fn mean(&self, layers: &[usize]) -> GradientMean {
        let norm = |layer: &usize| match self.norms.get(*layer) {
            None | Some((0, _)) => None,
            Some((count, sum)) => Some(sum / *count as f64),
        };
        GradientMean {
            count: self.count,
            epochs: self.epochs / self.count as f64,
            norms: layers.iter().map(norm).collect(),
        }
    }
}
