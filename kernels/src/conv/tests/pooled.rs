//! A convolution with its max pooling against the two one after the other.
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

/// Winograd's geometries with windows, some of them with only a row too many.
fn winograd_geometries() -> impl Strategy<Value = Geometry> {
    let sizes = [2..=13_usize, 2..=13_usize];
    let channels = [1..=40_usize, 1..=40_usize];
    (1..=3_usize, sizes, channels, [0..=2_usize, 0..=2_usize]).prop_map(
        |(batch, size, [input, output], padding)| Geometry {
            batch,
            input: [size[0], size[1], input],
            output: [
                (size[0] + 2 * padding[0]).max(4) - 2,
                (size[1] + 2 * padding[1]).max(4) - 2,
                output,
            ],
            padding,
            ..square(1, 1, 1, 1, 3)
        },
    )
}

/// Geometries that the passes by windows are made for, and some that are a little too large for them.
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
            Geometry {
                input: [size[0], size[1], input],
                output: [fits(0), fits(1), output],
                kernel,
                padding: before,
                ..square(batch, 1, 1, 1, 1)
            }
        })
}

/// Every algorithm that pools; how many did.
fn check(cpu: &Cpu, geometry: Geometry, activation: Activation) -> usize {
    let mut done = 0;
    for algorithm in Algorithm::candidates(&geometry) {
        done += usize::from(check_forward(cpu, geometry, algorithm, activation));
        done += usize::from(check_input_gradient(cpu, geometry, algorithm));
        done += usize::from(check_weight_gradient(cpu, geometry, algorithm));
    }
    done
}

/// Where the four numbers of a pooled number's window lie in the map.
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

