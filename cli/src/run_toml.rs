//! Reads the settings of a run (`run.toml`) for tables and pages. `train/settings_file.rs` writes them.
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use hubel::{Error, RunFolder, shown};
use toml::{Table, Value};

/// The table with facts about the run; everything before it is a setting.
const FACTS: &str = "run";

/// The settings of a run, in the order of the file, and facts about it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RunToml {
    pub(crate) settings: Vec<(String, Value)>,
    pub(crate) facts: Vec<(String, Value)>,
}

impl RunToml {
    /// The settings of the run in this folder. Empty if it has no such file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
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
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let problem = format!("{} is damaged: {}", shown(&path), error.message());
            Error::Settings { problem }
        })?;
        let facts = match table.remove(FACTS) {
            Some(Value::Table(facts)) => facts.into_iter().collect(),
            _ => Vec::new(),
        };
        // Flags have hyphens.
        let settings = table.into_iter();
        Ok(Self {
            settings: settings
                .map(|(key, value)| (key.replace('_', "-"), value))
                .collect(),
            facts,
        })
    }

    /// A setting as text.
    pub(crate) fn setting(&self, name: &str) -> Option<String> {
        let found = self.settings.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| text(value))
    }
}

/// A value for people: texts without quotation marks.
pub(crate) fn text(value: &Value) -> String {
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
        assert_eq!(read.facts, [("threads".to_owned(), Value::Integer(2))]);
        assert_eq!(read.setting("epochs").as_deref(), Some("3"));

        fs::write(&file, "epochs = \n").unwrap();
        let refused = RunToml::read(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("run.toml is damaged"), "{refused}");
    }
}
