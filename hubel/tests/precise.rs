//! Training with Winograd learns as training without it does.
use std::ops::ControlFlow;

use hubel::plan::StepReport;
use hubel::{
    Cpu, Dataset, Event, InstructionSet, Network, Parameters, Plan, PlanSettings, Result, Shape,
    TrainSettings, Trainer, data,
};

/// As `mnist-cnn`, narrower; all but the first convolution have channels enough for Winograd.
const NETWORK: &str = "conv(16, padding=1)-relu-conv(16, padding=1)-relu-pool\
                       -conv(32, padding=1)-relu-pool-flatten-linear(classes)";
const STEPS: usize = 200;
const BATCH: usize = 32;
/// The events give a mean of 200 losses in f32, from which those of a step follow to about 1e-5.
const RESOLUTION: f64 = 1e-4;

/// The loss of each step of one epoch.
fn losses(cpu: &Cpu, images: &Dataset, precise: bool) -> Result<Vec<f64>> {
    let settings = TrainSettings {
        epochs: 1,
        batch_size: BATCH,
        validation: 0.0,
        precise,
        ..TrainSettings::default()
    };
    let mut trainer = Trainer::new(cpu.clone(), Network::parse(NETWORK)?, images, settings)?;
    let (mut losses, mut sum) = (Vec::new(), 0.0);
    trainer.run(&mut |event| {
        // The event has the mean since the beginning of the epoch.
        if let Event::Step { step, loss, .. } = event {
            let total = f64::from(*loss) * *step as f64;
            losses.push(total - sum);
            sum = total;
        }
        ControlFlow::Continue(())
    })?;
    Ok(losses)
}

#[test]
fn the_loss_curve_with_winograd_stays_within_that_of_another_order_of_summation() -> Result<()> {
    let mnist = data::mnist()?.train;
    let images = mnist.subset(&(0..STEPS * BATCH).collect::<Vec<usize>>());
    let cpu = Cpu::best(Cpu::available_threads());

    let graph = Network::parse(NETWORK)?.graph(Shape::new(28, 28, 1), 10)?;
    let settings = PlanSettings::training(BATCH);
    let plan = Plan::compile(&graph, &Parameters::initial(&graph, 1), &cpu, settings)?;
    let steps = plan.report().steps;
    let algorithms = |step: &StepReport| {
        [&step.forward, &step.input_gradient, &step.weight_gradient].map(Clone::clone)
    };
    let chosen = steps.iter().flat_map(algorithms).flatten();
    let winograd = chosen.filter(|algorithm| algorithm == "winograd").count();
    assert_eq!(winograd, 2 * 3, "two convolutions, three passes: {steps:?}");

    let winograd = losses(&cpu, &images, false)?;
    let direct = losses(&cpu, &images, true)?;
    assert_eq!(winograd.len(), STEPS);
    assert!(winograd != direct, "`precise` computes otherwise");

    let furthest = |a: &[f64], b: &[f64], steps: usize| {
        let differences = a.iter().zip(b).take(steps).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f64::max)
    };
    let early = furthest(&winograd, &direct, 20);
    assert!(early < RESOLUTION, "{early} in the first 20 steps");
    let last = |losses: &[f64]| losses[STEPS - 50..].iter().sum::<f64>() / 50.0;
    let late = last(&winograd) / last(&direct);
    assert!((0.98..1.02).contains(&late), "{late}");

    // Other vectors add some sums in another order: the spread that nobody can avoid. Scalar code would take too long here.
    let sets = InstructionSet::available();
    if let [.., InstructionSet::Avx2, InstructionSet::Avx512] = sets[..] {
        let cpu = Cpu::new(InstructionSet::Avx2, cpu.threads());
        let spread = furthest(&losses(&cpu, &images, true)?, &direct, STEPS);
        let distance = furthest(&winograd, &direct, STEPS);
        assert!(
            distance < 10.0 * spread + RESOLUTION,
            "{distance} beside {spread}"
        );
    }
    Ok(())
}
