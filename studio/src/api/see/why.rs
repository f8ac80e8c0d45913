//! Which places of a picture support a class, and whether that can be trusted.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::data::Prepared;
use hubel::explain::frames::Frames;
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{Checks, Method, Question, draw};
use hubel::{Error, Score};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking, findings, image};
use super::{PictureQuestion, look};
use crate::models::{Loaded, cpu};
use crate::server::Shared;

/// What is asked.
#[derive(Deserialize)]
pub(in crate::api) struct Why {
    #[serde(flatten)]
    asked: PictureQuestion,
    method: Name,
    /// Whether the map is checked, which takes seconds.
    check: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    GradCam,
    Gradient,
    SmoothGrad,
    IntegratedGradients,
    Occlusion,
}

impl Name {
    fn method(self, loaded: &Loaded) -> Method {
        match self {
            Self::GradCam => Method::GradCam { layer: None },
            Self::Gradient => Method::Gradient,
            Self::SmoothGrad => Method::smooth_grad(),
            // From the mean of the training pictures.
            Self::IntegratedGradients => Method::IntegratedGradients { baseline: 0.0 },
            Self::Occlusion => Method::Occlusion(Occlusion::for_input(loaded.model.input())),
        }
    }
}

/// `POST /api/see/why`: a heatmap over the picture, and its checks.
pub(in crate::api) async fn why(
    State(shared): State<Shared>,
    Json(why): Json<Why>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let (loaded, prepared, score) = looked_at(&shared, &why.asked)?;
        Ok::<_, Refusal>(explained(&loaded, &why, prepared, score)?)
    });
    answer.await?.map(Json)
}

/// `POST /api/see/frames`: what the score loses without each frame of a clip.
pub(in crate::api) async fn frames(
    State(shared): State<Shared>,
    Json(asked): Json<PictureQuestion>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let (loaded, prepared, score) = looked_at(&shared, &asked)?;
        let found = Frames::of(&cpu(), &loaded.model, &prepared.tensor, &score)?;
        Ok::<_, Refusal>(json!({ "supports": found.supports, "score": found.score }))
    });
    answer.await?.map(Json)
}

/// The asked picture and score. The memory of the model is free for other requests afterwards.
fn looked_at(
    shared: &Shared,
    asked: &PictureQuestion,
) -> Result<(Arc<Loaded>, Prepared, Score), Refusal> {
    look(shared, asked, |loaded, eyes, score| {
        let seen = eyes.seen.as_ref().expect("a picture was looked at");
        Ok((loaded.clone(), seen.sight.pixels()?.clone(), score))
    })
}

fn explained(loaded: &Loaded, why: &Why, prepared: Prepared, score: Score) -> hubel::Result<Value> {
    let (model, method) = (&loaded.model, why.method.method(loaded));
    let question = Question {
        image: prepared.tensor,
        score,
    };
    let maps = method.maps(&cpu(), model, std::slice::from_ref(&question), &mut |_| ())?;
    let map = &maps[0];
    let frame = why.asked.frame_in(model.input());
    let overlay = draw::overlay_of_frame(map, &prepared.pixels, model.input(), frame);
    let checks = || -> hubel::Result<Value> {
        let held_out = match loaded.held_out() {
            Ok(held_out) => Ok(held_out),
            Err(Error::Settings { problem }) => Err(problem),
            Err(error) => return Err(error),
        };
        let data = held_out.as_ref().map(|held_out| &held_out.dataset);
        let data = data.map_err(Clone::clone);
        let checks = Checks::of(&cpu(), model, (&method, map), &question, data, &|_, _| ())?;
        Ok(findings(checks.findings()))
    };
    Ok(json!({
        "image": image("image/png", &overlay.png()),
        "layer": map.layer,
        "brightest": map.brightest(),
        "times": map.time,
        "size": [map.height, map.width],
        "checks": why.check.then(checks).transpose()?,
    }))
}
