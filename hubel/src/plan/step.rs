//! The steps of a plan: what is computed, on which slots, with which algorithm.
use std::ops::Range;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::Pass;
use hubel_kernels::group_norm::Groups;
use hubel_kernels::lrn::Lrn;
use hubel_kernels::multiply::Product;
use hubel_kernels::over_time;
use hubel_kernels::pad::Padding;
use hubel_kernels::pool::{self, Pooling};
use hubel_kernels::scale;
use hubel_kernels::selection::Selection;
use hubel_kernels::upsample::Upsampling;

use super::chain::Chain;
use super::convolution::Convolution;
use super::statistics::Statistics;
use crate::network::TimeWindow;

/// One step. It reads the slots `inputs` and writes the slot `output`; these are maps until `slots::assign` replaces them by slots.
pub(crate) struct Step {
    /// The layers it stands for, by name: `0 + 1`.
    pub(crate) name: String,
    /// The first of these.
    pub(crate) first_layer: String,
    /// The nodes of the graph that it stands for, each of which reads the one before; none for a border.
    pub(super) nodes: Vec<usize>,
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
    pub(crate) backward: Backward,
}

impl Step {
    /// What is computed. For a convolution also the algorithm of each pass, or the one that all share.
    pub(crate) fn with_algorithms(&self) -> String {
        let Kind::Convolution(convolution) = &self.kind else {
            return self.kind.summary();
        };
        let passes = &convolution.passes;
        let forward = passes.forward.algorithm();
        let gradients = [
            ("input", passes.algorithm(Pass::InputGradient)),
            ("weight", passes.algorithm(Pass::WeightGradient)),
        ];
        let all_agree = gradients
            .iter()
            .all(|(_, by)| by.is_none_or(|by| by == forward));
        let mut text = forward.to_string();
        for (of, by) in gradients {
            if let (false, Some(by)) = (all_agree, by) {
                text += &format!(", {of} gradient {by}");
            }
        }
        if convolution.joint.is_some() {
            text += ", gradients in one pass";
        }
        format!("{} ({text})", convolution.summary())
    }
}

/// Where the step's gradients come from and go to.
#[derive(Default)]
pub(crate) struct Backward {
    /// Gradient slot of the step's output. Where the gradients of a convolution are [joint](Convolution::joint), it is that of the output of the
    /// batch norm behind it.
    pub(crate) output_gradient: usize,
    /// The step's activation, if no reader of the output applies its derivative.
    pub(crate) own_mask: Option<Activation>,
    /// The input whose gradient replaces the output's gradient in the same memory: a summand whose gradient this step is the first to write, or
    /// the input of a batch norm whose backward pass the convolution before it [computes](Normalisation::gradient_by_writer).
    pub(crate) in_place: Option<usize>,
    /// For each input, where its gradient goes; None for the image.
    pub(crate) inputs: Vec<Option<GradientTarget>>,
}

/// Where the gradient of one input goes.
pub(crate) struct GradientTarget {
    pub(crate) gradient: usize,
    /// Whether another reader of the input has written its share before.
    pub(crate) accumulate: bool,
    /// The activation that made the input, if this step applies its derivative: it is the last to write the gradient.
    pub(crate) mask: Option<Activation>,
    /// The batch norm that made the input, if this step takes that one's sums while it stores the gradient.
    pub(crate) sums: Option<SumsFor>,
}

/// What a step computes.
pub(crate) enum Kind {
    Convolution(Box<Convolution>),
    Pad(Padding),
    MaxPool {
        pooling: Pooling,
        normalised_by: Option<NormalisedBy>,
    },
    AveragePool(Pooling),
    /// Pooling over all times.
    OverTime(Box<OverTime>),
    /// A vector for each token.
    Embedding(Embedding),
    Normalisation(Normalisation),
    Activation(Activation),
    Lrn(Lrn),
    Dropout {
        probability: f32,
        layer: u64,
    },
    /// Convolutions that run together in bands of rows.
    Chain(Box<Chain>),
    /// activation(sum of the inputs)
    Add {
        activation: Activation,
    },
    Concat {
        channels: Vec<usize>,
        pixels: usize,
    },
    LayerNorm(LayerNorm),
    Upsample(Upsampling),
    /// PReLU, with the place of its slopes among the parameters.
    Prelu(Range<usize>),
    GroupNorm(GroupNorm),
    Scale(Scale),
    /// Some channels of the input, in another order.
    Selection(Selection),
    /// The first input times the second.
    Multiply(Product),
}

/// The largest value or the mean of each value of a frame over all times.
pub(crate) struct OverTime {
    /// Whether it is the largest value.
    pub(crate) max: bool,
    pub(crate) maps: over_time::Maps,
    /// For a text, the windows along time between the tokens, the step's second input, and its map.
    pub(crate) windows: Option<Vec<TimeWindow>>,
}

