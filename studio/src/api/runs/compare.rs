//! What differs between two runs: their settings, their data, and what came out.
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use hubel::data::Manifest;
use hubel::run_toml::RunToml;
use hubel::{Overview, RunFolder};
use serde_json::{Value, json};

use super::super::{Refusal, blocking};
use super::processes::Processes;
use super::{curves, state};
use crate::find;

/// A run with what its folder says.
struct Side {
    overview: Overview,
    settings: RunToml,
    /// What `hubel train` wrote at its end; `null` before.
    result: Value,
    /// The contents of its training samples.
    trained: Option<HashSet<u64>>,
}

/// `/api/runs/compare?run=a&run=b`
pub(super) async fn differences(
    State(processes): State<Arc<Processes>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let names = curves::names(query.as_deref().unwrap_or(""));
    let Ok([first, second]) = <[String; 2]>::try_from(names) else {
        let problem = "name two runs: ?run=NAME&run=NAME";
        return Err(Refusal(StatusCode::BAD_REQUEST, problem.into()));
    };
    let compared = blocking(move || {
        let side = |name: &str| {
            let path = find::run(processes.root(), name).ok_or_else(|| {
                let problem = format!("there is no run {name} in this folder");
                Refusal(StatusCode::NOT_FOUND, problem)
            })?;
            Side::open(&path)
                .map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
        };
        Ok(of(&[side(&first)?, side(&second)?]))
    });
    compared.await?.map(Json)
}

impl Side {
    fn open(path: &Path) -> hubel::Result<Self> {
        let result = fs::read(path.join(RunFolder::RESULT)).ok();
        let result = result.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // Older runs have no list of their samples.
        let list = Manifest::load(&path.join(RunFolder::DATA)).ok();
        Ok(Self {
            overview: Overview::of(path)?,
            settings: RunToml::read(path)?,
            result: result.unwrap_or(Value::Null),
            trained: list.map(|list| list.contents("train").collect()),
        })
    }
}

fn of(sides: &[Side; 2]) -> Value {
    let [first, second] = sides;
    let settings = first.settings.differences(&second.settings);
    let settings = settings.map(|settings| {
        let settings = settings.iter();
        let settings =
            settings.map(|setting| json!({ "name": setting.name, "values": setting.values }));
        settings.collect::<Vec<_>>()
    });
    let trained = match (&first.trained, &second.trained) {
        (Some(one), Some(other)) => Some(json!({
            "counts": [one.len(), other.len()],
            "common": one.intersection(other).count(),
        })),
        _ => None,
    };
    json!({
        "settings": settings,
        "trained": trained,
        "outcomes": sides.each_ref().map(outcome),
    })
}

/// The values of the kept epoch, and those of the test.
fn outcome(side: &Side) -> Value {
    let (overview, result) = (&side.overview, &side.result);
    let row = overview.row();
    json!({
        "state": state(overview.state),
        "epochs": overview.rows.len(),
        "kept": row.map(|row| row.epoch),
        "loss": row.map(|row| row.loss),
        "accuracy": row.map(|row| row.accuracy),
        "validation_loss": row.and_then(|row| row.validation_loss),
        "validation_accuracy": row.and_then(|row| row.validation_accuracy),
        "test_accuracy": result["test_accuracy"],
        "test_accuracy_interval": result["test_accuracy_interval"],
        "test_count": result["test_count"],
        "seconds": overview.seconds(),
    })
}
