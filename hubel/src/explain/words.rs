//! Which words of a text support a class: representation erasure (Li, Monroe and Jurafsky 2016). Each token is left out once; what the score then loses is
//! the token's support.
//!
//! Two checks tell whether the supports can be trusted, as for pictures: leaving out tokens in their order must make the class improbable faster than random orders do, and
//! networks with random weights must give other supports.
use std::fmt;

use hubel_kernels::{Cpu, softmax};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::cascade::{correlation, drawn_anew};
use super::{Finding, Score};
use crate::evaluate::tempered;
use crate::inference::Inference;
use crate::{Error, Model, Purpose, Random, Result};

/// The tokens of a text with their supports for a score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Words {
    /// The tokens that the network reads, in order.
    pub tokens: Vec<Word>,
    /// The score of the whole text.
    pub score: f32,
    /// Tokens behind these, which the network does not read.
    pub unread: usize,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Word {
    /// The token.
    pub text: String,
    /// What the score loses without it. Negative: it speaks against the class.
    pub support: f32,
    /// Whether the model knows it.
    pub is_known: bool,
}

/// Whether supports can be trusted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WordChecks {
    /// The mean probability of the class while tokens are left out, the one with the largest support first.
    pub deletion: f64,
    /// The same for random orders: the mean of several.
    pub random: f64,
    /// |correlation| with the supports of networks with random weights: the mean of several.
    pub correlation: f64,
    /// What unrelated values of so many tokens reach in one of twenty cases.
    pub bound: f64,
}

/// The fewest tokens that can be checked.
const FEWEST: usize = 4;
/// Random orders, and random networks.
const DRAWS: usize = 16;
/// Seed of the random weights, which must not be that of a training.
const SEED: u64 = 0x3e7a_5e00;

impl Words {
    /// The supports of the tokens of `text`.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the model is none of texts; [`Error::Settings`] if the text is empty; [`Error::Memory`].
    pub fn of(cpu: &Cpu, model: &Model, text: &str, score: &Score) -> Result<Self> {
        let (tokens, unread) = model.vocabulary()?.read(text, model.input().time);
        if tokens.is_empty() {
            return Err(Error::Settings {
                problem: "the text has no words; give one that has".to_owned(),
            });
        }
        let numbers = numbers(model, tokens.iter().map(|(token, _)| token.as_str()))?;
        let scores = scores_without_each(cpu, model, &numbers, score)?;
        let words = tokens
            .into_iter()
            .zip(&scores[1..])
            .map(|((text, is_known), without)| Word {
                is_known,
                support: scores[0] - without,
                text,
            });
        Ok(Self {
            tokens: words.collect(),
            score: scores[0],
            unread,
        })
    }

    /// Checks whether the supports can be trusted; `None` if there are fewer than four tokens.
    ///
    /// # Errors
    /// As for [`Words::of`].
    pub fn check(&self, cpu: &Cpu, model: &Model, score: &Score) -> Result<Option<WordChecks>> {
        let count = self.tokens.len();
        if count < FEWEST {
            return Ok(None);
        }
        let numbers = numbers(model, self.tokens.iter().map(|word| word.text.as_str()))?;
        let supports: Vec<f64> = (self.tokens.iter())
            .map(|word| f64::from(word.support))
            .collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| supports[*b].total_cmp(&supports[*a]));
        let mut orders = vec![order];
        for draw in 0..DRAWS {
            let mut order: Vec<usize> = (0..count).collect();
            let mut stream = Random::new(SEED).stream(Purpose::Explain, 3, draw as u64);
            stream.shuffle(&mut order);
            orders.push(order);
        }
        let areas = areas(cpu, model, &numbers, score, &orders)?;
        let mut similar = 0.0;
        for draw in 0..DRAWS {
            let other = drawn_anew(model, 0, SEED + draw as u64)?;
            let scores = scores_without_each(cpu, &other, &numbers, score)?;
            let others: Vec<f64> = scores[1..]
                .iter()
                .map(|without| f64::from(scores[0] - without))
                .collect();
            similar += correlation(&supports, &others).abs();
        }
        Ok(Some(WordChecks {
            deletion: areas[0],
            random: areas[1..].iter().sum::<f64>() / DRAWS as f64,
            correlation: similar / DRAWS as f64,
            bound: unrelated(count),
        }))
    }
}

/// The 95th percentile of |r| of `count` unrelated normal values: r·√((n − 2) / (1 − r²)) has Student's distribution with n − 2 degrees of freedom.
fn unrelated(count: usize) -> f64 {
    let freedom = (count - 2) as f64;
    let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
    let quantile = student.inverse_cdf(0.975);
    quantile / (freedom + quantile.powi(2)).sqrt()
}

