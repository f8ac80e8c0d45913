//! The two loops over the steps of a plan: forward, and backward in reverse order. The files in `run/` hold both directions of a kind of step.
mod chain;
mod convolution;
mod elementwise;
mod embedding;
mod group_norm;
mod layer_norm;
mod normalisation;
mod over_time;
mod pooling;
mod prelu;
mod scale;

use hubel_kernels::conv::Pass;
use hubel_kernels::{Cpu, activation, softmax};

use crate::optimizer::{GradientNorm, Update};
use crate::parameters::Parameters;
use crate::plan::{Kind, Mode, Plan, Statistics, Step};
use crate::workspace::Workspace;

/// What a step needs of the run besides its own memory.
struct Context<'a> {
    cpu: &'a Cpu,
    parameters: &'a Parameters,
    mode: Mode,
    /// Decides what dropout drops in this step of training.
    seed: u64,
    /// The step's index, by which its memory is found.
    step: usize,
}

/// Loss and correct answers of one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BatchLoss {
    /// The mean of the cross-entropy, in nats.
    pub loss: f64,
    /// Images whose largest logit is that of their class; with target probabilities, that of their largest target.
    pub correct: usize,
}

impl Plan {
    /// Packs the weights for the kernels. [`Plan::forward`] does so if they have changed; calling this before makes the first run as fast as the others.
    ///
    /// # Panics
    /// If the workspace belongs to another plan.
    pub fn pack(&self, cpu: &Cpu, parameters: &Parameters, workspace: &mut Workspace) {
        workspace.assert_fits(self);
        for step in 0..self.steps.len() {
            self.pack_step(cpu, parameters, workspace, step);
        }
        workspace.set_packed(parameters);
    }

    fn pack_step(
        &self,
        cpu: &Cpu,
        parameters: &Parameters,
        workspace: &mut Workspace,
        step: usize,
    ) {
        let context = Context {
            cpu,
            parameters,
            mode: self.settings.mode,
            seed: 0,
            step,
        };
        let step = &self.steps[step];
        match &step.kind {
            Kind::Convolution(convolution) => {
                convolution.pack(&context, workspace);
            }
            Kind::Chain(chain) => chain.pack(&context, workspace),
            _ => {}
        }
    }

    /// Changes the parameters by the gradient of the last backward run; the weights of each layer are packed for the next forward run at
    /// once, while they are in the caches. Returns the norm of the gradient if the update clips it.
    pub(crate) fn update(
        &self,
        cpu: &Cpu,
        parameters: &mut Parameters,
        workspace: &mut Workspace,
        mut update: Update<'_>,
    ) -> Option<GradientNorm> {
        self.assert_training();
        let gradient = std::mem::take(&mut workspace.parameter_gradient);
        let norm = update.clip(cpu, parameters, &gradient);
        for (i, step) in self.steps.iter().enumerate() {
            if let Some(weights) = step.kind.weights() {
                update.apply(cpu, parameters, &gradient, weights);
                self.pack_step(cpu, parameters, workspace, i);
            }
        }
        let rest = parameters.undecayed();
        update.apply(cpu, parameters, &gradient, rest);
        workspace.parameter_gradient = gradient;
        workspace.set_packed(parameters);
        norm
    }

    /// Computes the logits of the images in the workspace. `seed` decides what dropout drops in training.
    ///
    /// # Panics
    /// If the workspace belongs to another plan.
    pub fn forward(
        &self,
        cpu: &Cpu,
        parameters: &Parameters,
        workspace: &mut Workspace,
        seed: u64,
    ) {
        if !workspace.is_packed(parameters) {
            self.pack(cpu, parameters, workspace);
        }
        self.forward_watched(cpu, parameters, workspace, seed, &mut |_, _| {});
    }

    /// As [`Plan::forward`], with the weights that are packed, even if `parameters` have changed; calls `watch` after each step.
    pub(crate) fn forward_watched(
        &self,
        cpu: &Cpu,
        parameters: &Parameters,
        workspace: &mut Workspace,
        seed: u64,
        watch: &mut dyn FnMut(usize, Pass),
    ) {
        workspace.assert_fits(self);
        for (i, step) in self.steps.iter().enumerate() {
            let context = Context {
                cpu,
                parameters,
                mode: self.settings.mode,
                seed,
                step: i,
            };
            let mut output = std::mem::take(&mut workspace.values[step.output]);
            step.forward(&context, workspace, &mut output[..self.output_lengths[i]]);
            workspace.values[step.output] = output;
            watch(i, Pass::Forward);
        }
    }

