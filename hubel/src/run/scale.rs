//! A factor and perhaps a summand for each channel.
use hubel_kernels::scale;

use super::Context;
use crate::plan::{Scale, Step};
use crate::workspace::Workspace;

impl Scale {
    fn with_weights<'a>(&self, context: &Context<'a>) -> scale::Scale<'a> {
        let values = context.parameters.values();
        scale::Scale {
            weight: &values[self.weight.clone()],
            bias: self.bias.clone().map(|bias| &values[bias]),
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
        let (cpu, scale) = (context.cpu, self.with_weights(context));
        if context.mode.trains() {
            let input = &workspace.values[step.inputs[0]][..output_gradient.len()];
            let length = scale::scratch_len(self.length, self.weight.len());
            let scratch = &mut workspace.scratch[..length];
            let gradient = &mut workspace.parameter_gradient;
            // Without a bias, an empty part of the gradients.
            let bias = self
                .bias
                .clone()
                .unwrap_or(self.weight.end..self.weight.end);
            let [weight, bias] = gradient
                .get_disjoint_mut([self.weight.clone(), bias])
                .expect("two tensors of the parameters");
            let bias = (self.bias.is_some()).then_some(bias);
            scale::weight_gradients(cpu, input, output_gradient, scratch, weight, bias);
        }
        if let Some(target) = &step.backward.inputs[0] {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            scale.input_gradient(cpu, output_gradient, gradient, target.accumulate);
        }
    }
}
