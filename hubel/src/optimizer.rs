//! Optimizers.
use std::collections::BTreeMap;
use std::ops::Range;

use hubel_kernels::{Buffer, Cpu, update};

use crate::Parameters;

/// An optimizer; formulas as in `torch.optim`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// The factor of the previous velocity.
        momentum: f32,
        /// Nesterov momentum.
        nesterov: bool,
    },
    /// Adam with decoupled weight decay, β = (0.9, 0.999), ε = 1e-8.
    AdamW,
}

/// An optimizer and its state.
pub(crate) struct OptimizerState {
    optimizer: Optimizer,
    step: u64,
    /// The ranges of trained parameters in order, each with the factor of its learning rate; `None` if all are trained at one rate.
    rates: Option<Vec<(Range<usize>, f32)>>,
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
            rates: None,
            first: Buffer::zeros(length),
            second: Buffer::zeros(second),
        }
    }

    /// The same, but trains only these ranges of parameters, each with its own learning rate factor. They must be in ascending order.
    pub(crate) fn with_rates(self, rates: Vec<(Range<usize>, f32)>) -> Self {
        Self {
            rates: Some(rates),
            ..self
        }
    }

    /// The number of steps so far, and the memory by name.
    pub(crate) fn state(&self) -> (u64, Vec<(&'static str, &[f32])>) {
        (
            self.step,
            vec![("first", &self.first), ("second", &self.second)],
        )
    }

    /// Goes on from such a state.
    ///
    /// # Errors
    /// The problem, if it is that of another optimizer or network.
    pub(crate) fn restore(
        &mut self,
        steps: u64,
        mut buffers: BTreeMap<String, Vec<f32>>,
    ) -> Result<(), String> {
        for (name, own) in [("first", &mut self.first), ("second", &mut self.second)] {
            match buffers.remove(name) {
                Some(values) if values.len() == own.len() => own.copy_from_slice(&values),
                _ => return Err("its optimizer was another one".into()),
            }
        }
        self.step = steps;
        Ok(())
    }

    /// Starts a step.
    pub(crate) fn begin(&mut self, learning_rate: f32, weight_decay: f32) -> Update<'_> {
        self.step += 1;
        Update {
            state: self,
            learning_rate,
            weight_decay,
        }
    }
}

/// One step of an optimizer. It updates the parameters range by range, each once.
pub(crate) struct Update<'a> {
    state: &'a mut OptimizerState,
    learning_rate: f32,
    weight_decay: f32,
}

impl Update<'_> {
    /// Updates the parameters in `range`. Weight decay applies to weights, not to biases, scales and shifts.
    pub(crate) fn apply(
        &mut self,
        cpu: &Cpu,
        parameters: &mut Parameters,
        gradient: &[f32],
        range: Range<usize>,
    ) {
        let Some(rates) = self.state.rates.take() else {
            return self.apply_at(cpu, parameters, gradient, range, 1.0);
        };
        let first = rates.partition_point(|(tensor, _)| tensor.start < range.start);
        for (tensor, factor) in rates[first..]
            .iter()
            .take_while(|(tensor, _)| tensor.end <= range.end)
        {
            self.apply_at(cpu, parameters, gradient, tensor.clone(), *factor);
        }
        self.state.rates = Some(rates);
    }

    fn apply_at(
        &mut self,
        cpu: &Cpu,
        parameters: &mut Parameters,
        gradient: &[f32],
        range: Range<usize>,
        factor: f32,
    ) {
        let Self {
            learning_rate,
            weight_decay,
            ..
        } = *self;
        let learning_rate = factor * learning_rate;
        let weight_decay = match range.end <= parameters.decayed().end {
            true => weight_decay,
            false => 0.0,
        };
        let values = &mut parameters.values_mut()[range.clone()];
        let (gradient, first) = (
            &gradient[range.clone()],
            &mut self.state.first[range.clone()],
        );
        match self.state.optimizer {
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
                let (step, second) = (self.state.step, &mut self.state.second[range]);
                adamw.step(cpu, step, values, gradient, first, second);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, Plan, PlanSettings, Result, Shape, Workspace};

    #[test]
    fn each_weight_is_changed_once_and_packed_as_the_plan_packs_it() -> Result<()> {
        let network = Network::parse(
            "conv(20, padding=1)-relu-pool-conv(16, padding=1, bias=false)-batchnorm-relu6-conv(16, groups=16, padding=1)-batchnorm-relu6\
             -residual[conv(16, padding=1, groups=2)-batchnorm]-relu-conv(40, kernel=1)-relu-flatten-fc(30)-relu-fc(classes)",
        )?;
        let graph = network.graph(Shape::new(12, 12, 3), 4)?;
        let cpu = Cpu::best(2);
        let plan = Plan::compile(
            &graph,
            &Parameters::initial(&graph, 1)?,
            &cpu,
            PlanSettings::training(6),
        )?;
        let momentum = 0.9;
        let sgd = |nesterov| Optimizer::Sgd { momentum, nesterov };
        for optimizer in [sgd(false), sgd(true), Optimizer::AdamW] {
            let mut parameters = Parameters::initial(&graph, 1)?;
            let mut workspace = Workspace::new(&plan);
            for (i, value) in workspace.images_mut().iter_mut().enumerate() {
                *value = (i * 37 % 101) as f32 / 50.0 - 1.0;
            }
            plan.pack(&cpu, &parameters, &mut workspace);
            let mut state = OptimizerState::new(optimizer, &parameters);
            let mut all_at_once = OptimizerState::new(optimizer, &parameters);
            for seed in 0..3 {
                plan.forward(&cpu, &parameters, &mut workspace, seed);
                plan.loss(&mut workspace, &[0, 1, 2, 3, 0, 1], 0.0, None);
                plan.backward(&cpu, &parameters, &mut workspace, seed);
                let mut expected = parameters.clone();
                let mut update = all_at_once.begin(0.01, 0.1);
                for range in [expected.decayed(), expected.undecayed()] {
                    update.apply(&cpu, &mut expected, workspace.parameter_gradient(), range);
                }
                let before = parameters.clone();
                let update = state.begin(0.01, 0.1);
                plan.update(&cpu, &mut parameters, &mut workspace, update);
                assert!(parameters != before && parameters == expected);
                let mut afresh = Workspace::new(&plan);
                plan.pack(&cpu, &parameters, &mut afresh);
                let packed = |workspace: &Workspace| {
                    let all = [&workspace.packed_forward, &workspace.packed_input_gradient];
                    all.map(|buffers| buffers.iter().map(|b| b.to_vec()).collect::<Vec<_>>())
                };
                assert!(packed(&workspace) == packed(&afresh));
            }
        }
        Ok(())
    }
}
