//! The plan: a network compiled for one batch size into a list of steps over numbered slots of memory.
//!
//! [`Plan::compile`] settles everything that can be settled before the first image: shapes, fusions, algorithms, buffers and the bytes
//! they need. A run allocates nothing and cannot fail. The plan is data; `run.rs` walks it.
//!
//! Vocabulary: a *map* is what one step writes for a whole batch; a *slot* is the memory that maps take turns in.
mod chain;
mod fuse;
mod report;
mod slots;
mod step;

use std::fmt;

use hubel_kernels::Cpu;

use crate::network::Graph;
use crate::parameters::Parameters;
use crate::{Result, Shape, memory};

pub(crate) use chain::Chain;
pub use report::{PlanMemory, PlanReport, StepReport};
pub(crate) use step::{
    Convolution, GradientTarget, Kind, Normalisation, NormalisedBy, Step, SumsFor,
};

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forward and backward: every map is kept until its gradient has been used.
    Training,
    /// Forward alone: batch normalisation is folded into weights, maps share memory as soon as their last reader is done.
    Inference,
}

/// How a plan may compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// Training or inference.
    pub mode: Mode,
    /// Images in a batch.
    pub batch: usize,
    /// No Winograd: every product of the direct convolution is computed.
    pub precise: bool,
    /// Whether neighbouring operations become one step; off only to test and to explain.
    pub fuse: bool,
}

impl PlanSettings {
    /// The fastest training plan for `batch` images.
    pub fn training(batch: usize) -> Self {
        Self {
            mode: Mode::Training,
            batch,
            precise: false,
            fuse: true,
        }
    }

    /// The fastest inference plan for `batch` images.
    pub fn inference(batch: usize) -> Self {
        Self {
            mode: Mode::Inference,
            ..Self::training(batch)
        }
    }
}

/// A network compiled for one batch size; see the [module](self).
pub struct Plan {
    pub(crate) settings: PlanSettings,
    pub(crate) input: Shape,
    pub(crate) outputs: usize,
    pub(crate) steps: Vec<Step>,
    /// Floats of each value slot. Slot 0 is the image.
    pub(crate) values: Vec<usize>,
    /// Floats of each gradient slot.
    pub(crate) gradients: Vec<usize>,
    /// The value slot of the logits.
    pub(crate) logits: usize,
    /// The gradient slot of the logits.
    pub(crate) logits_gradient: usize,
    /// Floats that the hungriest step needs besides.
    pub(crate) scratch: usize,
    pub(crate) parameters: usize,
    /// Floats of the map that each step writes (its slot may be longer).
    pub(crate) output_lengths: Vec<usize>,
}

impl Plan {
    /// Compiles `graph` for `cpu`.
    ///
    /// # Errors
    /// [`Error::Memory`] where the plan needs more memory than the machine has.
    pub fn compile(
        graph: &Graph,
        parameters: &Parameters,
        cpu: &Cpu,
        settings: PlanSettings,
    ) -> Result<Self> {
        let lowered = fuse::lower(graph, parameters, cpu, settings);
        let mut steps = lowered.steps;
        let training = settings.mode == Mode::Training;
        if settings.mode == Mode::Inference && settings.fuse {
            steps = chain::join(cpu, steps, lowered.maps.len());
        }
        if training {
            fuse::plan_backward(&mut steps, lowered.maps.len(), settings.fuse);
        }
        let output_lengths = steps.iter().map(|step| lowered.maps[step.output]).collect();
        let slots = slots::assign(&mut steps, &lowered.maps, lowered.logits, training);
        let plan = Self {
            settings,
            input: graph.nodes[0].shape,
            outputs: graph.output().shape.len(),
            scratch: steps
                .iter()
                .map(|step| step.kind.scratch(training))
                .max()
                .unwrap_or(0),
            steps,
            values: slots.values,
            gradients: slots.gradients,
            logits: slots.logits,
            logits_gradient: slots.logits_gradient,
            parameters: parameters.values().len(),
            output_lengths,
        };
        memory::check(plan.bytes(), settings.batch)?;
        Ok(plan)
    }

    /// Images in a batch.
    pub fn batch(&self) -> usize {
        self.settings.batch
    }

    /// The shape of an image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Logits of one image.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes that a run takes: maps, gradients, packed weights, scratch, and (in training) the gradient of the weights and the
    /// optimizer's memory.
    pub fn bytes(&self) -> usize {
        self.memory().bytes
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}
