//! A map that is normalised on load gives the same bits as the normalised map.
use super::*;
use crate::Normalised;
use crate::batch_norm;
use crate::pool::{Pooled, Winner};

/// The normalisation of the problem's input.
struct Factors {
    factor: Vec<f32>,
    summand: Vec<f32>,
    activation: Activation,
}

impl Factors {
    fn new(channels: usize, activation: Activation) -> Self {
        let factor = random_values(channels, 11)
            .iter()
            .map(|x| 3.0 * x)
            .collect();
        let summand = random_values(channels, 12);
        Self {
            factor,
            summand,
            activation,
        }
    }

    fn input<'a>(&'a self, map: &'a [f32]) -> Input<'a> {
        Input {
            map,
            normalised: Some(Normalised {
                factor: &self.factor,
                summand: &self.summand,
                activation: self.activation,
            }),
        }
    }

    fn map(&self, cpu: &Cpu, map: &[f32]) -> Vec<f32> {
        let mut output = vec![f32::NAN; map.len()];
        let Self {
            factor,
            summand,
            activation,
        } = self;
        batch_norm::normalise(cpu, map, factor, summand, None, *activation, &mut output);
        output
    }
}

/// Passes with and without normalisation, plain and pooled, where an algorithm has them.
fn pairs<P>(pass: impl Fn(Fused) -> Option<P>) -> Vec<(Fused, P, P)> {
    let pair = |fused: Fused| {
        let normalised = Fused {
            normalised: true,
            ..fused
        };
        Some((fused, pass(fused)?, pass(normalised)?))
    };
    let sums = Fused {
        sums: true,
        ..PLAIN
    };
    [PLAIN, sums, POOLED].into_iter().filter_map(pair).collect()
}

/// The output, and the sums if there are any; false where the pass cannot normalise.
fn forward(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let geometry = problem.geometry;
    let pairs = pairs(|fused| Forward::new(cpu, geometry, algorithm, fused));
    let normalised = by.map(cpu, &problem.input);
    let [_, _, channels] = geometry.output;
    let origin = random_values(channels, 7);
    for (fused, plain, normalising) in &pairs {
        let solve = |pass: &Forward, input: Input| {
            let parts = if fused.sums { pass.sums_parts() } else { 0 };
            let mut parts = nan(parts * 2 * channels);
            let sums = Sums::new(&origin, &mut parts);
            let epilogue = Epilogue {
                sums: fused.sums.then_some(&sums),
                ..Epilogue::default()
            };
            let mut output = nan(match fused.pooled {
                false => geometry.output_len(),
                true => geometry.pooled_len(),
            });
            let mut winners: Vec<Winner> = vec![9; output.len()];
            let to = match fused.pooled {
                false => Destination::Map(&mut output),
                true => Destination::Pooled {
                    values: &mut output,
                    winners: Some(&mut winners),
                },
            };
            pass.compute(cpu, input, &problem.weights, epilogue, to);
            [&output[..], &parts[..]].concat()
        };
        let expected = solve(plain, (&normalised).into());
        let found = solve(normalising, by.input(&problem.input));
        let what = cpu.instruction_set();
        assert!(found == expected, "{what} {algorithm} {:?}", by.activation);
        let map = solve(normalising, (&normalised).into());
        assert!(map == expected, "it can still read a map");
    }
    !pairs.is_empty()
}

fn weight_gradient(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let geometry = problem.geometry;
    let pairs = pairs(|fused| WeightGradient::new(cpu, geometry, algorithm, fused));
    let normalised = by.map(cpu, &problem.input);
    let gradient = random_values(geometry.pooled_len(), 21);
    let winners: Vec<Winner> = (0..gradient.len()).map(|i| (i * 7 % 4) as Winner).collect();
    for (fused, plain, normalising) in &pairs {
        let from = match fused.pooled {
            false => OutputGradient::Map(&problem.output_gradient),
            true => OutputGradient::Pooled(Pooled {
                gradient: &gradient,
                winners: &winners,
            }),
        };
        let solve = |pass: &WeightGradient, input: Input| pass.compute(cpu, input, from).concat();
        let expected = solve(plain, (&normalised).into());
        let found = solve(normalising, by.input(&problem.input));
        let what = cpu.instruction_set();
        assert!(found == expected, "{what} {algorithm} weights");
        let map = solve(normalising, (&normalised).into());
        assert!(map == expected, "it can still read a map");
    }
    !pairs.is_empty()
}

