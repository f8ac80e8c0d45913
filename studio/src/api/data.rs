//! What `hubel check` finds in data, how many samples the classes have, and samples before and after augmentation.
use std::path::{Path, PathBuf};

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use hubel::check::{Finding, Inspection, check as inspect};
use hubel::data::{Correction, Corrections, Kind};
use hubel::shown;
use serde::Deserialize;
use serde_json::{Value, json};

use super::mistakes::working;
use super::{Refusal, blocking, image, no_recording, shortened, sound};
use crate::jobs::State as Work;
use crate::preview::Preview;
use crate::server::Shared;
use crate::{find, places};

/// Findings of a kind in one answer.
const FINDINGS: usize = 12;
/// Samples of a finding.
const SAMPLES: usize = 8;
/// Longer side of a picture, in pixels.
const SIDE: u32 = 160;
/// Most versions of a sample, and most samples, in one answer.
const MOST_VERSIONS: usize = 12;
const MOST_SAMPLES: usize = 8;

/// Data to examine.
#[derive(Deserialize)]
pub(super) struct ToExamine {
    data: String,
    /// Whether it is read again.
    #[serde(default)]
    again: bool,
}

/// `/api/data/choices`: the data that is shown first, if there is one, and what can be chosen.
pub(super) async fn choices(State(shared): State<Shared>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let runs = find::runs(&shared.opening.runs).runs.into_iter();
        let of_runs = runs.filter_map(|run| shared.models.data_of(&run.path));
        let mut names: Vec<String> = Vec::new();
        let mut usual = None;
        for path in shared.opening.data.clone().into_iter().chain(of_runs) {
            let name = match path.canonicalize() {
                Ok(real) => shared.work.places.name_of(&real),
                Err(_) => path.display().to_string(),
            };
            // Data elsewhere cannot be shown.
            if shared.work.places.data_at(&name).is_ok() && !names.contains(&name) {
                usual.get_or_insert(name.clone());
                names.push(name);
            }
        }
        // Which of the folders hold data is seen when one is chosen.
        let folders = find::folders(&shared.opening.runs).into_iter();
        let folders =
            folders.map(|name| shared.work.places.name_of(&shared.opening.runs.join(name)));
        for name in folders.chain([places::EMBEDDED.to_owned()]) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        json!({ "usual": usual, "known": names })
    });
    list.await.map(Json)
}

/// `/api/data?data=…`: how far the examination is, or what it found.
pub(super) async fn check(
    State(shared): State<Shared>,
    Query(ToExamine { data: name, again }): Query<ToExamine>,
) -> Result<Json<Value>, Refusal> {
    let found = blocking(move || {
        let path = path_of(&shared, &name)?;
        if again {
            shared.work.checked.forget(|data| *data == path);
            shared.work.previews.forget(|data| *data == path);
        }
        let (work, data) = (shared.work.clone(), path.clone());
        let state = shared.work.checked.ask(path.clone(), move |progress| {
            progress.begin("finding the files");
            work.places.check(&data)?;
            progress.begin("examining");
            let inspection = inspect(&data, &|done, all| progress.set(done, all));
            inspection.map_err(|error| error.to_string())
        });
        match state {
            Work::Working { what, done, all } => Ok(working(what, done, all)),
            Work::Failed(problem) => Err(Refusal::unusable(problem)),
            Work::Done(inspection) => of_inspection(&inspection, &path, &name),
        }
    });
    found.await?.map(Json)
}

fn of_inspection(inspection: &Inspection, path: &Path, name: &str) -> Result<Value, Refusal> {
    let corrections = match Corrections::are_possible_in(path) {
        true => Corrections::read(path)?,
        false => Corrections::default(),
    };
    let corrections = corrections.samples().map(|(sample, correction)| {
        let class = match correction {
            Correction::Class(class) => Some(class),
            Correction::LeftOut => None,
        };
        json!({ "sample": sample, "class": class })
    });
    let kinds = inspection.by_kind().map(|(kind, findings)| {
        json!({
            "kind": kind.to_string(),
            "is_grave": inspection.is_grave_kind(kind),
            "advice": kind.advice(),
            "count": findings.len(),
            "paths": findings.iter().map(|finding| finding.paths.len()).sum::<usize>(),
        })
    });
    let classes = inspection.classes().into_iter().map(|own| {
        json!({ "class": own.class, "training": own.training, "validation": own.validation, "test": own.test })
    });
    Ok(json!({
        "state": "done",
        "data": name,
        "description": inspection.description,
        "notes": inspection.notes,
        "verdict": inspection.verdict(),
        "is_grave": inspection.is_grave(),
        "kinds": kinds.collect::<Vec<_>>(),
        "classes": classes.collect::<Vec<_>>(),
        "corrections": corrections.collect::<Vec<_>>(),
        "corrections_file": Corrections::FILE,
    }))
}

/// Which findings are wanted.
#[derive(Deserialize)]
pub(super) struct Wanted {
    data: String,
    kind: String,
    #[serde(default)]
    from: usize,
}

