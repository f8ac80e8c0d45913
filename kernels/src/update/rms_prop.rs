//! RMSprop.
use super::{Gradient, SMALLEST_GRADIENT, SMALLEST_STATE, flushed, in_pieces};
use crate::Cpu;

/// RMSprop (Tieleman and Hinton 2012), as `torch.optim.RMSprop` without centring: ε is added to the root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Factor of the step.
    pub learning_rate: f32,
    /// Share of the mean squared gradient that stays at each step.
    pub alpha: f32,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f32,
    /// Share of the velocity that stays at each step.
    pub momentum: f32,
    /// This share of a weight is added to its gradient.
    pub weight_decay: f32,
}

impl RmsProp {
    /// Makes one step. `velocity` and `square`, the mean squared gradient, are 0 before the first.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn step(
        &self,
        cpu: &Cpu,
        values: &mut [f32],
        gradient: Gradient<'_>,
        velocity: &mut [f32],
        square: &mut [f32],
    ) {
        let Self {
            learning_rate,
            alpha,
            epsilon,
            momentum,
            weight_decay,
        } = *self;
        let factor = gradient.factor;
        in_pieces(
            cpu,
            values,
            gradient.values,
            [velocity, square],
            |values, gradient, [velocity, square]| {
                let state = velocity.iter_mut().zip(square);
                for ((value, gradient), (velocity, square)) in
                    values.iter_mut().zip(gradient).zip(state)
                {
                    let gradient = factor * gradient + weight_decay * *value;
                    let gradient = flushed(gradient, SMALLEST_GRADIENT);
                    let mean = alpha * *square + (1.0 - alpha) * gradient * gradient;
                    *square = flushed(mean, SMALLEST_STATE);
                    let direction = gradient / (square.sqrt() + epsilon);
                    *velocity = flushed(momentum * *velocity + direction, SMALLEST_STATE);
                    *value -= learning_rate * *velocity;
                }
            },
        );
    }
}
