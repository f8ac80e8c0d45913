//! Convolution and max pooling in one pass against one after the other, in turns:
//! `cargo run --release -p hubel-kernels --example pooled_speed [threads]`.
use std::time::Instant;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{
    Algorithm, Epilogue, Forward, Geometry, GradientEpilogue, InputGradient, Pass, WeightGradient,
};
use hubel_kernels::pool::{self, Index, Pooled, Pooling, Regions, Window, Winner};
use hubel_kernels::{Buffer, Cpu};

/// Milliseconds of the fastest run of each, and the ratio.
fn compare(mut apart: impl FnMut(), mut together: impl FnMut()) -> String {
    let mut best = [f64::INFINITY; 2];
    let begin = Instant::now();
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        1e3 * start.elapsed().as_secs_f64()
    };
    while begin.elapsed().as_secs_f64() < 0.5 {
        best[0] = best[0].min(time(&mut apart));
        best[1] = best[1].min(time(&mut together));
    }
    let [apart, together] = best;
    format!("{apart:6.3} {together:6.3} {:5.2}", apart / together)
}

fn main() {
    let threads = std::env::args().nth(1);
    let threads = threads.map_or(1, |text| text.parse().expect("a number of threads"));
    let cpu = Cpu::best(threads);
    println!(
        "{cpu:?}: ms apart, ms together, ratio\n{:26} forward              training forward",
        ""
    );
    // Channels in and out, size of the input and the output, kernel, batch.
    for [inputs, filters, size, to, kernel, batch] in [
        [1, 6, 28, 28, 5, 64],
        [6, 16, 14, 10, 5, 64],
        [32, 32, 28, 28, 3, 1],
        [64, 64, 14, 14, 3, 1],
        [32, 32, 28, 28, 3, 32],
        [64, 64, 14, 14, 3, 32],
        [32, 32, 32, 32, 3, 16],
        [64, 64, 16, 16, 3, 16],
        [128, 128, 8, 8, 3, 16],
        [64, 64, 32, 32, 3, 16],
        [256, 256, 8, 8, 3, 16],
        [512, 512, 4, 4, 3, 16],
        [512, 512, 2, 2, 3, 16],
    ] {
        let geometry = Geometry {
            batch,
            input: [size, size, inputs],
            output: [to, to, filters],
            kernel: [kernel; 2],
            stride: [1; 2],
            dilation: [1; 2],
            padding: [(to + kernel - 1 - size) / 2; 2],
            groups: 1,
        };
        let regions = Regions::Sliding {
            kernel: [2; 2],
            stride: [2; 2],
            padding: [0; 4],
            count_padding: false,
        };
        let pooled = [to / 2, to / 2, filters];
        let window = Window::new(batch, geometry.output, pooled, regions).expect("its windows fit");
        let pooling = Pooling::new(window);
        let numbers = |count: usize| {
            let numbers: Vec<f32> = (0..count).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
            Buffer::from(&numbers[..])
        };
        let of = |shape: [usize; 3]| batch * shape.iter().product::<usize>();
        let (x, weights, bias) = (
            numbers(of(geometry.input)),
            numbers(geometry.weights()),
            numbers(filters),
        );
        let [mut map, mut y] = [geometry.output, pooled].map(|shape| Buffer::zeros(of(shape)));
        let mut y2 = y.clone();
        let (mut index, mut winners) = (
            vec![Index::default(); y.len()],
            vec![Winner::default(); y.len()],
        );
        let epilogue = Epilogue {
            bias: Some(&bias),
            add: None,
            activation: Activation::Relu,
            sums: None,
        };
        let choose = |pass| Algorithm::choose(&geometry, pass);
        let algorithm = choose(Pass::Forward);
        let plain = Forward::new(&cpu, geometry, algorithm);
        let pass = Forward::pooled(&cpu, geometry, algorithm).expect("pools");
        let packed = |length: usize, pack: &dyn Fn(&mut [f32])| {
            let mut packed = Buffer::zeros(length);
            pack(&mut packed);
            if length == 0 { weights.clone() } else { packed }
        };
        let plain_weights = packed(plain.packed_len(), &|to| plain.pack(&cpu, &weights, to));
        let own_weights = packed(pass.packed_len(), &|to| pass.pack(&cpu, &weights, to));
        let [mut s, mut s2] = [plain.scratch_len(), pass.scratch_len()].map(Buffer::zeros);
        let name = format!("{inputs}→{filters} {kernel}×{kernel} @{size} b{batch}");
        print!("{name:18}");
        for training in [false, true] {
            let line = compare(
                || {
                    plain.run(&cpu, &x, &plain_weights, &epilogue, &mut map, &mut s);
                    let index = training.then_some(&mut index[..]);
                    pool::max_forward(&cpu, &pooling, &map, &mut y, index);
                },
                || {
                    let winners = training.then_some(&mut winners[..]);
                    pass.run_pooled(&cpu, &x, &own_weights, &epilogue, &mut y2, winners, &mut s2);
                },
            );
            print!("  {algorithm:8} {line}");
        }
        println!();
        // The way back: un-pooling and both gradients.
        let input = InputGradient::new(&cpu, geometry, choose(Pass::InputGradient));
        let input2 =
            InputGradient::pooled(&cpu, geometry, choose(Pass::InputGradient)).expect("expands");
        let weight = WeightGradient::new(&cpu, geometry, choose(Pass::WeightGradient));
        let weight2 =
            WeightGradient::pooled(&cpu, geometry, choose(Pass::WeightGradient)).expect("expands");
        let input_weights = packed(input.packed_len(), &|to| input.pack(&cpu, &weights, to));
        let input_weights2 = packed(input2.packed_len(), &|to| input2.pack(&cpu, &weights, to));
        let lengths = [
            input.scratch_len().max(weight.scratch_len()),
            input2.scratch_len().max(weight2.scratch_len()),
        ];
        let [mut s, mut s2] = lengths.map(Buffer::zeros);
        let [mut gradient, mut gradient2] = [x.clone(), x.clone()];
        let [mut sums, mut sums2] = [weights.clone(), weights.clone()];
        let end = GradientEpilogue::default();
        let pooled = Pooled {
            gradient: &y2,
            winners: &winners,
        };
        let line = compare(
            || {
                pool::max_backward(&cpu, &pooling, &index, &y, &mut map, false);
                weight.run(&cpu, &x, &map, &mut sums, None, &mut s);
                if inputs > 3 {
                    input.run(&cpu, &map, &input_weights, &end, &mut gradient, &mut s);
                }
            },
            || {
                weight2.run_pooled(&cpu, &x, pooled, &mut sums2, None, &mut s2);
                if inputs > 3 {
                    input2.run_pooled(&cpu, pooled, &input_weights2, &end, &mut gradient2, &mut s2);
                }
            },
        );
        println!("{:18}  backward {line}", "");
    }
}
