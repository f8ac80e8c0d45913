//! Whether a map depends on what the network has learned: the cascade of Adebayo et al., "Sanity Checks for Saliency Maps" (2018).
//!
//! The weights are replaced by random ones, layer by layer from the top, until nothing learned is left. A map that still looks the same
//! shows the picture and not the network. "The same" is defined by comparison: the map of the same picture with other weights must be no more
//! similar than the map of another picture with the same weights. All maps may share something, such as a bright middle when objects are
//! centred, so the mean map of each network is subtracted first.
use std::fmt;

use super::Heatmap;
use super::method::{Method, Question};
use crate::network::Role;
use crate::{Cpu, Dataset, Error, Model, Parameters, Result};

/// The result of a cascade.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// From only the top layer to all layers.
    pub stages: Vec<Stage>,
    /// The 95th percentile of |correlation| between the maps of two pictures.
    pub bound: f64,
    /// Number of pictures for the mean map and the bound.
    pub pictures: usize,
}

/// The network with random weights from the top down to a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The lowest layer with random weights.
    pub layer: String,
    /// |correlation| between the map and that of the trained network; the mean over several draws.
    pub correlation: f64,
}

impl Cascade {
    /// The remaining correlation when all weights are random.
    pub fn correlation(&self) -> f64 {
        self.stages.last().map_or(0.0, |stage| stage.correlation)
    }

    /// Whether the map is no more similar to that of a random network than maps of two different pictures are to each other.
    pub fn passes(&self) -> bool {
        self.correlation() <= self.bound
    }
}

/// If maps of different pictures are this similar, passing the bound says little.
const ALIKE: f64 = 0.9;

impl fmt::Display for Cascade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (correlation, bound) = (self.correlation(), self.bound);
        match self.passes() {
            true if bound >= ALIKE => write!(
                f,
                "passes the cascade, which says little here: this network's maps of different examples are also similar \
                 (correlation with random weights {correlation:.2}; maps of other examples reach {bound:.2})"
            ),
            true => write!(
                f,
                "depends on the learned weights: with random weights the map differs \
                 (correlation {correlation:.2}; maps of other examples reach {bound:.2})"
            ),
            false => write!(
                f,
                "FAILS the cascade: a network with random weights gives nearly the same map \
                 (correlation {correlation:.2}; maps of other examples reach only {bound:.2})"
            ),
        }
    }
}

/// The amount of computation for a cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most stages. If the network has more layers with weights, some are skipped.
    pub stages: usize,
    /// How many times the weights of each stage are drawn, at least once.
    pub draws: usize,
    /// Number of training pictures.
    pub pictures: usize,
    /// Seed of the random weights. It must not be the seed of the training, which would give the initial weights of the network.
    pub seed: u64,
}

/// Must not be the seed of a training, which would give the initial weights of the network.
const SEED: u64 = 0xca5c_ade0;

impl Settings {
    /// As much as fits into about the time of a few hundred gradients.
    pub fn for_method(method: &Method) -> Self {
        let (stages, draws, pictures) = match method {
            Method::GradCam { .. } | Method::Gradient => (4, 3, 16),
            _ => (1, 2, LEAST_PICTURES),
        };
        Self {
            stages,
            draws,
            pictures,
            seed: SEED,
        }
    }
}

/// Fewest pictures for a bound.
const LEAST_PICTURES: usize = 8;

/// Prepared pictures of `dataset` for the bound of a cascade, at even intervals. There is one more than the settings say, in case the
/// explained picture is among them. Unreadable pictures are left out.
///
/// # Errors
/// If the data set has other classes or channels than the model; as for [`Dataset::fill`].
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

/// Runs the cascade for a picture. `others` are prepared [`pictures`] of the training data, explained for the same score; those
/// equal to `question`'s picture are left out. `progress` gets the number of maps done and the total.
///
/// # Errors
/// If there are fewer than 8 other pictures; as for [`Method::maps`].
pub fn check(
    cpu: &Cpu,
    model: &Model,
    method: &Method,
    question: &Question,
    others: &[Vec<f32>],
    settings: Settings,
    progress: &dyn Fn(usize, usize),
) -> Result<Cascade> {
    let models = 1 + stages(model, settings.stages)?.len() * settings.draws.max(1);
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

/// As [`check`], for your own method.
///
/// # Errors
/// As for [`check`] and `explain`.
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
                "the cascade needs {LEAST_PICTURES} examples besides the explained one, and the data has {pictures}"
            ),
        });
    }
    let trained = explain(model, &questions)?;
    let own = apart_from_mean(&trained);
    let draws = settings.draws.max(1);
    let mut found = Vec::new();
    for lowest in stages(model, settings.stages)? {
        let mut sum = 0.0;
        for draw in 0..draws {
            let seed = settings.seed.wrapping_add(draw as u64);
            let drawn = drawn_anew(model, lowest.node, seed)?;
            let map = apart_from_mean(&explain(&drawn, &questions)?);
            sum += correlation(&own, &map).abs();
        }
        found.push(Stage {
            layer: lowest.layer,
            correlation: sum / draws as f64,
        });
    }
    Ok(Cascade {
        stages: found,
        bound: bound(&trained[1..]),
        pictures,
    })
}

