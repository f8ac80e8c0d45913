//! `hubel train`: trains on data and writes one model file.
mod course;
mod ended;
mod rates;
mod report;
mod saving;
mod settings_file;
mod start;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hubel::check::IMBALANCE;
use hubel::data::{Augmentation, BadFile, Balance, Source, Subject};
use hubel::{
    Dataset, Error, Event, Model, RunFolder, Splits, TrainSettings, Trainer, listed, one_line,
};
use serde_json::{Value, json};

use self::course::Course;
use self::ended::{Ended, Training};
use self::settings_file::Settings;
pub(super) use self::start::{Start, choose as start};
use super::{Outcome, program, quoted};
use crate::args::{Train, TrainingData};
use crate::console::{self, Console, thousands};
use crate::interruption::Interruption;
use crate::presets;

/// Runs the command.
pub(crate) fn run(arguments: &Train, console: &Console) -> Outcome {
    let begin = Instant::now();
    if let Some(config) = &arguments.config {
        console.remark(&format!("settings of {}", hubel::shown(config)));
    }
    let resumed = (arguments.resume.as_deref().map(RunFolder::resume)).transpose()?;
    let mut source = Source::find(&arguments.data.data)?;
    if let Some(preset) = &arguments.preset {
        presets::check(preset, source.outlook()?.size, &arguments.data.data)?;
        console.remark(&format!("settings of the preset `{preset}`"));
    }
    let start = match &resumed {
        None => start::choose(
            &arguments.data,
            arguments.is_of_its_own(),
            &mut source,
            console,
        )?,
        Some((_, resumed)) => start::again(&arguments.data, resumed.state.model()),
    };
    let splits = open(&arguments.data, source, &start, console)?;
    let cpu = arguments.processor.cpu();
    let name = start.name(arguments.model.as_deref(), &splits.train);
    let network = start.network(arguments.model.as_deref(), &splits.train);
    console.remark(&format!("{name} on {}; {cpu:?}", splits.train.name()));
    let subject = splits.train.subject()?;
    let course = Course::new(arguments, &start, &cpu, &splits, &subject)?;
    if let Some(file) = &arguments.find_lr {
        return rates::search(&course, arguments.json, file, console);
    }
    // Only at its beginning a run may give a model a new last layer.
    if let (Start::Model(model), None) = (&start, &resumed) {
        console.remark(&course::last_layer(model.classes(), splits.train.classes()));
    }
    let mut trainer = course.trainer()?;
    console.remark(&parts(&splits));
    let augmentation = course::augmentation(trainer.phases());
    let epochs = course::epochs(trainer.phases());
    console.remark(&detected(&subject, &epochs, &augmentation));
    let settings = &trainer.phases().last().expect("there is a phase").settings;
    console.remark(&treatment(&splits.train, settings.balance, &augmentation));
    let mut log = Log::new(settings, splits.bad_files.clone());
    if !log.loss_includes.is_empty() {
        console.remark(&format!(
            "loss*: with {}; the validation loss is without",
            log.loss_includes.join(" and ")
        ));
    }
    if settings.batch_size > splits.train.len() {
        console.remark(&format!(
            "each step uses all images: there are fewer than {} (--batch-size)",
            settings.batch_size
        ));
    }
    let write_settings = |trainer: &Trainer, folder: &RunFolder| {
        let settings = Settings {
            arguments,
            model: &trainer.last_good(),
            phases: trainer.phases(),
            pace: trainer.pace().filter(|_| trainer.is_over()),
            network: network.as_deref(),
        };
        settings.write(folder, &cpu, &splits)
    };
    let folder = match resumed {
        None => {
            let parent = arguments.out.as_deref();
            let mut folder = saving::folder(parent, splits.train.name(), &name)?;
            folder.begin(&trainer, &splits)?;
            write_settings(&trainer, &folder)?;
            folder
        }
        Some((mut folder, resumed)) => {
            saving::go_on(&mut folder, resumed, &mut trainer, &splits, console)?;
            if trainer.is_over() && folder.model().exists() {
                return Ok(ExitCode::SUCCESS);
            }
            // A run that is extended has other settings from now on.
            write_settings(&trainer, &folder)?;
            folder
        }
    };
    let mut folder = folder.with_interval(arguments.interval());
    let path = folder.path().to_owned();
    let training = Training {
        arguments,
        name: &name,
        folder: &path,
        cpu: &cpu,
        splits: &splits,
        subject: &subject,
        begin,
        seconds_before: folder.seconds_before(),
    };
    let interruption = Interruption::listen()?;
    let model = train(
        &mut folder,
        &mut trainer,
        arguments,
        console,
        &interruption,
        &mut log,
    )
    .inspect_err(|error| {
        saving::after(error, &folder, &trainer, console);
        let failed = Ended {
            training,
            model: &trainer.last_good(),
            file: &folder.last(),
            report: None,
            problem: Some(error),
            log: &log,
            is_interrupted: false,
        };
        failed.write(console);
    })?;
    let file = saving::save(&mut folder, &model, console)?;
    // With the steps that the time was enough for, or more epochs than before.
    write_settings(&trainer, &folder)?;
    let signal = interruption.leave_at_once(format!(
        "stopped: the model is saved in {}, and not tested",
        file.display()
    ));
    let report = match (&splits.test, signal) {
        (Some(test), None) => {
            let untested = Ended {
                training,
                model: &model,
                file: &file,
                report: None,
                problem: None,
                log: &log,
                is_interrupted: false,
            };
            // It stays if a signal stops the test.
            untested.write(console);
            Some(super::judge(&model, &cpu, test, console))
        }
        _ => None,
    };
    // The model is saved; the results are printed even if the test failed.
    let (report, untested) = match report.transpose() {
        Ok(report) => (report, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(report) = &report {
        super::report_bad_files(&report.bad_files, console);
        log.bad_files.extend(report.bad_files.clone());
    }
    let ended = Ended {
        training,
        model: &model,
        file: &file,
        report: report.as_ref(),
        problem: untested.as_ref(),
        log: &log,
        is_interrupted: signal.is_some(),
    };
    let (seconds, waiting_share) = (ended.seconds(), ended.waiting_share());
    let result = ended.write(console);
    if arguments.json {
        console::print(&result.to_string())?;
    } else {
        let is_balanced = arguments.balance != Balance::None;
        let test = report.map(|report| {
            let headline = super::headline(&report, model.classes());
            let mut text = format!("test accuracy  {headline}\n");
            for (name, value) in super::beside_accuracy(&report, model.classes(), is_balanced) {
                text += &format!("{name:<15}{value}\n");
            }
            text
        });
        let choice = model
            .choice()
            .map(|choice| format!("weights        {choice}\n"));
        console::print(&format!(
            "{}time           {seconds:.1} s, {:.1} % of the training spent waiting for data\nmodel          {}\n{}{}next           {}",
            test.unwrap_or_default(),
            100.0 * waiting_share,
            file.display(),
            choice.unwrap_or_default(),
            report_line(folder.path()),
            next_command(folder.path(), &arguments.data.data, &log.bad_files)
        ))?;
    }
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

/// Opens the data with a progress bar, and reports what was found and what was skipped.
pub(super) fn open(
    arguments: &TrainingData,
    source: Source,
    start: &Start,
    console: &Console,
) -> Result<Splits, Error> {
    let preparation = match start {
        Start::Nothing => None,
        Start::Model(model) => Some(model.preparation()),
    };
    let reading = console.pictures("reading");
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
    Ok(splits)
}

/// How many images are used for training, validation and test.
fn parts(splits: &Splits) -> String {
    let held_out = match &splits.validation {
        Some(validation) => format!("{} held out for validation", thousands(validation.len())),
        None => "none held out for validation".into(),
    };
    let test = match &splits.test {
        Some(test) => format!("{} for the final test", thousands(test.len())),
        None => "none for a final test".into(),
    };
    let training = thousands(splits.train.len());
    let mut text = format!("{training} images to train on, {held_out}, {test}");
    if let Some(test) = &splits.test {
        let classes = test.classes().iter().zip(test.counts());
        let untested: Vec<String> = classes
            .filter(|(_, count)| *count == 0)
            .map(|(class, _)| format!("`{}`", one_line(class)))
            .collect();
        if !untested.is_empty() {
            text += &format!(
                "\nno test image of {}: the accuracy of these classes will be unknown",
                listed(untested.iter().map(String::as_str))
            );
        }
    }
    text
}

/// The detected kind of data, and the settings that follow from it.
fn detected(subject: &Subject, epochs: &str, augmentation: &Augmentation) -> String {
    let mut follows = vec![epochs.to_owned()];
    follows.push(match (augmentation.flips(), subject.may_be_flipped()) {
        (true, true) => "flipped at random".into(),
        (true, false) => "flipped anyway, because of --augment".into(),
        (false, _) => "no flips".into(),
    });
    follows.extend(
        subject
            .inverted()
            .map(|other| format!("pictures on a {other} background are inverted")),
    );
    format!("detected {subject}: {}", follows.join(", "))
}

/// The augmentation, and remarks on classes that are missing or of very different size.
fn treatment(train: &Dataset, balance: Balance, augmentation: &Augmentation) -> String {
    let mut text = format!("augmentation: {augmentation}");
    let counts = train.counts();
    let of = |count: usize| {
        &train.classes()[counts.iter().position(|&other| other == count).unwrap_or(0)]
    };
    let unseen: Vec<String> = std::iter::zip(train.classes(), &counts)
        .filter(|(_, count)| **count == 0)
        .map(|(class, _)| format!("`{class}`"))
        .collect();
    if !unseen.is_empty() {
        text += &format!(
            "\nno training image of {}: the model will never recognise these classes",
            listed(unseen.iter().map(String::as_str))
        );
    }
    // Balancing cannot help a class without images.
    let (smallest, largest) = (
        counts.iter().filter(|count| **count > 0).min(),
        counts.iter().max(),
    );
    if let (Some(&smallest), Some(&largest)) = (smallest, largest)
        && largest >= IMBALANCE * smallest
    {
        let remedy = match balance {
            Balance::None => "; --balance loss or --balance sample compensates for it".into(),
            balance => format!("; balanced by {balance}: look at the balanced accuracy"),
        };
        text += &format!(
            "\nclasses differ in size: {} of `{}`, {} of `{}`{remedy}",
            thousands(largest),
            one_line(of(largest)),
            thousands(smallest),
            one_line(of(smallest))
        );
    }
    text
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
}

impl Log {
    fn new(settings: &TrainSettings, bad_files: Vec<BadFile>) -> Self {
        let included = [
            ("label smoothing", settings.label_smoothing > 0.0),
            (
                "class weights",
                settings.balance == Balance::Loss || settings.class_weights.is_some(),
            ),
            ("mixed pictures", !settings.mixing.is_none()),
        ];
        Self {
            epochs: Vec::new(),
            bad_files,
            saving: 0.0,
            loss_includes: (included.into_iter().filter(|(_, is)| *is))
                .map(|(name, _)| name)
                .collect(),
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

/// Trains to the end or until a signal stops it, and reports to console and log.
fn train(
    folder: &mut RunFolder,
    trainer: &mut Trainer,
    arguments: &Train,
    console: &Console,
    interruption: &Interruption,
    log: &mut Log,
) -> Result<Model, Error> {
    let mut progress = console.progress(!log.loss_includes.is_empty());
    let (last, interval) = (folder.last(), arguments.checkpoint);
    let (mut is_saved, mut is_said) = (false, false);
    let model = folder.train(trainer, &mut |event| {
        progress.show(event);
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

/// The line that names the report, if it could be written.
fn report_line(folder: &Path) -> String {
    let file = folder.join(report::FILE);
    match file.exists() {
        true => format!("report         {}\n", file.display()),
        false => String::new(),
    }
}

fn next_command(folder: &Path, data: &Path, bad_files: &[BadFile]) -> String {
    let mut command = format!("{} evaluate {}", quoted(program()), quoted(folder));
    if data != Path::new("mnist") {
        command += &format!(" {}", quoted(data));
    }
    // Skipped files are still in the data, and would stop `evaluate`.
    if bad_files.iter().any(|bad| bad.quarantined.is_none()) {
        command += " --bad-files skip";
    }
    command
}
