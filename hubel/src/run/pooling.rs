//! Pooling of all kinds.
use hubel_kernels::Input;
use hubel_kernels::pool::{self, Pooling};

use super::Context;
use crate::plan::{NormalisedBy, Step};
use crate::workspace::Workspace;

fn input_length(pooling: &Pooling) -> usize {
    pooling.window().lengths()[0]
}

pub(super) fn max_forward(
    context: &Context<'_>,
    step: &Step,
    pooling: &Pooling,
    normalised_by: Option<NormalisedBy>,
    workspace: &mut Workspace,
    output: &mut [f32],
) {
    let input = Input {
        map: &workspace.values[step.inputs[0]][..input_length(pooling)],
        normalised: normalised_by.map(|by| by.factors(&workspace.statistics)),
    };
    let index = context
        .mode
        .goes_back()
        .then_some(&mut workspace.indices[context.step][..]);
    pool::max_forward(context.cpu, pooling, input, output, index);
}

pub(super) fn max_backward(
    context: &Context<'_>,
    step: &Step,
    pooling: &Pooling,
    workspace: &mut Workspace,
    output_gradient: &[f32],
) {
    if let Some(target) = &step.backward.inputs[0] {
        let gradient = &mut workspace.gradients[target.gradient][..input_length(pooling)];
        let index = &workspace.indices[context.step];
        pool::max_backward(
            context.cpu,
            pooling,
            index,
            output_gradient,
            gradient,
            target.accumulate,
        );
    }
}

pub(super) fn average_forward(
    context: &Context<'_>,
    step: &Step,
    pooling: &Pooling,
    workspace: &mut Workspace,
    output: &mut [f32],
) {
    let input = &workspace.values[step.inputs[0]][..input_length(pooling)];
    pool::average_forward(context.cpu, pooling, input, output);
}

pub(super) fn average_backward(
    context: &Context<'_>,
    step: &Step,
    pooling: &Pooling,
    workspace: &mut Workspace,
    output_gradient: &[f32],
) {
    if let Some(target) = &step.backward.inputs[0] {
        let gradient = &mut workspace.gradients[target.gradient][..input_length(pooling)];
        pool::average_backward(
            context.cpu,
            pooling,
            output_gradient,
            gradient,
            target.accumulate,
        );
    }
}
