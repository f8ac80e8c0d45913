//! `hubel train`: trains on data and writes one model file.
mod course;
mod saving;
mod settings_file;
mod start;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use hubel::check::IMBALANCE;
use hubel::data::{Augmentation, BadFile, Balance, Source, Subject};
use hubel::{Checkpoints, Dataset, Error, Event, Model, Splits, TrainSettings, listed, one_line};
use serde_json::{Value, json};

use self::course::Course;
pub(super) use self::start::{Start, choose as start};
use super::{Outcome, program, quoted};
use crate::args::{Train, TrainingData};
use crate::console::{self, Console, thousands};
use crate::interruption::Interruption;
use crate::wording::of_command_line;

/// Runs the command.
pub(crate) fn run(arguments: &Train, console: &Console) -> Outcome {
    let begin = Instant::now();
    if let Some(config) = &arguments.config {
        console.remark(&format!("settings of {}", hubel::shown(config)));
    }
    let mut source = Source::find(&arguments.data.data)?;
    let start = start::choose(
        &arguments.data,
        arguments.is_of_its_own(),
        &mut source,
        console,
    )?;
    let splits = open(&arguments.data, source, &start, console)?;
    let cpu = arguments.processor.cpu();
    let name = start.name(arguments.model.as_deref(), &splits.train);
    let network = start.network(arguments.model.as_deref(), &splits.train);
    console.remark(&format!("{name} on {}; {cpu:?}", splits.train.name()));
    let subject = splits.train.subject()?;
    let course = Course::new(arguments, start, &cpu, &splits, &subject, console)?;
    let settings = course.settings();
    let batch_size = settings.batch_size;
    console.remark(&parts(&splits));
    let augmentation = course.augmentation();
    console.remark(&detected(&subject, &course.epochs(), &augmentation));
    console.remark(&treatment(&splits.train, settings.balance, &augmentation));
    let mut log = Log::new(settings, splits.bad_files.clone());
    if !log.loss_includes.is_empty() {
        console.remark(&format!(
            "loss*: with {}; the validation loss is without",
            log.loss_includes.join(" and ")
        ));
    }
    let folder = saving::folder(arguments.out.as_deref(), splits.train.name(), &name)?;
    let mut course = course.with_checkpoints(Checkpoints::new(folder.last()));
    saving::prepare(&folder, &course, console)?;
    let settings_file = settings_file::Run {
        arguments,
        cpu: &cpu,
        splits: &splits,
        course: &course,
        network,
    };
    settings_file.write(&folder)?;
    if batch_size > splits.train.len() {
        console.remark(&format!(
            "each step uses all images: there are fewer than {batch_size} (--batch-size)"
        ));
    }
    let interruption = Interruption::listen()?;
    let model = train(
        &mut course,
        &folder.last(),
        console,
        &interruption,
        &mut log,
    )
    .inspect_err(|_| saving::save_last_good(&folder, &course, console))?;
    if let (Some(position), Some(signal)) = (model.stopped_at(), interruption.signal())
        && position.is_start()
    {
        settings_file::Run::remove(&folder);
        console.remark(&format!(
            "stopped by {} before the first step: there is no model to save",
            signal.name()
        ));
        return Ok(ExitCode::from(signal.exit_code()));
    }
    let file = saving::save(&folder, &model, console)?;
    let signal = interruption.leave_at_once(format!(
        "stopped: the model is saved in {}, and not tested",
        file.display()
    ));

    let report = match (&splits.test, signal) {
        (Some(test), None) => Some(super::judge(&model, &cpu, test, console)),
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
    let seconds = begin.elapsed().as_secs_f64();
    let waiting_share = log.sum("waiting_seconds") / log.sum("seconds").max(f64::MIN_POSITIVE);
    if arguments.json {
        console::print(
            &json!({
                "test_accuracy": report.as_ref().map(|report| console::decimal(report.accuracy)),
                "test_accuracy_interval": report.as_ref().map(|report| report.interval().map(console::decimal)),
                "test_balanced_accuracy": report.as_ref().map(|report| console::decimal(report.balanced_accuracy())),
                "test_baseline_accuracy": report.as_ref().map(|report| console::decimal(report.baseline().1)),
                "test_loss": report.as_ref().map(|report| console::decimal(report.loss)),
                "test_count": report.as_ref().map(|report| report.count),
                "untested_classes": report.as_ref().map(|report| super::untested(report, model.classes())),
                "seconds": seconds,
                "model": file.display().to_string(),
                "network": model.network().to_string(),
                "origin": model.origin(),
                "frozen": model.frozen(),
                "data": splits.train.name(),
                "subject": subject.to_string(),
                "notes": splits.notes.iter().map(|note| of_command_line(note)).collect::<Vec<_>>(),
                "bad_files": log.bad_files,
                "waiting_share": waiting_share,
                "saving_seconds": log.saving,
                "training_loss_includes": log.loss_includes,
                "epochs": log.epochs,
                "interrupted": signal.is_some(),
                "stopped_at": model.stopped_at(),
            })
            .to_string(),
        )?;
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
        // The folder stands for its model.safetensors, unless that is an older model.
        let model = match model.stopped_at() {
            Some(_) if folder.model().exists() => &file,
            _ => folder.path(),
        };
        console::print(&format!(
            "{}time           {seconds:.1} s, {:.1} % of the training spent waiting for data\nmodel          {}\nnext           {}",
            test.unwrap_or_default(),
            100.0 * waiting_share,
            file.display(),
            next_command(model, &arguments.data.data, &log.bad_files)
        ))?;
    }
    if let Some(signal) = signal {
        console.remark(&match model.stopped_at() {
            Some(position) => format!(
                "stopped by {} at {position}: the current weights are saved, and not tested; `evaluate` and `predict` can use them, \
                 and `train --from` starts a new training from them",
                signal.name()
            ),
            None => format!("stopped by {}: the model is saved, and not tested", signal.name()),
        });
        if model.stopped_at().is_some() && folder.model().exists() {
            console.remark(&format!(
                "{} of an earlier run is unchanged",
                folder.model().display()
            ));
        }
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
            ("class weights", settings.balance == Balance::Loss),
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

/// Trains to the end or until a signal stops it, and reports to console and log. `last` is the checkpoint file.
fn train(
    course: &mut Course,
    last: &Path,
    console: &Console,
    interruption: &Interruption,
    log: &mut Log,
) -> Result<Model, Error> {
    let mut progress = console.progress(!log.loss_includes.is_empty());
    let model = course.run(&mut |event| {
        progress.show(event);
        if matches!(event, Event::Saved { .. }) && log.saving == 0.0 {
            progress.line(&format!(
                "saved in {}, and from now on once a minute",
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
