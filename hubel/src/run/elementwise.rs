//! Steps that move or change each element by itself: activation, dropout, addition, product, concatenation, channels, borders, upsampling.
use hubel_kernels::add::{self, Channels};
use hubel_kernels::{Cpu, activation, dropout, pad};

use super::Context;
use crate::plan::{Kind, Step};
use crate::workspace::Workspace;

impl Step {
    pub(super) fn forward_elementwise(
        &self,
        context: &Context<'_>,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let cpu = context.cpu;
        let input = |i: usize| &workspace.values[self.inputs[i]];
        match &self.kind {
            Kind::Activation(function) => {
                activation::forward(cpu, *function, &input(0)[..output.len()], output)
            }
            Kind::Lrn(lrn) => lrn.forward(cpu, &input(0)[..output.len()], output),
            Kind::Dropout { probability, layer } => {
                let seed = context.seed ^ layer.wrapping_mul(LAYER);
                dropout::apply(
                    cpu,
                    *probability,
                    seed,
                    &input(0)[..output.len()],
                    output,
                    false,
                );
            }
            Kind::Add {
                activation: function,
            } => {
                add::add(
                    cpu,
                    &input(0)[..output.len()],
                    &input(1)[..output.len()],
                    output,
                );
                for i in 2..self.inputs.len() {
                    add::copy(cpu, &input(i)[..output.len()], output, true);
                }
                if *function != activation::Activation::Identity {
                    activation::forward_in_place(cpu, *function, output);
                }
            }
            Kind::Concat { channels, pixels } => {
                let total = channels.iter().sum();
                let mut offset = 0;
                for (i, count) in channels.iter().enumerate() {
                    let from = (
                        &input(i)[..pixels * count],
                        Channels {
                            total: *count,
                            offset: 0,
                        },
                    );
                    add::copy_channels(
                        cpu,
                        from,
                        (output, Channels { total, offset }),
                        *count,
                        false,
                    );
                    offset += count;
                }
            }
            Kind::Selection(selection) => {
                let length = selection.input_len(output.len());
                selection.forward(cpu, &input(0)[..length], output);
            }
            Kind::Multiply(product) => {
                let factors = &input(1)[..output.len() / product.pixels];
                product.apply(cpu, &input(0)[..output.len()], factors, output, false);
            }
            Kind::Pad(padding) => {
                let length = padding.batch * padding.input.iter().product::<usize>();
                pad::forward(cpu, padding, &input(0)[..length], output);
            }
            Kind::Upsample(upsampling) => {
                let length = upsampling.batch * upsampling.input.iter().product::<usize>();
                upsampling.forward(cpu, &input(0)[..length], output);
            }
            _ => unreachable!("the other kinds have their own files"),
        }
    }

    pub(super) fn backward_elementwise(
        &self,
        context: &Context<'_>,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let cpu = context.cpu;
        for (i, target) in self.backward.inputs.iter().enumerate() {
            let Some(target) = target else { continue };
            if let Kind::Add { .. } = self.kind {
                self.pass_on_gradient(cpu, workspace, i, output_gradient);
                continue;
            }
            let gradient = &mut workspace.gradients[target.gradient];
            match &self.kind {
                Kind::Activation(function) => {
                    let kept = if function.follows_from_output() {
                        self.output
                    } else {
                        self.inputs[0]
                    };
                    let kept = &workspace.values[kept][..output_gradient.len()];
                    let gradient = &mut gradient[..output_gradient.len()];
                    activation::backward(
                        cpu,
                        *function,
                        kept,
                        output_gradient,
                        gradient,
                        target.accumulate,
                    );
                }
                Kind::Lrn(lrn) => {
                    let input = &workspace.values[self.inputs[0]][..output_gradient.len()];
                    let gradient = &mut gradient[..output_gradient.len()];
                    lrn.backward(cpu, input, output_gradient, gradient, target.accumulate);
                }
                Kind::Dropout { probability, layer } => {
                    let seed = context.seed ^ layer.wrapping_mul(LAYER);
                    let gradient = &mut gradient[..output_gradient.len()];
                    dropout::apply(
                        cpu,
                        *probability,
                        seed,
                        output_gradient,
                        gradient,
                        target.accumulate,
                    );
                }
                Kind::Concat { channels, pixels } => {
                    let total = channels.iter().sum();
                    let offset = channels[..i].iter().sum();
                    let from = (output_gradient, Channels { total, offset });
                    let to = (
                        &mut gradient[..pixels * channels[i]],
                        Channels {
                            total: channels[i],
                            offset: 0,
                        },
                    );
                    add::copy_channels(cpu, from, to, channels[i], target.accumulate);
                }
                Kind::Selection(selection) => {
                    let length = selection.input_len(output_gradient.len());
                    let gradient = &mut gradient[..length];
                    selection.backward(cpu, output_gradient, gradient, target.accumulate);
                }
                Kind::Multiply(product) => {
                    let length = output_gradient.len();
                    let other =
                        |i: usize, length: usize| &workspace.values[self.inputs[i]][..length];
                    let accumulate = target.accumulate;
                    match i {
                        0 => {
                            let factors = other(1, length / product.pixels);
                            let gradient = &mut gradient[..length];
                            product.apply(cpu, output_gradient, factors, gradient, accumulate);
                        }
                        _ => {
                            let gradient = &mut gradient[..length / product.pixels];
                            let map = other(0, length);
                            product.factor_gradient(
                                cpu,
                                map,
                                output_gradient,
                                gradient,
                                accumulate,
                            );
                        }
                    }
                }
                Kind::Pad(padding) => {
                    let length = padding.batch * padding.input.iter().product::<usize>();
                    pad::backward(
                        cpu,
                        padding,
                        output_gradient,
                        &mut gradient[..length],
                        target.accumulate,
                    );
                }
                Kind::Upsample(upsampling) => {
                    let length = upsampling.batch * upsampling.input.iter().product::<usize>();
                    let gradient = &mut gradient[..length];
                    upsampling.backward(cpu, output_gradient, gradient, target.accumulate);
                }
                _ => unreachable!("the other kinds have their own files"),
            }
        }
    }

    /// Writes or adds the output's gradient to that of the `i`-th input, a summand, where there is one and it is not the same memory.
    pub(super) fn pass_on_gradient(
        &self,
        cpu: &Cpu,
        workspace: &mut Workspace,
        i: usize,
        output_gradient: &[f32],
    ) {
        if let Some(Some(target)) = self.backward.inputs.get(i)
            && target.gradient != self.backward.output_gradient
        {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            add::copy(cpu, output_gradient, gradient, target.accumulate);
        }
    }
}

/// An odd number that keeps the dropout masks of layers apart.
const LAYER: u64 = 0xd6e8_feb8_6659_fd93;
