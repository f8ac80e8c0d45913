use proptest::prelude::*;

use super::weight_gradient::{PerMap, WeightSchedule};
use super::*;
use crate::activation::Activation;
use crate::conv::correlation::Correlation;
use crate::conv::finish::Finish;
use crate::conv::loops::{MapLoop, MapOperands, MapTarget, WeightLoop, WeightOperands};
use crate::conv::tests::random_values;
use crate::conv::{Epilogue, GradientEpilogue, Pass, Settings};
use crate::map::Source;
use crate::{Buffer, Cpu, DisjointMut, InstructionSet, reference};

fn geometries() -> impl Strategy<Value = Geometry> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    (
        1..=3_usize,
        pair(1..=20),
        [1..=40_usize, 1..=40_usize],
        pair(0..=2),
        pair(0..=2),
    )
        .prop_map(|(batch, size, channels, before, after)| {
            let of = |axis: usize| (size[axis] + before[axis] + after[axis]).max(3) - 2;
            Geometry::new(Settings {
                batch,
                input: [size[0], size[1], channels[0]],
                output: [of(0), of(1), channels[1]],
                kernel: [3; 2],
                stride: [1; 2],
                dilation: [1; 2],
                padding: before,
                groups: 1,
            })
            .expect("a usual convolution")
        })
}

fn square(batch: usize, size: usize, input: usize, output: usize) -> Geometry {
    Geometry::new(Settings {
        batch,
        input: [size, size, input],
        output: [size, size, output],
        kernel: [3; 2],
        stride: [1; 2],
        dilation: [1; 2],
        padding: [1; 2],
        groups: 1,
    })
    .expect("a usual convolution")
}

/// The largest error in units of ε · √terms · Σ|x||w|. A value that was not written is NaN and fails.
///
/// The errors of a tile spread over all its results. A result at the border reads few inputs or none, so its bound is the Σ|x||w| that
/// values between −1 and 1 would have.
fn error(actual: &[f32], (expected, magnitudes): &(Vec<f64>, Vec<f64>), terms: usize) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let unit = f64::from(f32::EPSILON) * (terms as f64).sqrt();
    let mut largest = 0.0_f64;
    for (i, actual) in actual.iter().enumerate() {
        let magnitude = magnitudes[i].max(terms as f64 / 4.0);
        let error = (f64::from(*actual) - expected[i]).abs() / (unit * magnitude);
        assert!(error <= 64.0, "{i}: {actual} instead of {}", expected[i]);
        largest = largest.max(error);
    }
    largest
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

    fn run(&self, cpu: &Cpu, pass: &Winograd, source: &[f32], finish: Finish, target: &mut [f32]) {
        let mut packed = vec![f32::NAN; pass.packed_len()];
        pass.pack(cpu, &self.weights, &mut packed);
        let packed = if packed.is_empty() {
            &self.weights
        } else {
            &packed
        };
        let operands = MapOperands {
            source: Source::map(source),
            packed,
            finish,
            target: MapTarget::Map(&DisjointMut::new(target)),
            scratch: &mut vec![f32::NAN; pass.scratch_len()],
        };
        MapLoop::run(pass, cpu, operands);
    }

    fn forward(&self, cpu: &Cpu) -> Winograd {
        Winograd::new(cpu, &Correlation::new(self.geometry, Pass::Forward))
    }

    fn output(&self, cpu: &Cpu, pass: &Winograd, epilogue: &Epilogue) -> Vec<f32> {
        // On a cache line, so that maps that are large for a test are streamed.
        let mut output = Buffer::from(&vec![f32::NAN; self.output_gradient.len()][..]);
        let finish = Finish::forward(epilogue, &output, self.geometry.output[2]);
        self.run(cpu, pass, &self.input, finish, &mut output);
        output.to_vec()
    }

    fn input_gradient(&self, cpu: &Cpu, epilogue: &GradientEpilogue, old: Vec<f32>) -> Vec<f32> {
        let pass = Winograd::new(cpu, &Correlation::new(self.geometry, Pass::InputGradient));
        let mut gradient = Buffer::from(&old[..]);
        let finish = Finish::gradient(epilogue, &gradient, self.geometry.input[2]);
        self.run(cpu, &pass, &self.output_gradient, finish, &mut gradient);
        gradient.to_vec()
    }

    fn weight_gradient(&self, cpu: &Cpu, pass: &WinogradWeightGradient) -> [Vec<f32>; 2] {
        let mut weights = vec![f32::NAN; self.weights.len()];
        let mut bias = vec![f32::NAN; self.geometry.output[2]];
        let operands = WeightOperands {
            input: (&self.input).into(),
            output_gradient: Source::map(&self.output_gradient),
            weight_gradient: &mut weights,
            bias_gradient: Some(&mut bias),
            scratch: &mut vec![f32::NAN; pass.scratch_len()],
        };
        WeightLoop::run(pass, cpu, operands);
        [weights, bias]
    }

    /// Output, input gradient, weight gradient, bias gradient.
    fn solve(&self, cpu: &Cpu) -> [Vec<f32>; 4] {
        let nan = vec![f32::NAN; self.input.len()];
        let output = self.output(cpu, &self.forward(cpu), &Epilogue::default());
        let input = self.input_gradient(cpu, &GradientEpilogue::default(), nan);
        let pass = WinogradWeightGradient::new(cpu, self.geometry);
        let [weights, bias] = self.weight_gradient(cpu, &pass);
        [output, input, weights, bias]
    }

    /// The largest errors of the four results.
    fn check(&self) -> [f64; 4] {
        let geometry = &self.geometry;
        let (x, w, dy) = (&self.input, &self.weights, &self.output_gradient);
        let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
        let expected = [
            reference::conv::forward(geometry, x, w),
            reference::conv::input_gradient(geometry, dy, w),
            reference::conv::weight_gradient(geometry, x, dy),
            reference::conv::bias_gradient(geometry, dy),
        ];
        let terms = [
            9 * geometry.input[2],
            9 * geometry.output[2],
            pixels,
            pixels,
        ];
        let mut largest = [0.0_f64; 4];
        for set in InstructionSet::available() {
            let results = self.solve(&Cpu::new(set, 1));
            for i in 0..4 {
                largest[i] = largest[i].max(error(&results[i], &expected[i], terms[i]));
            }
        }
        largest
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_instruction_set_computes_every_geometry(geometry in geometries()) {
        Problem::new(geometry).check();
    }
}

