//! The plan: a network compiled for one batch size into a list of steps over numbered slots of memory.
//!
//! [`Plan::compile`] settles everything that can be settled before the first image: shapes, fusions, algorithms, buffers and the bytes
//! they need. A run cannot fail. It takes no memory but for the sums by channel of a batch norm: in training, and while changed weights are packed. The plan is data.
//!
//! Vocabulary: a *map* is what one step writes for a whole batch; a *slot* is the memory that maps take turns in.
//!
//! [`Predictor`](crate::Predictor) and [`Trainer`](crate::Trainer) make and run plans. Whoever needs another loop runs one:
//!
//! ```
//! use hubel::{Cpu, Model, Network, Parameters, Plan, PlanSettings, Preparation, Shape, Workspace};
//!
//! # let preparation = Preparation::unmeasured(Shape::new(16, 16, 3), Default::default());
//! # let (images, labels) = (vec![0.5; 4 * 16 * 16 * 3], [0, 1, 1, 0]);
//! let network = Network::parse("conv(8, padding=same)-relu-globalavgpool-linear(classes)")?;
//! let graph = network.graph(Shape::new(16, 16, 3), 2)?;
//! let mut parameters = Parameters::initial(&graph, 1)?;
//! let cpu = Cpu::best(Cpu::available_threads());
//! let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(4))?;
//! let mut workspace = Workspace::new(&plan);
//! for step in 0..10 {
//!     workspace.images_mut().copy_from_slice(&images); // [n, h, w, c]
//!     plan.forward(&cpu, &parameters, &mut workspace, step); // Packs the weights if they have changed.
//!     println!("loss {}", plan.loss(&mut workspace, &labels, 0.0, None).loss);
//!     plan.backward(&cpu, &parameters, &mut workspace, step);
//!     plan.update_running_statistics(&mut parameters, &workspace);
//!     for (value, gradient) in parameters.values_mut().iter_mut().zip(workspace.parameter_gradient()) {
//!         *value -= 0.1 * gradient;
//!     }
//! }
//! let model = Model::new(network, vec!["cat".into(), "dog".into()], preparation, parameters)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod backward;
mod chain;
mod convolution;
mod fuse;
mod lower;
mod report;
mod slots;
mod statistics;
mod step;

use std::fmt;

use hubel_kernels::Cpu;

use crate::identity::Identity;
use crate::network::{Graph, Node, Operation};
use crate::parameters::Parameters;
use crate::{Error, Result, Shape, memory};

pub(crate) use chain::Chain;
pub(crate) use convolution::{Convolution, Folded, Joint};
pub(crate) use report::in_short;
pub use report::{PlanMemory, PlanReport, StepReport};
pub(crate) use statistics::Statistics;
pub(crate) use step::{
    Embedding, GradientTarget, GroupNorm, Kind, LayerNorm, Normalisation, NormalisedBy, OverTime,
    Scale, Step, SumsFor,
};

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Forward and backward: every map is kept until its gradient has been used.
    Training,
    /// Forward alone: batch normalisation is folded into weights, maps share memory as soon as their last reader is done.
    Inference,
    /// Forward as in inference, then backward to the image: the map of each layer and the gradient of each map stay in memory, to be
    /// looked at. Nothing is fused. Parameters get no gradient.
    Explanation,
}

impl Mode {
    /// Whether batch normalisation takes the statistics of the batch, dropout drops, and parameters get a gradient.
    pub(crate) fn trains(self) -> bool {
        self == Self::Training
    }

    /// Whether there is a run backward.
    pub(crate) fn goes_back(self) -> bool {
        self != Self::Inference
    }
}

