//! The two loops that walk a plan: forward, and backward in reverse. What one kind of step does in both directions stands together in
//! `run/`.
mod convolution;
mod elementwise;
mod normalisation;
mod pooling;

use hubel_kernels::{Cpu, activation, pad, softmax};

use crate::parameters::Parameters;
use crate::plan::{Kind, Mode, Plan};
use crate::workspace::Workspace;

/// What a step may need to know of the run besides its slots.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) cpu: &'a Cpu,
    pub(crate) training: bool,
    /// Seeds the dropout of this very step of training.
    pub(crate) seed: u64,
}

/// Loss and hits of one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchLoss {
    /// The mean of the cross-entropy, in nats.
    pub loss: f64,
    /// Images whose largest logit is that of their class.
    pub correct: usize,
}

impl Plan {
    /// Packs the weights for the kernels; to be called when they have changed, before the next [`Plan::forward`].
    pub fn pack(&self, cpu: &Cpu, parameters: &Parameters, workspace: &mut Workspace) {
        for (i, step) in self.steps.iter().enumerate() {
            if let Kind::Convolution(convolution) = &step.kind {
                convolution.pack(cpu, parameters, i, self.settings.mode == Mode::Training, workspace);
            }
        }
    }

    /// Computes the logits of the images in the workspace. `seed` decides what dropout drops in training.
    pub fn forward(&self, cpu: &Cpu, parameters: &Parameters, workspace: &mut Workspace, seed: u64) {
        let context = Context { cpu, training: self.settings.mode == Mode::Training, seed };
        for (i, step) in self.steps.iter().enumerate() {
            let mut output = std::mem::take(&mut workspace.values[step.output]);
            let length = self.output_length(step);
            step.forward(context, parameters, workspace, i, &mut output[..length]);
            workspace.values[step.output] = output;
        }
    }

    /// The logits `[n, classes]` of the last forward run.
    pub fn logits<'a>(&self, workspace: &'a Workspace) -> &'a [f32] {
        &workspace.values[self.logits][..self.settings.batch * self.outputs]
    }

    /// The loss of the last forward run, and its gradient by the logits, where [`Plan::backward`] begins.
    pub fn loss(&self, cpu: &Cpu, workspace: &mut Workspace, labels: &[u32], label_smoothing: f32) -> BatchLoss {
        let length = self.settings.batch * self.outputs;
        let mut gradient = std::mem::take(&mut workspace.gradients[self.logits_gradient]);
        let (loss, correct) = softmax::cross_entropy(
            cpu,
            &workspace.values[self.logits][..length],
            labels,
            self.outputs,
            label_smoothing,
            &mut gradient[..length],
        );
        workspace.gradients[self.logits_gradient] = gradient;
        BatchLoss { loss, correct }
    }

    /// Computes the gradient of every parameter from the gradient of the logits.
    pub fn backward(&self, cpu: &Cpu, parameters: &Parameters, workspace: &mut Workspace, seed: u64) {
        let context = Context { cpu, training: true, seed };
        for (i, step) in self.steps.iter().enumerate().rev() {
            let mut gradient = std::mem::take(&mut workspace.gradients[step.backward.output_gradient]);
            let length = self.output_length(step);
            let output_gradient = &mut gradient[..length];
            if let Some(function) = step.backward.own_mask {
                let output = &workspace.values[step.output];
                activation::backward_in_place(cpu, function, &output[..length], output_gradient);
            }
            step.backward(context, parameters, workspace, i, output_gradient);
            workspace.gradients[step.backward.output_gradient] = gradient;
        }
    }
}
