//! Whether a map depends on what the network has learned: the cascade of Adebayo et al., "Sanity Checks for Saliency Maps" (2018).
//!
//! The weights are drawn anew, layer by layer from the top, until nothing learned is left. A map that still looks the same then shows the
//! picture and not the network. "The same" is measured by comparison: the map of the same picture by other weights must resemble it no more
//! than the map of another picture by the same weights does. All maps may have something in common, such as a bright middle where objects are
//! centred; so the mean map of each network is taken away first.
use std::fmt;

use super::Heatmap;
use super::method::{Method, Question};
use crate::network::Role;
use crate::{Cpu, Dataset, Error, Model, Parameters, Result};

/// What a cascade found.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// From the top layer alone to all layers.
    pub stages: Vec<Stage>,
    /// The magnitude of the correlation of the maps of two pictures that 95 of 100 pairs stay below.
    pub bound: f64,
    /// Pictures that mean map and bound come from.
    pub pictures: usize,
}

/// The network with the weights from the top down to a layer drawn anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The lowest layer that was drawn anew.
    pub layer: String,
    /// The magnitude of the correlation of the map with that of the trained network; the mean over several draws.
    pub correlation: f64,
}

impl Cascade {
    /// The correlation that is left where all weights are drawn anew.
    pub fn correlation(&self) -> f64 {
        self.stages.last().map_or(0.0, |stage| stage.correlation)
    }

    /// Whether the map resembles that of a network that has learned nothing no more than it resembles maps of other pictures.
    pub fn passes(&self) -> bool {
        self.correlation() <= self.bound
    }
}

impl fmt::Display for Cascade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (correlation, bound) = (self.correlation(), self.bound);
        match self.passes() {
            true => write!(
                f,
                "depends on what was learned: with random weights the map is another one \
                 (correlation {correlation:.2}; maps of other pictures reach {bound:.2})"
            ),
            false => write!(
                f,
                "FAILS the cascade: a network with random weights gives much the same map \
                 (correlation {correlation:.2}; maps of other pictures reach only {bound:.2})"
            ),
        }
    }
}

/// How much is computed for a cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most stages; where the network has more layers with weights, some of them are passed over.
    pub stages: usize,
    /// How many times the weights of each stage are drawn.
    pub draws: usize,
    /// Pictures of the training data.
    pub pictures: usize,
    /// Decides the weights.
    pub seed: u64,
}

impl Settings {
    /// As much as a method allows within about the time of a few hundred gradients.
    pub fn for_method(method: &Method) -> Self {
        let (stages, draws, pictures) = match method {
            Method::GradCam { .. } | Method::Gradient => (4, 3, 16),
            _ => (1, 2, LEAST_PICTURES),
        };
        Self {
            stages,
            draws,
            pictures,
            seed: 1,
        }
    }
}

/// The fewest pictures of a reference.
const LEAST_PICTURES: usize = 8;

/// Pictures of `dataset`, prepared, for the bound of a cascade, at even intervals: one more than the settings say, which stands in where the
/// picture that is explained is among them. Those that can no longer be read are left out.
///
/// # Errors
/// Where the data set has other classes or channels than the model; as of [`Dataset::fill`].
pub fn pictures(
    cpu: &Cpu,
    model: &Model,
    dataset: &Dataset,
    settings: Settings,
) -> Result<Vec<Vec<f32>>> {
    model.check(dataset)?;
    let count = (settings.pictures + 1).min(dataset.len());
    let indices: Vec<usize> = (0..count).map(|i| i * dataset.len() / count).collect();
    let mut images = vec![0.0; count * model.input().len()];
    let bad = dataset.fill(cpu, &indices, model.preparation(), &mut images)?;
    let images = images.chunks_exact(model.input().len()).enumerate();
    Ok(images
        .filter(|(place, _)| bad.iter().all(|(bad, _)| bad != place))
        .map(|(_, image)| image.to_vec())
        .collect())
}

/// Explains many pictures by one model.
pub type Explain<'a> = dyn FnMut(&Model, &[Question]) -> Result<Vec<Heatmap>> + 'a;

/// Runs the cascade for a picture, with `others`: prepared [`pictures`] of the training data, of which the same score is explained. Those that
/// equal `question`'s are left out. `progress` is told how many maps of how many are made.
///
/// # Errors
/// Where there are fewer than 8 other pictures; as of [`Method::maps`].
pub fn check(
    cpu: &Cpu,
    model: &Model,
    method: &Method,
    question: &Question,
    others: &[Vec<f32>],
    settings: Settings,
    progress: &dyn Fn(usize, usize),
) -> Result<Cascade> {
    let models = 1 + stages(model, settings.stages)?.len() * settings.draws;
    let mut before = 0;
    let mut explain = |model: &Model, questions: &[Question]| {
        let all = models * questions.len();
        let mut tell = |done| progress(before + done, all);
        let maps = method.maps(cpu, model, questions, &mut tell);
        before += questions.len();
        maps
    };
    check_by(model, &mut explain, question, others, settings)
}

