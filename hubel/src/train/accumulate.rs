//! Gradient accumulation: the gradients of several batches are averaged before one update of the weights.
use hubel_kernels::{Buffer, Cpu, add};

use super::TrainSettings;
use crate::Workspace;
use crate::data::Feed;

/// The sum of the gradients of the batches of a step so far.
#[derive(Default)]
pub(super) struct Accumulation {
    /// Each gradient times the weight of its batch, divided by the weight of the first batch: so that the first is added as it is.
    sum: Buffer,
    /// The weights of all batches.
    weight: f64,
    /// The weight of the first batch; 0 if there is none.
    first: f64,
}

impl Accumulation {
    /// Memory for gradients of `parameters` values; none if each step has one batch.
    pub(super) fn new(parameters: usize, accumulate: usize) -> Self {
        Self {
            sum: Buffer::zeros(if accumulate > 1 { parameters } else { 0 }),
            ..Self::default()
        }
    }

    /// The bytes of its memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.sum)
    }

    /// Whether no batch waits for the update.
    pub(super) fn is_empty(&self) -> bool {
        self.first == 0.0
    }

    /// Forgets all batches.
    pub(super) fn clear(&mut self) {
        (self.weight, self.first) = (0.0, 0.0);
    }

    /// Adds the gradient of the last backward run. `weight` says by how much its batch counts: by its images, if the loss is their mean.
    pub(super) fn add(&mut self, cpu: &Cpu, workspace: &Workspace, weight: f64) {
        let gradient = workspace.parameter_gradient();
        if self.is_empty() {
            (self.weight, self.first) = (weight, weight);
            self.sum.copy_from_slice(gradient);
        } else {
            self.weight += weight;
            add::add_scaled(cpu, (weight / self.first) as f32, gradient, &mut self.sum);
        }
    }

    /// Replaces the gradient in the workspace by the mean, and forgets all batches.
    pub(super) fn finish(&mut self, cpu: &Cpu, workspace: &mut Workspace) {
        let factor = (self.first / self.weight) as f32;
        add::scale(cpu, factor, &self.sum, &mut workspace.parameter_gradient);
        self.clear();
    }
}

/// The place of a batch in the steps of an epoch, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The step.
    pub(super) step: usize,
    /// Which of the step's batches it is.
    pub(super) batch: usize,
    /// Whether it is the step's last.
    pub(super) is_last: bool,
}

impl Place {
    /// The place of batch `batch` of an epoch of `batches`.
    pub(super) fn of(batch: usize, batches: usize, accumulate: usize) -> Self {
        let place = batch % accumulate;
        Self {
            step: batch / accumulate,
            batch: place,
            is_last: place + 1 == accumulate || batch + 1 == batches,
        }
    }
}

/// Steps of an epoch. The last one has the batches that are left.
pub(super) fn steps(settings: &TrainSettings, feed: &Feed) -> usize {
    feed.steps().div_ceil(settings.accumulate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, Parameters, Plan, PlanSettings, Result, Shape};

    /// The gradient of batches of these sizes, accumulated, or of all images at once.
    fn gradient(
        sizes: &[usize],
        threads: usize,
        smoothing: f32,
        weights: Option<&[f32]>,
    ) -> Result<Vec<f32>> {
        let network = Network::parse(
            "conv(12, padding=1)-relu-pool-conv(8)-relu-flatten-fc(20)-gelu-fc(classes)",
        )?;
        let graph = network.graph(Shape::new(10, 10, 3), 4)?;
        let parameters = Parameters::initial(&graph, 3)?;
        let cpu = Cpu::best(threads);
        let mut workspace = Workspace::default();
        let mut accumulation = Accumulation::new(parameters.values().len(), 2);
        let mut start = 0;
        for &size in sizes {
            let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(size))?;
            workspace.fit(&plan);
            for (i, value) in workspace.images_mut().iter_mut().enumerate() {
                *value = ((start * 300 + i) as f32 * 0.37).sin();
            }
            let labels: Vec<u32> = (start..start + size).map(|i| (i * 7 % 4) as u32).collect();
            let expected = super::super::loss::Expected {
                labels: &labels,
                targets: None,
                class_weights: weights,
                label_smoothing: smoothing,
            };
            plan.forward(&cpu, &parameters, &mut workspace, 1);
            expected.loss(&plan, &mut workspace, None);
            plan.backward(&cpu, &parameters, &mut workspace, 1);
            accumulation.add(&cpu, &workspace, expected.weight(None));
            start += size;
        }
        accumulation.finish(&cpu, &mut workspace);
        assert!(accumulation.is_empty());
        Ok(workspace.parameter_gradient().to_vec())
    }

    #[test]
    fn accumulated_batches_have_the_gradient_of_the_large_batch() -> Result<()> {
        let weights = [0.5, 3.0, 1.0, 1.25];
        for (smoothing, weights) in [(0.0, None), (0.1, None), (0.1, Some(&weights[..]))] {
            let whole = gradient(&[12], 1, smoothing, weights)?;
            let largest = whole
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            for sizes in [&[4, 4, 4][..], &[6, 6], &[5, 5, 2], &[1, 11], &[12]] {
                let parts = gradient(sizes, 1, smoothing, weights)?;
                for (part, whole) in parts.iter().zip(&whole) {
                    // Sums of at most 12 × 100 products of the order of the largest gradient, in another order.
                    assert!((part - whole).abs() < 1e-5 * largest, "{sizes:?}");
                }
                assert_eq!(parts, gradient(sizes, 3, smoothing, weights)?, "threads");
            }
        }
        Ok(())
    }

    #[test]
    fn a_single_batch_is_unchanged_to_the_bit() -> Result<()> {
        let cpu = Cpu::best(1);
        let mut workspace = Workspace::default();
        let values = [0.1_f32, -3.7e-9, 1e-30, 0.0, 7.3];
        workspace.parameter_gradient.reset(5);
        workspace.parameter_gradient.copy_from_slice(&values);
        let mut accumulation = Accumulation::new(5, 2);
        accumulation.add(&cpu, &workspace, 37.0);
        workspace.parameter_gradient.fill(9.0);
        accumulation.finish(&cpu, &mut workspace);
        assert_eq!(workspace.parameter_gradient(), values);
        Ok(())
    }

    #[test]
    fn the_last_step_of_an_epoch_has_the_batches_that_are_left() {
        let places: Vec<_> = (0..7)
            .map(|batch| Place::of(batch, 7, 3))
            .map(|place| (place.step, place.batch, place.is_last))
            .collect();
        let expected = [
            (0, 0, false),
            (0, 1, false),
            (0, 2, true),
            (1, 0, false),
            (1, 1, false),
            (1, 2, true),
            (2, 0, true),
        ];
        assert_eq!(places, expected);
        assert!((0..5).all(|batch| Place::of(batch, 5, 1).is_last));
    }
}
