//! The way back through a convolution and the batch normalisation behind it, in one pass. The gradient between the two is made chunk by
//! chunk, read by both gradients of the convolution, and never in memory as a map.
//!
//! A pass of its own reads two maps to write that one, which both gradients then read: five maps come from memory or go there. Here it
//! is two.
use crate::Cpu;
use crate::batch_norm;
use crate::pool::fused::Source;
use crate::threads::DisjointMut;

use super::direct_weight_gradient::{Chunk, Gradient};
use super::finish::Finish;
use super::{
    GradientEpilogue, Input, InputGradient, WeightGradient, direct, direct_weight_gradient,
};

/// Groups of rows at least: each is a task, and more threads than that would have nothing to do. Tests have smaller maps.
const LEAST_GROUPS: usize = if cfg!(test) { 1 } else { 8 };

/// Weight, bias and input gradient of a direct convolution whose output was normalised, prepared for one geometry.
#[derive(Debug)]
pub struct JointGradients {
    weight_gradient: direct_weight_gradient::WeightGradient,
    /// One of gathers; none where nobody asks for the gradient of the input.
    input_gradient: Option<direct::InputGradient>,
    /// Groups of rows, each a task's.
    row_groups: usize,
    /// Numbers of a chunk of the output gradient.
    room: usize,
}

impl JointGradients {
    /// Joins two passes, if they can be joined and there is enough to do for several threads: direct ones, with few weights, of a 1×1
    /// convolution that reads every pixel; or of any kernel where there is no `input_gradient`, since nobody asks for it.
    /// What the weight gradient can normalise, the joint pass can.
    pub fn new(
        cpu: &Cpu,
        weight_gradient: &WeightGradient,
        input_gradient: Option<&InputGradient>,
    ) -> Option<Self> {
        let mut weight_gradient = weight_gradient.direct()?.clone();
        let row_groups = weight_gradient.row_groups()?;
        let input_gradient = match input_gradient {
            None => None,
            Some(apart) => {
                let joint = direct::InputGradient::new(cpu, *weight_gradient.flat()?);
                // Both gather with one tap, so that the weights are packed alike.
                let gathers = [apart.gather(), joint.gather()];
                if gathers.iter().any(Option::is_none) {
                    return None;
                }
                Some(joint)
            }
        };
        (row_groups >= LEAST_GROUPS).then(|| Self {
            row_groups,
            room: weight_gradient.make_gradients(cpu),
            weight_gradient,
            input_gradient,
        })
    }

    /// Parts in which [`JointGradients::run`] sums what it stores.
    pub fn sums_parts(&self) -> usize {
        self.row_groups
    }

    /// Numbers of scratch that [`JointGradients::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.weight_gradient.scratch_len()
    }

    /// Computes all gradients; what was there before is overwritten, but for what `epilogue` says. `packed` are the weights as
    /// [`InputGradient::pack`] wrote them, where the gradient of the input is wanted.
    ///
    /// # Panics
    /// If a length is wrong, the gradient of the input is not given where it is computed, or given or summed where it is not, or the
    /// input is to be normalised though the weight gradient was made without.
    #[allow(clippy::too_many_arguments, reason = "what both gradients need")]
    pub fn run<'a>(
        &self,
        cpu: &Cpu,
        input: impl Into<Input<'a>>,
        output_gradient: batch_norm::InputGradient,
        packed: &[f32],
        epilogue: &GradientEpilogue,
        weight_gradient: &mut [f32],
        bias_gradient: Option<&mut [f32]>,
        input_gradient: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let input = input.into();
        output_gradient.check();
        let channels = output_gradient.mean.len();
        assert_eq!(channels, self.weight_gradient.filters(), "filters");
        let numbers = self.weight_gradient.output_len();
        assert_eq!(output_gradient.input.len(), numbers, "output");
        let back = match (&self.input_gradient, input_gradient) {
            (None, None) => {
                assert!(epilogue.sums.is_none(), "sums of what is not stored");
                None
            }
            (Some(pass), Some(target)) => {
                let gather = pass.gather().expect("it is one that gathers");
                assert_eq!(packed.len(), gather.packed_len(), "packed weights");
                assert_eq!(target.len(), gather.target_len(), "input gradient");
                let channels = gather.target_channels();
                let finish = Finish::gradient(epilogue, target, channels);
                let finish = finish.summing(epilogue.sums, channels, Some(self.row_groups));
                Some((gather, finish, DisjointMut::new(target)))
            }
            (pass, _) => panic!("the input's gradient: is computed {}", pass.is_some()),
        };
        let chunk = |chunk: Chunk, add: &dyn Fn(Gradient)| {
            let numbers = self.weight_gradient.numbers_of(chunk.rows.clone());
            assert!(numbers.len() <= self.room, "{:?} in a room", chunk.rows);
            // SAFETY: `make_gradients` made a room of so many numbers, which is this task's alone.
            let made = unsafe { std::slice::from_raw_parts_mut(chunk.room, numbers.len()) };
            output_gradient.write_part(cpu, numbers.clone(), made);
            let made = &*made;
            add(Gradient {
                source: Source::map(made),
                skipped: numbers.start,
                ahead: output_gradient.input.as_ptr(),
            });
            let Some((gather, finish, target)) = &back else {
                return;
            };
            let ahead = (output_gradient.output_gradient.as_ptr()).wrapping_add(numbers.len());
            // SAFETY: the pass is of the flat geometry, in which a row of the output is read for the same row of the input; the chunk's
            // rows are in `made`, behind `numbers.start` others. The target is a whole map, `row_groups` says that each group of rows
            // is one task's, and so is the part of the sums.
            unsafe {
                gather.rows(
                    cpu,
                    [made, packed],
                    &finish.with_part(chunk.group),
                    target,
                    [numbers.start, 0],
                    chunk.rows,
                    Some(ahead),
                );
            }
        };
        (self.weight_gradient).run_by_chunks(
            cpu,
            input,
            chunk,
            weight_gradient,
            bias_gradient,
            scratch,
        );
    }
}
