//! The joint pass computes the bits of the passes one after the other.
use super::*;
use crate::Normalised;
use crate::batch_norm;

/// A problem whose output was normalised, and its gradient.
struct Normal {
    problem: Problem,
    output: Vec<f32>,
    mean: Vec<f32>,
    coefficients: Vec<f32>,
    /// If given, the gradient of the input is added to it.
    old: Option<Vec<f32>>,
    with_bias: bool,
    /// The normalisation of the input, if it has one.
    factors: Option<[Vec<f32>; 2]>,
}

/// Gradients of weights, bias and input.
type Gradients = [Vec<f32>; 3];

impl Normal {
    fn new(geometry: Geometry, accumulate: bool, normalise: bool, with_bias: bool) -> Self {
        let problem = Problem::new(geometry);
        let channels = geometry.output[2];
        let factors = [11, 12].map(|seed| random_values(geometry.input[2], seed));
        Self {
            output: random_values(problem.output_gradient.len(), 31),
            mean: random_values(channels, 32),
            coefficients: random_values(3 * channels, 33),
            old: accumulate.then(|| random_values(problem.input.len(), 34)),
            with_bias,
            factors: normalise.then_some(factors),
            problem,
        }
    }

    fn input(&self) -> Input<'_> {
        Input {
            map: &self.problem.input,
            normalised: self.factors.as_ref().map(|[factor, summand]| Normalised {
                factor,
                summand,
                activation: Activation::Relu6,
            }),
        }
    }

    fn output_gradient(&self) -> batch_norm::InputGradient<'_> {
        batch_norm::InputGradient {
            input: &self.output,
            mean: &self.mean,
            output_gradient: &self.problem.output_gradient,
            coefficients: &self.coefficients,
        }
    }

    /// Where the gradient of the input is stored.
    fn target(&self) -> Buffer {
        let length = self.problem.input.len();
        (self.old.as_ref()).map_or_else(|| nan(length), |old| Buffer::from(&old[..]))
    }

    /// The two passes by the direct algorithm. None where it cannot compute them.
    fn passes(&self, cpu: &Cpu) -> Option<(WeightGradient, InputGradient)> {
        let (geometry, direct) = (self.problem.geometry, Algorithm::Direct);
        let fused = Fused {
            normalised: self.factors.is_some(),
            ..PLAIN
        };
        let weights = WeightGradient::new(cpu, geometry, direct, fused)?;
        let inputs = InputGradient::new(cpu, geometry, direct, fused)?;
        Some((weights, inputs))
    }

    /// The gradients, pass by pass.
    fn apart(&self, cpu: &Cpu, reaches_back: bool) -> Gradients {
        let mut gradient = nan(self.output.len());
        (self.output_gradient()).write(cpu, &mut gradient, false);
        let (weights, inputs) = self.passes(cpu).expect("the joint pass was made of them");
        let from = OutputGradient::Map(&gradient);
        let [weight_gradient, bias] = weights.compute(cpu, self.input(), from);
        let mut target = self.target();
        if reaches_back {
            let epilogue = self.epilogue(None);
            inputs.compute(cpu, from, &self.problem.weights, epilogue, &mut target);
        }
        let bias = if self.with_bias { bias } else { Vec::new() };
        [weight_gradient, bias, target.to_vec()]
    }

    fn packed(&self, cpu: &Cpu, inputs: &InputGradient) -> Buffer {
        let mut packed = nan(inputs.packed_len());
        inputs.pack(cpu, &self.problem.weights, &mut packed);
        packed
    }

    fn epilogue<'a>(&'a self, sums: Option<&'a Sums<'a>>) -> GradientEpilogue<'a> {
        GradientEpilogue {
            accumulate: self.old.is_some(),
            mask: Some((self.input(), Activation::Relu6)),
            sums,
        }
    }

    /// The gradients in one pass, and the sums `[2, channels]`. None where there is no joint pass.
    fn joint(&self, cpu: &Cpu, reaches_back: bool) -> Option<(Gradients, Vec<f64>)> {
        let geometry = self.problem.geometry;
        let (weights, inputs) = self.passes(cpu)?;
        let pass = JointGradients::new(cpu, &weights, reaches_back.then_some(&inputs))?;
        let channels = geometry.input[2];
        let origin = random_values(channels, 7);
        let mut parts = nan(pass.sums_parts() * 2 * channels);
        let sums = Sums::new(&origin, &mut parts);
        let mut weight_gradient = nan(geometry.weights_len());
        let mut bias = nan(if self.with_bias {
            geometry.output[2]
        } else {
            0
        });
        let mut target = self.target();
        let operands = JointOperands {
            input: self.input(),
            output_gradient: self.output_gradient(),
            packed: &self.packed(cpu, &inputs),
            epilogue: self.epilogue(reaches_back.then_some(&sums)),
            weight_gradient: &mut weight_gradient,
            bias_gradient: self.with_bias.then_some(&mut bias[..]),
            input_gradient: reaches_back.then_some(&mut target[..]),
            scratch: &mut nan(pass.scratch_len()),
        };
        pass.run(cpu, operands);
        let bias = bias.to_vec();
        let mut totals = vec![0.0; 2 * channels];
        for part in parts.chunks_exact(2 * channels).filter(|_| reaches_back) {
            let each = totals.iter_mut().zip(part);
            each.for_each(|(total, sum)| *total += f64::from(*sum));
        }
        Some(([weight_gradient.to_vec(), bias, target.to_vec()], totals))
    }

    /// Checks that the gradients are those of [`Normal::apart`]. Returns whether there is a joint pass.
    fn check(&self, cpu: &Cpu, reaches_back: bool) -> bool {
        let Some((found, totals)) = self.joint(cpu, reaches_back) else {
            return false;
        };
        let expected = self.apart(cpu, reaches_back);
        let what = format!("{} {:?}", cpu.instruction_set(), self.problem.geometry);
        for (i, of) in ["weights", "bias", "input"].into_iter().enumerate() {
            let same = bits(&found[i]) == bits(&expected[i]);
            assert!(same, "{what}: gradient of {of}");
        }
        let channels = self.problem.geometry.input[2];
        let origin = random_values(channels, 7);
        for c in (0..channels).filter(|_| reaches_back) {
            let [mut sums, mut magnitudes] = [[0.0; 2]; 2];
            for i in (c..found[2].len()).step_by(channels) {
                let y = self.normalised(i);
                let gradient = f64::from(found[2][i]);
                let terms = [gradient, gradient * (y - f64::from(origin[c]))];
                for k in 0..2 {
                    sums[k] += terms[k];
                    magnitudes[k] += terms[k].abs();
                }
            }
            for k in 0..2 {
                let error = (totals[k * channels + c] - sums[k]).abs();
                // No f32 sum has a thousand terms.
                assert!(
                    error <= 1e-5 * magnitudes[k],
                    "{what}: sum {k} of channel {c}"
                );
            }
        }
        true
    }

    /// The map that the convolution reads.
    fn normalised(&self, i: usize) -> f64 {
        let x = self.problem.input[i];
        let c = i % self.problem.geometry.input[2];
        f64::from(match &self.factors {
            None => x,
            Some([factor, summand]) => x.mul_add(factor[c], summand[c]).clamp(0.0, 6.0),
        })
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Problems as they are, and with a kernel of one tap that reads every pixel, also of few channels between borders of zeros.
fn any_or_pointwise() -> impl Strategy<Value = Geometry> {
    let pointwise = |geometry: Geometry| {
        let [height, width, _] = geometry.input;
        geometry.with(|s| {
            s.output = [height, width, geometry.output[2]];
            s.kernel = [1, 1];
            s.stride = [1, 1];
            s.dilation = [1, 1];
            s.padding = [0, 0];
        })
    };
    let padded = move |geometry: Geometry, channels: usize| {
        let [top, left] = geometry.padding;
        let [height, width, _] = geometry.input;
        pointwise(geometry).with(|s| {
            s.input = [height, width, channels];
            s.output = [height + 2 * top, width + 2 * left, geometry.output[2]];
            s.padding = [top, left];
            s.groups = 1;
        })
    };
    prop_oneof![
        geometries(),
        geometries().prop_map(pointwise),
        (geometries(), 1..=5_usize)
            .prop_map(move |(geometry, channels)| padded(geometry, channels)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn one_pass_computes_what_several_do(
        geometry in any_or_pointwise(),
        accumulate: bool,
        normalise: bool,
        with_bias: bool,
    ) {
        let normal = Normal::new(geometry, accumulate, normalise, with_bias);
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for reaches_back in [false, true] {
                normal.check(&cpu, reaches_back);
            }
        }
    }
}

#[test]
fn layers_of_real_networks_have_one_pass_where_they_can() {
    let strided = square(2, 25, 3, 32, 3).with(|s| {
        s.output = [12, 12, 32];
        s.stride = [2, 2];
    });
    for (geometry, reaches_back) in [
        (square(2, 28, 16, 96, 1), true),
        (square(8, 14, 96, 24, 1), true),
        (square(2, 23, 24, 40, 1), true),
        (square(1, 7, 20, 33, 1), true),
        (strided, false),
        (square(2, 15, 24, 40, 3), false),
    ] {
        for (accumulate, normalise) in [(false, true), (true, false)] {
            // The input of a network's first convolution is not normalised.
            let normalise = normalise && reaches_back;
            let normal = Normal::new(geometry, accumulate, normalise, !accumulate);
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                assert!(normal.check(&cpu, reaches_back), "{geometry:?}");
            }
            let [one, three] = [1, 3].map(|threads| {
                let pass = normal.joint(&Cpu::best(threads), reaches_back);
                let (gradients, totals) = pass.expect("there was one");
                (gradients.map(|gradient| bits(&gradient)), totals)
            });
            assert!(one == three, "{geometry:?}");
        }
    }
}

#[test]
fn there_is_none_for_other_kernels_borders_groups_or_many_weights() {
    let cpu = Cpu::best(2);
    let grouped = square(2, 28, 32, 64, 1).with(|s| {
        s.groups = 2;
    });
    let padded = square(1, 28, 3, 8, 1).with(|s| {
        s.output = [30, 30, 8];
        s.padding = [1, 1];
    });
    for geometry in [
        square(2, 14, 24, 40, 3),
        grouped,
        padded,
        square(16, 7, 160, 960, 1),
    ] {
        let (weights, inputs) = direct(&cpu, geometry);
        assert!(JointGradients::new(&cpu, &weights, Some(&inputs)).is_none());
    }
    let geometry = square(2, 14, 24, 40, 3);
    let weights = WeightGradient::new(&cpu, geometry, Algorithm::Winograd, PLAIN);
    let weights = weights.expect("Winograd computes this");
    assert!(JointGradients::new(&cpu, &weights, None).is_none());
}

/// Two passes that normalise nothing.
fn direct(cpu: &Cpu, geometry: Geometry) -> (WeightGradient, InputGradient) {
    let direct = Algorithm::Direct;
    let weights = WeightGradient::new(cpu, geometry, direct, PLAIN);
    let inputs = InputGradient::new(cpu, geometry, direct, PLAIN);
    weights
        .zip(inputs)
        .expect("the direct algorithm computes all")
}

/// Runs the pass of a weight gradient that was not asked to normalise.
fn run_unasked(normalise: bool, reaches_back: bool, gives_target: bool) {
    let cpu = Cpu::best(2);
    let geometry = square(1, 8, 48, 32, 1);
    let normal = Normal::new(geometry, false, normalise, false);
    let (weights, inputs) = direct(&cpu, geometry);
    let pass = JointGradients::new(&cpu, &weights, reaches_back.then_some(&inputs));
    let pass = pass.expect("there is one");
    let mut target = normal.target();
    let operands = JointOperands {
        input: normal.input(),
        output_gradient: normal.output_gradient(),
        packed: &normal.packed(&cpu, &inputs),
        epilogue: GradientEpilogue::default(),
        weight_gradient: &mut nan(geometry.weights_len()),
        bias_gradient: None,
        input_gradient: gives_target.then_some(&mut target[..]),
        scratch: &mut nan(pass.scratch_len()),
    };
    pass.run(&cpu, operands);
}

#[test]
#[should_panic(expected = "does not normalise")]
fn a_pass_that_was_not_asked_normalises_nothing() {
    run_unasked(true, true, true);
}

#[test]
#[should_panic(expected = "no memory for the gradient of the input")]
fn a_gradient_that_is_computed_must_have_a_place() {
    run_unasked(false, true, false);
}

#[test]
#[should_panic(expected = "computes no gradient of the input")]
fn a_gradient_that_is_not_computed_has_no_place() {
    run_unasked(false, false, true);
}
