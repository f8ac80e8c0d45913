//! Fine-tuning does not change frozen layers, and learns from few pictures.
use std::ops::ControlFlow;

use hubel::{
    Cpu, Dataset, Error, Event, Keep, Model, Network, Optimizer, Phase, Result, Shape,
    TrainSettings, Trainer,
};

const SHAPE: Shape = Shape::new(8, 8, 3);

/// Batch norms in and after the frozen layers, and a residual block in between.
const NETWORK: &str = "a: [conv(8, padding=1)-batchnorm-relu]-b: residual[conv(8, padding=1)-batchnorm-relu]-relu\
     -c: conv(16, kernel=2, stride=2)-batchnorm-relu6-globalavgpool-dropout(0.1)-linear(classes)";

/// Pictures of gratings: each class has its own direction; colour and position do not depend on the class.
fn gratings(count: usize, classes: usize, seed: usize) -> Dataset {
    let labels: Vec<usize> = (0..count).map(|i| i % classes).collect();
    let mut pixels = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let angle = *label as f64 * std::f64::consts::PI / classes as f64;
        let phase = (i * 37 + seed * 11) as f64;
        for place in 0..SHAPE.height * SHAPE.width {
            let (y, x) = ((place / SHAPE.width) as f64, (place % SHAPE.width) as f64);
            let wave = (1.6 * (x * angle.cos() + y * angle.sin()) + phase).sin();
            let noise = ((i * 64 + place + seed) as f64 * 12.9898).sin() * 20.0;
            pixels.extend([(); 3].map(|()| (128.0 + 90.0 * wave + noise) as u8));
        }
    }
    let names = (0..classes).map(|class| format!("class {class}")).collect();
    Dataset::from_bytes("gratings", names, SHAPE, pixels, labels).unwrap()
}

fn settings(epochs: usize) -> TrainSettings {
    TrainSettings {
        epochs,
        batch_size: 16,
        learning_rate: 0.01,
        ..TrainSettings::default()
    }
}

