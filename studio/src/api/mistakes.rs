//! What a model takes for something else: the confusions, the samples, calibration, labels that look wrong, and their correction.
mod samples;

pub(super) use self::samples::{label, recording, samples, words};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use hubel::Report;
use hubel::data::{Judged as Which, Kind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, models};
use crate::data_work::Question;
use crate::jobs::State as Work;
use crate::judge::{Judged, View};
use crate::models::{Loaded, Named};
use crate::server::Shared;

/// With more classes, the matrix is left out and the largest confusions are listed.
const MOST_CLASSES: usize = 30;
/// How many confusions are listed.
const CONFUSIONS: usize = 40;

/// A model, and the data that it is judged by.
#[derive(Deserialize)]
pub(super) struct ModelAndData {
    model: String,
    /// Empty: the data of the model.
    #[serde(default)]
    data: String,
}

/// The same, and whether the data is read again.
#[derive(Deserialize)]
pub(super) struct ToJudge {
    model: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    again: bool,
}

/// `/api/mistakes/choices`: the models with their data, and all data that is known.
pub(super) async fn choices(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let named = |path: PathBuf| shared.known(&path).1;
        let all: Vec<(Named, Option<String>)> = (shared.models.list().into_iter())
            .map(|model| {
                let own = model.run.as_deref();
                let own = own.and_then(|run| shared.models.data_of(run));
                let data = own.or_else(|| shared.opening.data.clone());
                (model, data.map(named))
            })
            .collect();
        let opened = shared.opening.data.clone().map(named);
        let mut data: Vec<String> = opened.into_iter().collect();
        for own in all.iter().filter_map(|(_, data)| data.as_ref()) {
            if !data.contains(own) {
                data.push(own.clone());
            }
        }
        let models = all
            .into_iter()
            .map(|(model, data)| json!({ "name": model.name, "title": model.title, "data": data }));
        json!({ "models": models.collect::<Vec<_>>(), "data": data })
    });
    list.await.map(Json)
}

/// `/api/mistakes?model=…&data=…`: how far the work is, or its result.
pub(super) async fn summary(
    State(shared): State<Shared>,
    Query(ToJudge { model, data, again }): Query<ToJudge>,
) -> Result<Json<Value>, Refusal> {
    let summary = blocking(move || {
        let (loaded, question, name) = shared.question(&ModelAndData { model, data })?;
        if again {
            shared.forget(&loaded, &question);
        }
        Ok::<_, Refusal>(match shared.judge(&loaded, &question) {
            Work::Working { what, done, all } => working(what, done, all),
            Work::Failed(problem) => return Err(Refusal::unusable(problem)),
            Work::Done(judged) => match judged.view() {
                Some(view) => of_summary(&judged, &view, &name),
                // Another program has changed the corrections.
                None => {
                    shared.forget(&loaded, &question);
                    shared.judge(&loaded, &question);
                    working("waiting", 0, 0)
                }
            },
        })
    });
    summary.await?.map(Json)
}

/// How far a piece of work is.
pub(super) fn working(what: &str, done: usize, all: usize) -> Value {
    json!({ "state": "working", "what": what, "done": done, "all": all })
}

/// Questions about a model and data.
impl Shared {
    /// The path of data as the library reads it, and its name.
    fn known(&self, path: &Path) -> (PathBuf, String) {
        match path.canonicalize() {
            Ok(real) => {
                let name = self.work.places.name_of(&real);
                (real, name)
            }
            // A data set by name, or one that is no longer there.
            Err(_) => (path.to_owned(), path.display().to_string()),
        }
    }

    /// The model, the question about it, and the name of the data.
    fn question(&self, asked: &ModelAndData) -> Result<(Arc<Loaded>, Question, String), Refusal> {
        let loaded = models::get(&self.models, &asked.model)?;
        let name = match (asked.data.as_str(), loaded.data()) {
            ("", None) => {
                let problem = "the data of this model is not known; name it in the field Data";
                return Err(Refusal::unusable(problem.into()));
            }
            ("", Some(data)) => self.known(data).1,
            (name, _) => name.to_owned(),
        };
        let data = self.work.places.data_at(&name).map_err(Refusal::unusable)?;
        let question = Question {
            model: asked.model.clone(),
            file: loaded.file().cloned(),
            data,
        };
        Ok((loaded, question, name))
    }

    /// Forgets what was read from the data of a question.
    fn forget(&self, loaded: &Loaded, question: &Question) {
        loaded.forget_held_out();
        let work = &self.work;
        work.judged.forget(|known| known.data == question.data);
    }

    fn judge(&self, loaded: &Arc<Loaded>, question: &Question) -> Work<Judged> {
        let (loaded, data) = (loaded.clone(), question.data.clone());
        let work = self.work.clone();
        let is_own = loaded.data().is_some_and(|own| self.known(own).0 == data);
        self.work.judged.ask(question.clone(), move |progress| {
            Judged::new(&work.places, &loaded, &data, is_own, progress)
        })
    }

    /// The result that the page shows.
    fn known_view(&self, asked: &ModelAndData) -> Result<(Arc<Judged>, Arc<View>), Refusal> {
        let (_, question, _) = self.question(asked)?;
        let judged = self.work.judged.known(&question);
        let known = judged.and_then(|judged| Some((judged.clone(), judged.view()?)));
        known.ok_or_else(|| {
            Refusal::missing("the data or the model has changed; load the page again".into())
        })
    }
}

fn of_summary(judged: &Judged, view: &View, name: &str) -> Value {
    let report = &view.assessment.report;
    let evaluation = &judged.evaluation;
    let dataset = &evaluation.dataset;
    let classes = judged.model.classes();
    let (largest, baseline) = report.baseline();
    let confusions = report.confusions(CONFUSIONS).into_iter();
    json!({
        "state": "done",
        "data": name,
        "samples": dataset.name(),
        "kind": dataset.kind().plural(),
        "which": match judged.is_validation {
            true => "held out for validation: it may have chosen the weights, so the score may be a little too high".to_owned(),
            false => evaluation.judged.to_string(),
        },
        "is_trained_on": !judged.is_validation && matches!(evaluation.judged, Which::Seen | Which::LeakedTest),
        "notes": evaluation.notes,
        "bad_files": evaluation.bad_files.len(),
        "classes": classes,
        "count": report.count,
        "accuracy": report.accuracy,
        "interval": report.interval(),
        "balanced_accuracy": report.balanced_accuracy(),
        "baseline": { "class": classes[largest], "share": baseline },
        "loss": report.loss,
        "confusion": (classes.len() <= MOST_CLASSES).then_some(&report.confusion),
        "confusions": confusions.map(|(count, truth, answer)| json!([count, truth, answer])).collect::<Vec<_>>(),
        "calibration": view.assessment.calibration,
        "temperature": judged.model.temperature(),
        "mistakes": wrong(report),
        "doubtful": view.doubtful.len(),
        "corrected": view.corrections.len(),
        "can_be_corrected": judged.can_be_corrected,
        "can_be_seen": judged.is_own && dataset.kind() != Kind::Texts,
    })
}

fn wrong(report: &Report) -> usize {
    let right: usize = (0..report.confusion.len())
        .map(|class| report.confusion[class][class])
        .sum();
    report.count - right
}
