//! The settings of a run, and which of them differ from the defaults.
use clap::Parser;
use hubel::run_toml::{self, RunToml};
use hubel::{Error, Phase, RunFolder};

use crate::args::{Arguments, Command, Train};
use crate::commands::train::ended::Ended;
use crate::commands::train::settings_file::Settings;
use crate::commands::train::start::usual_network;

/// A setting with its flag's name.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// The settings that differ from those of `hubel train` on the same data without flags, and all of them.
pub(super) fn of(ended: &Ended) -> (Vec<Setting>, Vec<Setting>) {
    // A damaged file is reported where it is used.
    let file = RunToml::read(ended.folder).unwrap_or_default();
    let usual = usual(ended).unwrap_or_default();
    let settings = file.settings.iter().map(|(name, value)| Setting {
        name: name.clone(),
        value: run_toml::text(value),
    });
    let settings: Vec<Setting> = settings.collect();
    let is_given = |name: &str| given(ended.arguments).contains(&name);
    let (changed, _): (Vec<Setting>, Vec<Setting>) = (settings.iter())
        .map(|Setting { name, value }| Setting {
            name: name.clone(),
            value: value.clone(),
        })
        .partition(|setting| {
            is_given(&setting.name) || usual.setting(&setting.name) != Some(setting.value.clone())
        });
    (changed, settings)
}

/// The settings of `hubel train` on the same data without flags.
fn usual(ended: &Ended) -> Result<RunToml, Error> {
    let Some(arguments) = without_flags(ended.arguments) else {
        return Ok(RunToml::default());
    };
    let train = &ended.splits.train;
    let is_from_scratch = ended.model.origin().is_none();
    let phases = match is_from_scratch {
        true => {
            let settings = arguments.settings(ended.subject, train.len(), train.classes())?;
            vec![Phase::whole(settings)]
        }
        false => arguments.phases(ended.model, ended.subject, train)?,
    };
    let usual = Settings {
        arguments: &arguments,
        model: ended.model,
        phases: &phases,
        pace: None,
        network: is_from_scratch.then(|| usual_network(train)),
    };
    RunToml::parse(&usual.text(), RunFolder::SETTINGS.as_ref())
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

/// Settings that were given by a flag and whose defaults depend on the data. In a file, all settings are given.
fn given(arguments: &Train) -> Vec<&'static str> {
    let data = &arguments.data;
    let is_from_file = arguments.config.is_some() || arguments.resume.is_some();
    let given = [
        ("from", data.from.is_some()),
        ("input", data.input.is_some()),
        ("resize", data.resize.is_some()),
    ];
    let given = given.into_iter().filter(|(_, is)| *is && !is_from_file);
    given.map(|(name, _)| name).collect()
}
