//! Stochastic gradient descent.
use super::{Gradient, SMALLEST_STATE, flushed, in_pieces};
use crate::Cpu;

/// Stochastic gradient descent with momentum, as `torch.optim.SGD`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Factor of the step.
    pub learning_rate: f32,
    /// Share of the velocity that stays at each step.
    pub momentum: f32,
    /// Whether the step looks ahead along the velocity (Nesterov 1983).
    pub nesterov: bool,
    /// This share of a weight is added to its gradient.
    pub weight_decay: f32,
}

impl Sgd {
    /// Makes one step. `velocity` is 0 before the first.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn step(
        &self,
        cpu: &Cpu,
        values: &mut [f32],
        gradient: Gradient<'_>,
        velocity: &mut [f32],
    ) {
        let Self {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        } = *self;
        let factor = gradient.factor;
        in_pieces(
            cpu,
            values,
            gradient.values,
            [velocity],
            |values, gradient, [velocity]| {
                for ((value, gradient), velocity) in values.iter_mut().zip(gradient).zip(velocity) {
                    let gradient = factor * gradient + weight_decay * *value;
                    *velocity = flushed(momentum * *velocity + gradient, SMALLEST_STATE);
                    let direction = if nesterov {
                        gradient + momentum * *velocity
                    } else {
                        *velocity
                    };
                    *value -= learning_rate * direction;
                }
            },
        );
    }
}
