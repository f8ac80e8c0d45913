//! `hubel train`: trains on data and writes one model file.
mod course;
mod ended;
mod rates;
mod remarks;
mod report;
mod saving;
mod seeds;
mod settings_file;
mod start;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hubel::data::{BadFile, Balance, Source, Subject};
use hubel::doctor::{Sign, Watch};
use hubel::{
    Cpu, Dataset, Error, Event, Model, Resumed, RunFolder, Splits, TrainSettings, Trainer,
};
use serde_json::{Value, json};

pub(super) use self::course::Course;
use self::ended::{Ended, Training};
use self::settings_file::Settings;
pub(super) use self::start::{Start, choose as start};
use super::{Assessment, Outcome};
use crate::args::{Train, TrainingData};
use crate::console::{self, Console, Progress};
use crate::interruption::Interruption;
use crate::presets;

/// Runs the command.
pub(crate) fn run(arguments: &Train, console: &Console) -> Outcome {
    let begin = Instant::now();
    if let Some(config) = &arguments.config {
        console.remark(&format!("settings of {}", hubel::shown(config)));
    }
    if let Some(count) = arguments.seeds {
        return seeds::run(arguments, count, console);
    }
    let resumed = (arguments.resume.as_deref().map(RunFolder::resume)).transpose()?;
    let model = resumed.as_ref().map(|(_, resumed)| resumed.state.model());
    let ready = Ready::open(arguments, model, console)?;
    if let Some(file) = &arguments.find_lr {
        let course = ready.course(arguments, &ready.start)?;
        return rates::search(&course, arguments.json, file, console);
    }
    let run = Run {
        arguments,
        start: &ready.start,
        resumed,
        begin,
        interruption: &Interruption::listen()?,
    };
    ready.train(run, console, &mut |ended, result| {
        console::print(&match arguments.json {
            true => result.to_string(),
            false => ended.text(),
        })
    })
}

/// The data, and what is trained on it.
struct Ready {
    splits: Splits,
    subject: Subject,
    start: Start,
    cpu: Cpu,
    /// The name of the network.
    name: String,
    /// The network by name or text, if it is trained from scratch.
    network: Option<String>,
}

/// One training on the data.
struct Run<'a> {
    arguments: &'a Train,
    start: &'a Start,
    /// The run that goes on; `None` for a new one.
    resumed: Option<(RunFolder, Resumed)>,
    begin: Instant,
    interruption: &'a Interruption,
}

impl Ready {
    /// Opens the data and chooses the start, with remarks. `resumed` is the model of a run that goes on.
    fn open(
        arguments: &Train,
        resumed: Option<&Model>,
        console: &Console,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut source = Source::find_as(&arguments.data.data, arguments.data.kind)?;
        if let Some(preset) = &arguments.preset {
            presets::check(preset, source.outlook()?.size, &arguments.data.data)?;
            console.remark(&format!("settings of the preset `{preset}`"));
        }
        let start = match resumed {
            None => start::choose(
                &arguments.data,
                arguments.is_of_its_own(),
                &mut source,
                console,
            )?,
            Some(model) => start::again(&arguments.data, model),
        };
        let (splits, start) = open(&arguments.data, source, start, console)?;
        let cpu = arguments.processor.cpu();
        let name = start.name(arguments.model.as_deref(), &splits.train);
        let network = start.network(arguments.model.as_deref(), &splits.train);
        console.remark(&format!("{name} on {}; {cpu:?}", splits.train.name()));
        Ok(Self {
            subject: splits.train.subject()?,
            splits,
            start,
            cpu,
            name,
            network,
        })
    }