/// A layer down to which weights are random.
struct Lowest {
    layer: String,
    /// The first node with random weights; 0 for the lowest layer, so that nothing learned is left.
    node: usize,
}

/// The layers with weights, from the top. If there are more than `most`, a selection that includes the top and the lowest.
fn stages(model: &Model, most: usize) -> Result<Vec<Lowest>> {
    let graph = model.graph()?;
    let has_weights = |node: &usize| {
        let mut tensors = graph.nodes[*node].tensors.iter();
        tensors.any(|tensor| tensor.role == Role::Weight)
    };
    let layers: Vec<usize> = (0..graph.nodes.len()).rev().filter(has_weights).collect();
    let Some(last) = layers.len().checked_sub(1) else {
        return Err(Error::Settings {
            problem: "the network has no weights that could be replaced".into(),
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

/// The model with random weights in node `first` and those above it, including batch norms and their running statistics.
pub(super) fn drawn_anew(model: &Model, first: usize, seed: u64) -> Result<Model> {
    let fresh = Parameters::initial(&model.graph()?, seed)?;
    let mut drawn = model.clone();
    for entry in fresh.entries().iter().filter(|entry| entry.node >= first) {
        drawn.parameters.values_mut()[entry.range.clone()].copy_from_slice(fresh.tensor(entry));
    }
    Ok(drawn)
}

/// The first map minus the mean of the others.
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

/// The 95th percentile of |correlation| between two maps, each minus the mean of all maps except the two.
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

/// Pearson's correlation; 0 if one of the maps is constant or overflows.
pub(super) fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_of_one, mean_of_other) = (mean(one), mean(other));
    let (mut product, mut squares) = (0.0, [0.0, 0.0]);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (one - mean_of_one, other - mean_of_other);
        product += one * other;
        squares[0] += one * one;
        squares[1] += other * other;
    }
    let correlation = product / (squares[0].sqrt() * squares[1].sqrt());
    if correlation.is_finite() {
        correlation
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::tests::{NETWORKS, model};

    fn map(values: &[f32]) -> Heatmap {
        Heatmap {
            layer: String::new(),
            time: 1,
            height: 1,
            width: values.len(),
            values: values.to_vec(),
        }
    }

    #[test]
    fn correlations_are_pearson_s() {
        let values = [1.0, 2.0, 3.0, 5.0];
        assert!((correlation(&values, &values.map(|x| 3.0 - 2.0 * x)) + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&values, &[4.0; 4]), 0.0);
        // numpy.corrcoef([1, 2, 3, 5], [2, 1, 4, 3])
        let other = [2.0, 1.0, 4.0, 3.0];
        assert!((correlation(&values, &other) - 0.529_150_262_212_918).abs() < 1e-12);
    }

    #[test]
    fn what_all_maps_have_in_common_is_taken_away() {
        // All maps have a bright first pixel; they differ in the second one.
        let maps: Vec<Heatmap> = (0..10)
            .map(|i| {
                let mut values = [0.0; 12];
                values[0] = 100.0;
                values[1 + i] = 1.0;
                map(&values)
            })
            .collect();
        assert!(bound(&maps) < 0.3, "{}", bound(&maps));
        let own = apart_from_mean(&maps);
        assert_eq!(own[0], 0.0);
        assert_eq!(own[1], 1.0);
    }

    #[test]
    fn weights_are_drawn_anew_from_the_top() {
        let model = model(NETWORKS[1]);
        let lowest = stages(&model, 9).unwrap();
        let names: Vec<&str> = lowest.iter().map(|lowest| &*lowest.layer).collect();
        // The linear layer and two convolutions; the batch norm goes with the one below it.
        assert_eq!(names, ["7", "2", "0"]);
        let names = |most: usize| stages(&model, most).unwrap().into_iter().map(|l| l.layer);
        assert!(names(2).eq(["7", "0"]) && names(1).eq(["0"]));
        for (stage, changed) in lowest.iter().zip([1, 3, 4]) {
            let drawn = drawn_anew(&model, stage.node, 7).unwrap();
            let nodes =
                model.parameters.entries().iter().filter(|entry| {
                    drawn.parameters.tensor(entry) != model.parameters.tensor(entry)
                });
            let mut nodes: Vec<usize> = nodes.map(|entry| entry.node).collect();
            nodes.dedup();
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), changed, "{}", stage.layer);
        }
    }
}
