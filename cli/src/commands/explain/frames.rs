//! Which frames of a clip support the class.
use hubel::explain::frames::Frames;
use hubel::{Error, Model};
use serde_json::Value;

use super::Looked;
use crate::args::Explain;
use crate::console;

/// The supports of the frames; `None` if the model reads single pictures.
pub(super) fn of(
    arguments: &Explain,
    model: &Model,
    looked: &Looked,
) -> Result<Option<Frames>, Error> {
    let is_clip = model.input().time > 1;
    let cpu = arguments.processor.cpu();
    let find = || Frames::of(&cpu, model, &looked.prepared.tensor, &looked.score);
    is_clip.then(find).transpose()
}

/// The support of each frame.
pub(super) fn to_json(frames: &Frames) -> Value {
    let supports = frames.supports.iter();
    supports.map(|support| console::decimal(*support)).collect()
}

/// The support of each frame, and what that is.
pub(super) fn text(frames: &Frames) -> String {
    let supports = frames.supports.iter();
    let each: Vec<String> = supports.map(|support| format!("{support:+.2}")).collect();
    format!(
        "{} (what the score loses if a frame shows the one before)",
        each.join(" ")
    )
}
