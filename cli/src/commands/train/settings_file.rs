//! `run.toml`: the settings of a run, as a file for `--config`, and facts about the run.
use std::fmt::{Debug, Display};
use std::fs;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use hubel::network::Initialisation;
use hubel::{
    Cpu, Error, Keep, Model, Optimizer, Phase, RunFolder, Schedule, Shape, Splits, TrainSettings,
    replace_file,
};
use toml::Value;

use super::course::Course;
use crate::args::Train;
use crate::config::FACTS;

/// The file in the folder of a run.
const NAME: &str = "run.toml";

/// A run that is about to begin.
pub(super) struct Run<'a> {
    pub(super) arguments: &'a Train,
    pub(super) cpu: &'a Cpu,
    pub(super) splits: &'a Splits,
    pub(super) course: &'a Course,
    /// The network by name or text, if it is trained from scratch.
    pub(super) network: &'a str,
}

impl Run<'_> {
    /// Writes the file into the folder of the run, in place of an older one.
    pub(super) fn write(&self, folder: &RunFolder) -> Result<(), Error> {
        let path = folder.path().join(NAME);
        replace_file(&path, self.text().as_bytes())
    }

    /// Removes the file, unless the folder has a model.
    pub(super) fn remove(folder: &RunFolder) {
        if RunFolder::model_in(folder.path()).is_none() {
            // An empty folder is removed later; a folder with this file alone does no harm.
            let _ = fs::remove_file(folder.path().join(NAME));
        }
    }

    fn text(&self) -> String {
        let mut file = SettingsFile::default();
        file.comment("The settings of a training. `hubel train --config FILE` trains the same model again from them, bit for bit,");
        file.comment("if data, current folder and instruction set are the same. Flags of the command line replace settings.");
        let model = self.course.last_good();
        self.write_start(&mut file, &model);
        self.write_data(&mut file, &model);
        self.write_training(&mut file);
        self.write_facts(&mut file, &model);
        file.text
    }

    /// What is trained.
    fn write_start(&self, file: &mut SettingsFile, model: &Model) {
        let arguments = self.arguments;
        file.gap();
        file.text("data", arguments.data.data.display());
        let phases = self.course.phases();
        let [.., last] = phases else {
            file.text("from", "none");
            file.text("model", self.network);
            let initialisation = match self.course.settings().initialisation {
                Initialisation::HeOrXavier => "he",
                Initialisation::PyTorch => "pytorch",
            };
            return file.text("initialisation", initialisation);
        };
        file.text("from", model.origin().unwrap_or("none"));
        for (key, colours) in [("mean", arguments.data.mean), ("std", arguments.data.std)] {
            if let Some(colours) = colours {
                file.list(key, colours.iter().map(short));
            }
        }
        let frozen = match (&arguments.freeze, phases) {
            (Some(freeze), _) => Some(freeze.as_str()),
            // Few pictures: by default, only the last layer is trained.
            (None, [_]) if last.frozen.is_some() => Some("all"),
            (None, _) => None,
        };
        match frozen {
            Some(freeze) => file.text("freeze", freeze),
            None => file.comment(
                "`freeze` has its default: the phases that stand at the end of this file. The settings below are those of the last phase.",
            ),
        }
        if let Some(phase) = phases.iter().find(|phase| phase.versions > 0) {
            file.plain("versions", phase.versions);
        }
    }

    /// How the data is read and prepared.
    fn write_data(&self, file: &mut SettingsFile, model: &Model) {
        let data = &self.arguments.data;
        file.gap();
        let Shape {
            height,
            width,
            channels,
        } = model.input();
        // Arrays of other channels are not resized.
        if matches!(channels, 1 | 3) {
            file.text("input", format!("{height}x{width}x{channels}"));
        }
        file.text("resize", model.preparation().resize);
        file.text("augment", &self.course.settings().augmentation);
        file.text("balance", self.course.settings().balance);
        file.plain("val", short(&data.val));
        file.plain("test", short(&data.test));
        if let Some(names) = &data.class_names {
            file.list("class-names", names.0.iter().map(quoted));
        }
        file.text("bad-files", data.files.bad_files);
        if let Some(bytes) = data.files.cache {
            file.text("cache", format!("{bytes}B"));
        }
    }

    /// How it is trained.
    fn write_training(&self, file: &mut SettingsFile) {
        let (arguments, settings) = (self.arguments, self.course.settings());
        file.gap();
        file.plain("seed", settings.seed);
        file.plain("epochs", settings.epochs);
        let mut sizes = self.course.phases().iter();
        match sizes.all(|phase| phase.settings.batch_size == settings.batch_size) {
            true => file.plain("batch-size", settings.batch_size),
            false => file.comment("`batch-size` has its default: another one in each phase."),
        }
        file.plain("learning-rate", short(&settings.learning_rate));
        match settings.optimizer {
            Optimizer::AdamW => file.text("optimizer", "adamw"),
            Optimizer::Sgd { momentum, .. } => {
                file.text("optimizer", "sgd");
                file.plain("momentum", short(&momentum));
            }
            // No flag gives another one.
            _ => {}
        }
        if let Some(schedule) = name_of(&settings.schedule) {
            file.text("schedule", schedule);
        }
        file.plain("weight-decay", short(&settings.weight_decay));
        file.plain("label-smoothing", short(&settings.label_smoothing));
        file.plain("keep-best", arguments.keep_best);
        if let Some(epochs) = settings.patience {
            file.plain("patience", epochs);
        }
        file.plain("precise", settings.precise);
        if let Some(set) = arguments.processor.instruction_set() {
            file.text("cpu", set);
        }
    }

    fn write_facts(&self, file: &mut SettingsFile, model: &Model) {
        let splits = self.splits;
        file.gap();
        file.comment("Facts about this run. They are not read.");
        file.line(format!("[{FACTS}]"));
        let now = DateTime::<Utc>::from(SystemTime::now());
        file.plain("begun", now.to_rfc3339_opts(SecondsFormat::Secs, true));
        file.text("hubel", env!("CARGO_PKG_VERSION"));
        file.text("instruction-set", self.cpu.instruction_set());
        file.plain("threads", self.cpu.threads());
        file.text("network", model.network());
        file.plain("parameters", model.parameters().values().len());
        file.plain("classes", splits.train.classes().len());
        file.plain("training-images", splits.train.len());
        for (key, part) in [
            ("validation-images", &splits.validation),
            ("test-images", &splits.test),
        ] {
            let count = part.as_ref().map_or(0, hubel::Dataset::len);
            file.plain(key, count);
        }
        for phase in self.course.phases() {
            write_phase(file, phase);
        }
    }
}

