//! From pixels to the network's input. Training, evaluation and prediction use the same code, and the model stores its settings.
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::data::from_memory::check_lengths;
use crate::data::grey::{is_grey, luma};
use crate::data::ground::{Ground, Rim};
use crate::data::limit::LARGEST_PICTURE;
use crate::data::resize::{self, Resize};
use crate::data::storage::{Pixels, Sample, moments};
use crate::data::{Dataset, Kind, Medium, SoundSettings, ValueRange, Vocabulary, ink, sound};
use crate::layers::addressable;
use crate::network::Input;
use crate::on_all_cores::on_all_cores;
use crate::{Error, Result, Shape};

/// All processing of pixels before the network.
///
/// Bytes are first brought to the shape (transparency, polarity, resize). Then each value x becomes
/// `(x/255 − mean) / std` per channel. `f32` values skip the division by 255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// The network's input.
    pub shape: Shape,
    /// How pictures of another aspect ratio are fitted.
    pub resize: Resize,
    /// Mean of each channel over the training pictures; for bytes, of values in `[0, 1]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
    /// The level behind transparent pixels, 0 for black and 255 for white. `None` if no training picture had transparent pixels: then
    /// each picture gets the level that shows most of it.
    pub transparent: Option<u8>,
    /// The plain background of the training pictures; `None` if they have no common one.
    pub ground: Option<Ground>,
    /// The value range of arrays, if the training pictures had values other than bytes.
    pub range: Option<ValueRange>,
    /// What the samples are; for texts with the vocabulary.
    #[serde(default)]
    pub medium: Medium,
}

/// A picture as input of a network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prepared {
    /// `[h, w, c]`, normalised.
    pub tensor: Vec<f32>,
    /// `[h, w, c]`, the same before normalisation, for display.
    pub pixels: Vec<u8>,
    /// Whether light and dark were exchanged, because the picture had the opposite polarity of the training pictures.
    pub inverted: bool,
    /// Whether it has another plain background than the training pictures, which inverting did not fix.
    pub other_ground: bool,
    /// Whether the picture has colour and became grey for a network with one channel.
    pub greyed: bool,
    /// Whether the recording is longer than the network's input, which is its loudest stretch then.
    pub cut: bool,
    /// Where the network's input begins in the recording, in seconds; negative if silence was put before it.
    pub start: f64,
    /// The picture's own height and width, with the network's number of channels.
    pub original: Shape,
}

impl Prepared {
    /// A sample that needed none of the changes.
    pub(super) fn unchanged(tensor: Vec<f32>, pixels: Vec<u8>, original: Shape) -> Self {
        Self {
            tensor,
            pixels,
            inverted: false,
            other_ground: false,
            greyed: false,
            cut: false,
            start: 0.0,
            original,
        }
    }
}

/// A sample at a stage of its preparation, where augmentation may change it.
pub(super) enum Stage<'s, 'p> {
    /// The pixels of a picture in the network's shape.
    Pixels(&'s mut Cow<'p, [u8]>),
    /// The samples of a recording at the network's rate and length.
    Samples(&'s mut Cow<'p, [f32]>),
    /// The spectrogram of a recording in dB.
    Spectrogram(&'s mut [f32]),
}

/// Numbers of pictures with another background than the training pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unlike {
    /// Inverted pictures: their background is light and the network's dark, or the other way round.
    pub inverted: usize,
    /// Pictures that inverting cannot fix, for example those in colour.
    pub other_ground: usize,
}

/// Pictures of arrays per work item, because each takes only microseconds.
const AT_A_TIME: usize = 256;

