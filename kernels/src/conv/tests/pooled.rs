//! A convolution fused with its max pooling computes what the two compute one after the other.
use super::*;
use crate::pool::{self, Index, Pooled, Pooling, Regions, Window, Winner};

fn window(geometry: &Geometry) -> Window {
    let [height, width, channels] = geometry.output;
    let regions = Regions::Sliding {
        kernel: [2; 2],
        stride: [2; 2],
        padding: [0; 4],
        count_padding: false,
    };
    let pooled = [height / 2, width / 2, channels];
    Window::new(geometry.batch, geometry.output, pooled, regions).expect("its windows fit")
}

/// Geometries for Winograd with windows, some with a row that is in no window.
fn winograd_geometries() -> impl Strategy<Value = Geometry> {
    let sizes = [2..=13_usize, 2..=13_usize];
    let channels = [1..=40_usize, 1..=40_usize];
    (1..=3_usize, sizes, channels, [0..=2_usize, 0..=2_usize]).prop_map(
        |(batch, size, [input, output], padding)| {
            square(1, 1, 1, 1, 3).with(|s| {
                s.batch = batch;
                s.input = [size[0], size[1], input];
                s.output = [
                    (size[0] + 2 * padding[0]).max(4) - 2,
                    (size[1] + 2 * padding[1]).max(4) - 2,
                    output,
                ];
                s.padding = padding;
            })
        },
    )
}

/// Geometries for the loops by windows, and some a little too large for them.
fn few_channels() -> impl Strategy<Value = Geometry> {
    let kernel = [
        prop_oneof![Just(3_usize), Just(5), 1..=5_usize],
        prop_oneof![Just(3_usize), Just(5), 1..=5_usize],
    ];
    let channels = [1..=20_usize, 1..=20_usize];
    let sizes = [2..=70_usize, 2..=70_usize];
    let borders = [0..=6_usize, 0..=6_usize];
    (
        1..=2_usize,
        sizes,
        channels,
        kernel,
        borders.clone(),
        borders,
    )
        .prop_map(|(batch, size, [input, output], kernel, before, after)| {
            let fits = |axis: usize| {
                let padded = size[axis] + before[axis] + after[axis];
                padded.max(kernel[axis] + 1) + 1 - kernel[axis]
            };
            square(batch, 1, 1, 1, 1).with(|s| {
                s.input = [size[0], size[1], input];
                s.output = [fits(0), fits(1), output];
                s.kernel = kernel;
                s.padding = before;
            })
        })
}

/// Every algorithm that pools.
fn check(cpu: &Cpu, geometry: Geometry, activation: Activation) {
    for algorithm in Algorithm::ORDER {
        check_forward(cpu, geometry, algorithm, activation);
        check_input_gradient(cpu, geometry, algorithm);
        check_weight_gradient(cpu, geometry, algorithm);
    }
}

/// Where the four values of a window lie in the map.
fn pixels(geometry: &Geometry, place: usize) -> [usize; 4] {
    let [height, width, channels] = geometry.output;
    let [rows, columns] = [height / 2, width / 2];
    let (window, channel) = (place / channels, place % channels);
    let (row, column) = (window / columns % rows, window % columns);
    let image = window / columns / rows;
    [0, 1, 2, 3].map(|i| {
        let (y, x) = (2 * row + i / 2, 2 * column + i % 2);
        ((image * height + y) * width + x) * channels + channel
    })
}

/// A loop that computes the same without the pooling: to the bit, if it adds in the same order. An odd map may have too many pixels for a
/// table although the part with windows has not.
fn unpooled(algorithm: Algorithm) -> Algorithm {
    match algorithm {
        Algorithm::Windows | Algorithm::Indirect => Algorithm::Direct,
        other => other,
    }
}

