mod joint;
mod lengths;
mod normalised;
mod pooled;
mod summed;

use proptest::prelude::*;

use super::*;
use crate::activation::Activation;
use crate::map::{Input, Normalised};
use crate::{Buffer, Cpu, InstructionSet, reference};

/// Geometries of all kinds: strides beyond the kernel, kernels as large as the image, no padding or too much, groups.
fn geometries() -> impl Strategy<Value = Geometry> {
    let pair = |most: usize| [1..=most, 1..=most];
    (
        1..=3_usize,
        pair(13),
        prop_oneof![
            (Just(1_usize), 1..=70_usize, 1..=70_usize),
            (Just(1_usize), 1..=20_usize, 1..=9_usize),
            (1..=4_usize, 1..=9_usize, 1..=20_usize),
            (1..=90_usize, Just(1), Just(1)),
        ],
        pair(4),
        pair(3),
        pair(2),
        [0..=2_usize, 0..=2_usize],
        [0..=2_usize, 0..=2_usize],
    )
        .prop_map(
            |(batch, size, (groups, input, output), kernel, stride, dilation, before, after)| {
                let fits = |axis: usize| {
                    let reach = (kernel[axis] - 1) * dilation[axis] + 1;
                    let padded = (size[axis] + before[axis] + after[axis]).max(reach);
                    (padded - reach) / stride[axis] + 1
                };
                Geometry::new(Settings {
                    batch,
                    input: [size[0], size[1], groups * input],
                    output: [fits(0), fits(1), groups * output],
                    kernel,
                    stride,
                    dilation,
                    padding: before,
                    groups,
                })
                .expect("a usual convolution")
            },
        )
}

/// Values between −1 and 1 that look random.
pub(in crate::conv) fn random_values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A buffer of NaN, which shows elements that a pass does not write.
fn nan(length: usize) -> Buffer {
    Buffer::from(&vec![f32::NAN; length][..])
}

impl Forward {
    /// Packs the weights and runs, in buffers full of NaN.
    pub(super) fn compute<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        weights: &'a [f32],
        epilogue: Epilogue<'a>,
        output: Destination<'a>,
    ) {
        let mut packed = nan(self.packed_len());
        self.pack(cpu, weights, &mut packed);
        let packed = if packed.is_empty() { weights } else { &packed };
        let operands = ForwardOperands {
            input: input.into(),
            packed,
            epilogue,
            output,
            scratch: &mut nan(self.scratch_len()),
        };
        self.run(cpu, operands);
    }
}

impl InputGradient {
    /// Packs the weights and runs, in buffers full of NaN.
    pub(super) fn compute<'a>(
        &self,
        cpu: &Cpu,
        output_gradient: OutputGradient<'a>,
        weights: &'a [f32],
        epilogue: GradientEpilogue<'a>,
        input_gradient: &'a mut [f32],
    ) {
        let mut packed = nan(self.packed_len());
        self.pack(cpu, weights, &mut packed);
        let packed = if packed.is_empty() { weights } else { &packed };
        let operands = InputGradientOperands {
            output_gradient,
            packed,
            epilogue,
            input_gradient,
            scratch: &mut nan(self.scratch_len()),
        };
        self.run(cpu, operands);
    }
}

impl WeightGradient {
    /// Runs in buffers full of NaN. Returns the gradient of the weights, followed by that of the bias.
    pub(super) fn compute<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        output_gradient: OutputGradient<'a>,
    ) -> [Vec<f32>; 2] {
        let mut weight_gradient = nan(self.geometry().weights_len());
        let mut bias_gradient = nan(self.geometry().output[2]);
        let operands = WeightGradientOperands {
            input: input.into(),
            output_gradient,
            weight_gradient: &mut weight_gradient,
            bias_gradient: Some(&mut bias_gradient),
            scratch: &mut nan(self.scratch_len()),
        };
        self.run(cpu, operands);
        [weight_gradient.to_vec(), bias_gradient.to_vec()]
    }
}

const PLAIN: Fused = Fused {
    pooled: false,
    normalised: false,
    sums: false,
};
const POOLED: Fused = Fused {
    pooled: true,
    ..PLAIN
};

fn close(what: &str, actual: &[f32], (expected, magnitudes): &(Vec<f64>, Vec<f64>), terms: usize) {
    assert_eq!(actual.len(), expected.len());
    for (i, actual) in actual.iter().enumerate() {
        let bound = 4.0 * f64::from(f32::EPSILON) * (terms as f64).sqrt() * magnitudes[i];
        let error = (f64::from(*actual) - expected[i]).abs();
        assert!(
            error <= bound,
            "{what} {i}: {actual} instead of {}",
            expected[i]
        );
    }
}

