//! Two models on the same images: McNemar's test, and an interval of the difference of their accuracies.
use serde::Serialize;
use statrs::distribution::{ChiSquared as Distribution, ContinuousCDF, Normal};

use super::{LEVEL, POWER, Predictions, bisect};
use crate::binomial::{at_least, at_most};
use crate::{Error, Result};

/// How two models answered the same images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pairs {
    /// Number of images that both classified correctly.
    pub both: usize,
    /// Number of images that only the first model classified correctly.
    pub only_first: usize,
    /// Number of images that only the second model classified correctly.
    pub only_second: usize,
    /// Number of images that neither classified correctly.
    pub neither: usize,
    /// Of those that neither classified correctly, the number of images with two different answers.
    pub otherwise_wrong: usize,
    /// The indices of the images that exactly one model classified correctly, ascending. They are indices into the data set of the answers.
    pub flipped: Vec<usize>,
}

/// McNemar's test in its approximate form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChiSquared {
    /// The statistic, to be compared with the chi-squared distribution with one degree of freedom. 0 if no image flipped.
    pub statistic: f64,
    /// Its p value. 1 if no image flipped.
    pub p: f64,
}

impl Pairs {
    /// Counts the images by which of the two models is right.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if these are not answers for the same images with the same labels in the same order.
    pub fn of(first: &Predictions, second: &Predictions) -> Result<Self> {
        first.check_same_images(second)?;
        let mut pairs = Self::of_counts(0, 0, 0, 0);
        let answers = std::iter::zip(&first.classes, &second.classes);
        for (place, (one, other)) in answers.enumerate() {
            let label = first.labels[place];
            match (*one == label, *other == label) {
                (true, true) => pairs.both += 1,
                (false, false) => {
                    pairs.neither += 1;
                    pairs.otherwise_wrong += usize::from(one != other);
                }
                (is_first, _) => {
                    pairs.flipped.push(first.indices[place]);
                    match is_first {
                        true => pairs.only_first += 1,
                        false => pairs.only_second += 1,
                    }
                }
            }
        }
        Ok(pairs)
    }

    /// The pairs with these counts, without knowing which images they are.
    pub fn of_counts(both: usize, only_first: usize, only_second: usize, neither: usize) -> Self {
        Self {
            both,
            only_first,
            only_second,
            neither,
            otherwise_wrong: 0,
            flipped: Vec::new(),
        }
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.both + self.only_first + self.only_second + self.neither
    }

    /// Number of images that exactly one model classified correctly.
    pub fn discordant(&self) -> usize {
        self.only_first + self.only_second
    }

    /// The accuracies of the first and the second model; 0 if there are no images.
    pub fn accuracies(&self) -> [f64; 2] {
        let share = |correct: usize| correct as f64 / self.count().max(1) as f64;
        [self.only_first, self.only_second].map(|own| share(self.both + own))
    }

    /// The accuracy of the second model minus that of the first.
    pub fn difference(&self) -> f64 {
        (self.only_second as f64 - self.only_first as f64) / self.count().max(1) as f64
    }

    /// The two-sided p value of McNemar's exact test ("Note on the sampling error of the difference between correlated proportions or percentages",
    /// 1947): the probability of counts as unequal as [`Pairs::only_first`] and [`Pairs::only_second`] if each image that flipped were equally
    /// likely to flip in either direction. It is that of the binomial distribution, twice the smaller tail and at most 1.
    pub fn exact_p(&self) -> f64 {
        let smaller = self.only_first.min(self.only_second);
        (2.0 * at_most(smaller, self.discordant(), 0.5)).min(1.0)
    }