impl Preparation {
    /// The preparation for a training set: its shape and resizing, the statistics of its pixels, and its background.
    /// Uses only the samples of `training`.
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    pub fn measure(training: &Dataset) -> Result<Self> {
        let shape = training.shape();
        let (mean, std) = match &training.pixels {
            Pixels::Bytes(bytes) => statistics_of_bytes(training, |row| {
                Cow::Owned(moments(
                    &bytes[row * shape.len()..][..shape.len()],
                    shape.channels,
                ))
            }),
            Pixels::Files(files) => {
                statistics_of_bytes(training, |row| Cow::Borrowed(files.moments(row)))
            }
            Pixels::Floats(floats) => statistics_of_floats(floats, &training.rows, shape),
            Pixels::Texts(_) => (vec![0.0], vec![1.0]),
            Pixels::Clips(clips) => statistics_of_bytes(training, |row| {
                Cow::Owned(moments(clips.bytes(row), shape.channels))
            }),
            Pixels::Sounds(sounds) => {
                let rows = training.rows.iter();
                statistics_of_sounds(rows.map(|row| sounds.moments(*row)), shape)
            }
        };
        let reading = training.reading.unwrap_or_default();
        let medium = match &training.pixels {
            Pixels::Texts(texts) => {
                let texts = training.rows.iter().map(|row| texts.text(*row));
                Medium::Text(Vocabulary::measure(reading.tokens, texts))
            }
            Pixels::Clips(_) => Medium::Clip(reading.clips),
            Pixels::Sounds(sounds) => Medium::Sound(sounds.settings()),
            _ => Medium::Picture,
        };
        Ok(Self {
            shape,
            resize: reading.resize,
            mean,
            std,
            transparent: reading.transparent,
            ground: Self::ground(training)?,
            range: training.range,
            medium,
        })
    }

    /// These settings for training on other pictures: missing settings for transparency and background are measured on `training`.
    ///
    /// # Errors
    /// As of [`Preparation::measure`].
    pub(crate) fn completed(self, training: &Dataset) -> Result<Self> {
        let standardised = Some(ValueRange::Standardised);
        if training.range == standardised && self.range != standardised {
            return Err(Error::DataMismatch(
                "these are standardised numbers, but the model to fine-tune was trained on levels of pictures; train from scratch, or give numbers from 0 to 1 or bytes"
                    .into(),
            ));
        }
        let ground = match self.ground {
            // The size of ink was measured at the size of those pictures.
            None => Self::ground(training)?.map(|ground| Ground {
                ink_side: None,
                ..ground
            }),
            known => known,
        };
        let transparent = training.reading.and_then(|reading| reading.transparent);
        Ok(Self {
            transparent: self.transparent.or(transparent),
            ground,
            range: self.range.or(training.range),
            ..self
        })
    }

    /// The background of a training set, and the size of ink on it. The background of files was found before reading them.
    pub(super) fn ground(training: &Dataset) -> Result<Option<Ground>> {
        if training.kind() != Kind::Pictures {
            return Ok(None);
        }
        let ground = match &training.pixels {
            Pixels::Files(_) => training.reading.and_then(|reading| reading.ground),
            _ if training.shape().time > 1 => None,
            _ => Ground::measure(training)?,
        };
        let polarity = ground.and_then(|ground| ground.is_dark());
        // The position of writing in the files is known only if the pixels are at the size of the files.
        let (Some(ground), Some(is_dark), None) =
            (ground, polarity, training.resized_files().next())
        else {
            return Ok(ground);
        };
        let ink_side = ink::side(training, is_dark)?;
        Ok(Some(Ground { ink_side, ..ground }))
    }

    /// The geometry alone: mean 0 and standard deviation 1, and nothing is known of transparent pixels and of the ground. For models whose pictures
    /// were prepared elsewhere, with the mean and the deviation from there:
    ///
    /// ```
    /// use hubel::{Preparation, Shape, data::Resize};
    ///
    /// let preparation = Preparation {
    ///     mean: vec![0.485, 0.456, 0.406],
    ///     std: vec![0.229, 0.224, 0.225],
    ///     ..Preparation::unmeasured(Shape::new(224, 224, 3), Resize::Crop)
    /// };
    /// ```
    pub fn unmeasured(shape: Shape, resize: Resize) -> Self {
        Self {
            shape,
            resize,
            mean: vec![0.0; shape.channels],
            std: vec![1.0; shape.channels],
            transparent: None,
            ground: None,
            range: None,
            medium: Medium::Picture,
        }
    }

