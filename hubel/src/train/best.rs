//! The best weights so far on the validation images.
use std::cmp::Ordering;

use crate::data::Balance;
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
        }
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
