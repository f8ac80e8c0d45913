//! Holding samples out of data that is not divided, and finding the held out samples again when a model is judged.
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::data::catalogue::Part;
use crate::data::fingerprint::Fingerprint;
use crate::data::split::assign;
use crate::data::{Dataset, Options, Splits};
use crate::{Error, Result};

/// How samples were held out of a data set. It travels with the model, so that the same samples can be held out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// Share of the samples held out to watch training by; 0 where the data has such a part, or none was wanted.
    pub validation: f64,
    /// Share of the samples held out for the final judgement; 0 where the data has such a part, or none was wanted.
    pub test: f64,
    /// Decides, with the contents of a sample, where it goes.
    pub seed: u64,
    /// The smallest hashes of the samples that were trained on: other data of which one sample has one of these holds training samples
    /// (a sketch as of Broder's min-wise hashing, 1997).
    pub sketch: Vec<u64>,
    /// What this data calls the model's classes, where they were given other names; else empty.
    pub labels: Vec<String>,
}

/// Hashes of a sketch: data that holds a tenth of the training samples is recognised with probability 1 − 0.9⁶⁴ = 99.9 %.
const SKETCH: usize = 64;

impl Division {
    /// Holds samples out of the training part for the parts that `splits` lacks, by the shares `validation` and `test`.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when a class would keep no sample to train on.
    pub(super) fn divide(splits: Splits, validation: f64, test: f64, seed: u64) -> Result<Splits> {
        let fingerprints = splits.train.fingerprints();
        let mut division = Self {
            validation: if splits.validation.is_some() {
                0.0
            } else {
                validation
            },
            test: if splits.test.is_some() { 0.0 } else { test },
            seed,
            sketch: Vec::new(),
            labels: Vec::new(),
        };
        let parts = division.parts(&splits.train, &fingerprints);
        let train = subset(&splits.train, &parts, Part::Train);
        for (class, (left, all)) in train.counts().iter().zip(splits.train.counts()).enumerate() {
            if *left == 0 && all > 0 {
                return Err(Error::DataMismatch(format!(
                    "class `{}` has {all} images, and all of them would be held out for validation and test; give more images of it, or hold out smaller shares (--val, --test); near-duplicates stay together, so divide the frames of a film yourself into folders train, val and test",
                    train.classes()[class]
                )));
            }
        }
        let trained = fingerprints.iter().zip(&parts);
        division.sketch = trained
            .filter(|(_, part)| **part == Part::Train)
            .map(|(fingerprint, _)| fingerprint.content)
            .collect();
        division.sketch.sort_unstable();
        division.sketch.dedup();
        division.sketch.truncate(SKETCH);
        let mut notes = splits.notes;
        let usual = Options::default();
        for (part, own, share, usual) in [
            (
                "validation",
                &splits.validation,
                validation,
                usual.validation,
            ),
            ("test", &splits.test, test, usual.test),
        ] {
            if own.is_some() && share > 0.0 && share != usual {
                notes.push(format!(
                    "the data has a {part} part of its own, so a share of {share} is not held out for it"
                ));
            }
        }
        notes.extend(division.excess(train.len(), splits.train.len()));
        let held_out =
            |part| Some(subset(&splits.train, &parts, part)).filter(|held| !held.is_empty());
        Ok(Splits {
            validation: splits.validation.or_else(|| held_out(Part::Validation)),
            test: splits.test.or_else(|| held_out(Part::Test)),
            train,
            notes,
            division: Some(division),
            ..splits
        })
    }

    /// What to say where far more is held out than was asked for.
    fn excess(&self, left: usize, all: usize) -> Option<String> {
        let (asked, held) = (
            self.validation + self.test,
            (all - left) as f64 / all as f64,
        );
        // Of few images chance alone may hold out twice the share.
        let is_much = asked > 0.0 && held > 2.0 * asked && all >= 100;
        is_much.then(|| {
            format!(
                "{:.0} % of the images are held out where {:.0} % were asked for, since near-duplicates stay together; where pictures come in \
                 series (frames of a film, stored augmentations), divide them yourself into folders train, val and test",
                100.0 * held,
                100.0 * asked
            )
        })
    }

    /// Whether `dataset` holds samples that were trained on. It looks at no more of them than it has to.
    pub(super) fn recognises(&self, dataset: &Dataset) -> bool {
        let sketch: HashSet<u64> = self.sketch.iter().copied().collect();
        dataset.contents().any(|content| sketch.contains(&content))
    }

    /// The part of each sample.
    pub(super) fn parts(&self, dataset: &Dataset, fingerprints: &[Fingerprint]) -> Vec<Part> {
        let Self {
            validation,
            test,
            seed,
            ..
        } = *self;
        assign(dataset.labels(), fingerprints, validation, test, seed)
    }
}

/// The samples of a part.
pub(super) fn subset(dataset: &Dataset, parts: &[Part], wanted: Part) -> Dataset {
    let indices: Vec<usize> = (0..parts.len())
        .filter(|&index| parts[index] == wanted)
        .collect();
    dataset.subset(&indices)
}
