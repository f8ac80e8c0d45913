//! Batch normalisation.
use hubel_kernels::batch_norm::{self, Batch};
use hubel_kernels::{Buffer, Normalised};

use super::Context;
use crate::parameters::Parameters;
use crate::plan::{Kind, Normalisation, NormalisedBy, Plan, Statistics, Step};
use crate::workspace::Workspace;

impl Normalisation {
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output: &mut [f32],
    ) {
        let (cpu, values) = (context.cpu, context.parameters.values());
        let Statistics {
            mean,
            variance,
            factor,
            summand,
            ..
        } = Statistics::of_mut(&mut workspace.statistics[context.step]);
        if !self.is_running {
            let is_told = self.forward_parts.is_some_and(|parts| {
                let parts = &workspace.sums[context.step][..parts * 2 * self.channels];
                let origin = &values[self.running_mean.clone()];
                let rows = output.len() / self.channels;
                batch_norm::statistics_of_sums(parts, origin, rows, self.epsilon, mean, variance)
            });
            if !is_told {
                // Where the reader normalises, the output's memory is the input's.
                let input = match self.by_reader {
                    true => &*output,
                    false => &workspace.values[step.inputs[0]][..output.len()],
                };
                batch_norm::statistics(cpu, input, mean, variance);
            }
            let (scale, shift) = (&values[self.scale.clone()], &values[self.shift.clone()]);
            batch_norm::factors(mean, variance, self.epsilon, scale, shift, factor, summand);
        } else {
            self.running_factors(values, factor, summand);
        }
        if self.by_reader {
            return;
        }
        let input = &workspace.values[step.inputs[0]][..output.len()];
        let add = self
            .add
            .then(|| &workspace.values[step.inputs[1]][..output.len()]);
        batch_norm::normalise(cpu, input, factor, summand, add, self.activation, output);
    }

    pub(super) fn backward(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        if self.is_running {
            return self.backward_of_running(context, step, workspace, output_gradient);
        }
        let own = Statistics::of_mut(&mut workspace.statistics[context.step]);
        let values = context.parameters.values();
        let batch = Batch {
            input: &workspace.values[step.inputs[0]][..output_gradient.len()],
            mean: own.mean,
            variance: own.variance,
            epsilon: self.epsilon,
            scale: &values[self.scale.clone()],
            shift: &values[self.shift.clone()],
        };
        let tensors = [self.scale.clone(), self.shift.clone()];
        let [scale_gradient, shift_gradient] = (workspace.parameter_gradient)
            .get_disjoint_mut(tensors)
            .expect("two tensors of the parameters");
        let input_gradient = batch_norm::backward(
            context.cpu,
            batch,
            output_gradient,
            (self.backward_parts)
                .map(|parts| &workspace.sums[context.step][..parts * 2 * self.channels]),
            scale_gradient,
            shift_gradient,
            own.coefficients,
        );
        if let Some(target) = &step.backward.inputs[0] {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            input_gradient.write(context.cpu, gradient, target.accumulate);
        }
        step.pass_on_gradient(context.cpu, workspace, 1, output_gradient);
    }

    /// With running statistics the batch norm is a linear function: the input's gradient is the factor times the output's gradient.
    fn backward_of_running(
        &self,
        context: &Context<'_>,
        step: &Step,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        let own = Statistics::of_mut(&mut workspace.statistics[context.step]);
        own.coefficients.fill(0.0);
        own.coefficients[..self.channels].copy_from_slice(own.factor);
        let input_gradient = batch_norm::InputGradient {
            input: &workspace.values[step.inputs[0]][..output_gradient.len()],
            mean: own.mean,
            output_gradient,
            coefficients: own.coefficients,
        };
        if let Some(target) = &step.backward.inputs[0] {
            let gradient = &mut workspace.gradients[target.gradient][..output_gradient.len()];
            input_gradient.write(context.cpu, gradient, target.accumulate);
        }
        step.pass_on_gradient(context.cpu, workspace, 1, output_gradient);
    }
}

impl NormalisedBy {
    /// The factors and summands with which the reader normalises on load.
    pub(super) fn factors<'a>(&self, statistics: &'a [Buffer]) -> Normalised<'a> {
        let own = Statistics::of(&statistics[self.step]);
        Normalised {
            factor: own.factor,
            summand: own.summand,
            activation: self.activation,
        }
    }
}

impl Plan {
    /// Moves the running statistics of the batch normalisations that do not [use them](crate::PlanSettings::running_statistics) towards those of the last forward run in training.
    pub fn update_running_statistics(&self, parameters: &mut Parameters, workspace: &Workspace) {
        for (i, step) in self.steps.iter().enumerate() {
            let norm = match &step.kind {
                Kind::Normalisation(norm) if !norm.is_running => norm,
                _ => continue,
            };
            let own = Statistics::of(&workspace.statistics[i]);
            let rows = self.output_lengths[i] / norm.channels;
            // The four tensors lie apart; the running ones are taken out to be changed together.
            let values = parameters.values_mut();
            let mut running_mean = values[norm.running_mean.clone()].to_vec();
            let running_variance = &mut values[norm.running_variance.clone()];
            batch_norm::update_running(
                own.mean,
                own.variance,
                rows,
                norm.momentum,
                &mut running_mean,
                running_variance,
            );
            values[norm.running_mean.clone()].copy_from_slice(&running_mean);
        }
    }
}