fn check_forward(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, activation: Activation) {
    let Some(pass) = Forward::new(cpu, geometry, algorithm, POOLED) else {
        return;
    };
    let problem = Problem::new(geometry);
    let bias = random_values(geometry.output[2], 4);
    let epilogue = Epilogue {
        bias: Some(&bias),
        add: None,
        activation,
        sums: None,
    };
    let (window, length) = (window(&geometry), geometry.pooled_len());

    let plain = Forward::new(cpu, geometry, unpooled(algorithm), PLAIN).expect("it is there");
    let mut map = nan(problem.output_gradient.len());
    let to = Destination::Map(&mut map);
    plain.compute(cpu, &problem.input, &problem.weights, epilogue, to);
    let (mut expected, mut index) = (vec![f32::NAN; length], vec![Index::MAX; length]);
    pool::max_forward(
        cpu,
        &Pooling::new(window),
        &map,
        &mut expected,
        Some(&mut index),
    );
    // Sums in another order have other bits, and another winner where two values are nearly equal.
    let terms = geometry.kernel[0] * geometry.kernel[1] * geometry.input[2] / geometry.groups;
    let (_, magnitudes) = reference::conv::forward(&geometry, &problem.input, &problem.weights);
    let error = |at: usize| 8.0 * f32::EPSILON * (terms as f32).sqrt() * magnitudes[at] as f32;

    for training in [true, false] {
        let (mut output, mut winners) = (nan(length), vec![Winner::MAX; length]);
        let to = Destination::Pooled {
            values: &mut output,
            winners: training.then_some(&mut winners[..]),
        };
        pass.compute(cpu, &problem.input, &problem.weights, epilogue, to);
        let bits = |map: &[f32]| map.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let what = format!("{cpu:?} {algorithm} {geometry:?} training {training}");
        if algorithm == Algorithm::Windows {
            for (place, value) in output.iter().enumerate() {
                let pixels = pixels(&geometry, place);
                let largest = pixels.map(error).into_iter().fold(1e-6, f32::max);
                assert!((value - expected[place]).abs() <= largest, "{what}");
                let winner = usize::from(winners[place]);
                let won = !training || (map[pixels[winner]] - value).abs() <= largest;
                assert!(won, "{what}");
            }
            continue;
        }
        assert_eq!(bits(&output), bits(&expected), "{what}");
        if training {
            let winners: Vec<Index> = winners.iter().map(|winner| (*winner).into()).collect();
            assert_eq!(winners, index, "{what}");
        }
    }
}

/// A pooled gradient, its winners, and the gradient of the map.
fn gradients(geometry: &Geometry) -> (Vec<f32>, Vec<Winner>, Vec<f32>) {
    let window = window(geometry);
    let length = geometry.pooled_len();
    let pooled = random_values(length, 7);
    let places = random_values(length, 8);
    let winners: Vec<Winner> = places.iter().map(|x| (2.0 * x + 2.0) as Winner).collect();
    let index: Vec<Index> = winners.iter().map(|winner| (*winner).into()).collect();
    let mut map = vec![0.0; geometry.batch * geometry.output.iter().product::<usize>()];
    pool::max_backward(
        &Cpu::best(1),
        &Pooling::new(window),
        &index,
        &pooled,
        &mut map,
        false,
    );
    (pooled, winners, map)
}

fn check_input_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) {
    let Some(pass) = InputGradient::new(cpu, geometry, algorithm, POOLED) else {
        return;
    };
    let (gradient, winners, map) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let old = random_values(problem.input.len(), 6);
    let epilogue = GradientEpilogue {
        accumulate: true,
        mask: Some(((&problem.input).into(), Activation::LeakyRelu(0.5))),
        sums: None,
    };
    let plain = InputGradient::new(cpu, geometry, unpooled(algorithm), PLAIN).expect("it is there");
    let (mut expected, mut actual) = (old.clone(), old.clone());
    let from = OutputGradient::Map(&map);
    plain.compute(cpu, from, &problem.weights, epilogue, &mut expected);
    let pooled = OutputGradient::Pooled(Pooled {
        gradient: &gradient,
        winners: &winners,
    });
    pass.compute(cpu, pooled, &problem.weights, epilogue, &mut actual);
    let what = format!("{cpu:?} {algorithm} {geometry:?}");
    if algorithm == Algorithm::Windows {
        let (_, magnitudes) = reference::conv::input_gradient(&geometry, &map, &problem.weights);
        let terms = geometry.kernel[0] * geometry.kernel[1] * geometry.output[2];
        let unit = 8.0 * f32::EPSILON * (terms as f32).sqrt();
        for (i, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
            let bound = unit * (magnitudes[i] as f32 + 1.0);
            assert!((actual - expected).abs() <= bound, "{what}");
        }
    } else {
        assert!(actual == expected, "{what}");
    }
}

