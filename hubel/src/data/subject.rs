//! What a data set was taken for, by looking at some of its pictures: what a network is trained on, and how, follows from it.
use std::fmt;

use crate::data::grey::{is_grey, luma};
use crate::data::ground::Ground;
use crate::data::resize::{self, Resize};
use crate::data::{Augmentation, Dataset, Preparation, Presets, Sampled};
use crate::on_all_cores::on_all_cores;
use crate::{Result, Shape};

/// What the pictures of a data set are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// Their shape.
    pub shape: Shape,
    /// Whether they are without colour.
    pub is_grey: bool,
    /// The plain ground that they stand on, if they have a common one.
    pub ground: Option<Ground>,
    /// What their mirror images are.
    pub mirrored: Mirrored,
    /// Whether it is known what is black and what is white; not of numbers that are trained on as they are.
    pub has_levels: bool,
}

/// What mirror images of pictures are, as far as pictures that look like them say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// Like other pictures of the same classes: photographs of most things.
    Alike,
    /// Like pictures of other classes, or of none: digits, arrows.
    OfOtherClasses,
    /// Unlike other pictures (shoes that all point to the left), or nothing is known: there are few pictures, or numbers instead of bytes.
    Uncertain,
}

/// Pictures whose longer side has at most so many pixels are small.
const SMALL: usize = 32;
/// Pictures are compared at this size.
const SIDE: usize = 16;
/// The root of the sum of squares of a picture that is compared.
const NORM: f32 = 4096.0;
/// Of fewer pictures nothing is said.
const FEWEST: usize = 50;

impl Subject {
    /// Whether training may show mirror images: of colour pictures unless they are known to be of other classes, of grey ones, which may be
    /// writing or X-rays, only if they are known to be of the same.
    pub fn may_be_flipped(&self) -> bool {
        match self.mirrored {
            Mirrored::Alike => true,
            Mirrored::OfOtherClasses => false,
            Mirrored::Uncertain => !self.is_grey,
        }
    }

    /// Whether pictures are like those that defaults were measured on for small grey ones (MNIST, Fashion-MNIST, digits of 8×8): of one channel, and
    /// small, or things on a plain ground.
    pub fn is_simple(&self) -> bool {
        let small = self.shape.height.max(self.shape.width) <= SMALL;
        self.shape.channels == 1 && (small || self.polarity().is_some())
    }

    /// What the names of augmentation presets stand for.
    pub fn presets(&self) -> Presets {
        match (self.may_be_flipped(), self.is_simple()) {
            (true, _) => Presets::Pictures,
            (false, true) => Presets::Simple,
            (false, false) => Presets::Unflipped,
        }
    }

    /// The ground of pictures whose light and dark is exchanged before a network sees them: the opposite of the data's.
    pub fn inverted(&self) -> Option<&'static str> {
        let is_dark = self.polarity().filter(|_| self.shape.channels == 1)?;
        Some(if is_dark { "light" } else { "dark" })
    }

    /// What suits them, where the user asks for nothing: `standard`, `light` for small grey pictures that are not known to be writing, and
    /// nothing for numbers of which it is not known what is black and what is white.
    /// Measured in docs/benchmarks/2026-11-29-grey-defaults.txt: turning and shearing helps digits, and does clothes no good.
    pub fn usual_augmentation(&self) -> Augmentation {
        if !self.has_levels {
            return Augmentation::none();
        }
        let is_writing = self.mirrored == Mirrored::OfOtherClasses;
        let name = match self.is_simple() && !is_writing {
            true => "light",
            false => "standard",
        };
        Augmentation::preset(name, self.presets()).unwrap_or_default()
    }

    /// Whether things are light on a dark ground, or dark on a light one.
    fn polarity(&self) -> Option<bool> {
        self.ground?.is_dark()
    }
}

/// "grey pictures, light on a dark ground; …".
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_grey, self.shape.channels) {
            (true, _) => "grey pictures",
            (false, 3) => "colour pictures",
            (false, _) => "maps",
        })?;
        f.write_str(match self.polarity() {
            Some(true) => " on a dark ground",
            Some(false) => " on a light ground",
            None => "",
        })?;
        f.write_str(match (self.mirrored, self.may_be_flipped()) {
            (Mirrored::Alike, _) => ", whose mirror images are like them",
            (Mirrored::OfOtherClasses, _) => ", whose mirror images look like other classes",
            (Mirrored::Uncertain, true) => ", whose mirror images are probably of the same class",
            (Mirrored::Uncertain, false) => ", whose mirror images may mean something else",
        })
    }
}

impl Dataset {
    /// Whether the samples are red, green and blue, and some of up to 1,000 of them show colour.
    ///
    /// # Errors
    /// As of [`Dataset::subject`].
    pub(crate) fn has_colour(&self) -> Result<bool> {
        let shape = self.shape();
        Ok(shape.channels == 3 && !are_grey(&self.some()?, shape))
    }

