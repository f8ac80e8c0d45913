//! No training is lost: checkpoints are saved while it runs, and an early end returns the weights so far.
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use hubel::data::{self, BadFiles, Options};
use hubel::{
    Checkpoints, Cpu, Dataset, Error, Event, Model, Network, Position, Result, Shape,
    TrainSettings, Trainer,
};

/// Everything that could carry state between steps: batch statistics, dropout, batches of two sizes.
const NETWORK: &str = "conv(4, padding=1)-batchnorm-relu-pool-flatten-dropout(0.3)-fc(classes)";

fn pictures() -> Result<Dataset> {
    let labels: Vec<usize> = (0..50).map(|i| i % 2).collect();
    let images: Vec<f32> = (0..50 * 64)
        .map(|i| labels[i / 64] as f32 + (i as f32 * 0.37).sin())
        .collect();
    Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)
}

fn trainer(data: &Dataset) -> Result<Trainer> {
    let settings = TrainSettings {
        epochs: 2,
        batch_size: 20,
        ..TrainSettings::default()
    };
    Trainer::new(Cpu::best(2), Network::parse(NETWORK)?, data, None, settings)
}

fn go_on(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The model of a run that is stopped after this many steps.
fn broken_off(data: &Dataset, steps: usize) -> Result<Model> {
    let mut done = 0;
    trainer(data)?.run(&mut |event| {
        done += usize::from(matches!(event, Event::Step { .. }));
        match done == steps {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })
}

#[test]
fn what_is_saved_is_what_a_run_that_is_broken_off_there_gives_and_to_save_changes_no_bit()
-> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, data) = (folder.path().join("last.safetensors"), pictures()?);
    let each_step = Checkpoints::new(&file).with_interval(Duration::ZERO);
    let mut saved = Vec::new();
    let model = trainer(&data)?
        .with_checkpoints(each_step)
        .run(&mut |event| {
            if let Event::Saved { seconds } = event {
                assert!(*seconds >= 0.0);
                saved.push(Model::load(&file).expect("a whole model"));
            }
            ControlFlow::Continue(())
        })?;
    assert_eq!(model.stopped_at(), None);
    assert_eq!(model, trainer(&data)?.run(&mut go_on)?);

    // All except the last step, which gives the model itself.
    assert_eq!(saved.len(), 5);
    for (saved, steps) in saved.iter().zip(1..) {
        let position = Position {
            epoch: 1 + (steps - 1) / 3,
            step: 1 + (steps - 1) % 3,
            ..Position::start(2, 3)
        };
        assert_eq!(saved.stopped_at(), Some(position));
        assert_eq!(*saved, broken_off(&data, steps)?);
    }
    Ok(())
}

#[test]
fn an_epoch_that_ends_is_saved_whatever_the_interval() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("last.safetensors");
    let seldom = Checkpoints::new(&file).with_interval(Duration::MAX);
    let mut saves = 0;
    trainer(&pictures()?)?
        .with_checkpoints(seldom)
        .run(&mut |event| {
            saves += usize::from(matches!(event, Event::Saved { .. }));
            ControlFlow::Continue(())
        })?;
    assert_eq!(saves, 1);
    let position = Model::load(&file)?.stopped_at().expect("a position");
    assert_eq!(position.to_string(), "epoch 1 of 2");
    Ok(())
}

#[test]
fn training_goes_on_where_it_cannot_be_saved() -> Result<()> {
    let nowhere = Checkpoints::new("/nowhere/at/all").with_interval(Duration::ZERO);
    let mut problems = Vec::new();
    let data = pictures()?;
    let model = trainer(&data)?
        .with_checkpoints(nowhere)
        .run(&mut |event| {
            if let Event::NotSaved { problem } = event {
                problems.push(problem.clone());
            }
            ControlFlow::Continue(())
        })?;
    assert_eq!(model, trainer(&data)?.run(&mut go_on)?);
    assert_eq!(problems.len(), 5);
    assert!(
        problems[0].starts_with("cannot write /nowhere/at/all: "),
        "{}",
        problems[0]
    );
    Ok(())
}

/// Class folders of ten pictures each.
fn write_pictures(root: &Path) {
    for (class, ink) in [("dark", 10), ("light", 200)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for number in 0..10 {
            let file = root.join(class).join(format!("{number}.pgm"));
            let picture = [b"P5 2 2 255\n", &[ink, number, 90, ink + number][..]].concat();
            fs::write(file, picture).expect("a picture");
        }
    }
}

#[test]
fn pictures_that_vanish_cost_none_of_what_was_learnt() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (root, file) = (folder.path().join("photos"), folder.path().join("last"));
    write_pictures(&root);
    let options = Options {
        validation: 0.0,
        test: 0.0,
        bad_files: BadFiles::Fail,
        cache: Some(0),
        ..Options::default()
    };
    let data = data::open_with(&root, &options, &|_, _| ())?.train;
    let settings = TrainSettings {
        epochs: 1000,
        batch_size: 4,
        ..TrainSettings::default()
    };
    let network = Network::parse("flatten-fc(classes)")?;
    let each_step = Checkpoints::new(&file).with_interval(Duration::ZERO);
    let mut trainer =
        Trainer::new(Cpu::best(1), network, &data, None, settings)?.with_checkpoints(each_step);
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
    assert_eq!(good, Model::load(&file)?);
    Ok(())
}
