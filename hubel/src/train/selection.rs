//! Which weights a phase gives: the best on the validation images, or the last.
use super::best::Best;
use super::{Keep, Position, TrainSettings};
use crate::data::{Balance, Kind};
use crate::{Model, Report};

/// The choice between the best weights and the last.
pub(super) struct Selection {
    keep: Keep,
    balance: Balance,
    /// The decay of the averaged weights, if they are averaged.
    average: Option<f32>,
    /// Number of validation images.
    images: usize,
    best: Option<Best>,
}

impl Selection {
    /// For a phase with these settings; `best` are the best weights of the phases before.
    pub(super) fn new(settings: &TrainSettings, images: usize, best: Option<Best>) -> Self {
        Self {
            keep: settings.keep,
            balance: settings.balance,
            average: settings.average,
            images,
            best,
        }
    }

    /// Number of validation images.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    pub(super) fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    pub(super) fn into_best(self) -> Option<Best> {
        self.best
    }

    /// Goes on with these best weights.
    pub(super) fn restore(&mut self, best: Option<Best>) {
        self.best = best;
    }

    /// Stores the weights of the model if `report` on the validation images is the best so far, and returns whether it is.
    pub(super) fn compare(&mut self, model: &Model, position: Position, report: &Report) -> bool {
        let is_best =
            (self.best.as_ref()).is_none_or(|best| best.is_beaten_by(report, self.balance));
        if is_best {
            self.best = Some(Best::new(model, position, report, self.balance));
        }
        is_best
    }

    /// The best weights, if the settings say that these are kept.
    pub(super) fn kept(&self) -> Option<&Best> {
        (self.best.as_ref()).filter(|_| self.keep.is_best(self.images))
    }

    /// The model that a phase gives which has ended at `position`; `model` has the last weights.
    pub(super) fn choose(&self, model: Model, position: Position) -> Model {
        let averaged = match self.average {
            None => String::new(),
            Some(decay) => format!("; they are averaged with a decay of {decay}"),
        };
        match self.kept() {
            Some(best) => Model {
                parameters: best.parameters.clone(),
                frozen: best.frozen.clone(),
                choice: Some(
                    best.choice(self.balance, model.preparation.medium.kind()) + &averaged,
                ),
                ..model
            },
            None => Model {
                choice: Some(format!(
                    "the last, of {position}: {}{averaged}",
                    self.why_last(model.preparation.medium.kind())
                )),
                ..model
            },
        }
    }

    /// Why the last weights are kept.
    fn why_last(&self, kind: Kind) -> String {
        match (self.keep, self.images) {
            (Keep::Last, _) => "the settings keep the last".to_owned(),
            (_, 0) => format!("no {} were held out for validation", kind.plural()),
            (_, images) => format!(
                "{images} validation {} are too few to choose by (at least {})",
                kind.plural(),
                Keep::DECIDING
            ),
        }
    }
}
