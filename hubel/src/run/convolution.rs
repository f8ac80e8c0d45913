//! Convolutions and linear layers.
use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{
    Destination, Epilogue, ForwardOperands, GradientEpilogue, InputGradientOperands, JointOperands,
    OutputGradient, Sums, WeightGradientOperands,
};
use hubel_kernels::pool::{Pooled, Winner};
use hubel_kernels::{Buffer, Input, batch_norm};

use super::Context;
use crate::plan::{Convolution, Folded, GradientTarget, Joint, Statistics, Step, SumsFor};
use crate::workspace::Workspace;

impl Convolution {
    /// Packs the weights, with the folded layer if there is one.
    pub(super) fn pack(&self, context: &Context<'_>, workspace: &mut Workspace) {
        self.pack_forward(
            context,
            &mut workspace.packed_forward[context.step],
            &mut workspace.statistics[context.step],
            &mut workspace.scratch,
        );
        if let Some(pass) = &self.passes.input_gradient {
            let weights = &context.parameters.values()[self.tensors.weight.clone()];
            let packed = &mut workspace.packed_input_gradient[context.step];
            pass.pack(context.cpu, weights, packed);
        }
    }

    /// Packs the weights for the forward pass; the bias after folding goes to `folded_bias`.
    pub(super) fn pack_forward(
        &self,
        context: &Context<'_>,
        packed: &mut [f32],
        folded_bias: &mut [f32],
        scratch: &mut [f32],
    ) {
        let values = context.parameters.values();
        let weights = &values[self.tensors.weight.clone()];
        let Some(layer) = &self.folded else {
            return self.passes.forward.pack(context.cpu, weights, packed);
        };
        let channels = self.geometry.output[2];
        let (mut factor, mut summand) = (vec![0.0; channels], vec![0.0; channels]);
        match layer {
            Folded::BatchNorm(norm) => norm.running_factors(values, &mut factor, &mut summand),
            Folded::Scale(scale) => {
                factor.copy_from_slice(&values[scale.weight.clone()]);
                if let Some(bias) = scale.bias.clone() {
                    summand.copy_from_slice(&values[bias]);
                }
            }
        }
        let folded = &mut scratch[..weights.len()];
        let rows = folded
            .chunks_exact_mut(factor.len())
            .zip(weights.chunks_exact(factor.len()));
        for (folded, row) in rows {
            for c in 0..factor.len() {
                folded[c] = factor[c] * row[c];
            }
        }
        match self.passes.forward.packed_len() {
            0 => packed.copy_from_slice(folded),
            _ => self.passes.forward.pack(context.cpu, folded, packed),
        }
        let bias = self.tensors.bias.clone().map(|range| &values[range]);
        for (c, folded) in folded_bias.iter_mut().enumerate() {
            *folded = summand[c] + bias.map_or(0.0, |bias| factor[c] * bias[c]);
        }
    }

