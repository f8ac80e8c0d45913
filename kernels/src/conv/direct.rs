//! Convolution that reads the source in place. The input gradient is the same loop as the forward pass, with turned weights and
//! its own table of positions.
use std::ops::Range;

use crate::Cpu;

use super::classes::Classes;
use super::finish::Finish;
use super::gather::{Gather, Output};
use super::spread::Spread;
use super::{Epilogue, Geometry, GradientEpilogue, Input};
use crate::pool::Winner;
use crate::pool::fused::{Source, Target};
use crate::threads::DisjointMut;

/// Forward pass of a direct convolution.
#[derive(Debug)]
pub(super) struct Forward {
    by: Loop,
    geometry: Geometry,
}

/// How target pixels come from source pixels.
#[derive(Debug)]
enum Loop {
    Gather(Gather),
    Spread(Spread),
}

/// Weights of one tap that lie together when packed: `[term][width]`, of which only the channels are given.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) group: usize,
    pub(super) tap: usize,
    /// Source channels of the group.
    pub(super) terms: Range<usize>,
    /// Target channels of the group.
    pub(super) channels: Range<usize>,
    pub(super) width: usize,
}

impl Forward {
    pub(super) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Classes::forward(
                [geometry.input[i], geometry.output[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        let channels = [geometry.input[2], geometry.output[2]];
        Self {
            by: Loop::new(cpu, [axis(0), axis(1)], &geometry, channels),
            geometry,
        }
    }

    /// The loop, if it is the one that gathers.
    pub(super) fn gather(&self) -> Option<&Gather> {
        self.by.gather()
    }

    pub(super) fn packed_len(&self) -> usize {
        self.by.packed_len()
    }

    pub(super) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        let Geometry { groups, .. } = self.geometry;
        let [inputs, filters] = [self.geometry.input[2], self.geometry.output[2]];
        self.by.pack(cpu, packed, |piece, block| {
            let (first, channels) = (piece.tap * (inputs / groups), piece.channels);
            let start = piece.group * (filters / groups) + channels.start;
            for (term, lanes) in piece.terms.zip(block.chunks_mut(piece.width)) {
                let row = &weights[(first + term) * filters + start..];
                lanes[..channels.len()].copy_from_slice(&row[..channels.len()]);
            }
        });
    }

    /// Parts in which a pass sums what it stores, if it can.
    pub(super) fn sums_parts(&self) -> Option<usize> {
        self.by.sums_parts()
    }

    /// Has it normalise what it reads, where it is asked to; false if it cannot.
    pub(super) fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        match &mut self.by {
            Loop::Gather(gather) => gather.normalise_input(cpu),
            Loop::Spread(_) => false,
        }
    }

    /// Numbers of scratch that [`Forward::run`] needs.
    pub(super) fn scratch_len(&self) -> usize {
        match &self.by {
            Loop::Gather(gather) => gather.scratch_len(),
            Loop::Spread(_) => 0,
        }
    }

    /// Prepared to pool what it writes by 2×2 windows, if it can.
    pub(super) fn pooled(self) -> Option<Self> {
        let by = match self.by {
            Loop::Gather(gather) => Loop::Gather(gather.pooled()?),
            Loop::Spread(spread) => Loop::Spread(spread.pooled()),
        };
        Some(Self { by, ..self })
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: Input,
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [height, width, filters] = self.geometry.output;
        let numbers = self.geometry.batch * height * width * filters;
        assert_eq!(output.len(), numbers, "output");
        self.by
            .with_bias_of_row(epilogue, width, |epilogue, channels| {
                let finish = Finish::forward(epilogue, output, channels);
                let finish = finish.summing(epilogue.sums, channels, self.sums_parts());
                let output = Output::Map(&DisjointMut::new(output));
                (self.by).run(cpu, Source::map(input), packed, &finish, output, scratch);
            });
    }

    /// As [`Forward::run`], pooled by 2×2 windows side by side, and if asked who won each.
    #[allow(clippy::too_many_arguments, reason = "as `run`, and the winners")]
    pub(super) fn run_pooled(
        &self,
        cpu: &Cpu,
        input: Input,
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        winners: Option<&mut [Winner]>,
        scratch: &mut [f32],
    ) {
        let [height, width, filters] = self.geometry.output;
        let numbers = self.geometry.batch * (height / 2) * (width / 2) * filters;
        assert_eq!(output.len(), numbers, "output");
        assert!(winners.as_ref().is_none_or(|w| w.len() == numbers));
        let winners = winners.map(DisjointMut::new);
        self.by
            .with_bias_of_row(epilogue, width, |epilogue, channels| {
                let finish = Finish::pooled(epilogue, channels);
                let output = Output::Pooled(Target {
                    values: &DisjointMut::new(output),
                    winners: winners.as_ref(),
                });
                (self.by).run(cpu, Source::map(input), packed, &finish, output, scratch);
            });
    }
}

/// Input gradient of a direct convolution.
#[derive(Debug)]
pub(super) struct InputGradient {
    by: Loop,
    geometry: Geometry,
}

