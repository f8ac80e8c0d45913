//! The form that starts a run, and the buttons that stop and resume one.
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hubel::run_toml::RunToml;
use hubel::{Model, Network, Overview, RunState};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking};
use super::processes::{self, Processes};
use crate::find;
use crate::places::EMBEDDED;

/// The folder of new runs.
const RUNS: &str = "runs";
/// Most folders that are offered as data.
const MOST_FOLDERS: usize = 200;

/// What the form says. An empty text leaves the choice to the program.
#[derive(Deserialize)]
pub(super) struct Form {
    /// A data set by name, or a path below the folder of the studio.
    data: String,
    network: String,
    /// The model whose features are used: an embedded one by name.
    #[serde(default)]
    from: String,
    preset: String,
    epochs: String,
    learning_rate: String,
    name: String,
}

/// `/api/runs/choices`: what the form offers.
pub(super) async fn choices(
    State(processes): State<Arc<Processes>>,
) -> Result<Json<Value>, Refusal> {
    let choices = blocking(move || {
        let folders = find::folders(processes.root());
        let data = std::iter::once(EMBEDDED.to_owned()).chain(folders);
        let program = processes.opening.program.as_ref();
        json!({
            "can_start": program.is_some(),
            "data": data.take(MOST_FOLDERS).collect::<Vec<_>>(),
            "networks": Network::names().collect::<Vec<_>>(),
            "presets": program.map_or(&[][..], |program| &program.presets),
        })
    });
    choices.await.map(Json)
}

/// `/api/runs/start`
pub(super) async fn start(
    State(processes): State<Arc<Processes>>,
    Json(form): Json<Form>,
) -> Result<Json<Value>, Refusal> {
    let started = blocking(move || {
        let root = processes.root();
        let data = form.data(root)?;
        let name = form.name(&data)?;
        let options = form.options()?;
        // A folder that is called `runs` has the runs themselves.
        let parent = match root.file_name() {
            Some(own) if own == RUNS => "",
            _ => RUNS,
        };
        let folder = match form.name.trim().is_empty() {
            false => processes::new_folder(root, parent, &name)?,
            true => numbered(&name)
                .map(|name| processes::new_folder(root, parent, &name))
                .find(|made| !matches!(made, Err(Refusal(StatusCode::CONFLICT, _))))
                .expect("one of infinitely many is free")?,
        };
        let own = folder.strip_prefix(root).unwrap_or(&folder);
        let run = own.display().to_string();
        let out = format!("--out={run}");
        let arguments = [options, vec![out, "--".into(), data]].concat();
        let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        processes.start(&run, &folder, root, &arguments)?;
        Ok(json!({ "run": run }))
    });
    started.await?.map(Json)
}

/// The run that a button is for.
#[derive(Deserialize)]
pub(super) struct Named {
    run: String,
}

/// `/api/runs/stop`: asks the process to save a checkpoint and to end.
pub(super) async fn stop(
    State(processes): State<Arc<Processes>>,
    Json(Named { run }): Json<Named>,
) -> Result<Json<Value>, Refusal> {
    let stopped = blocking(move || {
        let is_starting = || processes.started().iter().any(|one| one.name == run);
        let folder = match find::run(processes.root(), &run) {
            Some(folder) => folder,
            None if is_starting() => processes.root().join(&run),
            None => return Err(unknown(&run)),
        };
        let id = processes.id(&run, &folder).ok_or_else(|| {
            let problem = format!("no process that can be stopped trains {run}");
            Refusal(StatusCode::CONFLICT, problem)
        })?;
        processes::stop(id)?;
        Ok(json!({ "run": run }))
    });
    stopped.await?.map(Json)
}

