//! Convolution that reads the source in place. The input gradient is the same loop as the forward pass, with turned weights and
//! its own table of positions.
use std::ops::Range;

use crate::Cpu;

use super::classes::Classes;
use super::finish::Finish;
use super::gather::Gather;
use super::spread::Spread;
use super::{Epilogue, Geometry, GradientEpilogue};

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

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
    ) {
        let [_, width, filters] = self.geometry.output;
        match &self.by {
            Loop::Gather(gather) => {
                let finish = Finish::forward(epilogue, output, filters);
                gather.run(cpu, input, packed, &finish, output);
            }
            Loop::Spread(spread) => {
                let bias = epilogue.bias.map(|bias| bias.repeat(width));
                let epilogue = Epilogue {
                    bias: bias.as_deref(),
                    ..*epilogue
                };
                let finish = Finish::forward(&epilogue, output, width * filters);
                spread.run(cpu, input, packed, &finish, output);
            }
        }
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
            for (lane, channel) in piece.channels.enumerate() {
                let row = &weights[(first + channel) * filters + start..];
                let column = block[lane..].iter_mut().step_by(piece.width);
                for (to, weight) in column.zip(&row[..terms.len()]) {
                    *to = *weight;
                }
            }
        });
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let [_, width, inputs] = self.geometry.input;
        match &self.by {
            Loop::Gather(gather) => {
                let finish = Finish::gradient(epilogue, input_gradient, inputs);
                gather.run(cpu, output_gradient, packed, &finish, input_gradient);
            }
            Loop::Spread(spread) => {
                let finish = Finish::gradient(epilogue, input_gradient, width * inputs);
                spread.run(cpu, output_gradient, packed, &finish, input_gradient);
            }
        }
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
