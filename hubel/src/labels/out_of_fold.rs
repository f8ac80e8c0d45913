//! Out-of-fold probabilities: each picture is judged by models that were trained on the others.
use std::ops::ControlFlow;
use std::time::Instant;

use hubel_kernels::Cpu;
use hubel_kernels::softmax::softmax;

use super::folds::{self, Samples};
use crate::{Dataset, Error, Event, Model, Network, Result, Shape, TrainSettings, Trainer};

/// The models that judge labels.
#[derive(Clone, Debug)]
pub enum Judge {
    /// A network, trained from scratch for each fold.
    Network(Network),
    /// A linear layer on the features of this model. These are computed once; then one layer is trained for each fold.
    Head(Box<Model>),
}

/// How many models judge labels, and how they are trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The pictures are divided into this many folds. Each is judged by models that were trained on the others.
    pub folds: usize,
    /// Models for each fold. They differ in their seeds, and their probabilities are averaged.
    pub models: usize,
    /// How each is trained. The seed also decides the folds.
    pub settings: TrainSettings,
}

/// How far the computation of out-of-fold probabilities is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LabelProgress {
    /// It begins.
    #[non_exhaustive]
    Begins {
        /// What will be trained, in one line.
        method: String,
    },
    /// The features of the pictures are being computed.
    #[non_exhaustive]
    Features {
        /// Number of finished pictures.
        done: usize,
        /// Number of all pictures.
        all: usize,
        /// Expected time until all are finished.
        seconds_left: f64,
    },
    /// A model is being trained.
    #[non_exhaustive]
    Training {
        /// Its fold, counted from 1.
        fold: usize,
        /// Number of folds.
        folds: usize,
        /// Share of the training of all models that is done, from 0 to 1.
        share: f64,
        /// Expected time until all are trained.
        seconds_left: f64,
    },
}

/// The probabilities `[n, classes]` of all pictures of `dataset`, each from models that were trained without the picture and its near-duplicates. The folds have equal shares of
/// each class. The same settings give the same bits for any number of threads.
///
/// The rows of pictures that can no longer be read are NaN, if the data's policy leaves out bad files.
///
/// # Errors
/// [`Error::Settings`] for fewer than two folds, no models, or invalid settings; [`Error::DataMismatch`] for a class with a single picture (or several that are equal), which no model
/// could learn and be judged by; those of [`Trainer::run`].
pub fn out_of_fold(
    cpu: &Cpu,
    dataset: &Dataset,
    judge: &Judge,
    course: &Course,
    listen: &mut dyn FnMut(LabelProgress),
) -> Result<Vec<f32>> {
    let folds = folds_of(dataset, course)?;
    match judge {
        Judge::Network(network) => judged(cpu, dataset, network, course, &folds, listen),
        Judge::Head(model) => {
            let (features, is_there) = features(cpu, dataset, model, listen)?;
            let rows: Vec<usize> = (0..dataset.len()).filter(|&row| is_there[row]).collect();
            let folds: Vec<usize> = rows.iter().map(|&row| folds[row]).collect();
            let network = Network::parse("flatten-linear(classes)")?;
            let readable = features.subset(&rows);
            let found = judged(cpu, &readable, &network, course, &folds, listen)?;
            let classes = dataset.classes().len();
            let mut probabilities = vec![f32::NAN; dataset.len() * classes];
            for (row, found) in std::iter::zip(rows, found.chunks(classes)) {
                probabilities[row * classes..][..classes].copy_from_slice(found);
            }
            Ok(probabilities)
        }
    }
}

