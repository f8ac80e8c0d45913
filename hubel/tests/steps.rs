//! What a step of training is made of: targets, losses of one's own, mixed images, accumulated batches, class weights.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubel::data::{Balance, Mixing};
use hubel::{
    Cpu, Dataset, Error, Event, LossInput, Model, Network, Optimizer, Phase, Result, Schedule,
    Shape, TrainSettings, Trainer, softmax,
};

const SHAPE: Shape = Shape::new(8, 8, 1);

/// Noise with a bright place that depends on the class.
fn pictures(count: usize, classes: usize) -> Result<Dataset> {
    let labels: Vec<usize> = (0..count).map(|i| i * 7 % classes).collect();
    let value = |i: usize| {
        let (image, pixel) = (i / SHAPE.len(), i % SHAPE.len());
        let noise = ((i as f64 * 12.9898).sin() * 43758.5453).fract() as f32;
        let is_bright = pixel / 8 == 2 * labels[image];
        0.4 * noise + f32::from(u8::from(is_bright))
    };
    let pixels: Vec<f32> = (0..count * SHAPE.len()).map(value).collect();
    Dataset::from_arrays(&pixels, SHAPE, &labels)
}

fn plain_network() -> Result<Network> {
    Network::parse("a: conv(8, padding=1)-relu-pool-flatten-fc(classes)")
}

fn settings() -> TrainSettings {
    TrainSettings {
        epochs: 3,
        batch_size: 16,
        learning_rate: 0.05,
        optimizer: Optimizer::Sgd {
            momentum: 0.9,
            nesterov: true,
        },
        schedule: Schedule::Constant,
        ..TrainSettings::default()
    }
}

fn trained(threads: usize, train: &Dataset, settings: &TrainSettings) -> Result<Model> {
    let mut trainer = Trainer::new(
        Cpu::best(threads),
        plain_network()?,
        train,
        None,
        settings.clone(),
    )?;
    trainer.run(&mut |_| ControlFlow::Continue(()))
}