    /// The logits `[n, classes]` of the last forward run.
    pub fn logits<'a>(&self, workspace: &'a Workspace) -> &'a [f32] {
        &workspace.values[self.logits][..self.settings.batch * self.outputs]
    }

    /// The loss of the last forward run, and its gradient by the logits, where [`Plan::backward`] begins. `class_weights` says how much
    /// each class counts in the mean (only their ratios matter); without them all count the same.
    ///
    /// # Panics
    /// If there is not a label for each image and a weight for each class, or the plan is one for inference.
    pub fn loss(
        &self,
        workspace: &mut Workspace,
        labels: &[u32],
        label_smoothing: f32,
        class_weights: Option<&[f32]>,
    ) -> BatchLoss {
        let (logits, gradient) = self.logits_and_gradient(workspace);
        let (loss, correct) = softmax::cross_entropy(
            logits,
            labels,
            self.outputs,
            label_smoothing,
            class_weights,
            gradient,
        );
        BatchLoss { loss, correct }
    }

    /// As [`Plan::loss`], for target probabilities `[n, classes]` in place of labels. With `class_weights`, the mean divides by the number of
    /// images and not by their weight, as in PyTorch's `CrossEntropyLoss` with probabilities: so the size of the weights matters.
    ///
    /// # Panics
    /// If there is not a target for each logit and a weight for each class, or the plan is one for inference.
    pub fn loss_of_targets(
        &self,
        workspace: &mut Workspace,
        targets: &[f32],
        label_smoothing: f32,
        class_weights: Option<&[f32]>,
    ) -> BatchLoss {
        let (logits, gradient) = self.logits_and_gradient(workspace);
        let (loss, correct) = softmax::cross_entropy_of_probabilities(
            logits,
            targets,
            self.outputs,
            label_smoothing,
            class_weights,
            gradient,
        );
        BatchLoss { loss, correct }
    }

    /// As [`Plan::loss`], for a loss of your own. `loss` gets the logits `[n, classes]` of the last forward run and zeros of the same length,
    /// where it writes the gradient of the loss by the logits. Returns what `loss` returns.
    ///
    /// # Panics
    /// If the plan is one for inference.
    pub fn loss_of(
        &self,
        workspace: &mut Workspace,
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> f64 {
        let (logits, gradient) = self.logits_and_gradient(workspace);
        gradient.fill(0.0);
        let loss = loss(logits, gradient);
        softmax::flush(gradient);
        loss
    }

    fn logits_and_gradient<'a>(&self, workspace: &'a mut Workspace) -> (&'a [f32], &'a mut [f32]) {
        self.assert_training();
        let length = self.settings.batch * self.outputs;
        let logits = &workspace.values[self.logits][..length];
        let gradient = &mut workspace.gradients[self.logits_gradient][..length];
        (logits, gradient)
    }

    /// The gradient by the logits, `[n, classes]`, where [`Plan::backward`] begins.
    pub(crate) fn logits_gradient_mut<'a>(&self, workspace: &'a mut Workspace) -> &'a mut [f32] {
        let length = self.settings.batch * self.outputs;
        &mut workspace.gradients[self.logits_gradient][..length]
    }

    /// What held the first NaN or infinity of the last forward run in training: the images, a layer by name, or the loss.
    pub(crate) fn first_not_finite(&self, workspace: &Workspace) -> String {
        let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !is_finite(&workspace.values[0]) {
            return "the input".into();
        }
        let broken = self.steps.iter().enumerate().find(|(i, step)| {
            let output = &workspace.values[step.output][..self.output_lengths[*i]];
            // What a batch normalisation made of its input, where it is not in memory, shows in these.
            let of_batch = match &step.kind {
                Kind::Normalisation(_) => {
                    let own = Statistics::of(&workspace.statistics[*i]);
                    [own.mean, own.variance, own.factor, own.summand].to_vec()
                }
                _ => Vec::new(),
            };
            !is_finite(output) || !of_batch.into_iter().all(is_finite)
        });
        match broken {
            // Of the layers of a step it is the first: the others are activations, which make numbers of numbers.
            Some((_, step)) => format!("layer {}", step.first_layer),
            None => "the loss".into(),
        }
    }

    /// Computes the gradient of every parameter from the gradient of the logits that [`Plan::loss`] or one of its kind left; `seed` is that of the run forward.
    /// Of networks with batch normalisation, [`Plan::update_running_statistics`] belongs to each step of training as well.
    ///
    /// # Panics
    /// If the plan is one for inference, or the workspace belongs to another plan.
    pub fn backward(
        &self,
        cpu: &Cpu,
        parameters: &Parameters,
        workspace: &mut Workspace,
        seed: u64,
    ) {
        self.backward_watched(cpu, parameters, workspace, seed, &mut |_, _| {});
    }

    fn assert_training(&self) {
        let mode = self.settings.mode;
        assert!(mode.trains(), "the plan is none for training");
    }

    /// As [`Plan::backward`]; calls `watch` after each part of a step.
    pub(crate) fn backward_watched(
        &self,
        cpu: &Cpu,
        parameters: &Parameters,
        workspace: &mut Workspace,
        seed: u64,
        watch: &mut dyn FnMut(usize, Pass),
    ) {
        assert!(
            self.settings.mode.goes_back(),
            "the plan is one for inference"
        );
        workspace.assert_fits(self);
        for (i, step) in self.steps.iter().enumerate().rev() {
            let context = Context {
                cpu,
                parameters,
                mode: self.settings.mode,
                seed,
                step: i,
            };
            let mut gradient =
                std::mem::take(&mut workspace.gradients[step.backward.output_gradient]);
            let output_gradient = &mut gradient[..self.output_lengths[i]];
            if let Some(function) = step.backward.own_mask {
                let output = &workspace.values[step.output][..output_gradient.len()];
                activation::backward_in_place(cpu, function, output, output_gradient);
            }
            if let Kind::Convolution(convolution) = &step.kind
                && self.settings.mode.trains()
            {
                match &convolution.joint {
                    Some(joint) => convolution.joint_gradients(
                        &context,
                        step,
                        joint,
                        workspace,
                        output_gradient,
                    ),
                    None => convolution.weight_gradient(&context, step, workspace, output_gradient),
                }
                watch(i, Pass::WeightGradient);
            }
            step.input_gradient(&context, workspace, output_gradient);
            workspace.gradients[step.backward.output_gradient] = gradient;
            watch(i, Pass::InputGradient);
        }
    }
}

