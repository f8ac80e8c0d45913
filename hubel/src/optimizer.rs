//! How weights follow their gradients.
use hubel_kernels::{Buffer, Cpu, update};

use crate::Parameters;

/// How weights follow their gradients; formulas as in `torch.optim`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the last velocity that stays.
        momentum: f32,
        /// Whether the gradient is looked at one step ahead.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay, β = (0.9, 0.999), ε = 1e-8.
    AdamW,
}

/// An optimizer with what it remembers.
pub(crate) struct OptimizerState {
    optimizer: Optimizer,
    step: u64,
    first: Buffer,
    second: Buffer,
}

impl OptimizerState {
    pub(crate) fn new(optimizer: Optimizer, parameters: &Parameters) -> Self {
        let length = parameters.values().len();
        let second = if optimizer == Optimizer::AdamW {
            length
        } else {
            0
        };
        Self {
            optimizer,
            step: 0,
            first: Buffer::zeros(length),
            second: Buffer::zeros(second),
        }
    }

    /// Changes all trainable parameters; weight decay applies to weights, not to biases, scales and shifts.
    pub(crate) fn step(
        &mut self,
        cpu: &Cpu,
        parameters: &mut Parameters,
        gradient: &[f32],
        learning_rate: f32,
        weight_decay: f32,
    ) {
        self.step += 1;
        for (range, weight_decay) in [
            (parameters.decayed(), weight_decay),
            (parameters.undecayed(), 0.0),
        ] {
            let values = &mut parameters.values_mut()[range.clone()];
            let (gradient, first) = (&gradient[range.clone()], &mut self.first[range.clone()]);
            match self.optimizer {
                Optimizer::Sgd { momentum, nesterov } => {
                    let sgd = update::Sgd {
                        learning_rate,
                        momentum,
                        nesterov,
                        weight_decay,
                    };
                    sgd.step(cpu, values, gradient, first);
                }
                Optimizer::AdamW => {
                    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
                    let adamw = update::AdamW {
                        learning_rate,
                        beta1,
                        beta2,
                        epsilon,
                        weight_decay,
                    };
                    adamw.step(
                        cpu,
                        self.step,
                        values,
                        gradient,
                        first,
                        &mut self.second[range],
                    );
                }
            }
        }
    }
}
