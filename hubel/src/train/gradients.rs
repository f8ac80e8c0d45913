//! The norm of the gradient of each layer.
use std::ops::Range;

use hubel_kernels::Cpu;
use hubel_kernels::update::sum_of_squares;

use super::part::Part;
use crate::Parameters;
use crate::network::Graph;

/// The gradient of a layer in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGradient {
    /// The name of the layer.
    pub layer: String,
    /// `conv`, `linear`, `batchnorm` …
    pub kind: &'static str,
    /// The L2 norm of the gradient of all its parameters, before clipping.
    pub norm: f32,
}

/// The gradients of the trained layers, in the order of the network.
pub(super) struct Gradients {
    layers: Vec<LayerGradient>,
    /// The places of the tensors of each layer.
    tensors: Vec<Vec<Range<usize>>>,
}

/// Norms are measured in each of so many first steps of a phase …
const FIRST_STEPS: usize = 50;
/// … and then in one of so many steps. Measuring reads the gradient once, as clipping does: 0.5 % of the time of a step of `mnist-cnn` with 64 images. One
/// step of ten makes that 0.05 %, and a line of `events.jsonl` stays short.
const STEPS_BETWEEN: usize = 10;

impl Gradients {
    /// For the layers that `part` trains.
    pub(super) fn new(graph: &Graph, parameters: &Parameters, part: &Part) -> Self {
        let mut gradients = Self {
            layers: Vec::new(),
            tensors: Vec::new(),
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            let entries = parameters.entries().iter();
            let own = entries.filter(|entry| entry.node == index && entry.role.is_trained());
            let tensors: Vec<_> = own.map(|entry| entry.range.clone()).collect();
            // The input, node 0, has no tensors.
            if tensors.is_empty() || index <= part.after {
                continue;
            }
            gradients.tensors.push(tensors);
            gradients.layers.push(LayerGradient {
                layer: node.name.clone(),
                kind: node.operation.kind(),
                norm: 0.0,
            });
        }
        gradients
    }

    /// Whether the norms are measured in the step after so many steps. This depends on nothing else, so a resumed run measures in the same steps.
    pub(super) fn are_due(steps_done: usize) -> bool {
        steps_done < FIRST_STEPS || (steps_done + 1).is_multiple_of(STEPS_BETWEEN)
    }

    /// Measures the norms in the gradient of all parameters.
    pub(super) fn measure(&mut self, cpu: &Cpu, gradient: &[f32]) {
        for (layer, tensors) in self.layers.iter_mut().zip(&self.tensors) {
            let squares = tensors.iter();
            let squares = squares.map(|range| sum_of_squares(cpu, &gradient[range.clone()]));
            layer.norm = squares.sum::<f64>().sqrt() as f32;
        }
    }

