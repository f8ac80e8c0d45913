//! A hundred steps of each optimizer that PyTorch has.
use hubel::{Cpu, Optimizer};
use hubel_kernels::update::{self, Gradient, NewtonSchulz};
use serde::Deserialize;

use crate::fixtures::Fixture;
use crate::{assert_near, cpus, largest, noise};

/// PyTorch's names.
#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    start: u64,
    /// A length, or filters and inputs.
    shape: Vec<usize>,
    clip: Option<f32>,
    lr: f32,
    #[serde(default)]
    weight_decay: f32,
    momentum: Option<f32>,
    nesterov: Option<bool>,
    betas: Option<[f32; 2]>,
    alpha: Option<f32>,
    eps: Option<f32>,
}

impl Case {
    /// The optimizer. Settings that are not given are PyTorch's own.
    fn optimizer(&self) -> Optimizer {
        let usual: Optimizer = self.kind.parse().unwrap();
        match usual {
            Optimizer::Sgd { .. } => Optimizer::Sgd {
                momentum: self.momentum.unwrap_or(0.0),
                nesterov: self.nesterov.unwrap_or(false),
            },
            Optimizer::Adam { .. } => {
                let [beta1, beta2] = self.betas.unwrap_or([0.9, 0.999]);
                let epsilon = self.eps.unwrap_or(1e-8);
                Optimizer::Adam {
                    beta1,
                    beta2,
                    epsilon,
                }
            }
            Optimizer::AdamW { .. } => {
                let [beta1, beta2] = self.betas.unwrap_or([0.9, 0.999]);
                let epsilon = self.eps.unwrap_or(1e-8);
                Optimizer::AdamW {
                    beta1,
                    beta2,
                    epsilon,
                }
            }
            Optimizer::RmsProp { .. } => Optimizer::RmsProp {
                alpha: self.alpha.unwrap_or(0.99),
                epsilon: self.eps.unwrap_or(1e-8),
                momentum: self.momentum.unwrap_or(0.0),
            },
            Optimizer::Muon { adam_rate, .. } => Optimizer::Muon {
                momentum: self.momentum.unwrap_or(0.95),
                nesterov: self.nesterov.unwrap_or(true),
                adam_rate,
            },
            _ => panic!("PyTorch has no {}", self.kind),
        }
    }

    /// How much a step multiplies rounding errors. Each of the five iterations of Muon multiplies them by up to 3.4445. Steps are 0.02 of that.
    fn error_factor(&self) -> f32 {
        match self.shape.len() {
            2 => 0.02 * 3.4445_f32.powi(5),
            _ => 1.0,
        }
    }

    fn length(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values of PyTorch in the order of hubel's memory: inputs × filters.
    fn in_memory(&self, values: Vec<f32>) -> Vec<f32> {
        let [_, inputs] = self.shape[..] else {
            return values;
        };
        let columns = (0..inputs).map(|input| values.iter().skip(input).step_by(inputs));
        columns.flatten().copied().collect()
    }

    fn centred(&self, start: u64) -> Vec<f32> {
        let counters = start..start + self.length() as u64;
        counters.map(|counter| 2.0 * noise(counter) - 1.0).collect()
    }

    fn before(&self) -> Vec<f32> {
        self.in_memory(self.centred(self.start))
    }

    /// The gradient of a step, counted from 1: one element is 0, one is tiny.
    fn gradient(&self, step: u64) -> Vec<f32> {
        let length = self.length() as u64;
        let mut gradient = self.centred(self.start + 1000 + (step - 1) * length);
        (gradient[0], gradient[1]) = (0.0, 1e-12);
        self.in_memory(gradient)
    }

    /// As `torch.nn.utils.clip_grad_norm_`.
    fn factor(&self, cpu: &Cpu, gradient: &[f32]) -> f32 {
        let norm = update::sum_of_squares(cpu, gradient).sqrt();
        let factor = |clip: f32| (f64::from(clip) / (norm + 1e-6)).min(1.0);
        self.clip.map_or(1.0, |clip| factor(clip) as f32)
    }
}

/// What an optimizer changes.
struct Weights {
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Weights {
    fn step(&mut self, cpu: &Cpu, case: &Case, step: u64, gradient: Gradient<'_>) {
        let (learning_rate, weight_decay) = (case.lr, case.weight_decay);
        let (values, first, second) = (&mut self.values, &mut self.first, &mut self.second);
        let adam = |beta1, beta2, epsilon, decoupled| update::Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decoupled,
        };
        match case.optimizer() {
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
            } => {
                let adam = adam(beta1, beta2, epsilon, false);
                adam.step(cpu, step, values, gradient, first, second);
            }
            Optimizer::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let adam = adam(beta1, beta2, epsilon, true);
                adam.step(cpu, step, values, gradient, first, second);
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
                rms_prop.step(cpu, values, gradient, first, second);
            }
            Optimizer::Muon {
                momentum, nesterov, ..
            } => {
                let muon = update::Muon {
                    learning_rate,
                    momentum,
                    nesterov,
                    weight_decay,
                };
                let iteration = NewtonSchulz::new(cpu, case.shape[1], case.shape[0]).unwrap();
                let mut scratch = vec![0.0; update::Muon::scratch_len(&iteration)];
                muon.step(cpu, &iteration, values, gradient, first, &mut scratch);
            }
            _ => unreachable!("the fixture has no others"),
        }
    }
}

#[test]
fn optimizers() {
    #[derive(Deserialize)]
    struct Kept {
        kept: Vec<u64>,
    }
    let fixture = Fixture::open("optimizers");
    let Kept { kept } = fixture.description();
    for case in fixture.cases::<Case>() {
        let length = case.length();
        let expected: Vec<&[f32]> = (fixture.numbers(&format!("{}/after", case.name)))
            .chunks(length)
            .collect();
        for cpu in cpus() {
            let mut weights = Weights {
                values: case.before(),
                first: vec![0.0; length],
                second: vec![0.0; length],
            };
            for step in 1..=*kept.last().unwrap() {
                let values = case.gradient(step);
                let factor = case.factor(&cpu, &values);
                let gradient = Gradient {
                    values: &values,
                    factor,
                };
                weights.step(&cpu, &case, step, gradient);
                if let Some(place) = kept.iter().position(|kept| *kept == step) {
                    let set = cpu.instruction_set();
                    let what = format!("{} {}, step {step}, {set}", case.kind, case.name);
                    let expected = expected[place];
                    let bound = largest(expected) * case.error_factor();
                    assert_near(&what, &weights.values, expected, bound, step as usize);
                }
            }
        }
    }
}
