//! Lion.
use super::{Gradient, SMALLEST_STATE, flushed, in_pieces};
use crate::Cpu;

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2): a step of the same size for each weight, in the
/// direction of the sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// Size of the step.
    pub learning_rate: f32,
    /// Share of the momentum in the direction; the rest is the gradient of this step.
    pub beta1: f32,
    /// Share of the momentum that stays at each step.
    pub beta2: f32,
    /// This share of a weight, times the learning rate, is subtracted from it.
    pub weight_decay: f32,
}

impl Lion {
    /// Makes one step. `momentum` is 0 before the first. A weight whose direction is 0 only decays.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn step(
        &self,
        cpu: &Cpu,
        values: &mut [f32],
        gradient: Gradient<'_>,
        momentum: &mut [f32],
    ) {
        let Self {
            learning_rate,
            beta1,
            beta2,
            weight_decay,
        } = *self;
        let factor = gradient.factor;
        in_pieces(
            cpu,
            values,
            gradient.values,
            [momentum],
            |values, gradient, [momentum]| {
                for ((value, gradient), momentum) in values.iter_mut().zip(gradient).zip(momentum) {
                    let gradient = factor * gradient;
                    let direction = beta1 * *momentum + (1.0 - beta1) * gradient;
                    *value -= learning_rate * (sign(direction) + weight_decay * *value);
                    let mean = beta2 * *momentum + (1.0 - beta2) * gradient;
                    *momentum = flushed(mean, SMALLEST_STATE);
                }
            },
        );
    }
}

/// 1, −1, or 0 for 0. NaN stays NaN, so that training reports it.
#[inline(always)]
fn sign(value: f32) -> f32 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}
