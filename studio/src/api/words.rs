//! A text that is classified, with the words that support the class.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::Score;
use hubel::explain::words::Words;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, models};
use crate::models::{Models, cpu};

/// Most classes in the list of probabilities.
const CLASSES: usize = 20;

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
        let classes = prediction.top(CLASSES);
        let classes = classes.iter().map(|index| {
            json!({ "index": index, "class": model.classes()[*index], "probability": prediction.probabilities[*index] })
        });
        Ok::<_, Refusal>(json!({
            "model": models::about(&loaded),
            "prediction": { "classes": classes.collect::<Vec<_>>(), "is_sure": prediction.is_sure },
            "score": { "class": model.classes()[score.class], "value": words.score },
            "tokens": tokens.collect::<Vec<_>>(),
            "unread": words.unread,
            "checks": checks.map(|checks| checks.map(|checks| json!({
                "deletion": checks.deletion,
                "random": checks.random,
                "finds_what_matters": checks.finds_what_matters(),
                "correlation": checks.correlation,
                "bound": checks.bound,
                "depends_on_weights": checks.depends_on_weights(),
            }))),
        }))
    });
    answer.await?.map(Json)
}
