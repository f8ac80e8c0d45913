//! The weights that Muon trains.
use std::ops::Range;

use hubel_kernels::Cpu;
use hubel_kernels::update::{Muon, NewtonSchulz};

use crate::Parameters;
use crate::network::Role;

/// The weights of a layer as a matrix `[inputs of a filter, filters]`, as they lie in memory.
pub(super) struct Matrix {
    pub(super) range: Range<usize>,
    pub(super) iteration: NewtonSchulz,
}

/// The weights that Muon trains, in ascending order: those of linear layers and convolutions, except the first and the last layer and depthwise
/// convolutions. An embedding is always the first.
pub(super) fn of(cpu: &Cpu, parameters: &Parameters) -> Vec<Matrix> {
    let weights = (parameters.entries().iter()).filter(|entry| entry.role == Role::Weight);
    let nodes = weights.clone().map(|entry| entry.node);
    let ends = [nodes.clone().min(), nodes.max()];
    let inner = weights.filter(|entry| {
        let is_depthwise = matches!(entry.shape[..], [_, _, 1, _] | [_, 1, _]);
        !is_depthwise && !ends.contains(&Some(entry.node))
    });
    let matrices = inner.map(|entry| {
        let (filters, rest) = entry.shape.split_last().expect("weights have sizes");
        let iteration = NewtonSchulz::new(cpu, rest.iter().product(), *filters);
        Matrix {
            range: entry.range.clone(),
            iteration: iteration.expect("weights in memory are a matrix that can be multiplied"),
        }
    });
    matrices.collect()
}

/// Floats of scratch that a step of any of them needs.
pub(super) fn scratch_len(matrices: &[Matrix]) -> usize {
    let lengths = matrices
        .iter()
        .map(|matrix| Muon::scratch_len(&matrix.iteration));
    lengths.max().unwrap_or(0)
}
