use super::*;
use crate::conv::classes::Classes;
use crate::conv::{
    Algorithm, Destination, Epilogue, Forward, Fused, GradientEpilogue, InputGradient,
    OutputGradient, Settings,
};
use crate::{Buffer, InstructionSet};

fn geometry(channels: usize, stride: usize) -> Geometry {
    let size = [11, 13, channels];
    Geometry::new(Settings {
        // So many rows that a task has several, which it computes two at a time.
        batch: 8,
        input: size,
        output: [size[0].div_ceil(stride), size[1].div_ceil(stride), channels],
        kernel: [3; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        padding: [1; 2],
        groups: channels,
    })
    .expect("a usual convolution")
}

fn random_values(count: usize, seed: usize) -> Buffer {
    let values: Vec<f32> = (0..count)
        .map(|i| ((i + seed) * 7919 % 1009) as f32 * 0.004 - 2.0)
        .collect();
    Buffer::from(&values[..])
}

/// Several blocks of channels, and one that fills no vector.
const CHANNELS: [usize; 4] = [32, 21, 320, 275];

/// Every end computes its formula from the plain sums, for maps that begin on a cache line, which are streamed, and for others.
#[test]
fn each_end_follows_its_formula() {
    for (set, channels, stride) in InstructionSet::available()
        .into_iter()
        .flat_map(|set| CHANNELS.map(|channels| (set, channels)))
        .flat_map(|(set, channels)| [1, 2].map(|stride| (set, channels, stride)))
    {
        let cpu = Cpu::new(set, 2);
        let geometry = geometry(channels, stride);
        let of = |shape: [usize; 3]| geometry.batch * shape.iter().product::<usize>();
        let (inputs, outputs) = (of(geometry.input), of(geometry.output));
        let (x, dy) = (random_values(inputs, 1), random_values(outputs, 2));
        let (weights, bias) = (
            random_values(geometry.weights_len(), 3),
            random_values(channels, 4),
        );
        let (add, old) = (random_values(outputs, 5), random_values(inputs, 6));

        let (algorithm, fused) = (Algorithm::Depthwise, Fused::default());
        let pass = Forward::new(&cpu, geometry, algorithm, fused).expect("a depthwise convolution");
        let run = |epilogue: &Epilogue, shift: usize| {
            let mut memory = Buffer::zeros(outputs + shift);
            let to = Destination::Map(&mut memory[shift..]);
            pass.compute(&cpu, &x, &weights, *epilogue, to);
            memory[shift..].to_vec()
        };
        let plain = run(&Epilogue::default(), 1);
        assert_eq!(run(&Epilogue::default(), 0), plain);
        for activation in [
            Activation::Identity,
            Activation::Relu,
            Activation::Relu6,
            Activation::LeakyRelu(0.5),
        ] {
            for (shift, add) in [(0, None), (1, None), (0, Some(&add[..]))] {
                let epilogue = Epilogue {
                    bias: Some(&bias),
                    add,
                    activation,
                    sums: None,
                };
                let expected = plain.iter().enumerate().map(|(i, sum)| {
                    let sum = sum + bias[i % channels] + add.map_or(0.0, |add| add[i]);
                    match activation {
                        Activation::Identity => sum,
                        Activation::Relu => sum.max(0.0),
                        Activation::Relu6 => sum.clamp(0.0, 6.0),
                        _ => sum.max(0.5 * sum),
                    }
                });
                assert!(expected.eq(run(&epilogue, shift)), "{set} {activation:?}");
            }
        }

        let pass = InputGradient::new(&cpu, geometry, algorithm, fused);
        let pass = pass.expect("a depthwise convolution");
        let run = |epilogue: &GradientEpilogue, shift: usize| {
            let mut memory = Buffer::zeros(inputs + shift);
            memory[shift..].copy_from_slice(&old);
            let from = OutputGradient::Map(&dy);
            pass.compute(&cpu, from, &weights, *epilogue, &mut memory[shift..]);
            memory[shift..].to_vec()
        };
        let plain = run(&GradientEpilogue::default(), 1);
        assert_eq!(run(&GradientEpilogue::default(), 0), plain);
        for activation in [
            Activation::Identity,
            Activation::Relu,
            Activation::Relu6,
            Activation::LeakyRelu(0.5),
        ] {
            for (shift, accumulate) in [(0, false), (1, false), (0, true)] {
                let epilogue = GradientEpilogue {
                    accumulate,
                    mask: Some(((&x).into(), activation)),
                    sums: None,
                };
                let expected = plain.iter().enumerate().map(|(i, sum)| {
                    let sum = if accumulate { sum + old[i] } else { *sum };
                    let slope = match activation {
                        Activation::Identity => 1.0,
                        Activation::LeakyRelu(slope) if x[i] <= 0.0 => slope,
                        _ if x[i] <= 0.0 => 0.0,
                        Activation::Relu6 if x[i] >= 6.0 => 0.0,
                        _ => 1.0,
                    };
                    sum * slope
                });
                assert!(expected.eq(run(&epilogue, shift)), "{set} {activation:?}");
            }
        }
    }
}

/// Two rows are computed together where the second has the same taps as the first, each reading further down.
#[test]
fn rows_that_read_alike_are_inner_ones() {
    // A convolution of maps with so many rows, under kernels of three rows with a border of one.
    let rows = |input, output, stride| {
        let one = geometry(1, stride);
        one.with(|s| (s.input[0], s.output[0]) = (input, output))
    };
    let alike = |classes: Classes, is_turned: bool| {
        let reads = reads(&classes, is_turned);
        let is_alike = |y| reads_alike(&reads, classes.steps.source, y);
        (0..classes.target).map(is_alike).collect::<Vec<_>>()
    };
    let forward = |geometry: Geometry| alike(Classes::forward(&geometry, 0), false);
    let backward = |geometry: Geometry| alike(Classes::backward(&geometry, 0), true);
    let inner =
        |rows: Range<usize>, all: usize| (0..all).map(|y| rows.contains(&y)).collect::<Vec<_>>();
    assert_eq!(forward(rows(7, 7, 1)), inner(1..5, 7));
    assert_eq!(forward(rows(8, 4, 2)), inner(1..3, 4));
    assert_eq!(backward(rows(7, 7, 1)), inner(1..5, 7));
    // Neighbours use different taps.
    assert_eq!(backward(rows(8, 4, 2)), inner(0..0, 8));
}