/// How a plan may compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// What the plan is for.
    pub mode: Mode,
    /// Images in a batch.
    pub batch: usize,
    /// No Winograd: every product of the direct convolution is computed.
    pub precise: bool,
    /// Whether neighbouring operations become one step; off only to test and to explain.
    pub fuse: bool,
    /// The node of the graph whose output is given in place of the image, see [`Graph::is_passage`]; 0, the image itself, unless the layers up to it
    /// are frozen. Their weights are neither read nor changed.
    pub after: usize,
    /// Whether batch normalisations use their running statistics in training too, and stay as they are, scales and shifts included. The statistics of a
    /// few images, or of other pictures, would spoil them.
    pub running_statistics: bool,
}

impl PlanSettings {
    /// The fastest training plan for `batch` images.
    pub fn training(batch: usize) -> Self {
        Self {
            mode: Mode::Training,
            batch,
            precise: false,
            fuse: true,
            after: 0,
            running_statistics: false,
        }
    }

    /// The fastest inference plan for `batch` images.
    pub fn inference(batch: usize) -> Self {
        Self {
            mode: Mode::Inference,
            ..Self::training(batch)
        }
    }

    /// The plan that keeps every map of `batch` images and its gradient.
    pub fn explanation(batch: usize) -> Self {
        Self {
            mode: Mode::Explanation,
            fuse: false,
            ..Self::training(batch)
        }
    }
}

/// A network compiled for one batch size; see the [module](self).
pub struct Plan {
    pub(crate) identity: Identity,
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
    /// The slots of the maps of the graph's nodes, in their order ([`Mode::Explanation`], else none).
    pub(crate) nodes: Vec<NodeSlots>,
}

/// Where the output of a graph's node lies, and its gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSlots {
    pub(crate) value: usize,
    pub(crate) gradient: usize,
    /// Floats of one image's map.
    pub(crate) length: usize,
}

