//! The memory of a plan's runs, allocated once.
use hubel_kernels::{Buffer, pool};

use crate::identity::Identity;
use crate::parameters::Parameters;
use crate::plan::{Kind, Plan};

/// The memory of the runs of a [`Plan`].
///
/// It stores which plan it fits and which weights are packed in it. [`Plan::forward`] packs the weights if they have changed, and panics if the
/// workspace belongs to another plan.
#[derive(Default)]
pub struct Workspace {
    /// The plan that it fits.
    plan: Option<Identity>,
    /// The parameters whose weights are packed.
    packed: Option<Identity>,
    /// One buffer for each value slot; slot 0 is the image `[n, h, w, c]`.
    pub(crate) values: Vec<Buffer>,
    /// One buffer for each gradient slot (training, explanation).
    pub(crate) gradients: Vec<Buffer>,
    /// The gradient of all parameters, laid out like them (training).
    pub(crate) parameter_gradient: Buffer,
    /// For each step: the packed weights of its forward kernel.
    pub(crate) packed_forward: Vec<Buffer>,
    /// For each step: the packed weights of its input gradient kernel (training, explanation).
    pub(crate) packed_input_gradient: Vec<Buffer>,
    /// For each step: the index of the largest value of each window.
    pub(crate) indices: Vec<Vec<pool::Index>>,
    /// For each convolution with fused pooling: the same, one byte each (training).
    pub(crate) winners: Vec<Vec<pool::Winner>>,
    /// For each step: a batch norm's [`Statistics`](crate::plan::Statistics), or the bias after folding.
    pub(crate) statistics: Vec<Buffer>,
    /// For each batch norm: the sums that the convolutions before and after it compute.
    pub(crate) sums: Vec<Buffer>,
    pub(crate) scratch: Buffer,
}

impl Workspace {
    /// Allocates the memory that `plan` needs.
    pub fn new(plan: &Plan) -> Self {
        let mut workspace = Self::default();
        workspace.fit(plan);
        workspace
    }

    /// Makes it equal to [`Workspace::new`] for this plan. Allocates only buffers that are too short.
    pub fn fit(&mut self, plan: &Plan) {
        (self.plan, self.packed) = (Some(plan.identity), None);
        let mode = plan.settings.mode;
        let in_training = |length| if mode.trains() { length } else { 0 };
        let for_backward = |length| if mode.goes_back() { length } else { 0 };
        let kinds = || plan.steps.iter().map(|step| &step.kind);
        let reset = |buffers: &mut Vec<Buffer>, lengths: &[usize]| {
            buffers.resize_with(lengths.len(), Buffer::default);
            for (buffer, length) in buffers.iter_mut().zip(lengths) {
                buffer.reset(*length);
            }
        };
        let of_steps = |buffers: &mut Vec<Buffer>, length: &dyn Fn(&Kind) -> usize| {
            reset(buffers, &kinds().map(length).collect::<Vec<_>>());
        };
        reset(&mut self.values, &plan.values);
        reset(&mut self.gradients, &plan.gradients);
        self.parameter_gradient.reset(in_training(plan.parameters));
        of_steps(&mut self.packed_forward, &Kind::packed_forward);
        of_steps(&mut self.packed_input_gradient, &|kind| {
            for_backward(kind.packed_input_gradient())
        });
        of_steps(&mut self.statistics, &Kind::statistics_len);
        of_steps(&mut self.sums, &Kind::sums_len);
        self.indices.resize_with(plan.steps.len(), Vec::new);
        self.winners.resize_with(plan.steps.len(), Vec::new);
        for (i, kind) in kinds().enumerate() {
            let (indices, winners) = (kind.index_len(), kind.winners_len());
            self.indices[i].resize(for_backward(indices), Default::default());
            self.winners[i].resize(for_backward(winners), Default::default());
        }
        self.scratch.reset(plan.scratch);
    }

    /// Whether it belongs to this plan.
    pub(crate) fn fits(&self, plan: &Plan) -> bool {
        self.plan == Some(plan.identity)
    }

    /// # Panics
    /// If it belongs to another plan.
    pub(crate) fn assert_fits(&self, plan: &Plan) {
        assert!(
            self.fits(plan),
            "the workspace belongs to another plan; make one with Workspace::new, or call Workspace::fit"
        );
    }

    /// Whether the current weights of `parameters` are packed.
    pub(crate) fn is_packed(&self, parameters: &Parameters) -> bool {
        self.packed == Some(parameters.identity())
    }

    /// Records that the current weights of `parameters` are packed.
    pub(crate) fn set_packed(&mut self, parameters: &Parameters) {
        self.packed = Some(parameters.identity());
    }

    /// The images of the batch, `[n, h, w, c]`; fill them before a run.
    pub fn images_mut(&mut self) -> &mut [f32] {
        &mut self.values[0]
    }

    /// The gradient of the loss by each parameter, laid out like the parameters; valid after a backward run.
    pub fn parameter_gradient(&self) -> &[f32] {
        &self.parameter_gradient
    }
}

#[cfg(test)]
mod tests {
    use hubel_kernels::Cpu;

    use super::*;
    use crate::{Network, Parameters, PlanSettings, Result, Shape};

    #[test]
    fn a_workspace_that_fits_another_plan_is_as_good_as_a_new_one() -> Result<()> {
        let network = Network::parse(
            "conv(20, padding=1)-relu-pool-conv(8, bias=false)-batchnorm-relu-flatten-fc(classes)",
        )?;
        let graph = network.graph(Shape::new(12, 12, 3), 4)?;
        let parameters = Parameters::initial(&graph, 1).unwrap();
        let cpu = Cpu::best(2);
        let mut workspace = Workspace::default();
        for batch in [7, 2, 9, 7] {
            let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(batch))?;
            let gradient = |workspace: &mut Workspace| {
                for (i, value) in workspace.images_mut().iter_mut().enumerate() {
                    *value = (i * 37 % 101) as f32 / 50.0 - 1.0;
                }
                plan.pack(&cpu, &parameters, workspace);
                plan.forward(&cpu, &parameters, workspace, 5);
                plan.loss(workspace, &vec![1; batch], 0.0, None);
                plan.backward(&cpu, &parameters, workspace, 5);
                workspace.parameter_gradient().to_vec()
            };
            workspace.fit(&plan);
            assert_eq!(
                gradient(&mut workspace),
                gradient(&mut Workspace::new(&plan))
            );
        }
        Ok(())
    }
}
