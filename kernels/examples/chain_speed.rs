//! Inverted residuals pass by pass and in bands, in turns: `cargo run --release -p hubel-kernels --example chain_speed [threads] [batch]`.
use std::time::Instant;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{
    Algorithm, Bands, Destination, Epilogue, Forward, ForwardOperands, Fused, Geometry, Link, Pass,
    Settings,
};
use hubel_kernels::{Buffer, Cpu};

/// Seconds of one call.
fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn numbers(count: usize) -> Buffer {
    let numbers: Vec<f32> = (0..count).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
    Buffer::from(&numbers[..])
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| {
        let argument = arguments.next();
        argument.map_or(default, |text| text.parse().expect("a number"))
    };
    let (threads, batch) = (number(1), number(16));
    let cpu = Cpu::best(threads);
    println!("{cpu:?}, ms, fastest of several runs");
    println!(
        "{:28}    wide depthwise narrow      sum in bands (GFLOP/s)",
        ""
    );
    let mut total = [0.0; 2];
    // Channels in, between and out, size of the map, the first kernel, its stride, the depthwise stride, how often in MobileNetV2.
    for [input, wide, output, size, kernel, first, stride, times] in [
        [3, 32, 16, 224, 3, 2, 1, 1],
        [16, 96, 24, 112, 1, 1, 2, 1],
        [24, 144, 24, 56, 1, 1, 1, 1],
        [24, 144, 32, 56, 1, 1, 2, 1],
        [32, 192, 32, 28, 1, 1, 1, 2],
        [32, 192, 64, 28, 1, 1, 2, 1],
        [64, 384, 64, 14, 1, 1, 1, 3],
        [64, 384, 96, 14, 1, 1, 1, 1],
        [96, 576, 96, 14, 1, 1, 1, 2],
        [96, 576, 160, 14, 1, 1, 2, 1],
        [160, 960, 160, 7, 1, 1, 1, 2],
        [160, 960, 320, 7, 1, 1, 1, 1],
    ] {
        let middle = size / first;
        let geometry = |[from, inputs]: [usize; 2], outputs, kernel: usize, stride, groups| {
            Geometry::new(Settings {
                batch,
                input: [from, from, inputs],
                output: [from.div_ceil(stride), from.div_ceil(stride), outputs],
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1; 2],
                padding: [kernel / 2; 2],
                groups,
            })
            .expect("a usual convolution")
        };
        let chain = [
            geometry([size, input], wide, kernel, first, 1),
            geometry([middle, wide], wide, 3, stride, wide),
            geometry([middle.div_ceil(stride), wide], output, 1, 1, 1),
        ];
        let of = |shape: [usize; 3]| batch * shape.iter().product::<usize>();
        let passes = chain.map(|geometry| {
            let fused = Fused::default();
            let algorithm = Algorithm::choose(&cpu, &geometry, Pass::Forward, fused, true);
            Forward::new(&cpu, geometry, algorithm, fused).expect("it was chosen")
        });
        let bands = Bands::new(&cpu, passes.each_ref()).expect("a chain");
        let packed = [0, 1, 2].map(|i| {
            let mut packed = Buffer::zeros(passes[i].packed_len());
            passes[i].pack(&cpu, &numbers(chain[i].weights_len()), &mut packed);
            packed
        });
        let bias = numbers(wide.max(output));
        let epilogue = |i: usize| Epilogue {
            bias: Some(&bias[..chain[i].output[2]]),
            add: None,
            activation: [Activation::Relu6, Activation::Relu6, Activation::Identity][i],
            sums: None,
        };
        let links = [0, 1, 2].map(|i| Link {
            forward: &passes[i],
            packed: &packed[i],
            epilogue: epilogue(i),
        });
        let mut maps = [
            chain[0].input,
            chain[0].output,
            chain[1].output,
            chain[2].output,
        ]
        .map(|shape| numbers(of(shape)));
        let mut scratch = Buffer::zeros(bands.scratch_len());
        let mut best = [f64::INFINITY; 4];
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < 0.4 {
            for i in 0..3 {
                let (before, after) = maps.split_at_mut(i + 1);
                let (input, output) = (&before[i], &mut after[0]);
                let operands = ForwardOperands {
                    input: input.into(),
                    packed: &packed[i],
                    epilogue: epilogue(i),
                    output: Destination::Map(output),
                    scratch: &mut [],
                };
                best[i] = best[i].min(time(|| passes[i].run(&cpu, operands)));
            }
            let [input, .., output] = &mut maps;
            best[3] = best[3].min(time(|| bands.run(&cpu, links, input, output, &mut scratch)));
        }
        let operations: u64 = chain
            .iter()
            .map(|geometry| 2 * geometry.multiply_adds())
            .sum();
        let [wide_ms, depthwise, narrow, banded] = best.map(|seconds| 1e3 * seconds);
        let sum = wide_ms + depthwise + narrow;
        println!(
            "{:28} {wide_ms:7.3} {depthwise:9.3} {narrow:6.3} {sum:8.3} {banded:8.3} ({:.0}), {} rows",
            format!("{input}→{wide}→{output} @{middle}/{stride} b{batch} ×{times}"),
            1e-6 * operations as f64 / banded,
            bands.rows(),
        );
        total[0] += times as f64 * sum;
        total[1] += times as f64 * banded;
    }
    println!(
        "all of MobileNetV2: {:.2} pass by pass, {:.2} in bands",
        total[0], total[1]
    );
}
