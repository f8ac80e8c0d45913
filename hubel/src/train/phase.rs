//! The phases of a training.
use super::TrainSettings;
use crate::{Error, Model, Result};

/// A phase of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The last frozen layer; it and all layers before it keep their weights and their batch norm statistics. `None` if all layers are trained.
    pub frozen: Option<String>,
    /// How the other layers are trained.
    pub settings: TrainSettings,
    /// Number of versions of each picture whose features (outputs of the frozen layers) are computed once and kept: the original, and others
    /// augmented as `settings` say. An epoch shows all of them. 0 computes the features in each step, with new augmentation: if they do not fit into memory,
    /// or if all layers are trained.
    pub versions: usize,
    /// The learning rate of the first trained layer, relative to that of the last (discriminative rates: Howard and Ruder 2018). 1 trains all layers at one rate.
    pub first_rate: f32,
    /// Whether batch norms keep their running statistics, from the original training pictures, instead of using those of the few pictures in a
    /// step.
    pub keeps_statistics: bool,
}

impl Phase {
    /// Trains all layers at one rate.
    pub fn whole(settings: TrainSettings) -> Self {
        Self {
            frozen: None,
            settings,
            versions: 0,
            first_rate: 1.0,
            keeps_statistics: false,
        }
    }

    /// Its settings if features of this many versions of each picture are kept: the same number of steps, in more epochs if these are fewer than wanted.
    pub(super) fn settings_with(&self, versions: usize) -> TrainSettings {
        let mut settings = self.settings.clone();
        if versions > 0 {
            let lengths = [Some(&mut settings.epochs), settings.patience.as_mut()];
            for epochs in lengths.into_iter().flatten() {
                *epochs = epochs.saturating_mul(self.versions).div_ceil(versions);
            }
        }
        settings
    }

    /// The last frozen node of a model.
    pub(crate) fn last_frozen(&self, model: &Model) -> Result<usize> {
        let Some(layer) = &self.frozen else {
            return Ok(0);
        };
        let graph = model.graph()?;
        let after = graph.passage(layer)?;
        match graph.nodes[after + 1..]
            .iter()
            .any(|node| node.parameters() > 0)
        {
            true => Ok(after),
            false => Err(Error::Settings {
                problem: format!(
                    "with all layers up to `{layer}` frozen, no layer is left to train; freeze up to an earlier one"
                ),
            }),
        }
    }
}
