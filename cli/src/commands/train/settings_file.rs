//! `run.toml`: the settings of a run, as a file for `--config`, and facts about the run.
use std::fmt::Display;
use std::fs;
use std::path::Path;

use hubel::data::Kind;
use hubel::network::Initialisation;
use hubel::run_toml::{FACTS, RunToml};
use hubel::{
    Cpu, Error, Model, Optimizer, Pace, Phase, RunFolder, Shape, Splits, TrainSettings,
    replace_file,
};
use toml::Value;

use crate::args::{Train, decided, short};
use crate::date;

/// The settings of a run.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub(super) arguments: &'a Train,
    /// For its origin, its input and its way of resizing.
    pub(super) model: &'a Model,
    pub(super) phases: &'a [Phase],
    /// How the schedule advanced, of a run that has ended.
    pub(super) pace: Option<&'a Pace>,
    /// The network by name or text, if it is trained from scratch.
    pub(super) network: Option<&'a str>,
}

impl Settings<'_> {
    /// Writes the file into the folder of the run, unless it has these settings already. The facts of an older file stay: they are about the beginning of the run.
    pub(super) fn write(&self, folder: &Path, cpu: &Cpu, splits: &Splits) -> Result<(), Error> {
        let path = folder.join(RunFolder::SETTINGS);
        let older = RunToml::read(folder)?;
        let lengths = ["epochs", "minutes"].map(|key| older.setting(key));
        let mut text = self.text();
        let now = RunToml::parse(&text, &path)?;
        if older.settings == now.settings {
            return Ok(());
        }
        let is_new = older.settings.is_empty();
        if !is_new && lengths != ["epochs", "minutes"].map(|key| now.setting(key)) {
            text = format!("{EXTENDED}{text}");
        }
        let older = fs::read_to_string(&path).unwrap_or_default();
        let table = format!("\n[{FACTS}]\n");
        text += &match older.split_once(&table) {
            Some((_, facts)) => format!("\n{ABOUT_FACTS}{table}{facts}"),
            None => self.facts(cpu, splits),
        };
        replace_file(&path, text.as_bytes())
    }

    fn last_phase(&self) -> &Phase {
        self.phases.last().expect("there is at least one phase")
    }

    /// The settings of the last phase.
    fn settings(&self) -> &TrainSettings {
        &self.last_phase().settings
    }

    /// The file without the facts.
    pub(super) fn text(&self) -> String {
        let mut file = SettingsFile::default();
        file.comment("The settings of a training. `hubel train --config FILE` trains the same model again from them, bit for bit,");
        file.comment("if data, current folder and instruction set are the same. Flags of the command line replace settings.");
        self.write_start(&mut file);
        self.write_data(&mut file);
        self.write_training(&mut file);
        file.text
    }

    /// What is trained.
    fn write_start(&self, file: &mut SettingsFile) {
        let (arguments, model) = (self.arguments, self.model);
        file.gap();
        file.text("data", arguments.data.data.display());
        if let Some(network) = self.network {
            file.text("from", "none");
            file.text("model", network);
            let initialisation = match self.settings().initialisation {
                Initialisation::HeOrXavier => "he",
                Initialisation::PyTorch => "pytorch",
            };
            return file.text("initialisation", initialisation);
        }
        let (phases, last) = (self.phases, self.last_phase());
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
    fn write_data(&self, file: &mut SettingsFile) {
        let (data, model) = (&self.arguments.data, self.model);
        file.gap();
        if let Some(kind) = data.kind {
            file.text("kind", kind);
        }
        for (key, value) in decided(model.preparation()) {
            match key {
                "tokens" => file.text(key, value),
                _ => file.plain(key, value),
            }
        }
        if matches!(
            model.preparation().medium.kind(),
            Kind::Pictures | Kind::Clips
        ) {
            let Shape {
                height,
                width,
                channels,
                ..
            } = model.input();
            // Arrays of other channels are not resized.
            if matches!(channels, 1 | 3) {
                file.text("input", format!("{height}x{width}x{channels}"));
            }
            file.text("resize", model.preparation().resize);
        }
        file.text("augment", &self.settings().augmentation);
        file.text("balance", self.settings().balance);
        if let Some(weights) = &self.settings().class_weights {
            let weights: Vec<String> = weights.iter().map(short).collect();
            file.text("class-weights", weights.join(","));
        }
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
        let (arguments, settings) = (self.arguments, self.settings());
        file.gap();
        file.plain("seed", settings.seed);
        if let Some(seed) = arguments.data.split_seed {
            file.plain("split-seed", seed);
        }
        if let Some(count) = arguments.seeds {
            file.plain("seeds", count);
        }
        // The flags of the last phase.
        match (settings.minutes, self.pace.or(settings.pace.as_ref())) {
            (None, None) => file.plain("epochs", settings.epochs),
            (minutes, pace) => {
                if let Some(minutes) = minutes {
                    file.plain("minutes", short(&minutes));
                }
                if let Some(pace) = pace {
                    file.comment("The steps that the time was enough for; with them, `minutes` is not measured again.");
                    file.text("pace", pace);
                }
            }
        }
        if settings.accumulate > 1 {
            file.plain("accumulate", settings.accumulate);
        }
        let mut sizes = self.phases.iter();
        match sizes.all(|phase| phase.settings.batch_size == settings.batch_size) {
            true => file.plain("batch-size", settings.batch_size),
            false => file.comment("`batch-size` has its default: another one in each phase."),
        }
        file.plain("learning-rate", short(&settings.learning_rate));
        file.text("optimizer", settings.optimizer);
        match settings.optimizer {
            Optimizer::Sgd { momentum, .. }
            | Optimizer::RmsProp { momentum, .. }
            | Optimizer::Muon { momentum, .. } => file.plain("momentum", short(&momentum)),
            Optimizer::Adam { beta1, beta2, .. }
            | Optimizer::AdamW { beta1, beta2, .. }
            | Optimizer::Lion { beta1, beta2 } => {
                file.text("betas", format!("{beta1},{beta2}"));
            }
            // No flag gives another one.
            _ => {}
        }
        file.text("schedule", &settings.schedule);
        if let Some(warm_up) = settings.warm_up {
            file.text("warm-up", warm_up);
        }
        if let Some(norm) = settings.clip {
            file.plain("clip", short(&norm));
        }
        file.plain("weight-decay", short(&settings.weight_decay));
        file.plain("label-smoothing", short(&settings.label_smoothing));
        for (key, alpha) in [
            ("mixup", arguments.data.mixup),
            ("cutmix", arguments.data.cutmix),
        ] {
            if let Some(alpha) = alpha {
                file.plain(key, short(&alpha));
            }
        }
        file.text("keep", settings.keep);
        if let Some(decay) = settings.average {
            file.plain("average", short(&decay));
        }
        if let Some(epochs) = settings.patience {
            file.plain("patience", epochs);
        }
        file.plain("precise", settings.precise);
        file.plain("checkpoint", short(&arguments.checkpoint));
        if let Some(set) = arguments.processor.instruction_set() {
            file.text("cpu", set);
        }
    }

    /// The table of the facts.
    fn facts(&self, cpu: &Cpu, splits: &Splits) -> String {
        let (mut file, model) = (SettingsFile::default(), self.model);
        file.gap();
        file.line(ABOUT_FACTS);
        file.line(format!("[{FACTS}]"));
        file.plain("begun", date::now());
        file.text("hubel", env!("CARGO_PKG_VERSION"));
        file.text("instruction-set", cpu.instruction_set());
        file.plain("threads", cpu.threads());
        file.text("network", model.network());
        file.plain("parameters", model.parameters().values().len());
        file.plain("classes", splits.train.classes().len());
        file.plain("training-examples", splits.train.len());
        for (key, part) in [
            ("validation-examples", &splits.validation),
            ("test-examples", &splits.test),
        ] {
            let count = part.as_ref().map_or(0, hubel::Dataset::len);
            file.plain(key, count);
        }
        if self.network.is_none() {
            for phase in self.phases {
                write_phase(&mut file, phase);
            }
        }
        file.text
    }
}

/// The beginning of the file of a run that was extended.
const EXTENDED: &str = "# This run was extended. A training from this file has the same bits only if the schedule is constant.\n";

/// The comment above the facts.
const ABOUT_FACTS: &str = "# Facts about this run. They are not read.";

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
    file.text("schedule", schedule);
    file.plain("weight-decay", short(weight_decay));
    file.text("keep", keep);
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
