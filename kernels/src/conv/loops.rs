//! What a loop that computes a pass implements. `choose.rs` alone chooses between the loops. Loops of one family may share code: `spread.rs`
//! uses the products of `gather/tiles.rs`.
use std::fmt;
use std::ops::Range;

use crate::map::{PooledTarget, Source};
use crate::{Cpu, DisjointMut};

use super::finish::Finish;
use crate::map::Input;

/// One of the three computations that belong to a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The output from the input and the weights.
    Forward,
    /// The gradient of the input from that of the output.
    InputGradient,
    /// The gradient of the weights from the input and the gradient of the output.
    WeightGradient,
}

impl Pass {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGradient, Self::WeightGradient];
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        })
    }
}

/// What a pass computes together with the convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fused {
    /// The forward pass max pools its output by 2×2 windows side by side before it writes it. The gradients read the gradient of the pooled
    /// map. The last row and column of an odd map are in no window.
    pub pooled: bool,
    /// The input may be [normalised](crate::Normalised) on load; in an input gradient, the y of the mask.
    pub normalised: bool,
    /// The pass takes [`Sums`](super::Sums) by channel of the values that it stores.
    pub sums: bool,
}

/// A loop that computes forward passes or input gradients: from a source map and packed weights to a target map. A new loop implements this
/// and is entered in `choose.rs`.
pub(super) trait MapLoop: fmt::Debug + Send + Sync {
    /// Floats of the packed weights; 0 where the loop reads the weights as they are.
    fn packed_len(&self) -> usize;
    /// Writes `weights` in the order that [`MapLoop::run`] reads. `pass.rs` has checked both lengths.
    fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]);
    /// Parts in which the loop takes sums; 0 where it cannot.
    fn sums_parts(&self) -> usize {
        0
    }
    /// Floats of scratch that the loop needs.
    fn scratch_len(&self) -> usize {
        0
    }
    /// Floats of the target that the loop finishes as one pixel: the channels, or a row.
    fn finished_pixel(&self) -> usize;
    /// Computes the target.
    fn run(&self, cpu: &Cpu, operands: MapOperands);
    /// The loop as one that computes some rows of the target at a time, if it can.
    fn by_rows(&self) -> Option<&dyn RowsLoop> {
        None
    }
}

/// What a [`MapLoop`] reads and writes. `pass.rs` has checked all lengths, and that the
/// processor has the instruction set that the loop was prepared for.
pub(super) struct MapOperands<'a> {
    pub(super) source: Source<'a>,
    pub(super) packed: &'a [f32],
    pub(super) finish: Finish<'a>,
    pub(super) target: MapTarget<'a>,
    pub(super) scratch: &'a mut [f32],
}

/// Where a [`MapLoop`] writes.
#[derive(Clone, Copy)]
pub(super) enum MapTarget<'a> {
    Map(&'a DisjointMut<'a, f32>),
    /// The target pooled by 2×2 windows side by side.
    Pooled(PooledTarget<'a>),
}

/// A loop that can compute some rows of its target at a time.
pub(super) trait RowsLoop: Sync {
    /// Computes the rows on this thread alone.
    ///
    /// # Safety
    /// The target map has the rows. What these rows read and write is in memory, counted from `source` and `target`, and no other thread writes it.
    /// `packed` is as long as the loop says, and `finish` was made for a target of the same channels.
    unsafe fn rows(&self, cpu: &Cpu, operands: RowsOperands);
}

/// What a [`RowsLoop`] reads and writes. The *virtual start* of a map is the address that its first element has or would have, if only some
/// rows are in memory.
pub(super) struct RowsOperands<'a> {
    /// The virtual start of the source.
    pub(super) source: *const f32,
    /// All packed weights.
    pub(super) packed: &'a [f32],
    pub(super) finish: Finish<'a>,
    /// The virtual start of the target.
    pub(super) target: *mut f32,
    /// Rows of the target, counted through all images.
    pub(super) rows: Range<usize>,
    /// The map to prefetch from: at the same distance from its start as the element that is read. `None` prefetches from the source.
    pub(super) ahead: Option<*const f32>,
}

/// A loop that computes weight gradients. A new loop implements this and is entered in `choose.rs`.
pub(super) trait WeightLoop: fmt::Debug + Send + Sync {
    /// Floats of scratch that the loop needs.
    fn scratch_len(&self) -> usize;
    /// Computes both gradients.
    fn run(&self, cpu: &Cpu, operands: WeightOperands);
}

/// What a [`WeightLoop`] reads and writes. `pass.rs` has checked all lengths, and that the processor has
/// the instruction set that the loop was prepared for.
pub(super) struct WeightOperands<'a> {
    pub(super) input: Input<'a>,
    pub(super) output_gradient: Source<'a>,
    pub(super) weight_gradient: &'a mut [f32],
    pub(super) bias_gradient: Option<&'a mut [f32]>,
    pub(super) scratch: &'a mut [f32],
}
