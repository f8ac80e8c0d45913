//! A map that is normalised while it is read gives the bits that the normalised map gives.
use super::*;
use crate::batch_norm;
use crate::pool::{Pooled, Winner};

/// What the problem's input is normalised by.
struct Factors {
    factor: Vec<f32>,
    summand: Vec<f32>,
    activation: Activation,
}

impl Factors {
    fn new(channels: usize, activation: Activation) -> Self {
        let factor = numbers(channels, 11).iter().map(|x| 3.0 * x).collect();
        let summand = numbers(channels, 12);
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

/// The output, and the sums if there are any; false where the pass cannot normalise.
fn forward(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let pooled = Forward::pooled(cpu, problem.geometry, algorithm);
    let passes = [Some(Forward::new(cpu, problem.geometry, algorithm)), pooled];
    let mut any = false;
    for (is_pooled, pass) in passes.into_iter().enumerate() {
        let Some(mut pass) = pass else { continue };
        let plain_scratch = pass.scratch_len();
        let normalised = by.map(cpu, &problem.input);
        let mut packed = nan(pass.packed_len());
        pass.pack(cpu, &problem.weights, &mut packed);
        let weights = packed_or_plain(&packed, &problem.weights);
        let [_, _, channels] = problem.geometry.output;
        let origin = numbers(channels, 7);
        let solve = |pass: &Forward, input: Input, scratch: usize| {
            let mut scratch = nan(scratch);
            let mut output = nan(match is_pooled {
                0 => problem.output_gradient.len(),
                _ => pooled_length(&problem.geometry),
            });
            if is_pooled == 1 {
                let mut winners: Vec<Winner> = vec![9; output.len()];
                let (to, epilogue) = (&mut output[..], Epilogue::default());
                let asked = Some(&mut winners[..]);
                pass.run_pooled(cpu, input, weights, &epilogue, to, asked, &mut scratch);
                output.to_vec()
            } else {
                let parts = pass.sums_parts().unwrap_or(0);
                let mut parts = nan(parts * 2 * channels);
                let sums = Sums::new(&origin, &mut parts);
                let epilogue = Epilogue {
                    sums: pass.sums_parts().map(|_| &sums),
                    ..Epilogue::default()
                };
                pass.run(cpu, input, weights, &epilogue, &mut output, &mut scratch);
                [&output[..], &parts[..]].concat()
            }
        };
        let expected = solve(&pass, (&normalised).into(), plain_scratch);
        if !pass.normalise_input(cpu) {
            continue;
        }
        any = true;
        let found = solve(&pass, by.input(&problem.input), pass.scratch_len());
        let what = cpu.instruction_set();
        assert!(found == expected, "{what} {algorithm} {:?}", by.activation);
        let map = solve(&pass, (&normalised).into(), pass.scratch_len());
        assert!(map == expected, "it can still read a map");
    }
    any
}

fn pooled_length(geometry: &Geometry) -> usize {
    let [height, width, channels] = geometry.output;
    geometry.batch * (height / 2) * (width / 2) * channels
}

fn weight_gradient(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let geometry = problem.geometry;
    let pooled = WeightGradient::pooled(cpu, geometry, algorithm);
    let passes = [Some(WeightGradient::new(cpu, geometry, algorithm)), pooled];
    let gradient = numbers(pooled_length(&geometry), 21);
    let winners: Vec<Winner> = (0..gradient.len()).map(|i| (i * 7 % 4) as Winner).collect();
    let mut any = false;
    for (is_pooled, pass) in passes.into_iter().enumerate() {
        let Some(mut pass) = pass else { continue };
        let normalised = by.map(cpu, &problem.input);
        let solve = |pass: &WeightGradient, input: Input| {
            let (mut weights, mut bias) = (nan(geometry.weights()), nan(geometry.output[2]));
            let (to, bias_to) = (&mut weights[..], Some(&mut bias[..]));
            let mut scratch = nan(pass.scratch_len());
            if is_pooled == 1 {
                let pooled = Pooled {
                    gradient: &gradient,
                    winners: &winners,
                };
                pass.run_pooled(cpu, input, pooled, to, bias_to, &mut scratch);
            } else {
                let from = &problem.output_gradient;
                pass.run(cpu, input, from, to, bias_to, &mut scratch);
            }
            [&weights[..], &bias[..]].concat()
        };
        let expected = solve(&pass, (&normalised).into());
        if !pass.normalise_input(cpu) {
            continue;
        }
        any = true;
        let found = solve(&pass, by.input(&problem.input));
        let what = cpu.instruction_set();
        assert!(found == expected, "{what} {algorithm} weights");
        assert!(
            solve(&pass, (&normalised).into()) == expected,
            "it can still read a map"
        );
    }
    any
}

fn mask(cpu: &Cpu, problem: &Problem, algorithm: Algorithm, by: &Factors) -> bool {
    let pass = InputGradient::new(cpu, problem.geometry, algorithm);
    if !pass.normalises_mask() {
        return false;
    }
    let mut packed = nan(pass.packed_len());
    pass.pack(cpu, &problem.weights, &mut packed);
    let normalised = by.map(cpu, &problem.input);
    let origin = numbers(problem.geometry.input[2], 7);
    let old = numbers(problem.input.len(), 8);
    for accumulate in [false, true] {
        let solve = |y: Input| {
            let mut parts = nan(pass.sums_parts().unwrap_or(0) * 2 * origin.len());
            let sums = Sums::new(&origin, &mut parts);
            let mut gradient = Buffer::from(&old[..]);
            let epilogue = GradientEpilogue {
                accumulate,
                mask: Some((y, by.activation)),
                sums: pass.sums_parts().map(|_| &sums),
            };
            pass.run(
                cpu,
                &problem.output_gradient,
                packed_or_plain(&packed, &problem.weights),
                &epilogue,
                &mut gradient,
                &mut nan(pass.scratch_len()),
            );
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
            for algorithm in Algorithm::candidates(&geometry) {
                for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
                    check(&cpu, &problem, algorithm, activation);
                }
            }
        }
    }
}

#[test]
fn layers_after_batch_normalisation_normalise() {
    let depthwise = Geometry {
        groups: 48,
        ..square(5, 15, 48, 48, 3)
    };
    for (geometry, algorithm) in [
        (square(2, 15, 24, 40, 3), Algorithm::Winograd),
        (square(1, 6, 300, 320, 3), Algorithm::Winograd),
        // The weight gradient adds the tiles up in shares.
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
    let mut pass = WeightGradient::new(&cpu, geometry, Algorithm::Direct);
    assert!(!pass.normalise_input(&cpu));
    let by = Factors::new(3, Activation::Relu);
    let (mut weights, mut scratch) = (nan(geometry.weights()), nan(pass.scratch_len()));
    let (input, gradient) = (by.input(&problem.input), &problem.output_gradient);
    pass.run(&cpu, input, gradient, &mut weights, None, &mut scratch);
}
