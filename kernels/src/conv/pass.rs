//! The three passes of a convolution, each with one interface whatever loop computes it.
//!
//! A pass is prepared once for a geometry. It says how long its packed weights and its scratch are, packs the weights, and runs as often as
//! one likes. Its `run` checks all lengths, so that the loops need not.
use std::fmt;
use std::ops::Range;

use crate::map::{PooledTarget, Source};
use crate::pool::{Pooled, Winner};
use crate::{Cpu, DisjointMut};

use super::finish::Finish;
use super::{Algorithm, Epilogue, Geometry, GradientEpilogue, Input};

/// One of the three computations that belong to a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Output from input and weights.
    Forward,
    /// Gradient of the input from that of the output.
    InputGradient,
    /// Gradient of the weights from input and that of the output.
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
    /// The output is max pooled by 2×2 windows side by side before it is written; the gradients read the gradient of that pooled map. The
    /// last row and column of an odd map are in no window.
    pub pooled: bool,
    /// The input may be [normalised](crate::Normalised) on load; of an input gradient it is the y of the mask.
    pub normalised: bool,
    /// [`Sums`](super::Sums) by channel are taken of what is stored.
    pub sums: bool,
}

/// Where a forward pass writes.
#[derive(Debug)]
pub enum Destination<'a> {
    /// The output, `[n, y, x, c]`.
    Map(&'a mut [f32]),
    /// The output pooled by 2×2 windows, for a pass made with [`Fused::pooled`].
    Pooled {
        /// `[n, y / 2, x / 2, c]`
        values: &'a mut [f32],
        /// For each of the values, which of its window it was, as [`pool::max_forward`](crate::pool::max_forward) says it.
        winners: Option<&'a mut [Winner]>,
    },
}

/// The gradient that a pass reads.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a> {
    /// Of the output.
    Map(&'a [f32]),
    /// Of the pooled output, for a pass made with [`Fused::pooled`].
    Pooled(Pooled<'a>),
}

impl<'a> OutputGradient<'a> {
    fn source(self) -> Source<'a> {
        match self {
            Self::Map(map) => Source::map(map),
            Self::Pooled(pooled) => Source::pooled(pooled),
        }
    }
}

/// What a forward pass reads and writes.
#[derive(Debug)]
pub struct ForwardOperands<'a> {
    /// The input map.
    pub input: Input<'a>,
    /// The weights as [`Forward::pack`] wrote them, or as they are where [`Forward::packed_len`] is 0.
    pub packed: &'a [f32],
    /// What happens to a sum before it is stored.
    pub epilogue: Epilogue<'a>,
    /// Every element of it is written.
    pub output: Destination<'a>,
    /// At least [`Forward::scratch_len`] floats.
    pub scratch: &'a mut [f32],
}

/// What an input gradient reads and writes.
#[derive(Debug)]
pub struct InputGradientOperands<'a> {
    /// The gradient of the output.
    pub output_gradient: OutputGradient<'a>,
    /// The weights as [`InputGradient::pack`] wrote them, or as they are where [`InputGradient::packed_len`] is 0.
    pub packed: &'a [f32],
    /// What happens to a sum before it is stored.
    pub epilogue: GradientEpilogue<'a>,
    /// Every element of it is written.
    pub input_gradient: &'a mut [f32],
    /// At least [`InputGradient::scratch_len`] floats.
    pub scratch: &'a mut [f32],
}

/// What a weight gradient reads and writes.
#[derive(Debug)]
pub struct WeightGradientOperands<'a> {
    /// The input map of the forward pass.
    pub input: Input<'a>,
    /// The gradient of the output.
    pub output_gradient: OutputGradient<'a>,
    /// Every element of it is written.
    pub weight_gradient: &'a mut [f32],
    /// Every element of it is written, if it is wanted: one for each output channel.
    pub bias_gradient: Option<&'a mut [f32]>,
    /// At least [`WeightGradient::scratch_len`] floats.
    pub scratch: &'a mut [f32],
}

/// A loop that computes forward passes or input gradients: from a source map and packed weights to a target map. A new loop implements this
/// and is entered in `choose.rs`.
pub(super) trait MapLoop: fmt::Debug + Send + Sync {
    /// Floats of the packed weights; 0 where the loop reads the weights as they are.
    fn packed_len(&self) -> usize;
    /// Writes `weights` as [`MapLoop::run`] reads them. Both lengths are right.
    fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]);
    /// Parts in which it takes sums; 0 where it cannot.
    fn sums_parts(&self) -> usize;
    /// Floats of scratch that it needs.
    fn scratch_len(&self) -> usize;
    /// Floats that it finishes as one pixel: the target's channels, or a row of the target.
    fn finished_pixel(&self) -> usize;
    /// Computes the target.
    fn run(&self, cpu: &Cpu, operands: MapOperands);
    /// The loop as one that computes some rows at a time, if it can.
    fn by_rows(&self) -> Option<&dyn RowsLoop> {
        None
    }
}

