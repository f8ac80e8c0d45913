//! Pictures in: those that the page sends, and the held-out samples of a model.
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use hubel::data::{Kind, picture};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, image, models};
use crate::models::Models;
use crate::pictures::Pictures;

/// Most samples in one answer.
const MOST: usize = 48;
/// Longer side of a small picture.
const SIDE: u32 = 96;

/// `POST /api/pictures`: keeps a picture or recording, and returns its name for other requests.
pub(super) async fn send(
    State(pictures): State<Arc<Pictures>>,
    bytes: Bytes,
) -> Result<Json<Value>, Refusal> {
    let kept = blocking(move || {
        // Whether a recording can be read is said by the model that reads it.
        let is_sound = sound_type(&bytes).is_some();
        if !is_sound {
            picture::decode(&bytes, Path::new("the picture"))?;
        }
        pictures.keep(&bytes)
    });
    let name = kept.await??;
    Ok(Json(json!({ "picture": format!("sent:{name}") })))
}

/// The media type of a recording that browsers can play.
pub(super) fn sound_type(bytes: &[u8]) -> Option<&'static str> {
    match (bytes.get(..4)?, bytes.get(8..12)) {
        (b"RIFF", Some(b"WAVE")) => Some("audio/wav"),
        (b"fLaC", _) => Some("audio/flac"),
        (b"OggS", _) => Some("audio/ogg"),
        (b"FORM", Some(b"AIFF" | b"AIFC")) => Some("audio/aiff"),
        (start, _) if start.starts_with(b"ID3") || (start[0] == 0xff && start[1] >= 0xe0) => {
            Some("audio/mpeg")
        }
        _ => None,
    }
}

/// Which samples to list.
#[derive(Deserialize)]
pub(super) struct Wanted {
    model: String,
    from: usize,
    count: usize,
}

/// `POST /api/samples`: held-out samples of a model as small pictures.
pub(super) async fn samples(
    State(all): State<Arc<Models>>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let loaded = models::get(&all, &wanted.model)?;
        let kind = loaded.kind();
        let about = |problem: Option<String>| {
            let classes = loaded.model.classes();
            json!({ "kind": kind.one(), "classes": classes, "samples": [], "count": 0, "problem": problem })
        };
        if loaded.data().is_none() {
            return Ok(about(None));
        }
        let held_out = match loaded.held_out() {
            Ok(held_out) => held_out,
            Err(error) => return Ok(about(Some(error.to_string()))),
        };
        let dataset = &held_out.dataset;
        let end = wanted
            .from
            .saturating_add(wanted.count.min(MOST))
            .min(dataset.len());
        let samples = (wanted.from.min(end)..end).map(|index| {
            let small = match kind {
                Kind::Texts => None,
                _ => dataset.thumbnail(index, SIDE),
            };
            json!({
                "picture": format!("sample:{index}"),
                "class": dataset.classes()[dataset.labels()[index]],
                "name": dataset.name_of(index),
                "text": dataset.text(index),
                "image": small.map(|small| image(small.media_type, &small.bytes)),
            })
        });
        Ok::<_, Refusal>(json!({
            "kind": kind.one(),
            "classes": loaded.model.classes(),
            "samples": samples.collect::<Vec<_>>(),
            "count": dataset.len(),
            "which": held_out.judged.to_string(),
        }))
    });
    list.await?.map(Json)
}
