//! The best weights so far on the validation images.
use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::data::{Balance, Kind};
use crate::one_line::thousands;
use crate::train::Position;
use crate::{Model, Parameters, Report};

/// Weights, their position in the run, and their results on the validation images.
#[derive(Clone)]
pub(super) struct Best {
    pub(super) parameters: Parameters,
    /// See [`Model::frozen`].
    pub(super) frozen: Option<String>,
    pub(super) position: Position,
    /// The balanced accuracy if classes are balanced.
    pub(super) accuracy: f32,
    loss: f32,
    /// Number of validation images.
    images: usize,
}

/// A [`Best`] without its weights, for a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BestResult {
    frozen: Option<String>,
    position: Position,
    /// Bits of an f32.
    accuracy: u32,
    /// Bits of an f32.
    loss: u32,
    images: usize,
}

impl Best {
    /// The weights of `model` at `position`, with their results in `report`.
    pub(super) fn new(
        model: &Model,
        position: Position,
        report: &Report,
        balance: Balance,
    ) -> Self {
        Self {
            parameters: model.parameters.clone(),
            frozen: model.frozen.clone(),
            position,
            accuracy: accuracy(report, balance),
            loss: report.loss,
            images: report.count,
        }
    }

    /// Everything but the weights.
    pub(super) fn result(&self) -> BestResult {
        BestResult {
            frozen: self.frozen.clone(),
            position: self.position,
            accuracy: self.accuracy.to_bits(),
            loss: self.loss.to_bits(),
            images: self.images,
        }
    }

    /// These weights with this result.
    pub(super) fn restored(parameters: Parameters, result: BestResult) -> Self {
        Self {
            parameters,
            frozen: result.frozen,
            position: result.position,
            accuracy: f32::from_bits(result.accuracy),
            loss: f32::from_bits(result.loss),
            images: result.images,
        }
    }

    /// Which weights these are, in words.
    pub(super) fn choice(&self, balance: Balance, kind: Kind) -> String {
        let measure = match balance {
            Balance::None => "accuracy",
            Balance::Loss | Balance::Sample => "balanced accuracy",
        };
        format!(
            "the best on {} validation {}: {}, with {measure} {:.2} %",
            thousands(self.images),
            kind.plural(),
            self.position,
            100.0 * self.accuracy
        )
    }

    /// Whether `report` is better: a higher accuracy, or the same accuracy with a lower loss.
    pub(super) fn is_beaten_by(&self, report: &Report, balance: Balance) -> bool {
        match accuracy(report, balance).total_cmp(&self.accuracy) {
            Ordering::Equal => report.loss < self.loss,
            order => order == Ordering::Greater,
        }
    }
}

fn accuracy(report: &Report, balance: Balance) -> f32 {
    match balance {
        Balance::None => report.accuracy,
        Balance::Loss | Balance::Sample => report.balanced_accuracy(),
    }
}
