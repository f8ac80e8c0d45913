//! Group norm.
use hubel_kernels::group_norm;

use super::Context;
use crate::plan::{GroupNorm, Step};
use crate::workspace::Workspace;

impl GroupNorm {
    fn with_weights<'a>(&self, context: &Context<'a>) -> group_norm::GroupNorm<'a> {
        let values = context.parameters.values();
        group_norm::GroupNorm {
            groups: self.groups,
            epsilon: self.epsilon,
            scale: &values[self.scale.clone()],
            shift: &values[self.shift.clone()],
        }
    }

    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let input = &workspace.values[step.inputs[0]][..output.len()];
        let scratch = &mut workspace.scratch[..self.groups.scratch_len()];
        self.with_weights(context)
            .forward(context.cpu, input, scratch, output);
    }

    pub(super) fn backward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let (cpu, groups) = (context.cpu, self.groups);
        let input = &workspace.values[step.inputs[0]][..output_gradient.len()];
        let scratch = &mut workspace.scratch[..groups.scratch_len()];
        self.with_weights(context)
            .gradient_sums(cpu, input, output_gradient, scratch);
        if context.mode.trains() {
            let tensors = [self.scale.clone(), self.shift.clone()];
            let [scale, shift] = (workspace.parameter_gradient)
                .get_disjoint_mut(tensors)
                .expect("two tensors of the parameters");
            groups.weight_gradients(scratch, scale, shift);
        }
        if let Some(target) = &step.backward.inputs[0] {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            let maps = [input, output_gradient];
            groups.input_gradient(cpu, maps, scratch, gradient, target.accumulate);
        }
    }
}
