//! A NaN is never hidden: it passes through every layer to the loss. Training stops there and returns the last good weights.
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hubel::plan::Mode;
use hubel::{
    Cpu, Dataset, Error, Event, LossInput, Network, Optimizer, Parameters, Plan, PlanSettings,
    Result, Schedule, Shape, TrainSettings, Trainer, Workspace,
};

/// The logits of two images; the first image contains a NaN.
fn logits_with_a_nan(text: &str, mode: Mode, fuse: bool) -> Result<Vec<f32>> {
    let input = Shape::new(8, 8, 16);
    let graph = Network::parse(text)?.graph(input, 3)?;
    let cpu = Cpu::best(2);
    let parameters = Parameters::initial(&graph, 1).unwrap();
    let settings = PlanSettings {
        mode,
        fuse,
        ..PlanSettings::training(2)
    };
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    let mut workspace = Workspace::new(&plan);
    let images = workspace.images_mut();
    for (i, pixel) in images.iter_mut().enumerate() {
        *pixel = (i as f32 * 0.7).sin();
    }
    images[16 * (8 * 3 + 4) + 5] = f32::NAN;
    plan.pack(&cpu, &parameters, &mut workspace);
    plan.forward(&cpu, &parameters, &mut workspace, 0);
    Ok(plan.logits(&workspace).to_vec())
}

