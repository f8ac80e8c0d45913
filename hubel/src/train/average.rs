//! Averaged weights.
use hubel_kernels::{Cpu, update};

use crate::Parameters;

/// Training with averaged weights: the model has the exponential moving average of the parameters, with the running statistics of batch norms. The first weights
/// would count too much, so the decay of step n is at most (1 + n) / (10 + n), as in TensorFlow's `ExponentialMovingAverage`.
pub(super) struct Average {
    decay: f32,
    /// The parameters that the optimizer changes.
    pub(super) trained: Parameters,
    /// Number of averaged steps.
    count: u64,
}

impl Average {
    pub(super) fn new(decay: f32, parameters: &Parameters) -> Self {
        Self {
            decay,
            trained: parameters.clone(),
            count: 0,
        }
    }

    /// Adds the trained parameters after a step to their average.
    pub(super) fn add_to(&mut self, cpu: &Cpu, average: &mut Parameters) {
        let step = self.count as f64;
        let decay = f64::from(self.decay).min((1.0 + step) / (10.0 + step));
        let share = (1.0 - decay) as f32;
        update::average(cpu, average.values_mut(), self.trained.values(), share);
        self.count += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Goes on with these trained parameters.
    pub(super) fn restore(&mut self, trained: &[f32], count: u64) {
        self.trained.values_mut().copy_from_slice(trained);
        self.count = count;
    }
}
