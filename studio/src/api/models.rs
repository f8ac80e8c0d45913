//! The models that the page can look into.
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::{RunFolder, shown};
use serde_json::{Value, json};

use super::{Refusal, blocking};
use crate::models::{Loaded, Models, OPENED};
use crate::{Opening, find};

/// `/api/models`: their names, the opened one first.
pub(super) async fn list(State(opening): State<Arc<Opening>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let opened = opening.model.iter();
        let opened = opened.map(|opened| json!({ "name": OPENED, "title": opened.title }));
        let runs = find::runs(&opening.runs).runs.into_iter();
        let with_model = runs.filter(|run| RunFolder::model_in(&run.path).is_some());
        let runs = with_model.map(|run| json!({ "name": run.name, "title": run.name }));
        Value::Array(opened.chain(runs).collect())
    });
    list.await.map(Json)
}

/// The model of this name, or why there is none.
pub(super) fn get(models: &Models, name: &str) -> Result<Arc<Loaded>, Refusal> {
    models.get(name)?.ok_or_else(|| {
        let problem = match name {
            OPENED => "the studio was not opened with a model; choose a run".to_owned(),
            name => format!("there is no model of a run {name} in this folder"),
        };
        Refusal::missing(problem)
    })
}

/// What a model is, for the page.
pub(super) fn about(loaded: &Loaded) -> Value {
    let model = &loaded.model;
    let ground = model
        .preparation()
        .ground
        .and_then(|ground| ground.is_dark());
    let network = model.network();
    json!({
        "name": loaded.name,
        "kind": loaded.kind().one(),
        "network": network.name().map_or_else(|| network.to_string(), str::to_owned),
        "input": model.input().to_string(),
        "classes": model.classes(),
        "is_dark": ground,
        "data": loaded.data().map(|data| shown(Path::new(data))),
    })
}