/// The largest difference between two sets of weights.
fn difference(one: &Model, other: &Model) -> f32 {
    let values = std::iter::zip(one.parameters().values(), other.parameters().values());
    values.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn mixing_targets_accumulation_and_weights_give_the_same_bits_for_any_number_of_threads()
-> Result<()> {
    let train = pictures(50, 3)?;
    let targets: Vec<f32> = (train.labels().iter())
        .flat_map(|&label| (0..3).map(move |c| if c == label { 0.8 } else { 0.1 }))
        .collect();
    let soft = train.clone().with_targets(targets)?;
    for mixing in [
        Mixing::None,
        Mixing::Mixup { alpha: 0.4 },
        Mixing::CutMix { alpha: 1.0 },
        Mixing::of(Some(0.2), Some(1.0)),
    ] {
        for train in [&train, &soft] {
            let settings = TrainSettings {
                mixing,
                accumulate: 3,
                batch_size: 7,
                label_smoothing: 0.1,
                class_weights: Some(vec![1.0, 2.0, 0.5]),
                ..settings()
            };
            let one = trained(1, train, &settings)?;
            for threads in [2, 3] {
                let other = trained(threads, train, &settings)?;
                assert_eq!(one.parameters(), other.parameters(), "{mixing:?}");
            }
        }
    }
    Ok(())
}

/// Targets of 0 and 1 are labels, up to rounding: both losses are computed in f64 and rounded to a gradient in f32.
#[test]
fn certain_targets_train_as_labels_do() -> Result<()> {
    let train = pictures(48, 3)?;
    let certain: Vec<f32> = (train.labels().iter())
        .flat_map(|&label| (0..3).map(move |c| f32::from(u8::from(c == label))))
        .collect();
    let certain = train.clone().with_targets(certain)?;
    let settings = TrainSettings {
        label_smoothing: 0.1,
        ..settings()
    };
    let (of_labels, of_targets) = (
        trained(1, &train, &settings)?,
        trained(1, &certain, &settings)?,
    );
    assert!(difference(&of_labels, &of_targets) < 1e-4);
    Ok(())
}

/// The network learns what the targets say, against the labels; the accuracy of training counts the largest target.
#[test]
fn targets_are_learnt_and_not_the_labels() -> Result<()> {
    let train = pictures(60, 3)?;
    // The next class is the likeliest.
    let targets: Vec<f32> = (train.labels().iter())
        .flat_map(|&label| {
            (0..3).map(move |c| {
                if c == (label + 1) % 3 {
                    0.7
                } else if c == label {
                    0.3
                } else {
                    0.0
                }
            })
        })
        .collect();
    let soft = train.clone().with_targets(targets)?;
    let settings = TrainSettings {
        epochs: 20,
        ..settings()
    };
    let cpu = Cpu::best(1);
    let mut trainer = Trainer::new(cpu.clone(), plain_network()?, &soft, None, settings)?;
    let mut last = (0.0, 0.0);
    let model = trainer.run(&mut |event| {
        if let Event::Epoch { accuracy, loss, .. } = event {
            last = (*accuracy, *loss);
        }
        ControlFlow::Continue(())
    })?;
    assert!(last.0 > 0.95, "{last:?}");
    // The entropy of the targets, 0.611 nats, is the least loss.
    assert!((0.6..0.72).contains(&last.1), "{last:?}");
    assert!(model.evaluate(&cpu, &train)?.accuracy < 0.1);
    Ok(())
}

/// The cross-entropy, written by hand.
fn cross_entropy(input: &LossInput, gradient: &mut [f32]) -> f64 {
    let (classes, count) = (input.classes, input.labels.len());
    let mut loss = 0.0;
    softmax(&Cpu::best(1), input.logits, classes, gradient);
    for (n, row) in gradient.chunks_mut(classes).enumerate() {
        for (c, value) in row.iter_mut().enumerate() {
            let target = input.target(n, c);
            loss -= f64::from(target) * f64::from(*value).ln();
            *value = (*value - target) / count as f32;
        }
    }
    loss / count as f64
}

#[test]
fn a_loss_of_ones_own_is_used_with_labels_with_targets_and_with_accumulation() -> Result<()> {
    let train = pictures(50, 3)?;
    for (mixing, accumulate) in [
        (Mixing::None, 1),
        (Mixing::Mixup { alpha: 1.0 }, 1),
        (Mixing::CutMix { alpha: 1.0 }, 2),
    ] {
        let settings = TrainSettings {
            mixing,
            accumulate,
            ..settings()
        };
        let built_in = trained(1, &train, &settings)?;
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let trainer = Trainer::new(Cpu::best(1), plain_network()?, &train, None, settings)?;
        let mut trainer = trainer.with_loss(move |input, gradient| {
            counter.fetch_add(1, Ordering::Relaxed);
            assert_eq!(input.targets.is_some(), !mixing.is_none());
            assert!(gradient.iter().all(|value| *value == 0.0));
            cross_entropy(input, gradient)
        });
        let own = trainer.run(&mut |_| ControlFlow::Continue(()))?;
        // Three epochs of three batches of 16 and one of 2.
        assert_eq!(calls.load(Ordering::Relaxed), 12);
        assert!(difference(&built_in, &own) < 1e-4);
    }
    Ok(())
}

#[test]
fn accumulated_batches_train_as_one_large_batch_and_events_count_updates() -> Result<()> {
    let train = pictures(80, 4)?;
    for class_weights in [None, Some(vec![1.0, 3.0, 0.5, 2.0])] {
        let large = TrainSettings {
            batch_size: 32,
            class_weights,
            ..settings()
        };
        let small = TrainSettings {
            batch_size: 8,
            accumulate: 4,
            ..large.clone()
        };
        let whole = trained(1, &train, &large)?;
        let mut steps = Vec::new();
        let mut trainer = Trainer::new(Cpu::best(1), plain_network()?, &train, None, small)?;
        let parts = trainer.run(&mut |event| {
            if let Event::Step {
                epoch,
                step,
                steps: of,
                ..
            } = event
            {
                steps.push((*epoch, *step, *of));
            }
            ControlFlow::Continue(())
        })?;
        // Ten batches are three steps: 4, 4 and 2 batches.
        let expected = (1..4).flat_map(|epoch| (1..4).map(move |step| (epoch, step, 3)));
        assert_eq!(steps, expected.collect::<Vec<_>>());
        assert_eq!(parts.stopped_at(), None);
        // Weights of the order of 0.3, after nine updates with other orders of summation.
        assert!(difference(&whole, &parts) < 1e-5);
        assert_ne!(
            whole.parameters(),
            trained(1, &train, &settings())?.parameters()
        );
    }
    Ok(())
}

/// Also with batch norm, whose weights stay packed between the batches of a step, and with a stop in the middle.
#[test]
fn accumulation_with_batch_norm_learns_and_stops_after_whole_steps() -> Result<()> {
    let train = pictures(60, 3)?;
    let network = || {
        Network::parse(
            "conv(8, padding=1, bias=false)-batchnorm-relu-pool-flatten-dropout(0.2)-fc(classes)",
        )
    };
    let settings = TrainSettings {
        epochs: 15,
        batch_size: 6,
        accumulate: 3,
        ..settings()
    };
    let cpu = Cpu::best(2);
    let mut trainer = Trainer::new(cpu.clone(), network()?, &train, None, settings.clone())?;
    let model = trainer.run(&mut |_| ControlFlow::Continue(()))?;
    assert!(model.evaluate(&cpu, &train)?.accuracy > 0.9);
    let mut trainer = Trainer::new(cpu, network()?, &train, None, settings)?;
    let mut count = 0;
    let model = trainer.run(&mut |_| {
        count += 1;
        if count == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let position = model.stopped_at().expect("it was stopped");
    assert_eq!((position.epoch, position.step, position.steps), (1, 2, 4));
    Ok(())
}

#[test]
fn mixed_pictures_are_learnt() -> Result<()> {
    let (train, cpu) = (pictures(90, 3)?, Cpu::best(1));
    for mixing in [Mixing::Mixup { alpha: 0.5 }, Mixing::CutMix { alpha: 1.0 }] {
        let settings = TrainSettings {
            mixing,
            epochs: 25,
            ..settings()
        };
        let model = trained(1, &train, &settings)?;
        let report = model.evaluate(&cpu, &train)?;
        assert!(report.accuracy > 0.9, "{mixing:?}: {}", report.accuracy);
    }
    Ok(())
}

/// Weights by hand in the ratios of the counts are those that `Balance::Loss` computes.
#[test]
fn weights_by_hand_are_those_of_the_balance_if_they_have_its_ratios() -> Result<()> {
    let train = pictures(60, 3)?;
    // 20 images of class 0, 10 of class 1, 5 of class 2.
    let kept: Vec<usize> = (0..60)
        .filter(|&i| i < [60, 30, 15][train.labels()[i]])
        .collect();
    let train = train.subset(&kept);
    assert_eq!(train.counts(), [20, 10, 5]);
    let balanced = TrainSettings {
        balance: Balance::Loss,
        ..settings()
    };
    let by_hand = TrainSettings {
        class_weights: Some(vec![10.0, 20.0, 40.0]),
        ..settings()
    };
    let (balanced, by_hand) = (
        trained(1, &train, &balanced)?,
        trained(1, &train, &by_hand)?,
    );
    assert!(difference(&balanced, &by_hand) < 1e-5);
    assert!(difference(&balanced, &trained(1, &train, &settings())?) > 1e-3);
    let both = TrainSettings {
        balance: Balance::Loss,
        class_weights: Some(vec![1.0; 3]),
        ..settings()
    };
    let error = trained(1, &train, &both)
        .expect_err("one is enough")
        .to_string();
    assert!(error.contains("leave out one of them"), "{error}");
    Ok(())
}

/// Features of frozen layers take the targets of their pictures, and mixup; CutMix has no rectangles there.
#[test]
fn features_of_frozen_layers_keep_targets_and_are_mixed_by_mixup_only() -> Result<()> {
    let train = pictures(30, 3)?;
    let start = trained(1, &train, &settings())?;
    let phase = |mixing, versions| Phase {
        frozen: Some("a".into()),
        settings: TrainSettings {
            mixing,
            epochs: 2,
            ..settings()
        },
        versions,
        first_rate: 1.0,
        keeps_statistics: true,
    };
    let targets: Vec<f32> = (0..90).map(|i| [0.5, 0.5, 0.0][(i + i / 3) % 3]).collect();
    let soft = train.clone().with_targets(targets)?;
    let run = |train: &Dataset, mixing, versions| -> Result<Model> {
        let phases = vec![phase(mixing, versions)];
        Trainer::fine_tune(Cpu::best(1), start.clone(), phases, train, None)?
            .run(&mut |_| ControlFlow::Continue(()))
    };
    let labels = run(&train, Mixing::None, 1)?;
    let kept = run(&soft, Mixing::None, 1)?;
    assert_ne!(labels.parameters(), kept.parameters());
    // Computed in each step, features have the targets of the data itself.
    assert!(difference(&kept, &run(&soft, Mixing::None, 0)?) < 1e-5);
    assert_ne!(
        labels.parameters(),
        run(&train, Mixing::Mixup { alpha: 1.0 }, 1)?.parameters()
    );
    assert!(run(&train, Mixing::CutMix { alpha: 1.0 }, 0).is_ok());
    for mixing in [
        Mixing::CutMix { alpha: 1.0 },
        Mixing::of(Some(1.0), Some(1.0)),
    ] {
        let Err(Error::Settings { problem }) = run(&train, mixing, 1) else {
            panic!("it is accepted");
        };
        assert!(
            problem.contains("use mixup, or freeze no layers"),
            "{problem}"
        );
    }
    Ok(())
}
