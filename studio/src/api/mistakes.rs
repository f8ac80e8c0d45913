//! What a model takes for something else: the confusions, the samples, calibration, labels that look wrong, and their correction.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hubel::data::{Correction, Judged as Which, Kind};
use hubel::{Report, RunFolder, shown};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking, image, models};
use crate::data_work::{DataWork, Question};
use crate::find;
use crate::jobs::State as Work;
use crate::judge::{Change, Judged, View};
use crate::models::{Loaded, Models, OPENED};
use crate::server::Shared;

/// Samples on a page of the gallery.
const PAGE: usize = 24;
/// Longer side of a picture, in pixels.
const SIDE: u32 = 160;
/// With more classes, the matrix is left out and the largest confusions are listed.
const MOST_CLASSES: usize = 30;
/// How many confusions are listed.
const CONFUSIONS: usize = 40;
/// How many characters of a text are shown.
const TEXT: usize = 240;

/// What the requests of this view need.
pub(super) struct Bench {
    models: Arc<Models>,
    work: Arc<DataWork>,
    opening: Arc<crate::Opening>,
}

impl FromRef<Shared> for Arc<Bench> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::new(Bench {
            models: shared.models.clone(),
            work: shared.work.clone(),
            opening: shared.opening.clone(),
        })
    }
}

/// The model and its data.
#[derive(Deserialize)]
pub(super) struct Asked {
    model: String,
    /// Empty: the data of the model.
    #[serde(default)]
    data: String,
}

/// The same, and whether the data is read again.
#[derive(Deserialize)]
pub(super) struct AskedAgain {
    model: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    again: bool,
}

/// `/api/mistakes/choices`: the models with their data, and all data that is known.
pub(super) async fn choices(State(bench): State<Arc<Bench>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let named = |path: PathBuf| bench.known(&path).1;
        let opened = bench.opening.model.iter();
        let opened = opened.map(|opened| (OPENED.to_owned(), opened.title.clone(), None));
        let runs = find::runs(&bench.opening.runs).runs.into_iter();
        let with_model = runs.filter(|run| RunFolder::model_in(&run.path).is_some());
        let runs = with_model.map(|run| {
            let data = bench.models.data_of(&run.path);
            (run.name.clone(), run.name, data)
        });
        let all: Vec<(String, String, Option<String>)> = opened
            .chain(runs)
            .map(|(name, title, data)| {
                let data = data.or_else(|| bench.opening.data.clone());
                (name, title, data.map(named))
            })
            .collect();
        let opened = bench.opening.data.clone().map(named);
        let mut data: Vec<String> = opened.into_iter().collect();
        for own in all.iter().filter_map(|(.., data)| data.as_ref()) {
            if !data.contains(own) {
                data.push(own.clone());
            }
        }
        let models = all
            .into_iter()
            .map(|(name, title, data)| json!({ "name": name, "title": title, "data": data }));
        json!({ "models": models.collect::<Vec<_>>(), "data": data })
    });
    list.await.map(Json)
}

