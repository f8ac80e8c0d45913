//! The sums that a pass takes while it stores.
use super::*;
use crate::batch_norm;

/// The map that a pass stores, and its sums `[part, 2, channels]`. Both are full of NaN before.
struct Summed {
    map: Vec<f32>,
    parts: Vec<f32>,
}

const SUMS: Fused = Fused {
    sums: true,
    ..PLAIN
};

/// None where the pass takes no sums.
fn forward(
    problem: &Problem,
    cpu: &Cpu,
    algorithm: Algorithm,
    origin: &[f32],
    bias: Option<&[f32]>,
) -> Option<Summed> {
    let pass = Forward::new(cpu, problem.geometry, algorithm, SUMS)?;
    let mut parts = nan(pass.sums_parts() * 2 * origin.len());
    let mut map = nan(problem.output_gradient.len());
    let epilogue = Epilogue {
        bias,
        sums: Some(&Sums::new(origin, &mut parts)),
        ..Epilogue::default()
    };
    let to = Destination::Map(&mut map);
    pass.compute(cpu, &problem.input, &problem.weights, epilogue, to);
    let (map, parts) = (map.to_vec(), parts.to_vec());
    Some(Summed { map, parts })
}

fn input_gradient(
    problem: &Problem,
    cpu: &Cpu,
    algorithm: Algorithm,
    origin: &[f32],
    activation: Activation,
    old: Option<&[f32]>,
) -> Option<Summed> {
    let pass = InputGradient::new(cpu, problem.geometry, algorithm, SUMS)?;
    let mut parts = nan(pass.sums_parts() * 2 * origin.len());
    let mut map = old.map_or_else(|| nan(problem.input.len()), Buffer::from);
    let epilogue = GradientEpilogue {
        accumulate: old.is_some(),
        mask: Some(((&problem.input).into(), activation)),
        sums: Some(&Sums::new(origin, &mut parts)),
    };
    let from = OutputGradient::Map(&problem.output_gradient);
    pass.compute(cpu, from, &problem.weights, epilogue, &mut map);
    let (map, parts) = (map.to_vec(), parts.to_vec());
    Some(Summed { map, parts })
}

/// Checks the sums. `terms(i)` gives the two terms that element `i` of the map contributes.
fn check(what: &str, summed: &Summed, channels: usize, terms: impl Fn(usize) -> [f64; 2]) {
    for c in 0..channels {
        let (mut sums, mut magnitudes) = ([0.0; 2], [0.0; 2]);
        for i in (c..summed.map.len()).step_by(channels) {
            for (k, term) in terms(i).into_iter().enumerate() {
                sums[k] += term;
                magnitudes[k] += term.abs();
            }
        }
        for k in 0..2 {
            let of_parts = summed.parts.chunks_exact(channels).skip(k).step_by(2);
            let found: f64 = of_parts.map(|part| f64::from(part[c])).sum();
            // No f32 sum has a thousand terms.
            let bound = 1e-5 * magnitudes[k];
            let error = (found - sums[k]).abs();
            assert!(
                error <= bound,
                "{what}, channel {c}, sum {k}: {found} instead of {}",
                sums[k]
            );
        }
    }
}

fn check_forward(problem: &Problem, cpu: &Cpu, algorithm: Algorithm, with_bias: bool) -> bool {
    let channels = problem.geometry.output[2];
    let (origin, bias) = (random_values(channels, 7), random_values(channels, 8));
    let bias = with_bias.then_some(&bias[..]);
    let Some(summed) = forward(problem, cpu, algorithm, &origin, bias) else {
        return false;
    };
    let what = format!("{} {algorithm} forward", cpu.instruction_set());
    check(&what, &summed, channels, |i| {
        let difference = f64::from(summed.map[i]) - f64::from(origin[i % channels]);
        [difference, difference * difference]
    });
    if !with_bias && algorithm != Algorithm::Winograd {
        assert!(
            problem.solve(cpu, algorithm)[0] == summed.map,
            "{what}: another map"
        );
    }
    true
}

fn check_gradient(
    problem: &Problem,
    cpu: &Cpu,
    algorithm: Algorithm,
    activation: Activation,
    accumulate: bool,
) -> bool {
    let channels = problem.geometry.input[2];
    let (origin, old) = (
        random_values(channels, 7),
        random_values(problem.input.len(), 8),
    );
    let old = accumulate.then_some(&old[..]);
    let Some(summed) = input_gradient(problem, cpu, algorithm, &origin, activation, old) else {
        return false;
    };
    let what = format!("{} {algorithm} {activation:?}", cpu.instruction_set());
    check(&what, &summed, channels, |i| {
        let (gradient, y) = (f64::from(summed.map[i]), f64::from(problem.input[i]));
        [gradient, gradient * (y - f64::from(origin[i % channels]))]
    });
    true
}

