//! GFLOP/s of the three passes of common layers: `cargo run --release -p hubel-kernels --example conv_speed [threads] [algorithm]`.
use std::time::Instant;

use hubel_kernels::conv::{
    Algorithm, Epilogue, Forward, Geometry, GradientEpilogue, InputGradient, WeightGradient,
};
use hubel_kernels::{Buffer, Cpu};

/// Billions of floating-point operations a second of the fastest of several runs.
fn speed(geometry: &Geometry, mut pass: impl FnMut()) -> f64 {
    pass();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < 0.25 {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed().as_secs_f64());
    }
    2e-9 * geometry.multiply_adds() as f64 / best
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments
        .next()
        .map_or(1, |text| text.parse().expect("a number of threads"));
    let wanted = arguments.next();
    let cpu = Cpu::best(threads);
    println!("{cpu:?}, GFLOP/s\n{:30} forward  input  weight", "");
    // Channels in and out, size of the map, kernel, stride, groups, batch.
    for [input, output, size, kernel, stride, groups, batch] in [
        [64, 64, 56, 3, 1, 1, 16],
        [128, 128, 28, 3, 1, 1, 16],
        [256, 256, 14, 3, 1, 1, 16],
        [512, 512, 7, 3, 1, 1, 16],
        [3, 32, 32, 3, 1, 1, 128],
        [3, 64, 224, 7, 2, 1, 4],
        [1, 6, 28, 5, 1, 1, 64],
        [64, 128, 56, 3, 2, 1, 16],
        [256, 64, 56, 1, 1, 1, 16],
        [96, 24, 56, 1, 1, 1, 16],
        [96, 96, 56, 3, 1, 96, 16],
        [96, 96, 56, 3, 2, 96, 16],
        [4096, 512, 1, 1, 1, 1, 64],
        [4096, 512, 1, 1, 1, 1, 1],
        [512, 512, 7, 3, 1, 1, 1],
        [64, 64, 56, 3, 1, 1, 1],
    ] {
        let geometry = Geometry {
            batch,
            input: [size, size, input],
            output: [size.div_ceil(stride), size.div_ceil(stride), output],
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            padding: [kernel / 2; 2],
            groups,
        };
        let algorithm = match wanted.as_deref() {
            Some("direct") => Algorithm::Direct,
            _ => Algorithm::choose_precise(&geometry),
        };
        let numbers = |count: usize| {
            let numbers: Vec<f32> = (0..count).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
            Buffer::from(&numbers[..])
        };
        let of = |shape: [usize; 3]| batch * shape.iter().product::<usize>();
        let mut x = numbers(of(geometry.input));
        let mut y = numbers(of(geometry.output));
        let mut weights = numbers(geometry.weights());

        let pass = Forward::new(&cpu, geometry, algorithm);
        let mut packed = Buffer::zeros(pass.packed_len());
        let mut scratch = Buffer::zeros(pass.scratch_len());
        pass.pack(&cpu, &weights, &mut packed);
        let epilogue = Epilogue::default();
        let forward = speed(&geometry, || {
            pass.run(&cpu, &x, &packed, &epilogue, &mut y, &mut scratch);
        });
        y = numbers(y.len());

        let pass = InputGradient::new(&cpu, geometry, algorithm);
        let mut packed = Buffer::zeros(pass.packed_len());
        let mut scratch = Buffer::zeros(pass.scratch_len());
        pass.pack(&cpu, &weights, &mut packed);
        let epilogue = GradientEpilogue::default();
        let backward = speed(&geometry, || {
            pass.run(&cpu, &y, &packed, &epilogue, &mut x, &mut scratch);
        });
        x = numbers(x.len());

        let pass = WeightGradient::new(&cpu, geometry, algorithm);
        let mut scratch = Buffer::zeros(pass.scratch_len());
        let weight = speed(&geometry, || {
            pass.run(&cpu, &x, &y, &mut weights, None, &mut scratch);
        });
        let name =
            format!("{input}→{output} {kernel}×{kernel}/{stride} @{size} b{batch} {algorithm}");
        println!("{name:30} {forward:7.1} {backward:7.1} {weight:7.1}");
    }
}
