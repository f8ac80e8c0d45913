//! Training that is interrupted after any step goes on from its state with the same bits.
mod pictures;

use std::fs;
use std::ops::ControlFlow;

use hubel::data::{self, BadFiles, Balance, Mixing, Options};
use hubel::{
    Cpu, Dataset, Error, Event, Keep, Model, Network, Optimizer, Phase, Result, Schedule, Shape,
    TrainSettings, TrainState, Trainer, WarmUp,
};

const SHAPE: Shape = Shape::new(8, 8, 3);

/// Everything that could carry something from step to step: batch statistics, dropout, batches of two sizes.
const NETWORK: &str =
    "a: conv(4, padding=1)-batchnorm-relu-pool-flatten-dropout(0.3)-linear(classes)";

fn pictures(count: usize, seed: usize) -> Dataset {
    let labels: Vec<usize> = (0..count).map(|i| usize::from(i % 5 > 2)).collect();
    let pixels = (0..count * SHAPE.len())
        .map(|i| ((i * 7919 + seed * 31) % 199 + 40 * labels[i / SHAPE.len()]) as u8)
        .collect();
    let classes = vec!["a".to_owned(), "b".to_owned()];
    Dataset::from_bytes("noise", classes, SHAPE, pixels, labels).expect("valid")
}

fn settings() -> TrainSettings {
    TrainSettings {
        epochs: 3,
        batch_size: 20,
        augmentation: "flip, crop(2)".parse().expect("an augmentation"),
        balance: Balance::Sample,
        average: Some(0.9),
        keep: Keep::Best,
        patience: Some(2),
        mixing: Mixing::Mixup { alpha: 0.4 },
        ..TrainSettings::default()
    }
}

fn trainer(threads: usize, settings: TrainSettings) -> Result<Trainer> {
    let (train, held_out) = (pictures(50, 1), pictures(30, 2));
    let network = Network::parse(NETWORK)?;
    Trainer::new(
        Cpu::best(threads),
        network,
        &train,
        Some(&held_out),
        settings,
    )
}

/// An event without its times.
fn timeless(event: &Event) -> Option<String> {
    match event {
        Event::Step {
            epoch,
            step,
            loss,
            accuracy,
            ..
        } => Some(format!("{epoch} {step} {loss} {accuracy}")),
        Event::Epoch {
            epoch,
            loss,
            validation_loss,
            is_best,
            model,
            ..
        } => Some(format!(
            "{epoch} {loss} {validation_loss:?} {is_best} {:?}",
            &model.parameters().values()[..9]
        )),
        Event::Features { .. } => None,
        other => Some(format!("{other:?}")),
    }
}

