//! The three passes of a convolution, each with one interface whatever loop computes it.
//!
//! A pass is prepared once for a geometry. It tells the lengths of its packed weights and its scratch, packs the weights, and runs any number
//! of times. Its `run` checks all lengths, so that the loops need not.
use std::ops::Deref;

use crate::map::{Input, PooledTarget, Source};
use crate::pool::{Pooled, Winner};
use crate::{Cpu, DisjointMut};

use super::choose::Algorithm;
use super::finish::Finish;
use super::loops::{
    Fused, MapLoop, MapOperands, MapTarget, Pass, RowsLoop, WeightLoop, WeightOperands,
};
use super::{Epilogue, Geometry, GradientEpilogue};

/// Where a forward pass writes.
#[derive(Debug)]
pub enum Destination<'a> {
    /// The output, `[n, y, x, c]`.
    Map(&'a mut [f32]),
    /// The output pooled by 2×2 windows, for a pass made with [`Fused::pooled`].
    Pooled {
        /// `[n, y / 2, x / 2, c]`
        values: &'a mut [f32],
        /// For each value, the pixel of its window that it came from, numbered as in [`pool::max_forward`](crate::pool::max_forward).
        winners: Option<&'a mut [Winner]>,
    },
}

/// The gradient that a pass reads.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a> {
    /// The gradient of the output.
    Map(&'a [f32]),
    /// The gradient of the pooled output, for a pass made with [`Fused::pooled`].
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
    /// The weights as [`MapPass::pack`] wrote them, or as they are where [`MapPass::packed_len`] is 0.
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
    /// The weights as [`MapPass::pack`] wrote them, or as they are where [`MapPass::packed_len`] is 0.
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
    /// One element for each output channel, if it is wanted. Every element is written.
    pub bias_gradient: Option<&'a mut [f32]>,
    /// At least [`WeightGradient::scratch_len`] floats.
    pub scratch: &'a mut [f32],
}

/// What a pass of any kind was prepared for.
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
}

/// What a forward pass and an input gradient have in common: from a map and packed weights to a map.
#[derive(Debug)]
pub struct MapPass {
    prepared: Prepared,
    map_loop: Box<dyn MapLoop>,
}

impl MapPass {
    fn new(
        cpu: &Cpu,
        geometry: Geometry,
        algorithm: Algorithm,
        pass: Pass,
        fused: Fused,
    ) -> Option<Self> {
        Some(Self {
            prepared: Prepared::new(cpu, geometry, algorithm, fused),
            map_loop: algorithm.map_loop(cpu, geometry, pass, fused)?,
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

    /// Floats of the packed weights; 0 where the pass reads the weights as they are.
    pub fn packed_len(&self) -> usize {
        self.map_loop.packed_len()
    }

    /// Writes `weights` in the order that the pass reads; does nothing where [`packed_len`](Self::packed_len) is 0.
    ///
    /// # Panics
    /// If a length is wrong.
    pub fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        self.prepared.check_cpu(cpu);
        assert_eq!(weights.len(), self.geometry().weights_len(), "weights");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        self.map_loop.pack(cpu, weights, packed);
    }

    /// Parts in which the pass takes sums, if it was prepared for that.
    pub fn sums_parts(&self) -> usize {
        self.map_loop.sums_parts()
    }

    /// Checks what both passes read, but for their map.
    fn check(&self, cpu: &Cpu, packed: &[f32], has_sums: bool) {
        self.prepared.check_cpu(cpu);
        let packed_len = match self.packed_len() {
            0 => self.geometry().weights_len(),
            packed_len => packed_len,
        };
        assert_eq!(packed.len(), packed_len, "packed weights");
        assert!(
            self.prepared.fused.sums || !has_sums,
            "this pass takes no sums"
        );
    }
}

/// A forward pass, prepared for one geometry.
#[derive(Debug)]
pub struct Forward(MapPass);

impl Deref for Forward {
    type Target = MapPass;

    fn deref(&self) -> &MapPass {
        &self.0
    }
}

impl Forward {
    /// Prepares a pass. None where the algorithm cannot compute `geometry` with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        MapPass::new(cpu, geometry, algorithm, Pass::Forward, fused).map(Self)
    }

    /// Floats of scratch that [`Forward::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.map_loop.scratch_len() + self.row_bias_len()
    }

