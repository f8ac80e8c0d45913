//! Pictures on which there is nothing to be seen.
use crate::Result;
use crate::data::Dataset;
use crate::on_all_cores::on_all_cores;
use crate::one_line::thousands;

/// How much is to be seen on a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Something.
    Some,
    /// Next to nothing: all pixels but a few have one colour, give or take noise.
    AlmostNone,
    /// Nothing: all pixels have one colour.
    None,
}

/// How far the channels of pixels may lie apart, in levels, that count as one colour: the noise of a camera, the traces of JPEG.
const NOISE: u8 = 12;
/// One pixel in so many may have another colour: a speck. The thinnest stroke across a picture of 28×28 is one in 28.
const SPECK: usize = 500;
/// A picture of fewer pixels shows nothing in any case.
const FEWEST: usize = 16;
/// Pixels by which the colour of most is found.
const SAMPLE: usize = 4096;

impl Contents {
    /// Of bytes `[h, w, c]`.
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
        // Most pictures are settled by their first rows.
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
    /// Of each class: blank ones, and nearly blank ones.
    counts: Vec<[usize; 2]>,
}

/// Pictures of arrays that a core looks at before it takes others: each takes microseconds.
const AT_A_TIME: usize = 256;

/// At most so many classes are named in a note.
const NAMED: usize = 5;

impl Blanks {
    /// Of pictures with their labels.
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

    /// Of arrays that have the same classes.
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

    /// What is said of them before training.
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
            "blank pictures, of which nothing can be learnt: {}; `check::check` lists them",
            named.join(", ")
        ))
    }
}
