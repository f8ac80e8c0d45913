//! Options of training: the weights to keep, early stopping, own schedules, the model to start from.
use std::ops::ControlFlow;

use hubel::{
    Cpu, Dataset, Error, Event, Keep, Model, Network, Optimizer, Phase, Position, Result, Schedule,
    Shape, TrainSettings, Trainer,
};

const SHAPE: Shape = Shape::new(6, 6, 1);

/// Noise with random labels: nothing learnt from some images holds for others.
fn noise(count: usize, seed: usize) -> Result<Dataset> {
    let label = |i: usize| usize::from(((i * i * 7 + seed * 31) as f64).sin() > 0.0);
    let labels: Vec<usize> = (0..count).map(label).collect();
    let value = |i: usize| (((i + 7919 * seed) as f64 * 12.9898).sin() * 43758.5453).fract() as f32;
    let pixels: Vec<f32> = (0..count * SHAPE.len()).map(value).collect();
    Dataset::from_arrays(&pixels, SHAPE, &labels)
}

fn network() -> Result<Network> {
    Network::parse("conv(6)-batchnorm-relu-flatten-linear(classes)")
}

fn settings(epochs: usize) -> TrainSettings {
    TrainSettings {
        epochs,
        batch_size: 8,
        schedule: Schedule::Constant,
        ..TrainSettings::default()
    }
}

