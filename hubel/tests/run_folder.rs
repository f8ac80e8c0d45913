//! A run in a folder: what happens when its files or its data are not as they were.
mod pictures;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use hubel::data::{self, Options};
use hubel::{
    Cpu, Error, Event, Model, Network, Position, Result, RunFolder, Splits, TrainSettings, Trainer,
};

fn open(root: &Path) -> Result<Splits> {
    let options = Options {
        validation: 0.0,
        test: 0.0,
        ..Options::default()
    };
    data::open_with(root, &options, &|_, _| ())
}

fn trainer(data: &Splits) -> Result<Trainer> {
    let settings = TrainSettings {
        epochs: 4,
        batch_size: 4,
        ..TrainSettings::default()
    };
    let network = Network::parse("flatten-linear(classes)")?;
    Trainer::new(
        Cpu::best(1),
        network,
        &data.train,
        data.validation.as_ref(),
        settings,
    )
}

/// Begins a run with a checkpoint after each step, and stops it after some steps.
fn stopped(run: &Path, data: &Splits, steps: usize) -> Result<()> {
    let mut folder = RunFolder::open(run)?.with_interval(Duration::ZERO);
    let mut trainer = trainer(data)?;
    folder.begin(&trainer, data)?;
    let model = folder.train(&mut trainer, &mut after(steps))?;
    assert_eq!(
        model.stopped_at().map(|position| position.steps_done()),
        Some(steps)
    );
    assert_eq!(folder.save(&model)?, folder.last());
    Ok(())
}

/// Breaks off after this number of steps.
fn after(steps: usize) -> impl FnMut(&Event) -> ControlFlow<()> {
    let mut done = 0;
    move |event| {
        done += usize::from(matches!(event, Event::Step { .. }));
        match done >= steps {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Goes on to the end. Returns from where, the model, and whether the checkpoint before the last was used.
fn goes_on(run: &Path, data: &Splits) -> Result<(Position, Model, bool)> {
    let (mut folder, resumed) = RunFolder::resume(run)?;
    let mut trainer = trainer(data)?;
    folder.go_on(resumed.state, &mut trainer, data)?;
    let position = trainer.position();
    let model = folder.train(&mut trainer, &mut |_| ControlFlow::Continue(()))?;
    assert_eq!(folder.save(&model)?, folder.model());
    Ok((position, model, resumed.problem.is_some()))
}

/// A folder with pictures, and the model of an undisturbed training on them.
fn undisturbed() -> Result<(tempfile::TempDir, Splits, Model)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("photos");
    pictures::write(&root);
    let data = open(&root)?;
    let model = trainer(&data)?.run(&mut |_| ControlFlow::Continue(()))?;
    Ok((folder, data, model))
}

#[test]
fn a_checkpoint_that_is_cut_short_is_replaced_by_the_one_before() -> Result<()> {
    let (folder, data, undisturbed) = undisturbed()?;
    for missing in [1, 100, usize::MAX] {
        let run = folder.path().join(format!("run-{missing}"));
        stopped(&run, &data, 7)?;
        let last = run.join(RunFolder::LAST);
        let bytes = fs::read(&last).expect("a checkpoint");
        let length = bytes.len().saturating_sub(missing);
        fs::write(&last, &bytes[..length]).expect("written");
        let (position, model, is_previous) = goes_on(&run, &data)?;
        assert!(is_previous && position.steps_done() < 7, "{position}");
        assert_eq!(model, undisturbed);
    }
    // A killed process may leave the one before alone.
    let run = folder.path().join("renamed");
    stopped(&run, &data, 7)?;
    fs::remove_file(run.join(RunFolder::LAST)).expect("removed");
    assert_eq!(goes_on(&run, &data)?.1, undisturbed);
    // Without both, nothing can go on.
    for file in [RunFolder::LAST, RunFolder::PREVIOUS] {
        fs::write(run.join(file), b"half").expect("written");
    }
    assert!(RunFolder::resume(&run).is_err());
    Ok(())
}

#[test]
fn data_that_has_changed_is_named_and_nothing_else_changes() -> Result<()> {
    let (folder, data, undisturbed) = undisturbed()?;
    let (run, root) = (folder.path().join("run"), folder.path().join("photos"));
    stopped(&run, &data, 5)?;
    let files = || {
        let entries = fs::read_dir(&run).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> = paths
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let refused = || -> Result<String> {
        let error = goes_on(&run, &open(&root)?).expect_err("other data");
        assert_eq!(files(), before, "no file has changed");
        Ok(error.to_string())
    };
    let (some, other) = (root.join("dark/3.pgm"), root.join("light/new.pgm"));
    let picture = fs::read(&some).expect("a picture");

    fs::remove_file(&some).expect("removed");
    let missing = refused()?;
    assert!(
        missing.contains("missing: 1") && missing.contains("3.pgm"),
        "{missing}"
    );
    fs::write(&other, b"P5 2 2 255\n\x07\x07\x07\x07").expect("written");
    let new = refused()?;
    assert!(new.contains("new: 1") && new.contains("new.pgm"), "{new}");
    fs::remove_file(&other).expect("removed");
    fs::write(&some, b"P5 2 2 255\n\x07\x07\x07\x07").expect("written");
    let changed = refused()?;
    assert!(changed.contains("3.pgm"), "{changed}");

    // As it was.
    fs::write(&some, picture).expect("written");
    assert_eq!(goes_on(&run, &open(&root)?)?.1, undisturbed);
    Ok(())
}

#[test]
fn training_goes_on_where_checkpoints_cannot_be_saved_and_the_end_says_so() -> Result<()> {
    let (folder, data, undisturbed) = undisturbed()?;
    let run = folder.path().join("run");
    let mut folder = RunFolder::open(&run)?.with_interval(Duration::ZERO);
    let mut trainer = trainer(&data)?;
    folder.begin(&trainer, &data)?;
    // No file can get this name, as on a full disk.
    fs::create_dir(folder.last()).expect("a folder");
    let mut problems = Vec::new();
    let model = folder.train(&mut trainer, &mut |event| {
        if let Event::NotSaved { problem } = event {
            problems.push(problem.clone());
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!(model, undisturbed);
    assert_eq!(problems.len(), 20, "after each step");
    assert!(problems[0].contains("last.safetensors"), "{}", problems[0]);
    folder.save(&model)?;

    let run = run.with_file_name("stopped");
    let mut folder = RunFolder::open(&run)?.with_interval(Duration::ZERO);
    let mut trainer = self::trainer(&data)?;
    folder.begin(&trainer, &data)?;
    fs::create_dir(folder.last()).expect("a folder");
    let model = folder.train(&mut trainer, &mut after(3))?;
    assert!(matches!(folder.save(&model), Err(Error::Io { .. })));
    Ok(())
}

#[test]
fn a_record_that_was_shortened_is_refused() -> Result<()> {
    let (folder, data, undisturbed) = undisturbed()?;
    let run = folder.path().join("run");
    stopped(&run, &data, 9)?;
    let metrics = run.join("metrics.csv");
    let whole = fs::read(&metrics).expect("a file");
    fs::write(&metrics, &whole[..whole.len() - 5]).expect("written");
    let refused = goes_on(&run, &data).expect_err("shorter").to_string();
    assert!(refused.contains("metrics.csv"), "{refused}");
    fs::write(&metrics, &whole).expect("written");
    assert_eq!(goes_on(&run, &data)?.1, undisturbed);
    Ok(())
}