/// `/api/mistakes?model=…&data=…`: how far the work is, or its result.
pub(super) async fn summary(
    State(bench): State<Arc<Bench>>,
    Query(asked): Query<AskedAgain>,
) -> Result<Json<Value>, Refusal> {
    let summary = blocking(move || {
        let AskedAgain { model, data, again } = asked;
        let (loaded, question, name) = bench.question(&Asked { model, data })?;
        if again {
            bench.forget(&loaded, &question);
        }
        Ok::<_, Refusal>(match bench.judge(&loaded, &question) {
            Work::Working { what, done, all } => working(what, done, all),
            Work::Failed(problem) => return Err(Refusal::unusable(problem)),
            Work::Done(judged) => match judged.view() {
                Some(view) => of_summary(&judged, &view, &name),
                // Another program has changed the corrections.
                None => {
                    bench.forget(&loaded, &question);
                    bench.judge(&loaded, &question);
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

/// Which samples are wanted.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(flatten)]
    asked: Asked,
    /// Which samples.
    show: Show,
    /// Only samples of this class, by its index.
    truth: Option<String>,
    /// Only samples that are taken for this class.
    answer: Option<String>,
    /// `unsure`: the least confident answers come first.
    #[serde(default)]
    sort: String,
    /// How many are left out at the start.
    #[serde(default)]
    from: String,
}

/// Which samples are shown.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Show {
    Mistakes,
    Doubtful,
    Corrected,
    All,
}

/// `/api/mistakes/samples?…`: a page of the gallery.
pub(super) async fn samples(
    State(bench): State<Arc<Bench>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let page = blocking(move || {
        let (judged, view) = bench.known_view(&wanted.asked)?;
        let samples = wanted.samples(&judged, &view);
        let from: usize = wanted.from.parse().unwrap_or(0);
        let shown = samples.iter().skip(from).take(PAGE);
        let shown: Vec<Value> = shown
            .map(|sample| of_sample(&judged, &view, *sample))
            .collect();
        Ok::<_, Refusal>(
            json!({ "count": samples.len(), "from": from, "page": PAGE, "samples": shown }),
        )
    });
    page.await?.map(Json)
}

/// Which recording is wanted.
#[derive(Deserialize)]
pub(super) struct Recording {
    model: String,
    #[serde(default)]
    data: String,
    index: usize,
}

/// `/api/mistakes/recording?…&index=…`: the file of a recording.
pub(super) async fn recording(
    State(bench): State<Arc<Bench>>,
    Query(Recording { model, data, index }): Query<Recording>,
) -> Result<Response, Refusal> {
    let file = blocking(move || {
        let (judged, _) = bench.known_view(&Asked { model, data })?;
        let missing = || Refusal::missing("there is no such recording".into());
        let dataset = &judged.evaluation.dataset;
        let is_one = dataset.kind() == Kind::Sounds && index < dataset.len();
        let path = dataset
            .path(index.min(dataset.len() - 1))
            .filter(|_| is_one);
        let path = path.ok_or_else(missing)?;
        let bytes = std::fs::read(path).map_err(|_| missing())?;
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let media_type = match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("mp3") => "audio/mpeg",
            Some("ogg" | "oga") => "audio/ogg",
            Some("flac") => "audio/flac",
            Some("aif" | "aiff") => "audio/aiff",
            _ => "audio/wav",
        };
        Ok::<_, Refusal>(([(CONTENT_TYPE, media_type)], bytes).into_response())
    });
    file.await?
}

/// A new label.
#[derive(Deserialize)]
pub(super) struct NewLabel {
    #[serde(flatten)]
    asked: Asked,
    index: usize,
    /// `class`, `leave-out` or `undo`.
    change: String,
    /// The index of the class.
    class: Option<usize>,
}

/// `POST /api/mistakes/label`: corrects the label of a sample, and returns the sample.
pub(super) async fn label(
    State(bench): State<Arc<Bench>>,
    Json(new): Json<NewLabel>,
) -> Result<Json<Value>, Refusal> {
    let sample = blocking(move || {
        let (judged, _) = bench.known_view(&new.asked)?;
        let classes = judged.model.classes().len();
        let change = match (new.change.as_str(), new.class) {
            ("class", Some(class)) if class < classes => Change::Class(class),
            ("leave-out", _) => Change::LeaveOut,
            ("undo", _) => Change::Undo,
            _ => return Err(Refusal::unusable("there is no such change".into())),
        };
        if new.index >= judged.evaluation.dataset.len() {
            return Err(Refusal::unusable("there is no such sample".into()));
        }
        judged
            .change(new.index, &change)
            .map_err(Refusal::unusable)?;
        // Other models were judged with the old label.
        let (loaded, question, _) = bench.question(&new.asked)?;
        let work = &bench.work;
        work.judged
            .forget(|known| known.data == question.data && *known != question);
        work.checked.forget(|data| *data == question.data);
        work.previews.forget(|data| *data == question.data);
        let (judged, view) = bench.known_view(&new.asked)?;
        // Read again, the samples have other numbers where one is left out. The links to the view See have the numbers of now.
        let is_left_out = |correction: &Correction| *correction == Correction::LeftOut;
        if judged.is_own && !view.corrections.values().any(is_left_out) {
            loaded.forget_held_out();
        }
        Ok(of_index(&judged, &view, new.index))
    });
    sample.await?.map(Json)
}

impl Bench {
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
    fn question(&self, asked: &Asked) -> Result<(Arc<Loaded>, Question, String), Refusal> {
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
    fn known_view(&self, asked: &Asked) -> Result<(Arc<Judged>, Arc<View>), Refusal> {
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

/// A sample of the gallery: its place among the answers of now, or its index if it is left out and has no answer now.
#[derive(Clone, Copy)]
enum Sample {
    At(usize),
    LeftOut(usize),
}

impl Wanted {
    /// All samples that are wanted, in their order.
    fn samples(&self, judged: &Judged, view: &View) -> Vec<Sample> {
        let answers = &view.assessment.answers;
        let mut places = match self.show {
            Show::Mistakes => answers.mistakes(),
            Show::Doubtful => view.doubtful.clone(),
            Show::All | Show::Corrected => {
                let mut places: Vec<usize> = (0..answers.len()).collect();
                if self.show == Show::Corrected {
                    places
                        .retain(|place| view.corrections.contains_key(&answers.indices()[*place]));
                }
                places.sort_by(|one, other| {
                    answers
                        .confidence(*other)
                        .total_cmp(&answers.confidence(*one))
                });
                places
            }
        };
        let class =
            |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<usize>().ok());
        if let Some(truth) = class(&self.truth) {
            places.retain(|place| answers.labels()[*place] == truth);
        }
        if let Some(answer) = class(&self.answer) {
            places.retain(|place| answers.class(*place) == answer);
        }
        if self.sort == "unsure" && self.show != Show::Doubtful {
            places.reverse();
        }
        let mut samples: Vec<Sample> = places.into_iter().map(Sample::At).collect();
        let is_filtered = class(&self.truth).or(class(&self.answer)).is_some();
        if self.show == Show::Corrected && !is_filtered {
            let left_out = view
                .corrections
                .keys()
                .filter(|index| judged.label(**index).is_none());
            let mut left_out: Vec<usize> = left_out.copied().collect();
            left_out.sort_unstable();
            samples.extend(left_out.into_iter().map(Sample::LeftOut));
        }
        samples
    }
}

fn of_index(judged: &Judged, view: &View, index: usize) -> Value {
    let place = view
        .assessment
        .answers
        .indices()
        .iter()
        .position(|known| *known == index);
    of_sample(
        judged,
        view,
        place.map_or(Sample::LeftOut(index), Sample::At),
    )
}

fn of_sample(judged: &Judged, view: &View, sample: Sample) -> Value {
    let answers = &view.assessment.answers;
    let index = match sample {
        Sample::At(place) => answers.indices()[place],
        Sample::LeftOut(index) => index,
    };
    let dataset = &judged.evaluation.dataset;
    let picture = dataset.thumbnail(index, SIDE);
    let mut value = json!({
        "index": index,
        "name": judged.name(index).unwrap_or_else(|| dataset.path(index).map_or_else(|| dataset.name_of(index), shown)),
        "image": picture.map(|picture| image(picture.media_type, &picture.bytes)),
        "text": dataset.text(index).map(shortened),
        "truth": judged.label(index),
        "correction": view.corrections.get(&index).map(|correction| match correction {
            Correction::Class(_) => "class",
            Correction::LeftOut => "left out",
        }),
    });
    if let Sample::At(place) = sample {
        let truth = answers.labels()[place];
        value["answer"] = json!(answers.class(place));
        value["probability"] = json!(answers.confidence(place));
        value["truth_probability"] = json!(answers.probabilities(place)[truth]);
        value["looks_wrong"] = json!(view.doubtful.contains(&place));
    }
    value
}

/// The start of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
