//! Averaged weights.
use hubel_kernels::{Cpu, update};

use crate::Parameters;

/// The exponential moving average of the parameters, with the running statistics of batch norms. The first weights would count too much, so the decay
/// of step n is at most (1 + n) / (10 + n), as in TensorFlow's `ExponentialMovingAverage`.
pub(super) struct Average {
    decay: f32,
    parameters: Parameters,
    /// Number of averaged steps.
    count: u64,
}

impl Average {
    pub(super) fn new(decay: f32, parameters: &Parameters) -> Self {
        Self {
            decay,
            parameters: parameters.clone(),
            count: 0,
        }
    }

    /// Adds the parameters after a step.
    pub(super) fn add(&mut self, cpu: &Cpu, parameters: &Parameters) {
        let step = self.count as f64;
        let decay = f64::from(self.decay).min((1.0 + step) / (10.0 + step));
        let share = (1.0 - decay) as f32;
        update::average(
            cpu,
            self.parameters.values_mut(),
            parameters.values(),
            share,
        );
        self.count += 1;
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Goes on from these averaged parameters.
    pub(super) fn restore(&mut self, parameters: Parameters, count: u64) {
        (self.parameters, self.count) = (parameters, count);
    }
}
