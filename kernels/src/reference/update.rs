//! The formulas of the optimizers in f64: one weight at a time, or one matrix for Muon.
use crate::update::{Adam, Lion, Muon, RmsProp, Sgd};

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
pub fn adam(settings: &Adam, mut weight: f64, gradients: &[f32]) -> f64 {
    let [rate, beta1, beta2, decay] = [
        settings.learning_rate,
        settings.beta1,
        settings.beta2,
        settings.weight_decay,
    ]
    .map(f64::from);
    let (mut first, mut second) = (0.0, 0.0);
    for (step, gradient) in (1..).zip(gradients) {
        let mut gradient = f64::from(*gradient);
        match settings.decoupled {
            true => weight *= 1.0 - rate * decay,
            false => gradient += decay * weight,
        }
        first = beta1 * first + (1.0 - beta1) * gradient;
        second = beta2 * second + (1.0 - beta2) * gradient * gradient;
        let mean = first / (1.0 - beta1.powi(step));
        let square = second / (1.0 - beta2.powi(step));
        weight -= rate * mean / (square.sqrt() + f64::from(settings.epsilon));
    }
    weight
}

/// The weight after the steps with `gradients`.
pub fn rms_prop(settings: &RmsProp, mut weight: f64, gradients: &[f32]) -> f64 {
    let alpha = f64::from(settings.alpha);
    let (mut velocity, mut square) = (0.0, 0.0_f64);
    for gradient in gradients {
        let gradient = f64::from(*gradient) + f64::from(settings.weight_decay) * weight;
        square = alpha * square + (1.0 - alpha) * gradient * gradient;
        let direction = gradient / (square.sqrt() + f64::from(settings.epsilon));
        velocity = f64::from(settings.momentum) * velocity + direction;
        weight -= f64::from(settings.learning_rate) * velocity;
    }
    weight
}

/// The weight after the steps with `gradients`; algorithm 2 of Chen et al. 2023.
pub fn lion(settings: &Lion, mut weight: f64, gradients: &[f32]) -> f64 {
    let [rate, beta1, beta2, decay] = [
        settings.learning_rate,
        settings.beta1,
        settings.beta2,
        settings.weight_decay,
    ]
    .map(f64::from);
    let mut momentum = 0.0;
    for gradient in gradients {
        let gradient = f64::from(*gradient);
        let update = beta1 * momentum + (1.0 - beta1) * gradient;
        let sign = if update == 0.0 { 0.0 } else { update.signum() };
        weight -= rate * (sign + decay * weight);
        momentum = beta2 * momentum + (1.0 - beta2) * gradient;
    }
    weight
}

/// A matrix as rows.
type Matrix = Vec<Vec<f64>>;

/// The weights `[inputs][outputs]` after the steps with `gradients`. As published, it works on `[outputs][inputs]`.
pub fn muon(settings: &Muon, weights: &Matrix, gradients: &[Matrix]) -> Matrix {
    let [rate, momentum, decay] = [
        settings.learning_rate,
        settings.momentum,
        settings.weight_decay,
    ]
    .map(f64::from);
    let mut weights = transposed(weights);
    let mut mean = combined(0.0, &weights, 0.0, &weights);
    for gradient in gradients {
        let gradient = transposed(gradient);
        mean = combined(momentum, &mean, 1.0 - momentum, &gradient);
        let direction = match settings.nesterov {
            true => combined(1.0 - momentum, &gradient, momentum, &mean),
            false => mean.clone(),
        };
        let (outputs, inputs) = (weights.len() as f64, weights[0].len() as f64);
        let rate_of_step = rate * (outputs / inputs).max(1.0).sqrt();
        let step = newton_schulz(&direction);
        weights = combined(1.0 - rate * decay, &weights, -rate_of_step, &step);
    }
    transposed(&weights)
}

/// The matrix with singular values near 1.
pub fn newton_schulz(matrix: &Matrix) -> Matrix {
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let is_tall = matrix.len() > matrix[0].len();
    let mut x = if is_tall {
        transposed(matrix)
    } else {
        matrix.clone()
    };
    let squares = x.iter().flatten().map(|value| value * value);
    let norm = squares.sum::<f64>().sqrt().max(1e-7);
    x = combined(1.0 / norm, &x, 0.0, &x);
    for _ in 0..5 {
        let gram = product(&x, &transposed(&x));
        let update = combined(b, &gram, c, &product(&gram, &gram));
        x = combined(a, &x, 1.0, &product(&update, &x));
    }
    if is_tall { transposed(&x) } else { x }
}

fn transposed(matrix: &Matrix) -> Matrix {
    let columns = 0..matrix[0].len();
    let column = |column: usize| matrix.iter().map(|row| row[column]).collect();
    columns.map(column).collect()
}

fn product(left: &Matrix, right: &Matrix) -> Matrix {
    let right = transposed(right);
    let dot = |row: &Vec<f64>, column: &Vec<f64>| row.iter().zip(column).map(|(a, b)| a * b).sum();
    let of_row = |row| right.iter().map(|column| dot(row, column)).collect();
    left.iter().map(of_row).collect()
}

/// `a · left + b · right`
fn combined(a: f64, left: &Matrix, b: f64, right: &Matrix) -> Matrix {
    let of_rows = |(left, right): (&Vec<f64>, &Vec<f64>)| {
        left.iter()
            .zip(right)
            .map(|(left, right)| a * left + b * right)
            .collect()
    };
    left.iter().zip(right).map(of_rows).collect()
}
