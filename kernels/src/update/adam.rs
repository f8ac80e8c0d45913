//! Adam, with weight decay in the gradient or apart from it.
use super::{Gradient, SMALLEST_GRADIENT, SMALLEST_STATE, flushed, in_pieces};
use crate::Cpu;

/// Adam (Kingma and Ba 2015), as `torch.optim.Adam`, or with `decoupled` decay AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Factor of the step.
    pub learning_rate: f32,
    /// Share of the mean gradient that stays at each step.
    pub beta1: f32,
    /// Share of the mean squared gradient that stays at each step.
    pub beta2: f32,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f32,
    /// Decoupled: this share of a weight, times the learning rate, is subtracted from it. Otherwise this share of a weight is added to its
    /// gradient.
    pub weight_decay: f32,
    /// Whether weight decay changes the weight itself (AdamW) and not the gradient (Adam).
    pub decoupled: bool,
}

impl Adam {
    /// Makes step number `step`, which counts from 1. `first` is the mean gradient and `second` the mean squared gradient; both are 0
    /// before the first step.
    ///
    /// # Panics
    /// If `step` is 0, or if the slices differ in length.
    pub fn step(
        &self,
        cpu: &Cpu,
        step: u64,
        values: &mut [f32],
        gradient: Gradient<'_>,
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let Self {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
        } = *self;
        assert!(step > 0, "steps count from 1");
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let step_size = (f64::from(learning_rate) / correction(beta1)) as f32;
        let root = correction(beta2).sqrt() as f32;
        let (of_weight, of_gradient) = match decoupled {
            true => (learning_rate * weight_decay, 0.0),
            false => (0.0, weight_decay),
        };
        let factor = gradient.factor;
        in_pieces(
            cpu,
            values,
            gradient.values,
            [first, second],
            |values, gradient, [first, second]| {
                let state = first.iter_mut().zip(second);
                for ((value, gradient), (first, second)) in
                    values.iter_mut().zip(gradient).zip(state)
                {
                    let gradient = factor * gradient + of_gradient * *value;
                    let gradient = flushed(gradient, SMALLEST_GRADIENT);
                    *value -= of_weight * *value;
                    *first = flushed(*first + (1.0 - beta1) * (gradient - *first), SMALLEST_STATE);
                    let mean = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                    *second = flushed(mean, SMALLEST_STATE);
                    *value -= step_size * *first / (second.sqrt() / root + epsilon);
                }
            },
        );
    }
}
