//! The memory of one run: everything a plan reads and writes, taken once.
use hubel_kernels::{Buffer, pool};

use crate::plan::{Mode, Plan};

/// The memory of one run of a [`Plan`].
pub struct Workspace {
    /// One buffer for each value slot; slot 0 is the image `[n, h, w, c]`.
    pub(crate) values: Vec<Buffer>,
    /// One buffer for each gradient slot (training).
    pub(crate) gradients: Vec<Buffer>,
    /// The gradient of all parameters, laid out like them (training).
    pub(crate) parameter_gradient: Buffer,
    /// For each step: weights as its kernels want them.
    pub(crate) packed: Vec<Packed>,
    /// For each step: which of each window was the largest.
    pub(crate) indices: Vec<Vec<pool::Index>>,
    /// For each step that pools the output of its convolution: the same, a byte each (training).
    pub(crate) winners: Vec<Vec<pool::Winner>>,
    /// For each step: the batch's mean, variance, factor and summand, or the bias after folding.
    pub(crate) statistics: Vec<Buffer>,
    /// For each batch normalisation: the sums that the convolutions before and behind it take.
    pub(crate) sums: Vec<Buffer>,
    pub(crate) scratch: Buffer,
}

/// The weights of a step, packed for its kernels.
#[derive(Default)]
pub(crate) struct Packed {
    pub(crate) forward: Buffer,
    pub(crate) input_gradient: Buffer,
}

impl Workspace {
    /// Takes the memory that `plan` needs.
    pub fn new(plan: &Plan) -> Self {
        let training = plan.settings.mode == Mode::Training;
        let buffers = |lengths: &[usize]| {
            lengths
                .iter()
                .map(|length| Buffer::zeros(*length))
                .collect()
        };
        Self {
            values: buffers(&plan.values),
            gradients: buffers(&plan.gradients),
            parameter_gradient: Buffer::zeros(if training { plan.parameters } else { 0 }),
            packed: plan
                .steps
                .iter()
                .map(|step| Packed {
                    forward: Buffer::zeros(step.kind.packed_forward()),
                    input_gradient: Buffer::zeros(if training {
                        step.kind.packed_input_gradient()
                    } else {
                        0
                    }),
                })
                .collect(),
            indices: plan
                .steps
                .iter()
                .map(|step| vec![Default::default(); step.kind.index_len()])
                .collect(),
            winners: plan
                .steps
                .iter()
                .map(|step| vec![0; if training { step.kind.winners_len() } else { 0 }])
                .collect(),
            statistics: plan
                .steps
                .iter()
                .map(|step| Buffer::zeros(step.kind.statistics_len()))
                .collect(),
            sums: plan
                .steps
                .iter()
                .map(|step| Buffer::zeros(step.kind.sums_len()))
                .collect(),
            scratch: Buffer::zeros(plan.scratch),
        }
    }

    /// The images of the batch, `[n, h, w, c]`, to be filled before a run.
    pub fn images_mut(&mut self) -> &mut [f32] {
        &mut self.values[0]
    }

    /// The gradient of the loss by each parameter after a backward run, laid out like the parameters.
    pub fn parameter_gradient(&self) -> &[f32] {
        &self.parameter_gradient
    }
}
