//! What a network does with a picture: all maps, how a map and a value are made, and why a class is chosen.
mod kernel;
mod maps;
mod values;
mod why;

pub(super) use self::kernel::{apply as kernel, names as kernels};
pub(super) use self::maps::{layer, map};
pub(super) use self::values::{softmax, value};
pub(super) use self::why::{frames, why};

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::Score;
use hubel::explain::draw::{self, Plane, Shown};
use hubel::network::Operation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, image, models, pictures};
use crate::look::{self, PictureQuestion};
use crate::models::{Eyes, Loaded};
use crate::server::Shared;

/// Most maps of a layer in the overview.
const MOST: usize = 10;
/// Rows and columns of a map in the overview.
const CELL: usize = 32;
/// Most bytes of a recording in an answer.
const LONGEST_SOUND: usize = 4 * 1024 * 1024;

/// Looks at the asked picture, and then works with its maps. Blocks.
fn look<T>(
    shared: &Shared,
    asked: &PictureQuestion,
    work: impl FnOnce(&Arc<Loaded>, &mut Eyes, Score) -> hubel::Result<T>,
) -> Result<T, Refusal> {
    let loaded = models::get(&shared.models, &asked.model)?;
    let done = loaded.with_eyes(|eyes| {
        let score = look::look(&loaded, &shared.pictures, eyes, asked)?;
        work(&loaded, eyes, score)
    });
    Ok(done?)
}

/// Whether values or gradients are asked for.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Of {
    Values,
    Gradients,
}

impl Of {
    /// Brings the gradients into memory if they are asked for.
    fn ready(self, eyes: &mut Eyes, score: Score) -> Shown {
        match self {
            Self::Values => Shown::Values,
            Self::Gradients => {
                look::trace_back(eyes, score);
                Shown::Gradients
            }
        }
    }
}

/// The question about a whole picture.
#[derive(Deserialize)]
pub(super) struct Question {
    #[serde(flatten)]
    asked: PictureQuestion,
    of: Of,
}

/// `POST /api/see`: the prediction, and all layers as small pictures.
pub(super) async fn see(
    State(shared): State<Shared>,
    Json(question): Json<Question>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        look(&shared, &question.asked, |loaded, eyes, score| {
            let shown = question.of.ready(eyes, score);
            let plane = plane(loaded, eyes, &question.asked);
            Ok(whole(loaded, eyes, score, shown, plane))
        })
    });
    answer.await?.map(Json)
}

/// A recording that is short enough to be played from the answer.
fn sound(bytes: &[u8]) -> Option<String> {
    let media_type = pictures::sound_type(bytes).filter(|_| bytes.len() <= LONGEST_SOUND)?;
    Some(image(media_type, bytes))
}

/// The part of the maps that the page shows.
fn plane(loaded: &Loaded, eyes: &Eyes, asked: &PictureQuestion) -> Plane {
    Plane::of(&eyes.explainer, asked.frame_in(loaded.model.input()))
}

fn whole(loaded: &Loaded, eyes: &Eyes, score: Score, shown: Shown, plane: Plane) -> Value {
    let (model, explainer) = (&loaded.model, &eyes.explainer);
    let seen = eyes.seen.as_ref().expect("a picture was looked at");
    let class = |index: usize| &model.classes()[index];
    let overview = draw::overview(explainer, shown, plane, MOST, CELL);
    let layers = explainer.nodes().iter().zip(&overview.columns).enumerate();
    let layers = layers.map(|(index, (node, column))| {
        let (_, drawn) = shown.on(plane, explainer, index);
        json!({
            "name": node.name,
            "kind": node.operation.kind(),
            "shape": [drawn.height, drawn.width, drawn.channels],
            "times": node.shape.time,
            "time": plane.time(explainer, index),
            "size": node.shape.to_string(),
            "reads": node.inputs,
            "channels": column.channels,
            "height": column.height,
            "width": column.width,
            "kernel": match &node.operation {
                Operation::Conv(settings) => Some(settings.kernel),
                Operation::TimeConv(settings) => Some([1, settings.window.kernel]),
                _ => None,
            },
        })
    });
    let mut prediction = models::answer(model, &seen.prediction);
    for class in prediction["classes"].as_array_mut().into_iter().flatten() {
        let index = class["index"].as_u64().unwrap_or_default() as usize;
        class["logit"] = json!(explainer.logits()[index]);
    }
    let frame = match plane {
        Plane::Frame(frame) => Some(frame),
        Plane::Times => None,
    };
    let picture = frame
        .zip(seen.sight.pixels().ok())
        .map(|(frame, prepared)| {
            let shape = model.input().frame();
            let pixels = &prepared.pixels[frame * shape.len()..][..shape.len()];
            image("image/png", &draw::enlarged(pixels, shape).png())
        });
    json!({
        "model": models::about(loaded),
        "frame": frame,
        "tokens": seen.sight.tokens(),
        "picture": {
            "image": picture,
            "name": seen.name,
            "truth": seen.truth.map(class),
            "remarks": seen.remarks,
            "sound": seen.sound.as_deref().and_then(sound),
        },
        "prediction": prediction,
        "score": {
            "class": class(score.class),
            "against": score.against.map(class),
            "value": score.value(explainer.logits()),
        },
        "layers": layers.collect::<Vec<_>>(),
        "overview": { "image": image("image/png", &overview.drawing.png()), "cell": overview.cell, "rows": MOST },
    })
}
