//! The input of training: which samples each step has, and their augmented pixels.
//!
//! Each batch depends only on (seed, epoch, step, sample), so it can be repeated with any number of threads.
use std::fmt;
use std::str::FromStr;

use crate::data::mix::Mix;
use crate::data::preparation::Stage;
use crate::data::sound::picture;
use crate::data::{Augmentation, BadFile, Dataset, Kind, Mixing, Preparation};
use crate::{Error, Purpose, Random, Result};

/// How classes of very different size are balanced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Not at all: each epoch has each image once.
    #[default]
    None,
    /// By weights of the loss: images / (classes × images of the class).
    Loss,
    /// By sampling: an epoch has equally many images of each class. Images of rare classes are repeated, and some of common classes are missing.
    Sample,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Loss => "loss",
            Self::Sample => "sample",
        })
    }
}

impl FromStr for Balance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::None, Self::Loss, Self::Sample]
            .into_iter()
            .find(|balance| balance.to_string() == text)
            .ok_or_else(|| Error::Settings {
                problem: format!("`{text}` is no way to balance classes; use none, loss or sample"),
            })
    }
}

/// The batches of a training run.
#[derive(Clone, Debug)]
pub struct Feed {
    dataset: Dataset,
    preparation: Preparation,
    /// The value of each byte, from `preparation`.
    tables: Vec<[f32; 256]>,
    settings: FeedSettings,
    mixing: Mixing,
}

/// Gets the bytes of a picture before normalisation.
type Show<'a> = &'a mut dyn FnMut(&[u8]);

/// Settings of a [`Feed`].
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSettings {
    /// Random changes to the pictures.
    pub augmentation: Augmentation,
    /// How classes of very different size are balanced.
    pub balance: Balance,
    /// Images per step.
    pub batch_size: usize,
    /// The seed of order and augmentation.
    pub seed: u64,
}

impl Feed {
    /// The batches of `dataset` with these settings. A batch is never larger than the data set; the last one of an epoch may be smaller.
    ///
    /// # Errors
    /// [`Error::Settings`] if there are no images, or they cannot be augmented.
    pub fn new(dataset: Dataset, preparation: Preparation, settings: FeedSettings) -> Result<Self> {
        if dataset.is_empty() {
            return Err(Error::Settings {
                problem: "the data set is empty; give one with examples of every class".into(),
            });
        }
        if settings.batch_size == 0 {
            return Err(Error::Settings {
                problem: "a batch size of 0 leaves a step without examples; give at least 1".into(),
            });
        }
        settings.augmentation.check(preparation.shape.frame())?;
        (settings.augmentation).check_kind(dataset.kind(), dataset.name())?;
        if !settings.augmentation.is_none() && dataset.is_of_floats() {
            return Err(Error::Settings {
                problem: format!(
                    "`{}` cannot be applied to images given as f32: give them as bytes (Dataset::from_bytes), or augment them beforehand",
                    settings.augmentation
                ),
            });
        }
        let batch_size = settings.batch_size.min(dataset.len());
        Ok(Self {
            tables: preparation.tables(),
            dataset,
            preparation,
            settings: FeedSettings {
                batch_size,
                ..settings
            },
            mixing: Mixing::None,
        })
    }

    /// The same batches, whose pictures [`Feed::mix`] mixes with each other.
    ///
    /// # Errors
    /// [`Error::Settings`] if an α is not positive and finite.
    pub fn with_mixing(self, mixing: Mixing) -> Result<Self> {
        mixing.check()?;
        if !mixing.is_none() && self.dataset.kind() == Kind::Texts {
            return Err(Error::Settings {
                problem: "texts cannot be mixed: a mean of two tokens is none".to_owned(),
            });
        }
        Ok(Self { mixing, ..self })
    }

    /// The images it draws from.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The preparation of pixels for the network.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// Images of a full batch.
    pub fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    /// Images per epoch.
    pub fn images(&self) -> usize {
        self.dataset.len()
    }

    /// Steps per epoch.
    pub fn steps(&self) -> usize {
        self.images().div_ceil(self.settings.batch_size)
    }