    /// The norms of the last measurement.
    pub(super) fn layers(&self) -> &[LayerGradient] {
        &self.layers
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{
        Dataset, Event, Network, Optimizer, Result, Schedule, Shape, TrainSettings, Trainer,
    };

    #[test]
    fn the_norm_of_a_layer_is_that_of_its_weights_and_biases_together() -> Result<()> {
        let network = Network::parse("conv(3)-batchnorm-relu-flatten-linear(classes)")?;
        let graph = network.graph(Shape::new(6, 6, 2), 4)?;
        let parameters = Parameters::initial(&graph, 1)?;
        let gradient: Vec<f32> = (0..parameters.values().len())
            .map(|index| (index as f32 * 0.7).sin())
            .collect();
        let part = |after| Part {
            after,
            versions: 0,
            first_rate: 1.0,
            keeps_statistics: false,
            phase: (1, 1),
        };
        let mut gradients = Gradients::new(&graph, &parameters, &part(0));
        gradients.measure(&Cpu::best(2), &gradient);
        // By the names of the tensors: `0.weight` and `0.bias` belong to the layer `0`.
        let mut expected: Vec<(String, f64)> = Vec::new();
        for entry in parameters.entries() {
            let (layer, tensor) = entry.name.rsplit_once('.').expect("layer and tensor");
            if tensor.starts_with("running") {
                continue;
            }
            let squares = gradient[entry.range.clone()].iter();
            let squares: f64 = squares.map(|value| f64::from(*value).powi(2)).sum();
            match expected.iter_mut().find(|(known, _)| known == layer) {
                Some((_, sum)) => *sum += squares,
                None => expected.push((layer.to_owned(), squares)),
            }
        }
        assert_eq!(gradients.layers().len(), 3);
        for (layer, name) in gradients.layers().iter().zip(["0", "1", "4"]) {
            assert_eq!(layer.layer, name);
            let (_, squares) = (expected.iter())
                .find(|(known, _)| known == name)
                .expect("each layer has tensors");
            assert!((f64::from(layer.norm) - squares.sqrt()).abs() < 1e-5 * squares.sqrt());
        }
        // Frozen layers have none.
        let last = Gradients::new(&graph, &parameters, &part(4));
        assert_eq!(last.layers().len(), 1);
        Ok(())
    }

    /// One step of plain gradient descent changes the weights by the gradient times the learning rate.
    #[test]
    fn the_norms_of_a_step_are_those_of_the_change_that_it_makes() -> Result<()> {
        const RATE: f32 = 0.5;
        let pixels: Vec<f32> = (0..8 * 36)
            .map(|index| (index as f32 * 0.3).sin())
            .collect();
        let labels = [0, 1, 2, 0, 1, 2, 0, 1];
        let images = Dataset::from_arrays(&pixels, Shape::new(6, 6, 1), &labels)?;
        let settings = TrainSettings {
            epochs: 1,
            batch_size: 4,
            accumulate: 2,
            learning_rate: RATE,
            optimizer: Optimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            // Far above the norm, so nothing is clipped.
            clip: Some(1e6),
            ..TrainSettings::default()
        };
        let network = Network::parse("conv(4)-relu-flatten-linear(5)-relu-linear(classes)")?;
        let mut trainer = Trainer::new(Cpu::best(2), network, &images, None, settings)?;
        let before = trainer.model().parameters().clone();
        let (mut measured, mut whole) = (Vec::new(), 0.0);
        trainer.run(&mut |event| {
            if let Event::Step {
                layer_gradients,
                gradient_norm,
                ..
            } = event
            {
                measured = layer_gradients.to_vec();
                whole = gradient_norm.expect("it is measured for clipping");
            }
            ControlFlow::Continue(())
        })?;
        let model = trainer.model();
        let after = model.parameters();
        assert_eq!(measured.len(), 3);
        let mut all = 0.0;
        for layer in &measured {
            let change = before.entries().iter().filter(|entry| {
                let name = entry.name.rsplit_once('.');
                name.is_some_and(|(name, _)| name == layer.layer)
            });
            let change = change.flat_map(|entry| {
                let values = before.tensor(entry).iter().zip(after.tensor(entry));
                values.map(|(before, after)| f64::from((before - after) / RATE).powi(2))
            });
            let expected = change.sum::<f64>().sqrt();
            let norm = f64::from(layer.norm);
            // The difference of two weights near 1 has an error of 1e-7 for each of a few hundred weights.
            assert!(
                (norm - expected).abs() < 1e-4 * expected,
                "{layer:?} {expected}"
            );
            assert!(norm > 0.0);
            all += norm * norm;
        }
        assert!((all.sqrt() - f64::from(whole)).abs() < 1e-5 * f64::from(whole));
        Ok(())
    }

    #[test]
    fn the_first_steps_and_each_tenth_are_measured() {
        let due: Vec<usize> = (1..=90)
            .filter(|step| Gradients::are_due(step - 1))
            .collect();
        let later = [60, 70, 80, 90];
        assert_eq!(due, (1..=50).chain(later).collect::<Vec<_>>());
    }
}