/// Trains to the end, or until this many events were told, which are returned.
fn run(trainer: &mut Trainer, events: usize) -> Result<(Model, Vec<String>)> {
    let mut told = Vec::new();
    let model = trainer.run(&mut |event| {
        told.extend(timeless(event));
        match told.len() >= events {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok((model, told))
}

/// Interrupts the training after each event, goes on in a new trainer from the file of its state, and compares.
fn interrupted_anywhere(make: &dyn Fn(usize) -> Result<Trainer>) -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("last.safetensors");
    let (model, events) = run(&mut make(2)?, usize::MAX)?;
    assert_eq!(model.stopped_at(), None);
    for count in 1..=events.len() {
        let mut first = make(1 + count % 3)?;
        let (stopped, mut told) = run(&mut first, count)?;
        assert_eq!(told, events[..told.len()]);
        first.state()?.save(&file)?;
        if let Some(position) = stopped.stopped_at() {
            let saved = Model::load(&file)?;
            assert_eq!(saved.parameters(), stopped.parameters());
            assert_eq!(saved.stopped_at(), Some(position));
        }
        let mut second = make(1 + (count + 1) % 3)?;
        second.restore(TrainState::load(&file)?)?;
        let place = |trainer: &Trainer| {
            let position = trainer.position();
            (position.phase, position.steps_done())
        };
        assert_eq!(place(&second), place(&first));
        assert_eq!(
            second.last_good().parameters(),
            first.last_good().parameters()
        );
        let (resumed, rest) = run(&mut second, usize::MAX)?;
        told.extend(rest);
        assert_eq!(told, events, "after {count} events");
        assert_eq!(resumed, model, "after {count} events");
    }
    Ok(())
}

#[test]
fn a_training_that_goes_on_from_its_state_has_the_bits_of_one_that_was_not_interrupted()
-> Result<()> {
    interrupted_anywhere(&|threads| trainer(threads, settings()))?;
    interrupted_anywhere(&|threads| {
        let settings = TrainSettings {
            schedule: Schedule::plateau(),
            clip: Some(0.5),
            optimizer: Optimizer::muon(),
            average: None,
            batch_size: 10,
            accumulate: 2,
            keep: Keep::Last,
            patience: None,
            epochs: 2,
            precise: true,
            ..settings()
        };
        trainer(threads, settings)
    })
}

#[test]
fn it_goes_on_in_each_phase_of_fine_tuning() -> Result<()> {
    let (start, _) = run(
        &mut trainer(
            2,
            TrainSettings {
                epochs: 1,
                ..settings()
            },
        )?,
        usize::MAX,
    )?;
    let phase = |frozen: Option<&str>, versions, epochs| Phase {
        frozen: frozen.map(String::from),
        versions,
        keeps_statistics: true,
        ..Phase::whole(TrainSettings {
            epochs,
            ..settings()
        })
    };
    interrupted_anywhere(&|threads| {
        let phases = vec![
            phase(Some("3"), 2, 1),
            phase(Some("a"), 0, 1),
            phase(None, 0, 1),
        ];
        let (train, held_out) = (pictures(50, 1), pictures(30, 2));
        let cpu = Cpu::best(threads);
        Trainer::fine_tune(cpu, start.clone(), phases, &train, Some(&held_out))
    })
}

#[test]
fn a_finished_training_can_be_extended() -> Result<()> {
    let of = |epochs| TrainSettings {
        epochs,
        schedule: Schedule::Constant,
        patience: None,
        ..settings()
    };
    let mut short = trainer(2, of(1))?;
    run(&mut short, usize::MAX)?;
    assert!(short.is_over());
    let state = short.state()?;
    let mut long = trainer(1, of(3))?;
    long.restore(state)?;
    assert!(!long.is_over());
    // With a rate that does not depend on the number of epochs, it is as if all had been wanted from the start.
    assert_eq!(
        run(&mut long, usize::MAX)?.0,
        run(&mut trainer(2, of(3))?, usize::MAX)?.0
    );
    let refused = trainer(2, of(2))?
        .restore(long.state()?)
        .expect_err("it has done 3");
    assert!(refused.to_string().contains("give at least 3"), "{refused}");
    Ok(())
}

/// Fine-tuning with kept features, in one phase.
fn of_features(settings: TrainSettings) -> Result<Trainer> {
    let model = trainer(1, settings.clone())?.model();
    let phase = Phase {
        frozen: Some("3".into()),
        versions: 2,
        ..Phase::whole(settings)
    };
    let (train, held_out) = (pictures(50, 1), pictures(30, 2));
    Trainer::fine_tune(Cpu::best(1), model, vec![phase], &train, Some(&held_out))
}

fn without_mixing() -> TrainSettings {
    TrainSettings {
        mixing: Mixing::None,
        ..settings()
    }
}

#[test]
fn a_refused_state_changes_nothing() -> Result<()> {
    for make in [of_features, |settings| trainer(1, settings)] {
        let mut first = make(without_mixing())?;
        run(&mut first, 9)?;
        let state = first.state()?;
        let mut other = make(TrainSettings {
            optimizer: Optimizer::lion(),
            ..without_mixing()
        })?;
        let before = other.model();
        assert!(other.restore(state.clone()).is_err());
        assert!(other.model() == before);

        // With another batch size, features must be computed before it is refused.
        let mut other = make(TrainSettings {
            batch_size: 10,
            ..without_mixing()
        })?;
        let refused = (other.restore(state.clone()))
            .and_then(|()| other.step(&mut |_| ControlFlow::Continue(())).map(drop));
        let refused = refused.expect_err("steps per epoch").to_string();
        assert!(refused.contains("steps per epoch"), "{refused}");
        // A checkpoint of now would lose nothing.
        assert!(other.state()? == state);
    }
    Ok(())
}

#[test]
fn a_finished_training_needs_no_features() -> Result<()> {
    let mut first = of_features(without_mixing())?;
    let (model, _) = run(&mut first, usize::MAX)?;
    let state = first.state()?;
    let mut second = of_features(without_mixing())?;
    second.restore(state.clone())?;
    assert!(second.is_over());
    assert!(run(&mut second, usize::MAX)? == (model, Vec::new()));
    assert!(second.state()? == state);
    Ok(())
}

#[test]
fn a_training_that_is_over_because_fewer_epochs_are_wanted_says_so() -> Result<()> {
    for make in [of_features, |settings| trainer(1, settings)] {
        let of = |epochs| TrainSettings {
            epochs,
            patience: None,
            ..without_mixing()
        };
        let mut first = make(of(6))?;
        let _ = first.run(&mut |event| match event {
            Event::Epoch { epoch: 2, .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })?;
        let mut second = make(of(2))?;
        second.restore(first.state()?)?;
        let model = second.run(&mut |_| ControlFlow::Continue(()))?;
        assert!(second.is_over() && second.state()?.is_over());
        assert!(model.stopped_at().is_none());
        assert_eq!((second.position().epoch, second.position().epochs), (2, 2));
    }
    Ok(())
}

#[test]
fn features_of_more_versions_than_are_wanted_are_refused() -> Result<()> {
    let mut first = of_features(without_mixing())?;
    run(&mut first, 6)?;
    let mut settings = without_mixing();
    settings.epochs *= 2;
    let phase = Phase {
        frozen: Some("3".into()),
        versions: 1,
        ..Phase::whole(settings)
    };
    let model = trainer(1, without_mixing())?.model();
    let (train, held_out) = (pictures(50, 1), pictures(30, 2));
    let mut other = Trainer::fine_tune(Cpu::best(1), model, vec![phase], &train, Some(&held_out))?;
    let refused = other.restore(first.state()?).expect_err("other versions");
    assert!(refused.to_string().contains("2 versions"), "{refused}");
    Ok(())
}

#[test]
fn kept_features_have_as_many_versions_as_before_the_interruption() -> Result<()> {
    let (model, _) = run(&mut of_features(without_mixing())?, usize::MAX)?;
    let mut first = of_features(without_mixing())?;
    run(&mut first, 6)?;
    // The features of one version would fit.
    let mut second = of_features(without_mixing())?.with_room(50 * 4 * 4 * 4 * 4);
    second.restore(first.state()?)?;
    assert_eq!(run(&mut second, usize::MAX)?.0, model);
    Ok(())
}

#[test]
fn a_training_with_a_time_limit_can_be_extended_by_time_alone() -> Result<()> {
    let of = |minutes| TrainSettings {
        minutes: Some(minutes),
        patience: None,
        // Steps, so that warm-up needs no length.
        warm_up: Some(WarmUp::Steps(5)),
        ..settings()
    };
    let mut short = trainer(2, of(0.002))?;
    run(&mut short, usize::MAX)?;
    assert!(short.is_over());
    let (state, steps) = (short.state()?, short.position().steps_done());
    let mut again = trainer(2, of(0.002))?;
    again.restore(state.clone())?;
    assert!(again.is_over());
    let mut long = trainer(1, of(0.006))?;
    long.restore(state.clone())?;
    assert!(!long.is_over());
    run(&mut long, usize::MAX)?;
    assert!(long.position().steps_done() > steps);

    // Before the first step there is nothing to stretch.
    let mut unbegun = trainer(1, of(0.006))?;
    unbegun.restore(trainer(1, of(0.002))?.state()?)?;
    run(&mut unbegun, 4)?;
    assert!(!unbegun.is_over());

    // A training with the steps of an earlier one can go on with a time limit.
    let paced = TrainSettings {
        pace: short.pace().cloned(),
        ..of(0.002)
    };
    let mut paced = trainer(1, paced)?;
    run(&mut paced, 3)?;
    let mut timed = trainer(1, of(0.006))?;
    timed.restore(paced.state()?)?;
    run(&mut timed, usize::MAX)?;
    assert!(timed.is_over());

    let mut epochs = trainer(1, settings())?;
    run(&mut epochs, 3)?;
    let refused = trainer(1, of(1.0))?.restore(epochs.state()?);
    let refused = refused.expect_err("a time").to_string();
    assert!(
        refused.contains("a number of epochs, and is now a time"),
        "{refused}"
    );
    Ok(())
}

#[test]
fn the_state_of_another_training_is_refused() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("last.safetensors");
    let mut first = trainer(1, settings())?;
    run(&mut first, 2)?;
    let state = first.state()?.with_note("lengths", "{}");
    state.save(&file)?;
    assert_eq!(TrainState::load(&file)?, state);
    let refused = |trainer: Result<Trainer>| {
        let error = trainer.and_then(|mut trainer| trainer.restore(state.clone()));
        error.expect_err("another training").to_string()
    };
    let with = |change: fn(&mut TrainSettings)| {
        let mut settings = settings();
        change(&mut settings);
        trainer(1, settings)
    };
    for (other, problem) in [
        (
            with(|settings| settings.batch_size = 10),
            "the number of steps per epoch was 3, and is now 5",
        ),
        (with(|settings| settings.average = None), "were averaged"),
        (
            with(|settings| {
                settings.optimizer = Optimizer::Sgd {
                    momentum: 0.9,
                    nesterov: false,
                }
            }),
            "the state of sgd is momentum",
        ),
        (
            Trainer::new(
                Cpu::best(1),
                Network::parse("flatten-linear(classes)")?,
                &pictures(50, 1),
                None,
                settings_without_validation(),
            ),
            "the network was",
        ),
    ] {
        let refused = refused(other);
        assert!(refused.contains(problem), "{refused}");
    }

    // Damage.
    let bytes = fs::read(&file).expect("the file");
    // Of a number, a counter, and something in between.
    let counter = bytes.windows(10).position(|text| text == b"\\\"count\\\":");
    let counter = counter.expect("the images of the epoch are counted") + 10;
    for (place, problem) in [
        (bytes.len() - 3, "checksum"),
        (counter, "checksum"),
        (bytes.len() / 2, ""),
    ] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(&file, damaged).expect("written");
        let refused = TrainState::load(&file).expect_err("damaged").to_string();
        assert!(refused.contains(problem), "{refused}");
    }
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).expect("written");
        assert!(TrainState::load(&file).is_err(), "{length} bytes");
    }
    first.model().save(&file)?;
    let refused = TrainState::load(&file).expect_err("no state").to_string();
    assert!(refused.contains("not the state of a training"), "{refused}");
    Ok(())
}