fn check_forward(
    cpu: &Cpu,
    geometry: Geometry,
    algorithm: Algorithm,
    activation: Activation,
) -> bool {
    let Some(pass) = Forward::pooled(cpu, geometry, algorithm) else {
        return false;
    };
    let problem = Problem::new(geometry);
    let bias = numbers(geometry.output[2], 4);
    let epilogue = Epilogue {
        bias: Some(&bias),
        add: None,
        activation,
        sums: None,
    };
    let window = window(&geometry);
    let length = window.lengths()[1];

    let plain = Forward::new(cpu, geometry, algorithm);
    let mut weights = nan(plain.packed_len());
    plain.pack(cpu, &problem.weights, &mut weights);
    let weights = if weights.is_empty() {
        &problem.weights[..]
    } else {
        &weights
    };
    let mut map = nan(problem.output_gradient.len());
    let mut scratch = nan(plain.scratch_len());
    plain.run(
        cpu,
        &problem.input,
        weights,
        &epilogue,
        &mut map,
        &mut scratch,
    );
    let (mut expected, mut index) = (vec![f32::NAN; length], vec![Index::MAX; length]);
    pool::max_forward(
        cpu,
        &Pooling::new(window),
        &map,
        &mut expected,
        Some(&mut index),
    );
    // Sums in another order have other bits, and another winner where two are nearly equal.
    let terms = geometry.kernel[0] * geometry.kernel[1] * geometry.input[2] / geometry.groups;
    let (_, magnitudes) = reference::conv::forward(&geometry, &problem.input, &problem.weights);
    let error = |at: usize| 8.0 * f32::EPSILON * (terms as f32).sqrt() * magnitudes[at] as f32;

    let mut weights = nan(pass.packed_len());
    pass.pack(cpu, &problem.weights, &mut weights);
    let weights = if weights.is_empty() {
        &problem.weights[..]
    } else {
        &weights
    };
    let mut scratch = nan(pass.scratch_len());
    for training in [true, false] {
        let (mut output, mut winners) = (nan(length), vec![Winner::MAX; length]);
        let asked = training.then_some(&mut winners[..]);
        let (input, scratch) = (&problem.input, &mut scratch);
        pass.run_pooled(cpu, input, weights, &epilogue, &mut output, asked, scratch);
        let bits = |map: &[f32]| map.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let what = format!("{cpu:?} {algorithm} {geometry:?} training {training}");
        if pass.is_by_windows() {
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
    true
}

/// A pooled gradient, who won, and the gradient of the map.
fn gradients(geometry: &Geometry) -> (Vec<f32>, Vec<Winner>, Vec<f32>) {
    let window = window(geometry);
    let length = window.lengths()[1];
    let pooled = numbers(length, 7);
    let places = numbers(length, 8);
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

fn check_input_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> bool {
    let Some(pass) = InputGradient::pooled(cpu, geometry, algorithm) else {
        return false;
    };
    let (gradient, winners, map) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let old = numbers(problem.input.len(), 6);
    let epilogue = GradientEpilogue {
        accumulate: true,
        mask: Some(((&problem.input).into(), Activation::LeakyRelu(0.5))),
        sums: None,
    };
    let packed = |pass: &InputGradient| {
        let mut weights = nan(pass.packed_len());
        pass.pack(cpu, &problem.weights, &mut weights);
        match pass.packed_len() {
            0 => problem.weights.clone(),
            _ => weights.to_vec(),
        }
    };
    let plain = InputGradient::new(cpu, geometry, algorithm);
    let (mut expected, mut scratch) = (old.clone(), nan(plain.scratch_len()));
    let weights = packed(&plain);
    plain.run(cpu, &map, &weights, &epilogue, &mut expected, &mut scratch);
    let (mut actual, mut scratch) = (old.clone(), nan(pass.scratch_len()));
    let pooled = Pooled {
        gradient: &gradient,
        winners: &winners,
    };
    let weights = packed(&pass);
    pass.run_pooled(cpu, pooled, &weights, &epilogue, &mut actual, &mut scratch);
    let what = format!("{cpu:?} {algorithm} {geometry:?}");
    if pass.is_by_windows() {
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
    true
}

fn check_weight_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> bool {
    let Some(pass) = WeightGradient::pooled(cpu, geometry, algorithm) else {
        return false;
    };
    let (gradient, winners, map) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let (mut weights, mut bias) = (nan(problem.weights.len()), nan(geometry.output[2]));
    let mut scratch = nan(pass.scratch_len());
    let pooled = Pooled {
        gradient: &gradient,
        winners: &winners,
    };
    let (input, bias_gradient) = (&problem.input, Some(&mut bias[..]));
    pass.run_pooled(
        cpu,
        input,
        pooled,
        &mut weights,
        bias_gradient,
        &mut scratch,
    );
    let expected = reference::conv::weight_gradient(&geometry, &problem.input, &map);
    let expected_bias = reference::conv::bias_gradient(&geometry, &map);
    let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
    let name = |what: &str| format!("{cpu:?} {algorithm} {geometry:?} {what}");
    match algorithm {
        // An error of a tile spreads over all results: judged by what is to be expected of numbers between −1 and 1.
        Algorithm::Winograd => {
            let least = pixels as f64 / 8.0;
            let larger = expected
                .1
                .iter()
                .map(|magnitude| 16.0 * magnitude.max(least));
            let expected = (expected.0, larger.collect());
            close(&name("weight gradient"), &weights, expected, pixels);
        }
        _ => close(&name("weight gradient"), &weights, expected, pixels),
    }
    close(&name("bias gradient"), &bias, expected_bias, pixels);
    true
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
        Geometry {
            output: [10, 10, 16],
            padding: [0; 2],
            ..square(3, 14, 6, 16, 5)
        },
        square(2, 28, 32, 32, 3),
        // Odd maps, and many channels on a small one.
        square(3, 15, 24, 40, 3),
        square(2, 4, 260, 130, 3),
        square(1, 27, 33, 70, 5),
        // The weight gradient adds the tiles up in shares.
        square(16, 29, 5, 7, 3),
    ] {
        for set in InstructionSet::available() {
            let done = check(&Cpu::new(set, 1), geometry, Activation::Relu);
            assert_eq!(
                done,
                3 * Algorithm::candidates(&geometry).len(),
                "{set} {geometry:?}"
            );
        }
    }
}

/// Output, winners, input gradient and weight gradient.
type All = (Vec<f32>, Vec<Winner>, Vec<f32>, Vec<f32>);

fn solve(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm) -> Option<All> {
    let (gradient, mut winners, _) = gradients(&geometry);
    let problem = Problem::new(geometry);
    let pooled = Pooled {
        gradient: &gradient,
        winners: &winners,
    };
    let (input, weights) = (&problem.input, &problem.weights);
    let pass = WeightGradient::pooled(cpu, geometry, algorithm)?;
    let (mut weight_gradient, mut scratch) = (nan(weights.len()), nan(pass.scratch_len()));
    pass.run_pooled(cpu, input, pooled, &mut weight_gradient, None, &mut scratch);
    let pass = InputGradient::pooled(cpu, geometry, algorithm)?;
    let (mut packed, mut scratch) = (nan(pass.packed_len()), nan(pass.scratch_len()));
    pass.pack(cpu, weights, &mut packed);
    let (epilogue, mut input_gradient) = (GradientEpilogue::default(), nan(input.len()));
    pass.run_pooled(
        cpu,
        pooled,
        &packed,
        &epilogue,
        &mut input_gradient,
        &mut scratch,
    );
    let pass = Forward::pooled(cpu, geometry, algorithm)?;
    let (mut packed, mut scratch) = (nan(pass.packed_len()), nan(pass.scratch_len()));
    pass.pack(cpu, weights, &mut packed);
    let (epilogue, mut output) = (Epilogue::default(), nan(gradient.len()));
    let asked = Some(&mut winners[..]);
    pass.run_pooled(
        cpu,
        input,
        &packed,
        &epilogue,
        &mut output,
        asked,
        &mut scratch,
    );
    let [output, input_gradient, weight_gradient] =
        [output, input_gradient, weight_gradient].map(|buffer| buffer.to_vec());
    Some((output, winners, input_gradient, weight_gradient))
}

#[test]
fn few_channels_pool_by_windows() {
    let lenet5 = Geometry {
        output: [10, 10, 16],
        padding: [0; 2],
        ..square(3, 14, 6, 16, 5)
    };
    // Odd maps, several vectors of windows, several blocks of filters, other kernels, no window beside another, an input that the windows
    // do not reach to the end.
    let others = [
        square(2, 31, 3, 6, 5),
        square(1, 70, 1, 8, 3),
        square(1, 41, 2, 13, 3),
        square(3, 9, 7, 3, 3),
        square(2, 2, 16, 9, 3),
        Geometry {
            output: [4, 29, 10],
            padding: [2, 0],
            kernel: [5, 3],
            ..square(2, 30, 4, 10, 5)
        },
    ];
    for set in InstructionSet::available() {
        let cpu = Cpu::new(set, 2);
        for geometry in others.into_iter().chain([lenet5, square(3, 28, 1, 6, 5)]) {
            check(&cpu, geometry, Activation::Relu);
            check(&cpu, geometry, Activation::Tanh);
        }
        // Where a vector has few lanes, filters fill it as well as windows, or what a window reaches has too many vectors.
        let first = square(3, 28, 1, 6, 5);
        let taken = [
            Forward::pooled(&cpu, first, Algorithm::Direct).is_some_and(|p| p.is_by_windows()),
            InputGradient::pooled(&cpu, lenet5, Algorithm::Direct)
                .is_some_and(|p| p.is_by_windows()),
            WeightGradient::pooled(&cpu, lenet5, Algorithm::Direct)
                .is_some_and(|p| p.is_by_windows()),
        ];
        let narrow = square(2, 12, 2, 5, 3);
        let narrow = [
            InputGradient::pooled(&cpu, narrow, Algorithm::Direct)
                .is_some_and(|p| p.is_by_windows()),
            WeightGradient::pooled(&cpu, narrow, Algorithm::Direct)
                .is_some_and(|p| p.is_by_windows()),
        ];
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
        for algorithm in Algorithm::candidates(&geometry) {
            let one = solve(&Cpu::best(1), geometry, algorithm);
            assert!(one.is_some(), "{algorithm} {geometry:?}");
            for threads in 2..5 {
                assert!(solve(&Cpu::best(threads), geometry, algorithm) == one);
            }
        }
    }
}
