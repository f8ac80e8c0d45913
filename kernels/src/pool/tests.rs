use proptest::prelude::*;

use super::*;
use crate::activation::Activation;
use crate::reference::pool as reference;
use crate::{Buffer, Input, InstructionSet, Normalised, batch_norm};

/// Windows over maps of one pixel and more, with channels that do not fill a vector and strides larger than the kernel.
fn window() -> impl Strategy<Value = Window> {
    let sliding = (
        [1..5_usize, 1..5],
        [1..5_usize, 1..5],
        [0..3_usize, 0..3, 0..3, 0..3],
        any::<bool>(),
    )
        .prop_map(
            |(kernel, stride, padding, count_padding)| Regions::Sliding {
                kernel,
                stride,
                // Padding is less than the kernel, so that no window lies outside of the map.
                padding: std::array::from_fn(|side| padding[side].min(kernel[side % 2] - 1)),
                count_padding,
            },
        );
    let regions = prop_oneof![3 => sliding, 1 => Just(Regions::Adaptive)];
    let channels = prop_oneof![1..20_usize, 31..34_usize];
    (
        1..3_usize,
        1..9_usize,
        1..9_usize,
        channels,
        [1..4_usize, 1..4],
        regions,
    )
        .prop_map(|(batch, height, width, channels, adaptive, regions)| {
            let size = |axis: usize| {
                let input = [height, width][axis];
                match regions {
                    Regions::Sliding {
                        kernel,
                        stride,
                        padding,
                        ..
                    } => {
                        let padded = input + padding[axis] + padding[axis + 2];
                        padded
                            .checked_sub(kernel[axis])
                            .map_or(0, |rest| rest / stride[axis] + 1)
                    }
                    Regions::Adaptive => adaptive[axis],
                }
            };
            let (input, output) = ([height, width, channels], [size(0), size(1), channels]);
            Window::new(batch, input, output, regions)
        })
        .prop_filter_map("the kernel fits", |window| window)
}

/// Small whole numbers, so that windows have equal values.
fn whole_values(count: usize, seed: f32) -> Vec<f32> {
    let value = |i: usize| (((i as f32 + seed) * 12.9898).sin() * 4.0).round();
    (0..count).map(value).collect()
}

fn assert_close(values: &[f32], expected: &[f64]) {
    assert_eq!(values.len(), expected.len());
    for (value, expected) in values.iter().zip(expected) {
        let error = (f64::from(*value) - expected).abs();
        assert!(
            error < 1e-5 * expected.abs().max(1.0),
            "{value}, not {expected}"
        );
    }
}

/// Compares all passes on one processor with the oracle and returns their results.
fn check(cpu: &Cpu, window: &Window) -> Vec<f32> {
    let [length, size] = window.lengths();
    let pooling = &Pooling::new(*window);
    let (input, gradient) = (whole_values(length, 0.0), whole_values(size, 5.0));
    let (mut largest, mut unasked, mut mean) = (vec![7.0; size], vec![7.0; size], vec![7.0; size]);
    let mut index = vec![9; size];
    // Aligned, so that a large map is streamed.
    let mut back = Buffer::from(&vec![7.0; length][..]);
    max_forward(cpu, pooling, &input, &mut largest, Some(&mut index));
    max_forward(cpu, pooling, &input, &mut unasked, None);
    assert_eq!(largest, reference::largest(window, &input).0);
    assert_eq!(largest, unasked);
    max_backward(cpu, pooling, &index, &gradient, &mut back, false);
    let expected = reference::largest_backward(window, &input, &gradient);
    assert_close(&back, &expected);
    average_forward(cpu, pooling, &input, &mut mean);
    assert_close(&mean, &reference::average(window, &input));
    let of_average = reference::average_backward(window, &gradient, length);
    average_backward(cpu, pooling, &gradient, &mut back, true);
    let both: Vec<f64> = expected
        .iter()
        .zip(&of_average)
        .map(|(a, b)| a + b)
        .collect();
    assert_close(&back, &both);
    average_backward(cpu, pooling, &gradient, &mut back, false);
    assert_close(&back, &of_average);
    let of_average = back.to_vec();
    max_backward(cpu, pooling, &index, &gradient, &mut back, true);
    assert_close(&back, &both);
    [largest, mean, of_average, back.to_vec()].concat()
}

proptest! {
    #[test]
    fn pooling_is_what_its_definition_says(window in window()) {
        for set in InstructionSet::available() {
            let results = check(&Cpu::new(set, 1), &window);
            prop_assert_eq!(check(&Cpu::new(set, 3), &window), results);
        }
    }
}

#[test]
fn large_maps_take_several_tasks() {
    for regions in [
        Regions::Adaptive,
        Regions::Sliding {
            kernel: [3, 3],
            stride: [2, 2],
            padding: [1; 4],
            count_padding: true,
        },
    ] {
        let windows = [24, 80].map(|channels| {
            let (input, output) = ([64, 56, channels], [32, 28, channels]);
            Window::new(2, input, output, regions).expect("its windows fit")
        });
        for window in &windows {
            assert_eq!(check(&Cpu::best(1), window), check(&Cpu::best(4), window));
        }
    }
}

#[test]
fn the_first_of_equals_wins_and_nan_always() {
    let regions = Regions::Sliding {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0; 4],
        count_padding: false,
    };
    let window = Window::new(1, [2, 4, 1], [1, 2, 1], regions).expect("its windows fit");
    let input = [1.0, 3.0, 0.0, f32::NAN, 3.0, 3.0, 9.0, 1.0];
    let (mut output, mut index) = ([0.0; 2], [0; 2]);
    max_forward(
        &Cpu::best(1),
        &Pooling::new(window),
        &input,
        &mut output,
        Some(&mut index),
    );
    assert_eq!((output[0], index[0]), (3.0, 1));
    assert!(output[1].is_nan());
    assert_eq!(index[1], 1);
}

proptest! {
    #[test]
    fn a_map_that_is_normalised_on_the_way_is_pooled_as_the_normalised_map(window in window()) {
        let channels = window.input()[2];
        let wave = |i: usize| (i as f32 * 0.7371).sin();
        let [input_len, output_len] = window.lengths();
        let pooling = Pooling::new(window);
        let map: Vec<f32> = (0..input_len).map(wave).collect();
        let factor: Vec<f32> = (0..channels).map(|c| 5.0 * wave(c + 3)).collect();
        let summand: Vec<f32> = (0..channels).map(|c| wave(c + 5)).collect();
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
                let mut normalised = vec![f32::NAN; map.len()];
                let to = &mut normalised[..];
                batch_norm::normalise(&cpu, &map, &factor, &summand, None, activation, to);
                let on_the_way = Input {
                    map: &map,
                    normalised: Some(Normalised { factor: &factor, summand: &summand, activation }),
                };
                for with_index in [false, true] {
                    let pool = |input: Input| {
                        let (mut output, mut index) = (vec![f32::NAN; output_len], vec![0; output_len]);
                        let asked = with_index.then_some(&mut index[..]);
                        max_forward(&cpu, &pooling, input, &mut output, asked);
                        (output, index)
                    };
                    prop_assert!(pool(on_the_way) == pool((&normalised).into()));
                }
            }
        }
    }
}