    /// Floats of the bias repeated for a row of the output, where the loop finishes a row as one pixel; else 0.
    fn row_bias_len(&self) -> usize {
        match self.map_loop.finished_pixel() {
            pixel if pixel == self.geometry().output[2] => 0,
            row => row,
        }
    }

    /// Computes the output.
    ///
    /// # Panics
    /// - If a length is wrong.
    /// - If something is to be fused that the pass was not prepared for.
    /// - If the output is pooled, and a map is to be added to it or sums are to be taken.
    pub fn run(&self, cpu: &Cpu, operands: ForwardOperands) {
        let ForwardOperands {
            input,
            packed,
            epilogue,
            output,
            scratch,
        } = operands;
        let prepared = &self.prepared;
        self.check(cpu, packed, epilogue.sums.is_some());
        prepared.check_input(&input);
        let filters = self.geometry().output[2];
        assert!(
            epilogue.bias.is_none_or(|bias| bias.len() == filters),
            "bias"
        );
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let (bias_of_row, scratch) = scratch.split_at_mut(self.row_bias_len());
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
        let pixel = self.map_loop.finished_pixel();
        let output_len = prepared.output_len();
        let mut run = |finish, target| {
            let source = Source::map(input);
            self.map_loop.run(
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
                assert_eq!(map.len(), output_len, "output");
                let finish = Finish::forward(&epilogue, map, pixel);
                let finish = finish.summing(epilogue.sums, pixel, self.sums_parts());
                run(finish, MapTarget::Map(&DisjointMut::new(map)));
            }
            Destination::Pooled { values, winners } => {
                assert!(prepared.fused.pooled, "this pass does not pool");
                assert_eq!(values.len(), output_len, "output");
                assert!(
                    winners.as_ref().is_none_or(|w| w.len() == output_len),
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

    /// The loop as one that computes some rows of the output at a time. None if it cannot, or if it pools: it computes other rows then.
    pub(super) fn by_rows(&self) -> Option<&dyn RowsLoop> {
        self.map_loop
            .by_rows()
            .filter(|_| !self.prepared.fused.pooled)
    }
}

/// An input gradient (a transposed convolution of the output gradient), prepared for one geometry.
#[derive(Debug)]
pub struct InputGradient(MapPass);

impl Deref for InputGradient {
    type Target = MapPass;

    fn deref(&self) -> &MapPass {
        &self.0
    }
}

impl InputGradient {
    /// Prepares a pass; `geometry` is the forward convolution's. None where the algorithm cannot compute it with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        MapPass::new(cpu, geometry, algorithm, Pass::InputGradient, fused).map(Self)
    }

    /// Floats of scratch that [`InputGradient::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.map_loop.scratch_len()
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
        self.check(cpu, packed, epilogue.sums.is_some());
        let source = prepared.source(output_gradient);
        let is_normalised = epilogue.mask.is_some_and(|(y, _)| y.normalised.is_some());
        assert!(
            prepared.fused.normalised || !is_normalised,
            "this pass does not normalise"
        );
        let input_len = prepared.geometry.input_len();
        assert_eq!(input_gradient.len(), input_len, "input gradient");
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let pixel = self.map_loop.finished_pixel();
        let finish = Finish::gradient(&epilogue, input_gradient, pixel);
        let finish = finish.summing(epilogue.sums, pixel, self.sums_parts());
        let target = MapTarget::Map(&DisjointMut::new(input_gradient));
        self.map_loop.run(
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
    weight_loop: Box<dyn WeightLoop>,
}

impl WeightGradient {
    /// Prepares a pass; `geometry` is the forward convolution's. None where the algorithm cannot compute it with all that is to be fused.
    pub fn new(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) -> Option<Self> {
        Some(Self {
            prepared: Prepared::new(cpu, geometry, algorithm, fused),
            weight_loop: algorithm.weight_loop(cpu, geometry, fused)?,
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
        self.weight_loop.scratch_len()
    }

    /// Computes the weight gradient and, if asked, the bias gradient. Both are overwritten.
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
        assert_eq!(
            weight_gradient.len(),
            geometry.weights_len(),
            "weight gradient"
        );
        let filters = geometry.output[2];
        assert!(
            bias_gradient.as_ref().is_none_or(|b| b.len() == filters),
            "bias gradient"
        );
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        self.weight_loop.run(
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
