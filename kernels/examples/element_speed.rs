//! GB/s of the operations between convolutions, bytes read and written once: `cargo run --release -p hubel-kernels --example element_speed [threads] [part of a name]`.
use std::time::Instant;

use hubel_kernels::activation::{self, Activation};
use hubel_kernels::batch_norm::{self, Batch};
use hubel_kernels::pool::{self, Pooling, Regions, Window};
use hubel_kernels::update::{Adam, Gradient, Lion, RmsProp, Sgd, sum_of_squares};
use hubel_kernels::{Buffer, Cpu, add, dropout, softmax};

/// Seconds of the fastest of several runs.
fn seconds(mut pass: impl FnMut()) -> f64 {
    pass();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < 0.2 {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn numbers(count: usize) -> Buffer {
    let numbers: Vec<f32> = (0..count)
        .map(|i| (i * 7919 % 1009) as f32 * 0.006 - 3.0)
        .collect();
    Buffer::from(&numbers[..])
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments
        .next()
        .map_or(1, |text| text.parse().expect("a number of threads"));
    let wanted = arguments.next().unwrap_or_default();
    let cpu = Cpu::best(threads);
    println!("{cpu:?}, GB/s");
    let show = |name: &str, floats: usize, pass: &mut dyn FnMut()| {
        if name.contains(&wanted) {
            println!("{name:40} {:6.1}", 4e-9 * floats as f64 / seconds(pass));
        }
    };

    // 1 MB a map: in the cache of a core.
    let length = 256 * 1024;
    let (x, mut y) = (numbers(length), numbers(length));
    for function in [
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Gelu,
    ] {
        show(&format!("{function:?} forward"), 2 * length, &mut || {
            activation::forward(&cpu, function, &x, &mut y);
        });
        show(&format!("{function:?} backward"), 3 * length, &mut || {
            activation::backward_in_place(&cpu, function, &x, &mut y);
        });
    }
    let z = numbers(length);
    show("add", 3 * length, &mut || add::add(&cpu, &x, &z, &mut y));
    show("copy, accumulated", 3 * length, &mut || {
        add::copy(&cpu, &x, &mut y, true);
    });
    show("dropout", 2 * length, &mut || {
        dropout::apply(&cpu, 0.5, 7, &x, &mut y, false);
    });
    let sgd = Sgd {
        learning_rate: 1e-9,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 1e-4,
    };
    let (mut first, mut second) = (Buffer::zeros(length), Buffer::zeros(length));
    let gradient = Gradient::from(&x[..]);
    show("SGD", 5 * length, &mut || {
        sgd.step(&cpu, &mut y, gradient, &mut first);
    });
    let adam_w = Adam {
        learning_rate: 1e-9,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1e-4,
        decoupled: true,
    };
    show("AdamW", 7 * length, &mut || {
        adam_w.step(&cpu, 1, &mut y, gradient, &mut first, &mut second);
    });
    let rms_prop = RmsProp {
        learning_rate: 1e-9,
        alpha: 0.99,
        epsilon: 1e-8,
        momentum: 0.9,
        weight_decay: 1e-4,
    };
    show("RMSprop", 7 * length, &mut || {
        rms_prop.step(&cpu, &mut y, gradient, &mut first, &mut second);
    });
    let lion = Lion {
        learning_rate: 1e-9,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 1e-4,
    };
    show("Lion", 5 * length, &mut || {
        lion.step(&cpu, &mut y, gradient, &mut first);
    });
    show("sum of squares", length, &mut || {
        std::hint::black_box(sum_of_squares(&cpu, gradient.values));
    });

    for [batch, size, channels] in [[16, 56, 16], [64, 7, 512], [128, 28, 6]] {
        let rows = batch * size * size;
        let length = rows * channels;
        let (x, dy) = (numbers(length), numbers(length));
        let (mut y, mut dx) = (numbers(length), numbers(length));
        let (scale, shift) = (vec![1.0; channels], vec![0.0; channels]);
        let (mut mean, mut variance) = (shift.clone(), shift.clone());
        let name = |text: &str| format!("{text} {batch}×{size}×{size}×{channels}");
        show(&name("batch norm statistics"), length, &mut || {
            batch_norm::statistics(&cpu, &x, &mut mean, &mut variance);
        });
        // Any numbers do.
        let (factor, summand) = (scale.clone(), shift.clone());
        show(&name("batch norm forward"), 2 * length, &mut || {
            batch_norm::normalise(&cpu, &x, &factor, &summand, None, Activation::Relu, &mut y);
        });
        show(&name("batch norm + add"), 3 * length, &mut || {
            let (add, relu) = (Some(&dy[..]), Activation::Relu);
            batch_norm::normalise(&cpu, &x, &factor, &summand, add, relu, &mut y);
        });
        let (mut scale_gradient, mut shift_gradient) = (shift.clone(), shift.clone());
        let mut coefficients = vec![0.0; 3 * channels];
        show(&name("batch norm backward"), 5 * length, &mut || {
            let batch = Batch {
                input: &x,
                mean: &shift,
                variance: &scale,
                epsilon: 1e-5,
                scale: &scale,
                shift: &shift,
            };
            batch_norm::backward(
                &cpu,
                batch,
                &dy,
                None,
                &mut scale_gradient,
                &mut shift_gradient,
                &mut coefficients,
            )
            .write(&cpu, &mut dx, false);
        });
    }

    for ([batch, size, channels], kernel, stride) in [
        ([128, 32, 32], 2, 2),
        ([128, 28, 6], 2, 2),
        ([1, 224, 64], 2, 2),
        ([16, 112, 64], 3, 2),
        ([16, 7, 512], 0, 0),
    ] {
        let out = if kernel == 0 {
            1
        } else {
            (size + 2 * (kernel - 2) - kernel) / stride + 1
        };
        let regions = match kernel {
            0 => Regions::Adaptive,
            _ => Regions::Sliding {
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [kernel - 2; 4],
                count_padding: true,
            },
        };
        let window = Window::new(batch, [size, size, channels], [out, out, channels], regions);
        let pooling = Pooling::new(window.expect("its windows fit"));
        let (from, to) = (batch * size * size * channels, batch * out * out * channels);
        let (mut x, mut y, mut index) = (numbers(from), numbers(to), vec![0; to]);
        let name = |text: &str| {
            format!("{text} {batch}×{size}×{size}×{channels}, {kernel}×{kernel} stride {stride}")
        };
        show(&name("max"), from + to, &mut || {
            pool::max_forward(&cpu, &pooling, &x, &mut y, None);
        });
        show(&name("max, index"), from + to * 3 / 2, &mut || {
            pool::max_forward(&cpu, &pooling, &x, &mut y, Some(&mut index));
        });
        show(&name("max back"), from + to * 3 / 2, &mut || {
            pool::max_backward(&cpu, &pooling, &index, &y, &mut x, false);
        });
        show(&name("average"), from + to, &mut || {
            pool::average_forward(&cpu, &pooling, &x, &mut y);
        });
        show(&name("average back"), from + to, &mut || {
            pool::average_backward(&cpu, &pooling, &y, &mut x, false);
        });
    }

    for [batch, classes] in [[128, 10], [64, 1000]] {
        let logits = numbers(batch * classes);
        let labels: Vec<u32> = (0..batch as u32).map(|n| n % 10).collect();
        let mut gradient = numbers(batch * classes);
        show(
            &format!("cross-entropy {batch}×{classes}"),
            2 * batch * classes,
            &mut || {
                softmax::cross_entropy(&logits, &labels, classes, 0.0, None, &mut gradient);
            },
        );
    }
}
