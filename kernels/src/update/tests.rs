use proptest::prelude::*;

use super::*;
use crate::InstructionSet;
use crate::reference::update as reference;

const ADAM_W: Adam = Adam {
    learning_rate: 0.1,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.01,
    decoupled: true,
};

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
            sgd.step(&cpu, &mut value, [gradient][..].into(), &mut velocity);
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
    let (mut value, mut first, mut second) = ([1.0], [0.0], [0.0]);
    let gradient = [0.5][..].into();
    ADAM_W.step(&cpu, 1, &mut value, gradient, &mut first, &mut second);
    // The first step of Adam is the learning rate in the direction of the gradient, after the decay.
    assert!((value[0] - (1.0 - 0.001 - 0.1)).abs() < 1e-6);
}

/// A weight and the state of one optimizer, as functions of a step and a gradient.
struct Run<'a> {
    name: &'static str,
    values: Vec<f32>,
    state: [Vec<f32>; 2],
    step: Step<'a>,
    expected: Oracle,
}

/// The weight after steps with these gradients, in f64.
type Oracle = Box<dyn Fn(f64, &[f32]) -> f64>;

type Step<'a> = Box<dyn Fn(u64, &mut [f32], Gradient<'_>, &mut [Vec<f32>; 2]) + 'a>;

/// Each optimizer but Muon, on these weights.
fn runs<'a>(
    cpu: &'a Cpu,
    start: &[f32],
    momentum: f32,
    beta2: f32,
    weight_decay: f32,
) -> Vec<Run<'a>> {
    let learning_rate = 0.05;
    let run = |name, step: Step<'a>, expected: Oracle| Run {
        name,
        values: start.to_vec(),
        state: [vec![0.0; start.len()], vec![0.0; start.len()]],
        step,
        expected,
    };
    let sgd = |nesterov| {
        let sgd = Sgd {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        };
        run(
            "sgd",
            Box::new(move |_, values, gradient, [velocity, _]| {
                sgd.step(cpu, values, gradient, velocity);
            }),
            Box::new(move |weight, gradients| reference::sgd(&sgd, weight, gradients)),
        )
    };
    let adam = |decoupled| {
        let adam = Adam {
            learning_rate,
            beta1: momentum,
            beta2,
            weight_decay,
            decoupled,
            ..ADAM_W
        };
        run(
            "adam",
            Box::new(move |step, values, gradient, [first, second]| {
                adam.step(cpu, step, values, gradient, first, second);
            }),
            Box::new(move |weight, gradients| reference::adam(&adam, weight, gradients)),
        )
    };
    let rms_prop = RmsProp {
        learning_rate,
        alpha: beta2,
        epsilon: 1e-8,
        momentum,
        weight_decay,
    };
    let lion = Lion {
        learning_rate,
        beta1: momentum,
        beta2,
        weight_decay,
    };
    vec![
        sgd(false),
        sgd(true),
        adam(false),
        adam(true),
        run(
            "rmsprop",
            Box::new(move |_, values, gradient, [velocity, square]| {
                rms_prop.step(cpu, values, gradient, velocity, square);
            }),
            Box::new(move |weight, gradients| reference::rms_prop(&rms_prop, weight, gradients)),
        ),
        run(
            "lion",
            Box::new(move |_, values, gradient, [momentum, _]| {
                lion.step(cpu, values, gradient, momentum);
            }),
            Box::new(move |weight, gradients| reference::lion(&lion, weight, gradients)),
        ),
    ]
}

#[test]
fn state_becomes_0_and_not_subnormal() {
    let cpu = Cpu::best(1);
    let (mut value, mut mean) = ([1.0; 4], [0.0; 4]);
    let iteration = NewtonSchulz::new(&cpu, 2, 2).expect("a matrix of this size exists");
    let muon = Muon {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.0,
    };
    let mut scratch = vec![0.0; Muon::scratch_len(&iteration)];
    let mut runs = runs(&cpu, &[1.0], 0.9, 0.9, 0.0);
    for step in 1..2000 {
        for run in &mut runs {
            // Its square would be subnormal. The others would add it up.
            let later = if run.name == "adam" { 1e-25 } else { 0.0 };
            let gradient = [if step == 1 { 1e-3 } else { later }];
            (run.step)(step, &mut run.values, gradient[..].into(), &mut run.state);
            let state = run.state.iter().flatten();
            assert!(!state.clone().any(|value| value.is_subnormal()), "{step}");
        }
        let gradient = if step == 1 { [1e-3; 4] } else { [0.0; 4] };
        muon.step(
            &cpu,
            &iteration,
            &mut value,
            gradient[..].into(),
            &mut mean,
            &mut scratch,
        );
        assert!(!mean.iter().any(|value| value.is_subnormal()), "{step}");
    }
    for run in &runs {
        assert_eq!(run.state, [[0.0], [0.0]], "{}", run.name);
    }
    assert_eq!(mean, [0.0; 4]);
}

#[test]
fn nan_in_a_gradient_reaches_the_weights() {
    let cpu = Cpu::best(1);
    for mut run in runs(&cpu, &[1.0], 0.9, 0.99, 0.0) {
        (run.step)(1, &mut run.values, [f32::NAN][..].into(), &mut run.state);
        assert!(run.values[0].is_nan(), "{}", run.name);
    }
    let iteration = NewtonSchulz::new(&cpu, 2, 3).expect("a matrix of this size exists");
    let mut matrix = [1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0];
    iteration.run(&cpu, &mut matrix, &mut vec![0.0; iteration.scratch_len()]);
    assert!(matrix.iter().all(|value| value.is_nan()));
}

