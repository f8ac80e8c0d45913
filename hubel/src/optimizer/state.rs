//! The state of an optimizer, and its steps.
use std::ops::Range;

use hubel_kernels::update::{self, Gradient};
use hubel_kernels::{Buffer, Cpu};

use super::Optimizer;
use super::matrices::{self, Matrix};
use crate::Parameters;

/// Settings of the AdamW beside Muon, as in its authors' repository: <https://github.com/KellerJordan/Muon>.
const BESIDE_MUON: Optimizer = Optimizer::AdamW {
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-10,
};

/// Added to the norm of a gradient that is clipped, as in `torch.nn.utils.clip_grad_norm_`.
const NORM_EPSILON: f64 = 1e-6;

/// An optimizer and its state.
pub(crate) struct OptimizerState {
    optimizer: Optimizer,
    step: u64,
    /// The ranges of trained parameters in order, each with the factor of its learning rate; `None` if all are trained at one rate.
    rates: Option<Vec<(Range<usize>, f32)>>,
    /// Velocity or mean gradient.
    first: Buffer,
    /// Mean squared gradient, if the optimizer has one. Parameters that Muon trains leave theirs at 0.
    second: Buffer,
    /// The weights that Muon trains.
    matrices: Vec<Matrix>,
    scratch: Buffer,
}

impl OptimizerState {
    pub(crate) fn new(cpu: &Cpu, optimizer: Optimizer, parameters: &Parameters) -> Self {
        let length = parameters.values().len();
        let second = match optimizer.buffers().len() {
            1 => 0,
            _ => length,
        };
        let matrices = match optimizer {
            Optimizer::Muon { .. } => matrices::of(cpu, parameters),
            _ => Vec::new(),
        };
        Self {
            optimizer,
            step: 0,
            rates: None,
            first: Buffer::zeros(length),
            second: Buffer::zeros(second),
            scratch: Buffer::zeros(matrices::scratch_len(&matrices)),
            matrices,
        }
    }

    /// The same, but trains only these ranges of parameters, each with its own learning rate factor. They must be in ascending order.
    pub(crate) fn with_rates(self, rates: Vec<(Range<usize>, f32)>) -> Self {
        Self {
            rates: Some(rates),
            ..self
        }
    }

    /// Starts a step. If the norm of the gradient is above `clip`, the gradient is scaled down to it.
    pub(crate) fn begin(
        &mut self,
        learning_rate: f32,
        weight_decay: f32,
        clip: Option<f32>,
    ) -> Update<'_> {
        self.step += 1;
        Update {
            state: self,
            learning_rate,
            weight_decay,
            clip,
            factor: 1.0,
        }
    }

    /// The number of steps so far, and the named buffers. Each has an element for each parameter.
    pub(crate) fn state(&self) -> (u64, Vec<(&'static str, &[f32])>) {
        let buffers: [&[f32]; 2] = [&self.first, &self.second];
        let names = self.optimizer.buffers().iter().copied();
        (self.step, names.zip(buffers).collect())
    }

    /// Restores what [`OptimizerState::state`] gave; further steps then give the same bits. `rates` are not part of it.
    ///
    /// # Errors
    /// Says what differs, if the buffers are not those of this optimizer and these parameters. The state is then unchanged.
    pub(crate) fn restore(&mut self, steps: u64, buffers: &[(&str, &[f32])]) -> Result<(), String> {
        let optimizer = self.optimizer;
        optimizer.check_buffers(buffers)?;
        let expected = optimizer.buffers();
        let length = self.first.len();
        if let Some((name, values)) = buffers.iter().find(|(_, values)| values.len() != length) {
            return Err(format!(
                "`{name}` has {} values, and the network has {length}",
                values.len()
            ));
        }
        for (name, own) in expected.iter().zip([&mut self.first, &mut self.second]) {
            let (_, values) = (buffers.iter())
                .find(|(given, _)| given == name)
                .expect("all names are given");
            own.copy_from_slice(values);
        }
        self.step = steps;
        Ok(())
    }
}

impl Optimizer {
    /// The names of its buffers in [`OptimizerState::state`].
    pub(crate) fn buffers(self) -> &'static [&'static str] {
        match self {
            Self::Sgd { .. } | Self::Lion { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "square"],
            Self::RmsProp { .. } => &["momentum", "square"],
            Self::Muon { .. } => &["mean", "square"],
        }
    }

    /// Checks that these are its buffers.
    ///
    /// # Errors
    /// Says what differs.
    pub(crate) fn check_buffers(self, buffers: &[(&str, &[f32])]) -> Result<(), String> {
        let expected = self.buffers();
        let given: Vec<&str> = buffers.iter().map(|(name, _)| *name).collect();
        let has_all = expected.iter().all(|name| given.contains(name));
        if has_all && given.len() == expected.len() {
            return Ok(());
        }
        Err(format!(
            "the state of {self} is {}, not {}",
            expected.join(" and "),
            match given[..] {
                [] => "nothing".into(),
                _ => given.join(" and "),
            }
        ))
    }
}

/// The norm of a step's gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GradientNorm {
    /// The Euclidean norm over all trained parameters, before clipping.
    pub(crate) norm: f32,
    /// Whether the gradient was scaled down.
    pub(crate) is_clipped: bool,
}

/// One step of an optimizer. It updates the parameters range by range, each once.
pub(crate) struct Update<'a> {
    state: &'a mut OptimizerState,
    learning_rate: f32,
    weight_decay: f32,
    clip: Option<f32>,
    /// Multiplies the gradient.
    factor: f32,
}

