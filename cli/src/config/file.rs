//! A TOML file of settings, read as flags: each setting is checked by itself.
use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;

use clap::builder::Str;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use hubel::run_toml::FACTS;
use toml::de::{DeTable, DeValue};

use super::{DATA, is_data};

/// Flags that can be given as an array, and what joins the values on the command line.
const LISTS: [(&str, &str); 6] = [
    ("betas", ","),
    ("class-weights", ","),
    ("augment", ", "),
    // A name may contain a comma.
    ("class-names", "\n"),
    ("mean", ","),
    ("std", ","),
];

/// A file of settings.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) train: &'a Command,
}

/// A setting of a file.
pub(super) struct Setting {
    /// The flag without `--`, or [`DATA`].
    pub(super) key: String,
    /// As on the command line; `None` for a switch that is on.
    pub(super) value: Option<String>,
    /// Whether it is a switch that is off.
    is_off: bool,
}

impl File<'_> {
    /// The settings, each checked by itself.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, String> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            self.problem(start, error.message().trim())
        })?;
        let mut settings = Vec::new();
        for (key, value) in table.get_ref() {
            if key.get_ref() == FACTS && matches!(value.get_ref(), DeValue::Table(_)) {
                continue;
            }
            let setting = self.setting(key.get_ref(), value.get_ref());
            settings.push(setting.map_err(|problem| self.problem(key.span().start, &problem))?);
        }
        Ok(settings)
    }

    fn setting(&self, key: &str, value: &DeValue) -> Result<Setting, String> {
        let flag = self.flag(key)?;
        let is_switch = matches!(flag.get_action(), ArgAction::SetTrue);
        let needed = |what: &str| Err(format!("{key}: {what}"));
        let value = match value {
            DeValue::Boolean(is_on) if is_switch => {
                return Ok(Setting {
                    key: key.to_owned(),
                    value: None,
                    is_off: !is_on,
                });
            }
            _ if is_switch => return needed("true or false is needed"),
            DeValue::Array(values) => {
                let Some((_, joined_by)) = LISTS.iter().find(|(list, _)| *list == key) else {
                    return needed("one value is needed, not several");
                };
                let values = values.iter().map(|value| text(value.get_ref()));
                let values: Option<Vec<String>> = values.collect();
                match values {
                    Some(values) => values.join(joined_by),
                    None => return needed("the values must be texts in quotes or numbers"),
                }
            }
            DeValue::String(_) if is_number(flag) => {
                return needed("a number without quotes is needed");
            }
            DeValue::Integer(_) | DeValue::Float(_) if is_text(flag) => {
                return needed("a text in quotes is needed");
            }
            value => match text(value) {
                Some(text) => text,
                None if is_number(flag) => return needed("a number is needed"),
                None => return needed("a text in quotes is needed"),
            },
        };
        let setting = Setting {
            key: key.to_owned(),
            value: Some(value),
            is_off: false,
        };
        match self.refusal(&setting) {
            Some(problem) => needed(&problem),
            None => Ok(setting),
        }
    }

    /// The flag of this name.
    fn flag(&self, key: &str) -> Result<&Arg, String> {
        let mut flags = self.train.get_arguments();
        let flag = flags.find(|flag| flag.get_long() == Some(key) || key == DATA && is_data(flag));
        match key {
            "config" => Err("a file cannot name another file with `config`".into()),
            "help" => Err(unknown(key, None)),
            _ => flag.ok_or_else(|| unknown(key, self.nearest(key).as_deref())),
        }
    }

    /// The flag with the most similar name.
    fn nearest(&self, key: &str) -> Option<String> {
        let error = self.parse(format!("--{key}").into()).err()?;
        match error.get(ContextKind::SuggestedArg)? {
            ContextValue::String(flag) => Some(flag.trim_start_matches('-').to_owned()),
            _ => None,
        }
    }

    /// Why the value is wrong, if it is.
    fn refusal(&self, setting: &Setting) -> Option<String> {
        let error = self.parse(setting.argument()?).err()?;
        match error.kind() {
            ErrorKind::ValueValidation => Some(match error.source() {
                Some(source) => source.to_string(),
                None => error.to_string(),
            }),
            ErrorKind::InvalidValue => Some(match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => {
                    format!("one of these is needed: {}", values.join(", "))
                }
                _ => "a value is needed".into(),
            }),
            // What it needs may be another setting, or on the command line.
            _ => None,
        }
    }

    /// Parses a command line with this argument alone.
    fn parse(&self, argument: OsString) -> Result<ArgMatches, clap::Error> {
        let train = self.train.clone();
        train.try_get_matches_from([OsString::from("train"), argument])
    }

    /// A message about what stands at this byte of the file.
    fn problem(&self, byte: usize, problem: &str) -> String {
        let line = 1 + self.text[..byte].matches('\n').count();
        format!("{}, line {line}: {problem}", hubel::shown(self.path))
    }
}

impl Setting {
    /// The setting as an argument; `None` if it is a switch that is off.
    pub(super) fn argument(&self) -> Option<OsString> {
        match &self.value {
            _ if self.is_off => None,
            // A name that begins with a dash would be read as a flag.
            Some(value) if self.key == DATA && value.starts_with('-') => {
                Some(format!("./{value}").into())
            }
            Some(value) if self.key == DATA => Some(value.into()),
            Some(value) => Some(format!("--{}={value}", self.key).into()),
            None => Some(format!("--{}", self.key).into()),
        }
    }

    pub(super) fn is(&self, value: &str) -> bool {
        self.value.as_deref() == Some(value)
    }

    /// The value; `on` or `off` for a switch.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Some(value) => value.clone(),
            None if self.is_off => "off".into(),
            None => "on".into(),
        }
    }
}

fn unknown(key: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("there is no setting `{key}`; did you mean `{nearest}`?"),
        None => {
            format!("there is no setting `{key}`; `hubel train --help` lists the flags")
        }
    }
}

fn is_number(flag: &Arg) -> bool {
    let numbers = [
        TypeId::of::<u32>(),
        TypeId::of::<usize>(),
        TypeId::of::<u64>(),
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
    ];
    let value = flag.get_value_parser().type_id();
    numbers.iter().any(|number| value == *number) && !is_size(flag)
}

fn is_text(flag: &Arg) -> bool {
    !is_number(flag) && !is_size(flag)
}

/// Whether the value is a number with a unit, such as 500MB, or 0.
fn is_size(flag: &Arg) -> bool {
    flag.get_value_names()
        .is_some_and(|names| names == [Str::from("SIZE")])
}

/// A value as on the command line; `None` for tables, dates, switches and arrays.
fn text(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        // In another base it is no number for a flag, which says so.
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
