//! The models that the page can look into.
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::{Model, Prediction, shown};
use serde_json::{Value, json};

use super::{Refusal, blocking};
use crate::models::{Loaded, Models, OPENED};

/// Most classes in the list of probabilities.
const CLASSES: usize = 20;

/// `/api/models`: their names, the opened one first.
pub(super) async fn list(State(models): State<Arc<Models>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let list = models.list().into_iter();
        let list = list.map(|model| json!({ "name": model.name, "title": model.title }));
        Value::Array(list.collect())
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

/// A prediction with the most probable classes, for the page.
pub(super) fn answer(model: &Model, prediction: &Prediction) -> Value {
    let classes = prediction.top(CLASSES).into_iter();
    let classes = classes.map(|index| {
        json!({ "index": index, "class": model.classes()[index], "probability": prediction.probabilities[index] })
    });
    json!({ "classes": classes.collect::<Vec<_>>(), "is_sure": prediction.is_sure })
}