    /// What a network with this preparation reads.
    pub fn input(&self) -> Input {
        Input {
            shape: self.shape,
            vocabulary: self.medium.vocabulary().map(Vocabulary::len),
        }
    }

    /// The same for an input of another height and width. The square of the ink of writing is scaled with it.
    pub(crate) fn with_input(self, shape: Shape) -> Self {
        let scale = (shape.height as f64 / self.shape.height as f64)
            .min(shape.width as f64 / self.shape.width as f64);
        let scaled = |side: usize| ((side as f64 * scale).round() as usize).max(1);
        let ground = self.ground.map(|ground| Ground {
            ink_side: ground.ink_side.map(scaled),
            ..ground
        });
        Self {
            shape,
            ground,
            ..self
        }
    }

    /// Whether the samples of a data set can be prepared.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if they are of another kind, or as for [`Preparation::check`].
    pub fn check_data(&self, dataset: &Dataset) -> Result<()> {
        let (own, other) = (self.medium.kind(), dataset.kind());
        let problem = match (&self.medium, &dataset.pixels) {
            _ if own != other => format!("it holds {other}, and the model was trained on {own}"),
            (Medium::Clip(settings), Pixels::Clips(_)) if *settings != dataset.clip_settings() => {
                "its frames were taken from the clips otherwise than the model takes them; read it as the model does (`data::evaluation`), or with the same rate"
                    .to_owned()
            }
            _ => return self.check(dataset.shape()),
        };
        Err(Error::DataMismatch(format!(
            "{}: {problem}",
            dataset.name()
        )))
    }

    /// A prepared sample as pixels for display, in the network's shape; a spectrogram as [`Prepared::pixels`] shows it.
    pub(super) fn displayed(&self, tensor: &[f32]) -> Vec<u8> {
        let channels = self.mean.iter().zip(&self.std).cycle();
        let values = tensor.iter().zip(channels);
        let values = values.map(|(value, (mean, std))| value * std + mean);
        match self.medium {
            Medium::Sound(_) => sound::picture(&values.collect::<Vec<_>>()),
            _ => values
                .map(|value| (255.0 * value).round().clamp(0.0, 255.0) as u8)
                .collect(),
        }
    }

    /// Whether pixels of `shape` can be prepared: any height and width; the same channels, or 1 for 3, or 3 for 1.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if they cannot, or if these settings (read from a file) are inconsistent.
    pub fn check(&self, shape: Shape) -> Result<()> {
        if let Some(problem) = self.damage() {
            return Err(Error::DataMismatch(format!(
                "its preparation of pictures is damaged: {problem}; take another copy of the model, or train it again"
            )));
        }
        if shape.is_empty() {
            return Err(Error::DataMismatch(format!(
                "pictures of {shape} have no pixels"
            )));
        }
        if self.medium.vocabulary().is_none() && shape.time != self.shape.time {
            return Err(Error::DataMismatch(format!(
                "samples of {} frames cannot become the {} frames of the network's input",
                shape.time, self.shape.time
            )));
        }
        match (shape.channels, self.shape.channels) {
            (from, to) if from == to => Ok(()),
            (1, 3) | (3, 1) => Ok(()),
            (from, to) => Err(Error::DataMismatch(format!(
                "pictures of {from} channels cannot become the {to} channels of the network's input {}; \
                 use data with {to} channels, or train a network on this data",
                self.shape
            ))),
        }
    }

    /// Checks that the network was trained on levels of pictures.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if it was trained on standardised values: the value of a level is then unknown.
    pub(super) fn check_levels(&self) -> Result<()> {
        match self.range {
            Some(ValueRange::Standardised) => Err(Error::DataMismatch(
                "the model was trained on arrays of standardised numbers, and levels of pictures cannot be converted to these; train it on numbers from 0 to 1 or on bytes, or evaluate it on arrays that were standardised in the same way (`Model::evaluate`)"
                    .into(),
            )),
            _ => Ok(()),
        }
    }

