use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use super::*;
use crate::data::mnist;
use crate::{Dataset, Network, Optimizer, Shape, TrainSettings};

fn settings(optimizer: Optimizer) -> TrainSettings {
    let usual = TrainSettings::default();
    TrainSettings {
        learning_rate: optimizer.usual_learning_rate(usual.learning_rate),
        weight_decay: optimizer.usual_weight_decay(usual.weight_decay),
        optimizer,
        ..usual
    }
}

/// Digits: the first of MNIST.
fn digits(count: usize) -> Dataset {
    let mnist = mnist().expect("it is part of the library");
    mnist.train.subset(&(0..count).collect::<Vec<_>>())
}

/// Coloured stripes with noise: the class decides direction and colour.
fn stripes(count: usize, side: usize) -> Dataset {
    const CLASSES: usize = 4;
    let mut bytes = Vec::with_capacity(count * side * side * 3);
    for picture in 0..count {
        let class = picture % CLASSES;
        let mut noise = crate::Random::new(7).stream(crate::Purpose::Experiment, 0, picture as u64);
        let phase = noise.below(8);
        for y in 0..side {
            for x in 0..side {
                let along = if class % 2 == 0 { x } else { y };
                let is_light = (along + phase) / 4 % 2 == 0;
                for channel in 0..3 {
                    let colour = if class / 2 == 0 {
                        channel == 0
                    } else {
                        channel != 1
                    };
                    let level = 60.0 + 70.0 * f32::from(u8::from(is_light && colour));
                    bytes.push((level + 25.0 * noise.normal()).clamp(0.0, 255.0) as u8);
                }
            }
        }
    }
    let labels = (0..count).map(|picture| picture % CLASSES).collect();
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    Dataset::from_bytes("stripes", classes, Shape::new(side, side, 3), bytes, labels)
        .expect("they fit")
}

fn trainer(network: &str, dataset: &Dataset, settings: TrainSettings) -> Trainer {
    let network = Network::resolve(network).expect("a network");
    Trainer::new(Cpu::best(2), network, dataset, None, settings).expect("it fits")
}

fn diagnosis(trainer: &Trainer) -> Diagnosis {
    examine(trainer, &mut |_, _| ControlFlow::Continue(()))
        .expect("it succeeds")
        .expect("nobody breaks it off")
}

#[test]
fn measure() {
    let (digits, stripes) = (digits(4000), stripes(1000, 32));
    let which = std::env::var("WHICH").unwrap_or_default();
    for optimizer in [
        Optimizer::adam_w(),
        Optimizer::sgd(),
        Optimizer::muon(),
        Optimizer::lion(),
        Optimizer::rms_prop(),
    ] {
        for (network, dataset) in [
            ("lenet5", &digits),
            ("mlp", &digits),
            ("mnist-cnn", &digits),
            ("tutorial", &stripes),
            ("tutorial-bn", &stripes),
            ("resnet18", &stripes),
            ("mobilenet-v2", &stripes),
            ("efficientnet-lite0", &stripes),
            ("vgg16", &stripes),
            ("resnet50", &stripes),
        ] {
            let text = format!("{network} {optimizer}");
            if !which.is_empty() && !which.split(',').any(|w| text.contains(w)) {
                continue;
            }
            let start = std::time::Instant::now();
            let d = diagnosis(&trainer(network, dataset, settings(optimizer)));
            println!("\n=== {text} {:.1} s", start.elapsed().as_secs_f64());
            for sign in &d.signs {
                println!("  SIGN {sign}");
            }
            for t in &d.by_heart.trials {
                println!("  {t:?}");
            }
            if let Some(l) = &d.labels {
                println!(
                    "  labels {}/{} steps {} loss {:.3}",
                    l.correct, l.images, l.steps, l.loss
                );
            }
            let e: Vec<(f64, &str)> = d
                .layers
                .iter()
                .filter_map(|l| {
                    Some((
                        f64::from(l.gradient_norm?) * f64::from(l.weight_norm?),
                        l.layer.as_str(),
                    ))
                })
                .collect();
            let max = e.iter().map(|x| x.0).fold(0.0, f64::max);
            let min = e.iter().map(|x| x.0).fold(f64::MAX, f64::min);
            let g = d
                .layers
                .iter()
                .filter_map(|l| l.gradient_norm)
                .fold(0.0f32, f32::max);
            let dead = d
                .layers
                .iter()
                .filter_map(|l| l.dead_share())
                .fold(0.0f32, f32::max);
            println!(
                "  effect {min:.2e} .. {max:.2e} last {:.2e} ratio {:.2e}; grad max {g:.2e}; dead {dead:.2}; input {:?}",
                e.last().unwrap().0,
                min / max,
                d.input
            );
        }
    }
}
