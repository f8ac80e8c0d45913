//! The formulas of the optimizers, one value at a time.
use crate::update::{AdamW, Sgd};

/// The weight after the steps with `gradients`.
pub fn sgd(settings: &Sgd, mut weight: f64, gradients: &[f32]) -> f64 {
    let mut velocity = 0.0;
    for gradient in gradients {
        let gradient = f64::from(*gradient) + f64::from(settings.weight_decay) * weight;
        velocity = f64::from(settings.momentum) * velocity + gradient;
        let direction = if settings.nesterov {
            gradient + f64::from(settings.momentum) * velocity
        } else {
            velocity
        };
        weight -= f64::from(settings.learning_rate) * direction;
    }
    weight
}

/// The weight after the steps with `gradients`.
pub fn adamw(settings: &AdamW, mut weight: f64, gradients: &[f32]) -> f64 {
    let [rate, beta1, beta2] =
        [settings.learning_rate, settings.beta1, settings.beta2].map(f64::from);
    let (mut first, mut second) = (0.0, 0.0);
    for (step, gradient) in (1..).zip(gradients) {
        let gradient = f64::from(*gradient);
        weight *= 1.0 - rate * f64::from(settings.weight_decay);
        first = beta1 * first + (1.0 - beta1) * gradient;
        second = beta2 * second + (1.0 - beta2) * gradient * gradient;
        let mean = first / (1.0 - beta1.powi(step));
        let square = second / (1.0 - beta2.powi(step));
        weight -= rate * mean / (square.sqrt() + f64::from(settings.epsilon));
    }
    weight
}
