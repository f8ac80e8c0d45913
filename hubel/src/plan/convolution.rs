//! The step of a convolution or linear layer: which pass computes it, and what is fused to it.
use std::ops::Range;

use hubel_kernels::Cpu;
use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{self, Algorithm, Fused, Geometry, Pass};

use super::step::{Normalisation, NormalisedBy, Scale, SumsFor, with_activation};
use crate::{Error, Result};

/// A convolution or linear layer (a 1×1 convolution of 1×1 maps) with what was fused to it: `activation(conv + bias + add)`, which may then be
/// max pooled.
pub(crate) struct Convolution {
    /// Whether it is a linear layer.
    pub(super) linear: bool,
    pub(crate) geometry: Geometry,
    pub(super) needs: Needs,
    pub(crate) passes: Passes,
    pub(crate) fusions: Fusions,
    /// One pass for both gradients and the backward pass of the batch norm behind it, if there is one (training).
    pub(crate) joint: Option<Joint>,
    pub(crate) tensors: Tensors,
    /// The layer folded into weights and bias (inference).
    pub(crate) folded: Option<Folded>,
    /// Whether the step's last input is a map to be added before the activation.
    pub(crate) add: bool,
    pub(crate) activation: Activation,
}

impl Convolution {
    /// The step of layer `name`, with nothing fused.
    ///
    /// # Errors
    /// If it is larger than any machine computes.
    pub(super) fn new(
        cpu: &Cpu,
        name: &str,
        settings: conv::Settings,
        needs: Needs,
        tensors: Tensors,
    ) -> Result<Self> {
        let Some(geometry) = Geometry::new(settings) else {
            let problem = format!(
                "layer `{name}` is larger than any machine computes: a batch of {} and a kernel of {:?} from {:?} to {:?} [height, width, \
                 channels]; give a smaller batch or smaller pictures",
                settings.batch, settings.kernel, settings.input, settings.output
            );
            return Err(Error::Settings { problem });
        };
        let fusions = Fusions::default();
        let passes = Passes::new(cpu, geometry, needs, &fusions);
        Ok(Self {
            linear: false,
            geometry,
            needs,
            passes: passes.expect("there is an algorithm for everything that is not fused"),
            fusions,
            joint: None,
            tensors,
            folded: None,
            add: false,
            activation: Activation::Identity,
        })
    }

    /// Prepares the passes again with one more fusion. Returns false and changes nothing if one of them cannot fuse it.
    pub(super) fn fuse(&mut self, cpu: &Cpu, change: impl FnOnce(&mut Fusions)) -> bool {
        let mut fusions = self.fusions.clone();
        change(&mut fusions);
        let Some(passes) = Passes::new(cpu, self.geometry, self.needs, &fusions) else {
            return false;
        };
        self.passes = passes;
        self.fusions = fusions;
        true
    }

    /// Fuses the sums of a batch norm to the pass that writes the gradient of the input. Returns the number of parts, or None if it cannot.
    pub(super) fn sum_gradient(&mut self, cpu: &Cpu) -> Option<usize> {
        if let Some(joint) = &self.joint {
            return Some(joint.pass.sums_parts());
        }
        if !self.fuse(cpu, |fusions| fusions.gradient_sums = true) {
            return None;
        }
        let pass = self.passes.input_gradient.as_ref();
        pass.map(|pass| pass.sums_parts())
    }

    /// What is computed, without the algorithms.
    pub(super) fn summary(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.fusions.normalised_by.map(|by| by.summary()));
        parts.push(if self.linear { "linear" } else { "conv" }.to_string());
        parts.extend(self.fusions.sums.as_ref().map(|_| "sums".into()));
        parts.extend(self.folded.as_ref().map(|layer| match layer {
            Folded::BatchNorm(_) => "folded batch norm".to_owned(),
            Folded::Scale(_) => "folded scale".to_owned(),
        }));
        parts.extend(self.add.then(|| "add".into()));
        let text = with_activation(parts, self.activation);
        match self.fusions.pooled {
            true => text + " + max pool",
            false => text,
        }
    }

    /// Floats of the weights packed for the forward pass, or folded where they are not packed.
    pub(crate) fn packed_forward(&self) -> usize {
        match self.passes.forward.packed_len() {
            0 if self.folded.is_some() => self.geometry.weights_len(),
            length => length,
        }
    }

    /// Floats of the bias after folding.
    pub(crate) fn folded_bias(&self) -> usize {
        match self.folded {
            Some(_) => self.geometry.output[2],
            None => 0,
        }
    }

    /// Floats of scratch memory that folding and packing need.
    pub(super) fn folding_scratch(&self) -> usize {
        self.geometry.weights_len() + self.geometry.output[2]
    }
}

