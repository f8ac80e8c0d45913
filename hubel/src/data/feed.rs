//! What training sees: which samples make up each step, and what each of them looks like then.
//!
//! Everything follows from (seed, epoch, step, sample), so any batch of any run can be made again, by any number of threads.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::data::{Augmentation, BadFile, Dataset, Preparation};
use crate::{Error, Purpose, Random, Result};

/// What is done about classes of very different size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Nothing: each image counts once in each epoch.
    #[default]
    None,
    /// An image's loss is weighted by how rare its class is: images / (classes × images of the class).
    Loss,
    /// Each class gives equally many images to an epoch; those of rare classes come several times, and some of common ones not at all.
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
                problem: format!(
                    "`{text}` is no way to balance classes; the ways are none, loss and sample"
                ),
            })
    }
}

/// The batches of a training run.
#[derive(Clone, Debug)]
pub struct Feed {
    dataset: Dataset,
    preparation: Preparation,
    /// Of `preparation`: what each byte becomes.
    tables: Vec<[f32; 256]>,
    settings: FeedSettings,
}

/// What makes a run's batches out of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSettings {
    /// Random changes to the pictures.
    pub augmentation: Augmentation,
    /// What is done about classes of very different size.
    pub balance: Balance,
    /// Images of one step.
    pub batch_size: usize,
    /// Decides order and augmentation.
    pub seed: u64,
}

impl Feed {
    /// The batches that `settings` make of `dataset`; a batch is never larger than the data set, and the last of an epoch is what is left.
    ///
    /// # Errors
    /// [`Error::Settings`] where there are no images, or they cannot be augmented.
    pub fn new(dataset: Dataset, preparation: Preparation, settings: FeedSettings) -> Result<Self> {
        if dataset.is_empty() {
            return Err(Error::Settings {
                problem: "the data set holds no images; give one with images of every class".into(),
            });
        }
        if settings.batch_size == 0 {
            return Err(Error::Settings {
                problem: "a batch size of 0 leaves a step without images; give at least 1".into(),
            });
        }
        settings.augmentation.check(preparation.shape)?;
        if !settings.augmentation.is_none() && dataset.is_of_floats() {
            return Err(Error::Settings {
                problem: format!(
                    "`{}` cannot be applied to images given as f32: make them bytes (Dataset::from_bytes), or augment them beforehand",
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
        })
    }

    /// The images it draws from.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// How pixels become the network's input.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// Images of a full batch.
    pub fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    /// Images of an epoch.
    pub fn images(&self) -> usize {
        self.dataset.len()
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> usize {
        self.images().div_ceil(self.settings.batch_size)
    }

    /// What is drawn in epoch `epoch`, which counts from 1, in order; a batch is the next so many of them. A draw stands for the image
    /// [`Feed::index`]; an image that comes a second time in an epoch is another draw, and augmented otherwise.
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

    /// Of an epoch's `order`, what is drawn in step `step`, which counts from 0.
    ///
    /// # Panics
    /// When an epoch has fewer steps.
    pub fn step<'a>(&self, order: &'a [usize], step: usize) -> &'a [usize] {
        let size = self.batch_size();
        &order[step * size..order.len().min((step + 1) * size)]
    }

    /// Which image of the data set a draw stands for.
    pub fn index(&self, draw: usize) -> usize {
        draw % self.images()
    }

    /// The class of the image of a draw.
    pub fn label(&self, draw: usize) -> usize {
        self.dataset.labels()[self.index(draw)]
    }

    /// The weight of each class in the loss; `None` where all weigh the same.
    pub fn class_weights(&self) -> Option<Vec<f32>> {
        let counts = self.dataset.counts();
        let present = counts.iter().filter(|&&count| count > 0).count();
        let weight = |count: &usize| match count {
            0 => 0.0,
            count => (self.images() as f64 / (present * count) as f64) as f32,
        };
        (self.settings.balance == Balance::Loss).then(|| counts.iter().map(weight).collect())
    }

    /// Writes the images of `draws` as the network sees them in epoch `epoch`: `[n, h, w, c]`, augmented and normalised.
    ///
    /// For a picture that is not kept in memory and can no longer be read from its file, the next image of the data set stands in (in
    /// `draws` too), and it is returned, where bad files are left out of this data.
    ///
    /// # Errors
    /// The first such picture where they are not, and where no other can be read.
    ///
    /// # Panics
    /// When `out` has another length.
    pub fn fill(&self, epoch: usize, draws: &mut [usize], out: &mut [f32]) -> Result<Vec<BadFile>> {
        let length = self.preparation.shape.len();
        assert_eq!(out.len(), draws.len() * length, "length of the batch");
        let mut bad = Vec::new();
        for (draw, out) in draws.iter_mut().zip(out.chunks_exact_mut(length)) {
            let drawn = *draw;
            while let Err(error) = self.sample(epoch, *draw, &mut |_| (), out) {
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

    /// The bytes `[h, w, c]` of the image of a draw as the network sees them in epoch `epoch`, before normalisation; in epoch 0 they are
    /// not augmented. `None` for images of `f32`.
    ///
    /// # Errors
    /// As of [`Feed::fill`].
    pub fn pixels(&self, epoch: usize, draw: usize) -> Result<Option<Vec<u8>>> {
        let mut seen = None;
        let mut tensor = vec![0.0; self.preparation.shape.len()];
        self.sample(
            epoch,
            draw,
            &mut |pixels| seen = Some(pixels.to_vec()),
            &mut tensor,
        )?;
        Ok(seen)
    }

    /// Prepares the image of a draw; `show` gets its bytes before normalisation.
    fn sample(
        &self,
        epoch: usize,
        draw: usize,
        show: &mut dyn FnMut(&[u8]),
        out: &mut [f32],
    ) -> Result<()> {
        let Preparation { shape, .. } = self.preparation;
        let augmentation = &self.settings.augmentation;
        let augmented = epoch > 0 && !augmentation.is_none();
        let (seed, epoch) = (self.settings.seed, epoch as u64);
        let mut change = |pixels: &mut Cow<'_, [u8]>| {
            if augmented {
                augmentation.apply(pixels.to_mut(), shape, seed, epoch, draw as u64);
            }
            show(pixels);
        };
        let index = self.index(draw);
        (self.preparation).sample(&self.tables, &self.dataset, index, &mut change, out)
    }
}

#[cfg(test)]
mod tests;
