//! The steps of a plan: what is computed, on which slots, with which algorithm.
use std::ops::Range;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::Pass;
use hubel_kernels::pad::Padding;
use hubel_kernels::pool::{self, Pooling};

use super::chain::Chain;
use super::convolution::Convolution;
use super::statistics::Statistics;

/// One step: reads the slots `inputs`, writes the slot `output`.
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
    /// What is computed, and of a convolution by which algorithm in each pass, or by which one where all agree.
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
    /// Gradient slot of the step's output; where the gradients of a convolution are [joint](Convolution::joint), of the output of the
    /// batch normalisation behind it.
    pub(crate) output_gradient: usize,
    /// An activation of this step whose derivative no reader of the output has applied.
    pub(crate) own_mask: Option<Activation>,
    /// The input whose gradient replaces that of the output in the same memory. It is a summand that no other reader has reached yet, or what
    /// is normalised, where the convolution before it [computes that gradient](Normalisation::gradient_by_writer).
    pub(crate) in_place: Option<usize>,
    /// For each input: where its gradient goes; none for the image.
    pub(crate) inputs: Vec<Option<GradientTarget>>,
}

/// Where the gradient of one input goes.
pub(crate) struct GradientTarget {
    pub(crate) gradient: usize,
    /// Whether another reader has written a share already.
    pub(crate) accumulate: bool,
    /// The derivative of the activation that made the input, to be applied by this step since it is the last to write.
    pub(crate) mask: Option<Activation>,
    /// The batch normalisation that made the input, if its sums are taken while the gradient is stored.
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
    Normalisation(Normalisation),
    Activation(Activation),
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
}

/// The batch normalisation of a step's input, if the step does it while it reads (training).
#[derive(Clone, Copy)]
pub(crate) struct NormalisedBy {
    /// Its step, whose statistics hold what to do.
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

/// The batch normalisation for which a pass sums what it stores.
#[derive(Clone)]
pub(crate) struct SumsFor {
    /// Its step, under which the sums lie.
    pub(crate) step: usize,
    /// The parameters about which they are taken.
    pub(crate) origin: Range<usize>,
}

/// `conv + relu`
pub(super) fn with_activation(mut parts: Vec<String>, activation: Activation) -> String {
    if activation != Activation::Identity {
        parts.push(format!("{activation:?}").to_lowercase());
    }
    parts.join(" + ")
}

/// A batch normalisation over `channels`, with what was fused to it: `activation(normalised + add)`.
#[derive(Clone)]
pub(crate) struct Normalisation {
    pub(crate) channels: usize,
    pub(crate) epsilon: f32,
    pub(crate) momentum: f32,
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
    pub(crate) running_mean: Range<usize>,
    pub(crate) running_variance: Range<usize>,
    /// Whether the running statistics are used, and everything stays as it is.
    pub(crate) is_running: bool,
    /// Whether the step's last input is a map to be added before the activation.
    pub(crate) add: bool,
    pub(crate) activation: Activation,
    /// Parts of the sums that the convolution before it takes while it stores the input; none if they take a pass of their own.
    pub(crate) forward_parts: Option<usize>,
    /// Parts of those that the convolution behind it takes while it stores the gradient of the output.
    pub(crate) backward_parts: Option<usize>,
    /// Whether the convolution behind it normalises while it reads: the output is then in memory as the input.
    pub(crate) by_reader: bool,
    /// Whether the convolution before it makes the gradient of the input where it reads it, from that of the output.
    pub(crate) gradient_by_writer: bool,
}

impl Normalisation {
    /// Whether what was normalised is a linear function of the output where the activation's derivative is not 0.
    pub(super) fn follows_from_output(&self) -> bool {
        use Activation::{Identity, Relu, Relu6};
        !self.add && matches!(self.activation, Identity | Relu | Relu6)
    }

    /// Floats of the sums that convolutions take, which both ways use in turn.
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

    /// The inputs that are only added: their gradient is that of the output.
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

    /// Numbers that remember which of a window was the largest.
    pub(crate) fn index_len(&self) -> usize {
        match self {
            Self::MaxPool { pooling, .. } => pooling.window().lengths()[1],
            _ => 0,
        }
    }

    /// Numbers of a map pooled by a convolution's step, each with a byte that remembers which of its window it was.
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
            Self::Normalisation(step) if step.by_reader && step.is_running => {
                return "batch norm factors".into();
            }
            Self::Normalisation(step) if step.by_reader => return "batch norm statistics".into(),
            Self::Normalisation(_) => "batch norm".into(),
            Self::Activation(activation) => format!("{activation:?}").to_lowercase(),
            Self::Dropout { probability, .. } => format!("dropout {probability}"),
            Self::Add { .. } => "add".into(),
            Self::Concat { .. } => "concat".into(),
        };
        let mut parts = vec![plain];
        if let Self::Normalisation(step) = self {
            parts.extend(step.add.then(|| "add".into()));
        }
        with_activation(parts, self.activation())
    }

    /// Floats of the sums that convolutions take for a batch normalisation.
    pub(crate) fn sums_len(&self) -> usize {
        match self {
            Self::Normalisation(normalisation) => normalisation.sums_len(),
            _ => 0,
        }
    }

    /// Whether nothing is written: the memory of the output is that of the input.
    pub(super) fn output_is_input(&self) -> bool {
        matches!(self, Self::Normalisation(norm) if norm.by_reader)
    }

    /// Floats of a batch normalisation's [`Statistics`], or of the folded bias.
    pub(crate) fn statistics_len(&self) -> usize {
        match self {
            Self::Normalisation(normalisation) => Statistics::len(normalisation.channels),
            Self::Convolution(step) => step.folded_bias(),
            Self::Chain(chain) => chain.folded_biases(),
            _ => 0,
        }
    }
}