/// What a [`MapLoop`] reads and writes. [`Forward::run`] and [`InputGradient::run`] have checked all lengths, and that the processor is that
/// of the preparation.
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
    /// What the rows read and write is there, no other thread writes it, and `finish` belongs to a map that has the rows.
    unsafe fn rows(&self, cpu: &Cpu, operands: RowsOperands);
}

/// What a [`RowsLoop`] reads and writes.
pub(super) struct RowsOperands<'a> {
    pub(super) source: PartOfMap<*const f32>,
    /// All packed weights.
    pub(super) packed: &'a [f32],
    pub(super) finish: Finish<'a>,
    pub(super) target: PartOfMap<*mut f32>,
    /// Rows of the target, counted through all images.
    pub(super) rows: Range<usize>,
    /// What is fetched meanwhile lies as far behind this as what is read lies behind the start of the source's map.
    pub(super) ahead: Option<*const f32>,
}

/// Memory that holds a part of a map.
#[derive(Clone, Copy)]
pub(super) struct PartOfMap<P> {
    pub(super) start: P,
    /// Floats of the map before the start.
    pub(super) skipped: usize,
}

impl<P> PartOfMap<P> {
    /// All of a map.
    pub(super) fn whole(start: P) -> Self {
        Self { start, skipped: 0 }
    }
}

impl PartOfMap<*mut f32> {
    pub(super) fn as_const(self) -> PartOfMap<*const f32> {
        PartOfMap {
            start: self.start.cast_const(),
            skipped: self.skipped,
        }
    }
}

/// A loop that computes weight gradients. A new loop implements this and is entered in `choose.rs`.
pub(super) trait WeightLoop: fmt::Debug + Send + Sync {
    /// Floats of scratch that it needs.
    fn scratch_len(&self) -> usize;
    /// Computes both gradients.
    fn run(&self, cpu: &Cpu, operands: WeightOperands);
}

/// What a [`WeightLoop`] reads and writes. [`WeightGradient::run`] has checked all lengths, and that the processor is that of the preparation.
pub(super) struct WeightOperands<'a> {
    pub(super) input: Input<'a>,
    pub(super) output_gradient: Source<'a>,
    pub(super) weight_gradient: &'a mut [f32],
    pub(super) bias_gradient: Option<&'a mut [f32]>,
    pub(super) scratch: &'a mut [f32],
}

/// What all passes know of themselves.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    geometry: Geometry,
    algorithm: Algorithm,
    fused: Fused,
    lanes: usize,
}

impl Prepared {
    fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Self {
        Self {
            geometry,
            algorithm,
            fused,
            lanes: cpu.lanes(),
        }
    }

    /// Elements of the output, pooled or not.
    fn output_len(&self) -> usize {
        match self.fused.pooled {
            true => self.geometry.pooled_len(),
            false => self.geometry.output_len(),
        }
    }

    fn check_cpu(&self, cpu: &Cpu) {
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
    }

    /// Checks the input of a forward pass or weight gradient.
    fn check_input(&self, input: &Input) {
        assert_eq!(input.map.len(), self.geometry.input_len(), "input");
        if let Some(by) = &input.normalised {
            assert!(self.fused.normalised, "this pass does not normalise");
            by.check(self.geometry.input[2]);
        }
    }

    /// The gradient of the output as loops read it.
    fn source<'a>(&self, output_gradient: OutputGradient<'a>) -> Source<'a> {
        let source = output_gradient.source();
        let is_pooled = source.winners.is_some();
        assert_eq!(is_pooled, self.fused.pooled, "gradient of a pooled map");
        assert_eq!(source.values.len(), self.output_len(), "output gradient");
        source
    }

    fn check_packing(&self, weights: &[f32], packed: &[f32], packed_len: usize) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        assert_eq!(packed.len(), packed_len, "packed weights");
    }

    /// Checks the packed weights of a run.
    fn check_packed(&self, packed: &[f32], packed_len: usize) {
        let length = match packed_len {
            0 => self.geometry.weights(),
            length => length,
        };
        assert_eq!(packed.len(), length, "packed weights");
    }

    fn check_sums(&self, has_sums: bool) {
        assert!(self.fused.sums || !has_sums, "this pass takes no sums");
    }
}