/// `/api/data/findings?data=…&kind=…&from=…`: findings of a kind with their samples.
pub(super) async fn findings(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let found = blocking(move || {
        let path = path_of(&shared, &wanted.data)?;
        let inspection = shared.work.checked.known(&path).ok_or_else(changed)?;
        let of_kind = inspection
            .by_kind()
            .find(|(kind, _)| kind.to_string() == wanted.kind);
        let all = of_kind.map(|(_, findings)| findings).unwrap_or_default();
        let shown = all.iter().skip(wanted.from).take(FINDINGS);
        let shown: Vec<Value> = shown
            .map(|finding| of_finding(&inspection, &path, finding))
            .collect();
        Ok::<_, Refusal>(
            json!({ "count": all.len(), "from": wanted.from, "page": FINDINGS, "findings": shown }),
        )
    });
    found.await?.map(Json)
}

/// Nobody has asked for this data, or it was forgotten.
fn changed() -> Refusal {
    Refusal::missing("the data has changed; load the page again".into())
}

fn of_finding(inspection: &Inspection, data: &Path, finding: &Finding) -> Value {
    let samples = finding.paths.iter().take(SAMPLES).map(|name| {
        let picture = inspection.thumbnail(name, SIDE);
        let below = Path::new(name).strip_prefix(data);
        let is_recording = inspection.kind() == Kind::Sounds && inspection.path(name).is_some();
        json!({
            "name": shown(below.unwrap_or(Path::new(name))),
            "image": picture.map(|picture| image(picture.media_type, &picture.bytes)),
            "text": inspection.text(name).map(shortened),
            "recording": is_recording.then_some(name),
        })
    });
    json!({
        "detail": finding.detail,
        "points": finding.points,
        "samples": samples.collect::<Vec<_>>(),
        "more": finding.paths.len().saturating_sub(SAMPLES),
    })
}

/// A recording of data.
#[derive(Deserialize)]
pub(super) struct Recording {
    data: String,
    /// Its path, as the other answers have it.
    name: String,
}

/// `/api/data/recording?data=…&name=…`: the file of a recording.
pub(super) async fn recording(
    State(shared): State<Shared>,
    Query(Recording { data, name }): Query<Recording>,
) -> Result<Response, Refusal> {
    let file = blocking(move || {
        let path = path_of(&shared, &data)?;
        let inspection = shared.work.checked.known(&path).ok_or_else(changed)?;
        let path = (inspection.kind() == Kind::Sounds).then(|| inspection.path(&name));
        path.flatten().and_then(sound).ok_or_else(no_recording)
    });
    file.await?
}

/// How samples are augmented.
#[derive(Deserialize)]
pub(super) struct Augmented {
    data: String,
    /// Empty: that of a training without settings.
    #[serde(default)]
    augment: String,
    versions: usize,
    samples: usize,
    /// The first sample.
    #[serde(default)]
    from: usize,
}

/// `/api/data/augmented?…`: training samples beside augmented versions of them.
pub(super) async fn augmented(
    State(shared): State<Shared>,
    Query(wanted): Query<Augmented>,
) -> Result<Json<Value>, Refusal> {
    let drawn = blocking(move || {
        let path = path_of(&shared, &wanted.data)?;
        let (work, data) = (shared.work.clone(), path.clone());
        let state = shared.work.previews.ask(path, move |progress| {
            Preview::new(&work.places, &data, progress)
        });
        match state {
            Work::Working { what, done, all } => Ok(working(what, done, all)),
            Work::Failed(problem) => Err(Refusal::unusable(problem)),
            Work::Done(preview) => Ok(of_preview(&preview, &wanted)?),
        }
    });
    drawn.await?.map(Json)
}

fn of_preview(preview: &Preview, wanted: &Augmented) -> hubel::Result<Value> {
    let about = json!({
        "state": "done",
        "usual": preview.usual.to_string(),
        "description": preview.description,
        "kind": preview.kind().plural(),
        "count": preview.len(),
    });
    let mut value = about;
    let (feed, augmentation) = match preview.feed(&wanted.augment) {
        Ok(feed) => feed,
        Err(error) => {
            value["problem"] = json!(error.to_string());
            return Ok(value);
        }
    };
    let drawn = match preview.kind() {
        Kind::Texts => 0,
        _ => 1 + wanted.versions.clamp(1, MOST_VERSIONS),
    };
    let samples = preview.spread(wanted.from, wanted.samples.clamp(1, MOST_SAMPLES));
    let samples = samples.into_iter().map(|index| {
        let (class, name) = preview.about(index);
        // Each epoch augments in another way, and epoch 0 not at all.
        let images = (0..drawn).map(|epoch| {
            let small = feed.thumbnail(epoch, index, SIDE)?;
            Ok(small.map(|small| image(small.media_type, &small.bytes)))
        });
        let images: hubel::Result<Vec<Option<String>>> = images.collect();
        Ok(json!({
            "class": class,
            "name": name,
            "images": images?,
            "text": preview.text(index).map(shortened),
            "recording": preview.recording(index),
        }))
    });
    let samples: hubel::Result<Vec<Value>> = samples.collect();
    value["augmentation"] = json!(augmentation.to_string());
    value["samples"] = json!(samples?);
    Ok(value)
}

fn path_of(shared: &Shared, data: &str) -> Result<PathBuf, Refusal> {
    let path = shared.work.places.data_at(data);
    path.map_err(Refusal::unusable)
}
