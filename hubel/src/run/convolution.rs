//! Convolutions and linear layers.
use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{Epilogue, GradientEpilogue, Sums};
use hubel_kernels::pool::Pooled;
use hubel_kernels::{Buffer, Input, batch_norm};

use super::Context;
use crate::plan::{Convolution, GradientTarget, Joint, Statistics, Step, SumsFor};
use crate::workspace::Workspace;

impl Convolution {
    /// Packs the weights, with a folded batch normalisation multiplied into them.
    pub(super) fn pack(
        &self,
        context: &Context<'_>,
        input: Option<&Option<GradientTarget>>,
        workspace: &mut Workspace,
    ) {
        self.pack_forward(
            context,
            &mut workspace.packed_forward[context.step],
            &mut workspace.statistics[context.step],
            &mut workspace.scratch,
        );
        if context.mode.goes_back() && input.is_some_and(Option::is_some) {
            let weights = &context.parameters.values()[self.weight.clone()];
            self.input_gradient.pack(
                context.cpu,
                weights,
                &mut workspace.packed_input_gradient[context.step],
            );
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
        let weights = &values[self.weight.clone()];
        let Some(norm) = &self.folded else {
            return self.forward.pack(context.cpu, weights, packed);
        };
        let (mut factor, mut summand) = (vec![0.0; norm.channels], vec![0.0; norm.channels]);
        norm.running_factors(values, &mut factor, &mut summand);
        let folded = &mut scratch[..weights.len()];
        let rows = folded
            .chunks_exact_mut(factor.len())
            .zip(weights.chunks_exact(factor.len()));
        for (folded, row) in rows {
            for c in 0..factor.len() {
                folded[c] = factor[c] * row[c];
            }
        }
        match self.forward.packed_len() {
            0 => packed.copy_from_slice(folded),
            _ => self.forward.pack(context.cpu, folded, packed),
        }
        let bias = self.bias.clone().map(|range| &values[range]);
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
        match (&self.folded, &self.bias) {
            (Some(_), _) => Some(folded),
            (None, Some(bias)) => Some(&context.parameters.values()[bias.clone()]),
            (None, None) => None,
        }
    }

    /// What the passes read.
    fn input<'a>(&self, step: &Step, values: &'a [Buffer], statistics: &'a [Buffer]) -> Input<'a> {
        let geometry = &self.geometry;
        let length = geometry.batch * geometry.input.iter().product::<usize>();
        Input {
            map: &values[step.inputs[0]][..length],
            normalised: self.normalised_by.map(|by| by.factors(statistics)),
        }
    }

    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        with_sums(self.sums.as_ref(), context, workspace, |sums, workspace| {
            let epilogue = Epilogue {
                bias: self.forward_bias(context, &workspace.statistics[context.step]),
                add: self
                    .add
                    .then(|| &workspace.values[step.inputs[1]][..output.len()]),
                activation: self.activation,
                sums,
            };
            let cpu = context.cpu;
            let input = self.input(step, &workspace.values, &workspace.statistics);
            let packed = &workspace.packed_forward[context.step];
            let packed = packed_or_plain(packed, self, context);
            let scratch = &mut workspace.scratch;
            if self.pooled {
                let winners = &mut workspace.winners[context.step][..];
                let winners = context.mode.goes_back().then_some(winners);
                (self.forward).run_pooled(cpu, input, packed, &epilogue, output, winners, scratch);
            } else {
                (self.forward).run(cpu, input, packed, &epilogue, output, scratch);
            }
        });
    }

    pub(super) fn weight_gradient(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let input = self.input(step, &workspace.values, &workspace.statistics);
        let mut gradient = std::mem::take(&mut workspace.parameter_gradient);
        let (weight_gradient, bias_gradient) = self.own_gradients(&mut gradient);
        if self.pooled {
            self.weight_gradient.run_pooled(
                context.cpu,
                input,
                Pooled {
                    gradient: output_gradient,
                    winners: &workspace.winners[context.step],
                },
                weight_gradient,
                bias_gradient,
                &mut workspace.scratch,
            );
        } else {
            self.weight_gradient.run(
                context.cpu,
                input,
                output_gradient,
                weight_gradient,
                bias_gradient,
                &mut workspace.scratch,
            );
        }
        workspace.parameter_gradient = gradient;
    }

    /// Those of weights and bias among the gradients of all parameters.
    fn own_gradients<'a>(&self, all: &'a mut [f32]) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        match &self.bias {
            // Weights lie before all biases.
            Some(bias) => {
                let (head, tail) = all.split_at_mut(bias.start);
                let bias = &mut tail[..bias.len()];
                (&mut head[self.weight.clone()], Some(bias))
            }
            None => (&mut all[self.weight.clone()], None),
        }
    }

    /// The gradients of weights, bias and input from that of the batch normalisation behind it.
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
            let packed = &workspace.packed_input_gradient[context.step];
            let (weight_gradient, bias_gradient) =
                self.own_gradients(&mut workspace.parameter_gradient);
            joint.pass.run(
                context.cpu,
                input,
                output_gradient,
                packed_or_plain(packed, self, context),
                &epilogue.unwrap_or_default(),
                weight_gradient,
                bias_gradient,
                target.map(|target| &mut workspace.gradients[target.gradient][..input.map.len()]),
                &mut workspace.scratch,
            );
        });
    }

    pub(super) fn input_gradient(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let Some(target) = &step.backward.inputs[0] else {
            return;
        };
        with_sums(
            target.sums.as_ref(),
            context,
            workspace,
            |sums, workspace| {
                let input = self.input(step, &workspace.values, &workspace.statistics);
                let epilogue = target.epilogue(input, sums);
                let cpu = context.cpu;
                let packed = &workspace.packed_input_gradient[context.step];
                let packed = packed_or_plain(packed, self, context);
                let gradient = &mut workspace.gradients[target.gradient][..input.map.len()];
                let scratch = &mut workspace.scratch;
                if self.pooled {
                    let pooled = Pooled {
                        gradient: output_gradient,
                        winners: &workspace.winners[context.step],
                    };
                    (self.input_gradient)
                        .run_pooled(cpu, pooled, packed, &epilogue, gradient, scratch);
                } else {
                    let from = output_gradient;
                    (self.input_gradient).run(cpu, from, packed, &epilogue, gradient, scratch);
                }
            },
        );
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

/// Calls `pass` with the place for the sums that it takes, if it takes any.
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

/// What a pass wants of the weights: what it has packed, or the weights as they are where it packs nothing.
pub(super) fn packed_or_plain<'a>(
    packed: &'a [f32],
    convolution: &Convolution,
    context: &Context<'a>,
) -> &'a [f32] {
    match packed {
        [] => &context.parameters.values()[convolution.weight.clone()],
        packed => packed,
    }
}

impl crate::plan::Normalisation {
    /// Writes the factor and summand that the running statistics come to.
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
