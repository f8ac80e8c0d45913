//! Clips: animated pictures, folders of numbered frames, and video files, each read as the same number of frames.
mod decode;
mod read;
mod video;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::folder;

pub(super) use decode::{is_animated, numbered};
pub(super) use read::{splits, with_preparation};
pub(super) use video::ENDINGS;

/// How the frames of a network's input are taken from a clip. The input's time is their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipSettings {
    /// Frames per second. `None`: the frames are spread evenly over the whole clip.
    pub rate: Option<f32>,
}

/// Frames per second of clips that do not say it: folders of frames, and animations without delays.
const USUAL_RATE: f32 = 25.0;

/// The clips of a data set, all of one shape. The index of a clip is its row.
#[derive(Debug)]
pub(super) struct Clips {
    paths: Vec<PathBuf>,
    /// The hash of the files of each clip.
    contents: Vec<u64>,
    /// `[n, t, h, w, c]`
    bytes: Vec<u8>,
    /// Bytes of a clip.
    length: usize,
}

impl Clips {
    pub(super) fn path(&self, row: usize) -> &Path {
        &self.paths[row]
    }

    pub(super) fn content(&self, row: usize) -> u64 {
        self.contents[row]
    }

    /// `[t, h, w, c]`
    pub(super) fn bytes(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.length..][..self.length]
    }
}

/// The clips at `path`: itself, if it is a file or a folder of numbered frames; otherwise the clips in the folder, by name.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the folder cannot be read.
pub fn clips_at(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let contents = folder::contents(path)?;
    if numbered(&contents.files).len() > 1 {
        return Ok(vec![path.to_owned()]);
    }
    let mut clips = Vec::new();
    for folder in contents.folders {
        clips.extend(clips_at(&folder)?);
    }
    let is_clip =
        |file: &PathBuf| folder::kind_of(file).is_some_and(|kind| kind != super::Kind::Texts);
    clips.extend(contents.files.into_iter().filter(is_clip));
    Ok(clips)
}

impl ClipSettings {
    /// The indices of `frames` frames out of those at `times`, in seconds from the start, in ascending order. `end` is the end of the last one.
    ///
    /// # Panics
    /// If there are no times.
    fn choose(&self, times: &[f32], end: f32, frames: usize) -> Vec<usize> {
        // The middles of equal parts of the clip, or times at the rate around its middle.
        let step = match self.rate {
            None => end / frames as f32,
            Some(rate) => 1.0 / rate,
        };
        let first = (end - step * frames as f32) / 2.0 + step / 2.0;
        let shown_at = |time: f32| {
            times
                .partition_point(|start| *start <= time)
                .saturating_sub(1)
        };
        (0..frames)
            .map(|frame| shown_at(first + frame as f32 * step))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_over_the_clip_or_taken_at_a_rate() {
        let even = ClipSettings::default();
        let times: Vec<f32> = (0..10).map(|frame| frame as f32 / 10.0).collect();
        assert_eq!(even.choose(&times, 1.0, 5), [1, 3, 5, 7, 9]);
        assert_eq!(even.choose(&times, 1.0, 2), [2, 7]);
        assert_eq!(even.choose(&[0.0, 0.9], 1.0, 4), [0, 0, 0, 0]);
        assert_eq!(even.choose(&[0.0], 0.04, 3), [0, 0, 0]);
        let at_10 = ClipSettings { rate: Some(10.0) };
        assert_eq!(at_10.choose(&times, 1.0, 4), [3, 4, 5, 6]);
        // A short clip repeats its first and last frame.
        assert_eq!(at_10.choose(&[0.0, 0.1], 0.2, 4), [0, 0, 1, 1]);
    }
}
