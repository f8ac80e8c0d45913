//! Detects blank pictures.
use crate::Result;
use crate::data::Dataset;
use crate::on_all_cores::on_all_cores;
use crate::one_line::thousands;

/// How much a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Something.
    Some,
    /// Almost nothing: all pixels except a few have one colour, up to noise.
    AlmostNone,
    /// Nothing: all pixels have one colour.
    None,
}

/// Colours that differ by at most this many levels per channel count as one: noise of a camera, JPEG artefacts.
const NOISE: u8 = 12;
/// One pixel in this many may have another colour: a speck. The thinnest stroke across a picture of 28×28 is one in 28.
const SPECK: usize = 500;
/// A picture with fewer pixels shows nothing in any case.
const FEWEST: usize = 16;
/// Number of pixels sampled to find the most frequent colour.
const SAMPLE: usize = 4096;

impl Contents {
    /// From bytes `[h, w, c]`.
    pub(crate) fn of(pixels: &[u8], channels: usize) -> Self {
        let count = pixels.len() / channels;
        if count < FEWEST {
            return Self::Some;
        }
        let step = count.div_ceil(SAMPLE).max(1);
        let most: Vec<u8> = (0..channels)
            .map(|channel| {
                let sample = pixels[channel..].iter().step_by(step * channels);
                let mut levels: Vec<u8> = sample.copied().collect();
                let middle = levels.len() / 2;
                *levels.select_nth_unstable(middle).1
            })
            .collect();
        if pixels.chunks_exact(channels).all(|pixel| pixel == most) {
            return Self::None;
        }
        let differs = |pixel: &&[u8]| {
            let mut levels = std::iter::zip(*pixel, &most);
            levels.any(|(level, most)| level.abs_diff(*most) > NOISE)
        };
        // For most pictures the first rows suffice.
        let specks = count / SPECK;
        let others = pixels.chunks_exact(channels).filter(differs);
        match others.take(specks + 1).count() > specks {
            true => Self::Some,
            false => Self::AlmostNone,
        }
    }
}

/// Blank pictures, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blanks {
    /// For each class: the number of blank and of nearly blank pictures.
    counts: Vec<[usize; 2]>,
}

/// Pictures of arrays per work item, because each takes only microseconds.
const AT_A_TIME: usize = 256;

/// Most classes that a note names.
const NAMED: usize = 5;

impl Blanks {
    /// Counts pictures with their labels.
    pub(crate) fn count(classes: usize, pictures: impl Iterator<Item = (usize, Contents)>) -> Self {
        let mut counts = vec![[0; 2]; classes];
        for (label, contents) in pictures {
            match contents {
                Contents::None => counts[label][0] += 1,
                Contents::AlmostNone => counts[label][1] += 1,
                Contents::Some => {}
            }
        }
        Self { counts }
    }

    /// Counts arrays with the same classes.
    ///
    /// # Errors
    /// As of [`Dataset::bytes`].
    pub(crate) fn of_parts<'a>(
        classes: &[String],
        parts: impl Iterator<Item = &'a Dataset>,
    ) -> Result<Self> {
        let mut pictures = Vec::new();
        for part in parts {
            let channels = part.shape().channels;
            let indices: Vec<usize> = (0..part.len()).collect();
            let of_picture = |&index: &usize| -> Result<_> {
                let pixels = part.bytes(index)?;
                let contents = pixels.map(|pixels| Contents::of(&pixels, channels));
                Ok((part.labels()[index], contents.unwrap_or(Contents::Some)))
            };
            let of_some =
                |indices: &[usize]| -> Result<Vec<_>> { indices.iter().map(of_picture).collect() };
            for some in on_all_cores(indices.chunks(AT_A_TIME), of_some, |_| ()) {
                pictures.extend(some?);
            }
        }
        Ok(Self::count(classes.len(), pictures.into_iter()))
    }

    /// The notes before training.
    pub(crate) fn note(&self, classes: &[String]) -> Option<String> {
        let of_class = |(class, [blank, nearly]): (&String, &[usize; 2])| {
            let text = match (blank, nearly) {
                (0, 0) => return None,
                (_, 0) => thousands(*blank),
                (0, _) => format!("{} nearly", thousands(*nearly)),
                _ => format!("{} and {} nearly", thousands(*blank), thousands(*nearly)),
            };
            Some(format!("{text} of `{class}`"))
        };
        let mut named: Vec<String> = classes
            .iter()
            .zip(&self.counts)
            .filter_map(of_class)
            .collect();
        if named.is_empty() {
            return None;
        }
        let more = named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        if more > 0 {
            named.push(format!("some of {more} more classes"));
        }
        Some(format!(
            "blank pictures, from which nothing can be learned: {}; `check::check` lists them",
            named.join(", ")
        ))
    }
}