/// A forward pass, prepared for one geometry.
#[derive(Debug)]
pub struct Forward {
    prepared: Prepared,
    by: Box<dyn MapLoop>,
}

impl Forward {
    /// Prepares a pass. None where the algorithm cannot compute the geometry with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        Some(Self {
            prepared: Prepared::new(cpu, geometry, algorithm, fused),
            by: algorithm.map_loop(cpu, geometry, Pass::Forward, fused)?,
        })
    }

    /// The loop that computes it.
    pub fn algorithm(&self) -> Algorithm {
        self.prepared.algorithm
    }

    /// The forward convolution.
    pub fn geometry(&self) -> &Geometry {
        &self.prepared.geometry
    }

    /// Floats of the packed weights; 0 where [`Forward::run`] takes the weights as they are.
    pub fn packed_len(&self) -> usize {
        self.by.packed_len()
    }

    /// Writes `weights` in the order that [`Forward::run`] reads; does nothing where [`Forward::packed_len`] is 0.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        self.prepared.check_cpu(cpu);
        self.prepared
            .check_packing(weights, packed, self.packed_len());
        self.by.pack(cpu, weights, packed);
    }

    /// Parts in which [`Forward::run`] takes sums, if it was prepared for that.
    pub fn sums_parts(&self) -> usize {
        self.by.sums_parts()
    }

    /// Floats of scratch that [`Forward::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.by.scratch_len() + self.bias_of_row()
    }

    /// Floats of the bias of a row of the output, where the loop takes a row for one pixel.
    fn bias_of_row(&self) -> usize {
        match self.by.finished_pixel() {
            pixel if pixel == self.geometry().output[2] => 0,
            row => row,
        }
    }

    /// Computes the output.
    ///
    /// # Panics
    /// If a length is wrong, if something is to be fused that the pass was not prepared for, or if a map is added or summed that is pooled.
    pub fn run(&self, cpu: &Cpu, operands: ForwardOperands) {
        let ForwardOperands {
            input,
            packed,
            epilogue,
            output,
            scratch,
        } = operands;
        let prepared = &self.prepared;
        prepared.check_cpu(cpu);
        prepared.check_input(&input);
        prepared.check_packed(packed, self.packed_len());
        prepared.check_sums(epilogue.sums.is_some());
        let filters = self.geometry().output[2];
        assert!(
            epilogue.bias.is_none_or(|bias| bias.len() == filters),
            "bias"
        );
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let (bias_of_row, scratch) = scratch.split_at_mut(self.bias_of_row());
        let epilogue = match epilogue.bias {
            Some(bias) if !bias_of_row.is_empty() => {
                bias_of_row
                    .chunks_mut(filters)
                    .for_each(|pixel| pixel.copy_from_slice(bias));
                Epilogue {
                    bias: Some(bias_of_row),
                    ..epilogue
                }
            }
            _ => epilogue,
        };
        let pixel = self.by.finished_pixel();
        let length = prepared.output_len();
        let mut run = |finish, target| {
            let source = Source::map(input);
            self.by.run(
                cpu,
                MapOperands {
                    source,
                    packed,
                    finish,
                    target,
                    scratch,
                },
            );
        };
        match output {
            Destination::Map(map) => {
                assert!(!prepared.fused.pooled, "this pass pools");
                assert_eq!(map.len(), length, "output");
                let finish = Finish::forward(&epilogue, map, pixel);
                let finish = finish.summing(epilogue.sums, pixel, self.sums_parts());
                run(finish, MapTarget::Map(&DisjointMut::new(map)));
            }
            Destination::Pooled { values, winners } => {
                assert!(prepared.fused.pooled, "this pass does not pool");
                assert_eq!(values.len(), length, "output");
                assert!(
                    winners.as_ref().is_none_or(|w| w.len() == length),
                    "winners"
                );
                let winners = winners.map(DisjointMut::new);
                let target = PooledTarget {
                    values: &DisjointMut::new(values),
                    winners: winners.as_ref(),
                };
                run(Finish::pooled(&epilogue, pixel), MapTarget::Pooled(target));
            }
        }
    }

    /// # Panics
    /// If the pass was not prepared for this processor's instruction set.
    pub(super) fn check_cpu(&self, cpu: &Cpu) {
        self.prepared.check_cpu(cpu);
    }

    /// The loop as one that computes some rows at a time, if it can.
    pub(super) fn by_rows(&self) -> Option<&dyn RowsLoop> {
        self.by.by_rows()
    }
}