impl OverTime {
    /// How many times of each sample's map count.
    pub(crate) fn lengths<'a>(&'a self, tokens: &'a [f32]) -> impl Fn(usize) -> usize + Sync + 'a {
        let per_sample = tokens.len() / self.maps.samples;
        move |sample| match &self.windows {
            None => self.maps.times,
            Some(windows) => {
                let tokens = &tokens[sample * per_sample..][..per_sample];
                TimeWindow::count_within(windows, tokens).min(self.maps.times)
            }
        }
    }
}

/// A table with a vector for each token.
pub(crate) struct Embedding {
    /// The table, `[vocabulary, size]`.
    pub(crate) weights: Range<usize>,
    /// Length of a vector.
    pub(crate) size: usize,
    /// Tokens of the batch.
    pub(crate) tokens: usize,
}

/// The batch norm before a step, if the step normalises its input on load (training).
#[derive(Clone, Copy)]
pub(crate) struct NormalisedBy {
    /// The step of the batch norm. Its statistics hold factors and summands.
    pub(crate) step: usize,
    /// The activation after it.
    pub(crate) activation: Activation,
}

impl NormalisedBy {
    /// `normalise + relu`
    pub(super) fn summary(&self) -> String {
        with_activation(vec!["normalise".into()], self.activation)
    }
}

/// The batch norm whose sums a pass takes while it stores.
#[derive(Clone)]
pub(crate) struct SumsFor {
    /// The step of the batch norm. The workspace keeps the sums under its index.
    pub(crate) step: usize,
    /// The parameters that are subtracted before summing.
    pub(crate) origin: Range<usize>,
}

/// `conv + relu`
pub(super) fn with_activation(mut parts: Vec<String>, activation: Activation) -> String {
    if activation != Activation::Identity {
        parts.push(format!("{activation:?}").to_lowercase());
    }
    parts.join(" + ")
}

/// Layer norm, with the places of its tensors among the parameters.
pub(crate) struct LayerNorm {
    pub(crate) epsilon: f32,
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
}

/// Group norm, with the places of its tensors among the parameters.
pub(crate) struct GroupNorm {
    pub(crate) groups: Groups,
    pub(crate) epsilon: f32,
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
}

/// A factor and perhaps a summand for each channel, with their places among the parameters.
pub(crate) struct Scale {
    /// Values of the map.
    pub(crate) length: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
}

/// A batch norm with what was fused to it: `activation(normalised + add)`.
#[derive(Clone)]
pub(crate) struct Normalisation {
    pub(crate) channels: usize,
    pub(crate) epsilon: f32,
    pub(crate) momentum: f32,
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
    pub(crate) running_mean: Range<usize>,
    pub(crate) running_variance: Range<usize>,
    /// Whether the running statistics are used, and none of the parameters changes.
    pub(crate) is_running: bool,
    /// Whether the step's last input is a map to be added before the activation.
    pub(crate) add: bool,
    pub(crate) activation: Activation,
    /// Number of parts of the sums that the convolution before it takes. None if the sums take a separate pass.
    pub(crate) forward_parts: Option<usize>,
    /// Number of parts of the sums that the convolution behind it takes of the output's gradient.
    pub(crate) backward_parts: Option<usize>,
    /// Whether the step behind it normalises on load. The output then has the memory of the input.
    pub(crate) by_reader: bool,
    /// Whether the convolution before it computes the gradient of the input, chunk by chunk, from the gradient of the output.
    pub(crate) gradient_by_writer: bool,
}

impl Normalisation {
    /// Whether the normalised value follows from the output wherever the activation's derivative is not 0.
    pub(super) fn follows_from_output(&self) -> bool {
        use Activation::{Identity, Relu, Relu6};
        !self.add && matches!(self.activation, Identity | Relu | Relu6)
    }

    /// Floats of the sums that convolutions take. Forward and backward use the same memory.
    fn sums_len(&self) -> usize {
        let parts = self.forward_parts.max(self.backward_parts).unwrap_or(0);
        2 * self.channels * parts
    }
}

impl Kind {
    /// The activation applied to what the step stores.
    pub(crate) fn activation(&self) -> Activation {
        match self {
            Self::Convolution(convolution) => convolution.activation,
            Self::Normalisation(normalisation) => normalisation.activation,
            Self::Add { activation } => *activation,
            _ => Activation::Identity,
        }
    }

    /// The weights with decay that it trains.
    pub(crate) fn weights(&self) -> Option<Range<usize>> {
        match self {
            Self::Convolution(convolution) => Some(convolution.tensors.weight.clone()),
            Self::Embedding(embedding) => Some(embedding.weights.clone()),
            _ => None,
        }
    }

    /// The inputs that are only added. Their gradient is the output's gradient.
    pub(crate) fn summands(&self, inputs: usize) -> Range<usize> {
        match self {
            Self::Add { .. } => 0..inputs,
            Self::Normalisation(Normalisation { add: true, .. }) => 1..inputs,
            _ => 0..0,
        }
    }

