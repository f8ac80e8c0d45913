//! A text that is classified, with the words that support the class.
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hubel::explain::words::Words;
use hubel::{Model, Prediction, Score};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, findings, models};
use crate::models::{Loaded, Models, cpu};

/// A text that is typed.
#[derive(Deserialize)]
pub(super) struct Typed {
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
    Json(typed): Json<Typed>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let loaded = models::get(&all, &typed.model)?;
        let model = &loaded.model;
        let explained = Explained::new(&loaded, &typed.text, typed.class.as_deref())?;
        let checks = match typed.check {
            true => Some(explained.words.check(&cpu(), model, &explained.score)?),
            false => None,
        };
        let mut answer = explained.answer(model);
        answer["model"] = models::about(&loaded);
        answer["prediction"] = models::answer(model, &explained.prediction);
        answer["checks"] =
            json!(checks.map(|checks| checks.map(|checks| findings(checks.findings()))));
        Ok::<_, Refusal>(answer)
    });
    answer.await?.map(Json)
}

/// A text, and what its words add to a score.
pub(super) struct Explained {
    prediction: Prediction,
    score: Score,
    words: Words,
}

impl Explained {
    /// Without a class, the predicted one is explained.
    ///
    /// # Errors
    /// If the model has no such class, or cannot read the text.
    pub(super) fn new(loaded: &Loaded, text: &str, class: Option<&str>) -> hubel::Result<Self> {
        let model = &loaded.model;
        let prediction = loaded.with_predictor(|predictor| predictor.predict_text(text))?;
        let score = Score::of(match class {
            Some(class) => model.class(class)?,
            None => prediction.index,
        });
        let words = Words::of(&cpu(), model, text, &score)?;
        Ok(Self {
            prediction,
            score,
            words,
        })
    }

    /// The score and the words, for the page.
    pub(super) fn answer(&self, model: &Model) -> Value {
        let words = &self.words;
        let tokens = words.tokens.iter().map(
            |word| json!({ "text": word.text, "support": word.support, "is_known": word.is_known }),
        );
        json!({
            "score": { "class": model.classes()[self.score.class], "value": words.score },
            "tokens": tokens.collect::<Vec<_>>(),
            "unread": words.unread,
        })
    }
}