fn go_on(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The events of epochs: the model, and its accuracy and loss on the validation images.
type Told = Vec<(Model, f32, f32)>;

fn told(event: &Event, epochs: &mut Told) {
    if let Event::Epoch {
        model,
        validation_accuracy: Some(accuracy),
        validation_loss: Some(loss),
        ..
    } = event
    {
        epochs.push(((*model).clone(), *accuracy, *loss));
    }
}

/// The index of the first of the best.
fn best(epochs: &Told) -> usize {
    let mut best = 0;
    for (place, (_, accuracy, loss)) in epochs.iter().enumerate() {
        let (_, of_best, loss_of_best) = epochs[best];
        if *accuracy > of_best || (*accuracy == of_best && *loss < loss_of_best) {
            best = place;
        }
    }
    best
}

#[test]
fn the_model_of_each_epoch_is_at_hand_and_the_best_is_kept_if_wanted() -> Result<()> {
    let (cpu, train, held_out) = (Cpu::best(1), noise(32, 1)?, noise(24, 5)?);
    let trained = |keep| -> Result<(Model, Told, Option<Position>)> {
        let settings = TrainSettings {
            keep,
            ..settings(8)
        };
        let mut trainer = Trainer::new(cpu.clone(), network()?, &train, Some(&held_out), settings)?;
        let (mut epochs, mut kept) = (Vec::new(), None);
        let model = trainer.run(&mut |event| {
            told(event, &mut epochs);
            if let Event::Kept { position, .. } = event {
                kept = Some(*position);
            }
            ControlFlow::Continue(())
        })?;
        Ok((model, epochs, kept))
    };
    let (last, epochs, kept) = trained(Keep::Last)?;
    assert_eq!((epochs.len(), kept), (8, None));
    assert_eq!(last.parameters(), epochs[7].0.parameters());
    for (place, (model, accuracy, loss)) in epochs.iter().enumerate() {
        let position = model.stopped_at().expect("it knows how far it came");
        assert_eq!(position.epoch, place + 1);
        let report = model.evaluate(&cpu, &held_out)?;
        assert_eq!((report.accuracy, report.loss), (*accuracy, *loss));
    }
    let place = best(&epochs);
    assert!(place < 7, "the last is best, so that nothing is shown");
    let (of_best, same_epochs, kept) = trained(Keep::Best)?;
    assert_eq!(same_epochs[7].0.parameters(), last.parameters());
    assert_eq!(of_best.parameters(), epochs[place].0.parameters());
    assert_eq!(kept.map(|position| position.epoch), Some(place + 1));
    assert_eq!(of_best.stopped_at(), None);
    Ok(())
}

#[test]
fn training_ends_where_patience_ends_and_is_complete() -> Result<()> {
    let (cpu, train, held_out) = (Cpu::best(1), noise(32, 1)?, noise(24, 2)?);
    let settings = TrainSettings {
        patience: Some(3),
        ..settings(60)
    };
    let mut trainer = Trainer::new(
        cpu.clone(),
        network()?,
        &train,
        Some(&held_out),
        settings.clone(),
    )?;
    let (mut epochs, mut end) = (Vec::new(), None);
    let model = trainer.run(&mut |event| {
        told(event, &mut epochs);
        if let Event::EndedEarly { position, .. } = event {
            end = Some(position.epoch);
        }
        ControlFlow::Continue(())
    })?;
    let place = best(&epochs);
    assert_eq!(epochs.len(), place + 1 + 3);
    assert!(epochs.len() < 60);
    assert_eq!(end, Some(epochs.len()));
    assert_eq!(model.stopped_at(), None);
    // `keep` is not `Best`.
    let (last, ..) = epochs.last().expect("there are epochs");
    assert_eq!(model.parameters(), last.parameters());

    // After a phase ends early, the next phase begins.
    let phase = |epochs| Phase {
        frozen: None,
        settings: TrainSettings {
            epochs,
            ..settings.clone()
        },
        versions: 0,
        first_rate: 1.0,
        keeps_statistics: false,
    };
    let phases = vec![phase(60), phase(1)];
    let mut transfer = Trainer::fine_tune(cpu, model, phases, &train, Some(&held_out))?;
    let mut begun = 0;
    let model = transfer.run(&mut |event| {
        begun += usize::from(matches!(event, Event::Phase { .. }));
        ControlFlow::Continue(())
    })?;
    assert_eq!((begun, model.stopped_at()), (2, None));
    Ok(())
}

#[test]
fn decisions_need_images_held_out() -> Result<()> {
    let train = noise(16, 1)?;
    for settings in [
        TrainSettings {
            keep: Keep::Best,
            ..settings(2)
        },
        TrainSettings {
            patience: Some(1),
            ..settings(2)
        },
    ] {
        let of = |held_out: Option<&Dataset>| {
            let cpu = Cpu::best(1);
            Trainer::new(cpu, network().unwrap(), &train, held_out, settings.clone()).err()
        };
        assert!(of(Some(&train)).is_none());
        for held_out in [None, Some(&train.subset(&[]))] {
            let refused = of(held_out).expect("nothing decides").to_string();
            assert!(refused.contains("held out for validation"), "{refused}");
        }
    }
    Ok(())
}

#[test]
fn a_schedule_of_one_s_own_is_asked_for_each_step_and_must_give_a_rate() -> Result<()> {
    let (cpu, train) = (Cpu::best(1), noise(20, 1)?);
    let trained = |schedule| {
        let settings = TrainSettings {
            schedule,
            optimizer: Optimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            ..settings(3)
        };
        Trainer::new(cpu.clone(), network()?, &train, None, settings)?.run(&mut go_on)
    };
    let same = trained(Schedule::of(|_, _| 1.0))?;
    assert_eq!(same, trained(Schedule::Constant)?);
    // With a rate of 0 no weight changes.
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = asked.clone();
    trained(Schedule::of(move |step, steps| {
        told.lock().unwrap().push((step, steps));
        0.0
    }))?;
    let expected: Vec<(u64, u64)> = (0..9).map(|step| (step, 9)).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    for rate in [f32::NAN, -1.0, f32::INFINITY] {
        let refused = trained(Schedule::of(
            move |step, _| if step < 2 { 1.0 } else { rate },
        ));
        let Err(Error::Settings { problem }) = refused else {
            panic!("{rate} is taken");
        };
        assert!(problem.contains("step 2"), "{problem}");
    }
    Ok(())
}

#[test]
fn training_goes_on_from_a_model_also_for_other_classes() -> Result<()> {
    let (cpu, train) = (Cpu::best(1), noise(24, 1)?);
    let start =
        Trainer::new(cpu.clone(), network()?, &train, None, settings(20))?.run(&mut go_on)?;
    let accuracy = |model: &Model| Ok::<_, Error>(model.evaluate(&cpu, &train)?.accuracy);
    let before = accuracy(&start)?;
    assert!(before > 0.8, "{before}");
    let on = Trainer::from_model(cpu.clone(), start.clone(), &train, None, settings(1))?
        .run(&mut go_on)?;
    assert!(accuracy(&on)? > 0.8 && on.parameters() != start.parameters());
    assert_eq!(on.preparation(), start.preparation());

    let labels: Vec<usize> = (0..24).map(|i| i % 3).collect();
    let pixels: Vec<f32> = (0..24 * SHAPE.len()).map(|i| (i as f32).sin()).collect();
    let three = Dataset::from_arrays(&pixels, SHAPE, &labels)?;
    let model = Trainer::from_model(cpu, start, &three, None, settings(1))?.run(&mut go_on)?;
    assert_eq!(model.classes(), ["0", "1", "2"]);
    Ok(())
}

#[test]
fn a_time_limit_ends_the_schedule_too_and_its_pace_repeats_the_bits() -> Result<()> {
    let (cpu, train, held_out) = (Cpu::best(1), noise(40, 1)?, noise(24, 2)?);
    let trained = |settings| {
        let cpu = cpu.clone();
        let mut trainer = Trainer::new(cpu, network()?, &train, Some(&held_out), settings)?;
        let (mut rates, mut epochs) = (Vec::new(), 0);
        let model = trainer.run(&mut |event| {
            match event {
                Event::Step { learning_rate, .. } => rates.push(*learning_rate),
                Event::Epoch { .. } => epochs += 1,
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        assert!(trainer.is_over() && model.stopped_at().is_none());
        assert!(epochs > 0);
        Ok::<_, Error>((model, rates, trainer.pace().cloned()))
    };
    let timed = TrainSettings {
        minutes: Some(0.01),
        schedule: Schedule::Cosine,
        ..settings(1)
    };
    let (model, rates, pace) = trained(timed.clone())?;
    let pace = pace.expect("it is timed");
    assert_eq!(rates.len() as u64, pace.plans().last().expect("a plan").end);
    assert!(rates.windows(2).all(|pair| pair[0] >= pair[1]));
    // It has nearly ended by itself: the last plan was made shortly before.
    assert!(rates[rates.len() - 1] < 0.2 * rates[0], "{rates:?}");

    let repeated = TrainSettings {
        pace: Some(pace.to_string().parse()?),
        ..timed
    };
    let again = trained(repeated)?;
    assert_eq!((again.0, again.1), (model, rates));
    Ok(())
}

#[test]
fn until_a_time_limit_is_planned_the_number_of_epochs_is_that_of_the_settings() -> Result<()> {
    let timed = TrainSettings {
        minutes: Some(10.0),
        ..settings(5)
    };
    let mut trainer = Trainer::new(Cpu::best(1), network()?, &noise(40, 1)?, None, timed)?;
    assert_eq!(trainer.position().epochs, 5);
    let mut epochs = None;
    let _ = trainer.step(&mut |event| {
        if let Event::Step { epochs: all, .. } = event {
            epochs = Some(*all);
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!((epochs, trainer.position().epochs), (Some(5), 5));
    Ok(())
}

#[test]
fn a_caller_that_makes_the_steps_can_change_the_rate_and_stop_by_its_own_rule() -> Result<()> {
    let (cpu, train) = (Cpu::best(1), noise(40, 1)?);
    let constant = TrainSettings {
        schedule: Schedule::Constant,
        ..settings(5)
    };
    let mut trainer = Trainer::new(cpu, network()?, &train, None, constant)?;
    let mut rates = Vec::new();
    while !trainer.is_over() && rates.len() < 4 {
        let step = trainer.step(&mut |event| {
            if let Event::Step { learning_rate, .. } = event {
                rates.push(*learning_rate);
            }
            ControlFlow::Continue(())
        })?;
        assert!(step.is_continue());
        if rates.len() == 2 {
            trainer.set_learning_rate(0.125)?;
        }
    }
    assert_eq!(rates[2..], [0.125, 0.125]);
    assert!(rates[0] != 0.125 && rates[0] == rates[1]);
    let position = trainer.model().stopped_at().expect("it is not over");
    assert_eq!(position.steps_done(), 4);
    for rate in [0.0, -1.0, f32::NAN] {
        assert!(trainer.set_learning_rate(rate).is_err(), "{rate}");
    }
    Ok(())
}
