//! Convolutions that run together in bands of rows.
use hubel_kernels::conv::{Epilogue, Link};

use super::Context;
use super::convolution::packed_or_plain;
use crate::plan::{Chain, Step};
use crate::workspace::Workspace;

impl Chain {
    /// Packs the weights of all three, one behind the other.
    pub(super) fn pack(&self, context: &Context<'_>, workspace: &mut Workspace) {
        let mut packed = &mut workspace.packed_forward[context.step][..];
        let mut biases = &mut workspace.statistics[context.step][..];
        for step in &self.convolutions {
            let (own, bias);
            (own, packed) = packed.split_at_mut(step.packed_forward());
            (bias, biases) = biases.split_at_mut(step.folded_bias());
            step.pack_forward(context, own, bias, &mut workspace.scratch);
        }
    }

    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let mut packed = &workspace.packed_forward[context.step][..];
        let mut biases = &workspace.statistics[context.step][..];
        let add = step.inputs.get(1);
        let add = add.map(|slot| &workspace.values[*slot][..output.len()]);
        let links = self.convolutions.each_ref().map(|step| {
            let (own, bias);
            (own, packed) = packed.split_at(step.packed_forward());
            (bias, biases) = biases.split_at(step.folded_bias());
            Link {
                forward: &step.passes.forward,
                packed: packed_or_plain(own, step, context),
                epilogue: Epilogue {
                    bias: step.forward_bias(context, bias),
                    add: add.filter(|_| step.add),
                    activation: step.activation,
                    sums: None,
                },
            }
        });
        let input_len = self.convolutions[0].geometry.input_len();
        let input = &workspace.values[step.inputs[0]][..input_len];
        let scratch = &mut workspace.scratch;
        self.bands.run(context.cpu, links, input, output, scratch);
    }
}