/// As [`check`], of a method of your own.
///
/// # Errors
/// As of [`check`] and of `explain`.
pub fn check_by(
    model: &Model,
    explain: &mut Explain<'_>,
    question: &Question,
    others: &[Vec<f32>],
    settings: Settings,
) -> Result<Cascade> {
    let others = others.iter().filter(|other| **other != question.image);
    let others = others.take(settings.pictures).map(|other| Question {
        image: other.clone(),
        score: question.score,
    });
    let questions: Vec<Question> = [question.clone()].into_iter().chain(others).collect();
    let pictures = questions.len() - 1;
    if pictures < LEAST_PICTURES {
        return Err(Error::Settings {
            problem: format!(
                "the cascade needs {LEAST_PICTURES} pictures beside the one that is explained, and the data has {pictures}"
            ),
        });
    }
    let trained = explain(model, &questions)?;
    let own = apart_from_mean(&trained);
    let mut found = Vec::new();
    for lowest in stages(model, settings.stages)? {
        let mut sum = 0.0;
        for draw in 0..settings.draws {
            let seed = settings.seed.wrapping_add(draw as u64);
            let drawn = drawn_anew(model, lowest.node, seed)?;
            let map = apart_from_mean(&explain(&drawn, &questions)?);
            sum += correlation(&own, &map).abs();
        }
        found.push(Stage {
            layer: lowest.layer,
            correlation: sum / settings.draws as f64,
        });
    }
    Ok(Cascade {
        stages: found,
        bound: bound(&trained[1..]),
        pictures,
    })
}

/// A layer down to which weights are drawn anew.
struct Lowest {
    layer: String,
    /// The first node whose weights are: 0 for the lowest layer, since nothing learned is to be left.
    node: usize,
}

/// The layers with weights, from the top; of more than `most` some of them, the top one and the lowest among them.
fn stages(model: &Model, most: usize) -> Result<Vec<Lowest>> {
    let graph = model.graph()?;
    let has_weights = |node: &usize| {
        let mut tensors = graph.nodes[*node].tensors.iter();
        tensors.any(|tensor| tensor.role == Role::Weight)
    };
    let layers: Vec<usize> = (0..graph.nodes.len()).rev().filter(has_weights).collect();
    let Some(last) = layers.len().checked_sub(1) else {
        return Err(Error::Settings {
            problem: "the network has no weights, so there is nothing to draw anew".into(),
        });
    };
    let count = layers.len().min(most.max(1));
    let places = (1..=count).map(|i| match count {
        1 => last,
        _ => (i - 1) * last / (count - 1),
    });
    Ok(places
        .map(|place| Lowest {
            layer: graph.nodes[layers[place]].name.clone(),
            node: if place == last { 0 } else { layers[place] },
        })
        .collect())
}

/// The model with all that was learned in node `first` and those above it drawn anew: also batch norms and their running statistics.
fn drawn_anew(model: &Model, first: usize, seed: u64) -> Result<Model> {
    let fresh = Parameters::initial(&model.graph()?, seed)?;
    let mut drawn = model.clone();
    for entry in fresh.entries().iter().filter(|entry| entry.node >= first) {
        drawn.parameters.values_mut()[entry.range.clone()].copy_from_slice(fresh.tensor(entry));
    }
    Ok(drawn)
}

/// The first map less the mean of the others.
fn apart_from_mean(maps: &[Heatmap]) -> Vec<f64> {
    let count = (maps.len() - 1) as f64;
    let mean = sum(&maps[1..]);
    let own = maps[0].values.iter().zip(mean);
    own.map(|(value, sum)| f64::from(*value) - sum / count)
        .collect()
}

fn sum(maps: &[Heatmap]) -> Vec<f64> {
    let mut sums = vec![0.0; maps[0].values.len()];
    for map in maps {
        for (sum, value) in sums.iter_mut().zip(&map.values) {
            *sum += f64::from(*value);
        }
    }
    sums
}

/// The magnitude of the correlation of two maps that 95 of 100 pairs stay below, each less the mean of all others but the two.
fn bound(maps: &[Heatmap]) -> f64 {
    let sums = sum(maps);
    let others = (maps.len() - 2) as f64;
    let mut found = Vec::new();
    for (i, one) in maps.iter().enumerate() {
        for other in &maps[..i] {
            let apart = |map: &Heatmap| -> Vec<f64> {
                let values = (0..sums.len()).map(|pixel| {
                    let (one, other) = (one.values[pixel], other.values[pixel]);
                    let mean = (sums[pixel] - f64::from(one) - f64::from(other)) / others;
                    f64::from(map.values[pixel]) - mean
                });
                values.collect()
            };
            found.push(correlation(&apart(one), &apart(other)).abs());
        }
    }
    found.sort_by(f64::total_cmp);
    found[((found.len() as f64 * 0.95).ceil() as usize).clamp(1, found.len()) - 1]
}

/// Pearson's correlation; 0 where one of the maps is the same everywhere.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_of_one, mean_of_other) = (mean(one), mean(other));
    let (mut product, mut squares) = (0.0, [0.0, 0.0]);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one - mean_of_one, other - mean_of_other);
        product += one * other;
        squares[0] += one * one;
        squares[1] += other * other;
    }
    match squares[0] > 0.0 && squares[1] > 0.0 {
        true => product / (squares[0] * squares[1]).sqrt(),
        false => 0.0,
    }
}
