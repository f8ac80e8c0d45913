//! The optimizers' updates: one pass over weights, gradient and memory. Formulas as in PyTorch.
use crate::{Cpu, DisjointMut};

/// Weights that one task changes: few, since a layer may not have many.
const PIECE: usize = 4 * 1024;

/// What is remembered of gradients nearer to 0 changes no weight, and without a gradient, step by step, would come to numbers that are not
/// normal (below 1.2e-38), which processors compute a hundred times slower.
const FAINTEST: f32 = 1e-30;
/// The same of a gradient whose square is remembered.
const FAINTEST_SQUARED: f32 = 1e-17;

/// The number, or 0 where it is nearer to 0 than `faintest`.
#[inline(always)]
fn audible(number: f32, faintest: f32) -> f32 {
    if number.abs() < faintest { 0.0 } else { number }
}

/// Stochastic gradient descent with momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Factor of the update.
    pub learning_rate: f32,
    /// Share of the last velocity that stays.
    pub momentum: f32,
    /// Whether the gradient is looked at one step ahead (Nesterov 1983).
    pub nesterov: bool,
    /// Share of the weight that is added to its gradient.
    pub weight_decay: f32,
}

impl Sgd {
    /// One step. `velocity` is 0 before the first.
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
                    *velocity = audible(momentum * *velocity + gradient, FAINTEST);
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
    /// Factor of the update.
    pub learning_rate: f32,
    /// Share of the mean of gradients that stays.
    pub beta1: f32,
    /// Share of the mean of squared gradients that stays.
    pub beta2: f32,
    /// Added to the root of the second mean.
    pub epsilon: f32,
    /// Share of the weight that goes, times the learning rate.
    pub weight_decay: f32,
}

impl AdamW {
    /// Step number `step` (from 1). `first` and `second` are 0 before the first.
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
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let step_size = (f64::from(learning_rate) / correction(beta1)) as f32;
        let root = correction(beta2).sqrt() as f32;
        in_pieces(
            cpu,
            values,
            gradient,
            [first, second],
            |values, gradient, [first, second]| {
                let memory = first.iter_mut().zip(second);
                for ((value, gradient), (first, second)) in
                    values.iter_mut().zip(gradient).zip(memory)
                {
                    let gradient = audible(*gradient, FAINTEST_SQUARED);
                    *value -= learning_rate * weight_decay * *value;
                    *first = audible(*first + (1.0 - beta1) * (gradient - *first), FAINTEST);
                    let mean = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                    *second = audible(mean, FAINTEST);
                    *value -= step_size * *first / (second.sqrt() / root + epsilon);
                }
            },
        );
    }
}

fn in_pieces<const N: usize>(
    cpu: &Cpu,
    values: &mut [f32],
    gradient: &[f32],
    memory: [&mut [f32]; N],
    body: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Sync,
) {
    assert!(
        gradient.len() == values.len() && memory.iter().all(|memory| memory.len() == values.len())
    );
    let memory = memory.map(DisjointMut::new);
    cpu.parallel_chunks(values, PIECE, |i, values| {
        let range = i * PIECE..i * PIECE + values.len();
        // SAFETY: pieces of different `i` do not overlap and each `i` runs once.
        let memory = std::array::from_fn(|k| unsafe { memory[k].slice(range.clone()) });
        cpu.vectorised(|| body(values, &gradient[range.clone()], memory));
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;
    use crate::reference::update as reference;

    /// Three steps on one weight w = 1 with gradients 0.5, −0.2, 0.1, as `torch.optim` does them.
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
    fn what_is_remembered_comes_to_0_and_not_to_numbers_that_are_slow() {
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
            let remembered = [velocity[0], first[0], second[0]];
            assert!(
                !remembered.iter().any(|number| number.is_subnormal()),
                "{step}"
            );
        }
        assert_eq!([velocity[0], first[0], second[0]], [0.0; 3]);
    }

    proptest! {
        /// Five steps on a count of weights that may fill no vector.
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