    /// Floats of scratch memory.
    pub(crate) fn scratch(&self) -> usize {
        match self {
            Self::Convolution(step) => {
                let joint = step
                    .joint
                    .as_ref()
                    .map_or(0, |joint| joint.pass.scratch_len());
                let folding = step.folded.as_ref().map_or(0, |_| step.folding_scratch());
                step.passes.scratch().max(joint).max(folding)
            }
            Self::Chain(chain) => chain.scratch(),
            Self::GroupNorm(norm) => norm.groups.scratch_len(),
            Self::Scale(step) => scale::scratch_len(step.length, step.weight.len()),
            _ => 0,
        }
    }

    /// Floats of the weights packed for the forward pass, or folded where they are not packed.
    pub(crate) fn packed_forward(&self) -> usize {
        match self {
            Self::Convolution(step) => step.packed_forward(),
            Self::Chain(chain) => chain.packed_forward(),
            _ => 0,
        }
    }

    /// Floats of the weights packed for the input gradient.
    pub(crate) fn packed_input_gradient(&self) -> usize {
        match self {
            Self::Convolution(step) => {
                let pass = step.passes.input_gradient.as_ref();
                pass.map_or(0, |pass| pass.packed_len())
            }
            _ => 0,
        }
    }

    /// Elements of the index of the largest value of each window.
    pub(crate) fn index_len(&self) -> usize {
        match self {
            Self::MaxPool { pooling, .. } => pooling.window().lengths()[1],
            Self::OverTime(step) if step.max => step.maps.samples * step.maps.values,
            _ => 0,
        }
    }

    /// Elements of a map that a convolution pools. Each has a byte that says which pixel of its window won.
    pub(crate) fn winners_len(&self) -> usize {
        match self {
            Self::Convolution(step) if step.fusions.pooled => step.geometry.pooled_len(),
            _ => 0,
        }
    }

    pub(crate) fn index_bytes(&self) -> usize {
        self.index_len() * size_of::<pool::Index>() + self.winners_len() * size_of::<pool::Winner>()
    }

    /// What is computed, without the algorithms: `conv + folded batch norm + add + relu + max pool`.
    pub(crate) fn summary(&self) -> String {
        let plain = match self {
            Self::Convolution(step) => return step.summary(),
            Self::Chain(chain) => return chain.to_string(),
            Self::Pad(_) => "pad".to_string(),
            Self::MaxPool { normalised_by, .. } => {
                let normalised = normalised_by.map(|by| by.summary() + " + ");
                normalised.unwrap_or_default() + "max pool"
            }
            Self::AveragePool(_) => "average pool".into(),
            Self::OverTime(step) if step.max => "max over time".into(),
            Self::OverTime(_) => "average over time".into(),
            Self::Embedding(_) => "embedding".into(),
            Self::Normalisation(step) if step.by_reader && step.is_running => {
                return "batch norm factors".into();
            }
            Self::Normalisation(step) if step.by_reader => return "batch norm statistics".into(),
            Self::Normalisation(_) => "batch norm".into(),
            Self::Activation(activation) => format!("{activation:?}").to_lowercase(),
            Self::Lrn(_) => "local response norm".into(),
            Self::Dropout { probability, .. } => format!("dropout {probability}"),
            Self::Add { .. } => "add".into(),
            Self::Concat { .. } => "concat".into(),
            Self::LayerNorm(_) => "layer norm".into(),
            Self::Upsample(_) => "upsample".into(),
            Self::Prelu(_) => "prelu".into(),
            Self::GroupNorm(_) => "group norm".into(),
            Self::Scale(_) => "scale".into(),
            Self::Selection(_) => "select channels".into(),
            Self::Multiply(_) => "multiply".into(),
        };
        let mut parts = vec![plain];
        if let Self::Normalisation(step) = self {
            parts.extend(step.add.then(|| "add".into()));
        }
        with_activation(parts, self.activation())
    }

    /// Floats of the sums that convolutions take for a batch norm.
    pub(crate) fn sums_len(&self) -> usize {
        match self {
            Self::Normalisation(normalisation) => normalisation.sums_len(),
            _ => 0,
        }
    }

    /// Whether the step writes no map: the output has the memory of the input.
    pub(super) fn output_is_input(&self) -> bool {
        matches!(self, Self::Normalisation(norm) if norm.by_reader)
    }

    /// Floats of a batch norm's [`Statistics`], or of the folded bias.
    pub(crate) fn statistics_len(&self) -> usize {
        match self {
            Self::Normalisation(normalisation) => Statistics::len(normalisation.channels),
            Self::Convolution(step) => step.folded_bias(),
            Self::Chain(chain) => chain.folded_biases(),
            _ => 0,
        }
    }
}