#[test]
fn error_is_a_few_times_that_of_a_plain_sum() {
    for geometry in [
        square(2, 16, 64, 64),
        square(1, 14, 130, 100),
        square(4, 7, 96, 160),
    ] {
        for error in Problem::new(geometry).check() {
            assert!(error < 4.0, "{error} ε √k Σ|x||w|");
        }
    }
}

#[test]
fn any_number_of_threads_and_any_order_gives_the_same_bits() {
    for geometry in [
        square(3, 14, 40, 50),
        square(2, 7, 200, 130),
        square(5, 16, 64, 64),
    ] {
        let problem = Problem::new(geometry);
        let one = problem.solve(&Cpu::best(1));
        for threads in 2..6 {
            assert!(
                problem.solve(&Cpu::best(threads)) == one,
                "{threads} threads"
            );
        }
        let cpu = Cpu::best(2);
        for schedule in [
            forward::MapSchedule::Blocks,
            forward::MapSchedule::Pairs,
            forward::MapSchedule::Panels,
        ] {
            let pass = problem.forward(&cpu).with_schedule(schedule);
            let output = problem.output(&cpu, &pass, &Epilogue::default());
            assert!(output == one[0], "{schedule:?}");
        }
        for [input, output] in [[16, 16], [48, 32], [256, 256]] {
            let channels = PerMap { input, output };
            for schedule in [
                WeightSchedule::OwnPlanes { channels, block: 8 },
                WeightSchedule::OwnPlanes {
                    channels,
                    block: 24,
                },
                WeightSchedule::SharedPlanes {
                    channels,
                    chunk: 16,
                },
                WeightSchedule::SharedPlanes {
                    channels,
                    chunk: 1024,
                },
            ] {
                let pass = WinogradWeightGradient::new(&cpu, geometry).with_schedule(schedule);
                let [weights, _] = problem.weight_gradient(&cpu, &pass);
                assert!(weights == one[2], "{schedule:?}");
            }
        }
    }
}

