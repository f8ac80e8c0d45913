//! Clips: animated pictures, folders of numbered frames, and video files, each read as the same number of frames.
#[cfg(feature = "pictures")]
mod decode;
#[cfg(feature = "pictures")]
mod frames;
#[cfg(feature = "pictures")]
mod read;
#[cfg(feature = "pictures")]
mod video;

use std::path::{Path, PathBuf};

use crate::data::sound;

#[cfg(feature = "pictures")]
pub(super) use decode::is_animated;
#[cfg(feature = "pictures")]
pub(crate) use decode::{Examined, examine, film_of};
#[cfg(feature = "pictures")]
pub(super) use frames::Frames;
#[cfg(feature = "pictures")]
pub(super) use read::{splits, with_preparation};
#[cfg(feature = "pictures")]
pub(crate) use video::{require, require_for};

/// The endings of video files.
pub(super) const ENDINGS: [&str; 12] = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv", "ogv", "3gp",
];

/// Whether a file is a video by its ending.
pub(super) fn is_video(path: &Path) -> bool {
    sound::has_ending(path, &ENDINGS)
}

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
