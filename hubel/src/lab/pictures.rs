//! The pictures of experiments: MNIST, or the user's own.
use std::path::Path;

use super::{Budget, Data, scenes, words};
use crate::data::{Kind, Options, mnist, open_with};
use crate::random::Stream;
use crate::{Dataset, Error, Purpose, Random, Result, Shape, Splits};

/// Larger pictures of the user are reduced to this side, because an experiment trains many networks in a minute.
const LARGEST_SIDE: usize = 32;

/// Share that is held out if the data has no test pictures: experiments test on half as many pictures as they train on.
const HELD_OUT: f64 = 1.0 / 3.0;

/// Opens the user's pictures for experiments, in any form that training takes. Files of more than 32×32 pixels are reduced to that size.
///
/// # Errors
/// As for [`crate::data::open`]; [`Error::DataMismatch`] if there are no test pictures.
pub fn open(path: &Path, listen: &(dyn Fn(usize, usize) + Sync)) -> Result<Splits> {
    let mut options = Options {
        validation: 0.0,
        test: HELD_OUT,
        ..Options::default()
    };
    let mut splits = open_with(path, &options, listen)?;
    let shape = splits.train.shape();
    let is_large = shape.height.max(shape.width) > LARGEST_SIDE;
    let is_picture = splits.train.kind() == Kind::Pictures;
    if is_picture && is_large && splits.train.path(0).is_some() {
        options.shape = Some(Shape::new(LARGEST_SIDE, LARGEST_SIDE, shape.channels));
        splits = open_with(path, &options, listen)?;
    }
    judges(&splits).map(|_| splits)
}

/// The test pictures: the larger of validation and test split, since an experiment makes no choice by either.
fn judges(splits: &Splits) -> Result<Dataset> {
    let parts = [&splits.test, &splits.validation].into_iter().flatten();
    let largest = parts.max_by_key(|part| part.len()).cloned();
    largest.ok_or_else(|| {
        Error::DataMismatch(format!(
            "{}: there are no test pictures; an experiment needs more pictures",
            splits.train.name()
        ))
    })
}

/// The pictures that experiments draw from.
pub(super) struct Pictures {
    /// Training pictures.
    train: Dataset,
    /// Test pictures.
    test: Dataset,
    /// A description in one line.
    pub(super) description: String,
}

/// The pictures of one seed.
pub(super) struct Drawn {
    pub(super) train: Dataset,
    pub(super) test: Dataset,
}

impl Pictures {
    /// The user's pictures, or else the default for this kind of experiment.
    pub(super) fn of(own: Option<&Splits>, data: Data, budget: Budget) -> Result<Self> {
        let splits = match (own, data) {
            (Some(splits), _) => splits.clone(),
            (None, Data::Colour) => scenes::splits(budget)?,
            (None, Data::Texts) => words::splits(budget)?,
            (None, _) => mnist()?,
        };
        let test = judges(&splits)?;
        Ok(Self {
            train: splits.train,
            test,
            description: splits.description,
        })
    }

    /// The pictures drawn for this seed. Each seed also has other test pictures, so that the spread over the seeds includes the
    /// uncertainty of the test.
    pub(super) fn draw(&self, seed: u64, budget: Budget) -> Drawn {
        let some = |from: &Dataset, count: usize, part| {
            let mut order: Vec<usize> = (0..from.len()).collect();
            stream(seed, part).shuffle(&mut order);
            order.truncate(count);
            from.subset(&order)
        };
        Drawn {
            train: some(&self.train, budget.images, Draw::Train),
            test: some(&self.test, budget.test_images(), Draw::Test),
        }
    }

    /// Their shape.
    pub(super) fn shape(&self) -> Shape {
        self.train.shape()
    }

    /// The names of their classes.
    pub(super) fn class_names(&self) -> &[String] {
        self.train.classes()
    }

    /// Number of classes.
    pub(super) fn classes(&self) -> usize {
        self.train.classes().len()
    }
}

/// The random draws of an experiment for a seed.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    /// The training pictures.
    Train,
    /// The test pictures.
    Test,
    /// A new order of all pixels.
    Pixels,
    /// Places of things in training pictures.
    Places,
    /// Places of things in test pictures.
    TestPlaces,
}

/// The random values of one draw.
pub(super) fn stream(seed: u64, draw: Draw) -> Stream {
    Random::new(seed).stream(Purpose::Experiment, 0, draw as u64)
}