    /// What is inconsistent or impossible in these settings.
    fn damage(&self) -> Option<String> {
        let shape = self.shape;
        if addressable(&shape.sizes()).is_none_or(|size| size == 0) {
            return Some(format!(
                "its input of {shape} has no values, or more than a memory holds"
            ));
        }
        if let Some(vocabulary) = self.medium.vocabulary() {
            let is_text = shape.frame() == Shape::new(1, 1, 1) && vocabulary.is_sound();
            return (!is_text)
                .then(|| format!("its vocabulary or its input of {shape} is none of texts"));
        }
        if let Some(problem) = self.medium.sound().and_then(|sound| self.damage_of(sound)) {
            return Some(problem);
        }
        if (shape.height * shape.width) as u64 > LARGEST_PICTURE {
            return Some(format!(
                "its input of {shape} is larger than any picture that is read ({} million pixels)",
                LARGEST_PICTURE / 1_000_000
            ));
        }
        for (name, values) in [("means", &self.mean), ("standard deviations", &self.std)] {
            if values.len() != shape.channels {
                let (count, channels) = (values.len(), shape.channels);
                return Some(format!("it has {count} {name} for {channels} channels"));
            }
        }
        // Black and white must become finite values, and a deviation must be positive.
        let normalises = |(mean, std): (&f32, &f32)| {
            *std > 0.0
                && [0.0, 1.0]
                    .iter()
                    .all(|level| ((level - mean) / std).is_finite())
        };
        let channels = || self.mean.iter().zip(&self.std);
        if let Some((mean, std)) = channels().find(|channel| !normalises(*channel)) {
            return Some(format!(
                "a channel with mean {mean:e} and standard deviation {std:e} cannot be normalised"
            ));
        }
        let largest = shape.height.max(shape.width);
        match self.ground.and_then(|ground| ground.ink_side) {
            Some(side) if !(1..=largest).contains(&side) => Some(format!(
                "writing that fills {side} pixels does not fit its input of {shape}"
            )),
            _ => None,
        }
    }

    /// What is inconsistent in the settings for recordings.
    fn damage_of(&self, sound: &SoundSettings) -> Option<String> {
        match sound.check() {
            Err(problem) => Some(problem),
            Ok(()) => (sound.shape() != self.shape).then(|| {
                format!(
                    "recordings of {} become {}, not {}",
                    sound,
                    sound.shape(),
                    self.shape
                )
            }),
        }
    }

    /// An error for pictures, if the network reads something else.
    ///
    /// # Errors
    /// [`Error::DataMismatch`]
    pub(super) fn check_pictures(&self) -> Result<()> {
        match self.medium.kind() {
            Kind::Pictures => Ok(()),
            kind => Err(Error::DataMismatch(format!(
                "it is a picture, and the model was trained on {kind}"
            ))),
        }
    }

    /// Prepares the pixels of a picture, `[h, w, c]` of any height and width: bytes of 1 channel (grey) or 3 (red, green, blue), such as a camera gives.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when there are not as many bytes as `shape` says, or the network's input is not one of pictures.
    pub fn pixels(&self, pixels: &[u8], shape: Shape) -> Result<Prepared> {
        check_lengths(pixels.len(), shape, 1)?;
        self.check_pictures()?;
        self.check(shape)?;
        let greyed = (self.shape.channels, shape.channels) == (1, 3) && !is_grey(pixels);
        let pixels = self.in_channels(pixels.into(), shape.channels).into_owned();
        let shape = Shape {
            channels: self.shape.channels,
            ..shape
        };
        self.prepared(pixels, shape, greyed)
    }

    /// Prepares pixels in the network's channels.
    pub(super) fn prepared(
        &self,
        pixels: Vec<u8>,
        original: Shape,
        greyed: bool,
    ) -> Result<Prepared> {
        let other_ground = self.stands_elsewhere(&pixels, original);
        let (pixels, inverted) = self.brought(pixels, original)?;
        let mut tensor = vec![0.0; pixels.len()];
        self.normalise_bytes(&self.tables(), &pixels, &mut tensor);
        Ok(Prepared {
            inverted,
            other_ground,
            greyed,
            ..Prepared::unchanged(tensor, pixels, original)
        })
    }

