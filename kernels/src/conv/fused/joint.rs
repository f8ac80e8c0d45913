//! The way back through a convolution and the batch normalisation behind it, in one pass. The gradient between the two is made chunk by
//! chunk, read by both gradients of the convolution, and never in memory as a map.
//!
//! A pass of its own reads two maps to write that one, which both gradients then read: five maps come from memory or go there. Here it
//! is two.
use crate::batch_norm;
use crate::conv::direct::correlation::Correlation;
use crate::conv::direct::gather::Gather;
use crate::conv::direct::weight_gradient::{
    Chunk, ChunkedOperands, DirectWeightGradient, Gradient,
};
use crate::conv::finish::Finish;
use crate::conv::pass::{MapLoop, PartOfMap, RowsLoop, RowsOperands, WeightLoop};
use crate::conv::{Algorithm, GradientEpilogue, Input, InputGradient, Pass, WeightGradient};
use crate::map::Source;
use crate::threads::DisjointMut;
use crate::{Cpu, InstructionSet};

/// Groups of rows at least: each is a task, and more threads than that would have nothing to do. Tests have smaller maps.
const LEAST_GROUPS: usize = if cfg!(test) { 1 } else { 8 };

/// Weight, bias and input gradient of a direct convolution whose output was normalised, prepared for one geometry.
#[derive(Debug)]
pub struct JointGradients {
    weight_gradient: DirectWeightGradient,
    /// None where nobody asks for the gradient of the input.
    input_gradient: Option<Gather>,
    instruction_set: InstructionSet,
    /// Whether the input may be normalised on load.
    normalises: bool,
    /// Elements of the input.
    input_len: usize,
    /// Groups of rows, each a task's.
    row_groups: usize,
    /// Floats of a chunk of the output gradient.
    chunk_len: usize,
}

/// What [`JointGradients::run`] reads and writes.
#[derive(Debug)]
pub struct JointOperands<'a> {
    /// The input map of the forward pass.
    pub input: Input<'a>,
    /// The gradient between the convolution and the batch norm, as that computes it.
    pub output_gradient: batch_norm::InputGradient<'a>,
    /// The weights as [`InputGradient::pack`] wrote them, where the gradient of the input is computed.
    pub packed: &'a [f32],
    /// What happens to the gradient of the input before it is stored.
    pub epilogue: GradientEpilogue<'a>,
    /// Every element of it is written.
    pub weight_gradient: &'a mut [f32],
    /// Every element of it is written, if it is wanted.
    pub bias_gradient: Option<&'a mut [f32]>,
    /// Where the gradient of the input goes, if it is computed.
    pub input_gradient: Option<&'a mut [f32]>,
    /// At least [`JointGradients::scratch_len`] floats.
    pub scratch: &'a mut [f32],
}

impl JointGradients {
    /// Joins two passes. None where they cannot be joined, or where that leaves too little to do for several threads. They can be joined if
    /// both are direct, with few weights, and belong to a 1×1 convolution that reads every pixel; or to a convolution with any kernel, where
    /// there is no `input_gradient`, since nobody asks for it. The joint pass normalises its input if `weight_gradient` does.
    pub fn new(
        cpu: &Cpu,
        weight_gradient: &WeightGradient,
        input_gradient: Option<&InputGradient>,
    ) -> Option<Self> {
        let is_direct = |algorithm| matches!(algorithm, Algorithm::Direct | Algorithm::Indirect);
        let fused = weight_gradient.fused();
        if fused.pooled || !is_direct(weight_gradient.algorithm()) {
            return None;
        }
        let geometry = *weight_gradient.geometry();
        let mut weight_gradient = DirectWeightGradient::new(geometry).fusing(cpu, fused)?;
        let row_groups = weight_gradient.row_groups()?;
        let input_gradient = match input_gradient {
            None => None,
            Some(apart) => {
                // Both gather with one tap, so that the weights are packed alike.
                let flat = Correlation::new(*weight_gradient.flat()?, Pass::InputGradient);
                if !is_direct(apart.algorithm()) {
                    return None;
                }
                Some(Gather::new(cpu, flat, false))
            }
        };
        (row_groups >= LEAST_GROUPS).then(|| Self {
            row_groups,
            chunk_len: weight_gradient.make_gradients(cpu),
            weight_gradient,
            input_gradient,
            instruction_set: cpu.instruction_set(),
            normalises: fused.normalised,
            input_len: geometry.input_len(),
        })
    }

