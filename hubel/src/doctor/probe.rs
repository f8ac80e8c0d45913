//! What one forward and one backward pass of a batch show: the input, units that are always 0, and the gradient of each layer.
use hubel_kernels::{Cpu, softmax};
use serde::Serialize;

use super::Sign;
use super::by_heart::guessing;
use crate::layers::Activation;
use crate::network::{Graph, Operation, Role};
use crate::plan::Kind;
use crate::{
    Dataset, Model, Parameters, Phase, Plan, PlanSettings, Preparation, Result, Workspace,
};

/// Some pictures as the network sees them, with their labels.
pub(super) struct Batch {
    /// The pictures, `[n, h, w, c]`.
    images: Vec<f32>,
    labels: Vec<u32>,
    channels: usize,
    /// Floats of a picture.
    length: usize,
}

impl Batch {
    /// The pictures at `indices` of `dataset`; those that can no longer be read are left out.
    ///
    /// # Errors
    /// If a picture cannot be read and the data's policy does not leave it out.
    pub(super) fn read(
        cpu: &Cpu,
        preparation: &Preparation,
        dataset: &Dataset,
        indices: &[usize],
    ) -> Result<Self> {
        let length = preparation.shape.len();
        let mut images = vec![0.0; indices.len() * length];
        let bad = dataset.fill(cpu, indices, preparation, &mut images)?;
        let mut labels: Vec<u32> = (indices.iter())
            .map(|&index| dataset.labels()[index] as u32)
            .collect();
        for (place, _) in bad.into_iter().rev() {
            images.drain(place * length..(place + 1) * length);
            labels.remove(place);
        }
        Ok(Self {
            images,
            labels,
            channels: preparation.shape.channels,
            length,
        })
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Number of classes that the pictures have.
    pub(super) fn classes(&self) -> usize {
        let mut labels = self.labels.clone();
        labels.sort_unstable();
        labels.dedup();
        labels.len()
    }

    /// Mean and standard deviation of each channel.
    pub(super) fn input(&self) -> Vec<ChannelStatistics> {
        let of_channel = |channel: usize| {
            let values = || self.images.iter().skip(channel).step_by(self.channels);
            let count = values().count().max(1) as f64;
            let mean = values().map(|value| f64::from(*value)).sum::<f64>() / count;
            let squares = values().map(|value| (f64::from(*value) - mean).powi(2));
            ChannelStatistics {
                mean: mean as f32,
                deviation: (squares.sum::<f64>() / count).sqrt() as f32,
            }
        };
        (0..self.channels).map(of_channel).collect()
    }

    /// Number of pictures that are equal to another one with another label. No network can be right about all of them.
    pub(super) fn contradictions(&self) -> usize {
        let picture = |place: usize| &self.images[place * self.length..][..self.length];
        let contradicts = |&place: &usize| {
            (0..self.len()).any(|other| {
                self.labels[other] != self.labels[place] && picture(other) == picture(place)
            })
        };
        (0..self.len()).filter(contradicts).count()
    }
}

/// A network with the memory of a pass. The plan has no fusions, so that every map exists.
pub(super) struct Probe {
    cpu: Cpu,
    graph: Graph,
    plan: Plan,
    workspace: Workspace,
    /// The last frozen node; 0 if all layers are trained.
    after: usize,
}

/// Mean and standard deviation of a channel of the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// The mean over pixels and pictures.
    pub mean: f32,
    /// The standard deviation over pixels and pictures.
    pub deviation: f32,
}

/// What a pass shows of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerVitals {
    /// Its name in the network.
    pub layer: String,
    /// `conv`, `linear`, `relu` …
    pub kind: &'static str,
    /// The Euclidean norm of the gradient of its weights, for a trained layer with weights. Infinite if a value is not finite.
    pub gradient_norm: Option<f32>,
    /// The Euclidean norm of these weights.
    pub weight_norm: Option<f32>,
    /// For an activation that can be silent (`relu`, `relu6`, `hardswish`): its units, which are its channels.
    pub units: Option<usize>,
    /// The units without a gradient anywhere in any of the pictures.
    pub dead: Option<usize>,
}

