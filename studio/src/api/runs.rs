//! The runs below the folder: a list, and curves that grow.
mod compare;
mod control;
mod curves;
mod processes;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hubel::{Overview, RunState};
use serde_json::{Value, json};

use self::processes::Processes;
use super::{Refusal, blocking};
use crate::{Opening, find};

/// The routes below `/api/runs`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(opening: Arc<Opening>) -> Router<S> {
    Router::new()
        .route("/runs", get(list))
        .route("/runs/curves", get(curves::curves))
        .route("/runs/compare", get(compare::differences))
        .route("/runs/choices", get(control::choices))
        .route("/runs/start", post(control::start))
        .route("/runs/stop", post(control::stop))
        .route("/runs/resume", post(control::resume))
        .with_state(Arc::new(Processes::new(opening)))
}

/// `/api/runs`: the runs, the newest first, and the processes that have not begun a run yet.
async fn list(State(processes): State<Arc<Processes>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let found = find::runs(processes.root());
        let mut runs: Vec<(f64, Value)> = Vec::new();
        for run in &found.runs {
            runs.push(match Overview::of(&run.path) {
                Ok(overview) => (
                    overview.began.unwrap_or(0.0),
                    about(run, &overview, &processes),
                ),
                Err(error) => (
                    f64::NEG_INFINITY,
                    json!({ "name": run.name, "problem": error.to_string() }),
                ),
            });
        }
        let started = processes.started().into_iter();
        let waiting = started.filter(|one| found.runs.iter().all(|run| run.name != one.name));
        let waiting = waiting.filter_map(|one| {
            let problem = match &one.state {
                processes::State::Alive => None,
                processes::State::Failed(problem) => Some(problem),
                processes::State::Done => return None,
            };
            Some(json!({ "name": one.name, "problem": problem, "says": one.last_words() }))
        });
        let starting: Vec<Value> = waiting.collect();
        runs.sort_by(|one, other| other.0.total_cmp(&one.0));
        let runs: Vec<Value> = runs.into_iter().map(|(_, run)| run).collect();
        json!({ "runs": runs, "starting": starting, "is_complete": found.is_complete })
    });
    list.await.map(Json)
}

/// A run in the list.
fn about(run: &find::Run, overview: &Overview, processes: &Processes) -> Value {
    let problem = match (overview.state, processes.state(&run.name)) {
        (RunState::Running(_), _) => None,
        (_, Some(processes::State::Failed(problem))) => Some(problem),
        _ => None,
    };
    let is_running = matches!(overview.state, RunState::Running(_));
    let is_stoppable = is_running && processes.id(&run.name, &run.path).is_some();
    let network = overview.network.as_ref();
    let position = match overview.state {
        RunState::Running(position) | RunState::Stopped(position) => position,
        RunState::Finished | RunState::ModelOnly => None,
    };
    let row = overview.row();
    json!({
        "name": run.name,
        "is_stoppable": is_stoppable,
        "is_resumable": matches!(overview.state, RunState::Stopped(Some(_))),
        "failed": problem,
        "state": state(overview.state),
        "network": network.map(|network| match network.name() {
            Some(name) => name.to_owned(),
            None => network.to_string(),
        }),
        "began": overview.began,
        "epochs_done": overview.rows.len(),
        "epochs": position.map(|position| position.epochs),
        "seconds": overview.seconds(),
        "loss": row.map(|row| row.loss),
        "accuracy": row.map(|row| row.accuracy),
        "validation_accuracy": row.and_then(|row| row.validation_accuracy),
        "has_curves": !overview.rows.is_empty() || overview.began.is_some(),
    })
}

/// The state in words.
fn state(state: RunState) -> &'static str {
    match state {
        RunState::Running(_) => "running",
        RunState::Stopped(_) => "stopped",
        RunState::Finished => "finished",
        RunState::ModelOnly => "model only",
    }
}
