//! Training with Winograd learns as well as training without it.
use std::ops::ControlFlow;

use hubel::plan::StepReport;
use hubel::{
    Cpu, Dataset, Event, Network, Parameters, Plan, PlanSettings, Purpose, Random, Result, Shape,
    TrainSettings, Trainer, data,
};

/// As `mnist-cnn`, but narrower; the second convolution has enough channels for Winograd in all passes.
const USUAL: &str = "conv(16, padding=1)-relu-conv(16, padding=1)-relu-pool\
                     -conv(32, padding=1)-relu-pool-flatten-linear(classes)";
/// The same without kinks. With kinks, the last bit of a sum may decide the maximum of a window. After that the losses differ by
/// thousandths; whether it happens within 200 steps is random.
const SMOOTH: &str = "conv(16, padding=1)-tanh-conv(16, padding=1)-tanh-avgpool\
                      -conv(32, padding=1)-tanh-avgpool-flatten-linear(classes)";
const STEPS: usize = 200;
const BATCH: usize = 32;
/// Four times the distance of neighbouring f32 values between 2 and 4, where the means begin.
const RESOLUTION: f64 = 1.0 / (1 << 20) as f64;

/// The mean loss since the start of the epoch, after each step.
fn curve(cpu: &Cpu, network: &str, images: &Dataset, precise: bool) -> Result<Vec<f64>> {
    let settings = TrainSettings {
        epochs: 1,
        batch_size: BATCH,
        precise,
        ..TrainSettings::default()
    };
    let mut trainer = Trainer::new(
        cpu.clone(),
        Network::parse(network)?,
        images,
        None,
        settings,
    )?;
    let mut curve = Vec::new();
    trainer.run(&mut |event| {
        if let Event::Step { loss, .. } = event {
            curve.push(f64::from(*loss));
        }
        ControlFlow::Continue(())
    })?;
    Ok(curve)
}

fn images() -> Result<Dataset> {
    let images = (0..STEPS * BATCH).collect::<Vec<usize>>();
    Ok(data::mnist()?.train.subset(&images))
}

fn assert_all_passes_by_winograd(cpu: &Cpu, network: &str) -> Result<()> {
    let graph = Network::parse(network)?.graph(Shape::new(28, 28, 1), 10)?;
    let settings = PlanSettings::training(BATCH);
    let plan = Plan::compile(&graph, &Parameters::initial(&graph, 1)?, cpu, settings)?;
    let steps = plan.report().steps;
    let passes: [fn(&StepReport) -> &Option<String>; 3] = [
        |step| &step.forward,
        |step| &step.input_gradient,
        |step| &step.weight_gradient,
    ];
    for pass in passes {
        let winograd = |step: &StepReport| pass(step).as_deref() == Some("winograd");
        assert!(steps.iter().any(winograd), "each pass: {steps:?}");
    }
    Ok(())
}

#[test]
fn the_loss_curve_with_winograd_stays_within_that_of_another_order_of_summation() -> Result<()> {
    let (images, cpu) = (images()?, Cpu::best(Cpu::available_threads()));
    assert_all_passes_by_winograd(&cpu, SMOOTH)?;
    let winograd = curve(&cpu, SMOOTH, &images, false)?;
    let direct = curve(&cpu, SMOOTH, &images, true)?;
    assert_eq!(winograd.len(), STEPS);
    assert!(winograd != direct, "`precise` computes otherwise");

    // The same batches, each in reverse order: the unavoidable effect of another order of summation.
    let reversed = curve(&cpu, SMOOTH, &with_reversed_batches(&images), true)?;
    assert!(reversed != direct, "sums in another order");

    let furthest = |a: &[f64], b: &[f64]| {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max)
    };
    let distance = furthest(&winograd, &direct);
    let spread = furthest(&reversed, &direct);
    assert!(
        distance < 2.0 * spread + RESOLUTION,
        "Winograd is off by {distance}, another order of summation by {spread}"
    );
    Ok(())
}

#[test]
fn a_usual_network_learns_as_much_with_winograd() -> Result<()> {
    let (images, cpu) = (images()?, Cpu::best(Cpu::available_threads()));
    assert_all_passes_by_winograd(&cpu, USUAL)?;
    let late = |precise| -> Result<f64> {
        let means = curve(&cpu, USUAL, &images, precise)?;
        let sum = |steps: usize| steps as f64 * means[steps - 1];
        Ok((sum(STEPS) - sum(STEPS - 50)) / 50.0)
    };
    let ratio = late(false)? / late(true)?;
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
    Ok(())
}

/// The images, arranged so that training draws each batch in reverse.
fn with_reversed_batches(images: &Dataset) -> Dataset {
    let mut order: Vec<usize> = (0..images.len()).collect();
    Random::new(TrainSettings::default().seed)
        .stream(Purpose::Shuffle, 1, 0)
        .shuffle(&mut order);
    let mut places = vec![0; images.len()];
    for batch in order.chunks(BATCH) {
        for (place, image) in batch.iter().zip(batch.iter().rev()) {
            places[*place] = *image;
        }
    }
    images.subset(&places)
}
