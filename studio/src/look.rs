//! A model looks at a picture: one of its held-out samples, or one that the page sent.
use std::path::Path;

use hubel::data::{Kind, Prepared};
use hubel::{Error, Prediction, Result, Score, Shape};
use serde::Deserialize;

use crate::models::{Eyes, Loaded, cpu};
use crate::pictures::Pictures;

/// A question about a picture.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PictureQuestion {
    /// The name of the model.
    pub(crate) model: String,
    /// `sample:7` is the eighth of its held-out samples; `sent:…` is a picture that the page sent; `text:…` is a text.
    pub(crate) picture: String,
    /// The frame of a clip that is shown; without it, the one in the middle.
    pub(crate) frame: Option<usize>,
    /// The class whose score is explained; without it, the predicted one.
    pub(crate) class: Option<String>,
    /// The class whose logit is subtracted.
    pub(crate) against: Option<String>,
}

/// What a model has looked at.
pub(crate) struct Seen {
    picture: String,
    /// As the network reads it, and for display.
    pub(crate) sight: Sight,
    pub(crate) prediction: Prediction,
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

impl Seen {
    /// The pixels of the asked frame.
    ///
    /// # Errors
    /// If it is a text.
    pub(crate) fn frame(&self, loaded: &Loaded, asked: &PictureQuestion) -> Result<&[u8]> {
        let input = loaded.model.input();
        let length = input.frame().len();
        Ok(&self.sight.pixels()?.pixels[asked.frame_in(input) * length..][..length])
    }
}

impl PictureQuestion {
    /// The asked frame of an input; without one, that in the middle.
    pub(crate) fn frame_in(&self, input: Shape) -> usize {
        let frame = self.frame.unwrap_or(input.time / 2);
        frame.min(input.time - 1)
    }
}

/// What the network reads.
pub(crate) enum Sight {
    Pixels(Prepared),
    /// A text: its tokens, and their numbers.
    Tokens(Vec<String>, Vec<f32>),
}

impl Sight {
    fn tensor(&self) -> &[f32] {
        match self {
            Self::Pixels(prepared) => &prepared.tensor,
            Self::Tokens(_, numbers) => numbers,
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// If it is a text.
    pub(crate) fn pixels(&self) -> Result<&Prepared> {
        match self {
            Self::Pixels(prepared) => Ok(prepared),
            Self::Tokens(..) => {
                let problem = "a text has no pixels; choose a model of pictures".to_owned();
                Err(Error::Settings { problem })
            }
        }
    }

    /// The tokens of a text; empty for others.
    pub(crate) fn tokens(&self) -> &[String] {
        match self {
            Self::Pixels(_) => &[],
            Self::Tokens(tokens, _) => tokens,
        }
    }
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
    asked: &PictureQuestion,
) -> Result<Score> {
    let is_seen = (eyes.seen.as_ref()).is_some_and(|seen| seen.picture == asked.picture);
    if !is_seen {
        eyes.seen = None;
        let seen = match asked.picture.split_once(':') {
            Some(("text", text)) => of_text(loaded, text, &asked.picture)?,
            _ if loaded.kind() == Kind::Texts => return Err(missing(&asked.picture)),
            Some(("sample", index)) => of_sample(loaded, index, &asked.picture)?,
            Some(("sent", name)) => of_bytes(loaded, pictures, name, &asked.picture)?,
            _ => return Err(missing(&asked.picture)),
        };
        eyes.explainer.look(seen.sight.tensor());
        eyes.seen = Some(seen);
    }
    let seen = eyes.seen.as_ref().expect("it is seen");
    let model = &loaded.model;
    let class = match &asked.class {
        Some(class) => model.class(class)?,
        None => seen.prediction.index,
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

fn of_sample(loaded: &Loaded, index: &str, picture: &str) -> Result<Seen> {
    let held_out = loaded.held_out()?;
    let dataset = &held_out.dataset;
    let index: usize = index.parse().map_err(|_| missing(picture))?;
    if index >= dataset.len() {
        return Err(missing(picture));
    }
    let prepared = dataset.prepared(&cpu(), index, loaded.model.preparation())?;
    let prepared = prepared.map_err(|bad| Error::Settings {
        problem: format!("{}: {}", hubel::shown(&bad.path), bad.problem),
    })?;
    let sound = || {
        dataset
            .path(index)
            .and_then(|path| std::fs::read(path).ok())
    };
    Ok(Seen {
        truth: Some(dataset.labels()[index]),
        name: dataset.name_of(index),
        ..seen(loaded, picture, prepared, sound)?
    })
}

fn of_bytes(loaded: &Loaded, pictures: &Pictures, name: &str, picture: &str) -> Result<Seen> {
    let bytes = pictures.bytes(name).ok_or_else(|| missing(picture))?;
    let preparation = loaded.model.preparation();
    let prepared = preparation.encoded(&bytes, Path::new("the picture"))?;
    seen(loaded, picture, prepared, || Some(bytes))
}

fn of_text(loaded: &Loaded, text: &str, picture: &str) -> Result<Seen> {
    let (tokens, _) = loaded
        .model
        .vocabulary()?
        .read(text, loaded.model.input().time);
    let numbers = loaded.model.tokens(text)?;
    Ok(Seen {
        picture: picture.to_owned(),
        sight: Sight::Tokens(
            tokens.into_iter().map(|(token, _)| token).collect(),
            numbers,
        ),
        prediction: loaded.with_predictor(|predictor| predictor.predict_text(text))?,
        remarks: Vec::new(),
        truth: None,
        name: "your text".to_owned(),
        sound: None,
        traced: None,
    })
}

/// A prepared picture of the page with its prediction; `sound` reads the file of a recording.
fn seen(
    loaded: &Loaded,
    picture: &str,
    prepared: Prepared,
    sound: impl FnOnce() -> Option<Vec<u8>>,
) -> Result<Seen> {
    let prediction = loaded.with_predictor(|predictor| predictor.predict_prepared(&prepared))?;
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
    let kind = loaded.kind();
    Ok(Seen {
        picture: picture.to_owned(),
        sight: Sight::Pixels(prepared),
        prediction,
        remarks: remarks.map(|(_, remark)| remark).collect(),
        truth: None,
        name: format!("your {}", kind.one()),
        sound: (kind == Kind::Sounds).then(sound).flatten(),
        traced: None,
    })
}
