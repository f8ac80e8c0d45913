//! Which places of a picture support a class, and whether that can be trusted.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::explain::cascade::{self, Settings};
use hubel::explain::deletion::{self, Verdict};
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{Method, Question, draw};
use hubel::{Error, Score};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking, image};
use super::{Asked, Eye};
use crate::models::{Loaded, cpu};

/// What is asked.
#[derive(Deserialize)]
pub(in crate::api) struct Why {
    #[serde(flatten)]
    asked: Asked,
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
    State(eye): State<Arc<Eye>>,
    Json(why): Json<Why>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        // The memory of the model is free for other requests meanwhile.
        let (image, pixels, score) = eye.look(&why.asked, |_, eyes, score| {
            let seen = eyes.seen.as_ref().expect("a picture was looked at");
            Ok((seen.tensor.clone(), seen.pixels.clone(), score))
        })?;
        let loaded = super::models::get(&eye.models, &why.asked.model)?;
        Ok::<_, Refusal>(explained(&loaded, &why, image, &pixels, score)?)
    });
    answer.await?.map(Json)
}

fn explained(
    loaded: &Loaded,
    why: &Why,
    tensor: Vec<f32>,
    pixels: &[u8],
    score: Score,
) -> hubel::Result<Value> {
    let (model, method) = (&loaded.model, why.method.method(loaded));
    let question = Question {
        image: tensor,
        score,
    };
    let maps = method.maps(&cpu(), model, std::slice::from_ref(&question), &mut |_| ())?;
    let map = &maps[0];
    let overlay = draw::overlay(map, pixels, model.input());
    let checks = why
        .check
        .then(|| checks(loaded, &method, &question, map))
        .transpose()?;
    Ok(json!({
        "image": image("image/png", &overlay.png()),
        "layer": map.layer,
        "brightest": map.brightest(),
        "size": [map.height, map.width],
        "checks": checks,
    }))
}

/// Whether the map depends on what was learned, and finds what matters: a sentence for each, and whether it has failed.
fn checks(
    loaded: &Loaded,
    method: &Method,
    question: &Question,
    map: &hubel::explain::Heatmap,
) -> hubel::Result<Value> {
    let model = &loaded.model;
    let deletion = deletion::check(
        &cpu(),
        model,
        &question.image,
        &question.score,
        map,
        1,
        &|_, _| (),
    )?;
    let failed = matches!(
        deletion.verdict(),
        Verdict::NoBetterThanEdges | Verdict::NoBetterThanRandom
    );
    let mut list = vec![json!({ "sentence": deletion.to_string(), "has_failed": failed })];
    let cascade = || {
        let held_out = loaded.held_out()?;
        let settings = Settings::for_method(method);
        let others = cascade::pictures(&cpu(), model, &held_out.dataset, settings)?;
        cascade::check(
            &cpu(),
            model,
            method,
            question,
            &others,
            settings,
            &|_, _| (),
        )
    };
    list.push(match cascade() {
        Ok(cascade) => json!({ "sentence": cascade.to_string(), "has_failed": !cascade.passes() }),
        Err(Error::Settings { problem }) => {
            json!({ "sentence": format!("not checked: whether it depends on the learned weights; {problem}"), "has_failed": false })
        }
        Err(error) => return Err(error),
    });
    Ok(list.into())
}
