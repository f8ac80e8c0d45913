//! A model looks at a picture: one of its held-out samples, or one that the page sent.
use std::path::Path;

use hubel::data::Kind;
use hubel::{Error, Result, Score};
use serde::Deserialize;

use crate::models::{Eyes, Loaded};
use crate::pictures::Pictures;

/// What a request asks about.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    /// The name of the model.
    pub(crate) model: String,
    /// `sample:7` is the eighth of its held-out samples; `sent:…` is a picture that the page sent.
    pub(crate) picture: String,
    /// The class whose score is explained; without it, the predicted one.
    pub(crate) class: Option<String>,
    /// The class whose logit is subtracted.
    pub(crate) against: Option<String>,
}

/// What a model has looked at.
pub(crate) struct Seen {
    picture: String,
    /// As the network reads it.
    pub(crate) tensor: Vec<f32>,
    /// The same for display.
    pub(crate) pixels: Vec<u8>,
    pub(crate) probabilities: Vec<f32>,
    pub(crate) is_sure: bool,
    /// What was changed for the network, in words.
    pub(crate) remarks: Vec<&'static str>,
    /// The class that the data gives it, and its name there.
    pub(crate) truth: Option<usize>,
    pub(crate) name: String,
    /// The file of a recording.
    pub(crate) sound: Option<Vec<u8>>,
    /// The score of the gradients in memory.
    traced: Option<Score>,
}

/// The picture is not there.
fn missing(picture: &str) -> Error {
    Error::Settings {
        problem: format!("there is no picture {picture}; choose another one"),
    }
}

/// Brings the maps of the asked picture into memory, and returns the score that is explained.
///
/// # Errors
/// If the picture cannot be used, or a class is unknown.
pub(crate) fn look(
    loaded: &Loaded,
    pictures: &Pictures,
    eyes: &mut Eyes,
    asked: &Asked,
) -> Result<Score> {
    if loaded.kind() == Kind::Texts {
        let problem = "this model reads texts, and has no pictures to look at".to_owned();
        return Err(Error::Settings { problem });
    }
    let is_seen = (eyes.seen.as_ref()).is_some_and(|seen| seen.picture == asked.picture);
    if !is_seen {
        eyes.seen = None;
        let seen = match asked.picture.split_once(':') {
            Some(("sample", index)) => of_sample(loaded, eyes, index, &asked.picture)?,
            Some(("sent", name)) => of_bytes(loaded, pictures, eyes, name, &asked.picture)?,
            _ => return Err(missing(&asked.picture)),
        };
        eyes.explainer.look(&seen.tensor);
        eyes.seen = Some(seen);
    }
    let seen = eyes.seen.as_ref().expect("it is seen");
    let model = &loaded.model;
    let class = match &asked.class {
        Some(class) => model.class(class)?,
        None => most_probable(&seen.probabilities),
    };
    let against = asked.against.as_ref().map(|class| model.class(class));
    let against = against.transpose()?.filter(|against| *against != class);
    Ok(Score { class, against })
}

/// Brings the gradients of the score into memory.
pub(crate) fn trace_back(eyes: &mut Eyes, score: Score) {
    let seen = eyes.seen.as_mut().expect("a picture was looked at");
    if seen.traced != Some(score) {
        eyes.explainer.trace_back(&score);
        seen.traced = Some(score);
    }
}

fn most_probable(probabilities: &[f32]) -> usize {
    let all = probabilities.iter().enumerate();
    let best = all.reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.map_or(0, |(class, _)| class)
}

fn of_sample(loaded: &Loaded, eyes: &mut Eyes, index: &str, picture: &str) -> Result<Seen> {
    let held_out = loaded.held_out()?;
    let dataset = &held_out.dataset;
    let index: usize = index.parse().map_err(|_| missing(picture))?;
    if index >= dataset.len() {
        return Err(missing(picture));
    }
    let preparation = loaded.model.preparation();
    let mut tensor = vec![0.0; loaded.model.input().len()];
    let bad = dataset.fill(&crate::models::cpu(), &[index], preparation, &mut tensor)?;
    if let Some((_, bad)) = bad.into_iter().next() {
        let problem = format!("{}: {}", hubel::shown(&bad.path), bad.problem);
        return Err(Error::Settings { problem });
    }
    let probabilities = eyes.predictor.predict_tensor(&tensor)?.to_vec();
    let largest = probabilities[most_probable(&probabilities)];
    let threshold = loaded.model.threshold();
    Ok(Seen {
        picture: picture.to_owned(),
        pixels: preparation.displayed(&tensor),
        tensor,
        is_sure: threshold.is_none_or(|threshold| largest >= threshold.probability),
        probabilities,
        remarks: Vec::new(),
        truth: Some(dataset.labels()[index]),
        name: dataset.name_of(index),
        sound: (loaded.kind() == Kind::Sounds)
            .then(|| {
                dataset
                    .path(index)
                    .and_then(|path| std::fs::read(path).ok())
            })
            .flatten(),
        traced: None,
    })
}

fn of_bytes(
    loaded: &Loaded,
    pictures: &Pictures,
    eyes: &mut Eyes,
    name: &str,
    picture: &str,
) -> Result<Seen> {
    let bytes = pictures.bytes(name).ok_or_else(|| missing(picture))?;
    let prepared = (loaded.model.preparation()).encoded(&bytes, Path::new("the picture"))?;
    let prediction = eyes.predictor.predict_prepared(&prepared)?;
    let remarks = [
        (
            prepared.inverted,
            "light and dark were exchanged, as in the training pictures",
        ),
        (
            prepared.other_ground,
            "its background differs from that of the training pictures",
        ),
        (
            prepared.greyed,
            "it became grey, since the network reads one channel",
        ),
        (prepared.cut, "the network reads the loudest stretch of it"),
    ];
    let remarks = remarks.into_iter().filter(|(is_so, _)| *is_so);
    Ok(Seen {
        picture: picture.to_owned(),
        tensor: prepared.tensor,
        pixels: prepared.pixels,
        probabilities: prediction.probabilities,
        is_sure: prediction.is_sure,
        remarks: remarks.map(|(_, remark)| remark).collect(),
        truth: None,
        name: format!("your {}", loaded.kind().one()),
        sound: (loaded.kind() == Kind::Sounds).then_some(bytes),
        traced: None,
    })
}