impl Plan {
    /// Compiles `graph` for `cpu`.
    ///
    /// # Errors
    /// [`Error::Memory`] where the plan needs more memory than the machine has.
    ///
    /// # Panics
    /// If it is to begin [after](PlanSettings::after) a node that is no passage.
    pub fn compile(
        graph: &Graph,
        parameters: &Parameters,
        cpu: &Cpu,
        settings: PlanSettings,
    ) -> Result<Self> {
        if settings.batch == 0 {
            let problem = "a batch of 0 is none; give at least 1".to_owned();
            return Err(Error::Settings { problem });
        }
        assert!(graph.is_passage(settings.after), "others are read past it");
        let given = &graph.nodes[settings.after..];
        memory::check(least_bytes(given, settings.batch), settings.batch)?;
        let settings = PlanSettings {
            fuse: settings.fuse && settings.mode != Mode::Explanation,
            ..settings
        };
        let lowered = lower::lower(graph, parameters, cpu, settings)?;
        let (mut steps, maps) = (lowered.steps, lowered.maps.len());
        if settings.fuse {
            steps = fuse::fuse(graph, cpu, settings, steps, maps);
        }
        if settings.fuse && settings.mode == Mode::Inference {
            steps = chain::join(cpu, steps, maps);
        }
        if settings.mode.goes_back() {
            backward::plan(&mut steps, maps, cpu, settings);
        }
        let output_lengths = steps.iter().map(|step| lowered.maps[step.output]).collect();
        let slots = slots::assign(&mut steps, &lowered.maps, lowered.logits, settings.mode);
        let nodes = match settings.mode {
            Mode::Explanation => (lowered.map_of.iter().zip(given))
                .map(|(map, node)| NodeSlots {
                    value: slots.value_of[*map],
                    gradient: slots.gradient_of[*map].expect("every map has a gradient"),
                    length: node.shape.len(),
                })
                .collect(),
            _ => Vec::new(),
        };
        let plan = Self {
            identity: Identity::new(),
            settings,
            input: given[0].shape,
            outputs: graph.output().shape.len(),
            scratch: steps
                .iter()
                .map(|step| step.kind.scratch())
                .max()
                .unwrap_or(0),
            steps,
            values: slots.values,
            gradients: slots.gradients,
            logits: slots.value_of[lowered.logits],
            logits_gradient: slots.gradient_of[lowered.logits].unwrap_or(0),
            parameters: parameters.values().len(),
            output_lengths,
            nodes,
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

/// What any plan needs at least: the images; of the other maps, since steps that are joined leave some out, no more than all but a part of
/// the largest; and the tables of where a kernel's taps read. Known before tables are made that would themselves not fit.
fn least_bytes(nodes: &[Node], batch: usize) -> usize {
    const PART: usize = 64;
    let bytes = |shape: Shape| {
        let floats = batch.checked_mul(shape.len())?;
        floats.checked_mul(size_of::<f32>())
    };
    let maps = || nodes.iter().map(|node| bytes(node.shape));
    // The sum of all maps can be counted, or nothing that follows can.
    let sum = maps().try_fold(0, |sum: usize, map| sum.checked_add(map?));
    let (Some(_), Some(images)) = (sum, bytes(nodes[0].shape)) else {
        return usize::MAX;
    };
    let largest = maps().flatten().max().unwrap_or(0);
    let tables = nodes.iter().map(table_bytes).max().unwrap_or(0);
    images.max(largest / PART).max(tables)
}

/// Bytes of a table with an entry for each tap of a convolution's kernel at each row or column.
fn table_bytes(node: &Node) -> usize {
    let Shape {
        time,
        height,
        width,
        ..
    } = node.shape;
    let of_axis = |size: usize, kernel: usize| {
        let entries = size.saturating_mul(kernel);
        entries.saturating_mul(size_of::<i32>())
    };
    match &node.operation {
        Operation::Conv(conv) => {
            of_axis(height, conv.kernel[0]).max(of_axis(width, conv.kernel[1]))
        }
        Operation::TimeConv(conv) => of_axis(time, conv.window.kernel),
        _ => 0,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

#[cfg(test)]
mod generated;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn what_no_machine_holds_and_batches_of_nothing_are_refused_at_once() -> Result<()> {
        let network = Network::parse("conv(8, padding=100000000)-globalavgpool-fc(classes)")?;
        let (cpu, shape) = (Cpu::best(1), Shape::new(8, 8, 1));
        let graph = network.graph(shape, 2)?;
        let parameters = Parameters::initial(&graph, 1)?;
        for batch in [1, 1 << 20, usize::MAX] {
            let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(batch));
            assert!(matches!(plan, Err(Error::Memory { .. })));
        }
        let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::inference(0));
        assert!(matches!(plan, Err(Error::Settings { .. })));
        Ok(())
    }

    #[test]
    fn inputs_and_kernels_that_take_long_tables_are_refused_at_once() -> Result<()> {
        let cpu = Cpu::best(1);
        let network = Network::parse("conv(1, kernel=(1,3))-globalavgpool-fc(classes)")?;
        for width in [1 << 31, 1 << 40] {
            let error = network.graph(Shape::new(1, width, 3), 2).unwrap_err();
            assert!(
                error.to_string().contains("larger than any picture"),
                "{error}"
            );
        }
        // A table of 16 TB: where each of a million taps reads for each of four million columns.
        let text = "conv(1, kernel=(1,1000000), padding=(0,0,0,4000000))-globalavgpool-fc(classes)";
        let graph = Network::parse(text)?.graph(Shape::new(1, 1_000_000, 1), 2)?;
        let parameters = Parameters::initial(&graph, 1)?;
        let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::inference(1));
        assert!(matches!(plan, Err(Error::Memory { .. })));
        Ok(())
    }

    #[test]
    fn weights_that_no_machine_holds_are_refused_before_they_are_drawn() -> Result<()> {
        if memory::available().is_none() {
            return Ok(()); // Where the system does not say what is free, a petabyte might be.
        }
        // 2^48 weights, a petabyte.
        let network = Network::parse("flatten-linear(4294967296)")?;
        let graph = network.graph(Shape::new(256, 256, 1), 2)?;
        let error = Parameters::initial(&graph, 1).unwrap_err();
        assert!(matches!(error, Error::Weights { .. }), "{error}");
        Ok(())
    }
}
