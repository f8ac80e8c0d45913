//! The gallery: samples by label and answer, recordings to listen to, and the correction of labels.
use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use hubel::data::{Correction, Kind};
use hubel::shown;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ModelAndData;
use crate::api::words::Explained;
use crate::api::{Refusal, blocking, image, no_recording, shortened, sound};
use crate::judge::{Change, Judged, View};
use crate::server::Shared;

/// Samples on a page of the gallery.
const PAGE: usize = 24;
/// Longer side of a picture, in pixels.
const SIDE: u32 = 160;

/// Which samples are wanted.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    #[serde(flatten)]
    asked: ModelAndData,
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
pub(in crate::api) async fn samples(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let page = blocking(move || {
        let (judged, view) = shared.known_view(&wanted.asked)?;
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

/// A sample of the gallery.
#[derive(Deserialize)]
pub(in crate::api) struct One {
    model: String,
    #[serde(default)]
    data: String,
    index: usize,
}

/// `/api/mistakes/recording?…&index=…`: the file of a recording.
pub(in crate::api) async fn recording(
    State(shared): State<Shared>,
    Query(One { model, data, index }): Query<One>,
) -> Result<Response, Refusal> {
    let file = blocking(move || {
        let (judged, _) = shared.known_view(&ModelAndData { model, data })?;
        let dataset = &judged.evaluation.dataset;
        let is_one = dataset.kind() == Kind::Sounds && index < dataset.len();
        let path = is_one.then(|| dataset.path(index)).flatten();
        path.and_then(sound).ok_or_else(no_recording)
    });
    file.await?
}

/// `/api/mistakes/words?…&index=…`: a text, with what each word adds to the score of the predicted class.
pub(in crate::api) async fn words(
    State(shared): State<Shared>,
    Query(One { model, data, index }): Query<One>,
) -> Result<Json<Value>, Refusal> {
    let explained = blocking(move || {
        let asked = ModelAndData { model, data };
        let (judged, _) = shared.known_view(&asked)?;
        let dataset = &judged.evaluation.dataset;
        let text = (index < dataset.len()).then(|| dataset.text(index));
        let text = text.flatten();
        let text = text.ok_or_else(|| Refusal::missing("there is no such text".into()))?;
        let (loaded, ..) = shared.question(&asked)?;
        let explained = Explained::new(&loaded, text, None)?;
        Ok::<_, Refusal>(explained.answer(&loaded.model))
    });
    explained.await?.map(Json)
}

/// A new label.
#[derive(Deserialize)]
pub(in crate::api) struct NewLabel {
    #[serde(flatten)]
    asked: ModelAndData,
    index: usize,
    /// `class`, `leave-out` or `undo`.
    change: String,
    /// The index of the class.
    class: Option<usize>,
}

/// `POST /api/mistakes/label`: corrects the label of a sample, and returns the sample.
pub(in crate::api) async fn label(
    State(shared): State<Shared>,
    Json(new): Json<NewLabel>,
) -> Result<Json<Value>, Refusal> {
    let sample = blocking(move || {
        let (judged, _) = shared.known_view(&new.asked)?;
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
        let (loaded, question, _) = shared.question(&new.asked)?;
        let work = &shared.work;
        work.judged
            .forget(|known| known.data == question.data && *known != question);
        work.checked.forget(|data| *data == question.data);
        work.previews.forget(|data| *data == question.data);
        let (judged, view) = shared.known_view(&new.asked)?;
        // Read again, the samples have other numbers where one is left out. The links to the view See have the numbers of now.
        let is_left_out = |correction: &Correction| *correction == Correction::LeftOut;
        if judged.is_own && !view.corrections.values().any(is_left_out) {
            loaded.forget_held_out();
        }
        Ok(of_index(&judged, &view, new.index))
    });
    sample.await?.map(Json)
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
