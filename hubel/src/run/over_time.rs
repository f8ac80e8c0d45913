//! Pooling over all times.
use hubel_kernels::over_time;

use super::Context;
use crate::plan::{OverTime, Step};
use crate::workspace::Workspace;

impl OverTime {
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let Workspace {
            values, indices, ..
        } = workspace;
        let length = self.lengths(&values[0]);
        let input = &values[step.inputs[0]][..self.maps.len()];
        if self.max {
            let index = (context.mode.goes_back()).then_some(&mut indices[context.step][..]);
            over_time::max_forward(context.cpu, self.maps, length, input, output, index);
        } else {
            over_time::average_forward(context.cpu, self.maps, length, input, output);
        }
    }

    pub(super) fn backward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let Some(target) = &step.backward.inputs[0] else {
            return;
        };
        let Workspace {
            values,
            gradients,
            indices,
            ..
        } = workspace;
        let gradient = &mut gradients[target.gradient][..self.maps.len()];
        let accumulate = target.accumulate;
        if self.max {
            let index = &indices[context.step];
            over_time::max_backward(
                context.cpu,
                self.maps,
                index,
                output_gradient,
                gradient,
                accumulate,
            );
        } else {
            over_time::average_backward(
                context.cpu,
                self.maps,
                self.lengths(&values[0]),
                output_gradient,
                gradient,
                accumulate,
            );
        }
    }
}