    /// The draws of an epoch (counted from 1) in order; [`Feed::step`] divides them into batches. [`Feed::index`] gives the image of a draw.
    /// If an image is repeated in an epoch, each repetition is a different draw with its own augmentation.
    pub fn order(&self, epoch: usize) -> Vec<usize> {
        let shuffle = |sample: u64, items: &mut [usize]| {
            Random::new(self.settings.seed)
                .stream(Purpose::Shuffle, epoch as u64, sample)
                .shuffle(items);
        };
        let images = self.images();
        let mut order: Vec<usize> = match self.settings.balance {
            Balance::None | Balance::Loss => (0..images).collect(),
            Balance::Sample => {
                let mut members = vec![Vec::new(); self.dataset.classes().len()];
                for (index, &label) in self.dataset.labels().iter().enumerate() {
                    members[label].push(index);
                }
                members.retain(|members| !members.is_empty());
                for (class, members) in members.iter_mut().enumerate() {
                    shuffle(1 + class as u64, members);
                }
                let draw = |place: usize| {
                    let (class, turn) = (place % members.len(), place / members.len());
                    let members = &members[class];
                    members[turn % members.len()] + turn / members.len() * images
                };
                (0..images).map(draw).collect()
            }
        };
        shuffle(0, &mut order);
        order
    }