impl WordChecks {
    /// Whether the order of the supports makes the class improbable faster than random orders.
    pub fn finds_what_matters(&self) -> bool {
        self.deletion < self.random
    }

    /// Whether networks with random weights give other supports.
    pub fn depends_on_weights(&self) -> bool {
        self.correlation <= self.bound
    }
}

impl WordChecks {
    /// One finding per check.
    pub fn findings(&self) -> [Finding; 2] {
        let deletion = match self.finds_what_matters() {
            true => "finds what matters to the network",
            false => "FAILS deletion: a random order finds what matters to the network as well",
        };
        let weights = match self.depends_on_weights() {
            true => "depends on the learned weights",
            false => {
                "FAILS the check of weights: networks with random weights give nearly the same supports"
            }
        };
        [
            Finding {
                sentence: format!(
                    "{deletion}: leaving them out in this order leaves a mean probability of {:.2} (random orders {:.2})",
                    self.deletion, self.random
                ),
                has_failed: !self.finds_what_matters(),
            },
            Finding {
                sentence: format!(
                    "{weights} (correlation with random weights {:.2}, unrelated ones reach {:.2})",
                    self.correlation, self.bound
                ),
                has_failed: !self.depends_on_weights(),
            },
        ]
    }
}

impl fmt::Display for WordChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [deletion, weights] = self.findings();
        write!(f, "{}; {}", deletion.sentence, weights.sentence)
    }
}

/// The numbers of tokens.
fn numbers<'a>(model: &Model, tokens: impl Iterator<Item = &'a str>) -> Result<Vec<f32>> {
    let vocabulary = model.vocabulary()?;
    Ok(tokens.map(|token| vocabulary.number(token)).collect())
}

/// The scores of the text, and of the text without each token.
fn scores_without_each(
    cpu: &Cpu,
    model: &Model,
    numbers: &[f32],
    score: &Score,
) -> Result<Vec<f32>> {
    let mut scores = vec![0.0; numbers.len() + 1];
    let fill = |index: usize, tokens: &mut [f32]| {
        let left_out = index.checked_sub(1);
        let kept = numbers
            .iter()
            .enumerate()
            .filter(|(place, _)| Some(*place) != left_out);
        write(kept.map(|(_, number)| *number), tokens);
    };
    run(cpu, model, scores.len(), &fill, &mut |index, logits| {
        scores[index] = score.value(logits);
    })?;
    Ok(scores)
}

/// For each order, the mean probability of the class while tokens are left out in it.
fn areas(
    cpu: &Cpu,
    model: &Model,
    numbers: &[f32],
    score: &Score,
    orders: &[Vec<usize>],
) -> Result<Vec<f64>> {
    let steps = numbers.len() + 1;
    let temperature = model.temperature().unwrap_or(1.0);
    let mut sums = vec![0.0; orders.len()];
    let fill = |index: usize, tokens: &mut [f32]| {
        let left_out = &orders[index / steps][..index % steps];
        let kept = numbers
            .iter()
            .enumerate()
            .filter(|(place, _)| !left_out.contains(place));
        write(kept.map(|(_, number)| *number), tokens);
    };
    run(
        cpu,
        model,
        orders.len() * steps,
        &fill,
        &mut |index, logits| {
            let logits: Vec<f32> = tempered(logits, temperature).collect();
            let mut probabilities = vec![0.0; logits.len()];
            softmax::softmax(cpu, &logits, logits.len(), &mut probabilities);
            sums[index / steps] += f64::from(probabilities[score.class]);
        },
    )?;
    Ok(sums.iter().map(|sum| sum / steps as f64).collect())
}

fn write(numbers: impl Iterator<Item = f32>, tokens: &mut [f32]) {
    tokens.fill(0.0);
    tokens
        .iter_mut()
        .zip(numbers)
        .for_each(|(token, number)| *token = number);
}

/// Computes the logits of `count` texts; `fill` writes the tokens of one.
fn run(
    cpu: &Cpu,
    model: &Model,
    count: usize,
    fill: &dyn Fn(usize, &mut [f32]),
    take: &mut dyn FnMut(usize, &[f32]),
) -> Result<()> {
    let length = model.input().len();
    Inference::new(model, cpu)?.run(
        count,
        &mut |indices, texts| {
            for (tokens, index) in texts.chunks_exact_mut(length).zip(indices) {
                fill(*index, tokens);
            }
            Ok(Vec::new())
        },
        &mut |index, logits| {
            take(index, logits);
            Ok(())
        },
    )
}