    fn course<'a>(&'a self, arguments: &'a Train, start: &'a Start) -> Result<Course<'a>, Error> {
        Course::new(arguments, start, &self.cpu, &self.splits, &self.subject)
    }

    /// Writes the settings of `trainer` into `folder`.
    fn write_settings(
        &self,
        arguments: &Train,
        trainer: &Trainer,
        folder: &Path,
    ) -> Result<(), Error> {
        let settings = Settings {
            arguments,
            model: &trainer.last_good(),
            phases: trainer.phases(),
            pace: trainer.pace().filter(|_| trainer.is_over()),
            network: self.network.as_deref(),
        };
        settings.write(folder, &self.cpu, &self.splits)
    }

    /// Trains, saves and tests, and gives `print` what came out.
    fn train(
        &self,
        run: Run<'_>,
        console: &Console,
        print: &mut dyn FnMut(&Ended<'_>, &Value) -> io::Result<()>,
    ) -> Outcome {
        let Run {
            arguments,
            start,
            resumed,
            begin,
            interruption,
        } = run;
        let (splits, cpu) = (&self.splits, &self.cpu);
        let course = self.course(arguments, start)?;
        // Only at its beginning a run may give a model a new last layer.
        if let (Start::Model(model), None) = (start, &resumed) {
            console.remark(&course::last_layer(model.classes(), splits.train.classes()));
        }
        let mut trainer = course.trainer()?;
        let mut log = Log::new(course.settings(), splits.bad_files.clone());
        remarks::before(
            &course,
            splits,
            &self.subject,
            &trainer.last_good(),
            &log,
            console,
        );
        let folder = match resumed {
            None => {
                let parent = arguments.out.as_deref();
                let mut folder = saving::folder(parent, splits.train.name(), &self.name)?;
                folder.begin(&trainer, splits)?;
                self.write_settings(arguments, &trainer, folder.path())?;
                folder
            }
            Some((mut folder, resumed)) => {
                saving::go_on(&mut folder, resumed, &mut trainer, splits, console)?;
                if trainer.is_over() && folder.model().exists() {
                    return Ok(ExitCode::SUCCESS);
                }
                // A run that is extended has other settings from now on.
                self.write_settings(arguments, &trainer, folder.path())?;
                folder
            }
        };
        let mut folder = folder.with_interval(arguments.interval());
        let path = folder.path().to_owned();
        let training = Training {
            arguments,
            name: &self.name,
            folder: &path,
            cpu,
            splits,
            subject: &self.subject,
            begin,
            seconds_before: folder.seconds_before(),
        };
        let model = train(
            &mut folder,
            &mut trainer,
            arguments,
            console.progress(splits.train.kind(), !log.loss_includes.is_empty()),
            interruption,
            &mut log,
        )
        .inspect_err(|error| {
            saving::after(error, &folder, &trainer, console);
            let failed = Ended {
                training,
                model: &trainer.last_good(),
                file: &folder.last(),
                judgement: None,
                problem: Some(error),
                log: &log,
                is_interrupted: false,
            };
            failed.write(console);
        })?;
        let model = calibrated(model, cpu, splits.validation.as_ref(), console);
        let file = saving::save(&mut folder, &model, console)?;
        // With the steps that the time was enough for, or more epochs than before.
        self.write_settings(arguments, &trainer, folder.path())?;
        let signal = interruption.leave_at_once(format!(
            "stopped: the model is saved in {}, and not tested",
            file.display()
        ));
        let judgement = match (&splits.test, signal) {
            (Some(test), None) => {
                let untested = Ended {
                    training,
                    model: &model,
                    file: &file,
                    judgement: None,
                    problem: None,
                    log: &log,
                    is_interrupted: false,
                };
                // It stays if a signal stops the test.
                untested.write(console);
                Some(super::judge(&model, cpu, test, console))
            }
            _ => None,
        };
        // The model is saved; the results are printed even if the test failed.
        let (judgement, untested) = match judgement.transpose() {
            Ok(judgement) => (judgement, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(Assessment { report, .. }) = &judgement {
            super::report_bad_files(&report.bad_files, console);
            log.bad_files.extend(report.bad_files.clone());
        }
        let ended = Ended {
            training,
            model: &model,
            file: &file,
            judgement: judgement.as_ref(),
            problem: untested.as_ref(),
            log: &log,
            is_interrupted: signal.is_some(),
        };
        let result = ended.write(console);
        print(&ended, &result)?;
        if let Some(signal) = signal {
            console.remark(&match model.stopped_at() {
                Some(position) => format!(
                    "stopped by {} at {position}: everything is saved; `{}` goes on from there, and `evaluate` and `predict` can use the weights",
                    signal.name(),
                    saving::resume_command(folder.path())
                ),
                None => format!("stopped by {}: the model is saved, and not tested", signal.name()),
            });
            return Ok(ExitCode::from(signal.exit_code()));
        }
        if let Some(error) = untested {
            console.remark("the model is saved, but could not be tested");
            return Err(error.into());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the data with a progress bar, and reports what was found and what was skipped. Gives also the start, adapted to the data.
pub(super) fn open(
    arguments: &TrainingData,
    source: Source,
    start: Start,
    console: &Console,
) -> Result<(Splits, Start), Error> {
    let preparation = match &start {
        Start::Nothing => None,
        Start::Model(model) => Some(model.preparation()),
    };
    let reading = console.count("reading", "files");
    let splits = source.open(&arguments.options(preparation), &|done, all| {
        reading.show(done, all);
    });
    reading.finish();
    let splits = match &arguments.class_names {
        Some(names) => splits?.named(&names.0)?,
        None => splits?,
    };
    console.remark(&splits.description);
    for note in &splits.notes {
        console.remark(note);
    }
    super::report_bad_files(&splits.bad_files, console);
    let start = start.adapted(&splits.train, console)?;
    Ok((splits, start))
}

/// The log of a run.
struct Log {
    /// A JSON object for each epoch.
    epochs: Vec<Value>,
    /// Pictures that could not be read.
    bad_files: Vec<BadFile>,
    /// Seconds that training waited for saves.
    saving: f64,
    /// Terms that only the training loss includes.
    loss_includes: Vec<&'static str>,
    /// Signs that training does not go well.
    signs: Vec<Sign>,
}

impl Log {
    fn new(settings: &TrainSettings, bad_files: Vec<BadFile>) -> Self {
        let included = [
            ("label smoothing", settings.label_smoothing > 0.0),
            (
                "class weights",
                settings.balance == Balance::Loss || settings.class_weights.is_some(),
            ),
            ("mixed examples", !settings.mixing.is_none()),
        ];
        Self {
            epochs: Vec::new(),
            bad_files,
            saving: 0.0,
            loss_includes: (included.into_iter().filter(|(_, is)| *is))
                .map(|(name, _)| name)
                .collect(),
            signs: Vec::new(),
        }
    }

    /// The sum over all epochs.
    fn sum(&self, name: &str) -> f64 {
        let values = self.epochs.iter().filter_map(|epoch| epoch[name].as_f64());
        // An empty sum is -0; this makes it 0.
        values.sum::<f64>() + 0.0
    }

    fn add(&mut self, event: &Event) {
        self.epochs.extend(epoch_json(event));
        match event {
            // The same file may be reported in every epoch.
            Event::BadFile(file) if !self.bad_files.contains(file) => {
                self.bad_files.push(file.clone());
            }
            Event::Saved { seconds } => self.saving += seconds,
            _ => {}
        }
    }
}

/// Trains to the end or until a signal stops it, and reports to progress and log.
fn train(
    folder: &mut RunFolder,
    trainer: &mut Trainer,
    arguments: &Train,
    mut progress: Progress,
    interruption: &Interruption,
    log: &mut Log,
) -> Result<Model, Error> {
    let (last, interval) = (folder.last(), arguments.checkpoint);
    let (mut is_saved, mut is_said) = (false, false);
    // A picture that it cannot read is reported by the training.
    let mut watch = Watch::new(trainer).ok();
    let model = folder.train(trainer, &mut |event| {
        progress.show(event);
        for sign in watch.iter_mut().flat_map(|watch| watch.see(event)) {
            progress.line(&format!(
                "warning: {}; to try: {}",
                sign.evidence(),
                sign.advice()
            ));
            log.signs.push(sign);
        }
        is_saved |= matches!(event, Event::Saved { .. });
        // Not after the last step.
        if is_saved && !is_said && matches!(event, Event::Step { .. }) {
            is_said = true;
            progress.line(&format!(
                "saved in {}, and from now on every {interval} s",
                last.display()
            ));
        }
        log.add(event);
        match interruption.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    });
    progress.finish();
    model
}

/// The model with probabilities that are calibrated on the validation images, unless its training was stopped. Without calibration, its weights are still good: a picture
/// that can no longer be read is a remark.
fn calibrated(model: Model, cpu: &Cpu, validation: Option<&Dataset>, console: &Console) -> Model {
    let Some(validation) = validation.filter(|_| model.stopped_at().is_none()) else {
        return model;
    };
    (model.clone().calibrated(cpu, validation)).unwrap_or_else(|error| {
        console.remark(&format!(
            "the probabilities could not be calibrated: {error}"
        ));
        model
    })
}

fn epoch_json(event: &Event) -> Option<Value> {
    let Event::Epoch {
        epoch,
        loss,
        accuracy,
        validation_loss,
        validation_accuracy,
        validation_balanced_accuracy,
        seconds,
        waiting,
        ..
    } = event
    else {
        return None;
    };
    Some(json!({
        "epoch": epoch,
        "loss": console::decimal(*loss),
        "accuracy": console::decimal(*accuracy),
        "validation_loss": validation_loss.map(console::decimal),
        "validation_accuracy": validation_accuracy.map(console::decimal),
        "validation_balanced_accuracy": validation_balanced_accuracy.map(console::decimal),
        "seconds": seconds,
        "waiting_seconds": waiting,
    }))
}