impl LayerVitals {
    /// The most by which the loss changes, to first order, if the weights change by their own norm: the product of both norms. Unlike the gradient
    /// alone, it does not depend on how a layer's scale is divided between weights and input.
    fn effect(&self) -> Option<f64> {
        Some(f64::from(self.gradient_norm?) * f64::from(self.weight_norm?))
    }

    /// The share of dead units.
    pub fn dead_share(&self) -> Option<f32> {
        let (units, dead) = (self.units?, self.dead?);
        Some(dead as f32 / units.max(1) as f32)
    }
}

/// What a pass shows.
#[derive(Clone, Debug)]
pub(super) struct Vitals {
    pub(super) layers: Vec<LayerVitals>,
    /// The mean cross-entropy of the batch, in nats.
    loss: f64,
    /// The loss of guessing among the classes of the network.
    guessing: f64,
    /// The most probable class of each picture.
    pub(super) predictions: Vec<usize>,
}

impl Probe {
    /// For batches like this one.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory)
    pub(super) fn new(cpu: &Cpu, model: &Model, phase: &Phase, batch: &Batch) -> Result<Self> {
        let graph = model.graph()?;
        let after = phase.last_frozen(model)?;
        let settings = PlanSettings {
            precise: model.precise,
            fuse: false,
            running_statistics: phase.keeps_statistics || after > 0,
            ..PlanSettings::training(batch.len())
        };
        let plan = Plan::compile(&graph, &model.parameters, cpu, settings)?;
        Ok(Self {
            workspace: Workspace::new(&plan),
            cpu: cpu.clone(),
            graph,
            plan,
            after,
        })
    }

    /// A forward and a backward pass with these weights, in the mode of training. Changes none of them.
    pub(super) fn look(&mut self, batch: &Batch, parameters: &Parameters) -> Vitals {
        let (plan, workspace) = (&self.plan, &mut self.workspace);
        workspace.images_mut().copy_from_slice(&batch.images);
        plan.forward(&self.cpu, parameters, workspace, 0);
        let loss = plan.loss(workspace, &batch.labels, 0.0, None).loss;
        let logits = plan.logits(workspace).chunks_exact(plan.outputs());
        let predictions = logits.map(softmax::largest).collect();
        plan.backward(&self.cpu, parameters, workspace, 0);
        Vitals {
            layers: self.layers(parameters),
            loss,
            guessing: f64::from(guessing(self.plan.outputs())),
            predictions,
        }
    }

    /// The layers with weights that are trained, and the activations that can be silent.
    fn layers(&self, parameters: &Parameters) -> Vec<LayerVitals> {
        let mut layers = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let vitals = LayerVitals {
                layer: node.name.clone(),
                kind: node.operation.kind(),
                gradient_norm: None,
                weight_norm: None,
                units: None,
                dead: None,
            };
            match node.operation {
                Operation::Conv(_) | Operation::TimeConv(_) | Operation::Linear { .. }
                    if index > self.after =>
                {
                    let weights = parameters.range(index, Role::Weight);
                    let weights = weights.expect("a convolution has weights");
                    let gradient = &self.workspace.parameter_gradient()[weights.clone()];
                    layers.push(LayerVitals {
                        gradient_norm: Some(norm(gradient)),
                        weight_norm: Some(norm(&parameters.values()[weights])),
                        ..vitals
                    });
                }
                Operation::Activation(activation) => {
                    let Some(is_alive) = alive(activation) else {
                        continue;
                    };
                    layers.push(LayerVitals {
                        units: Some(node.shape.channels),
                        dead: Some(self.dead(&node.name, node.shape.channels, is_alive)),
                        ..vitals
                    });
                }
                _ => {}
            }
        }
        layers
    }

    /// The channels of an activation's output that are nowhere alive.
    fn dead(&self, layer: &str, channels: usize, is_alive: fn(f32) -> bool) -> usize {
        let step = (self.plan.steps.iter().enumerate())
            .find(|(_, step)| step.name == layer && matches!(step.kind, Kind::Activation(_)));
        let (place, step) = step.expect("without fusions each activation is a step");
        let map = &self.workspace.values[step.output][..self.plan.output_lengths[place]];
        let mut are_alive = vec![false; channels];
        for pixel in map.chunks_exact(channels) {
            for (alive, &value) in are_alive.iter_mut().zip(pixel) {
                *alive |= is_alive(value);
            }
        }
        are_alive.iter().filter(|alive| !**alive).count()
    }
}

