//! Random changes to training pictures, so that a network learns what does not matter: side, place, light.
//!
//! Operations have torchvision's names and meaning where it has them. What happens to a picture is a function of (seed,
//! epoch, sample, operation) and of nothing else, so the picture of any step can be made again.
mod affine;
mod colour;
mod erase;
mod levels;
mod shift;
#[cfg(test)]
mod tests;
mod text;
mod trivial;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::random::{Purpose, Random, Stream};
use crate::{Error, Result, Shape};

use affine::Affine;
use colour::Jitter;
use erase::Erase;
use shift::{Border, Crop};

/// Which random changes training pictures go through, in order.
///
/// As text it is a list such as `flip, crop(4), rotate(15)`, or the name of a preset, which stands for a list:
///
/// | preset | for pictures | for small grey ones |
/// |---|---|---|
/// | `none` | as they are | as they are |
/// | `light` | flipped, moved by up to a sixteenth | moved by up to a fourteenth |
/// | `standard` | flipped, moved by up to an eighth | turned by up to 10°, moved, scaled and sheared a little |
/// | `strong` | flipped, moved, TrivialAugment, part of some erased | the same, further, and lighter or darker |
///
/// Pictures whose mirror images may mean something else are not flipped by any of them, see [`Presets`].
///
/// The operations and their settings; `p` is the probability that anything happens:
///
/// | operation | what it does |
/// |---|---|
/// | `flip(p=0.5)`, `vflip(p=0.5)` | left and right, or top and bottom, exchanged |
/// | `crop(padding, mode=zeros)` | padded on all sides by so many pixels (or, below 1, by that share of the side), then cut out anywhere; `mode` is `zeros` (black), `reflect` or `replicate`, as of `conv` |
/// | `affine(rotate=0, translate=0, scale=(1, 1), shear=0, mode=zeros)` | turned by up to so many degrees, moved by up to this share of the side, scaled by a factor of the range, sheared by up to so many degrees; one bilinear interpolation for all of it |
/// | `rotate(degrees)`, `translate(share)`, `scale(min, max)`, `shear(degrees)` | one of these alone |
/// | `jitter(brightness=0, contrast=0, saturation=0, hue=0)` | torchvision's `ColorJitter`: factors of 1 ± these; the hue turned by up to this part of the circle, at most 0.5 |
/// | `brightness(x)`, `contrast(x)`, `saturation(x)`, `hue(x)` | one of these alone |
/// | `erase(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=mean)` | a rectangle of this share of the area and these proportions is filled with the picture's mean colour, with `random` pixels or with a level from 0 to 255 |
/// | `trivial` | TrivialAugment (Müller and Hutter, 2021), wide: one operation of 14, of a random strength |
///
/// Saturation and hue leave pictures alone that do not have three channels.
///
/// ```
/// use hubel::data::Augmentation;
///
/// let augmentation: Augmentation = "flip, crop(4), rotate(15)".parse()?;
/// assert_eq!(augmentation.to_string(), "flip, crop(4), rotate(15)");
/// assert!(!augmentation.is_none());
/// # Ok::<(), hubel::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augmentation {
    operations: Vec<Operation>,
}

/// One random change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    /// Left and right exchanged, with this probability.
    Flip(f32),
    /// Top and bottom exchanged, with this probability.
    VerticalFlip(f32),
    Crop(Crop),
    Affine(Affine),
    Jitter(Jitter),
    Erase(Erase),
    /// TrivialAugment.
    Trivial,
}

/// The pixels `[h, w, c]` of one picture.
struct Picture<'a> {
    pixels: &'a mut [u8],
    shape: Shape,
}

/// Which operations the names of presets stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presets {
    /// Those for pictures.
    #[default]
    Pictures,
    /// The same without flips, for pictures whose mirror images may mean something else.
    Unflipped,
    /// Those for small grey pictures: writing and the like. None flips.
    Simple,
}

/// The names of the presets.
const PRESETS: [&str; 4] = ["none", "light", "standard", "strong"];

impl Augmentation {
    /// Pictures as they are.
    pub fn none() -> Self {
        Self::default()
    }

