//! Convolutions that run depth-first, band of rows by band of rows, so that the wide maps between them need no memory: inverted
//! residuals.
use std::fmt;

use hubel_kernels::Cpu;
use hubel_kernels::conv::Bands;

use super::convolution::Convolution;
use super::fuse::count_readers;
use super::step::{Backward, Kind, Step};

/// Three convolutions, the middle one depthwise, of which only the last writes a map.
pub(crate) struct Chain {
    pub(crate) convolutions: [Box<Convolution>; 3],
    pub(crate) bands: Bands,
}

impl Chain {
    /// Floats of scratch memory.
    pub(super) fn scratch(&self) -> usize {
        let folding = self.convolutions.iter().map(|step| step.folding_scratch());
        folding.fold(self.bands.scratch_len(), usize::max)
    }

    /// Floats of the packed weights of all three.
    pub(super) fn packed_forward(&self) -> usize {
        self.convolutions
            .iter()
            .map(|step| step.packed_forward())
            .sum()
    }

    /// Floats of the folded biases of all three.
    pub(super) fn folded_biases(&self) -> usize {
        self.convolutions
            .iter()
            .map(|step| step.folded_bias())
            .sum()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.convolutions.each_ref().map(|step| step.summary());
        write!(
            f,
            "{}, in bands of {} rows",
            parts.join(", "),
            self.bands.rows()
        )
    }
}

/// Replaces each three steps that can be chained, where that is likely faster, by one. There are `maps` maps.
pub(super) fn join(cpu: &Cpu, steps: Vec<Step>, maps: usize) -> Vec<Step> {
    let readers = count_readers(&steps, maps);
    let mut joined: Vec<Step> = Vec::new();
    for step in steps {
        joined.push(step);
        if let Some(at) = joined.len().checked_sub(3)
            && let Some(bands) = bands(cpu, &joined[at..], &readers)
        {
            let last: Vec<Step> = joined.drain(at..).collect();
            joined.push(chained(last, bands));
        }
    }
    joined
}

/// The bands of three steps, if they are convolutions of which each is the only reader of the one before it.
fn bands<'a>(cpu: &Cpu, steps: &'a [Step], readers: &[usize]) -> Option<Bands> {
    let [first, middle, last] = steps else {
        return None;
    };
    let follows =
        |step: &Step, before: &Step| step.inputs[0] == before.output && readers[before.output] == 1;
    let adds = [first, middle].iter().any(|step| step.inputs.len() > 1);
    if adds || !follows(middle, first) || !follows(last, middle) {
        return None;
    }
    let forward = |step: &'a Step| match &step.kind {
        Kind::Convolution(convolution) if !convolution.fusions.pooled => {
            Some(&convolution.passes.forward)
        }
        _ => None,
    };
    let passes = [forward(first)?, forward(middle)?, forward(last)?];
    Bands::new(cpu, passes)
}

/// One step for three.
fn chained(steps: Vec<Step>, bands: Bands) -> Step {
    let names: Vec<&str> = steps.iter().map(|step| &*step.name).collect();
    let name = names.join(" + ");
    let (first_layer, mut inputs) = (steps[0].first_layer.clone(), steps[0].inputs.clone());
    inputs.extend(&steps[2].inputs[1..]);
    let output = steps[2].output;
    let nodes = steps.iter().flat_map(|step| step.nodes.clone()).collect();
    let convolutions = steps.into_iter().map(|step| match step.kind {
        Kind::Convolution(convolution) => convolution,
        _ => unreachable!("bands are made of convolutions"),
    });
    let convolutions: Vec<Box<Convolution>> = convolutions.collect();
    let Ok(convolutions) = convolutions.try_into() else {
        unreachable!("three steps");
    };
    Step {
        name,
        first_layer,
        nodes,
        kind: Kind::Chain(Box::new(Chain {
            convolutions,
            bands,
        })),
        inputs,
        output,
        backward: Backward::default(),
    }
}