impl InputGradient {
    pub(super) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Classes::backward(
                [geometry.output[i], geometry.input[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        let channels = [geometry.output[2], geometry.input[2]];
        Self {
            by: Loop::new(cpu, [axis(0), axis(1)], &geometry, channels),
            geometry,
        }
    }

    /// The loop, if it is the one that gathers.
    pub(super) fn gather(&self) -> Option<&Gather> {
        self.by.gather()
    }

    pub(super) fn packed_len(&self) -> usize {
        self.by.packed_len()
    }

    pub(super) fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        let Geometry { groups, .. } = self.geometry;
        let [inputs, filters] = [self.geometry.input[2], self.geometry.output[2]];
        self.by.pack(cpu, packed, |piece, block| {
            let (first, terms) = (piece.tap * (inputs / groups), piece.terms);
            let start = piece.group * (filters / groups) + terms.start;
            let sizes = [piece.channels.len(), terms.len()];
            let rows = &weights[(first + piece.channels.start) * filters + start..];
            transpose(rows, filters, sizes, block, piece.width);
        });
    }

    /// Parts in which a pass sums what it stores, if it can.
    pub(super) fn sums_parts(&self) -> Option<usize> {
        self.by.sums_parts()
    }

    /// Whether the y of the mask may be one that is normalised on the way.
    pub(super) fn normalises_mask(&self) -> bool {
        matches!(self.by, Loop::Gather(_))
    }

    /// Prepared to read a pooled gradient, if it can.
    pub(super) fn expanding(self) -> Option<Self> {
        let by = match self.by {
            Loop::Gather(gather) => Loop::Gather(gather.expanding()?),
            Loop::Spread(spread) => Loop::Spread(spread.expanding()?),
        };
        Some(Self { by, ..self })
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: Source,
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let [height, width, inputs] = self.geometry.input;
        let numbers = self.geometry.batch * height * width * inputs;
        assert_eq!(input_gradient.len(), numbers, "input gradient");
        let channels = match &self.by {
            Loop::Gather(_) => inputs,
            Loop::Spread(_) => width * inputs,
        };
        let finish = Finish::gradient(epilogue, input_gradient, channels);
        let finish = finish.summing(epilogue.sums, channels, self.sums_parts());
        let output = Output::Map(&DisjointMut::new(input_gradient));
        self.by
            .run(cpu, output_gradient, packed, &finish, output, &mut []);
    }
}

impl Loop {
    /// The faster loop; `channels` are those of source and target.
    fn new(
        cpu: &Cpu,
        [rows, columns]: [Classes; 2],
        geometry: &Geometry,
        channels: [usize; 2],
    ) -> Self {
        match Spread::new(cpu, [&rows, &columns], geometry, channels) {
            Some(spread) => Self::Spread(spread),
            None => Self::Gather(Gather::new(cpu, [rows, columns], geometry, channels)),
        }
    }

    fn gather(&self) -> Option<&Gather> {
        match self {
            Self::Gather(gather) => Some(gather),
            Self::Spread(_) => None,
        }
    }

    fn run(
        &self,
        cpu: &Cpu,
        source: Source,
        packed: &[f32],
        finish: &Finish,
        output: Output,
        scratch: &mut [f32],
    ) {
        match self {
            Self::Gather(gather) => gather.run(cpu, source, packed, finish, output, scratch),
            Self::Spread(spread) => spread.run(cpu, source, packed, finish, output),
        }
    }

    /// Calls `body` with the channels that the loop sees and their bias: [`Spread`] takes a row of the target for one pixel.
    fn with_bias_of_row(
        &self,
        epilogue: &Epilogue,
        width: usize,
        body: impl FnOnce(&Epilogue, usize),
    ) {
        match self {
            Self::Gather(gather) => body(epilogue, gather.target_channels()),
            Self::Spread(spread) => {
                let bias = epilogue.bias.map(|bias| bias.repeat(width));
                let epilogue = Epilogue {
                    bias: bias.as_deref(),
                    ..*epilogue
                };
                body(&epilogue, width * spread.channels());
            }
        }
    }

    /// A row that [`Spread`] takes for a pixel has each channel many times.
    fn sums_parts(&self) -> Option<usize> {
        match self {
            Self::Gather(gather) => Some(gather.sums_parts()),
            Self::Spread(_) => None,
        }
    }

    fn packed_len(&self) -> usize {
        match self {
            Self::Gather(gather) => gather.packed_len(),
            Self::Spread(spread) => spread.packed_len(),
        }
    }

    fn pack(&self, cpu: &Cpu, packed: &mut [f32], fill: impl Fn(Piece, &mut [f32]) + Sync) {
        match self {
            Self::Gather(gather) => gather.pack(cpu, packed, fill),
            Self::Spread(spread) => spread.pack(packed, fill),
        }
    }
}

/// Writes `rows` rows of `columns` numbers, `pitch` apart, as columns of `to`, whose rows are `width` apart.
fn transpose(
    from: &[f32],
    pitch: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    width: usize,
) {
    // Squares, which LLVM transposes in registers.
    const SIDE: usize = 4;
    let [whole_rows, whole_columns] = [rows, columns].map(|count| count / SIDE * SIDE);
    for row in (0..whole_rows).step_by(SIDE) {
        for column in (0..whole_columns).step_by(SIDE) {
            let square: [[f32; SIDE]; SIDE] = std::array::from_fn(|i| {
                let row = &from[(row + i) * pitch + column..];
                std::array::from_fn(|j| row[..SIDE][j])
            });
            for j in 0..SIDE {
                let to = &mut to[(column + j) * width + row..][..SIDE];
                to.copy_from_slice(&square.map(|row| row[j]));
            }
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            to[column * width + row] = from[row * pitch + column];
        }
    }
}