#[test]
fn a_nan_passes_every_activation_fused_or_not() -> Result<()> {
    for activation in [
        "relu",
        "relu6",
        "leakyrelu",
        "sigmoid",
        "tanh",
        "silu",
        "hardswish",
        "gelu",
        "softplus",
        "gelutanh",
    ] {
        for text in [
            format!("{activation}-flatten-fc(classes)"),
            format!("conv(16, padding=1)-{activation}-flatten-fc(classes)"),
            format!("conv(16, kernel=5, padding=2)-{activation}-maxpool(2)-flatten-fc(classes)"),
            format!("conv(16, padding=1, groups=16)-{activation}-globalmaxpool-fc(classes)"),
            format!("residual[conv(16, padding=1)]-{activation}-globalavgpool-fc(classes)"),
            format!("flatten-fc(20)-{activation}-fc(classes)"),
        ] {
            for (mode, fuse) in [
                (Mode::Training, true),
                (Mode::Training, false),
                (Mode::Inference, true),
                (Mode::Inference, false),
            ] {
                let logits = logits_with_a_nan(&text, mode, fuse)?;
                assert!(
                    logits[..3].iter().all(|logit| logit.is_nan()),
                    "{text}, {mode:?}: {logits:?}"
                );
                assert!(
                    logits[3..].iter().all(|logit| logit.is_finite()),
                    "{text}, {mode:?}: the other image has {logits:?}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_nan_passes_batch_normalisation_and_the_relu_after_it() -> Result<()> {
    // In training, the statistics of the batch spread it to every image.
    for fuse in [true, false] {
        let text = "conv(8, padding=1)-batchnorm-relu-flatten-fc(classes)";
        let logits = logits_with_a_nan(text, Mode::Training, fuse)?;
        assert!(logits.iter().all(|logit| logit.is_nan()), "{logits:?}");
    }
    Ok(())
}

/// Two classes of 8×8 pictures that differ in brightness.
fn pictures() -> Result<Dataset> {
    let labels: Vec<usize> = (0..60).map(|i| i % 2).collect();
    let images: Vec<f32> = (0..60 * 64)
        .map(|i| labels[i / 64] as f32 + (i as f32 * 0.37).sin())
        .collect();
    Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)
}

fn settings(learning_rate: f32) -> TrainSettings {
    TrainSettings {
        epochs: 3,
        batch_size: 20,
        learning_rate,
        optimizer: Optimizer::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        ..TrainSettings::default()
    }
}

#[test]
fn an_absurd_learning_rate_stops_with_step_and_layer_and_keeps_the_weights_from_before()
-> Result<()> {
    let network = "conv(4, padding=1)-relu-pool-flatten-fc(classes)";
    let mut trainer = Trainer::new(
        Cpu::best(1),
        Network::parse(network)?,
        &pictures()?,
        None,
        settings(1e30),
    )?;
    let before = trainer.last_good();
    let mut steps = 0;
    let error = trainer
        .run(&mut |_| {
            steps += 1;
            ControlFlow::Continue(())
        })
        .expect_err("no network survives this");
    let Error::Diverged { step, place } = &error else {
        panic!("{error}");
    };
    assert_eq!((*step, place.as_str()), (2, "layer 4"));
    assert_eq!(
        steps, 1,
        "step 2 gave no loss, so that nothing is said of it"
    );
    let message = error.to_string();
    assert!(message.contains("step 2") && message.contains("layer 4"));
    assert_eq!(trainer.last_good(), before);
    Ok(())
}

#[test]
fn weights_that_the_last_step_broke_are_not_given_out() -> Result<()> {
    let (network, dataset) = (
        Network::parse("flatten-fc(4)-relu-fc(classes)")?,
        pictures()?,
    );
    let only_step = TrainSettings {
        epochs: 1,
        batch_size: 60,
        weight_decay: 1e3,
        ..settings(f32::MAX)
    };
    let mut trainer = Trainer::new(Cpu::best(1), network, &dataset, None, only_step)?;
    let error = trainer.run(&mut |_| ControlFlow::Continue(()));
    assert!(
        matches!(&error, Err(Error::Diverged { step: 1, place }) if place.starts_with("the weights of layer")),
        "{error:?}"
    );
    let good = trainer.last_good();
    assert!(good.evaluate(&Cpu::best(1), &dataset)?.loss.is_finite());
    Ok(())
}

#[test]
fn outputs_that_the_last_step_broke_are_an_error_with_and_without_validation() -> Result<()> {
    let dataset = pictures()?;
    let only_step = TrainSettings {
        epochs: 1,
        batch_size: 60,
        ..settings(1e20)
    };
    for validation in [None, Some(&dataset)] {
        // Weights near 1e20 are finite, but their product is not.
        let network = Network::parse("flatten-fc(4)-fc(classes)")?;
        let only_step = only_step.clone();
        let mut trainer = Trainer::new(Cpu::best(1), network, &dataset, validation, only_step)?;
        let error = trainer.run(&mut |event| {
            assert!(!matches!(event, Event::Epoch { .. }) || validation.is_none());
            ControlFlow::Continue(())
        });
        assert!(
            matches!(&error, Err(Error::Diverged { step: 1, .. })),
            "{error:?}"
        );
        assert!(trainer.last_good().evaluate(&Cpu::best(1), &dataset)?.loss < 10.0);
    }
    Ok(())
}

#[test]
fn what_is_kept_when_training_diverges_is_at_most_an_epoch_and_a_hundred_steps_old() -> Result<()> {
    for (batch_size, most) in [(20, 3), (1, 60)] {
        // Each step multiplies the weights by −2, until after about 130 steps they are too large.
        let doubling = TrainSettings {
            epochs: 100,
            batch_size,
            weight_decay: 300.0,
            ..settings(0.01)
        };
        let network = Network::parse("flatten-fc(classes)")?;
        let mut trainer = Trainer::new(Cpu::best(1), network, &pictures()?, None, doubling)?;
        let error = trainer.run(&mut |_| ControlFlow::Continue(()));
        let Err(Error::Diverged { step, .. }) = error else {
            panic!("{error:?}");
        };
        let kept = trainer.last_good().stopped_at().expect("a position");
        assert!(step > 100 && kept.steps_done() < step, "{step}, {kept}");
        assert!(step - kept.steps_done() <= most, "{step}, {kept}");
    }
    Ok(())
}

#[test]
fn weights_without_a_finite_loss_are_not_kept_as_good_ones() -> Result<()> {
    let labels: Vec<usize> = (0..240).map(|i| i % 2).collect();
    let images: Vec<f32> = (0..240).map(|i| i as f32).collect();
    let images = Dataset::from_arrays(&images, Shape::new(1, 1, 1), &labels)?;
    for average in [None, Some(0.9)] {
        let settings = TrainSettings {
            batch_size: 2,
            average,
            ..settings(0.01)
        };
        let batches = AtomicUsize::new(0);
        // The weights of step 100 would be copied.
        let loss = move |_: &LossInput, _: &mut [f32]| match batches.fetch_add(1, Relaxed) {
            100 => f64::NAN,
            _ => 1.0,
        };
        let network = Network::parse("flatten-fc(classes)")?;
        let trainer = Trainer::new(Cpu::best(1), network, &images, None, settings)?;
        let mut trainer = trainer.with_loss(loss);
        let error = trainer.run(&mut |_| ControlFlow::Continue(()));
        assert!(matches!(error, Err(Error::Diverged { step: 101, .. })));
        let kept = trainer.last_good().stopped_at().expect("a position");
        assert_eq!(kept.steps_done(), 0);
    }
    Ok(())
}

#[test]
fn images_with_a_nan_are_refused_and_those_that_overflow_are_named() -> Result<()> {
    let (shape, labels) = (Shape::new(8, 8, 1), [0, 1, 0, 1]);
    let mut images = vec![0.5; 4 * 64];
    images[64 * 2 + 7] = f32::NAN;
    let error = Dataset::from_arrays(&images, shape, &labels).expect_err("a NaN is no pixel");
    assert!(error.to_string().contains("image 2 holds NaN"), "{error}");

    // Finite values whose differences from their mean are not finite.
    images.fill(-f32::MAX);
    images[..64].fill(f32::MAX);
    let dataset = Dataset::from_arrays(&images, shape, &labels)?;
    let network = Network::parse("flatten-fc(classes)")?;
    let result = Trainer::new(Cpu::best(1), network, &dataset, None, settings(0.01))?
        .run(&mut |_| ControlFlow::Continue(()));
    assert!(
        matches!(&result, Err(Error::Diverged { step: 1, place }) if place == "the input"),
        "{result:?}"
    );
    Ok(())
}
