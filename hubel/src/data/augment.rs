//! Augmentation: random changes to training pictures, so that a network learns what does not matter, such as direction, position and light.
//!
//! Operations have torchvision's names and meaning if torchvision has them. The changes to a picture depend only on (seed,
//! epoch, sample, operation), so the picture of any step can be made again.
mod affine;
mod colour;
mod erase;
mod levels;
mod shift;
mod sound;
#[cfg(test)]
mod tests;
mod text;
mod trivial;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::Kind;
use crate::random::{Purpose, Random, Stream};
use crate::{Error, Result, Shape};

use affine::Affine;
use colour::Jitter;
use erase::Erase;
use shift::{Border, Crop};
use sound::SoundOperation;

/// The random changes to training pictures, in order.
///
/// The text form is a list such as `flip, crop(4), rotate(15)`, or the name of a preset, which stands for a list:
///
/// | preset | for pictures | for small grey ones |
/// |---|---|---|
/// | `none` | unchanged | unchanged |
/// | `light` | flipped, shifted by up to a sixteenth | shifted by up to a fourteenth |
/// | `standard` | flipped, shifted by up to an eighth | rotated by up to 10°, shifted, scaled and sheared a little |
/// | `strong` | flipped, shifted, TrivialAugment, part of some erased | the same, stronger, and lighter or darker |
///
/// No preset flips pictures whose mirror images may mean something else, see [`Presets`].
///
/// The operations and their settings; `p` is the probability of the operation:
///
/// | operation | what it does |
/// |---|---|
/// | `flip(p=0.5)`, `vflip(p=0.5)` | exchanges left and right, or top and bottom |
/// | `flip(alternating)` | exchanges left and right of half of the pictures in epoch 1, of the other half in epoch 2, and so on: in two epochs, each picture is seen both ways (Jordan 2024, airbench) |
/// | `crop(padding, mode=zeros)` | pads all sides by this many pixels (or, below 1, by this share of the side), then crops at a random position: it shifts by up to this many pixels; `mode` is `zeros` (black), `reflect` or `replicate`, as for `conv`. A usual recipe for CIFAR-10 is `flip(alternating), crop(2, mode=reflect)` |
/// | `affine(rotate=0, translate=0, scale=(1, 1), shear=0, mode=zeros)` | rotates by up to this many degrees, shifts by up to this share of the side, scales by a factor in the range, shears by up to this many degrees; with one bilinear interpolation |
/// | `rotate(degrees)`, `translate(share)`, `scale(min, max)`, `shear(degrees)` | only one of these |
/// | `jitter(brightness=0, contrast=0, saturation=0, hue=0)` | torchvision's `ColorJitter`: factors of 1 ± these; rotates the hue by up to this part of the circle, at most 0.5 |
/// | `brightness(x)`, `contrast(x)`, `saturation(x)`, `hue(x)` | only one of these |
/// | `erase(p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=mean)` | fills a rectangle of this share of the area and this aspect ratio with the picture's mean colour, with `random` pixels, or with a level from 0 to 255 |
/// | `trivial` | TrivialAugment (Müller and Hutter, 2021), wide: one operation of 14, with a random strength |
///
/// Saturation and hue do not change pictures without three channels.
///
/// Recordings have their own operations, and their own presets of the same names:
///
/// | operation | what it does |
/// |---|---|
/// | `timeshift(share)` | moves the recording earlier or later by up to this share of its length; silence fills the gap |
/// | `gain(decibels)` | makes it louder or quieter by up to this many dB |
/// | `noise(min, max)` | adds white noise with a signal-to-noise ratio between these, in dB |
/// | `timemask(frames)` | hides up to this many neighbouring frames of the spectrogram (SpecAugment, Park and others 2019) |
/// | `bandmask(bands)` | hides up to this many neighbouring bands of the spectrogram |
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
    /// Exchanges left and right with this probability.
    Flip(f32),
    /// Exchanges left and right in every second epoch; chance decides for each sample in which.
    AlternatingFlip,
    /// Exchanges top and bottom with this probability.
    VerticalFlip(f32),
    Crop(Crop),
    Affine(Affine),
    Jitter(Jitter),
    Erase(Erase),
    /// TrivialAugment.
    Trivial,
    /// A change of a recording.
    Sound(SoundOperation),
}

/// The pixels `[h, w, c]` of one picture.
struct Picture<'a> {
    pixels: &'a mut [u8],
    shape: Shape,
}

/// The kind of presets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presets {
    /// For pictures.
    #[default]
    Pictures,
    /// The same without flips, for pictures whose mirror images may mean something else.
    Unflipped,
    /// For small grey pictures, such as writing; without flips.
    Simple,
    /// For recordings.
    Sounds,
}

/// The names of the presets.
const PRESETS: [&str; 4] = ["none", "light", "standard", "strong"];