/// An input gradient (a transposed convolution of the output gradient), prepared for one geometry.
#[derive(Debug)]
pub struct InputGradient {
    prepared: Prepared,
    by: Box<dyn MapLoop>,
}

impl InputGradient {
    /// Prepares a pass; `geometry` is the forward convolution's. None where the algorithm cannot compute it with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        Some(Self {
            prepared: Prepared::new(cpu, geometry, algorithm, fused),
            by: algorithm.map_loop(cpu, geometry, Pass::InputGradient, fused)?,
        })
    }

    /// The loop that computes it.
    pub fn algorithm(&self) -> Algorithm {
        self.prepared.algorithm
    }

    /// Floats of the packed weights; 0 where [`InputGradient::run`] takes the weights as they are.
    pub fn packed_len(&self) -> usize {
        self.by.packed_len()
    }

    /// Writes `weights` in the order that [`InputGradient::run`] reads; does nothing where [`InputGradient::packed_len`] is 0.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        self.prepared.check_cpu(cpu);
        self.prepared
            .check_packing(weights, packed, self.packed_len());
        self.by.pack(cpu, weights, packed);
    }

    /// Parts in which [`InputGradient::run`] takes sums, if it was prepared for that.
    pub fn sums_parts(&self) -> usize {
        self.by.sums_parts()
    }

    /// Floats of scratch that [`InputGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.by.scratch_len()
    }

    /// Computes the input gradient.
    ///
    /// # Panics
    /// If a length is wrong, or if something is to be fused that the pass was not prepared for.
    pub fn run(&self, cpu: &Cpu, operands: InputGradientOperands) {
        let InputGradientOperands {
            output_gradient,
            packed,
            epilogue,
            input_gradient,
            scratch,
        } = operands;
        let prepared = &self.prepared;
        prepared.check_cpu(cpu);
        let source = prepared.source(output_gradient);
        prepared.check_packed(packed, self.packed_len());
        prepared.check_sums(epilogue.sums.is_some());
        let is_normalised = epilogue.mask.is_some_and(|(y, _)| y.normalised.is_some());
        assert!(
            prepared.fused.normalised || !is_normalised,
            "this pass does not normalise"
        );
        let length = prepared.geometry.input_len();
        assert_eq!(input_gradient.len(), length, "input gradient");
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let pixel = self.by.finished_pixel();
        let finish = Finish::gradient(&epilogue, input_gradient, pixel);
        let finish = finish.summing(epilogue.sums, pixel, self.sums_parts());
        let target = MapTarget::Map(&DisjointMut::new(input_gradient));
        self.by.run(
            cpu,
            MapOperands {
                source,
                packed,
                finish,
                target,
                scratch,
            },
        );
    }
}

/// Weight and bias gradient, prepared for one geometry.
#[derive(Debug)]
pub struct WeightGradient {
    prepared: Prepared,
    by: Box<dyn WeightLoop>,
}

impl WeightGradient {
    /// Prepares a pass; `geometry` is the forward convolution's. None where the algorithm cannot compute it with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        Some(Self {
            prepared: Prepared::new(cpu, geometry, algorithm, fused),
            by: algorithm.weight_loop(cpu, geometry, fused)?,
        })
    }

    /// The loop that computes it.
    pub fn algorithm(&self) -> Algorithm {
        self.prepared.algorithm
    }

    /// The forward convolution.
    pub fn geometry(&self) -> &Geometry {
        &self.prepared.geometry
    }

    /// What it computes together with the convolution.
    pub(super) fn fused(&self) -> Fused {
        self.prepared.fused
    }

    /// Floats of scratch that [`WeightGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.by.scratch_len()
    }

    /// Computes the weight gradient and, if asked, the bias gradient; what was there before is overwritten.
    ///
    /// # Panics
    /// If a length is wrong, or if something is to be fused that the pass was not prepared for.
    pub fn run(&self, cpu: &Cpu, operands: WeightGradientOperands) {
        let WeightGradientOperands {
            input,
            output_gradient,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let prepared = &self.prepared;
        prepared.check_cpu(cpu);
        prepared.check_input(&input);
        let output_gradient = prepared.source(output_gradient);
        let geometry = &prepared.geometry;
        assert_eq!(weight_gradient.len(), geometry.weights(), "weight gradient");
        let filters = geometry.output[2];
        assert!(
            bias_gradient.as_ref().is_none_or(|b| b.len() == filters),
            "bias gradient"
        );
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        self.by.run(
            cpu,
            WeightOperands {
                input,
                output_gradient,
                weight_gradient,
                bias_gradient,
                scratch,
            },
        );
    }
}