/// Values that differ in sign and size.
fn varied(count: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i + 31 * seed) as f32 * 1.7 + seed as f32).sin();
    (0..count).map(value).collect()
}

fn as_matrix(values: &[f32], columns: usize) -> Vec<Vec<f64>> {
    let row = |row: &[f32]| row.iter().map(|value| f64::from(*value)).collect();
    values.chunks(columns).map(row).collect()
}

proptest! {
    /// Five steps on weights that need not fill the last vector.
    #[test]
    fn steps_are_the_formulas_on_all_instruction_sets(
        count in 1..70_usize, momentum in 0.0..0.99_f32, beta2 in 0.5..0.999_f32, weight_decay in 0.0..0.1_f32, factor in 0.1..1.0_f32,
    ) {
        let start: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).cos()).collect();
        let gradient = |step: u64, i: usize| 0.1 + (i as f32 * 1.7 + step as f32).sin().abs();
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for mut run in runs(&cpu, &start, momentum, beta2, weight_decay) {
                for step in 1..=5 {
                    let values: Vec<f32> = (0..count).map(|i| gradient(step, i)).collect();
                    let gradient = Gradient { values: &values, factor };
                    (run.step)(step, &mut run.values, gradient, &mut run.state);
                }
                for (i, start) in start.iter().enumerate() {
                    let gradients: Vec<f32> = (1..=5).map(|step| factor * gradient(step, i)).collect();
                    let expected = (run.expected)(f64::from(*start), &gradients);
                    prop_assert!((f64::from(run.values[i]) - expected).abs() < 1e-5, "{}", run.name);
                }
            }
        }
    }

    /// An iteration multiplies an error by at most 3.4445, so five of them by 485. Each product has rounding errors like √k for k terms.
    #[test]
    fn steps_of_muon_are_the_published_ones_on_all_instruction_sets_and_for_any_number_of_threads(
        inputs in 1..40_usize, outputs in 1..40_usize, momentum in 0.0..0.99_f32, nesterov in any::<bool>(), weight_decay in 0.0..0.1_f32,
    ) {
        let muon = Muon { learning_rate: 0.05, momentum, nesterov, weight_decay };
        let start = varied(inputs * outputs, 0);
        let gradients = [1, 2, 3].map(|step| varied(inputs * outputs, step));
        let in_f64 = gradients.each_ref().map(|gradient| as_matrix(gradient, outputs));
        let expected = reference::muon(&muon, &as_matrix(&start, outputs), &in_f64);
        let bound = 3.0 * 0.05 * 485.0 * f64::from(f32::EPSILON) * 7.0 * 7.0;
        for set in InstructionSet::available() {
            let results = [1, 3].map(|threads| {
                let cpu = Cpu::new(set, threads);
                let iteration = NewtonSchulz::new(&cpu, inputs, outputs).expect("a matrix of this size exists");
                let (mut values, mut mean) = (start.clone(), vec![0.0; start.len()]);
                // Scratch may hold anything.
                let mut scratch = vec![f32::NAN; Muon::scratch_len(&iteration)];
                for gradient in &gradients {
                    muon.step(&cpu, &iteration, &mut values, gradient[..].into(), &mut mean, &mut scratch);
                }
                values
            });
            prop_assert_eq!(&results[0], &results[1]);
            for (value, expected) in results[0].iter().zip(expected.iter().flatten()) {
                let error = (f64::from(*value) - expected).abs();
                prop_assert!(error < bound, "{value} is not {expected}: {error:e}");
            }
        }
    }

    #[test]
    fn the_sum_of_squares_is_exact_enough_and_has_the_same_bits_everywhere(count in 0..400_000_usize) {
        let values = varied(count, 5);
        let expected: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        let sums: Vec<f64> = InstructionSet::available().into_iter()
            .flat_map(|set| [1, 2, 3].map(|threads| sum_of_squares(&Cpu::new(set, threads), &values)))
            .collect();
        prop_assert!((sums[0] - expected).abs() <= 1e-12 * expected);
        prop_assert!(sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits()));
    }
}

/// The singular values of random matrices come near 1: each column of a matrix with fewer columns than rows has about norm 1.
#[test]
fn the_iteration_makes_matrices_nearly_orthogonal() {
    let cpu = Cpu::best(2);
    for (rows, columns) in [(200, 24), (24, 200)] {
        let iteration =
            NewtonSchulz::new(&cpu, rows, columns).expect("a matrix of this size exists");
        let mut matrix = varied(rows * columns, 1);
        // A sine has few frequencies, so its matrix has rank 2; squares of the index do not repeat.
        for (i, value) in matrix.iter_mut().enumerate() {
            *value = ((i * i % 10_007) as f32 * 0.77).sin();
        }
        iteration.run(&cpu, &mut matrix, &mut vec![0.0; iteration.scratch_len()]);
        let vectors: Vec<Vec<f32>> = match rows > columns {
            true => (0..columns)
                .map(|x| matrix.iter().skip(x).step_by(columns).copied().collect())
                .collect(),
            false => matrix.chunks(columns).map(<[f32]>::to_vec).collect(),
        };
        for (i, a) in vectors.iter().enumerate() {
            for (k, b) in vectors.iter().enumerate() {
                let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                match i == k {
                    true => assert!((0.4..1.6).contains(&dot), "{dot}"),
                    false => assert!(dot.abs() < 0.5, "{dot}"),
                }
            }
        }
    }
}