struct Problem {
    geometry: Geometry,
    input: Vec<f32>,
    weights: Vec<f32>,
    output_gradient: Vec<f32>,
}

impl Problem {
    fn new(geometry: Geometry) -> Self {
        let size = |shape: [usize; 3]| geometry.batch * shape.iter().product::<usize>();
        Self {
            geometry,
            input: random_values(size(geometry.input), 1),
            weights: random_values(geometry.weights_len(), 2),
            output_gradient: random_values(size(geometry.output), 3),
        }
    }

    /// Output, input gradient, weight gradient and bias gradient by one algorithm. A result is empty where the algorithm has no such pass.
    fn solve(&self, cpu: &Cpu, algorithm: Algorithm) -> [Vec<f32>; 4] {
        let (geometry, weights) = (self.geometry, &self.weights);
        // On a cache line, so that maps that are large for a test are streamed.
        let mut output = nan(self.output_gradient.len());
        match Forward::new(cpu, geometry, algorithm, PLAIN) {
            Some(pass) => {
                let to = Destination::Map(&mut output);
                pass.compute(cpu, &self.input, weights, Epilogue::default(), to);
            }
            None => output = nan(0),
        }
        let from = OutputGradient::Map(&self.output_gradient);
        let mut input_gradient = nan(self.input.len());
        match InputGradient::new(cpu, geometry, algorithm, PLAIN) {
            Some(pass) => {
                let epilogue = GradientEpilogue::default();
                pass.compute(cpu, from, weights, epilogue, &mut input_gradient);
            }
            None => input_gradient = nan(0),
        }
        let pass = WeightGradient::new(cpu, geometry, algorithm, PLAIN);
        let gradients = pass.map(|pass| pass.compute(cpu, &self.input, from));
        let [weight_gradient, bias_gradient] = gradients.unwrap_or_default();
        [
            output.to_vec(),
            input_gradient.to_vec(),
            weight_gradient,
            bias_gradient,
        ]
    }

    fn check(&self) {
        let geometry = &self.geometry;
        let [taps_y, taps_x] = geometry.kernel;
        let terms = taps_y * taps_x * geometry.input[2] / geometry.groups;
        let back_terms = taps_y * taps_x * geometry.output[2] / geometry.groups;
        let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
        let expected = reference::conv::forward(geometry, &self.input, &self.weights);
        let expected_input =
            reference::conv::input_gradient(geometry, &self.output_gradient, &self.weights);
        let expected_weight =
            reference::conv::weight_gradient(geometry, &self.input, &self.output_gradient);
        let expected_bias = reference::conv::bias_gradient(geometry, &self.output_gradient);
        for set in InstructionSet::available() {
            // Winograd's errors have another bound, which its own tests check.
            for algorithm in Algorithm::ORDER
                .into_iter()
                .filter(|by| *by != Algorithm::Winograd)
            {
                let results = self.solve(&Cpu::new(set, 1), algorithm);
                let passes = [
                    ("output", &expected, terms),
                    ("input gradient", &expected_input, back_terms),
                    ("weight gradient", &expected_weight, pixels),
                    ("bias gradient", &expected_bias, pixels),
                ];
                for (result, (what, expected, terms)) in results.iter().zip(passes) {
                    let is_needed = algorithm == Algorithm::Direct;
                    if is_needed || !result.is_empty() {
                        let what = format!("{set} {algorithm} {what}");
                        close(&what, result, expected, terms);
                    }
                }
            }
        }
    }
}