    /// Whether a picture in the network's channels has another plain background than the training pictures, which inverting does not fix.
    pub(super) fn stands_elsewhere(&self, pixels: &[u8], shape: Shape) -> bool {
        self.ground.is_some_and(|ground| {
            let is_inverted = self.shape.channels == 1 && ground.is_dark().is_some();
            !is_inverted && ground.is_other(Rim::of(pixels, shape))
        })
    }

    /// How many pictures of arrays are inverted for the network, and how many have another background.
    ///
    /// # Errors
    /// As of [`Dataset::bytes`].
    pub(super) fn unlike(&self, arrays: &Dataset) -> Result<Unlike> {
        let shape = arrays.shape();
        let indices: Vec<usize> = (0..arrays.len()).collect();
        let of_some = |indices: &[usize]| -> Result<Unlike> {
            let mut unlike = Unlike::default();
            for &index in indices {
                if let Some(pixels) = arrays.bytes(index)? {
                    unlike.other_ground += usize::from(
                        shape.channels == self.shape.channels
                            && self.stands_elsewhere(&pixels, shape),
                    );
                    unlike.inverted += usize::from(self.bring_bytes(pixels, shape).1);
                }
            }
            Ok(unlike)
        };
        let some = on_all_cores(indices.chunks(AT_A_TIME), of_some, |_| ());
        some.into_iter().try_fold(Unlike::default(), |all, some| {
            let some = some?;
            Ok(Unlike {
                inverted: all.inverted + some.inverted,
                other_ground: all.other_ground + some.other_ground,
            })
        })
    }

    /// Bytes of `shape` `[h, w, c]` as bytes of the network's shape; also whether light and dark were exchanged.
    ///
    /// # Errors
    /// As of [`Preparation::check`].
    pub(super) fn brought(&self, pixels: Vec<u8>, shape: Shape) -> Result<(Vec<u8>, bool)> {
        self.check(shape)?;
        self.check_levels()?;
        let (pixels, inverted) = self.bring_bytes(pixels.into(), shape);
        Ok((pixels.into_owned(), inverted))
    }

    /// Prepares one sample into `out`, `[h, w, c]`. `change` may change its bytes at the network's shape,
    /// before normalisation, or its samples and its spectrogram; it is not called for `f32` samples. `tables` are those of [`Preparation::tables`].
    ///
    /// # Errors
    /// If a picture that is not kept in memory can no longer be read from its file.
    ///
    /// # Panics
    /// If `out` has the wrong length, the index is out of range, or [`Preparation::check`] of the data set's shape fails.
    pub(super) fn sample(
        &self,
        tables: &[[f32; 256]],
        dataset: &Dataset,
        index: usize,
        change: &mut dyn FnMut(Stage<'_, '_>),
        out: &mut [f32],
    ) -> Result<()> {
        let shape = dataset.shape();
        (self.check_data(dataset)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(out.len(), self.shape.len(), "length of a sample");
        if let Pixels::Sounds(sounds) = &dataset.pixels {
            return sounds.input(dataset.rows[index], self, change, out);
        }
        let resized = dataset.resized_file(index);
        // The position of ink matters only for a picture of another size.
        let ground = |ground: Option<Ground>| {
            ground.map(|ground| (ground.color, ground.ink_side.filter(|_| resized.is_some())))
        };
        let brought = dataset.reading.is_some_and(|reading| {
            (shape, reading.resize) == (self.shape, self.resize)
                && reading.transparent == self.transparent
                && ground(reading.ground) == ground(self.ground)
        });
        // Pixels that were prepared with another shape or other settings are prepared again from the file.
        if !brought && let Some(pixels) = dataset.resized_anew(index, self) {
            let mut pixels = Cow::Owned(pixels?);
            change(Stage::Pixels(&mut pixels));
            self.normalise_bytes(tables, &pixels, out);
            return Ok(());
        }
        match dataset.sample(index)? {
            Sample::Bytes(pixels) => {
                let mut pixels = match brought {
                    true => pixels,
                    false => self.bring_bytes(pixels, shape).0,
                };
                change(Stage::Pixels(&mut pixels));
                self.normalise_bytes(tables, &pixels, out);
            }
            Sample::Text(text) => {
                let vocabulary = self.medium.vocabulary();
                (vocabulary.expect("the kind was checked")).encode(text, out);
            }
            Sample::Floats(pixels) => {
                self.normalise_floats(&self.bring_floats(pixels, shape), out);
            }
        }
        Ok(())
    }

    /// Bytes `[h, w, c]` of any shape that [`Preparation::check`] accepts, as bytes of the network's shape;
    /// also whether light and dark were exchanged.
    fn bring_bytes<'a>(&self, pixels: Cow<'a, [u8]>, shape: Shape) -> (Cow<'a, [u8]>, bool) {
        if shape.time > 1 {
            return (self.bring_clip(pixels, shape), false);
        }
        let pixels = self.in_channels(pixels, shape.channels);
        let (from, to) = (
            (shape.height, shape.width),
            (self.shape.height, self.shape.width),
        );
        let fitted = match (self.ground, &self.bars()[..]) {
            (Some(ground), [_]) => return ground.bring(pixels, from, to, self.resize),
            _ if from == to => return (pixels, false),
            (_, &[red, green, blue]) => {
                resize::fit_rgb(&pixels, from, to, [red, green, blue], self.resize)
            }
            (_, bars) => resize::fit(&pixels, from, to, bars, self.resize),
        };
        (fitted.into(), false)
    }