#[test]
fn few_tiles_are_divided_so_that_threads_share_little() {
    use forward::MapSchedule::{Blocks, Pairs, Panels};
    let schedule = |threads, geometry| {
        let pass = Winograd::new(
            &Cpu::best(threads),
            &Correlation::new(geometry, Pass::Forward),
        );
        (pass.schedule, pass.block)
    };
    // Half of the tiles for each of two threads, in a multiple of eight.
    assert_eq!(schedule(2, square(1, 16, 64, 64)), (Blocks, 8));
    assert_eq!(schedule(2, square(1, 28, 32, 32)), (Blocks, 24));
    assert_eq!(schedule(2, square(1, 56, 64, 64)), (Blocks, 32));
    // Weights that do not fit into each core's cache, and weights that fit into none.
    assert_eq!(schedule(2, square(1, 28, 128, 128)), (Pairs, 24));
    assert_eq!(schedule(2, square(1, 14, 256, 256)), (Panels, 16));
    assert_eq!(schedule(2, square(16, 28, 128, 128)), (Blocks, 24));
    // Fewer blocks than threads. The blocks stay the same, and so do their sums.
    assert_eq!(schedule(2, square(1, 12, 64, 64)), (Pairs, 32));
    assert_eq!(schedule(1, square(1, 12, 64, 64)), (Blocks, 32));
    assert_eq!(schedule(3, square(1, 16, 64, 64)), (Pairs, 8));
}

#[test]
fn shares_of_the_tiles_give_the_same_bits_for_any_threads_and_blocks() {
    // 1024 tiles are four shares; a block ends within a share.
    let geometry = square(64, 13, 20, 33);
    let problem = Problem::new(geometry);
    let one = problem.solve(&Cpu::best(1));
    for threads in 2..6 {
        let many = problem.solve(&Cpu::best(threads));
        assert!(many == one, "{threads} threads");
    }
    problem.check();
    let cpu = Cpu::best(3);
    for block in [8, 24, 1024] {
        let schedule = WeightSchedule::Shares { shares: 4, block };
        let pass = WinogradWeightGradient::new(&cpu, geometry).with_schedule(schedule);
        let [weights, _] = problem.weight_gradient(&cpu, &pass);
        assert!(weights == one[2], "{schedule:?}");
    }
    // One share sums in the same order as halves of the planes. Several shares differ by rounding only.
    let weights = |schedule| {
        let pass = WinogradWeightGradient::new(&cpu, geometry).with_schedule(schedule);
        problem.weight_gradient(&cpu, &pass)[0].clone()
    };
    let channels = PerMap {
        input: 20,
        output: 33,
    };
    let halves = weights(WeightSchedule::OwnPlanes { channels, block: 8 });
    let block = 16;
    assert!(weights(WeightSchedule::Shares { shares: 1, block }) == halves);
    let largest = halves.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    for shares in [4, 5] {
        let several = weights(WeightSchedule::Shares { shares, block });
        assert!(several != halves, "{shares} shares");
        for (i, (a, b)) in several.iter().zip(&halves).enumerate() {
            assert!((a - b).abs() <= 1e-5 * largest, "{shares}, {i}: {a} {b}");
        }
    }
}

#[test]
fn epilogues_follow_their_formula() {
    let geometry = square(2, 9, 5, 21);
    let problem = Problem::new(geometry);
    for set in InstructionSet::available() {
        let cpu = Cpu::new(set, 2);
        let [plain, plain_gradient, ..] = problem.solve(&cpu);
        let (bias, add) = (random_values(21, 4), random_values(plain.len(), 5));
        let epilogue = Epilogue {
            bias: Some(&bias),
            add: Some(&add),
            activation: Activation::Relu,
            sums: None,
        };
        let output = problem.output(&cpu, &problem.forward(&cpu), &epilogue);
        for (i, output) in output.iter().enumerate() {
            assert_eq!(*output, (plain[i] + bias[i % 21] + add[i]).max(0.0));
        }
        let old = random_values(plain_gradient.len(), 6);
        let epilogue = GradientEpilogue {
            accumulate: true,
            mask: Some(((&problem.input).into(), Activation::LeakyRelu(0.5))),
            sums: None,
        };
        let gradient = problem.input_gradient(&cpu, &epilogue, old.clone());
        for (i, gradient) in gradient.iter().enumerate() {
            let slope = if problem.input[i] > 0.0 { 1.0 } else { 0.5 };
            assert_eq!(*gradient, (plain_gradient[i] + old[i]) * slope);
        }
    }
}
