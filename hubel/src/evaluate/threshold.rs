//! "Not sure" instead of a wrong answer: a threshold for which it is certain how many answers are wrong.
use serde::{Deserialize, Serialize};

use crate::binomial::{at_least, at_most};
use crate::evaluate::answers::Answers;
use crate::{Error, Result, in_percent};

/// A threshold for the probability of an answer. The model gives an answer only if its probability is at least this; otherwise it is "not sure". Of the answers that
/// are given for pictures like those that chose the threshold, at most a given share is wrong, with 95 % confidence.
///
/// This says nothing about pictures of another kind. They may get a confident answer; [`Familiarity`](crate::Familiarity) is the score for them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Threshold {
    /// The least probability of an answer that is given.
    pub probability: f32,
    /// The share of wrong answers that is not exceeded, with 95 % confidence.
    pub wrong_at_most: f64,
    /// Number of images that chose it.
    pub images: usize,
    /// How many of these get an answer.
    pub answered: usize,
    /// How many of these answers are wrong.
    pub wrong: usize,
}

/// How often the bound may fail.
const RISK: f64 = 0.05;

/// Thresholds are tried so that each next one gives an answer to this share more of the images.
const STEPS: usize = 100;

/// The first threshold gives an answer to this share of the images, or to as many as a test needs. It must not be so few that one mistake ends the search.
const FIRST: f64 = 0.25;

impl Answers {
    /// The lowest threshold above which at most a share `wrong_at_most` of the answers are wrong, with 95 % confidence. The images must have chosen neither the weights nor
    /// the temperature of the model, and none may be a near-duplicate of another ([`Dataset::distinct`](crate::Dataset::distinct)).
    ///
    /// The numbers of answered images are fixed in advance, and thresholds are tested from the highest to the lowest, until the first one fails: "more than `wrong_at_most`
    /// of the answers are wrong" must be rejected by the binomial distribution's tail at 5 %. A fixed order needs no correction for the number of tests (fixed-sequence
    /// testing, in "Learn then test", Angelopoulos et al. 2021).
    ///
    /// # Errors
    /// [`Error::Settings`] if `wrong_at_most` is not between 0 and 1; if there are too few images (the message says how many are needed); if even the most
    /// confident answers are wrong too often.
    pub fn threshold(&self, wrong_at_most: f64) -> Result<Threshold> {
        let problem = |problem: String| Err(Error::Settings { problem });
        if !(wrong_at_most > 0.0 && wrong_at_most < 1.0) {
            return problem(format!(
                "{wrong_at_most} is no share of wrong answers; give one between 0 and 1, such as 0.01 or 1%"
            ));
        }
        let share = in_percent(wrong_at_most);
        let needed = Threshold::fewest(wrong_at_most);
        if self.len() < needed {
            return problem(format!(
                "{} answers are too few to say that at most {share} of the answers are wrong: at least {needed} are needed, even if all answers are right; \
                 use more test data, or allow more wrong answers",
                self.len()
            ));
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| self.confidence(b).total_cmp(&self.confidence(a)));
        let confidence: Vec<f32> = order.iter().map(|place| self.confidence(*place)).collect();
        let wrong: Vec<usize> = order
            .iter()
            .scan(0, |wrong, place| {
                *wrong += usize::from(!self.is_right(*place));
                Some(*wrong)
            })
            .collect();
        let mut found = None;
        for count in counts(self.len(), needed) {
            // Images of the same confidence get an answer together.
            let probability = confidence[count - 1];
            let answered = confidence.partition_point(|confidence| *confidence >= probability);
            let wrong = wrong[answered - 1];
            if at_most(wrong, answered, wrong_at_most) > RISK {
                if found.is_none() {
                    return problem(format!(
                        "even of the {answered} most confident answers, {wrong} are wrong, so it cannot be said that at most {share} of them are: allow more \
                         wrong answers, or train a better model"
                    ));
                }
                break;
            }
            found = Some(Threshold {
                probability,
                wrong_at_most,
                images: self.len(),
                answered,
                wrong,
            });
        }
        Ok(found.expect("the first count either passes or is an error"))
    }

    /// Whether the image at `place` gets an answer.
    pub fn is_answered(&self, place: usize, threshold: &Threshold) -> bool {
        threshold.accepts(self.confidence(place))
    }
}

impl Threshold {
    /// The smallest number of answers with which this share of wrong ones can be tested: if none of them is wrong.
    pub fn fewest(wrong_at_most: f64) -> usize {
        (RISK.ln() / (-wrong_at_most).ln_1p()).ceil() as usize
    }

    /// Whether an answer of this probability is given.
    pub fn accepts(&self, probability: f32) -> bool {
        probability >= self.probability
    }

    /// Whether so many wrong answers of so many given ones break the bound clearly: if it held, they would be rarer than one case in a hundred. The images must not be those that chose
    /// the threshold. They are then of another kind than those, or the threshold is one of the 5 % that break their bound.
    pub fn is_broken_by(&self, wrong: usize, answered: usize) -> bool {
        /// The probability of a false alarm.
        const RARE: f64 = 0.01;
        at_least(wrong, answered, self.wrong_at_most) < RARE
    }

    /// Whether the numbers can be those of a threshold.
    pub(crate) fn is_possible(&self) -> bool {
        (0.0..=1.0).contains(&self.probability)
            && self.wrong_at_most > 0.0
            && self.wrong_at_most < 1.0
            && self.wrong <= self.answered
            && self.answered <= self.images
    }
}

/// The numbers of answered images whose thresholds are tested, in order.
fn counts(images: usize, needed: usize) -> impl Iterator<Item = usize> {
    let first = ((FIRST * images as f64) as usize).max(needed);
    (0..=STEPS)
        .map(move |step| first + (images - first) * step / STEPS)
        .scan(0, |last, count| {
            let is_new = count > *last;
            *last = count;
            Some(is_new.then_some(count))
        })
        .flatten()
}
