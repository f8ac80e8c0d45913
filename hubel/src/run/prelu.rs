//! PReLU.
use std::ops::Range;

use hubel_kernels::prelu::Prelu;

use super::Context;
use crate::plan::Step;
use crate::workspace::Workspace;

fn of<'a>(slopes: &Range<usize>, context: &Context<'a>) -> Prelu<'a> {
    Prelu {
        slopes: &context.parameters.values()[slopes.clone()],
    }
}

pub(super) fn forward(
    context: &Context<'_>,
    step: &Step,
    slopes: &Range<usize>,
    workspace: &Workspace,
    output: &mut [f32],
) {
    let input = &workspace.values[step.inputs[0]][..output.len()];
    of(slopes, context).forward(context.cpu, input, output);
}

pub(super) fn backward(
    context: &Context<'_>,
    step: &Step,
    slopes: &Range<usize>,
    workspace: &mut Workspace,
    output_gradient: &[f32],
) {
    let (cpu, prelu) = (context.cpu, of(slopes, context));
    let input = &workspace.values[step.inputs[0]][..output_gradient.len()];
    if context.mode.trains() {
        let gradient = &mut workspace.parameter_gradient[slopes.clone()];
        prelu.slope_gradient(cpu, input, output_gradient, gradient);
    }
    if let Some(target) = &step.backward.inputs[0] {
        let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
        prelu.input_gradient(cpu, input, output_gradient, gradient, target.accumulate);
    }
}
