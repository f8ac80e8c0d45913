//! What the page asks for, as JSON: a file for each subject.
mod data;
mod lab;
mod mistakes;
mod models;
mod network;
mod pictures;
mod runs;
mod see;
mod sizes;
mod teach;
mod words;

use std::path::Path;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hubel::explain::Finding;
use serde_json::{Value, json};

use crate::Opening;
use crate::pictures::LARGEST;
use crate::server::Shared;

/// The routes below `/api`.
pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/models", get(models::list))
        .route(
            "/pictures",
            post(pictures::send).layer(DefaultBodyLimit::max(LARGEST)),
        )
        .route("/samples", post(pictures::samples))
        .route("/see", post(see::see))
        .route("/see/layer", post(see::layer))
        .route("/see/map", post(see::map))
        .route("/see/value", post(see::value))
        .route("/see/softmax", post(see::softmax))
        .route("/see/why", post(see::why))
        .route("/see/frames", post(see::frames))
        .route("/see/kernel", post(see::kernel))
        .route("/kernels", get(see::kernels))
        .route("/words", post(words::words))
        .route("/start", get(start))
        .route("/networks", get(network::names))
        .route("/network", post(network::summary))
        .route("/sizes", get(sizes::places))
        .merge(runs::routes(shared.opening.clone()))
        .merge(lab::routes(shared.folder.join("lab")))
        .route("/mistakes", get(mistakes::summary))
        .route("/mistakes/choices", get(mistakes::choices))
        .route("/mistakes/samples", get(mistakes::samples))
        .route("/mistakes/recording", get(mistakes::recording))
        .route("/mistakes/words", get(mistakes::words))
        .route("/mistakes/label", post(mistakes::label))
        .route("/data", get(data::check))
        .route("/data/choices", get(data::choices))
        .route("/data/findings", get(data::findings))
        .route("/data/recording", get(data::recording))
        .route("/data/augmented", get(data::augmented))
        .merge(teach::routes())
        .fallback(nothing)
        .with_state(shared)
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
        "has_model": opening.model.is_some(),
        "shows_data": opening.shows_data,
        "folder": Path::new(folder).display().to_string(),
    }))
}

async fn nothing() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "there is nothing here".into())
}

/// A request that cannot be answered.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn missing(problem: String) -> Self {
        Self(StatusCode::NOT_FOUND, problem)
    }

    /// What the user named cannot be used.
    fn unusable(problem: String) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, problem)
    }
}

/// The library's errors are what the user can act on.
impl From<hubel::Error> for Refusal {
    fn from(error: hubel::Error) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}

/// What checks found, for the page.
fn findings(findings: [Finding; 2]) -> Value {
    let findings = findings.map(
        |Finding {
             sentence,
             has_failed,
         }| json!({ "sentence": sentence, "has_failed": has_failed }),
    );
    json!(findings)
}

/// A picture in an answer.
fn image(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", BASE64.encode(bytes))
}

/// How many characters of a text are shown in a list.
const TEXT: usize = 240;

/// The start of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The file of a recording, as an answer that browsers play. `None` if it cannot be read.
fn sound(file: &Path) -> Option<Response> {
    let bytes = std::fs::read(file).ok()?;
    let media_type = pictures::sound_type(&bytes).unwrap_or("audio/wav");
    Some(([(CONTENT_TYPE, media_type)], bytes).into_response())
}

fn no_recording() -> Refusal {
    Refusal::missing("there is no such recording".into())
}

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