    /// The draws of step `step` (counted from 0) in an epoch's `order`.
    ///
    /// # Panics
    /// If the epoch has fewer steps.
    pub fn step<'a>(&self, order: &'a [usize], step: usize) -> &'a [usize] {
        let size = self.batch_size();
        &order[step * size..order.len().min((step + 1) * size)]
    }

    /// The draws of a step of an epoch, both counted from 1.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is no such epoch or step.
    pub fn draws(&self, epoch: usize, step: usize) -> Result<Vec<usize>> {
        let (steps, size) = (self.steps(), self.batch_size());
        if epoch == 0 {
            return Err(Error::Settings {
                problem: "epochs count from 1".to_owned(),
            });
        }
        if !(1..=steps).contains(&step) {
            return Err(Error::Settings {
                problem: format!(
                    "there is no step {step}: an epoch of {} {} in batches of {size} has the steps 1 to {steps}",
                    self.images(),
                    self.dataset.kind().plural()
                ),
            });
        }
        Ok(self.step(&self.order(epoch), step - 1).to_vec())
    }

    /// The index in the data set of the image of a draw.
    pub fn index(&self, draw: usize) -> usize {
        draw % self.images()
    }

    /// The class of the image of a draw.
    pub fn label(&self, draw: usize) -> usize {
        self.dataset.labels()[self.index(draw)]
    }

    /// The weight of each class in the loss; `None` if all are equal.
    pub fn class_weights(&self) -> Option<Vec<f32>> {
        let counts = self.dataset.counts();
        let present = counts.iter().filter(|&&count| count > 0).count();
        let weight = |count: &usize| match count {
            0 => 0.0,
            count => (self.images() as f64 / (present * count) as f64) as f32,
        };
        (self.settings.balance == Balance::Loss).then(|| counts.iter().map(weight).collect())
    }

    /// Writes the images of `draws` in epoch `epoch`, `[n, h, w, c]`, augmented and normalised, and not yet [mixed](Feed::mix).
    ///
    /// If the data's policy leaves out bad files, the next image of the data set replaces each picture that can no longer be read from its
    /// file, in `draws` too. These pictures are returned.
    ///
    /// # Errors
    /// The first such picture if the policy is another, or if no other picture can be read.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn fill(&self, epoch: usize, draws: &mut [usize], out: &mut [f32]) -> Result<Vec<BadFile>> {
        let length = self.preparation.shape.len();
        assert_eq!(out.len(), draws.len() * length, "length of the batch");
        let mut bad = Vec::new();
        for (draw, out) in draws.iter_mut().zip(out.chunks_exact_mut(length)) {
            let drawn = *draw;
            while let Err(error) = self.sample(epoch, *draw, None, out) {
                let (index, next) = (self.index(*draw), self.index(*draw + 1));
                if next == self.index(drawn) {
                    return Err(error);
                }
                bad.push(self.dataset.left_out(index, error)?);
                *draw = next;
            }
        }
        Ok(bad)
    }

    /// The mixture of a step (counted from 0); `None` in epoch 0, and if pictures are not mixed.
    pub(crate) fn mixture(&self, epoch: usize, step: usize) -> Option<Mix> {
        let shape = self.preparation.shape;
        let mixing = if epoch > 0 { self.mixing } else { Mixing::None };
        mixing.mix(self.settings.seed, epoch, step, shape)
    }

    /// Mixes the images `[n, h, w, c]` of a step (counted from 0) that [`Feed::fill`] wrote, as [`Mixing`] says. Epoch 0 is not mixed.
    pub fn mix(&self, epoch: usize, step: usize, images: &mut [f32]) {
        if let Some(mixture) = self.mixture(epoch, step) {
            mixture.pictures(images, self.preparation.shape);
        }
    }

    /// The target probabilities `[n, classes]` of the draws of a step, mixed like their images. `None` if the labels are the targets: the data
    /// set has no [targets](Dataset::with_targets), and images are not mixed.
    pub fn targets(&self, epoch: usize, step: usize, draws: &[usize]) -> Option<Vec<f32>> {
        let mixture = self.mixture(epoch, step);
        if mixture.is_none() && self.dataset.targets().is_none() {
            return None;
        }
        let classes = self.dataset.classes().len();
        let mut targets = vec![0.0; draws.len() * classes];
        for (target, draw) in targets.chunks_exact_mut(classes).zip(draws) {
            match self.dataset.target(self.index(*draw)) {
                Some(given) => target.copy_from_slice(given),
                None => target[self.label(*draw)] = 1.0,
            }
        }
        if let Some(mixture) = mixture {
            mixture.targets(&mut targets, classes);
        }
        Some(targets)
    }

    /// The bytes `[h, w, c]` of the image of a draw in epoch `epoch`, augmented (except in epoch 0), not normalised and not mixed. `None` for images
    /// of `f32`.
    ///
    /// # Errors
    /// As for [`Feed::fill`].
    pub fn pixels(&self, epoch: usize, draw: usize) -> Result<Option<Vec<u8>>> {
        let mut seen = None;
        let mut tensor = vec![0.0; self.preparation.shape.len()];
        self.sample(
            epoch,
            draw,
            Some(&mut |pixels| seen = Some(pixels.to_vec())),
            &mut tensor,
        )?;
        Ok(seen)
    }

    /// Prepares the image of a draw; `show` gets its bytes before normalisation.
    fn sample(
        &self,
        epoch: usize,
        draw: usize,
        mut show: Option<Show<'_>>,
        out: &mut [f32],
    ) -> Result<()> {
        let Preparation { shape, .. } = self.preparation;
        let augmentation = &self.settings.augmentation;
        let augmented = epoch > 0 && !augmentation.is_none();
        let (seed, epoch, sample) = (self.settings.seed, epoch as u64, draw as u64);
        let mut change = |stage: Stage<'_, '_>| match stage {
            Stage::Pixels(pixels) => {
                if augmented {
                    // The same change for all frames of a clip.
                    for frame in pixels.to_mut().chunks_exact_mut(shape.frame().len()) {
                        augmentation.apply(frame, shape.frame(), seed, epoch, sample);
                    }
                }
                if let Some(show) = &mut show {
                    show(pixels);
                }
            }
            Stage::Samples(samples) => {
                if augmented {
                    augmentation.apply_to_samples(samples.to_mut(), seed, epoch, sample);
                }
            }
            Stage::Spectrogram(map) => {
                if augmented {
                    augmentation.apply_to_spectrogram(map, shape, seed, epoch, sample);
                }
                if let Some(show) = &mut show {
                    show(&picture(map));
                }
            }
        };
        let index = self.index(draw);
        (self.preparation).sample(&self.tables, &self.dataset, index, &mut change, out)
    }
}

#[cfg(test)]
mod tests;