fn mask(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let fused = Fused {
        normalised: true,
        sums: true,
        ..PLAIN
    };
    let Some(pass) = InputGradient::new(cpu, problem.geometry, algorithm, fused) else {
        return false;
    };
    let normalised = by.map(cpu, &problem.input);
    let origin = random_values(problem.geometry.input[2], 7);
    let old = random_values(problem.input.len(), 8);
    for accumulate in [false, true] {
        let solve = |y: Input| {
            let mut parts = nan(pass.sums_parts() * 2 * origin.len());
            let sums = Sums::new(&origin, &mut parts);
            let mut gradient = Buffer::from(&old[..]);
            let epilogue = GradientEpilogue {
                accumulate,
                mask: Some((y, by.activation)),
                sums: Some(&sums),
            };
            let from = OutputGradient::Map(&problem.output_gradient);
            pass.compute(cpu, from, &problem.weights, epilogue, &mut gradient);
            [&gradient[..], &parts[..]].concat()
        };
        let [found, expected] = [by.input(&problem.input), (&normalised).into()].map(solve);
        let what = cpu.instruction_set();
        assert!(found == expected, "{what} {algorithm} mask");
    }
    true
}

/// Which of forward, weight gradient and mask can normalise.
fn check(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, activation: Activation) -> [bool; 3] {
    let by = Factors::new(problem.geometry.input[2], activation);
    [
        forward(cpu, problem, algorithm, &by),
        weight_gradient(cpu, problem, algorithm, &by),
        mask(cpu, problem, algorithm, &by),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn normalising_on_the_way_gives_the_same_bits(geometry in geometries()) {
        let problem = Problem::new(geometry);
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for algorithm in Algorithm::ORDER {
                for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
                    check(&cpu, &problem, algorithm, activation);
                }
            }
        }
    }
}

#[test]
fn layers_after_batch_normalisation_normalise() {
    let depthwise = square(5, 15, 48, 48, 3).with(|s| {
        s.groups = 48;
    });
    for (geometry, algorithm) in [
        (square(2, 15, 24, 40, 3), Algorithm::Winograd),
        (square(1, 6, 300, 320, 3), Algorithm::Winograd),
        // The weight gradient sums the tiles in shares.
        (square(16, 29, 5, 7, 3), Algorithm::Winograd),
        (square(2, 15, 24, 40, 3), Algorithm::Direct),
        (square(3, 14, 96, 24, 1), Algorithm::Direct),
        (square(3, 7, 160, 320, 1), Algorithm::Direct),
        (depthwise, Algorithm::Depthwise),
    ] {
        let problem = Problem::new(geometry);
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            let can = check(&cpu, &problem, algorithm, Activation::Relu);
            assert_eq!(can, [true; 3], "{algorithm} {geometry:?}");
        }
    }
}

#[test]
#[should_panic(expected = "does not normalise")]
fn a_pass_that_cannot_normalise_says_so() {
    let geometry = square(1, 8, 3, 8, 3);
    let problem = Problem::new(geometry);
    let cpu = Cpu::best(1);
    let normalised = Fused {
        normalised: true,
        ..PLAIN
    };
    let pass = |fused| WeightGradient::new(&cpu, geometry, Algorithm::Direct, fused);
    assert!(pass(normalised).is_none());
    let by = Factors::new(3, Activation::Relu);
    let from = OutputGradient::Map(&problem.output_gradient);
    let pass = pass(PLAIN).expect("the direct algorithm computes all");
    pass.compute(&cpu, by.input(&problem.input), from);
}
