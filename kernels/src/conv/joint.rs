//! The way back through a convolution and the batch normalisation behind it, in one pass: the gradient between them is made chunk by
//! chunk, read by both of the convolution's gradients, and never in memory as a map. Where a pass each would read and write that and the
//! maps that it is made of five times, two are read.
use crate::Cpu;
use crate::batch_norm;
use crate::pool::fused::Source;
use crate::threads::DisjointMut;

use super::direct_weight_gradient::{Chunk, Gradient};
use super::finish::Finish;
use super::{
    Geometry, GradientEpilogue, Input, InputGradient, direct,
    direct_weight_gradient as direct_weights, spread_weight_gradient as spread,
};

/// Weight, bias and input gradient of a direct convolution whose output was normalised, prepared for one geometry.
#[derive(Debug)]
pub struct JointGradients {
    weights: direct_weights::WeightGradient,
    inputs: Option<direct::InputGradient>,
    /// Groups of rows, each a task's.
    row_groups: usize,
    /// Numbers of a chunk of the output gradient.
    room: usize,
    filters: usize,
}

impl JointGradients {
    /// Prepares a pass, if there is one: for a direct convolution of few weights that is 1×1 and reads every pixel, or that is the
    /// network's first, so that nobody asks for the gradient of its input. That would else be computed by `inputs`.
    pub fn new(cpu: &Cpu, geometry: Geometry, inputs: Option<&InputGradient>) -> Option<Self> {
        if spread::WeightGradient::new(cpu, geometry).is_some() {
            return None;
        }
        let mut weights = direct_weights::WeightGradient::new(geometry);
        let row_groups = weights.row_groups()?;
        let inputs = match inputs {
            None => None,
            Some(inputs) => {
                let joint = direct::InputGradient::new(cpu, *weights.flat()?);
                // It reads the weights as the other packs them.
                inputs.gather()?;
                joint.gather()?;
                Some(joint)
            }
        };
        Some(Self {
            row_groups,
            room: weights.make_gradients(cpu),
            weights,
            inputs,
            filters: geometry.output[2],
        })
    }

    /// Has it normalise the input, where it is asked to; false if it cannot.
    pub fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        self.weights.normalise_input(cpu)
    }

    /// Parts in which [`JointGradients::run`] sums what it stores.
    pub fn sums_parts(&self) -> usize {
        self.row_groups
    }

    /// Numbers of scratch that [`JointGradients::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.weights.scratch_len()
    }

    /// Computes all gradients; what was there before is overwritten, but for what `epilogue` says. `packed` are the weights as
    /// [`InputGradient::pack`] wrote them, where the gradient of the input is wanted.
    ///
    /// # Panics
    /// If a length is wrong, or the input is to be normalised without [`JointGradients::normalise_input`].
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
        assert_eq!(output_gradient.mean.len(), self.filters, "filters");
        let back = self.inputs.as_ref().map(|inputs| {
            let gather = inputs.gather().expect("one that gathers");
            let target = input_gradient.expect("the input's gradient");
            assert_eq!(output_gradient.input.len(), gather.source_len(), "output");
            assert_eq!(target.len(), gather.target_len(), "input gradient");
            let channels = gather.target_channels();
            let finish = Finish::gradient(epilogue, target, channels).summing(
                epilogue.sums,
                channels,
                Some(self.row_groups),
            );
            (gather, finish, DisjointMut::new(target))
        });
        let chunk = |chunk: Chunk, add: &dyn Fn(Gradient)| {
            let numbers = self.weights.numbers_of(chunk.rows.clone());
            assert!(numbers.len() <= self.room);
            // SAFETY: the room has so many numbers, and is this task's.
            let made = unsafe { std::slice::from_raw_parts_mut(chunk.room, numbers.len()) };
            output_gradient.write_part(cpu, numbers.clone(), made, false, false);
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
            // SAFETY: the chunk's rows are there, and no other task writes those of the target, which is a whole map.
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
        (self.weights).run_by_chunks(cpu, input, chunk, weight_gradient, bias_gradient, scratch);
    }
}