/// Whether an output of an activation has a gradient; `None` for activations whose derivative is nowhere 0, and for limits of one's own. NaN is alive: it is another problem.
fn alive(activation: Activation) -> Option<fn(f32) -> bool> {
    match activation {
        Activation::Relu => Some(|value| value > 0.0 || value.is_nan()),
        Activation::Relu6 => Some(|value| (value > 0.0 && value < 6.0) || value.is_nan()),
        Activation::HardSwish => Some(|value| value != 0.0),
        Activation::HardSigmoid => Some(|value| (value > 0.0 && value < 1.0) || value.is_nan()),
        _ => None,
    }
}

/// The Euclidean norm; infinite if a value is not finite.
fn norm(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    match sum.is_finite() {
        true => sum.sqrt() as f32,
        false => f32::INFINITY,
    }
}

/// Means and deviations from here on are those of an input that is not scaled. Pictures normalised by the statistics of other pictures stay below 4:
/// white is 2.8 with those of MNIST, and 2.6 with those of ImageNet.
const LARGE_INPUT: f32 = 5.0;

/// If all channels together deviate by less than this, the pictures hardly differ for the network.
const SMALL_INPUT: f32 = 0.02;

/// A layer with at least this share of dead units is a sign. Untrained networks of the zoo have at most 0.21 (lenet5, on 32 digits); networks on other pictures than those
/// they were trained on have more.
const DEAD_SHARE: f32 = 0.8;

/// With fewer pictures, many units are silent by chance.
const LEAST_IMAGES: usize = 8;

/// A layer whose effect is smaller than this share of the largest has a vanishing gradient. Untrained networks of the zoo have more than 0.008, and twenty layers with
/// sigmoids 1e-12.
const VANISHING: f64 = 1e-5;

/// A gradient with a larger norm explodes. Untrained networks of the zoo have at most 100, and resnet50 on pictures of 32×32 has 700.
const EXPLODING: f32 = 1e4;

/// A gradient with a larger norm explodes if the loss is also this multiple of that of guessing. Untrained networks of the zoo have at most 3 times that loss.
const LARGE: f32 = 100.0;
const FAR_ABOVE_GUESSING: f64 = 20.0;

/// A layer whose effect is this multiple of that of the last layer has an exploding gradient. Untrained networks of the zoo have at most 110.
const GROWING: f64 = 1e4;

/// The deviation of pictures of one colour, relative to their mean. That of photographs is about a half.
const ONE_COLOUR: f32 = 0.01;

/// The least deviation that counts as one, also for black pictures. `Preparation::measure` scales none below it.
const LEAST_DEVIATION: f32 = 1e-6;

/// The sign of an input that is not scaled.
pub(super) fn unscaled(input: &[ChannelStatistics], preparation: &Preparation) -> Option<Sign> {
    if preparation.medium.vocabulary().is_some() {
        return None; // The numbers of tokens have no scale.
    }
    let size = |channel: &ChannelStatistics| channel.mean.abs().max(channel.deviation);
    let largest = (input.iter().enumerate()).max_by(|a, b| size(a.1).total_cmp(&size(b.1)))?;
    let is_flat = (input.iter()).all(|channel| channel.deviation < SMALL_INPUT);
    let (channel, statistics) = largest;
    // NaN is not scaled either.
    let is_scaled = size(statistics) < LARGE_INPUT && !is_flat;
    (!is_scaled).then_some(Sign::UnscaledInput {
        channel,
        mean: statistics.mean,
        deviation: statistics.deviation,
        is_one_colour: is_flat && are_of_one_colour(input, preparation),
    })
}

/// Whether the pictures hardly differ before they are normalised.
fn are_of_one_colour(input: &[ChannelStatistics], preparation: &Preparation) -> bool {
    let normalisation = std::iter::zip(&preparation.mean, &preparation.std);
    std::iter::zip(input, normalisation).all(|(channel, (mean, std))| {
        let (mean, deviation) = (mean + std * channel.mean, std * channel.deviation);
        deviation <= (ONE_COLOUR * mean.abs()).max(LEAST_DEVIATION)
    })
}

