//! Layer norm.
use hubel_kernels::layer_norm;

use super::Context;
use crate::plan::{LayerNorm, Step};
use crate::workspace::Workspace;

impl LayerNorm {
    fn with_weights<'a>(&self, context: &Context<'a>) -> layer_norm::LayerNorm<'a> {
        let values = context.parameters.values();
        layer_norm::LayerNorm {
            epsilon: self.epsilon,
            scale: &values[self.scale.clone()],
            shift: &values[self.shift.clone()],
        }
    }

    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &Workspace,
        output: &mut [f32],
    ) {
        let input = &workspace.values[step.inputs[0]][..output.len()];
        self.with_weights(context)
            .forward(context.cpu, input, output);
    }

    pub(super) fn backward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let (cpu, norm) = (context.cpu, self.with_weights(context));
        let input = &workspace.values[step.inputs[0]][..output_gradient.len()];
        if context.mode.trains() {
            let tensors = [self.scale.clone(), self.shift.clone()];
            let [scale, shift] = (workspace.parameter_gradient)
                .get_disjoint_mut(tensors)
                .expect("two tensors of the parameters");
            norm.weight_gradients(cpu, input, output_gradient, scale, shift);
        }
        if let Some(target) = &step.backward.inputs[0] {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            norm.input_gradient(cpu, input, output_gradient, gradient, target.accumulate);
        }
    }
}
