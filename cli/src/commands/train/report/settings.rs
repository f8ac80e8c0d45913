//! The settings of a run, and which of them differ from the defaults.
use clap::Parser;
use hubel::{Phase, TrainSettings};

use crate::args::{Arguments, Command, Train};
use crate::commands::train::ended::Ended;
use crate::run_toml::{self, RunToml};

/// A setting with its flag's name.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// A setting as text.
type Text = fn(&TrainSettings) -> String;

/// The settings of training by the names of their flags.
const OF_TRAINING: [(&str, Text); 15] = [
    ("epochs", |settings| settings.epochs.to_string()),
    ("batch-size", |settings| settings.batch_size.to_string()),
    ("learning-rate", |settings| {
        settings.learning_rate.to_string()
    }),
    ("optimizer", |settings| format!("{:?}", settings.optimizer)),
    ("schedule", |settings| format!("{:?}", settings.schedule)),
    ("weight-decay", |settings| settings.weight_decay.to_string()),
    ("label-smoothing", |settings| {
        settings.label_smoothing.to_string()
    }),
    ("augment", |settings| settings.augmentation.to_string()),
    ("balance", |settings| settings.balance.to_string()),
    ("initialisation", |settings| {
        format!("{:?}", settings.initialisation)
    }),
    ("keep", |settings| format!("{:?}", settings.keep)),
    ("average", |settings| optional(settings.average)),
    ("patience", |settings| optional(settings.patience)),
    ("precise", |settings| yes(settings.precise)),
    ("seed", |settings| settings.seed.to_string()),
];

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

/// The settings that differ from the defaults, and all of them. They come from the file with the settings if there is one; else these are the settings of the last
/// phase.
pub(super) fn of(ended: &Ended) -> (Vec<Setting>, Vec<Setting>) {
    let last = &(ended.phases.last()).expect("there is a phase").settings;
    let of_training = |name: &str| {
        let found = OF_TRAINING.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value(last))
    };
    // A damaged file is reported where it is used.
    let file = RunToml::read(ended.folder).unwrap_or_default();
    let mut settings: Vec<Setting> = (file.settings.iter())
        .map(|(name, value)| Setting {
            name: name.clone(),
            value: run_toml::text(value),
        })
        .collect();
    if settings.is_empty() {
        settings.extend(OF_TRAINING.iter().map(|(name, value)| Setting {
            name: (*name).into(),
            value: value(last),
        }));
    }
    let changed = changed(ended, last).into_iter().map(|name| {
        let shown = settings.iter().find(|setting| setting.name == name);
        let value = shown.map(|setting| setting.value.clone());
        let given = || of_training(name).or_else(|| given(ended.arguments, name));
        Setting {
            name: name.into(),
            value: value.or_else(given).unwrap_or_default(),
        }
    });
    (changed.collect(), settings)
}

/// The names of the settings that differ from those of `hubel train` on the same data without flags.
fn changed(ended: &Ended, last: &TrainSettings) -> Vec<&'static str> {
    let arguments = ended.arguments;
    let Some(usual) = without_flags(arguments) else {
        return Vec::new();
    };
    let train = &ended.splits.train;
    let settings = match ended.model.origin() {
        None => usual.settings(ended.subject, train.len(), train.classes()),
        Some(_) => (usual.phases(ended.model, ended.subject, train)).map(|mut phases| {
            let last = phases.pop();
            last.map_or_else(TrainSettings::default, |Phase { settings, .. }| settings)
        }),
    };
    let mut names: Vec<&str> = [
        "model", "from", "freeze", "versions", "input", "resize", "val", "test",
    ]
    .into_iter()
    .filter(|name| given(arguments, name) != given(&usual, name))
    .collect();
    if let Ok(settings) = settings {
        let differ = OF_TRAINING.iter();
        let differ = differ.filter(|(_, value)| value(&settings) != value(last));
        names.extend(differ.map(|(name, _)| *name));
    }
    names
}

/// The arguments of `hubel train` with the same data.
fn without_flags(arguments: &Train) -> Option<Box<Train>> {
    let words = [
        "hubel".as_ref(),
        "train".as_ref(),
        "--".as_ref(),
        arguments.data.data.as_os_str(),
    ];
    match Arguments::try_parse_from(words).ok()?.command {
        Command::Train(train) => Some(train),
        _ => None,
    }
}

/// The value of a flag that is no setting of training.
fn given(arguments: &Train, name: &str) -> Option<String> {
    let data = &arguments.data;
    match name {
        "model" => arguments.model.clone(),
        "freeze" => arguments.freeze.clone(),
        "versions" => arguments.versions.map(|versions| versions.to_string()),
        "from" => data.from.as_ref().map(|from| hubel::shown(from)),
        "input" => data.input.map(|input| input.to_string()),
        "resize" => data.resize.map(|resize| resize.to_string()),
        "val" => Some(data.val.to_string()),
        "test" => Some(data.test.to_string()),
        _ => None,
    }
}