    /// Finds out what the samples are by looking at up to 1,000 of them.
    ///
    /// # Errors
    /// Where a picture that is not kept in memory can no longer be read from its file.
    pub fn subject(&self) -> Result<Subject> {
        let shape = self.shape();
        let samples = self.some()?;
        let mirrored = match shape.channels {
            1 | 3 => Likeness::of(&samples, shape).verdict(),
            _ => Mirrored::Uncertain,
        };
        Ok(Subject {
            shape,
            is_grey: are_grey(&samples, shape),
            ground: Preparation::ground(self)?,
            mirrored,
            has_levels: !self.is_of_floats(),
        })
    }
}

/// Whether samples of this shape are without colour.
fn are_grey(samples: &[Sampled<'_>], shape: Shape) -> bool {
    match shape.channels {
        3 => !samples.is_empty() && samples.iter().all(|sample| is_grey(&sample.pixels)),
        channels => channels == 1,
    }
}

/// How like mirror images are to the other pictures, compared with the pictures themselves.
#[derive(Debug)]
struct Likeness {
    count: usize,
    /// Share of the pictures whose most similar other picture is of their class.
    right: f64,
    /// The same share of their mirror images.
    mirrored_right: f64,
    /// Share of the mirror images that find a more similar picture than the picture itself does; equal ones count half.
    /// A half where pictures come in both directions.
    at_home: f64,
}

/// The most similar other picture: its likeness, and whether it is of the same class.
type Nearest = (i32, bool);

impl Likeness {
    fn of(samples: &[Sampled<'_>], shape: Shape) -> Self {
        let vectors = on_all_cores(
            samples.iter(),
            |sample| directions(&sample.pixels, shape),
            |_| (),
        );
        let nearest = |at: usize, picture: &[i16]| -> Nearest {
            let others = vectors.iter().enumerate().filter(|(other, _)| *other != at);
            let likeness = others.map(|(other, (vector, _))| (product(picture, vector), other));
            // Of equal ones the first.
            let best =
                likeness.max_by_key(|&(likeness, other)| (likeness, std::cmp::Reverse(other)));
            best.map_or((0, false), |(likeness, other)| {
                (likeness, samples[other].label == samples[at].label)
            })
        };
        let found = on_all_cores(
            vectors.iter().enumerate(),
            |(at, (picture, mirrored))| (nearest(at, picture), nearest(at, mirrored)),
            |_| (),
        );
        let share = |holds: &dyn Fn(&(Nearest, Nearest)) -> f64| {
            found.iter().map(holds).sum::<f64>() / found.len().max(1) as f64
        };
        Self {
            count: found.len(),
            right: share(&|(own, _)| f64::from(own.1)),
            mirrored_right: share(&|(_, mirrored)| f64::from(mirrored.1)),
            at_home: share(&|(own, mirrored)| match mirrored.0.cmp(&own.0) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            }),
        }
    }

    /// Shares that were found: at home 0.49 and 0.51 of ants and bees and of CIFAR-10, 0.29 to 0.32 of emoji, 0.23 of Fashion-MNIST, 0.04 of
    /// digits; mirror images have 0.9 to 1.1 times as many right neighbours in photographs and emoji, 0.7 in Fashion-MNIST, 0.3 among digits, none among arrows.
    fn verdict(&self) -> Mirrored {
        // Two standard deviations of a share of a half.
        let doubt = 1.0 / (self.count.max(1) as f64).sqrt();
        if self.mirrored_right + doubt < 0.6 * self.right {
            Mirrored::OfOtherClasses
        } else if self.count >= FEWEST
            && self.at_home >= 0.4
            && self.mirrored_right >= 0.8 * self.right
        {
            Mirrored::Alike
        } else {
            Mirrored::Uncertain
        }
    }
}

/// A picture and its mirror image as vectors of one length, whose product is their correlation; zeros where nothing is to be seen.
fn directions(pixels: &[u8], shape: Shape) -> (Vec<i16>, Vec<i16>) {
    let grey: Vec<u8> = match shape.channels {
        3 => pixels
            .chunks_exact(3)
            .map(|rgb| luma(rgb[0], rgb[1], rgb[2]))
            .collect(),
        _ => pixels.to_vec(),
    };
    let size = (shape.height.min(SIDE), shape.width.min(SIDE));
    let small = resize::fit(
        &grey,
        (shape.height, shape.width),
        size,
        &[0],
        Resize::Stretch,
    );
    let mean = small.iter().map(|&level| f32::from(level)).sum::<f32>() / small.len() as f32;
    let squares: f32 = small
        .iter()
        .map(|&level| (f32::from(level) - mean).powi(2))
        .sum();
    let scale = if squares > 0.0 {
        NORM / squares.sqrt()
    } else {
        0.0
    };
    let direction = small
        .iter()
        .map(|&level| ((f32::from(level) - mean) * scale).round() as i16);
    let picture: Vec<i16> = direction.collect();
    let mirrored = picture
        .chunks_exact(size.1)
        .flat_map(|row| row.iter().rev().copied());
    let mirrored = mirrored.collect();
    (picture, mirrored)
}

fn product(one: &[i16], other: &[i16]) -> i32 {
    let pairs = std::iter::zip(one, other);
    pairs
        .map(|(&one, &other)| i32::from(one) * i32::from(other))
        .sum()
}

#[cfg(test)]
mod tests;
