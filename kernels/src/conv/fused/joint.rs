//! The backward pass through a convolution and the batch norm behind it, in one pass. The gradient between the two is computed chunk by
//! chunk. Both gradients of the convolution read the chunk from cache, and the whole map is never in memory.
//!
//! With a pass of its own for batch norm, five maps are read from memory or written there: it reads two and writes one, which both
//! gradients then read. Here it is two maps.
use crate::batch_norm;
use crate::conv::correlation::Correlation;
use crate::conv::direct::gather::Gather;
use crate::conv::direct::weight_gradient::{
    Chunk, ChunkGradient, ChunkedOperands, DirectWeightGradient,
};
use crate::conv::finish::Finish;
use crate::conv::loops::{MapLoop, RowsLoop, RowsOperands, WeightLoop};
use crate::conv::{Algorithm, GradientEpilogue, InputGradient, Pass, WeightGradient};
use crate::map::{Input, Source};
use crate::threads::DisjointMut;
use crate::{Cpu, InstructionSet};

/// Groups of rows at least: each is a task, and more threads than tasks would idle. Tests have smaller maps.
const LEAST_GROUPS: usize = if cfg!(test) { 1 } else { 8 };

/// Weight, bias and input gradient of a direct convolution whose output was normalised, prepared for one geometry.
#[derive(Debug)]
pub struct JointGradients {
    weight_gradient: DirectWeightGradient,
    /// None where the gradient of the input is not computed.
    input_gradient: Option<Gather>,
    instruction_set: InstructionSet,
    /// Whether the input may be normalised on load.
    normalises: bool,
    /// Elements of the input.
    input_len: usize,
    /// Groups of rows; one task has each.
    row_groups: usize,
    /// Floats of a chunk of the output gradient.
    chunk_len: usize,
}

/// What [`JointGradients::run`] reads and writes.
#[derive(Debug)]
pub struct JointOperands<'a> {
    /// The input map of the forward pass.
    pub input: Input<'a>,
    /// The gradient between the convolution and the batch norm, as batch norm computes it.
    pub output_gradient: batch_norm::InputGradient<'a>,
    /// The weights as [`MapPass::pack`](crate::conv::MapPass::pack) wrote them, where the gradient of the input is computed.
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
    /// Joins two passes. None where they cannot be joined, or where that leaves too few tasks for several threads.
    ///
    /// They can be joined if both are direct, have few weights, and belong to a 1×1 convolution that reads every pixel. Without an
    /// `input_gradient` the kernel may have any size. The joint pass can normalise its input if `weight_gradient` can.
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
                // Both loops gather with one tap, so that they pack the weights alike.
                let flat = Correlation::new(*weight_gradient.flat()?, Pass::InputGradient);
                if !is_direct(apart.algorithm()) {
                    return None;
                }
                Some(Gather::new(cpu, flat, false))
            }
        };
        (row_groups >= LEAST_GROUPS).then(|| Self {
            row_groups,
            chunk_len: weight_gradient.reserve_gradient_chunk(cpu),
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

    /// Computes all gradients. They are overwritten, except where the epilogue adds to the gradient of the input.
    ///
    /// # Panics
    /// - If a length is wrong.
    /// - If the gradient of the input is computed but not given, or given or summed but not computed.
    /// - If the input is to be normalised and the weight gradient was not prepared for that.
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
            (Some(_), None) => panic!("no memory for the gradient of the input"),
            (None, Some(_)) => panic!("this pass computes no gradient of the input"),
        };
        let operands = ChunkedOperands {
            input,
            weight_gradient,
            bias_gradient,
            scratch,
        };
        let chunk = |chunk: Chunk, add: &dyn Fn(ChunkGradient)| {
            let part = self.weight_gradient.part_of_output(chunk.rows.clone());
            assert!(part.len() <= self.chunk_len, "{:?} in a chunk", chunk.rows);
            // SAFETY: `reserve_gradient_chunk` gave each slot `chunk_len` floats of scratch for this, no fewer than the part has, as the assertion
            // says. One task at a time has the slot.
            let gradient = unsafe { std::slice::from_raw_parts_mut(chunk.slot, part.len()) };
            output_gradient.write_part(cpu, part.clone(), gradient);
            let gradient = &*gradient;
            add(ChunkGradient {
                source: Source::map(gradient),
                skipped: part.start,
                ahead: output_gradient.input.as_ptr(),
            });
            let Some((gather, finish, target)) = &back else {
                return;
            };
            let ahead = (output_gradient.output_gradient.as_ptr()).wrapping_add(part.len());
            let operands = RowsOperands {
                source: gradient.as_ptr().wrapping_sub(part.start),
                packed,
                finish: finish.with_part(chunk.group),
                target: target.as_mut_ptr(),
                rows: chunk.rows,
                ahead: Some(ahead),
            };
            // SAFETY: in the flat geometry a row of the input reads the same row of the output, and `gradient` holds the chunk's rows. The
            // target is a whole map. The assertions above checked its length and that of the packed weights. `row_groups` says that one
            // task has each group of rows, and so its rows of the target and its part of the sums.
            unsafe { gather.rows(cpu, operands) };
        };
        self.weight_gradient.run_by_chunks(cpu, operands, chunk);
    }
}