fn go_on(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A model of three directions.
fn start() -> Result<Model> {
    let network = Network::parse(NETWORK)?;
    Trainer::new(
        Cpu::best(2),
        network,
        &gratings(60, 3, 1),
        None,
        settings(4),
    )?
    .run(&mut go_on)
}

fn phase(frozen: Option<&str>, epochs: usize, versions: usize) -> Phase {
    Phase {
        frozen: frozen.map(String::from),
        settings: settings(epochs),
        versions,
        first_rate: 1.0,
        keeps_statistics: false,
    }
}

fn trained(cpu: Cpu, start: &Model, phases: Vec<Phase>, train: &Dataset) -> Result<Model> {
    Trainer::fine_tune(cpu, start.clone(), phases, train, None)?.run(&mut go_on)
}

/// The layers with a tensor whose bits changed.
fn changed(before: &Model, after: &Model) -> Vec<String> {
    let tensors = std::iter::zip(before.parameters().entries(), after.parameters().entries());
    let changed = tensors.filter(|(old, new)| {
        let bits = |model: &Model, entry| -> Vec<u32> {
            let values = model.parameters().tensor(entry).iter();
            values.map(|value| value.to_bits()).collect()
        };
        bits(before, old) != bits(after, new)
    });
    changed.map(|(old, _)| old.name.clone()).collect()
}

#[test]
fn a_frozen_layer_keeps_every_bit_and_the_others_do_not() -> Result<()> {
    let (start, train) = (start()?, gratings(50, 3, 2));
    let of_head = ["8.weight", "8.bias"];
    let of_end = [
        "c.weight",
        "c.bias",
        "4.weight",
        "4.bias",
        "4.running_mean",
        "4.running_var",
    ];
    for versions in [0, 1, 3] {
        let trained = |layer| {
            trained(
                Cpu::best(2),
                &start,
                vec![phase(Some(layer), 2, versions)],
                &train,
            )
        };
        let head = trained("7")?;
        assert_eq!(changed(&start, &head), of_head, "{versions} versions");
        assert_eq!(head.frozen(), Some("7"));
        // Named as a block.
        let mut end = changed(&start, &trained("b")?);
        end.sort();
        let mut expected = [&of_head[..], &of_end].concat();
        expected.sort();
        assert_eq!(end, expected, "{versions} versions");
    }
    Ok(())
}

#[test]
fn statistics_that_are_kept_keep_every_bit_while_weights_are_trained() -> Result<()> {
    let (start, train) = (start()?, gratings(50, 3, 2));
    let all = Phase {
        keeps_statistics: true,
        first_rate: 0.1,
        ..phase(None, 2, 0)
    };
    let model = trained(Cpu::best(2), &start, vec![all], &train)?;
    let changed = changed(&start, &model);
    assert!(
        changed.iter().all(|name| !name.contains("running")),
        "{changed:?}"
    );
    let weights = [
        "a.0.weight",
        "b.body.0.weight",
        "c.weight",
        "8.weight",
        "8.bias",
    ];
    assert!(
        weights
            .iter()
            .all(|weight| changed.iter().any(|name| name == weight)),
        "{changed:?}"
    );
    // Scales and shifts stay, too.
    assert!(
        !changed
            .iter()
            .any(|name| name == "a.1.weight" || name == "4.bias"),
        "{changed:?}"
    );
    Ok(())
}

#[test]
fn what_is_kept_is_what_each_step_would_compute_and_threads_change_no_bit() -> Result<()> {
    let (start, train) = (start()?, gratings(50, 5, 3));
    // Adam would turn any gradient other than 0 into a step.
    let by_sgd = |phase: Phase| Phase {
        settings: TrainSettings {
            optimizer: Optimizer::Sgd {
                momentum: 0.9,
                nesterov: true,
            },
            ..phase.settings
        },
        ..phase
    };
    let of = |threads, versions| {
        let phases = [phase(Some("b"), 2, versions), phase(None, 1, 0)].map(by_sgd);
        trained(Cpu::best(threads), &start, phases.to_vec(), &train)
    };
    let (kept, anew) = (of(2, 1)?, of(2, 0)?);
    for (kept, anew) in std::iter::zip(kept.parameters().values(), anew.parameters().values()) {
        assert!((kept - anew).abs() < 1e-3, "{kept} and {anew}");
    }
    assert_eq!(kept, of(1, 1)?);
    assert_eq!(kept, of(3, 1)?);
    assert_eq!(anew, of(3, 0)?);
    Ok(())
}

#[test]
fn other_classes_get_a_new_last_layer_and_as_many_keep_the_old_one() -> Result<()> {
    let start = start()?;
    let same = start.clone().for_data(&gratings(9, 3, 4))?;
    assert!(changed(&start, &same).is_empty());
    assert_eq!(same.classes(), ["class 0", "class 1", "class 2"]);
    let other = start.clone().for_data(&gratings(10, 5, 4))?;
    assert_eq!(changed(&start, &other), ["8.weight", "8.bias"]);
    let model = trained(
        Cpu::best(2),
        &start,
        vec![phase(Some("7"), 12, 2)],
        &gratings(60, 5, 5),
    )?;
    let report = model.evaluate(&Cpu::best(2), &gratings(50, 5, 6))?;
    assert!(report.accuracy > 0.5, "{}", report.accuracy);
    let fixed = Network::parse("flatten-linear(3)")?;
    let fixed = Model::untrained(
        fixed,
        start.classes().to_vec(),
        start.preparation().clone(),
        1,
    )?;
    let error = fixed.for_data(&gratings(10, 5, 4)).unwrap_err();
    assert!(error.to_string().contains("linear(classes)"), "{error}");
    Ok(())
}

#[test]
fn a_model_remembers_what_it_comes_from() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("model.safetensors");
    let start = start()?.with_origin("runs/gratings");
    trained(
        Cpu::best(2),
        &start,
        vec![phase(Some("7"), 1, 1)],
        &gratings(20, 3, 2),
    )?
    .save(&file)?;
    let model = Model::load(&file)?;
    assert_eq!(
        (model.origin(), model.frozen()),
        (Some("runs/gratings"), Some("7"))
    );
    assert_eq!(model.stopped_at(), None);

    // When all its layers have been trained, none was frozen.
    let train = gratings(20, 3, 2);
    let model = Trainer::from_model(Cpu::best(2), model, &train, None, settings(1))?;
    assert_eq!({ model }.run(&mut go_on)?.frozen(), None);
    Ok(())
}

