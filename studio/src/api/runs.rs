//! The runs below the folder: a list, and curves that grow.
mod curves;

pub(super) use self::curves::curves;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::{Overview, RunState};
use serde_json::{Value, json};

use super::{Refusal, blocking};
use crate::{Opening, find};

/// `/api/runs`: the runs, the newest first.
pub(super) async fn list(State(opening): State<Arc<Opening>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let found = find::runs(&opening.runs);
        let mut runs: Vec<(f64, Value)> = Vec::new();
        for run in &found.runs {
            runs.push(match Overview::of(&run.path) {
                Ok(overview) => (overview.began.unwrap_or(0.0), about(&run.name, &overview)),
                Err(error) => (
                    f64::NEG_INFINITY,
                    json!({ "name": run.name, "problem": error.to_string() }),
                ),
            });
        }
        runs.sort_by(|one, other| other.0.total_cmp(&one.0));
        let runs: Vec<Value> = runs.into_iter().map(|(_, run)| run).collect();
        json!({ "runs": runs, "is_complete": found.is_complete })
    });
    list.await.map(Json)
}

/// A run in the list.
fn about(name: &str, overview: &Overview) -> Value {
    let network = overview.network.as_ref();
    let position = match overview.state {
        RunState::Running(position) | RunState::Stopped(position) => position,
        RunState::Finished | RunState::ModelOnly => None,
    };
    let row = overview.row();
    json!({
        "name": name,
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