/// `/api/runs/resume`: goes on from the last checkpoint.
pub(super) async fn resume(
    State(processes): State<Arc<Processes>>,
    Json(Named { run }): Json<Named>,
) -> Result<Json<Value>, Refusal> {
    let resumed = blocking(move || {
        let folder = find::run(processes.root(), &run).ok_or_else(|| unknown(&run))?;
        let state = Overview::of(&folder).map(|overview| overview.state);
        if !matches!(state, Ok(RunState::Stopped(Some(_)))) {
            let problem = format!("{run} is not a stopped run with a checkpoint");
            return Err(Refusal(StatusCode::CONFLICT, problem));
        }
        let mut resume = OsString::from("--resume=");
        resume.push(&folder);
        let working = working_folder(&folder, processes.root());
        processes.start(&run, &folder, &working, &[resume])?;
        Ok(json!({ "run": run }))
    });
    resumed.await?.map(Json)
}

/// The folder from which a run goes on: its settings name the data as it was called from the folder in which the run began. That is the folder of the studio, or
/// the one in which the server was started.
fn working_folder(run: &Path, root: &Path) -> PathBuf {
    let settings = RunToml::read(run).unwrap_or_default();
    let data = settings.setting("data").unwrap_or_default();
    let started_in = std::env::current_dir().ok();
    let mut places = [root.to_owned()].into_iter().chain(started_in);
    let found = places.find(|place| place.join(&data).exists());
    found.unwrap_or_else(|| root.to_owned())
}

fn unknown(run: &str) -> Refusal {
    let problem = format!("there is no run {run} in this folder");
    Refusal(StatusCode::NOT_FOUND, problem)
}

fn wrong(problem: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, problem.into())
}

impl Form {
    /// The name or the path of the data. A path is below `root`, also after its links are followed.
    fn data(&self, root: &Path) -> Result<String, Refusal> {
        let data = self.data.trim().trim_end_matches('/');
        if data.is_empty() {
            return Err(wrong("Data: name a data set, or a folder"));
        }
        if data == EMBEDDED {
            return Ok(data.to_owned());
        }
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let path = root.join(data).canonicalize();
        let is_inside = Path::new(data).components().all(is_plain)
            && path.is_ok_and(|path| path.starts_with(root));
        match is_inside {
            true => Ok(data.to_owned()),
            false => Err(wrong(format!(
                "Data: there is no {data} in the folder of the studio"
            ))),
        }
    }

    /// The name of the folder of the run: the given one, or one of data and network.
    fn name(&self, data: &str) -> Result<String, Refusal> {
        let given = self.name.trim();
        if !given.is_empty() {
            let is_fine =
                |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ' ');
            return match given.chars().all(is_fine) && !given.starts_with('.') {
                true => Ok(given.to_owned()),
                false => Err(wrong(
                    "Name: use letters, digits, spaces, hyphens, underscores and dots, with no dot at the start",
                )),
            };
        }
        let letters = data.chars().map(|letter| match letter.is_alphanumeric() {
            true => letter,
            false => '-',
        });
        let network = self.network.trim();
        let network = match network {
            "" => None,
            name if Network::names().any(|known| known == name) => Some(name),
            _ => Some("network"),
        };
        let name: String = letters.collect();
        Ok(match network {
            Some(network) => format!("{name}-{network}"),
            None => name,
        })
    }

    /// The options of the program. It checks most of them itself.
    fn options(&self) -> Result<Vec<String>, Refusal> {
        let given = [
            ("model", &self.network),
            ("from", &self.from),
            ("preset", &self.preset),
            ("epochs", &self.epochs),
            ("learning-rate", &self.learning_rate),
        ];
        let given = given.map(|(name, value)| (name, value.trim()));
        if !self.from.is_empty() && !Model::PRETRAINED.contains(&self.from.as_str()) {
            let known = Model::PRETRAINED.join(", ");
            return Err(wrong(format!(
                "From: only embedded models are known here: {known}"
            )));
        }
        if let Some((name, _)) = given.iter().find(|(_, value)| value.contains('\0')) {
            return Err(wrong(format!("{name}: it has a zero byte")));
        }
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(given
            .map(|(name, value)| format!("--{name}={value}"))
            .collect())
    }
}

/// `name`, `name-2`, `name-3` …
fn numbered(name: &str) -> impl Iterator<Item = String> {
    let others = (2..).map(move |number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(others)
}
