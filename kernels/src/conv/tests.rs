mod joint;
mod normalised;
mod pooled;
mod summed;

use proptest::prelude::*;

use super::*;
use crate::{Buffer, Cpu, InstructionSet, reference};

/// A few of everything: strides beyond the kernel, kernels as large as the image, no padding or too much, groups.
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
                Geometry {
                    batch,
                    input: [size[0], size[1], groups * input],
                    output: [fits(0), fits(1), groups * output],
                    kernel,
                    stride,
                    dilation,
                    padding: before,
                    groups,
                }
            },
        )
}

/// Numbers between −1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
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

/// Memory that nothing has been written to yet.
fn nan(length: usize) -> Buffer {
    Buffer::from(&vec![f32::NAN; length][..])
}

/// What a pass wants of the weights.
fn packed_or_plain<'a>(packed: &'a [f32], weights: &'a [f32]) -> &'a [f32] {
    if packed.is_empty() { weights } else { packed }
}

fn close(what: &str, actual: &[f32], (expected, magnitudes): (Vec<f64>, Vec<f64>), terms: usize) {
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
            input: numbers(size(geometry.input), 1),
            weights: numbers(geometry.weights(), 2),
            output_gradient: numbers(size(geometry.output), 3),
        }
    }

    /// Output, input gradient, weight gradient, bias gradient; memory is full of NaN before.
    fn solve(&self, cpu: &Cpu, algorithm: Algorithm) -> [Vec<f32>; 4] {
        // On a cache line, so that what the tests take for large maps is streamed.
        let nan = |length: usize| Buffer::from(&vec![f32::NAN; length][..]);
        let pass = Forward::new(cpu, self.geometry, algorithm);
        let mut packed = nan(pass.packed_len());
        pass.pack(cpu, &self.weights, &mut packed);
        let mut output = nan(self.output_gradient.len());
        let mut scratch = nan(pass.scratch_len());
        let epilogue = Epilogue::default();
        pass.run(
            cpu,
            &self.input,
            &packed,
            &epilogue,
            &mut output,
            &mut scratch,
        );

        let pass = InputGradient::new(cpu, self.geometry, algorithm);
        let mut packed = nan(pass.packed_len());
        pass.pack(cpu, &self.weights, &mut packed);
        let mut input_gradient = nan(self.input.len());
        let mut scratch = nan(pass.scratch_len());
        let epilogue = GradientEpilogue::default();
        pass.run(
            cpu,
            &self.output_gradient,
            &packed,
            &epilogue,
            &mut input_gradient,
            &mut scratch,
        );

        let pass = WeightGradient::new(cpu, self.geometry, algorithm);
        let mut weight_gradient = nan(self.weights.len());
        let mut bias_gradient = nan(self.geometry.output[2]);
        let mut scratch = nan(pass.scratch_len());
        pass.run(
            cpu,
            &self.input,
            &self.output_gradient,
            &mut weight_gradient,
            Some(&mut bias_gradient),
            &mut scratch,
        );
        [output, input_gradient, weight_gradient, bias_gradient].map(|buffer| buffer.to_vec())
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
            for algorithm in [Algorithm::Direct, Algorithm::Depthwise] {
                if !algorithm.supports(geometry) {
                    continue;
                }
                let [output, input_gradient, weight_gradient, bias_gradient] =
                    self.solve(&Cpu::new(set, 1), algorithm);
                let name = |what: &str| format!("{set} {algorithm} {what}");
                close(&name("output"), &output, expected.clone(), terms);
                close(
                    &name("input gradient"),
                    &input_gradient,
                    expected_input.clone(),
                    back_terms,
                );
                close(
                    &name("weight gradient"),
                    &weight_gradient,
                    expected_weight.clone(),
                    pixels,
                );
                close(
                    &name("bias gradient"),
                    &bias_gradient,
                    expected_bias.clone(),
                    pixels,
                );
            }
        }
    }
}