impl Augmentation {
    /// No augmentation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The preset of this name.
    pub fn preset(name: &str, presets: Presets) -> Option<Self> {
        if presets == Presets::Sounds {
            let operations = sound::preset(name)?.into_iter();
            return Some(Self {
                operations: operations.map(Operation::Sound).collect(),
            });
        }
        let crop = |padding, mode| Operation::Crop(Crop { padding, mode });
        let simple = |degrees, translate, scale, shear| {
            Operation::Affine(Affine {
                rotate: degrees,
                translate,
                scale,
                shear,
                // Extends the background, whatever its colour.
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

    /// Parses the text form; `presets` decides the meaning of preset names.
    ///
    /// # Errors
    /// [`Error::Augmentation`] for an unknown operation or setting, or a number out of range.
    pub fn parse(text: &str, presets: Presets) -> Result<Self> {
        text::parse(text, presets)
    }

    /// Whether it flips pictures.
    pub fn flips(&self) -> bool {
        (self.operations.iter()).any(|operation| match operation {
            Operation::Flip(probability) => *probability > 0.0,
            operation => *operation == Operation::AlternatingFlip,
        })
    }

    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether its operations change samples of this kind; `name` is that of the data.
    ///
    /// # Errors
    /// [`Error::Settings`] for an operation of another kind of data.
    pub(super) fn check_kind(&self, kind: Kind, name: &str) -> Result<()> {
        let own = |operation: &Operation| match operation {
            Operation::Sound(_) => Kind::Sounds,
            _ => Kind::Pictures,
        };
        // The frames of a clip are pictures.
        let changed = match kind {
            Kind::Clips => Kind::Pictures,
            kind => kind,
        };
        let wrong = self
            .operations
            .iter()
            .find(|operation| own(operation) != changed);
        let Some(operation) = wrong else {
            return Ok(());
        };
        let known = match kind {
            Kind::Sounds => format!("; recordings have {}", sound::NAMES.join(", ")),
            Kind::Pictures | Kind::Texts | Kind::Clips => String::new(),
        };
        Err(Error::Settings {
            problem: format!(
                "the augmentation `{operation}` changes {}, and {name} holds {kind}{known}",
                own(operation)
            ),
        })
    }

    /// Whether every operation makes sense for pictures of this shape.
    ///
    /// # Errors
    /// [`Error::Settings`] for a `crop` whose padding is as large as the picture: some crops would show nothing of it.
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

    /// Changes the bytes `[h, w, c]` of one picture at random. The same `seed`, `epoch` and `sample` give the same changes.
    ///
    /// # Panics
    /// If the length of `pixels` does not fit `shape`.
    pub fn apply(&self, pixels: &mut [u8], shape: Shape, seed: u64, epoch: u64, sample: u64) {
        assert_eq!(pixels.len(), shape.len(), "pixels of a picture of {shape}");
        if self.is_none() || shape.is_empty() {
            return;
        }
        let mut picture = Picture { pixels, shape };
        for (position, operation) in self.operations.iter().enumerate() {
            let stream = |epoch| self.stream(position, seed, epoch, sample);
            if *operation == Operation::AlternatingFlip {
                // The coin is that of epoch 0, so it is the same in all epochs.
                let coin = stream(0).below(2) as u64;
                if (coin + epoch).is_multiple_of(2) {
                    shift::flip(&mut picture);
                }
                continue;
            }
            operation.apply(&mut picture, stream(epoch));
        }
    }

    /// Changes the samples of one recording at random, as [`Augmentation::apply`] changes pictures.
    pub(super) fn apply_to_samples(&self, samples: &mut [f32], seed: u64, epoch: u64, sample: u64) {
        for (position, operation) in self.operations.iter().enumerate() {
            if let Operation::Sound(operation) = operation {
                operation.change(samples, self.stream(position, seed, epoch, sample));
            }
        }
    }

    /// Hides parts of the spectrogram `[bands, frames, 1]` of one recording at random.
    pub(super) fn apply_to_spectrogram(
        &self,
        map: &mut [f32],
        shape: Shape,
        seed: u64,
        epoch: u64,
        sample: u64,
    ) {
        for (position, operation) in self.operations.iter().enumerate() {
            if let Operation::Sound(operation) = operation {
                operation.hide(map, shape, self.stream(position, seed, epoch, sample));
            }
        }
    }

    /// The random numbers of the operation at `position` for a sample.
    fn stream(&self, position: usize, seed: u64, epoch: u64, sample: u64) -> Stream {
        let code = self.operations[position].code();
        // Numbered within its kind, so that adding an operation does not change the random numbers of the others.
        let earlier = (self.operations[..position].iter())
            .filter(|other| other.code() == code)
            .count() as u64;
        let mut of_sample = Random::new(seed).stream(Purpose::Augment, epoch, sample);
        Random::new(of_sample.next_u64()).stream(Purpose::Augment, code, earlier)
    }
}

impl Operation {
    /// Part of every random number; an operation never changes its code.
    fn code(&self) -> u64 {
        match self {
            Self::Flip(_) => 1,
            Self::VerticalFlip(_) => 2,
            Self::Crop(_) => 3,
            Self::Affine(_) => 4,
            Self::Jitter(_) => 5,
            Self::Erase(_) => 6,
            Self::Trivial => 7,
            Self::AlternatingFlip => 8,
            Self::Sound(operation) => operation.code(),
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
            // See `Augmentation::apply`, which knows the epoch.
            Self::AlternatingFlip => {}
            // See `Augmentation::apply_to_samples`.
            Self::Sound(_) => {}
        }
    }
}

/// A random value from `low` to `high`.
fn between(stream: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * stream.uniform()
}

/// Writes the operations rather than a preset's name, so that the text still means the same if the preset changes.
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

/// As [`Augmentation::parse`] with the presets for pictures.
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
