//! Pictures of another kind than the training pictures: can they be told apart by their distance to the nearest training picture?
use std::path::{Path, PathBuf};

use hubel::data::BadFile;
use hubel::{Cpu, Curve, Dataset, Error, Familiarity, Model, Predictor, Separation, separation};

use crate::args::Evaluate;
use crate::commands::embed::{Looked, of_each};
use crate::commands::names::Names;
use crate::commands::{reading, report_bad_files};
use crate::console::{Console, thousands};

/// What came out.
pub(super) struct Foreign {
    /// The curves of the distance, with the foreign pictures as positives; `None` if no picture could be used.
    separation: Option<Separation>,
    /// Whether distances are to images that the model was trained on.
    is_of_training: bool,
    /// Number of the data's own images from which the pictures are told apart.
    images: usize,
    count: usize,
    mean_confidence: f64,
    bad_files: Vec<BadFile>,
}

impl Foreign {
    /// Compares the distances of the pictures at `paths` with those of `images`, which are of the same kind as the training images in `data`. An image from which
    /// distances are measured has the distance 0 from itself, so it is left out of `images`.
    pub(super) fn look(
        paths: &[PathBuf],
        model: &Model,
        cpu: &Cpu,
        data: &Path,
        images: &Dataset,
        arguments: &Evaluate,
        console: &Console,
    ) -> Result<Self, Error> {
        if model.vocabulary().is_ok() {
            return Err(Error::Settings {
                problem: "--foreign shows other files to a model of pictures, recordings or clips, and this one was trained on texts; leave it out".into(),
            });
        }
        let learned = reading::of_training(data, model, &arguments.files, console)?;
        let is_of_training = learned.is_known == Some(true);
        let own = images.without(&learned.dataset);
        if own.is_empty() {
            return Err(no_others(data));
        }
        if own.len() < images.len() {
            console.remark(&format!(
                "{} of them are among those that distances are measured from, and are left out",
                thousands(images.len() - own.len())
            ));
        }
        let familiarity = Familiarity::new(model, cpu, &learned.dataset)?;
        console.remark(&format!(
            "distances are to the nearest of {} {}",
            thousands(familiarity.len()),
            match is_of_training {
                true => format!("training {}", images.kind().plural()),
                false => format!(
                    "{} of {}, on which the model is not known to be trained",
                    images.kind().plural(),
                    hubel::shown(data)
                ),
            }
        ));
        let mut features = model.features(cpu, None)?;
        let mut rows = Vec::new();
        features.of_dataset(&own, &mut |_, row| {
            rows.push(row.to_vec());
            Ok(())
        })?;
        let of_images = rows.len();
        let mut files = Vec::new();
        let Looked { bad_files, .. } = of_each(
            &mut features,
            Names::new(paths, model.preparation().medium.kind(), console)?,
            console,
            &mut |path, row| {
                files.push(path);
                rows.push(row);
            },
            &|| false,
        )?;
        report_bad_files(&bad_files, console);
        let distances = familiarity.distances(&rows);
        let is_foreign: Vec<bool> = (0..rows.len()).map(|place| place >= of_images).collect();
        let mut predictor = Predictor::new(model.clone(), cpu.clone())?;
        let mut sum = 0.0;
        for files in files.chunks(predictor.batch()) {
            let answers = predictor.predict_files(files)?;
            sum += (answers.into_iter().flatten())
                .map(|answer| f64::from(answer.probability))
                .sum::<f64>();
        }
        Ok(Self {
            separation: separation(&distances, &is_foreign),
            is_of_training,
            images: of_images,
            count: files.len(),
            mean_confidence: sum / files.len().max(1) as f64,
            bad_files,
        })
    }

    /// Number of foreign pictures.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What distances are measured from.
    pub(super) fn reference(&self) -> &'static str {
        match self.is_of_training {
            true => "training example",
            false => "reference example",
        }
    }

    /// Number of the data's own images from which the pictures are told apart.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// How probable their answers are on average. It is often high, which is why another score is needed.
    pub(super) fn mean_confidence(&self) -> f64 {
        self.mean_confidence
    }

    /// The probability that a foreign picture is farther away than another.
    pub(super) fn area(&self) -> Option<f64> {
        Some(self.separation.as_ref()?.roc.area)
    }

    /// Points of the ROC curve: the share of the data's own images that are taken for foreign, and of the foreign ones.
    pub(super) fn roc(&self) -> Option<Vec<[f64; 2]>> {
        let points = |curve: &Curve| curve.thinned(100);
        self.separation.as_ref().map(|curves| points(&curves.roc))
    }

    pub(super) fn bad_files(&self) -> &[BadFile] {
        &self.bad_files
    }
}

/// The error for data whose images would be compared with themselves.
fn no_others(data: &Path) -> Error {
    Error::Settings {
        problem: format!(
            "--foreign measures distances from the training part, and {} has nothing else to tell the foreign data from: it has no test part, and the \
             model's training held none out; name the data that the model was trained on, or divide this data into folders train and test",
            hubel::shown(data)
        ),
    }
}