    /// McNemar's test with the chi-squared distribution, (b − c)² / (b + c) for the counts b and c of the images that only one model classified
    /// correctly. `is_corrected` takes 1 from |b − c|, the correction for continuity (Edwards, 1948). [`Pairs::exact_p`] needs no approximation.
    pub fn chi_squared(&self, is_corrected: bool) -> ChiSquared {
        if self.discordant() == 0 {
            return ChiSquared {
                statistic: 0.0,
                p: 1.0,
            };
        }
        let correction = if is_corrected { 1.0 } else { 0.0 };
        let apart = self.only_first.abs_diff(self.only_second) as f64 - correction;
        let statistic = apart * apart / self.discordant() as f64;
        let distribution = Distribution::new(1.0).expect("one degree of freedom");
        ChiSquared {
            statistic,
            p: distribution.sf(statistic),
        }
    }

    /// The 95 % confidence interval of [`Pairs::difference`] over all images of this kind: Tango's score interval ("Equivalence test and confidence
    /// interval for the difference in proportions for the paired-sample design", 1998). It agrees with the uncorrected [`Pairs::chi_squared`]: it
    /// contains 0 if and only if that test sees no difference. `[-1, 1]` if there are no images.
    pub fn interval(&self) -> [f64; 2] {
        let quantile = normal_quantile(1.0 - LEVEL / 2.0);
        let estimate = self.difference();
        if self.count() == 0 {
            return [-1.0, 1.0];
        }
        // The score falls as the assumed difference grows.
        let low = bisect(-1.0, estimate, |assumed| self.score(assumed) > quantile);
        let high = bisect(estimate, 1.0, |assumed| self.score(assumed) > -quantile);
        [low, high]
    }

    /// Tango's score: the distance of the observed difference from the assumed one, in standard errors under the assumption.
    fn score(&self, assumed: f64) -> f64 {
        let all = self.count() as f64;
        let (first, second) = (self.only_first as f64, self.only_second as f64);
        // The most probable share of images that only the first model classifies correctly, if the difference is as assumed: the root of a quadratic equation.
        let square = 2.0 * all;
        let linear = -second - first + (2.0 * all - second + first) * assumed;
        let constant = -first * assumed * (1.0 - assumed);
        let root = (linear * linear - 4.0 * square * constant).max(0.0).sqrt();
        let share = (root - linear) / (2.0 * square);
        let variance = all * (2.0 * share + assumed * (1.0 - assumed));
        let apart = second - first - all * assumed;
        match variance > 0.0 {
            true => apart / variance.sqrt(),
            false if apart == 0.0 => 0.0,
            false => apart.signum() * f64::INFINITY,
        }
    }

    /// The smallest difference of two accuracies that McNemar's exact test would see in 80 of 100 cases, if as many images flip. `None` if fewer than six images flipped: even if all of
    /// them flip in one direction, the test does not see it.
    pub fn detectable(&self) -> Option<f64> {
        let flips = self.discordant();
        // The most images that flip in the rarer direction if the test sees a difference.
        let is_seen = |rarer: &usize| 2.0 * at_most(*rarer, flips, 0.5) < LEVEL;
        let rare = (0..flips / 2).take_while(is_seen).last()?;
        let power = |share: f64| at_least(flips - rare, flips, share) + at_most(rare, flips, share);
        let share = bisect(0.5, 1.0, |share| power(share) < POWER);
        Some((2.0 * share - 1.0) * flips as f64 / self.count() as f64)
    }
}

fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

impl Predictions {
    /// Refuses answers for other images, or for the same ones in another order.
    fn check_same_images(&self, other: &Self) -> Result<()> {
        let problem = if self.contents.len() != other.contents.len() {
            format!(
                "answers for {} examples cannot be compared with answers for {}",
                self.contents.len(),
                other.contents.len()
            )
        } else if let Some(place) =
            std::iter::zip(&self.contents, &other.contents).position(|(one, two)| one != two)
        {
            format!(
                "the answers are for other examples, or for the same ones in another order: number {} differs",
                place + 1
            )
        } else if let Some(place) =
            std::iter::zip(&self.labels, &other.labels).position(|(one, two)| one != two)
        {
            format!(
                "the examples are the same, but number {} has another class",
                place + 1
            )
        } else {
            return Ok(());
        };
        Err(Error::DataMismatch(problem))
    }
}