fn check_weight_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) {
    let Some(pass) = WeightGradient::new(cpu, geometry, algorithm, POOLED) else {
        return;
    };
    let (gradient, winners, map) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let pooled = OutputGradient::Pooled(Pooled {
        gradient: &gradient,
        winners: &winners,
    });
    let [weights, bias] = pass.compute(cpu, &problem.input, pooled);
    let expected = reference::conv::weight_gradient(&geometry, &problem.input, &map);
    let expected_bias = reference::conv::bias_gradient(&geometry, &map);
    let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
    let name = |what: &str| format!("{cpu:?} {algorithm} {geometry:?} {what}");
    match algorithm {
        // The error of a tile spreads over all its results. The bound is that for values between −1 and 1.
        Algorithm::Winograd => {
            let least = pixels as f64 / 8.0;
            let larger = expected
                .1
                .iter()
                .map(|magnitude| 16.0 * magnitude.max(least));
            let expected = (expected.0, larger.collect());
            close(&name("weight gradient"), &weights, &expected, pixels);
        }
        _ => close(&name("weight gradient"), &weights, &expected, pixels),
    }
    close(&name("bias gradient"), &bias, &expected_bias, pixels);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn every_geometry_pools_like_a_pooling_after_it(geometry in geometries()) {
        for set in InstructionSet::available() {
            check(&Cpu::new(set, 2), geometry, Activation::LeakyRelu(0.1));
        }
    }

    #[test]
    fn winograd_pools_like_a_pooling_after_it(geometry in winograd_geometries()) {
        for set in InstructionSet::available() {
            check(&Cpu::new(set, 2), geometry, Activation::LeakyRelu(0.1));
        }
    }

    #[test]
    fn few_channels_pool_like_a_pooling_after_them(geometry in few_channels()) {
        for set in InstructionSet::available() {
            check(&Cpu::new(set, 2), geometry, Activation::LeakyRelu(0.1));
        }
    }
}

#[test]
fn layers_of_real_networks_pool() {
    for geometry in [
        square(3, 28, 1, 6, 5),
        square(3, 14, 6, 16, 5).with(|s| {
            s.output = [10, 10, 16];
            s.padding = [0; 2];
        }),
        square(2, 28, 32, 32, 3),
        // Odd maps, and many channels on a small one.
        square(3, 15, 24, 40, 3),
        square(2, 4, 260, 130, 3),
        square(1, 27, 33, 70, 5),
        // The weight gradient sums the tiles in shares.
        square(16, 29, 5, 7, 3),
    ] {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 1);
            check(&cpu, geometry, Activation::Relu);
            // The chosen algorithm can pool.
            for pass in Pass::ALL {
                let candidates = Algorithm::candidates(&cpu, &geometry, pass, POOLED);
                for precise in [false, true] {
                    let choice = Algorithm::choose(&cpu, &geometry, pass, POOLED, precise);
                    assert!(candidates.contains(&choice), "{set} {choice} {geometry:?}");
                }
            }
        }
    }
}

/// The bits of the output, the winners, the bits of the input gradient, and the weight gradient.
type All = (Vec<u32>, Vec<Winner>, Vec<u32>, Vec<f32>);

