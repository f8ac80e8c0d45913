//! Holds samples out of data without splits, and finds the held-out samples again when a model is evaluated.
mod series;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::data::fingerprint::Likenesses;
use crate::data::part::Part;
use crate::data::split::{Assignment, Samples, Shares, assign};
use crate::data::{Dataset, Options, Splits};

/// How samples were held out of a data set. The model stores it, so that the same samples can be held out again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Division {
    /// Share of the samples held out for validation; 0 if the data has such a split, or none was wanted.
    pub validation: f64,
    /// Share of the samples held out for the final test; 0 if the data has such a split, or none was wanted.
    pub test: f64,
    /// Seed that decides, with the contents of a sample, its split.
    pub seed: u64,
    /// The smallest hashes of the training samples: other data with one of these hashes contains training samples
    /// (a sketch as in Broder's min-wise hashing, 1997).
    pub sketch: Vec<u64>,
    /// Sorted hashes of the test samples. The model is evaluated on these again, whatever is added to the data.
    pub held_out: Vec<u64>,
    /// Sorted hashes of other samples that were not trained on: for validation, also those of the data's own validation split, or as a gap between frames.
    pub aside: Vec<u64>,
    /// Whether some held-out samples are frames of series that were also trained on.
    pub series: bool,
    /// This data's labels for the model's classes, if those were given other names; otherwise empty.
    pub labels: Vec<String>,
}

/// Hashes per sketch: data that contains a tenth of the training samples is recognised with probability 1 − 0.9⁶⁴ = 99.9 %.
const SKETCH: usize = 64;

impl Division {
    /// Holds samples out of the training split for the splits that `splits` lacks, with the shares `validation` and `test`.
    pub(super) fn divide(splits: Splits, validation: f64, test: f64, seed: u64) -> Splits {
        let all_contents: Vec<u64> = splits.train.contents().collect();
        let share = |own: &Option<Dataset>, wanted| if own.is_some() { 0.0 } else { wanted };
        let shares = Shares {
            validation: share(&splits.validation, validation),
            test: share(&splits.test, test),
            seed,
        };
        let likenesses = match shares.validation + shares.test > 0.0 {
            true => splits.train.likenesses(),
            false => Likenesses::none(all_contents.len()),
        };
        let samples = Samples {
            labels: splits.train.labels(),
            contents: &all_contents,
            same: &likenesses.same,
            order: &|one, other| series::order(&splits.train, one, other),
        };
        let assignment = assign(&samples, shares);
        let Assignment { parts, cut } = &assignment;
        let contents = |wanted: &[Option<Part>]| {
            let all = all_contents.iter().zip(parts);
            let wanted = all.filter(|(_, part)| wanted.contains(part));
            sorted(wanted.map(|(&content, _)| content))
        };
        let mut sketch = contents(&[Some(Part::Train)]);
        let own = splits.validation.iter().flat_map(Dataset::contents);
        // In data that came divided, a validation sample may also be a training sample.
        let own = own.filter(|content| sketch.binary_search(content).is_err());
        let aside = sorted(own.chain(contents(&[Some(Part::Validation), None])));
        sketch.truncate(SKETCH);
        let division = Self {
            validation: shares.validation,
            test: shares.test,
            seed,
            sketch,
            held_out: contents(&[Some(Part::Test)]),
            aside,
            series: !cut.is_empty(),
            labels: Vec::new(),
        };
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
                    "the data has a {part} split, so the share {share} is not held out for it"
                ));
            }
        }
        let subset = |wanted: Part| subset(&splits.train, parts, wanted);
        let train = subset(Part::Train);
        if cut.is_empty() {
            notes.extend(division.excess(train.len(), splits.train.len()));
            notes.extend(series::alike(parts, &likenesses.alike));
        } else {
            notes.push(series::note(&splits.train, &assignment));
        }
        let held_out = |part| Some(subset(part)).filter(|held| !held.is_empty());
        Splits {
            validation: splits.validation.or_else(|| held_out(Part::Validation)),
            test: splits.test.or_else(|| held_out(Part::Test)),
            train,
            notes,
            division: Some(division),
            ..splits
        }
    }

    /// A note if far more is held out than requested.
    fn excess(&self, left: usize, all: usize) -> Option<String> {
        let (asked, held) = (
            self.validation + self.test,
            (all - left) as f64 / all as f64,
        );
        // With few images, chance alone may hold out twice the share.
        let is_much = asked > 0.0 && held > 2.0 * asked && all >= 100;
        is_much.then(|| {
            format!(
                "{:.0} % of the data are held out where {:.0} % were asked for, since near-duplicates stay together; where the data comes in \
                 series (frames of a film, stored augmentations), divide them yourself into folders train, val and test",
                100.0 * held,
                100.0 * asked
            )
        })
    }

    /// Whether `dataset` contains training samples. It examines no more samples than necessary.
    pub(super) fn recognises(&self, dataset: &Dataset) -> bool {
        let sketch: HashSet<u64> = self.sketch.iter().copied().collect();
        dataset.contents().any(|content| sketch.contains(&content))
    }

    /// How many samples of `dataset` were not trained on, but set aside: for validation, or as a gap between frames. Validation images chose the weights.
    pub fn set_aside(&self, dataset: &Dataset) -> usize {
        let aside = |content: &u64| self.aside.binary_search(content).is_ok();
        dataset.contents().filter(aside).count()
    }

    /// The samples of `dataset` that were held out for the test.
    pub(super) fn held_out(&self, dataset: &Dataset) -> Dataset {
        of_contents(dataset, |content| {
            self.held_out.binary_search(&content).is_ok()
        })
    }

    /// The samples of `dataset` without those that are known not to have been trained on.
    pub(super) fn trained_on(&self, dataset: &Dataset) -> Dataset {
        of_contents(dataset, |content| {
            let kept_back = [&self.held_out, &self.aside];
            kept_back
                .iter()
                .all(|contents| contents.binary_search(&content).is_err())
        })
    }
}

/// Hashes in ascending order, each once.
fn sorted(contents: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut contents: Vec<u64> = contents.collect();
    contents.sort_unstable();
    contents.dedup();
    contents
}

/// The samples with wanted contents.
fn of_contents(dataset: &Dataset, is_wanted: impl Fn(u64) -> bool) -> Dataset {
    let contents = dataset.contents().enumerate();
    let wanted = contents.filter(|(_, content)| is_wanted(*content));
    let indices: Vec<usize> = wanted.map(|(index, _)| index).collect();
    dataset.subset(&indices)
}

/// The samples of a split.
pub(super) fn subset(dataset: &Dataset, parts: &[Option<Part>], wanted: Part) -> Dataset {
    let indices: Vec<usize> = (0..parts.len())
        .filter(|&index| parts[index] == Some(wanted))
        .collect();
    dataset.subset(&indices)
}