/// The fold of each sample.
///
/// # Errors
/// As for [`out_of_fold`].
fn folds_of(dataset: &Dataset, course: &Course) -> Result<Vec<usize>> {
    if course.folds < 2 || course.models == 0 {
        return Err(Error::Settings {
            problem: format!(
                "{} folds with {} models each cannot judge every example by a model that did not see it; give at least 2 folds and 1 model",
                course.folds, course.models
            ),
        });
    }
    let contents: Vec<u64> = dataset.contents().collect();
    let samples = Samples {
        labels: dataset.labels(),
        contents: &contents,
        same: &dataset.likenesses().same,
    };
    let folds = folds::assign(&samples, course.folds, course.settings.seed);
    for (class, name) in dataset.classes().iter().enumerate() {
        let own = std::iter::zip(dataset.labels(), &folds).filter(|(label, _)| **label == class);
        let mut own = own.map(|(_, fold)| fold);
        if let Some(first) = own.next()
            && own.all(|fold| fold == first)
        {
            let own = match dataset.counts()[class] {
                1 => "a single example".to_owned(),
                count => format!("{count} equal examples and no others"),
            };
            return Err(Error::DataMismatch(format!(
                "class `{name}` has {own}, so no model can learn the class and then judge that example; at least 2 different examples of each class are needed, better {}: \
                 add some, or leave the class out",
                course.folds
            )));
        }
    }
    Ok(folds)
}

/// The features of all samples, as a data set, and whether each could be read.
fn features(
    cpu: &Cpu,
    dataset: &Dataset,
    model: &Model,
    listen: &mut dyn FnMut(LabelProgress),
) -> Result<(Dataset, Vec<bool>)> {
    let mut extractor = model.features(cpu, None)?;
    let (length, count, start) = (extractor.dimensions(), dataset.len(), Instant::now());
    let mut features = vec![0.0; count * length];
    let mut is_there = vec![false; count];
    let mut done = 0;
    extractor.of_dataset(dataset, &mut |index, found| {
        features[index * length..][..length].copy_from_slice(found);
        is_there[index] = true;
        done += 1;
        listen(LabelProgress::Features {
            done,
            all: count,
            seconds_left: start.elapsed().as_secs_f64() * (count - done) as f64 / done as f64,
        });
        Ok(())
    })?;
    let (name, classes, labels) = (dataset.name(), dataset.classes(), dataset.labels());
    let shape = Shape::new(1, 1, length);
    let features = Dataset::of_floats(name, classes, shape, features, labels.to_vec())?;
    Ok((features, is_there))
}

/// Trains a network for each fold and model, and averages the probabilities.
fn judged(
    cpu: &Cpu,
    dataset: &Dataset,
    network: &Network,
    course: &Course,
    folds: &[usize],
    listen: &mut dyn FnMut(LabelProgress),
) -> Result<Vec<f32>> {
    let classes = dataset.classes().len();
    let mut probabilities = vec![f32::NAN; dataset.len() * classes];
    let mut row = vec![0.0; classes];
    let all = course.folds * course.models;
    let start = Instant::now();
    for place in 0..all {
        let (fold, model) = (place / course.models, place % course.models);
        let those = |is_own: bool| -> Vec<usize> {
            let all = 0..dataset.len();
            all.filter(|&index| (folds[index] == fold) == is_own)
                .collect()
        };
        let own = those(true);
        if own.is_empty() {
            continue;
        }
        let settings = TrainSettings {
            seed: course.settings.seed.wrapping_add(model as u64),
            ..course.settings.clone()
        };
        let others = dataset.subset(&those(false));
        let mut trainer = Trainer::new(cpu.clone(), network.clone(), &others, None, settings)?;
        let trained = trainer.run(&mut |event| {
            if let Event::Step {
                epoch,
                epochs,
                step,
                steps,
                ..
            } = event
            {
                let own = ((epoch - 1) * steps + step) as f64 / (epochs * steps) as f64;
                let share = (place as f64 + own) / all as f64;
                listen(LabelProgress::Training {
                    fold: fold + 1,
                    folds: course.folds,
                    share,
                    seconds_left: start.elapsed().as_secs_f64() * (1.0 - share) / share,
                });
            }
            ControlFlow::Continue(())
        })?;
        let part = 1.0 / course.models as f32;
        trained.evaluate_each(cpu, &dataset.subset(&own), &mut |answer| {
            softmax(cpu, answer.logits, classes, &mut row);
            let sums = &mut probabilities[own[answer.index] * classes..][..classes];
            if model == 0 {
                sums.fill(0.0);
            }
            for (sum, p) in sums.iter_mut().zip(&row) {
                *sum = (*sum + part * p).min(1.0);
            }
        })?;
    }
    Ok(probabilities)
}