    /// Parts in which [`JointGradients::run`] takes sums.
    pub fn sums_parts(&self) -> usize {
        self.row_groups
    }

    /// Floats of scratch that [`JointGradients::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.weight_gradient.scratch_len()
    }

    /// Computes all gradients; what was there before is overwritten, but for what the epilogue says.
    ///
    /// # Panics
    /// If a length is wrong; if the gradient of the input is not given where it is computed, or is given or summed where it is not; or if the
    /// input is to be normalised and the weight gradient was made without.
    pub fn run(&self, cpu: &Cpu, operands: JointOperands) {
        let JointOperands {
            input,
            output_gradient,
            packed,
            epilogue,
            weight_gradient,
            bias_gradient,
            input_gradient,
            scratch,
        } = operands;
        assert_eq!(
            cpu.instruction_set(),
            self.instruction_set,
            "made for another instruction set"
        );
        assert_eq!(input.map.len(), self.input_len, "input");
        if let Some(by) = &input.normalised {
            assert!(self.normalises, "this pass does not normalise");
            by.check(self.weight_gradient.inputs());
        }
        output_gradient.check();
        let filters = self.weight_gradient.filters();
        assert_eq!(output_gradient.mean.len(), filters, "filters");
        let output_len = self.weight_gradient.output_len();
        assert_eq!(output_gradient.input.len(), output_len, "output");
        assert_eq!(
            weight_gradient.len(),
            self.weight_gradient.weights(),
            "weight gradient"
        );
        assert!(
            bias_gradient.as_ref().is_none_or(|b| b.len() == filters),
            "bias gradient"
        );
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let back = match (&self.input_gradient, input_gradient) {
            (None, None) => {
                assert!(epilogue.sums.is_none(), "sums of what is not stored");
                None
            }
            (Some(gather), Some(target)) => {
                assert_eq!(packed.len(), gather.packed_len(), "packed weights");
                assert_eq!(target.len(), self.input_len, "input gradient");
                let channels = gather.finished_pixel();
                let finish = Finish::gradient(&epilogue, target, channels);
                let finish = finish.summing(epilogue.sums, channels, self.row_groups);
                Some((gather, finish, DisjointMut::new(target)))
            }
            (pass, _) => panic!("the input's gradient: is computed {}", pass.is_some()),
        };
        let operands = ChunkedOperands {
            input,
            weight_gradient,
            bias_gradient,
            scratch,
        };
        let chunk = |chunk: Chunk, add: &dyn Fn(Gradient)| {
            let part = self.weight_gradient.part_of_output(chunk.rows.clone());
            assert!(part.len() <= self.chunk_len, "{:?} in a chunk", chunk.rows);
            // SAFETY: `make_gradients` made room for so many floats, which is this task's alone.
            let made = unsafe { std::slice::from_raw_parts_mut(chunk.room, part.len()) };
            output_gradient.write_part(cpu, part.clone(), made);
            let made = &*made;
            add(Gradient {
                source: Source::map(made),
                skipped: part.start,
                ahead: output_gradient.input.as_ptr(),
            });
            let Some((gather, finish, target)) = &back else {
                return;
            };
            let ahead = (output_gradient.output_gradient.as_ptr()).wrapping_add(part.len());
            let operands = RowsOperands {
                source: PartOfMap {
                    start: made.as_ptr(),
                    skipped: part.start,
                },
                packed,
                finish: finish.with_part(chunk.group),
                target: PartOfMap {
                    start: target.as_mut_ptr(),
                    skipped: 0,
                },
                rows: chunk.rows,
                ahead: Some(ahead),
            };
            // SAFETY: the gather is of the flat geometry, in which a row of the output is read for the same row of the input; the chunk's
            // rows are in `made`, which begins with the first of them. The target is a whole map, whose length was checked above.
            // `row_groups` says that each group of rows is one task's, and so is its part of the sums.
            unsafe { gather.rows(cpu, operands) };
        };
        self.weight_gradient.run_by_chunks(cpu, operands, chunk);
    }
}
