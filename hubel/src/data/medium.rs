//! What the samples of a data set are, and what a model was trained on.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::{SoundSettings, Vocabulary};
use crate::{Error, Result};

/// What the samples of a data set are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures, or other maps of numbers.
    #[default]
    Pictures,
    /// Texts.
    Texts,
    /// Clips: pictures that follow each other.
    Clips,
    /// Recordings: sound files.
    Sounds,
}

impl Kind {
    /// The plural: `images`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Pictures => "images",
            Self::Texts => "texts",
            Self::Clips => "clips",
            Self::Sounds => "recordings",
        }
    }

    /// The singular: `image`.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Pictures => "image",
            Self::Texts => "text",
            Self::Clips => "clip",
            Self::Sounds => "recording",
        }
    }

    /// One of them, as [`Kind`] prints many: `picture`.
    pub fn one(self) -> &'static str {
        match self {
            Self::Pictures => "picture",
            kind => kind.singular(),
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "pictures" => Ok(Self::Pictures),
            "clips" => Ok(Self::Clips),
            "sound" | "sounds" | "recordings" => Ok(Self::Sounds),
            "text" | "texts" => Ok(Self::Texts),
            _ => Err(Error::Settings {
                problem: format!(
                    "there is no kind of data called `{text}`; use pictures, clips, sound or text"
                ),
            }),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pictures => "pictures",
            Self::Texts => "texts",
            Self::Clips => "clips",
            Self::Sounds => "recordings",
        })
    }
}

/// What a model was trained on, with what turns a sample into the network's input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Medium {
    /// Pictures, or other maps of numbers.
    #[default]
    Picture,
    /// Texts; the input is the numbers of their tokens.
    Text(Vocabulary),
    /// Clips; the input is some of their frames.
    Clip(ClipSettings),
    /// Recordings; the input is their spectrogram.
    Sound(SoundSettings),
}

impl Medium {
    /// The kind of data.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Picture => Kind::Pictures,
            Self::Text(_) => Kind::Texts,
            Self::Clip(_) => Kind::Clips,
            Self::Sound(_) => Kind::Sounds,
        }
    }

    /// The vocabulary of texts.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Self::Text(vocabulary) => Some(vocabulary),
            Self::Picture | Self::Clip(_) | Self::Sound(_) => None,
        }
    }

    /// How recordings become the input.
    pub fn sound(&self) -> Option<&SoundSettings> {
        match self {
            Self::Sound(settings) => Some(settings),
            Self::Picture | Self::Text(_) | Self::Clip(_) => None,
        }
    }
}

/// How the frames of a network's input are taken from a clip. The input's time is their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipSettings {
    /// Frames per second. `None`: the frames are spread evenly over the whole clip.
    pub rate: Option<f32>,
}