impl Vitals {
    /// Whether all predictions are of one class; that class.
    pub(super) fn constant(&self) -> Option<usize> {
        let first = *self.predictions.first()?;
        (self.predictions.iter())
            .all(|&class| class == first)
            .then_some(first)
    }

    /// The layer with the largest share of dead units, the first of equal ones, if that share is a sign.
    fn dead_layer(&self) -> Option<&LayerVitals> {
        let mut worst: Option<(&LayerVitals, f32)> = None;
        for layer in &self.layers {
            if let Some(share) = layer.dead_share()
                && share >= DEAD_SHARE
                && worst.is_none_or(|(_, most)| share > most)
            {
                worst = Some((layer, share));
            }
        }
        worst.map(|(layer, _)| layer)
    }

    /// The signs of the layers. `rate` is the learning rate at which the weights were trained, if they were.
    pub(super) fn signs(&self, facts: &Facts, images: usize, rate: Option<f32>) -> Vec<Sign> {
        let dead = self.dead_layer().filter(|_| images >= LEAST_IMAGES);
        let mut signs: Vec<Sign> = dead
            .map(|layer| Sign::DeadRelu {
                layer: layer.layer.clone(),
                kind: layer.kind,
                dead: layer.dead.unwrap_or_default(),
                units: layer.units.unwrap_or_default(),
                images,
                rate,
            })
            .into_iter()
            .collect();
        match self.exploding(facts) {
            Some(sign) => signs.push(sign),
            // Behind dead units the gradient is 0; that is not another problem.
            None if dead.is_none() => signs.extend(self.vanishing(facts)),
            None => {}
        }
        signs
    }

    fn exploding(&self, facts: &Facts) -> Option<Sign> {
        let with_effect = || self.layers.iter().filter(|layer| layer.effect().is_some());
        let last = with_effect().next_back()?;
        let norm = |layer: &LayerVitals| layer.gradient_norm.unwrap_or_default();
        let effect = |layer: &LayerVitals| layer.effect().unwrap_or_default();
        let sign = |layer: &LayerVitals| Sign::ExplodingGradient {
            layer: layer.layer.clone(),
            norm: norm(layer),
            last: last.layer.clone(),
            last_norm: norm(last),
            has_batch_norm: facts.has_batch_norm,
        };
        let largest = with_effect().max_by(|a, b| norm(a).total_cmp(&norm(b)))?;
        let limit = match self.loss > FAR_ABOVE_GUESSING * self.guessing {
            true => LARGE,
            false => EXPLODING,
        };
        if norm(largest) > limit {
            return Some(sign(largest));
        }
        let strongest = with_effect().max_by(|a, b| effect(a).total_cmp(&effect(b)))?;
        let grows = effect(last) > 0.0 && effect(strongest) > GROWING * effect(last);
        grows.then(|| sign(strongest))
    }

    fn vanishing(&self, facts: &Facts) -> Option<Sign> {
        // A layer of zeros, such as the new last layer of a fine-tuned network, lets no gradient pass until it is trained.
        let has_zeros = self
            .layers
            .iter()
            .any(|layer| layer.weight_norm == Some(0.0));
        if has_zeros {
            return None;
        }
        let effects = || (self.layers.iter()).filter_map(|layer| Some((layer, layer.effect()?)));
        let (strongest, most) = effects().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let (weakest, least) = effects().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (least < VANISHING * most).then(|| Sign::VanishingGradient {
            layer: weakest.layer.clone(),
            strongest: strongest.layer.clone(),
            share: (least / most) as f32,
            activation: facts.saturating,
        })
    }
}

/// What the advice depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) has_batch_norm: bool,
    /// An activation of the network that lets gradients fade, by its name in architecture text.
    pub(super) saturating: Option<&'static str>,
}

impl Facts {
    pub(super) fn of(graph: &Graph) -> Self {
        let operations = || graph.nodes.iter().map(|node| &node.operation);
        let saturates = |operation: &&Operation| {
            matches!(
                operation,
                Operation::Activation(Activation::Sigmoid | Activation::Tanh)
            )
        };
        Self {
            has_batch_norm: operations()
                .any(|operation| matches!(operation, Operation::BatchNorm { .. })),
            saturating: operations().find(saturates).map(Operation::kind),
        }
    }
}