#[test]
fn taps_on_padding_are_no_multiply_adds_inside() {
    let geometry = Geometry::new(Settings {
        batch: 2,
        input: [3, 4, 5],
        output: [3, 4, 7],
        kernel: [3; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [1; 2],
        groups: 1,
    })
    .expect("a usual convolution");
    // The windows have 9 × 12 taps. Those of the first and last row and column lack 3 each.
    assert_eq!(geometry.multiply_adds(), 2 * 35 * 9 * 12);
    assert_eq!(geometry.multiply_adds_inside(), 2 * 35 * 7 * 10);
    let unpadded = geometry.with(|s| {
        s.output = [1, 2, 7];
        s.padding = [0; 2];
    });
    assert_eq!(unpadded.multiply_adds_inside(), unpadded.multiply_adds());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_instruction_set_computes_every_geometry(geometry in geometries()) {
        Problem::new(geometry).check();
    }
}

fn square(batch: usize, size: usize, input: usize, output: usize, kernel: usize) -> Geometry {
    Geometry::new(Settings {
        batch,
        input: [size, size, input],
        output: [size, size, output],
        kernel: [kernel; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [kernel / 2; 2],
        groups: 1,
    })
    .expect("a usual convolution")
}

#[test]
fn layers_of_real_networks_agree_with_the_reference() {
    for geometry in [
        square(7, 1, 300, 110, 1),
        square(1, 1, 130, 1000, 1),
        square(150, 1, 40, 10, 1),
        // One group of rows with several chunks.
        square(200, 1, 256, 256, 1),
        square(2, 32, 3, 32, 3),
        square(3, 28, 1, 20, 5),
        square(2, 7, 128, 96, 3),
        // LeNet's few filters. The input gradient of the second convolution has few channels.
        square(3, 28, 1, 6, 5),
        square(3, 14, 6, 16, 5).with(|s| {
            s.output = [10, 10, 16];
            s.padding = [0; 2];
        }),
        // Rows longer than a strip.
        square(1, 230, 8, 4, 3),
        square(1, 56, 3, 64, 7).with(|s| {
            s.output = [28, 28, 64];
            s.stride = [2; 2];
        }),
        square(2, 20, 64, 64, 3).with(|s| {
            s.groups = 64;
        }),
        // Groups that begin within a cache line, on a map that is streamed.
        square(2, 12, 32, 48, 3).with(|s| {
            s.groups = 4;
        }),
        square(1, 9, 48, 48, 1).with(|s| {
            s.groups = 16;
        }),
        // Rows of few channels that begin within a cache line, on a map that is streamed.
        square(3, 16, 2, 4, 3),
        square(2, 32, 8, 4, 5),
    ] {
        Problem::new(geometry).check();
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for geometry in [
        square(3, 14, 40, 50, 3),
        square(100, 1, 64, 64, 1),
        square(9, 28, 3, 6, 5),
        square(9, 28, 3, 32, 3),
        square(5, 15, 48, 48, 3).with(|s| {
            s.groups = 48;
        }),
    ] {
        let problem = Problem::new(geometry);
        for algorithm in Algorithm::ORDER {
            let one = problem.solve(&Cpu::best(1), algorithm);
            for threads in 2..5 {
                let many = problem.solve(&Cpu::best(threads), algorithm);
                assert!(many == one, "{algorithm}, {threads} threads");
            }
        }
    }
}

#[test]
fn epilogues_follow_their_formula() {
    for (geometry, algorithm) in [
        (square(2, 9, 5, 21, 3), Algorithm::Direct),
        // Loops that finish a row of the target as one pixel.
        (square(2, 9, 5, 4, 3), Algorithm::Spread),
        (square(1, 3, 5, 21, 3), Algorithm::Indirect),
    ] {
        let problem = Problem::new(geometry);
        let (cpu, filters) = (Cpu::best(2), geometry.output[2]);
        let [plain, plain_gradient, ..] = problem.solve(&cpu, algorithm);
        let bias = random_values(filters, 4);
        let add = random_values(plain.len(), 5);
        let pass = Forward::new(&cpu, geometry, algorithm, PLAIN).expect("it computes this");
        let mut output = nan(plain.len());
        let epilogue = Epilogue {
            bias: Some(&bias),
            add: Some(&add),
            activation: Activation::Relu,
            sums: None,
        };
        let to = Destination::Map(&mut output);
        pass.compute(&cpu, &problem.input, &problem.weights, epilogue, to);
        for (i, output) in output.iter().enumerate() {
            assert_eq!(*output, (plain[i] + bias[i % filters] + add[i]).max(0.0));
        }

        let pass = InputGradient::new(&cpu, geometry, algorithm, PLAIN).expect("it computes this");
        let old = random_values(plain_gradient.len(), 6);
        let mut gradient = old.clone();
        let epilogue = GradientEpilogue {
            accumulate: true,
            mask: Some(((&problem.input).into(), Activation::LeakyRelu(0.5))),
            sums: None,
        };
        let from = OutputGradient::Map(&problem.output_gradient);
        pass.compute(&cpu, from, &problem.weights, epilogue, &mut gradient);
        for (i, gradient) in gradient.iter().enumerate() {
            let slope = if problem.input[i] > 0.0 { 1.0 } else { 0.5 };
            assert_eq!(*gradient, (plain_gradient[i] + old[i]) * slope);
        }
    }
}