    /// Bytes of `from`, which has the network's channels, at the network's size; light and dark stay, and nothing is centred.
    pub(crate) fn resized(&self, pixels: &[u8], from: Shape) -> Vec<u8> {
        let (from, to) = (
            (from.height, from.width),
            (self.shape.height, self.shape.width),
        );
        resize::fit(pixels, from, to, &self.bars(), self.resize)
    }

    /// The level of each channel in the bars beside a letterboxed picture.
    pub(crate) fn bars(&self) -> Vec<u8> {
        match (self.ground, self.shape.channels) {
            (Some(ground), 1) => vec![ground.level()],
            (Some(ground), 3) => ground.color.to_vec(),
            (_, channels) => vec![0; channels],
        }
    }

    /// The same for a clip: each frame by itself.
    fn bring_clip<'a>(&self, pixels: Cow<'a, [u8]>, shape: Shape) -> Cow<'a, [u8]> {
        if shape == self.shape {
            return pixels;
        }
        let frames = pixels.chunks_exact(shape.frame().len());
        let frames =
            frames.flat_map(|frame| self.bring_bytes(frame.into(), shape.frame()).0.into_owned());
        frames.collect::<Vec<u8>>().into()
    }

    /// Bytes of 1 or 3 channels in the network's channels; bytes of other channels as they are.
    fn in_channels<'a>(&self, pixels: Cow<'a, [u8]>, channels: usize) -> Cow<'a, [u8]> {
        match (channels, self.shape.channels) {
            (3, 1) => pixels
                .chunks_exact(3)
                .map(|rgb| luma(rgb[0], rgb[1], rgb[2]))
                .collect(),
            (1, 3) => pixels.iter().flat_map(|&level| [level; 3]).collect(),
            _ => pixels,
        }
    }

    fn bring_floats<'a>(&self, pixels: &'a [f32], shape: Shape) -> Cow<'a, [f32]> {
        let pixels: Cow<'a, [f32]> = match (shape.channels, self.shape.channels) {
            (3, 1) => pixels
                .chunks_exact(3)
                .map(|rgb| 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2])
                .collect(),
            (1, 3) => pixels.iter().flat_map(|&level| [level; 3]).collect(),
            _ => Cow::Borrowed(pixels),
        };
        let (from, to) = (
            (shape.height, shape.width),
            (self.shape.height, self.shape.width),
        );
        if from == to {
            return pixels;
        }
        let bars = vec![0.0; self.shape.channels];
        resize::fit(&pixels, from, to, &bars, self.resize).into()
    }

    /// The normalised value of each byte, per channel.
    pub(super) fn tables(&self) -> Vec<[f32; 256]> {
        self.mean
            .iter()
            .zip(&self.std)
            .map(|(mean, std)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std))
            .collect()
    }

    /// Normalises values of one channel.
    pub(super) fn normalise(&self, values: &mut [f32]) {
        let (mean, std) = (self.mean[0], self.std[0]);
        values
            .iter_mut()
            .for_each(|value| *value = (*value - mean) / std);
    }

    pub(super) fn normalise_bytes(&self, tables: &[[f32; 256]], pixels: &[u8], out: &mut [f32]) {
        if let [table] = tables {
            for (out, &byte) in out.iter_mut().zip(pixels) {
                *out = table[usize::from(byte)];
            }
            return;
        }
        let pixels = pixels.chunks_exact(self.shape.channels);
        for (out, pixel) in out.chunks_exact_mut(self.shape.channels).zip(pixels) {
            for ((out, &byte), table) in out.iter_mut().zip(pixel).zip(tables) {
                *out = table[usize::from(byte)];
            }
        }
    }

    /// Normalises values of levels from 0 to 1, `[n, h, w, c]`.
    pub(crate) fn normalise_floats(&self, pixels: &[f32], out: &mut [f32]) {
        let pixels = pixels.chunks_exact(self.shape.channels);
        for (out, pixel) in out.chunks_exact_mut(self.shape.channels).zip(pixels) {
            for (channel, (out, &value)) in out.iter_mut().zip(pixel).enumerate() {
                *out = (value - self.mean[channel]) / self.std[channel];
            }
        }
    }
}

