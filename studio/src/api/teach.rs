//! Class folders that are made in the page, and the answers of a model that was just taught.
use std::io::Cursor;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hubel::Overview;
use hubel::data::picture;
use hubel::image::ImageFormat;
use hubel::run_toml::RunToml;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, models};
use crate::models::Models;
use crate::pictures::LARGEST;
use crate::server::Shared;
use crate::taught::{FOLDER, Taught};
use crate::{Opening, find};

/// Longer side of a small picture.
const SIDE: u32 = 128;

/// The routes of this view. Those that take pictures have a larger limit.
pub(super) fn routes() -> Router<Shared> {
    let limit = DefaultBodyLimit::max(LARGEST);
    Router::new()
        .route("/teach", get(names))
        .route("/teach/classes", get(classes))
        .route("/teach/run", get(newest_run))
        .route("/teach/change", post(change))
        .route("/teach/picture", get(small).post(add).layer(limit))
        .route("/predict", post(predict).layer(limit))
}

/// `/api/teach`: the data sets that were made in the page.
async fn names(State(taught): State<Arc<Taught>>) -> Result<Json<Value>, Refusal> {
    let names = blocking(move || json!({ "names": taught.names(), "folder": FOLDER }));
    names.await.map(Json)
}

/// A data set, a class in it, and a picture.
#[derive(Deserialize)]
struct Place {
    name: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    picture: String,
}

/// `/api/teach/classes?name=`: the classes with the names of their pictures.
async fn classes(
    State(taught): State<Arc<Taught>>,
    Query(place): Query<Place>,
) -> Result<Json<Value>, Refusal> {
    let classes = blocking(move || taught.classes(&place.name)).await??;
    let classes = classes.into_iter();
    Ok(Json(
        classes
            .map(|class| json!({ "name": class.name, "pictures": class.pictures }))
            .collect(),
    ))
}

/// `/api/teach/run?name=`: the newest run that was trained on a data set; `null` if there is none.
async fn newest_run(
    State(opening): State<Arc<Opening>>,
    Query(place): Query<Place>,
) -> Result<Json<Value>, Refusal> {
    let newest = blocking(move || {
        let data = format!("{FOLDER}/{}", place.name);
        let is_own = |run: &find::Run| {
            let settings = RunToml::read(&run.path);
            settings.is_ok_and(|settings| settings.setting("data").as_ref() == Some(&data))
        };
        let runs = find::runs(&opening.runs).runs.into_iter().filter(is_own);
        let began = |run: &find::Run| Overview::of(&run.path).ok()?.began;
        let newest = runs.max_by(|one, other| {
            let [one, other] = [one, other].map(|run| began(run).unwrap_or(0.0));
            one.total_cmp(&other)
        });
        json!({ "run": newest.map(|run| run.name) })
    });
    newest.await.map(Json)
}

/// `/api/teach/picture`: a picture, small, and in a format that every browser shows.
async fn small(
    State(taught): State<Arc<Taught>>,
    Query(place): Query<Place>,
) -> Result<Response, Refusal> {
    let bytes = blocking(move || {
        let file = taught.file(&place.name, &place.class, &place.picture)?;
        let small = picture::read(&file)?.thumbnail(SIDE, SIDE).into_rgb8();
        let mut bytes = Cursor::new(Vec::new());
        let written = small.write_to(&mut bytes, ImageFormat::Jpeg);
        written.expect("a picture of 8-bit colour can be a JPEG in memory");
        Ok::<_, Refusal>(bytes.into_inner())
    });
    let bytes = bytes.await??;
    Ok(([(CONTENT_TYPE, "image/jpeg")], bytes).into_response())
}

/// `POST /api/teach/picture`: adds a picture to a class.
async fn add(
    State(taught): State<Arc<Taught>>,
    Query(place): Query<Place>,
    bytes: Bytes,
) -> Result<Json<Value>, Refusal> {
    blocking(move || taught.add(&place.name, &place.class, &bytes)).await??;
    Ok(Json(json!({})))
}

/// A change of the classes.
#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
enum Change {
    Add {
        name: String,
        class: String,
    },
    Rename {
        name: String,
        class: String,
        to: String,
    },
    Remove {
        name: String,
        class: String,
        picture: Option<String>,
    },
    /// Brings back a picture that was removed.
    Restore {
        name: String,
        picture: String,
    },
}

/// `POST /api/teach/change`
async fn change(
    State(taught): State<Arc<Taught>>,
    Json(change): Json<Change>,
) -> Result<Json<Value>, Refusal> {
    let changed = blocking(move || match &change {
        Change::Add { name, class } => taught.add_class(name, class),
        Change::Rename { name, class, to } => taught.rename(name, class, to),
        Change::Remove {
            name,
            class,
            picture,
        } => taught.remove(name, class, picture.as_deref()),
        Change::Restore { name, picture } => taught.restore(name, picture),
    });
    changed.await??;
    Ok(Json(json!({})))
}

/// The model that answers.
#[derive(Deserialize)]
struct Answering {
    model: String,
}

/// `POST /api/predict?model=`: the classes of a picture. Nothing is kept.
async fn predict(
    State(all): State<Arc<Models>>,
    Query(Answering { model }): Query<Answering>,
    bytes: Bytes,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let loaded = models::get(&all, &model)?;
        let prediction = loaded.with_predictor(|predictor| predictor.predict(&bytes))?;
        Ok::<_, Refusal>(models::answer(&loaded.model, &prediction))
    });
    answer.await?.map(Json)
}
