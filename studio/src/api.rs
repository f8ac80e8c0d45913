//! What the page asks for, as JSON: a file for each subject.
mod lab;
mod network;
mod runs;
mod sizes;

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Opening;

/// The routes below `/api`. The server was started in `folder`.
pub(crate) fn routes(opening: Arc<Opening>, folder: &Path) -> Router {
    Router::new()
        .route("/start", get(start))
        .route("/networks", get(network::names))
        .route("/network", post(network::summary))
        .route("/sizes", get(sizes::places))
        .merge(runs::routes(opening.clone()))
        .merge(lab::routes(lab::folder(folder)))
        .fallback(nothing)
        .with_state(opening)
}

/// `/api/start`: what the studio was opened with.
async fn start(State(opening): State<Arc<Opening>>) -> Json<Value> {
    let network = opening.network.as_ref().map(|network| {
        json!({
            "title": network.title,
            "text": network.text,
            "input": network.input.to_string(),
            "classes": network.classes,
        })
    });
    let folder = opening.runs.file_name().unwrap_or_default();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "network": network,
        "run": opening.run,
        "folder": Path::new(folder).display().to_string(),
    }))
}

async fn nothing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is nothing here".into())
}

/// A request that cannot be answered.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// Does work that blocks, on a thread for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        let problem = "this is a bug of hubel: the work for this request ended in a panic";
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, problem.into())
    })
}