fn write_phase(file: &mut SettingsFile, phase: &Phase) {
    let TrainSettings {
        epochs,
        batch_size,
        learning_rate,
        schedule,
        weight_decay,
        keep,
        ..
    } = &phase.settings;
    file.gap();
    file.line(format!("[[{FACTS}.phases]]"));
    if let Some(layer) = &phase.frozen {
        file.text("frozen-up-to", layer);
    }
    file.plain("versions", phase.versions);
    file.plain("epochs", epochs);
    file.plain("batch-size", batch_size);
    file.plain("learning-rate", short(learning_rate));
    file.plain("rate-of-first-layer", short(&phase.first_rate));
    if let Some(schedule) = name_of(schedule) {
        file.text("schedule", schedule);
    }
    file.plain("weight-decay", short(weight_decay));
    file.plain("keep-best", *keep == Keep::Best);
}

/// The name of a schedule on the command line.
fn name_of(schedule: &Schedule) -> Option<&'static str> {
    match schedule {
        Schedule::Constant => Some("constant"),
        Schedule::Cosine => Some("cosine"),
        Schedule::OneCycle => Some("onecycle"),
        // A function has no name, and no flag gives one.
        _ => None,
    }
}

/// A number as short as possible without losing a bit, with a point or an exponent.
fn short(number: &impl Debug) -> String {
    format!("{number:?}")
}

/// A text in quotes.
fn quoted(text: impl Display) -> String {
    Value::String(text.to_string()).to_string()
}

/// A TOML file that is being written.
#[derive(Default)]
struct SettingsFile {
    text: String,
}

impl SettingsFile {
    fn line(&mut self, line: impl Display) {
        self.text += &format!("{line}\n");
    }

    fn gap(&mut self) {
        self.line("");
    }

    fn comment(&mut self, comment: &str) {
        self.line(format!("# {comment}"));
    }

    /// A value that needs no quotes.
    fn plain(&mut self, key: &str, value: impl Display) {
        self.line(format!("{key} = {value}"));
    }

    fn text(&mut self, key: &str, value: impl Display) {
        self.plain(key, quoted(value));
    }

    fn list(&mut self, key: &str, values: impl Iterator<Item = String>) {
        let values: Vec<String> = values.collect();
        self.plain(key, format!("[{}]", values.join(", ")));
    }
}