    /// The preset of this name.
    pub fn preset(name: &str, presets: Presets) -> Option<Self> {
        let crop = |padding, mode| Operation::Crop(Crop { padding, mode });
        let simple = |degrees, translate, scale, shear| {
            Operation::Affine(Affine {
                rotate: degrees,
                translate,
                scale,
                shear,
                // Goes on with the ground, whatever its colour.
                mode: Border::Replicate,
            })
        };
        let jitter = Jitter {
            brightness: 0.3,
            contrast: 0.3,
            ..Jitter::default()
        };
        let erase = Erase {
            probability: 0.25,
            ..Erase::default()
        };
        let is_simple = presets == Presets::Simple;
        let operations = match (name, is_simple) {
            ("none", _) => vec![],
            ("light", true) => vec![crop(1.0 / 14.0, Border::Replicate)],
            ("light", false) => vec![crop(0.0625, Border::Reflect)],
            ("standard", true) => vec![simple(10.0, 0.075, [0.9, 1.1], 5.0)],
            ("standard", false) => vec![crop(0.125, Border::Reflect)],
            ("strong", true) => vec![
                simple(15.0, 0.1, [0.8, 1.2], 15.0),
                Operation::Jitter(jitter),
            ],
            ("strong", false) => vec![
                crop(0.125, Border::Reflect),
                Operation::Trivial,
                Operation::Erase(erase),
            ],
            _ => return None,
        };
        let flips = presets == Presets::Pictures && name != "none";
        let flip = flips.then_some(Operation::Flip(0.5));
        Some(Self {
            operations: flip.into_iter().chain(operations).collect(),
        })
    }

    /// Reads the text form; what the names of presets stand for is said by `presets`.
    ///
    /// # Errors
    /// [`Error::Augmentation`] for a name that is no operation, a setting that there is not, or a number out of its range.
    pub fn parse(text: &str, presets: Presets) -> Result<Self> {
        text::parse(text, presets)
    }

    /// Whether it shows mirror images.
    pub fn flips(&self) -> bool {
        self.operations.iter().any(
            |operation| matches!(operation, Operation::Flip(probability) if *probability > 0.0),
        )
    }

    /// Whether pictures stay as they are.
    pub fn is_none(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether every operation makes sense for pictures of this shape.
    ///
    /// # Errors
    /// [`Error::Settings`] for a `crop` whose padding is not smaller than the picture: some crops would show nothing of it.
    pub fn check(&self, shape: Shape) -> Result<()> {
        for operation in &self.operations {
            if let Operation::Crop(crop) = operation {
                let side = shape.height.min(shape.width);
                if crop.padding >= 1.0 && crop.padding as usize >= side {
                    return Err(Error::Settings {
                        problem: format!(
                            "the augmentation `{operation}` could cut out nothing but padding of a picture of {shape}; \
                             give a padding below {side}, or a share of the side such as crop(0.125)"
                        ),
                    });
                }
            }
        }
        Ok(())
    }

    /// Changes the bytes `[h, w, c]` of one picture at random, always in the same way for the same `seed`, `epoch` and `sample`.
    ///
    /// # Panics
    /// When `pixels` are not as many as `shape` has.
    pub fn apply(&self, pixels: &mut [u8], shape: Shape, seed: u64, epoch: u64, sample: u64) {
        assert_eq!(pixels.len(), shape.len(), "pixels of a picture of {shape}");
        if self.is_none() || shape.is_empty() {
            return;
        }
        let key = Random::new(seed)
            .stream(Purpose::Augment, epoch, sample)
            .next_u64();
        let mut picture = Picture { pixels, shape };
        for (position, operation) in self.operations.iter().enumerate() {
            // Numbered within its kind, so that adding an operation leaves the numbers of the others as they are.
            let earlier = (self.operations[..position].iter())
                .filter(|other| other.code() == operation.code())
                .count() as u64;
            let stream = Random::new(key).stream(Purpose::Augment, operation.code(), earlier);
            operation.apply(&mut picture, stream);
        }
    }
}

impl Operation {
    /// Part of every number drawn: an operation keeps its code for ever.
    fn code(&self) -> u64 {
        match self {
            Self::Flip(_) => 1,
            Self::VerticalFlip(_) => 2,
            Self::Crop(_) => 3,
            Self::Affine(_) => 4,
            Self::Jitter(_) => 5,
            Self::Erase(_) => 6,
            Self::Trivial => 7,
        }
    }

    fn apply(&self, picture: &mut Picture<'_>, mut stream: Stream) {
        match self {
            Self::Flip(probability) => {
                if stream.uniform() < *probability {
                    shift::flip(picture);
                }
            }
            Self::VerticalFlip(probability) => {
                if stream.uniform() < *probability {
                    shift::flip_vertically(picture);
                }
            }
            Self::Crop(crop) => crop.apply(picture, &mut stream),
            Self::Affine(affine) => affine.apply(picture, &mut stream),
            Self::Jitter(jitter) => jitter.apply(picture, &mut stream),
            Self::Erase(erase) => erase.apply(picture, &mut stream),
            Self::Trivial => trivial::apply(picture, &mut stream),
        }
    }
}

/// A number from `low` to `high`.
fn between(stream: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * stream.uniform()
}

/// The operations; the text parses to an equal augmentation, also where the preset of that name has changed since.
impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        for (position, operation) in self.operations.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            write!(f, "{comma}{operation}")?;
        }
        Ok(())
    }
}

/// As [`Augmentation::parse`] for pictures.
impl FromStr for Augmentation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, Presets::Pictures)
    }
}

impl Serialize for Augmentation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Augmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
