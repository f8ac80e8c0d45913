//! The part of a network that a phase trains.
use std::ops::Range;

use crate::Parameters;
use crate::network::Graph;

/// The part of a network that is trained, and its input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The last frozen node; 0 if all are trained.
    pub(super) after: usize,
    /// Number of versions of each picture whose features (outputs of that node) are the data in place of pictures; 0 if the data are pictures.
    pub(super) versions: usize,
    /// The learning rate of the first trained layer, divided by that of the last. In between, it grows by the same factor from node to node.
    pub(super) first_rate: f32,
    /// Whether batch norms use their running statistics and do not change.
    pub(super) keeps_statistics: bool,
    /// The phase of the run, counted from 1, and the number of phases.
    pub(super) phase: (usize, usize),
}

impl Part {
    /// Whether the data are features in place of pictures.
    pub(super) fn is_given_features(&self) -> bool {
        self.versions > 0
    }

    /// The trained parameters, each with the factor of its learning rate. `None` if all are trained at one rate.
    pub(super) fn rates(
        &self,
        graph: &Graph,
        parameters: &Parameters,
    ) -> Option<Vec<(Range<usize>, f32)>> {
        if self.after == 0 && self.first_rate == 1.0 {
            return None;
        }
        let last = (graph.nodes.iter())
            .rposition(|node| node.parameters() > 0)
            .unwrap_or(0);
        let trained = parameters
            .entries()
            .iter()
            .filter(|entry| entry.node > self.after && entry.role.is_trained());
        let rates = trained.map(|entry| {
            let way_back = (last - entry.node) as f32 / (last - self.after) as f32;
            (entry.range.clone(), self.first_rate.powf(way_back))
        });
        Some(rates.collect())
    }
}
