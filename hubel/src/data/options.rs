//! How data is read and divided.
use crate::data::limit::LARGEST_PICTURE;
use crate::data::{BadFiles, Medium, Preparation, Resize, SoundOptions, Tokens};
use crate::layers::addressable;
use crate::{Error, Result, Shape, memory};

/// How data is read and divided.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pictures are converted to this shape. `None`: their own shape if all have the same, else a square.
    pub shape: Option<Shape>,
    /// The input of an existing network, used if `shape` is `None`. If all pictures have the same smaller size, they are kept in that size to
    /// save memory, and resized later.
    pub network: Option<Shape>,
    /// How pictures with other proportions are resized.
    pub resize: Resize,
    /// The largest side chosen if `shape` is `None`.
    pub largest_side: usize,
    /// Share of the images held out for validation if the data has no validation split; 0 holds none out.
    pub validation: f64,
    /// Share of the images held out for the test if the data has no test split; 0 holds none out.
    pub test: f64,
    /// The seed that decides which images are held out.
    pub seed: u64,
    /// The policy for files that cannot be read.
    pub bad_files: BadFiles,
    /// What texts are divided into.
    pub tokens: Tokens,
    /// Number of tokens of a text that the network reads. `None`: as many as the longest training text has, up to 256 words or 1,024 characters.
    pub length: Option<usize>,
    /// Number of frames of a clip that the network reads. `None`: as many as the median clip has, up to 12.
    pub frames: Option<usize>,
    /// Frames per second of a clip. `None`: the frames are spread evenly over the whole clip.
    pub frame_rate: Option<f32>,
    /// How recordings become the input of the network.
    pub sound: SoundOptions,
    /// Bytes of decoded pixels or sound to keep in memory. Other pictures are decoded again for each use. `None`: half of the free memory.
    pub cache: Option<usize>,
}

/// The most frames that a network can read.
const LONGEST_CLIP: usize = 1024;

/// The most tokens that a network can read.
const LONGEST_TEXT: usize = 65_536;

impl Default for Options {
    fn default() -> Self {
        Self {
            shape: None,
            network: None,
            resize: Resize::Letterbox,
            largest_side: 64,
            validation: 0.05,
            test: 0.1,
            seed: 1,
            bad_files: BadFiles::Fail,
            tokens: Tokens::Words,
            length: None,
            frames: None,
            frame_rate: None,
            sound: SoundOptions::default(),
            cache: None,
        }
    }
}

impl Options {
    /// The options for fine-tuning a model with this preparation: how samples become its input is already decided.
    pub fn for_model(preparation: &Preparation) -> Self {
        let (shape, usual) = (preparation.shape, Self::default());
        let usual = Self {
            network: Some(shape),
            resize: preparation.resize,
            ..usual
        };
        match &preparation.medium {
            Medium::Picture => usual,
            Medium::Text(vocabulary) => Self {
                tokens: vocabulary.kind(),
                length: Some(shape.time),
                ..usual
            },
            Medium::Clip(settings) => Self {
                frames: Some(shape.time),
                frame_rate: settings.rate,
                ..usual
            },
            Medium::Sound(settings) => Self {
                sound: SoundOptions {
                    model: Some(*settings),
                    ..usual.sound
                },
                ..usual
            },
        }
    }

    pub(super) fn cache_bytes(&self) -> usize {
        let half = || memory::available().map_or(1 << 30, |bytes| bytes / 2);
        self.cache.unwrap_or_else(half)
    }

    pub(super) fn check(&self) -> Result<()> {
        for shape in [self.shape, self.network].into_iter().flatten() {
            check_input(shape)?;
        }
        if self
            .length
            .is_some_and(|length| !(1..=LONGEST_TEXT).contains(&length))
        {
            return Err(Error::Settings {
                problem: format!("a network reads from 1 to {LONGEST_TEXT} tokens of a text"),
            });
        }
        if self
            .frames
            .is_some_and(|frames| !(2..=LONGEST_CLIP).contains(&frames))
        {
            return Err(Error::Settings {
                problem: format!("a network reads from 2 to {LONGEST_CLIP} frames of a clip"),
            });
        }
        if self
            .frame_rate
            .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
        {
            return Err(Error::Settings {
                problem: "the frames per second of a clip must be above 0".to_owned(),
            });
        }
        for (share, name) in [(self.validation, "validation"), (self.test, "the test")] {
            if !(0.0..1.0).contains(&share) {
                return Err(Error::Settings {
                    problem: format!(
                        "a share of {share} cannot be held out for {name}; give a number from 0 (none) to less than 1, such as 0.1"
                    ),
                });
            }
        }
        if self.validation + self.test >= 1.0 {
            return Err(Error::Settings {
                problem: format!(
                    "{} held out for validation and {} for the test leave nothing to train on",
                    self.validation, self.test
                ),
            });
        }
        Ok(())
    }
}

/// Refuses a shape that pictures cannot have.
fn check_input(shape: Shape) -> Result<()> {
    if addressable(&[shape.height, shape.width, shape.channels]).is_none_or(|size| size == 0) {
        return Err(Error::Input { shape });
    }
    let problem = if ![1, 3].contains(&shape.channels) {
        format!(
            "pictures have 1 channel (grey) or 3 (colour), not {} as an input of {shape}",
            shape.channels
        )
    } else if (shape.height * shape.width) as u64 > LARGEST_PICTURE {
        format!(
            "an input of {shape} is larger than any picture that is read ({} million pixels)",
            LARGEST_PICTURE / 1_000_000
        )
    } else {
        return Ok(());
    };
    Err(Error::Settings { problem })
}