/// Mean and standard deviation of each channel from integer sums: exact, whatever the order of the samples.
fn statistics_of_bytes<'a>(
    dataset: &Dataset,
    moments: impl Fn(usize) -> Cow<'a, [[u64; 2]]>,
) -> (Vec<f32>, Vec<f32>) {
    let shape = dataset.shape();
    let mut totals = vec![[0u128; 2]; shape.channels];
    for &row in &dataset.rows {
        for (total, moment) in totals.iter_mut().zip(&*moments(row)) {
            total[0] += u128::from(moment[0]);
            total[1] += u128::from(moment[1]);
        }
    }
    let count = (dataset.len() * shape.len() / shape.channels).max(1) as u128;
    let statistics = totals.iter().map(|&[sum, squares]| {
        let mean = sum as f64 / count as f64 / 255.0;
        let variance =
            (squares * count - sum * sum) as f64 / (count * count) as f64 / 255f64.powi(2);
        (mean as f32, deviation(variance))
    });
    statistics.unzip()
}

/// Mean and standard deviation over spectrograms, from the sum and the sum of squares of each.
fn statistics_of_sounds(
    moments: impl Iterator<Item = [f64; 2]>,
    shape: Shape,
) -> (Vec<f32>, Vec<f32>) {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for [own_sum, own_squares] in moments {
        sum += own_sum;
        squares += own_squares;
        count += shape.len() as f64;
    }
    let mean = sum / f64::max(count, 1.0);
    let variance = squares / f64::max(count, 1.0) - mean * mean;
    (vec![mean as f32], vec![deviation(variance)])
}

fn statistics_of_floats(floats: &[f32], rows: &[usize], shape: Shape) -> (Vec<f32>, Vec<f32>) {
    let count = (rows.len() * shape.height * shape.width).max(1) as f64;
    let values = |channel: usize| {
        rows.iter().flat_map(move |&row| {
            let sample = &floats[row * shape.len()..][..shape.len()];
            sample.iter().skip(channel).step_by(shape.channels)
        })
    };
    let mut statistics = (Vec::new(), Vec::new());
    for channel in 0..shape.channels {
        let mean = values(channel).map(|&value| f64::from(value)).sum::<f64>() / count;
        let variance = values(channel)
            .map(|&value| (f64::from(value) - mean).powi(2))
            .sum::<f64>()
            / count;
        statistics.0.push(mean as f32);
        statistics.1.push(deviation(variance));
    }
    statistics
}

/// The root of a variance; 1 for a channel that never changes, which is then only shifted to 0.
fn deviation(variance: f64) -> f32 {
    let deviation = variance.max(0.0).sqrt() as f32;
    if deviation < 1e-6 { 1.0 } else { deviation }
}
