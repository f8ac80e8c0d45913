//! The settings of a run, `run.toml`, and which of them differ between two runs. `hubel train` writes the file; its names are those of the flags.
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, RunFolder, shown};
use toml::Value;
use toml::de::{DeTable, DeValue};

/// The table with facts about the run, which is not read; everything before it is a setting.
pub const FACTS: &str = "run";

/// The settings of a run, in the order of the file.
#[derive(Debug, Default, PartialEq)]
pub struct RunToml {
    /// Each setting with its name.
    pub settings: Vec<(String, Value)>,
}

impl RunToml {
    /// The settings of the run in this folder. Empty if it has no such file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(RunFolder::SETTINGS);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(Error::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        Self::parse(&text, &path)
    }

    /// The settings in the text of a file.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let table = DeTable::parse(text).map_err(|error| {
            let problem = format!("{} is damaged: {}", shown(path), error.message());
            Error::Settings { problem }
        })?;
        let settings = table.get_ref().iter();
        let settings = settings.filter(|(key, _)| key.get_ref() != FACTS);
        // Flags have hyphens.
        let settings = settings
            .map(|(key, setting)| (key.get_ref().replace('_', "-"), value(setting.get_ref())));
        Ok(Self {
            settings: settings.collect(),
        })
    }

    /// A setting as text.
    pub fn setting(&self, name: &str) -> Option<String> {
        let found = self.settings.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| text(value))
    }
}

/// Settings that do not change what is trained.
const WITHOUT_EFFECT: [&str; 2] = ["checkpoint", "cache"];

/// A setting that differs between two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its values in the two runs; `None` where it has its default.
    pub values: [Option<String>; 2],
}

impl RunToml {
    /// The names of the settings of some runs that have an effect, in the order of the files.
    pub fn names<'a>(runs: impl IntoIterator<Item = &'a Self>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in runs.into_iter().flat_map(|run| &run.settings) {
            if !names.contains(name) && !WITHOUT_EFFECT.contains(&&**name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The seed that decides which pictures are held out: by default that of the run.
    pub fn split_seed(&self) -> Option<String> {
        let given = self.setting("split-seed");
        given.or_else(|| self.setting("seed"))
    }

    /// The settings that differ between two runs. `None` if one of them has no settings.
    pub fn differences(&self, other: &Self) -> Option<Vec<Difference>> {
        let runs = [self, other];
        if runs.iter().any(|run| run.settings.is_empty()) {
            return None;
        }
        let differ = Self::names(runs).into_iter().filter_map(|name| {
            let values = runs.map(|run| match &*name {
                "split-seed" => run.split_seed(),
                name => run.setting(name),
            });
            (values[0] != values[1]).then_some(Difference { name, values })
        });
        Some(differ.collect())
    }
}

/// A value of a file. A number that is too large for TOML's integers, such as some seeds, becomes a text.
fn value(found: &DeValue) -> Value {
    match found {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let text = number.to_string();
            text.parse().map_or(Value::String(text), Value::Integer)
        }
        DeValue::Float(number) => {
            let text = number.as_str().to_owned();
            text.parse().map_or(Value::String(text), Value::Float)
        }
        DeValue::Boolean(is) => Value::Boolean(*is),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(values) => {
            Value::Array(values.iter().map(|one| value(one.get_ref())).collect())
        }
        DeValue::Table(table) => {
            let entries = table.iter();
            let entries = entries
                .map(|(key, one)| (key.get_ref().clone().into_owned(), value(one.get_ref())));
            Value::Table(entries.collect())
        }
    }
}

/// A value for people: texts without quotation marks.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(is) => if *is { "yes" } else { "no" }.into(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| format!("{key} {}", text(value)));
            entries.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_order_and_facts_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(RunToml::read(folder.path()).unwrap(), RunToml::default());
        let file = folder.path().join(RunFolder::SETTINGS);
        fs::write(
            &file,
            "epochs = 3\nlearning_rate = 0.002\naugment = \"flip, crop(4)\"\nprecise = false\nmean = [0.5, 1.0]\n[run]\nthreads = 2\n",
        )
        .unwrap();
        let read = RunToml::read(folder.path()).unwrap();
        let settings = read
            .settings
            .iter()
            .map(|(key, value)| format!("{key} {}", text(value)));
        assert_eq!(
            settings.collect::<Vec<_>>(),
            [
                "epochs 3",
                "learning-rate 0.002",
                "augment flip, crop(4)",
                "precise no",
                "mean 0.5, 1"
            ]
        );
        assert_eq!(read.setting("epochs").as_deref(), Some("3"));
        let largest = format!("seed = {}", u64::MAX);
        let read = RunToml::parse(&largest, &file).unwrap();
        assert_eq!(read.setting("seed"), Some(u64::MAX.to_string()));

        let parse = |text: &str| RunToml::parse(text, &file).unwrap();
        let one = parse("epochs = 3\nseed = 1\ncheckpoint = 30\n[run]\nthreads = 2\n");
        let other = parse("epochs = 4\nseed = 2\nclip = 1.5\nsplit_seed = 1\ncheckpoint = 5\n");
        let differences = one.differences(&other).unwrap().into_iter();
        let differences = differences.map(|Difference { name, values }| (name, values));
        let text = |value: &str| Some(value.to_owned());
        // The same part is held out.
        assert_eq!(
            differences.collect::<Vec<_>>(),
            [
                ("epochs".into(), [text("3"), text("4")]),
                ("seed".into(), [text("1"), text("2")]),
                ("clip".into(), [None, text("1.5")]),
            ]
        );
        assert_eq!(one.differences(&RunToml::default()), None);

        fs::write(&file, "epochs = \n").unwrap();
        let refused = RunToml::read(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("run.toml is damaged"), "{refused}");
    }
}