#[test]
fn taps_on_padding_are_no_multiply_adds_inside() {
    let geometry = Geometry {
        batch: 2,
        input: [3, 4, 5],
        output: [3, 4, 7],
        kernel: [3; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [1; 2],
        groups: 1,
    };
    // Of 9 × 12 taps, the first and the last row and column of windows lack 3 each.
    assert_eq!(geometry.multiply_adds(), 2 * 35 * 9 * 12);
    assert_eq!(geometry.multiply_adds_inside(), 2 * 35 * 7 * 10);
    let unpadded = Geometry {
        output: [1, 2, 7],
        padding: [0; 2],
        ..geometry
    };
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
    Geometry {
        batch,
        input: [size, size, input],
        output: [size, size, output],
        kernel: [kernel; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [kernel / 2; 2],
        groups: 1,
    }
}

#[test]
fn layers_of_real_networks_agree_with_the_reference() {
    for geometry in [
        square(7, 1, 300, 110, 1),
        square(1, 1, 130, 1000, 1),
        square(150, 1, 40, 10, 1),
        // One group of rows, and several chunks of pixels.
        square(200, 1, 256, 256, 1),
        square(2, 32, 3, 32, 3),
        square(3, 28, 1, 20, 5),
        square(2, 7, 128, 96, 3),
        // LeNet's few filters; the input gradient of the second has few channels.
        square(3, 28, 1, 6, 5),
        Geometry {
            output: [10, 10, 16],
            padding: [0; 2],
            ..square(3, 14, 6, 16, 5)
        },
        // Rows longer than a strip.
        square(1, 230, 8, 4, 3),
        Geometry {
            output: [28, 28, 64],
            stride: [2; 2],
            ..square(1, 56, 3, 64, 7)
        },
        Geometry {
            groups: 64,
            ..square(2, 20, 64, 64, 3)
        },
        // Groups that begin within a cache line, on a map that is streamed.
        Geometry {
            groups: 4,
            ..square(2, 12, 32, 48, 3)
        },
        Geometry {
            groups: 16,
            ..square(1, 9, 48, 48, 1)
        },
        // Rows of few channels, likewise.
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
        Geometry {
            groups: 48,
            ..square(5, 15, 48, 48, 3)
        },
    ] {
        let problem = Problem::new(geometry);
        let algorithm = Algorithm::choose_precise(&geometry);
        let one = problem.solve(&Cpu::best(1), algorithm);
        for threads in 2..5 {
            assert!(problem.solve(&Cpu::best(threads), algorithm) == one);
        }
    }
}

#[test]
fn epilogues_follow_their_formula() {
    let geometry = square(2, 9, 5, 21, 3);
    let problem = Problem::new(geometry);
    let cpu = Cpu::best(2);
    let [plain, plain_gradient, ..] = problem.solve(&cpu, Algorithm::Direct);
    let bias = numbers(21, 4);
    let add = numbers(plain.len(), 5);
    let pass = Forward::new(&cpu, geometry, Algorithm::Direct);
    let mut packed = vec![0.0; pass.packed_len()];
    pass.pack(&cpu, &problem.weights, &mut packed);
    let mut output = vec![f32::NAN; plain.len()];
    let epilogue = Epilogue {
        bias: Some(&bias),
        add: Some(&add),
        activation: Activation::Relu,
        sums: None,
    };
    pass.run(
        &cpu,
        &problem.input,
        &packed,
        &epilogue,
        &mut output,
        &mut [],
    );
    for (i, output) in output.iter().enumerate() {
        assert_eq!(*output, (plain[i] + bias[i % 21] + add[i]).max(0.0));
    }

    let pass = InputGradient::new(&cpu, geometry, Algorithm::Direct);
    let mut packed = vec![0.0; pass.packed_len()];
    pass.pack(&cpu, &problem.weights, &mut packed);
    let old = numbers(plain_gradient.len(), 6);
    let mut gradient = old.clone();
    let epilogue = GradientEpilogue {
        accumulate: true,
        mask: Some(((&problem.input).into(), Activation::LeakyRelu(0.5))),
        sums: None,
    };
    let output_gradient = &problem.output_gradient;
    pass.run(
        &cpu,
        output_gradient,
        &packed,
        &epilogue,
        &mut gradient,
        &mut [],
    );
    for (i, gradient) in gradient.iter().enumerate() {
        let slope = if problem.input[i] > 0.0 { 1.0 } else { 0.5 };
        assert_eq!(*gradient, (plain_gradient[i] + old[i]) * slope);
    }
}