fn settings_without_validation() -> TrainSettings {
    TrainSettings {
        keep: Keep::Last,
        patience: None,
        ..settings()
    }
}

#[test]
fn pictures_that_vanish_cost_none_of_what_was_learnt() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("photos");
    pictures::write(&root);
    let open = || {
        let options = Options {
            validation: 0.0,
            test: 0.0,
            bad_files: BadFiles::Fail,
            cache: Some(0),
            ..Options::default()
        };
        Ok::<_, Error>(data::open_with(&root, &options, &|_, _| ())?.train)
    };
    let data = open()?;
    let make = || {
        let settings = TrainSettings {
            epochs: 20,
            batch_size: 4,
            ..TrainSettings::default()
        };
        let network = Network::parse("flatten-fc(classes)")?;
        Trainer::new(Cpu::best(1), network, &data, None, settings)
    };
    let mut trainer = make()?;
    let mut steps = 0;
    let error = trainer.run(&mut |event| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        if steps == 7 && root.exists() {
            fs::remove_dir_all(&root).expect("they vanish");
        }
        ControlFlow::Continue(())
    });
    assert!(
        matches!(error, Err(Error::Picture { .. } | Error::Io { .. })),
        "{error:?}"
    );
    let good = trainer.last_good();
    assert_eq!(
        good.stopped_at().map(|position| position.steps_done()),
        Some(steps)
    );
    let state = trainer.state()?;
    assert_eq!(*state.model(), good);

    // When they are back, training goes on, in this process or another.
    pictures::write(&root);
    let (undisturbed, _) = run(&mut make()?, usize::MAX)?;
    assert_eq!(run(&mut trainer, usize::MAX)?.0, undisturbed);
    let mut other = make()?;
    other.restore(state)?;
    assert_eq!(run(&mut other, usize::MAX)?.0, undisturbed);
    Ok(())
}
