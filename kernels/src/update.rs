//! The updates of the optimizers, each in one pass over weights, gradient and state. The formulas are PyTorch's.
use crate::{Cpu, DisjointMut};

/// Weights of a task: few, because a layer may not have many.
const PIECE: usize = 4 * 1024;

/// State nearer to 0 is set to 0, which changes no weight. Without a gradient it would shrink step by step to subnormal floats
/// (below 1.2e-38), and processors compute those a hundred times slower.
const SMALLEST_STATE: f32 = 1e-30;
/// The same limit for a gradient whose square goes into the state.
const SMALLEST_GRADIENT: f32 = 1e-17;

/// The value, or 0 where it is nearer to 0 than `smallest`.
#[inline(always)]
fn flushed(value: f32, smallest: f32) -> f32 {
    if value.abs() < smallest { 0.0 } else { value }
}

/// Stochastic gradient descent with momentum.
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
    pub fn step(&self, cpu: &Cpu, values: &mut [f32], gradient: &[f32], velocity: &mut [f32]) {
        let Self {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        } = *self;
        in_pieces(
            cpu,
            values,
            gradient,
            [velocity],
            |values, gradient, [velocity]| {
                for ((value, gradient), velocity) in values.iter_mut().zip(gradient).zip(velocity) {
                    let gradient = gradient + weight_decay * *value;
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

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Factor of the step.
    pub learning_rate: f32,
    /// Share of the mean gradient that stays at each step.
    pub beta1: f32,
    /// Share of the mean squared gradient that stays at each step.
    pub beta2: f32,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f32,
    /// This share of a weight, times the learning rate, is subtracted from it.
    pub weight_decay: f32,
}

impl AdamW {
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
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let Self {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = *self;
        assert!(step > 0, "steps count from 1");
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let step_size = (f64::from(learning_rate) / correction(beta1)) as f32;
        let root = correction(beta2).sqrt() as f32;
        in_pieces(
            cpu,
            values,
            gradient,
            [first, second],
            |values, gradient, [first, second]| {
                let state = first.iter_mut().zip(second);
                for ((value, gradient), (first, second)) in
                    values.iter_mut().zip(gradient).zip(state)
                {
                    let gradient = flushed(*gradient, SMALLEST_GRADIENT);
                    *value -= learning_rate * weight_decay * *value;
                    *first = flushed(*first + (1.0 - beta1) * (gradient - *first), SMALLEST_STATE);
                    let mean = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                    *second = flushed(mean, SMALLEST_STATE);
                    *value -= step_size * *first / (second.sqrt() / root + epsilon);
                }
            },
        );
    }
}

/// Moves each value of an average by `share` of its distance to the new value.
///
/// # Panics
/// If the slices differ in length.
pub fn average(cpu: &Cpu, average: &mut [f32], values: &[f32], share: f32) {
    in_pieces(cpu, average, values, [], |average, values, []| {
        for (average, value) in average.iter_mut().zip(values) {
            *average = flushed(*average + share * (value - *average), SMALLEST_STATE);
        }
    });
}

/// Runs `body(values, gradient, state)` for each piece of these slices.
///
/// # Panics
/// If the slices differ in length.
fn in_pieces<const N: usize>(
    cpu: &Cpu,
    values: &mut [f32],
    gradient: &[f32],
    state: [&mut [f32]; N],
    body: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) {
    assert_eq!(gradient.len(), values.len(), "length of the gradient");
    for state in &state {
        assert_eq!(state.len(), values.len(), "length of the optimizer's state");
    }
    let state = state.map(DisjointMut::new);
    cpu.parallel_chunks(values, PIECE, |i, values| {
        let range = i * PIECE..i * PIECE + values.len();
        // SAFETY: the ranges of different `i` do not overlap, and `parallel_chunks` runs each `i` once.
        let state = std::array::from_fn(|k| unsafe { state[k].slice(range.clone()) });
        cpu.vectorised(|| body(values, &gradient[range.clone()], state));
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;
    use crate::reference::update as reference;

    /// Three steps of `torch.optim` on one weight w = 1 with gradients 0.5, −0.2, 0.1.
    #[test]
    fn updates_are_those_of_pytorch() {
        let cpu = Cpu::best(1);
        let run = |nesterov| {
            let sgd = Sgd {
                learning_rate: 0.1,
                momentum: 0.9,
                nesterov,
                weight_decay: 0.01,
            };
            let (mut value, mut velocity) = ([1.0], [0.0]);
            for gradient in [0.5, -0.2, 0.1] {
                sgd.step(&cpu, &mut value, &[gradient], &mut velocity);
            }
            value[0]
        };
        let by_hand = |nesterov: bool| {
            let (mut w, mut v) = (1.0_f64, 0.0);
            for g in [0.5, -0.2, 0.1] {
                let g = g + 0.01 * w;
                v = 0.9 * v + g;
                w -= 0.1 * if nesterov { g + 0.9 * v } else { v };
            }
            w
        };
        for nesterov in [false, true] {
            assert!((f64::from(run(nesterov)) - by_hand(nesterov)).abs() < 1e-6);
        }
        let adamw = AdamW {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        };
        let (mut value, mut first, mut second) = ([1.0], [0.0], [0.0]);
        adamw.step(&cpu, 1, &mut value, &[0.5], &mut first, &mut second);
        // The first step of Adam is the learning rate in the direction of the gradient, after the decay.
        assert!((value[0] - (1.0 - 0.001 - 0.1)).abs() < 1e-6);
    }

    #[test]
    fn state_becomes_0_and_not_subnormal() {
        let sgd = Sgd {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        };
        let adamw = AdamW {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.9,
            epsilon: 1e-8,
            weight_decay: 0.0,
        };
        let cpu = Cpu::best(1);
        let (mut value, mut velocity, mut first, mut second) = ([1.0], [0.0], [0.0], [0.0]);
        for step in 1..2000 {
            let gradient = [if step == 1 { 1e-3 } else { 1e-25 }];
            let then_none = [if step == 1 { 1e-3 } else { 0.0 }];
            sgd.step(&cpu, &mut value, &then_none, &mut velocity);
            adamw.step(&cpu, step, &mut value, &gradient, &mut first, &mut second);
            let state = [velocity[0], first[0], second[0]];
            assert!(!state.iter().any(|value| value.is_subnormal()), "{step}");
        }
        assert_eq!([velocity[0], first[0], second[0]], [0.0; 3]);
    }

    proptest! {
        /// Five steps on weights that need not fill the last vector.
        #[test]
        fn steps_are_the_formulas_on_all_instruction_sets(
            count in 1..70_usize, momentum in 0.0..0.99_f32, nesterov in any::<bool>(), weight_decay in 0.0..0.1_f32,
        ) {
            let sgd = Sgd { learning_rate: 0.05, momentum, nesterov, weight_decay };
            let adamw = AdamW { learning_rate: 0.05, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay };
            let start: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).cos()).collect();
            let gradient = |step: u64, i: usize| 0.1 + (i as f32 * 1.7 + step as f32).sin().abs();
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                let (mut by_sgd, mut velocity) = (start.clone(), vec![0.0; count]);
                let mut by_adamw = start.clone();
                let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
                for step in 1..=5 {
                    let gradient: Vec<f32> = (0..count).map(|i| gradient(step, i)).collect();
                    sgd.step(&cpu, &mut by_sgd, &gradient, &mut velocity);
                    adamw.step(&cpu, step, &mut by_adamw, &gradient, &mut first, &mut second);
                }
                for i in 0..count {
                    let gradients: Vec<f32> = (1..=5).map(|step| gradient(step, i)).collect();
                    let weight = f64::from(start[i]);
                    let expected = reference::sgd(&sgd, weight, &gradients);
                    prop_assert!((f64::from(by_sgd[i]) - expected).abs() < 1e-5);
                    let expected = reference::adamw(&adamw, weight, &gradients);
                    prop_assert!((f64::from(by_adamw[i]) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