fn solve(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> All {
    let (gradient, mut winners, _) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let pooled = OutputGradient::Pooled(Pooled {
        gradient: &gradient,
        winners: &winners,
    });
    let (input, weights) = (&problem.input, &problem.weights);
    let pass = WeightGradient::new(cpu, geometry, algorithm, POOLED);
    let gradients = pass.map(|pass| pass.compute(cpu, input, pooled));
    let [weight_gradient, _] = gradients.unwrap_or_default();
    let mut input_gradient = nan(input.len());
    if let Some(pass) = InputGradient::new(cpu, geometry, algorithm, POOLED) {
        let epilogue = GradientEpilogue::default();
        pass.compute(cpu, pooled, weights, epilogue, &mut input_gradient);
    }
    let mut output = nan(gradient.len());
    if let Some(pass) = Forward::new(cpu, geometry, algorithm, POOLED) {
        let to = Destination::Pooled {
            values: &mut output,
            winners: Some(&mut winners),
        };
        pass.compute(cpu, input, weights, Epilogue::default(), to);
    }
    let [output, input_gradient] = [output, input_gradient].map(|map| {
        let bits = map.iter().map(|value| value.to_bits());
        bits.collect()
    });
    (output, winners, input_gradient, weight_gradient)
}

#[test]
fn few_channels_pool_by_windows() {
    let lenet5 = square(3, 14, 6, 16, 5).with(|s| {
        s.output = [10, 10, 16];
        s.padding = [0; 2];
    });
    // Odd maps, several vectors of windows, several blocks of filters, other kernels, no window beside another, an input that the windows
    // do not reach to the end.
    let others = [
        square(2, 31, 3, 6, 5),
        square(1, 70, 1, 8, 3),
        square(1, 41, 2, 13, 3),
        square(3, 9, 7, 3, 3),
        square(2, 2, 16, 9, 3),
        square(2, 30, 4, 10, 5).with(|s| {
            s.output = [4, 29, 10];
            s.padding = [2, 0];
            s.kernel = [5, 3];
        }),
    ];
    for set in InstructionSet::available() {
        let cpu = Cpu::new(set, 2);
        for geometry in others.into_iter().chain([lenet5, square(3, 28, 1, 6, 5)]) {
            check(&cpu, geometry, Activation::Relu);
            check(&cpu, geometry, Activation::Tanh);
        }
        // Where a vector has few lanes, filters fill it as well as windows, or what a window reaches has too many vectors.
        let first = square(3, 28, 1, 6, 5);
        let is_taken = |geometry: &Geometry, pass: Pass| {
            Algorithm::choose(&cpu, geometry, pass, POOLED, false) == Algorithm::Windows
        };
        let taken = [
            is_taken(&first, Pass::Forward),
            is_taken(&lenet5, Pass::InputGradient),
            is_taken(&lenet5, Pass::WeightGradient),
        ];
        let narrow = square(2, 12, 2, 5, 3);
        let narrow = [Pass::InputGradient, Pass::WeightGradient]
            .map(|pass| Algorithm::choose(&cpu, &narrow, pass, POOLED, true) == Algorithm::Windows);
        let expected = match set {
            InstructionSet::Avx512 => ([true; 3], [true, false]),
            InstructionSet::Avx2 => ([true, false, false], [true, true]),
            InstructionSet::Neon => ([true, false, false], [true, true]),
            InstructionSet::Scalar => ([false; 3], [false; 2]),
        };
        assert_eq!((taken, narrow), expected, "{set}");
    }
}

#[test]
fn any_number_of_threads_pools_to_the_same_bits() {
    for geometry in [
        square(9, 28, 3, 6, 5),
        square(9, 14, 6, 16, 5),
        square(5, 15, 40, 50, 3),
    ] {
        for algorithm in Algorithm::ORDER {
            let one = solve(&Cpu::best(1), geometry, algorithm);
            for threads in 2..5 {
                assert!(solve(&Cpu::best(threads), geometry, algorithm) == one);
            }
        }
    }
}
