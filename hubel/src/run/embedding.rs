//! Embedding: the gradient goes to the table. A token is the number of a word and no quantity, so its gradient is 0.
use hubel_kernels::embedding;

use super::Context;
use crate::plan::{Embedding, Step};
use crate::workspace::Workspace;

impl Embedding {
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &Workspace,
        output: &mut [f32],
    ) {
        let table = &context.parameters.values()[self.weights.clone()];
        let tokens = &workspace.values[step.inputs[0]][..self.tokens];
        embedding::forward(context.cpu, table, self.size, tokens, output);
    }

    pub(super) fn backward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        if let Some(target) = &step.backward.inputs[0] {
            workspace.gradients[target.gradient][..self.tokens].fill(0.0);
        }
        if !context.mode.trains() {
            return;
        }
        let gradient = &mut workspace.parameter_gradient[self.weights.clone()];
        let tokens = &workspace.values[0][..self.tokens];
        embedding::backward(context.cpu, self.size, tokens, output_gradient, gradient);
    }
}