fn check_all(geometry: Geometry) {
    let problem = Problem::new(geometry);
    for set in InstructionSet::available() {
        let cpu = Cpu::new(set, 2);
        for algorithm in Algorithm::ORDER {
            check_forward(&problem, &cpu, algorithm, false);
            check_forward(&problem, &cpu, algorithm, true);
            use Activation::{Identity, Relu, Relu6, Tanh};
            for activation in [Identity, Relu, Relu6, Tanh] {
                for accumulate in [false, true] {
                    check_gradient(&problem, &cpu, algorithm, activation, accumulate);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sums_are_those_of_what_was_stored(geometry in geometries()) {
        check_all(geometry);
    }
}

#[test]
fn layers_before_and_after_batch_normalisation_are_summed() {
    let depthwise = square(5, 15, 48, 48, 3).with(|s| {
        s.groups = 48;
    });
    for (geometry, algorithm) in [
        (square(2, 15, 24, 40, 3), Algorithm::Winograd),
        (square(1, 6, 300, 320, 3), Algorithm::Winograd),
        (square(2, 15, 24, 40, 3), Algorithm::Direct),
        (square(3, 14, 96, 24, 1), Algorithm::Direct),
        (depthwise, Algorithm::Depthwise),
    ] {
        let problem = Problem::new(geometry);
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            assert!(check_forward(&problem, &cpu, algorithm, false));
            let relu6 = Activation::Relu6;
            assert!(check_gradient(&problem, &cpu, algorithm, relu6, false));
        }
        // The same parts and bits for any number of threads.
        let origin = random_values(geometry.output[2], 7);
        let [one, three] = [1, 3].map(|threads| {
            let cpu = Cpu::best(threads);
            forward(&problem, &cpu, algorithm, &origin, None).expect("it takes sums")
        });
        assert!(one.map == three.map && one.parts == three.parts);
    }
}

/// A wide empty area: all values of a channel are nearly the same, and so are their rounding errors.
#[test]
fn the_variance_of_a_large_even_map_is_that_of_its_values() {
    for (side, channels, algorithm) in [
        (300, 1, Algorithm::Direct),
        (190, 3, Algorithm::Direct),
        (120, 16, Algorithm::Direct),
        (120, 16, Algorithm::Winograd),
        (120, 16, Algorithm::Depthwise),
    ] {
        let (outputs, groups) = match algorithm {
            Algorithm::Depthwise => (channels, channels),
            _ => (24, 1),
        };
        let geometry = square(2, side, channels, outputs, 3).with(|s| {
            s.groups = groups;
        });
        let mut problem = Problem::new(geometry);
        for (i, value) in problem.input.iter_mut().enumerate() {
            *value = 0.3 + if i % 7 == 0 { 0.01 } else { 0.0 };
        }
        for origin in [0.0, 0.7] {
            let origin = vec![origin; outputs];
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                let summed =
                    forward(&problem, &cpu, algorithm, &origin, None).expect("it takes sums");
                let rows = summed.map.len() / outputs;
                let (mut mean, mut variance) = (vec![0.0; outputs], vec![0.0; outputs]);
                // With an epsilon of 1 nothing is too far away.
                let parts = &summed.parts;
                let _ = batch_norm::statistics_of_sums(
                    parts,
                    &origin,
                    rows,
                    1.0,
                    &mut mean,
                    &mut variance,
                );
                for c in 0..outputs {
                    let column = || {
                        summed
                            .map
                            .iter()
                            .skip(c)
                            .step_by(outputs)
                            .map(|x| f64::from(*x))
                    };
                    let expected = column().sum::<f64>() / rows as f64;
                    let squares: f64 = column().map(|x| (x - expected).powi(2)).sum();
                    let distance = expected - f64::from(origin[c]);
                    // Relative to the mean square, of which the variance is a small part here.
                    let exact = 4e-5 * (squares / rows as f64 + distance * distance);
                    let error = (f64::from(variance[c]) - squares / rows as f64).abs();
                    assert!(
                        error <= exact,
                        "{set} {algorithm} {side}², channel {c}: {error}, not {exact}"
                    );
                }
            }
        }
    }
}
