//! The samples of a data set: pixels in memory or in files, texts, or recordings.
use std::borrow::Cow;
use std::sync::Arc;

use crate::data::clip::Clips;
use crate::data::files::Files;
use crate::data::fingerprint::Fingerprint;
use crate::data::sound::store::Sounds;
use crate::data::text::Texts;
use crate::{Result, Shape};

/// The pixels of all samples, `[n, h, w, c]`, their texts, or their recordings. The index of a sample is its row.
#[derive(Clone, Debug)]
pub(super) enum Pixels {
    Bytes(Arc<Vec<u8>>),
    Floats(Arc<Vec<f32>>),
    Files(Arc<Files>),
    Texts(Arc<Texts>),
    Clips(Arc<Clips>),
    Sounds(Arc<Sounds>),
}

/// The pixels of one sample, `[h, w, c]`, or its text. A recording has the pixels of its spectrogram.
pub(super) enum Sample<'a> {
    Bytes(Cow<'a, [u8]>),
    Floats(&'a [f32]),
    Text(&'a str),
}

impl Pixels {
    /// Whether both are the same memory or the same files.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(one), Self::Bytes(other)) => Arc::ptr_eq(one, other),
            (Self::Floats(one), Self::Floats(other)) => Arc::ptr_eq(one, other),
            (Self::Files(one), Self::Files(other)) => Arc::ptr_eq(one, other),
            (Self::Texts(one), Self::Texts(other)) => Arc::ptr_eq(one, other),
            (Self::Clips(one), Self::Clips(other)) => Arc::ptr_eq(one, other),
            (Self::Sounds(one), Self::Sounds(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The pixels at `row`; every row has `shape`.
    pub(super) fn sample(&self, row: usize, shape: Shape) -> Result<Sample<'_>> {
        let length = shape.len();
        Ok(match self {
            Self::Bytes(bytes) => Sample::Bytes(Cow::Borrowed(&bytes[row * length..][..length])),
            Self::Floats(floats) => Sample::Floats(&floats[row * length..][..length]),
            Self::Files(files) => Sample::Bytes(files.pixels(row)?),
            Self::Texts(texts) => Sample::Text(texts.text(row)),
            Self::Clips(clips) => Sample::Bytes(Cow::Borrowed(clips.bytes(row))),
            Self::Sounds(sounds) => Sample::Bytes(sounds.picture(row)?),
        })
    }

    /// The fingerprint of a sample's file, or of its pixels if it came from no file.
    pub(super) fn fingerprint(&self, row: usize, shape: Shape) -> Fingerprint {
        let length = shape.len();
        match self {
            Self::Bytes(bytes) => {
                let pixels = &bytes[row * length..][..length];
                Fingerprint::new(pixels, pixels, shape)
            }
            // Values without known levels of black and white cannot be compared as pictures.
            Self::Floats(floats) => Fingerprint::of_content(&little_endian(floats, row, length)),
            Self::Files(files) => files.fingerprint(row).clone(),
            Self::Texts(texts) => Fingerprint::of_content(&texts.content(row).to_le_bytes()),
            // Clips that differ in their motion may look alike.
            Self::Clips(clips) => Fingerprint::of_content(&clips.content(row).to_le_bytes()),
            Self::Sounds(sounds) => sounds.fingerprint(row).clone(),
        }
    }

    /// The content hash of a row; the same as in its fingerprint.
    pub(super) fn content(&self, row: usize, shape: Shape) -> u64 {
        let length = shape.len();
        match self {
            Self::Bytes(bytes) => Fingerprint::content_of(&bytes[row * length..][..length]),
            Self::Floats(floats) => Fingerprint::content_of(&little_endian(floats, row, length)),
            Self::Files(files) => files.fingerprint(row).content,
            Self::Texts(texts) => Fingerprint::content_of(&texts.content(row).to_le_bytes()),
            Self::Clips(clips) => Fingerprint::content_of(&clips.content(row).to_le_bytes()),
            Self::Sounds(sounds) => sounds.fingerprint(row).content,
        }
    }
}

/// The bytes of a row of f32 values.
fn little_endian(floats: &[f32], row: usize, length: usize) -> Vec<u8> {
    let numbers = &floats[row * length..][..length];
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The sum and the sum of squares of each channel of bytes `[h, w, c]`.
pub(super) fn moments(pixels: &[u8], channels: usize) -> Vec<[u64; 2]> {
    let of_channel = |channel: usize| {
        let bytes = || pixels[channel..].iter().step_by(channels);
        let sum: u64 = bytes().map(|&byte| u64::from(byte)).sum();
        let squares: u64 = bytes().map(|&byte| u64::from(byte).pow(2)).sum();
        [sum, squares]
    };
    (0..channels).map(of_channel).collect()
}
