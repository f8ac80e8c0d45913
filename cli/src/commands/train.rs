//! `hubel train`: data in, one model file out.
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use std::{fs, io};

use hubel::check::IMBALANCE;
use hubel::data::{Augmentation, BadFile, Balance, Division};
use hubel::{Dataset, Error, Event, Model, Network, Splits, TrainSettings, Trainer};
use serde_json::{Value, json};

use super::named::MODEL_FILE;
use super::{Outcome, program, quoted};
use crate::args::{Train, TrainingData};
use crate::console::{self, Console, thousands};

/// The exit code of a process that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the command.
pub(crate) fn run(arguments: &Train, console: &Console) -> Outcome {
    let start = Instant::now();
    let splits = open(&arguments.data, console)?;
    let name = model_name(arguments, &splits.train);
    let network = Network::resolve(name)?;
    let cpu = arguments.processor.cpu();
    console.remark(&format!(
        "{} on {}; {cpu:?}",
        short_name(name),
        splits.train.name()
    ));
    let mut settings = arguments.settings(splits.train.shows_writing()?)?;
    if arguments.data.augment.is_none() && splits.train.is_of_floats() {
        settings.augmentation = Augmentation::none();
    }
    let batch_size = settings.batch_size;
    console.remark(&parts(&splits));
    console.remark(&treatment(&splits.train, &settings));
    let mut trainer = Trainer::new(
        cpu.clone(),
        network,
        &splits.train,
        splits.validation.as_ref(),
        settings,
    )?;
    let folder = match &arguments.out {
        Some(folder) => folder.clone(),
        None => new_folder(splits.train.name(), &short_name(name))?,
    };
    let file = folder.join(MODEL_FILE);
    prepare(&file, &trainer).inspect_err(|_| {
        // A folder that was made for this run is worth nothing, and would give the next one another name.
        if arguments.out.is_none() {
            let _ = fs::remove_dir(&folder);
        }
    })?;
    if file.exists() {
        console.remark(&format!("{} will be replaced", file.display()));
    }
    if batch_size > splits.train.len() {
        console.remark(&format!(
            "each step takes all images: there are fewer than {batch_size} (--batch-size)"
        ));
    }
    let mut epochs = Vec::new();
    let interruption = Interruption::listen()?;
    let mut bad_files = splits.bad_files.clone();
    let (model, last_epoch) = train(
        &mut trainer,
        console,
        &interruption,
        &mut epochs,
        &mut bad_files,
    )
    .inspect_err(|_| save_last_good(&trainer, splits.division.clone(), &file, console))?;
    let model = model.with_division(splits.division.clone());
    let kept = interruption.is_raised() && file.exists();
    let file = if kept {
        beside(&file, "interrupted")
    } else {
        file
    };
    if let Err(error) = model.save(&file) {
        save_elsewhere(&model, console);
        return Err(error.into());
    }
    let stopped = interruption.leave_at_once(format!(
        "stopped by Ctrl-C: the model is saved in {}, and not tested",
        file.display()
    ));

    let report = match &splits.test {
        Some(test) if !stopped => Some(super::judge(&model, &cpu, test, console)),
        _ => None,
    };
    // The model is saved, and what is known of it is said all the same.
    let (report, untested) = match report.transpose() {
        Ok(report) => (report, None),
        Err(error) => (None, Some(error)),
    };
    if let Some(report) = &report {
        super::report_bad_files(&report.bad_files, console);
        bad_files.extend(report.bad_files.clone());
    }
    let seconds = start.elapsed().as_secs_f64();
    let sum = |name: &str| -> f64 { epochs.iter().filter_map(|epoch| epoch[name].as_f64()).sum() };
    let (waiting, trained) = (
        // A sum of nothing is -0, and becomes 0 by this.
        sum("waiting_seconds") + 0.0,
        sum("seconds").max(f64::MIN_POSITIVE),
    );
    if arguments.json {
        console::print(
            &json!({
                "test_accuracy": report.as_ref().map(|report| console::decimal(report.accuracy)),
                "test_accuracy_interval": report.as_ref().map(|report| report.interval().map(console::decimal)),
                "test_loss": report.as_ref().map(|report| console::decimal(report.loss)),
                "test_count": report.as_ref().map(|report| report.count),
                "seconds": seconds,
                "model": file.display().to_string(),
                "network": model.network().to_string(),
                "data": splits.train.name(),
                "notes": splits.notes,
                "bad_files": bad_files,
                "waiting_share": waiting / trained,
                "epochs": epochs,
                "interrupted": stopped,
            })
            .to_string(),
        )?;
    } else {
        let test = report.map(|report| format!("test accuracy  {}\n", super::accuracy(&report)));
        console::print(&format!(
            "{}time           {seconds:.1} s, {:.1} % of the training spent waiting for data\nmodel          {}\nnext           {}",
            test.unwrap_or_default(),
            100.0 * waiting / trained,
            file.display(),
            next_command(
                if kept { &file } else { &folder },
                &arguments.data.data,
                &bad_files
            )
        ))?;
    }
    if stopped {
        console.remark(&format!(
            "stopped by Ctrl-C in epoch {last_epoch}: the model is saved as it was then, and not tested"
        ));
        if kept {
            console.remark(&format!(
                "{MODEL_FILE} of an earlier run is left as it was; this one is {}",
                file.display()
            ));
        }
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if let Some(error) = untested {
        console.remark("the model is saved, and could not be tested");
        return Err(error.into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The network asked for, or the one that suits the pictures.
fn model_name<'a>(arguments: &'a Train, data: &Dataset) -> &'a str {
    match &arguments.model {
        Some(name) => name,
        None if data.shape().channels == 1 => "mnist-cnn",
        None => "tutorial",
    }
}

/// Opens the data, with progress where files are read, and says what was found and what was left out.
pub(super) fn open(arguments: &TrainingData, console: &Console) -> Result<Splits, Error> {
    let reading = console.pictures("reading");
    let splits = hubel::data::open_with(&arguments.data, &arguments.options(), &|done, all| {
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

/// What the images are used for.
fn parts(splits: &Splits) -> String {
    let held_out = match &splits.validation {
        Some(validation) => format!("{} held out for validation", thousands(validation.len())),
        None => "none held out for validation".into(),
    };
    let test = match &splits.test {
        Some(test) => format!("{} for the test at the end", thousands(test.len())),
        None => "none for a test".into(),
    };
    let training = thousands(splits.train.len());
    let mut text = format!("{training} images to train on, {held_out}, {test}");
    if let Some(test) = &splits.test {
        let classes = test.classes().iter().zip(test.counts());
        let untested: Vec<String> = classes
            .filter(|(_, count)| *count == 0)
            .map(|(class, _)| format!("`{class}`"))
            .collect();
        if !untested.is_empty() {
            text += &format!(
                "\nno image for the test of {}: what is not tested is not known",
                listed(&untested)
            );
        }
    }
    text
}

/// What is done to the images, and what is to be known of their classes.
fn treatment(train: &Dataset, settings: &TrainSettings) -> String {
    let mut text = format!("augmentation: {}", settings.augmentation);
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
            "\nno image to train on of {}: what is never seen is never recognised",
            listed(&unseen)
        );
    }
    // Nothing makes up for a class of which there is no image.
    let (smallest, largest) = (
        counts.iter().filter(|count| **count > 0).min(),
        counts.iter().max(),
    );
    if let (Some(&smallest), Some(&largest)) = (smallest, largest)
        && largest >= IMBALANCE * smallest
    {
        let remedy = match settings.balance {
            Balance::None => "; --balance loss or --balance sample makes up for it".into(),
            balance => format!("; balanced by {balance}"),
        };
        text += &format!(
            "\nclasses differ in size: {} of `{}`, {} of `{}`{remedy}",
            thousands(largest),
            of(largest),
            thousands(smallest),
            of(smallest)
        );
    }
    text
}

/// The first of the names, and how many more there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len() > SHOWN + 1 {
        false => names.join(", "),
        true => format!(
            "{} and {} more",
            names[..SHOWN].join(", "),
            thousands(names.len() - SHOWN)
        ),
    }
}

/// Trains to the end or to Ctrl-C, and tells the console, `epochs` and `bad_files` how it goes; gives the last epoch, too.
fn train(
    trainer: &mut Trainer,
    console: &Console,
    interruption: &Interruption,
    epochs: &mut Vec<Value>,
    bad_files: &mut Vec<BadFile>,
) -> Result<(Model, usize), Error> {
    let mut progress = console.progress();
    let mut last_epoch = 1;
    let model = trainer.run(&mut |event| {
        progress.show(event);
        epochs.extend(epoch_json(event));
        match event {
            Event::Step { epoch, .. } | Event::Epoch { epoch, .. } => last_epoch = *epoch,
            // Of each epoch anew.
            Event::BadFile(file) if bad_files.contains(file) => {}
            Event::BadFile(file) => bad_files.push(file.clone()),
        }
        if interruption.is_raised() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    progress.finish();
    Ok((model?, last_epoch))
}

fn epoch_json(event: &Event) -> Option<Value> {
    let Event::Epoch {
        epoch,
        loss,
        accuracy,
        validation_loss,
        validation_accuracy,
        seconds,
        waiting,
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
        "seconds": seconds,
        "waiting_seconds": waiting,
    }))
}

/// What Ctrl-C has said so far, and what it does.
#[derive(Clone, Default)]
struct Interruption {
    /// Whether training is to stop. A second Ctrl-C ends the process at once.
    raised: Arc<AtomicBool>,
    /// What is said at the end, once there is nothing left to save: then the first one does, too.
    last_words: Arc<OnceLock<String>>,
}

impl Interruption {
    fn listen() -> Result<Self, ctrlc::Error> {
        let this = Self::default();
        let heard = this.clone();
        ctrlc::set_handler(move || {
            // In this order: whoever sets the words and then sees no Ctrl-C knows that the next one is told of them.
            let again = heard.raised.swap(true, Ordering::SeqCst);
            let last_words = heard.last_words.get();
            if again || last_words.is_some() {
                last_words.inspect(|words| console::say(words));
                std::process::exit(i32::from(INTERRUPTED));
            }
        })?;
        Ok(this)
    }

    fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// From here on; gives whether training was to stop before.
    fn leave_at_once(&self, last_words: String) -> bool {
        self.last_words.get_or_init(|| last_words);
        self.is_raised()
    }
}

/// Training failed: the weights from before are still worth keeping, unless they have learned nothing and would lie beside a model.
fn save_last_good(trainer: &Trainer, division: Option<Division>, file: &Path, console: &Console) {
    let (model, steps) = trainer.last_good();
    let model = model.with_division(division);
    if steps == 0 && file.exists() {
        return console.remark(&format!("{} is left as it was", file.display()));
    }
    let file = match file.exists() {
        true => &beside(file, "failed"),
        false => file,
    };
    let learned = match steps {
        0 => "those of the beginning".into(),
        _ => format!("those after step {}", thousands(steps)),
    };
    console.remark(&match model.save(file) {
        Ok(()) => format!(
            "the last good weights, {learned}, are saved in {}",
            file.display()
        ),
        Err(error) => format!("the last good weights could not be saved: {error}"),
    });
}

/// A free name for a model of training that did not end, beside one that is there already.
fn beside(file: &Path, name: &str) -> PathBuf {
    numbered(name)
        .map(|name| file.with_file_name(format!("{name}.safetensors")))
        .find(|path| !path.exists())
        .expect("one of infinitely many is free")
}

/// `name`, `name-2`, `name-3` …
fn numbered(name: &str) -> impl Iterator<Item = String> {
    let others = (2..).map(move |number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(others)
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        action,
        path,
        source,
    }
}

/// Makes the folder of the model and writes one there that is as large, before hours of training.
fn prepare(file: &Path, trainer: &Trainer) -> Result<(), Error> {
    if file.is_dir() {
        let problem = format!(
            "{} is a folder, and the model's file is to be there; move it away, or choose another --out",
            file.display()
        );
        return Err(Error::Settings { problem });
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(refused("create", folder))?;
    let trial = folder.join(format!(".hubel-{}", std::process::id()));
    let (untrained, _) = trainer.last_good();
    // Of the trial nobody has heard.
    untrained.save(&trial).map_err(|error| match error {
        Error::Io { action, source, .. } => refused(action, file)(source),
        other => other,
    })?;
    fs::remove_file(&trial).map_err(refused("remove", &trial))
}

/// The disk was full or gone at the end: what was learnt is kept where anything can be written.
fn save_elsewhere(model: &Model, console: &Console) {
    let name = format!("hubel-{}.safetensors", std::process::id());
    let file = std::env::temp_dir().join(name);
    console.remark(&match model.save(&file) {
        Ok(()) => format!("the model is saved in {} instead", file.display()),
        Err(error) => format!("nor could it be saved elsewhere: {error}"),
    });
}

/// A network's name in file names and remarks: its own in the zoo, `network` for architecture text.
fn short_name(name: &str) -> String {
    let in_zoo = Network::names().any(|known| known.eq_ignore_ascii_case(name));
    if in_zoo {
        name.to_lowercase()
    } else {
        "network".into()
    }
}

/// Makes `runs/DATA-NETWORK`, with a number behind it where that one is there: no run writes where another has, or will.
fn new_folder(data: &str, network: &str) -> Result<PathBuf, Error> {
    let runs = Path::new("runs");
    fs::create_dir_all(runs).map_err(refused("create", runs))?;
    for name in numbered(&run_name(data, network)) {
        let folder = runs.join(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(refused("create", &folder))?,
        }
        return Ok(folder);
    }
    unreachable!("one of infinitely many is free")
}

/// `mnist-lenet5`, but `mnist-cnn` and not `mnist-mnist-cnn`.
fn run_name(data: &str, network: &str) -> String {
    let data: String = data
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    if network.starts_with(&format!("{data}-")) {
        network.into()
    } else {
        format!("{data}-{network}")
    }
}

fn next_command(folder: &Path, data: &str, bad_files: &[BadFile]) -> String {
    let mut command = format!(
        "{} evaluate {}",
        quoted(&program()),
        quoted(&folder.display().to_string())
    );
    if data != "mnist" {
        command += &format!(" {}", quoted(data));
    }
    // What was left out where it is would be met again.
    if bad_files.iter().any(|bad| bad.quarantined.is_none()) {
        command += " --bad-files skip";
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_for_data_and_network() {
        assert_eq!(run_name("mnist", "mnist-cnn"), "mnist-cnn");
        assert_eq!(run_name("mnist", "lenet5"), "mnist-lenet5");
        assert_eq!(
            run_name("../my photos", "tutorial"),
            "---my-photos-tutorial"
        );
    }

    #[test]
    fn text_is_not_used_as_a_file_name() {
        assert_eq!(short_name("LeNet5"), "lenet5");
        assert_eq!(short_name("flatten-fc(classes)"), "network");
    }
}
