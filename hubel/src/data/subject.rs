//! Detects the kind of pictures in a data set from some of them. The default network and settings follow from it.
use std::fmt;

use crate::data::grey::{is_grey, luma};
use crate::data::ground::Ground;
use crate::data::resize::{self, Resize};
use crate::data::{Augmentation, Dataset, Kind, Preparation, Presets, Sampled};
use crate::on_all_cores::on_all_cores;
use crate::{Result, Shape};

/// The kind of pictures in a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// Their shape.
    pub shape: Shape,
    /// Whether they have no colour.
    pub is_grey: bool,
    /// Their common plain background, if they have one.
    pub ground: Option<Ground>,
    /// The meaning of their mirror images.
    pub mirrored: Mirrored,
    /// Whether black and white are known; not for standardised values.
    pub has_levels: bool,
    /// What the samples are.
    pub kind: Kind,
}

/// The meaning of mirror images, found by comparing them with the other pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// They look like other pictures of the same classes: photographs of most things.
    Alike,
    /// They look like pictures of other classes, or of none: digits, arrows.
    OfOtherClasses,
    /// They look like no other pictures (shoes that all point to the left), or nothing is known: too few pictures, or values other than bytes.
    Uncertain,
}

/// Largest longer side of small pictures, in pixels.
const SMALL: usize = 32;
/// Pictures are compared at this size.
const SIDE: usize = 16;
/// The length of a compared picture as a vector.
const NORM: f32 = 4096.0;
/// With fewer pictures, nothing is decided.
const FEWEST: usize = 50;

impl Subject {
    /// Whether training may show mirror images. Colour pictures: unless mirror images look like other classes. Grey ones, which may be
    /// writing or X-rays: only if mirror images look like the same class.
    pub fn may_be_flipped(&self) -> bool {
        if self.kind == Kind::Clips {
            return false; // A mirrored motion may be of another class, which no single frame shows.
        }
        match self.mirrored {
            Mirrored::Alike => true,
            Mirrored::OfOtherClasses => false,
            Mirrored::Uncertain => !self.is_grey,
        }
    }

    /// Whether pictures are like those for which the defaults of small grey pictures were measured (MNIST, Fashion-MNIST, digits of 8×8): one channel, and
    /// either small or on a plain background.
    pub fn is_simple(&self) -> bool {
        let small = self.shape.height.max(self.shape.width) <= SMALL;
        self.kind == Kind::Pictures
            && self.shape.channels == 1
            && (small || self.polarity().is_some())
    }

    /// The augmentation presets that suit the pictures.
    pub fn presets(&self) -> Presets {
        if self.kind == Kind::Sounds {
            return Presets::Sounds;
        }
        match (self.may_be_flipped(), self.is_simple()) {
            (true, _) => Presets::Pictures,
            (false, true) => Presets::Simple,
            (false, false) => Presets::Unflipped,
        }
    }

    /// The background of pictures that are inverted for the network: the opposite of the data's.
    pub fn inverted(&self) -> Option<&'static str> {
        let is_dark = self.polarity().filter(|_| self.shape.channels == 1)?;
        Some(if is_dark { "light" } else { "dark" })
    }

    /// The default augmentation: `standard`; `light` for small grey pictures that are not known to be writing; none
    /// for standardised values.
    /// Measured in docs/benchmarks/2026-11-29-grey-defaults.txt: rotation and shear help digits, and do not help clothes.
    pub fn usual_augmentation(&self) -> Augmentation {
        if self.kind == Kind::Sounds {
            return Augmentation::preset("standard", Presets::Sounds).unwrap_or_default();
        }
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

    /// Whether things are light on a dark background, or dark on a light one.
    fn polarity(&self) -> Option<bool> {
        self.ground?.is_dark()
    }
}

/// "grey pictures on a dark background, whose mirror images look like other classes".
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != Kind::Pictures {
            return self.kind.fmt(f);
        }
        f.write_str(match (self.is_grey, self.shape.channels) {
            (true, _) => "grey pictures",
            (false, 3) => "colour pictures",
            (false, _) => "maps",
        })?;
        f.write_str(match self.polarity() {
            Some(true) => " on a dark background",
            Some(false) => " on a light background",
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
    /// Whether the samples have three channels, and some of up to 1,000 of them show colour.
    ///
    /// # Errors
    /// As for [`Dataset::subject`].
    pub(crate) fn has_colour(&self) -> Result<bool> {
        let shape = self.shape();
        Ok(shape.channels == 3 && !are_grey(&self.some()?, shape))
    }

    /// Detects the kind of the samples from up to 1,000 of them.
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    pub fn subject(&self) -> Result<Subject> {
        let shape = self.shape();
        let samples = match self.kind() {
            Kind::Pictures | Kind::Clips => self.some()?,
            Kind::Texts | Kind::Sounds => Vec::new(),
        };
        let mirrored = match shape.channels {
            1 | 3 => Likeness::of(&samples, shape).verdict(),
            _ => Mirrored::Uncertain,
        };
        Ok(Subject {
            shape,
            is_grey: are_grey(&samples, shape),
            ground: Preparation::ground(self)?,
            mirrored,
            has_levels: self.kind() != Kind::Texts && !self.is_of_floats(),
            kind: self.kind(),
        })
    }
}

/// Whether samples of this shape have no colour.
fn are_grey(samples: &[Sampled<'_>], shape: Shape) -> bool {
    match shape.channels {
        3 => !samples.is_empty() && samples.iter().all(|sample| is_grey(&sample.pixels)),
        channels => channels == 1,
    }
}

/// How similar mirror images are to the other pictures, compared with the pictures themselves.
#[derive(Debug)]
struct Likeness {
    count: usize,
    /// Share of the pictures whose most similar other picture is of their class.
    right: f64,
    /// The same share for their mirror images.
    mirrored_right: f64,
    /// Share of the mirror images that find a more similar picture than the picture itself does; ties count half.
    /// It is a half if pictures come in both directions.
    at_home: f64,
}

/// The most similar other picture: its similarity, and whether it is of the same class.
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
            // The first one of equal ones.
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

    /// Measured shares: at home 0.49 and 0.51 for ants and bees and for CIFAR-10, 0.29 to 0.32 for emoji, 0.23 for Fashion-MNIST, 0.04 for
    /// digits. Mirror images have 0.9 to 1.1 times as many right neighbours in photographs and emoji, 0.7 in Fashion-MNIST, 0.3 among digits, none among arrows.
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

/// A picture and its mirror image as vectors of equal length, whose product is their correlation; zeros for a blank picture.
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
