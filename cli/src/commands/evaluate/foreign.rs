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
    count: usize,
    mean_confidence: f64,
    bad_files: Vec<BadFile>,
}

impl Foreign {
    /// Compares the distances of the pictures at `paths` with those of `images`, which are of the same kind as the training images in `data`.
    pub(super) fn look(
        paths: &[PathBuf],
        model: &Model,
        cpu: &Cpu,
        data: &Path,
        images: &Dataset,
        arguments: &Evaluate,
        console: &Console,
    ) -> Result<Self, Error> {
        let learned = reading::of_training(data, model, &arguments.files, console)?;
        if learned.is_known != Some(true) {
            console.remark(&format!(
                "{} is not known to hold the training images of this model; distances are to its images",
                hubel::shown(data)
            ));
        }
        let familiarity = Familiarity::new(model, cpu, &learned.dataset)?;
        console.remark(&format!(
            "distances are to the nearest of {} training images",
            thousands(familiarity.len())
        ));
        let mut features = model.features(cpu, None)?;
        let mut rows = Vec::new();
        features.of_dataset(images, &mut |_, row| {
            rows.push(row.to_vec());
            Ok(())
        })?;
        let of_images = rows.len();
        let mut files = Vec::new();
        let Looked { bad_files, .. } = of_each(
            &mut features,
            Names::new(paths, console)?,
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
            count: files.len(),
            mean_confidence: sum / files.len().max(1) as f64,
            bad_files,
        })
    }

    /// Number of foreign pictures.
    pub(super) fn count(&self) -> usize {
        self.count
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
