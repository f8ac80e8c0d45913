//! A text that is classified, with the words that support the class.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::Score;
use hubel::explain::words::Words;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, findings, models};
use crate::models::{Models, cpu};

/// What is asked.
#[derive(Deserialize)]
pub(super) struct Asked {
    model: String,
    text: String,
    /// The explained class; without it, the predicted one.
    class: Option<String>,
    /// Whether the supports are checked, which takes seconds.
    check: bool,
}

/// `POST /api/words`: the class of a text, and what each of its words adds to the score.
pub(super) async fn words(
    State(all): State<Arc<Models>>,
    Json(asked): Json<Asked>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let loaded = models::get(&all, &asked.model)?;
        let model = &loaded.model;
        let prediction = loaded.with_predictor(|predictor| predictor.predict_text(&asked.text))?;
        let score = Score::of(match &asked.class {
            Some(class) => model.class(class)?,
            None => prediction.index,
        });
        let words = Words::of(&cpu(), model, &asked.text, &score)?;
        let checks = match asked.check {
            true => Some(words.check(&cpu(), model, &score)?),
            false => None,
        };
        let tokens = words.tokens.iter().map(
            |word| json!({ "text": word.text, "support": word.support, "is_known": word.is_known }),
        );
        Ok::<_, Refusal>(json!({
            "model": models::about(&loaded),
            "prediction": models::answer(model, &prediction),
            "score": { "class": model.classes()[score.class], "value": words.score },
            "tokens": tokens.collect::<Vec<_>>(),
            "unread": words.unread,
            "checks": checks.map(|checks| checks.map(|checks| findings(checks.findings()))),
        }))
    });
    answer.await?.map(Json)
}