    /// The bias that the forward pass adds.
    pub(super) fn forward_bias<'a>(
        &self,
        context: &Context<'a>,
        folded: &'a [f32],
    ) -> Option<&'a [f32]> {
        match (&self.folded, &self.tensors.bias) {
            (Some(_), _) => Some(folded),
            (None, Some(bias)) => Some(&context.parameters.values()[bias.clone()]),
            (None, None) => None,
        }
    }

    /// What the passes read.
    fn input<'a>(&self, step: &Step, values: &'a [Buffer], statistics: &'a [Buffer]) -> Input<'a> {
        Input {
            map: &values[step.inputs[0]][..self.geometry.input_len()],
            normalised: self.fusions.normalised_by.map(|by| by.factors(statistics)),
        }
    }

    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        with_sums(
            self.fusions.sums.as_ref(),
            context,
            workspace,
            |sums, workspace| {
                let epilogue = Epilogue {
                    bias: self.forward_bias(context, &workspace.statistics[context.step]),
                    add: self
                        .add
                        .then(|| &workspace.values[step.inputs[1]][..output.len()]),
                    activation: self.activation,
                    sums,
                };
                let packed = &workspace.packed_forward[context.step];
                let operands = ForwardOperands {
                    input: self.input(step, &workspace.values, &workspace.statistics),
                    packed: packed_or_plain(packed, self, context),
                    epilogue,
                    output: match self.fusions.pooled {
                        false => Destination::Map(output),
                        true => {
                            let winners = &mut workspace.winners[context.step][..];
                            Destination::Pooled {
                                values: output,
                                winners: context.mode.goes_back().then_some(winners),
                            }
                        }
                    },
                    scratch: &mut workspace.scratch,
                };
                self.passes.forward.run(context.cpu, operands);
            },
        );
    }

    /// The gradients of weights and bias, where the plan needs them.
    pub(super) fn weight_gradient(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let Some(pass) = &self.passes.weight_gradient else {
            return;
        };
        let (weight_gradient, bias_gradient) =
            self.own_gradients(&mut workspace.parameter_gradient);
        let operands = WeightGradientOperands {
            input: self.input(step, &workspace.values, &workspace.statistics),
            output_gradient: self
                .output_gradient(output_gradient, &workspace.winners[context.step]),
            weight_gradient,
            bias_gradient,
            scratch: &mut workspace.scratch,
        };
        pass.run(context.cpu, operands);
    }

    /// The gradient that the passes read: of the output, or of the pooled output.
    fn output_gradient<'a>(
        &self,
        gradient: &'a [f32],
        winners: &'a [Winner],
    ) -> OutputGradient<'a> {
        match self.fusions.pooled {
            false => OutputGradient::Map(gradient),
            true => OutputGradient::Pooled(Pooled { gradient, winners }),
        }
    }

    /// The gradients of weights and bias, out of the gradients of all parameters.
    fn own_gradients<'a>(&self, all: &'a mut [f32]) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        match &self.tensors.bias {
            // Weights lie before all biases.
            Some(bias) => {
                let (head, tail) = all.split_at_mut(bias.start);
                let bias = &mut tail[..bias.len()];
                (&mut head[self.tensors.weight.clone()], Some(bias))
            }
            None => (&mut all[self.tensors.weight.clone()], None),
        }
    }

    /// The gradients of weights, bias and input, and the backward pass of the batch norm behind, in one pass.
    pub(super) fn joint_gradients(
        &self,
        context: &Context<'_>,
        step: &Step,
        joint: &Joint,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let target = step.backward.inputs[0].as_ref();
        let sums = target.and_then(|target| target.sums.as_ref());
        with_sums(sums, context, workspace, |sums, workspace| {
            let input = self.input(step, &workspace.values, &workspace.statistics);
            let epilogue = target.map(|target| target.epilogue(input, sums));
            let own = Statistics::of(&workspace.statistics[joint.step]);
            let output_gradient = batch_norm::InputGradient {
                input: &workspace.values[step.output][..output_gradient.len()],
                mean: own.mean,
                output_gradient,
                coefficients: own.coefficients,
            };
            let (weight_gradient, bias_gradient) =
                self.own_gradients(&mut workspace.parameter_gradient);
            let packed = &workspace.packed_input_gradient[context.step];
            let operands = JointOperands {
                input,
                output_gradient,
                packed: packed_or_plain(packed, self, context),
                epilogue: epilogue.unwrap_or_default(),
                weight_gradient,
                bias_gradient,
                input_gradient: target
                    .map(|target| &mut workspace.gradients[target.gradient][..input.map.len()]),
                scratch: &mut workspace.scratch,
            };
            joint.pass.run(context.cpu, operands);
        });
    }

    pub(super) fn input_gradient(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let (Some(pass), Some(target)) = (&self.passes.input_gradient, &step.backward.inputs[0])
        else {
            return;
        };
        let sums = target.sums.as_ref();
        with_sums(sums, context, workspace, |sums, workspace| {
            let input = self.input(step, &workspace.values, &workspace.statistics);
            let packed = &workspace.packed_input_gradient[context.step];
            let operands = InputGradientOperands {
                output_gradient: self
                    .output_gradient(output_gradient, &workspace.winners[context.step]),
                packed: packed_or_plain(packed, self, context),
                epilogue: target.epilogue(input, sums),
                input_gradient: &mut workspace.gradients[target.gradient][..input.map.len()],
                scratch: &mut workspace.scratch,
            };
            pass.run(context.cpu, operands);
        });
    }
}

impl GradientTarget {
    /// What happens to the gradient of `input` before it is stored.
    fn epilogue<'a>(&self, input: Input<'a>, sums: Option<&'a Sums<'a>>) -> GradientEpilogue<'a> {
        let mask = match sums {
            Some(_) => Some(self.mask.unwrap_or(Activation::Identity)),
            None => self.mask,
        };
        GradientEpilogue {
            accumulate: self.accumulate,
            mask: mask.map(|activation| (input, activation)),
            sums,
        }
    }
}

/// Calls `pass` with memory for its sums, if it takes any.
fn with_sums(
    sums: Option<&SumsFor>,
    context: &Context<'_>,
    workspace: &mut Workspace,
    pass: impl FnOnce(Option<&Sums<'_>>, &mut Workspace),
) {
    let Some(sums) = sums else {
        return pass(None, workspace);
    };
    let mut own = std::mem::take(&mut workspace.sums[sums.step]);
    let origin = &context.parameters.values()[sums.origin.clone()];
    pass(Some(&Sums::new(origin, &mut own)), workspace);
    workspace.sums[sums.step] = own;
}

/// The packed weights, or the weights as they are if the pass packs none.
pub(super) fn packed_or_plain<'a>(
    packed: &'a [f32],
    convolution: &Convolution,
    context: &Context<'a>,
) -> &'a [f32] {
    match packed {
        [] => &context.parameters.values()[convolution.tensors.weight.clone()],
        packed => packed,
    }
}

impl crate::plan::Normalisation {
    /// Writes the factor and the summand of each channel that follow from the running statistics.
    pub(super) fn running_factors(&self, values: &[f32], factor: &mut [f32], summand: &mut [f32]) {
        batch_norm::factors(
            &values[self.running_mean.clone()],
            &values[self.running_variance.clone()],
            self.epsilon,
            &values[self.scale.clone()],
            &values[self.shift.clone()],
            factor,
            summand,
        );
    }
}