#[test]
fn it_stops_in_each_phase_and_says_where() -> Result<()> {
    let (start, train) = (start()?, gratings(40, 5, 2));
    let mut places = Vec::new();
    for stop in 0..30 {
        let phases = vec![phase(Some("7"), 2, 2), phase(None, 2, 0)];
        let mut transfer = Trainer::fine_tune(Cpu::best(2), start.clone(), phases, &train, None)?;
        let mut events = 0;
        let model = transfer.run(&mut |_| {
            events += 1;
            match events > stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let Some(position) = model.stopped_at() else {
            break;
        };
        // An untrained last layer is not worth saving.
        assert_eq!(
            position.is_start(),
            changed(&start.clone().for_data(&train)?, &model).is_empty()
        );
        places.push(position.to_string());
    }
    assert!(
        places.contains(&"phase 1 of 2, epoch 1 of 2, step 0 of 1".into()),
        "{places:?}"
    );
    assert!(
        places.contains(&"phase 1 of 2, epoch 2 of 2".into()),
        "{places:?}"
    );
    assert!(
        places.contains(&"phase 2 of 2, epoch 2 of 2, step 1 of 3".into()),
        "{places:?}"
    );
    Ok(())
}

#[test]
fn the_best_by_enough_images_held_out_is_kept_over_all_phases() -> Result<()> {
    let (start, train) = (start()?, gratings(60, 3, 2));
    let cpu = Cpu::best(2);
    let diverging = Phase {
        settings: TrainSettings {
            learning_rate: 0.5,
            ..settings(3)
        },
        ..phase(None, 3, 0)
    };
    for (held_out, decides) in [(Keep::DECIDING, true), (Keep::DECIDING - 1, false)] {
        let validation = gratings(held_out, 3, 7);
        let phases = vec![phase(Some("7"), 2, 1), diverging.clone()];
        let mut transfer = Trainer::fine_tune(
            cpu.clone(),
            start.clone(),
            phases,
            &train,
            Some(&validation),
        )?;
        let (mut accuracies, mut kept) = (Vec::new(), None);
        let model = transfer.run(&mut |event| {
            match event {
                Event::Epoch {
                    validation_accuracy,
                    ..
                } => accuracies.extend(*validation_accuracy),
                Event::Kept { accuracy, .. } => kept = Some(*accuracy),
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        let best = accuracies.iter().copied().fold(0.0, f32::max);
        let last = accuracies[accuracies.len() - 1];
        assert!(best > last + 0.1, "{accuracies:?}");
        let accuracy = model.evaluate(&cpu, &validation)?.accuracy;
        assert_eq!(accuracy, if decides { best } else { last });
        assert_eq!(kept, decides.then_some(best));
    }
    Ok(())
}

#[test]
fn a_stop_after_a_phase_keeps_its_best_weights() -> Result<()> {
    let (start, train, validation) = (start()?, gratings(60, 3, 2), gratings(Keep::DECIDING, 3, 7));
    let cpu = Cpu::best(2);
    let mut diverging = phase(None, 3, 0);
    diverging.settings.learning_rate = 0.5;
    let phases = vec![diverging, phase(None, 1, 0)];
    let mut transfer = Trainer::fine_tune(cpu.clone(), start, phases, &train, Some(&validation))?;
    let mut accuracies = Vec::new();
    let stopped = transfer.run(&mut |event| {
        match event {
            Event::Phase { phase: 2, .. } => return ControlFlow::Break(()),
            Event::Epoch {
                validation_accuracy,
                ..
            } => accuracies.extend(*validation_accuracy),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    let best = accuracies.iter().copied().fold(0.0, f32::max);
    assert!(best > accuracies[2], "{accuracies:?}");
    for model in [stopped, transfer.last_good()] {
        assert_eq!(model.evaluate(&cpu, &validation)?.accuracy, best);
    }
    Ok(())
}

#[test]
fn patience_is_as_long_with_fewer_versions_than_wanted() -> Result<()> {
    let (start, train, validation) = (start()?, gratings(40, 3, 2), gratings(20, 3, 7));
    // Nothing changes, so that there is no progress.
    let still = Phase {
        settings: TrainSettings {
            learning_rate: 1e-30,
            patience: Some(2),
            ..settings(9)
        },
        keeps_statistics: true,
        ..phase(Some("7"), 9, 4)
    };
    let features = 40 * 16 * size_of::<f32>();
    for (versions, waited) in [(4, 2), (3, 3), (1, 8)] {
        let mut ended = None;
        Trainer::fine_tune(
            Cpu::best(2),
            start.clone(),
            vec![still.clone()],
            &train,
            Some(&validation),
        )?
        .with_room(versions * features)
        .run(&mut |event| {
            if let Event::EndedEarly { epochs, .. } = event {
                ended = Some(*epochs);
            }
            ControlFlow::Continue(())
        })?;
        assert_eq!(ended, Some(waited), "{versions} versions");
    }
    Ok(())
}

#[test]
fn layers_that_cannot_be_frozen_are_refused_with_what_can() -> Result<()> {
    let (start, train) = (start()?, gratings(20, 3, 2));
    let refused = |layer: &str| {
        let phases = vec![phase(Some(layer), 1, 1)];
        match Trainer::fine_tune(Cpu::best(1), start.clone(), phases, &train, None) {
            Err(Error::Settings { problem }) => problem,
            other => panic!("{layer}: {:?}", other.map(|_| ())),
        }
    };
    let within = refused("b.body.0");
    assert!(within.contains("freeze up to `a.2` or `b"), "{within}");
    assert!(refused("cc").contains("did you mean `c`?"));
    assert!(refused("8").contains("no layer is left to train"));
    Ok(())
}
