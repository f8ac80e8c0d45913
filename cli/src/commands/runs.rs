//! `hubel runs`: the runs in a folder, and the settings that differ.
mod table;

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use hubel::run_toml::RunToml;
use hubel::{Error, Overview, Position, Record, RunFolder, RunState, one_line, shown};
use serde_json::{Value, json};

use super::{Outcome, quoted, seed_runs};
use crate::args::{Order, Runs};
use crate::console;
use crate::wording::of_command_line;

/// Settings that do not change what is trained, that have a column of their own, or that follow from others.
const APART: [&str; 5] = ["data", "model", "checkpoint", "cache", "pace"];

/// Runs the command.
pub(crate) fn run(arguments: &Runs) -> Outcome {
    let mut found = Found::in_folder(&arguments.folder)?;
    found.sort(arguments.sort);
    if arguments.json {
        console::print(&object(&found).to_string())?;
    } else {
        console::print(&table::text(&found, &arguments.folder, console::columns()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The runs in a folder.
struct Found {
    runs: Vec<Run>,
    /// Names of folders that cannot be read, and the reasons.
    unreadable: Vec<(String, String)>,
}

/// A run.
struct Run {
    name: String,
    path: PathBuf,
    overview: Overview,
    toml: RunToml,
    /// What came out of it when it last ended; `null` before.
    result: Value,
}

impl Found {
    fn in_folder(folder: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(folder).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::Settings {
                problem: format!(
                    "there is no folder {}; `hubel train` writes its runs into runs/, or name another folder",
                    shown(folder)
                ),
            },
            _ => Error::Io {
                action: "read",
                path: folder.into(),
                source,
            },
        })?;
        let mut paths: Vec<PathBuf> = match is_run(folder) {
            true => vec![folder.into()],
            false => (entries.flatten().map(|entry| entry.path()))
                .filter(|path| path.is_dir())
                .collect(),
        };
        paths.sort();
        let runs = paths.into_iter().flat_map(|path| {
            let of_seeds = match is_run(&path) {
                true => Vec::new(),
                false => seed_runs::in_folder(&path),
            };
            let name = name_of(&path);
            match of_seeds.is_empty() {
                true => vec![(name, path)],
                false => (of_seeds.into_iter())
                    .map(|run| (format!("{name}/{}", name_of(&run)), run))
                    .collect(),
            }
        });
        let mut found = Self {
            runs: Vec::new(),
            unreadable: Vec::new(),
        };
        for (name, path) in runs {
            match Run::read(name.clone(), path) {
                Ok(run) => found.runs.push(run),
                Err(error) => found.unreadable.push((name, reason(&error))),
            }
        }
        Ok(found)
    }

    /// Runs without the value come last; equal ones stay in the order of their names.
    fn sort(&mut self, order: Order) {
        let value = |run: &Run| match order {
            Order::Validation => run.validation_accuracy().map(f64::from),
            Order::Date => run.began(),
        };
        let value = |run: &Run| value(run).unwrap_or(f64::NEG_INFINITY);
        self.runs
            .sort_by(|one, other| value(other).total_cmp(&value(one)));
    }

    /// The names of the settings that differ, in the order of the files. A run without settings is not compared.
    fn differing(&self) -> Vec<&str> {
        let compared = || {
            let runs = self.runs.iter().map(|run| &run.toml);
            runs.filter(|toml| !toml.settings.is_empty())
        };
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in compared().flat_map(|toml| &toml.settings) {
            if !names.contains(&name.as_str()) && !APART.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names.retain(|name| {
            let mut values = compared().map(|toml| toml.setting(name));
            let first = values.next();
            values.any(|value| Some(value) != first)
        });
        names
    }
}

/// What came out of the run in this folder when it last ended; `null` if it has not ended, or the file is damaged.
pub(crate) fn result(folder: &Path) -> Value {
    let result = fs::read(folder.join(RunFolder::RESULT)).ok();
    let result = result.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    result.unwrap_or(Value::Null)
}

/// Whether the folder itself holds a run.
pub(crate) fn is_run(folder: &Path) -> bool {
    RunFolder::model_in(folder).is_some() || folder.join(Record::EVENTS).exists()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    one_line(&name.to_string_lossy()).into_owned()
}

/// The error with its cause, on one line.
fn reason(error: &Error) -> String {
    let mut text = error.to_string();
    if let Some(cause) = error.source() {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text += &format!(": {cause}");
        }
    }
    of_command_line(&text).replace('\n', " ")
}

impl Run {
    fn read(name: String, path: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            name,
            overview: Overview::of(&path)?,
            toml: RunToml::read(&path)?,
            result: result(&path),
            path,
        })
    }

    /// That of the kept weights.
    fn validation_accuracy(&self) -> Option<f32> {
        let row = self.overview.row();
        let recorded = row.and_then(|row| row.validation_accuracy);
        recorded.or_else(|| self.number("validation_accuracy"))
    }

    /// A number of the result. A run that goes on still has the file of its first end, whose numbers are of other weights.
    fn number(&self, name: &str) -> Option<f32> {
        let has_ended = matches!(
            self.overview.state,
            RunState::Finished | RunState::ModelOnly
        );
        self.result
            .get(name)
            .filter(|_| has_ended)?
            .as_f64()
            .map(|number| number as f32)
    }

    /// When it began, or else when its model was written.
    fn began(&self) -> Option<f64> {
        self.overview.began.or_else(|| {
            let model = RunFolder::model_in(&self.path)?;
            let written = fs::metadata(model).ok()?.modified().ok()?;
            Some(written.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
        })
    }

    fn seconds(&self) -> Option<f64> {
        (!self.overview.rows.is_empty()).then(|| self.overview.seconds())
    }

    fn data(&self) -> Option<String> {
        let named = self.result["data"].as_str().map(str::to_owned);
        self.toml.setting("data").or(named)
    }

    /// Its name in the zoo, or its text.
    fn network(&self) -> Option<String> {
        let network = self.overview.network.as_ref();
        let known = network.map(|network| match network.name() {
            Some(name) => name.to_owned(),
            None => network.to_string(),
        });
        known.or_else(|| self.toml.setting("model"))
    }

    fn position(&self) -> Option<Position> {
        match self.overview.state {
            RunState::Running(position) | RunState::Stopped(position) => position,
            RunState::Finished | RunState::ModelOnly => None,
        }
    }

    fn state(&self) -> String {
        let state = match self.overview.state {
            RunState::Finished => return "finished".into(),
            RunState::ModelOnly => return "model only".into(),
            RunState::Running(_) => "running",
            RunState::Stopped(_) => "stopped",
        };
        let Some(position) = self.position() else {
            return format!("{state} early");
        };
        let epochs = position.epoch - usize::from(!position.is_end_of_epoch());
        let phase = match position.phases {
            1 => String::new(),
            phases => format!(" of phase {}/{phases}", position.phase),
        };
        format!("{state} {epochs}/{}{phase}", position.epochs)
    }
}

fn object(found: &Found) -> Value {
    let run = |run: &Run| {
        let settings = run.toml.settings.iter();
        let settings = settings.map(|(name, value)| (name.clone(), json!(value)));
        json!({
            "name": run.name,
            "path": run.path.display().to_string(),
            "began": run.began(),
            "data": run.data(),
            "network": run.network(),
            "origin": run.overview.origin,
            "state": match run.overview.state {
                RunState::Running(_) => "running",
                RunState::Stopped(_) => "stopped",
                RunState::Finished => "finished",
                RunState::ModelOnly => "model only",
            },
            "position": run.position(),
            "epochs_done": run.overview.rows.len(),
            "choice": run.overview.choice,
            "validation_accuracy": run.validation_accuracy().map(console::decimal),
            "test_accuracy": run.number("test_accuracy").map(console::decimal),
            "test_accuracy_interval": match run.number("test_accuracy") {
                Some(_) => run.result["test_accuracy_interval"].clone(),
                None => Value::Null,
            },
            "seconds": run.seconds(),
            "settings": settings.collect::<serde_json::Map<_, _>>(),
        })
    };
    let unreadable = found.unreadable.iter();
    json!({
        "runs": found.runs.iter().map(run).collect::<Vec<_>>(),
        "differing": found.differing(),
        "unreadable": unreadable
            .map(|(name, problem)| json!({ "name": name, "problem": problem }))
            .collect::<Vec<_>>(),
    })
}

/// The command that lists the runs beside this one.
pub(crate) fn command(program: &str, run: &Path) -> String {
    let parent = run.parent().filter(|parent| *parent != Path::new(""));
    match parent {
        Some(parent) if parent != Path::new("runs") => {
            format!("{program} runs {}", quoted(parent))
        }
        Some(_) => format!("{program} runs"),
        None => format!("{program} runs ."),
    }
}