impl Step {
    fn forward(&self, context: &Context<'_>, workspace: &mut Workspace, output: &mut [f32]) {
        match &self.kind {
            Kind::Convolution(convolution) => convolution.forward(context, self, workspace, output),
            Kind::Chain(chain) => chain.forward(context, self, workspace, output),
            Kind::MaxPool {
                pooling,
                normalised_by,
            } => pooling::max_forward(context, self, pooling, *normalised_by, workspace, output),
            Kind::AveragePool(pooling) => {
                pooling::average_forward(context, self, pooling, workspace, output)
            }
            Kind::OverTime(pooling) => pooling.forward(context, self, workspace, output),
            Kind::Embedding(embedding) => embedding.forward(context, self, workspace, output),
            Kind::Normalisation(normalisation) => {
                normalisation.forward(context, self, workspace, output)
            }
            Kind::LayerNorm(norm) => norm.forward(context, self, workspace, output),
            Kind::Prelu(slopes) => prelu::forward(context, self, slopes, workspace, output),
            Kind::GroupNorm(norm) => norm.forward(context, self, workspace, output),
            Kind::Scale(scale) => scale.forward(context, self, workspace, output),
            _ => self.forward_elementwise(context, workspace, output),
        }
    }

    fn input_gradient(
        &self,
        context: &Context<'_>,
        workspace: &mut Workspace,
        output_gradient: &[f32],
    ) {
        match &self.kind {
            // Together with that of the weights.
            Kind::Convolution(convolution) if convolution.joint.is_some() => {}
            Kind::Convolution(convolution) => {
                convolution.input_gradient(context, self, workspace, output_gradient)
            }
            Kind::MaxPool { pooling, .. } => {
                pooling::max_backward(context, self, pooling, workspace, output_gradient)
            }
            Kind::AveragePool(pooling) => {
                pooling::average_backward(context, self, pooling, workspace, output_gradient);
            }
            Kind::OverTime(pooling) => pooling.backward(context, self, workspace, output_gradient),
            Kind::Embedding(embedding) => {
                embedding.backward(context, self, workspace, output_gradient);
            }
            Kind::Normalisation(normalisation) => {
                normalisation.backward(context, self, workspace, output_gradient);
            }
            Kind::LayerNorm(norm) => norm.backward(context, self, workspace, output_gradient),
            Kind::Prelu(slopes) => {
                prelu::backward(context, self, slopes, workspace, output_gradient);
            }
            Kind::GroupNorm(norm) => norm.backward(context, self, workspace, output_gradient),
            Kind::Scale(scale) => scale.backward(context, self, workspace, output_gradient),
            _ => self.backward_elementwise(context, workspace, output_gradient),
        }
    }
}