/// A layer with a factor and a summand for each channel, which becomes part of the weights before it.
pub(crate) enum Folded {
    BatchNorm(Normalisation),
    Scale(Scale),
}

/// Where the weights and the bias of a convolution lie among all parameters.
pub(crate) struct Tensors {
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
}

/// What a plan needs of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Needs {
    pub(super) input_gradient: bool,
    pub(super) weight_gradient: bool,
    /// Whether Winograd is excluded.
    pub(super) precise: bool,
}

/// What is fused to the passes of a convolution. `Passes::new` makes the kernels' `Fused` of each pass from it.
#[derive(Clone, Default)]
pub(crate) struct Fusions {
    /// Whether the output is max pooled by 2×2 windows side by side.
    pub(crate) pooled: bool,
    /// The batch norm before it, if the passes normalise their input on load (training).
    pub(crate) normalised_by: Option<NormalisedBy>,
    /// The batch norm behind it, if the forward pass takes that one's sums (training).
    pub(crate) sums: Option<SumsFor>,
    /// Whether the input gradient takes sums of what it stores.
    gradient_sums: bool,
}

/// The passes of a convolution that a plan needs.
pub(crate) struct Passes {
    pub(crate) forward: conv::Forward,
    pub(crate) input_gradient: Option<conv::InputGradient>,
    pub(crate) weight_gradient: Option<conv::WeightGradient>,
}

impl Passes {
    /// Prepares the passes, each by the algorithm that is likely the fastest. None if one of them cannot do all that is to be fused.
    pub(super) fn new(
        cpu: &Cpu,
        geometry: Geometry,
        needs: Needs,
        fusions: &Fusions,
    ) -> Option<Self> {
        let fused = |sums: bool| Fused {
            pooled: fusions.pooled,
            normalised: fusions.normalised_by.is_some(),
            sums,
        };
        let choose = |pass, fused| Algorithm::choose(cpu, &geometry, pass, fused, needs.precise);
        let forward = fused(fusions.sums.is_some());
        let algorithm = choose(Pass::Forward, forward);
        let mut passes = Self {
            forward: conv::Forward::new(cpu, geometry, algorithm, forward)?,
            input_gradient: None,
            weight_gradient: None,
        };
        if needs.input_gradient {
            let fused = fused(fusions.gradient_sums);
            let algorithm = choose(Pass::InputGradient, fused);
            let pass = conv::InputGradient::new(cpu, geometry, algorithm, fused)?;
            passes.input_gradient = Some(pass);
        }
        if needs.weight_gradient {
            let algorithm = choose(Pass::WeightGradient, fused(false));
            let pass = conv::WeightGradient::new(cpu, geometry, algorithm, fused(false))?;
            passes.weight_gradient = Some(pass);
        }
        Some(passes)
    }

    /// The algorithm of a pass, if there is such a pass.
    pub(super) fn algorithm(&self, pass: Pass) -> Option<Algorithm> {
        match pass {
            Pass::Forward => Some(self.forward.algorithm()),
            Pass::InputGradient => self.input_gradient.as_ref().map(|pass| pass.algorithm()),
            Pass::WeightGradient => self.weight_gradient.as_ref().map(|pass| pass.algorithm()),
        }
    }

    /// Floats of scratch memory.
    pub(super) fn scratch(&self) -> usize {
        let input_gradient = self.input_gradient.as_ref();
        let weight_gradient = self.weight_gradient.as_ref();
        (self.forward.scratch_len())
            .max(input_gradient.map_or(0, conv::InputGradient::scratch_len))
            .max(weight_gradient.map_or(0, conv::WeightGradient::scratch_len))
    }
}

/// The gradients of a convolution and of the batch norm behind it, in one pass.
pub(crate) struct Joint {
    pub(crate) pass: conv::JointGradients,
    /// The step of the batch norm. Its statistics hold the coefficients.
    pub(crate) step: usize,
}