impl Update<'_> {
    /// Measures the gradient of all trained parameters and clips it, as `torch.nn.utils.clip_grad_norm_` does. `None` if it is not to be clipped.
    /// Call it before [`Update::apply`].
    pub(crate) fn clip(
        &mut self,
        cpu: &Cpu,
        parameters: &Parameters,
        gradient: &[f32],
    ) -> Option<GradientNorm> {
        let largest = f64::from(self.clip?);
        let squares = |range: Range<usize>| update::sum_of_squares(cpu, &gradient[range]);
        let sum: f64 = match &self.state.rates {
            // The gaps between tensors are 0.
            None => squares(0..parameters.undecayed().end),
            Some(rates) => rates.iter().map(|(range, _)| squares(range.clone())).sum(),
        };
        let norm = sum.sqrt();
        let factor = largest / (norm + NORM_EPSILON);
        let is_clipped = factor < 1.0;
        if is_clipped {
            self.factor = factor as f32;
        }
        Some(GradientNorm {
            norm: norm as f32,
            is_clipped,
        })
    }

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

    /// Updates the parameters in `range` at `rate` times the learning rate.
    fn apply_at(
        &mut self,
        cpu: &Cpu,
        parameters: &mut Parameters,
        gradient: &[f32],
        range: Range<usize>,
        rate: f32,
    ) {
        let learning_rate = rate * self.learning_rate;
        let optimizer = self.state.optimizer;
        let Optimizer::Muon { adam_rate, .. } = optimizer else {
            return self.elementwise(cpu, optimizer, parameters, gradient, range, learning_rate);
        };
        let matrices = std::mem::take(&mut self.state.matrices);
        let first = matrices.partition_point(|matrix| matrix.range.start < range.start);
        let inside = matrices[first..]
            .iter()
            .take_while(|matrix| matrix.range.end <= range.end);
        let mut start = range.start;
        let beside = adam_rate * learning_rate;
        for matrix in inside {
            let before = start..matrix.range.start;
            self.elementwise(cpu, BESIDE_MUON, parameters, gradient, before, beside);
            self.orthogonal(cpu, matrix, parameters, gradient, learning_rate);
            start = matrix.range.end;
        }
        let rest = start..range.end;
        self.elementwise(cpu, BESIDE_MUON, parameters, gradient, rest, beside);
        self.state.matrices = matrices;
    }

    /// The weight decay of the parameters in `range`.
    fn decay_of(&self, parameters: &Parameters, range: &Range<usize>) -> f32 {
        match range.end <= parameters.decayed().end {
            true => self.weight_decay,
            false => 0.0,
        }
    }

    /// A step of Muon for one matrix.
    fn orthogonal(
        &mut self,
        cpu: &Cpu,
        matrix: &Matrix,
        parameters: &mut Parameters,
        gradient: &[f32],
        learning_rate: f32,
    ) {
        let Optimizer::Muon {
            momentum, nesterov, ..
        } = self.state.optimizer
        else {
            unreachable!("only Muon has matrices");
        };
        let muon = update::Muon {
            learning_rate,
            momentum,
            nesterov,
            weight_decay: self.decay_of(parameters, &matrix.range),
        };
        let gradient = Gradient {
            values: &gradient[matrix.range.clone()],
            factor: self.factor,
        };
        muon.step(
            cpu,
            &matrix.iteration,
            &mut parameters.values_mut()[matrix.range.clone()],
            gradient,
            &mut self.state.first[matrix.range.clone()],
            &mut self.state.scratch,
        );
    }

    /// A step of an optimizer that treats each weight by itself.
    fn elementwise(
        &mut self,
        cpu: &Cpu,
        optimizer: Optimizer,
        parameters: &mut Parameters,
        gradient: &[f32],
        range: Range<usize>,
        learning_rate: f32,
    ) {
        let weight_decay = self.decay_of(parameters, &range);
        let gradient = Gradient {
            values: &gradient[range.clone()],
            factor: self.factor,
        };
        let values = &mut parameters.values_mut()[range.clone()];
        let OptimizerState {
            step,
            first,
            second,
            ..
        } = &mut *self.state;
        let first = &mut first[range.clone()];
        match optimizer {
            Optimizer::Sgd { momentum, nesterov } => {
                let sgd = update::Sgd {
                    learning_rate,
                    momentum,
                    nesterov,
                    weight_decay,
                };
                sgd.step(cpu, values, gradient, first);
            }
            Optimizer::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Optimizer::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let adam = update::Adam {
                    learning_rate,
                    beta1,
                    beta2,
                    epsilon,
                    weight_decay,
                    decoupled: matches!(optimizer, Optimizer::AdamW { .. }),
                };
                adam.step(cpu, *step, values, gradient, first, &mut second[range]);
            }
            Optimizer::RmsProp {
                alpha,
                epsilon,
                momentum,
            } => {
                let rms_prop = update::RmsProp {
                    learning_rate,
                    alpha,
                    epsilon,
                    momentum,
                    weight_decay,
                };
                rms_prop.step(cpu, values, gradient, first, &mut second[range]);
            }
            Optimizer::Lion { beta1, beta2 } => {
                let lion = update::Lion {
                    learning_rate,
                    beta1,
                    beta2,
                    weight_decay,
                };
                lion.step(cpu, values, gradient, first);
            }
            Optimizer::Muon { .. } => unreachable!("Muon treats a matrix as a whole"),
        }
    }
}
