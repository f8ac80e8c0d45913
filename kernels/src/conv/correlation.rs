//! Forward pass and input gradient in one form: both correlate a source map with weights and write a target map. In the forward pass the
//! source is the input. In the input gradient it is the gradient of the output, and the weights are turned.
use std::ops::Range;

use super::classes::Classes;
use super::{Geometry, Pass};

/// A forward pass or an input gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correlation {
    geometry: Geometry,
    is_forward: bool,
}

/// Channels of both maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    pub(super) source: usize,
    pub(super) target: usize,
}

/// Weights of one tap that are packed as `[term][width]`. Only the first lanes of the width, one for each channel, are written.
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

impl Correlation {
    /// The correlation of a forward pass or an input gradient; `geometry` is the forward convolution's.
    pub(super) fn new(geometry: Geometry, pass: Pass) -> Self {
        assert!(pass != Pass::WeightGradient, "a weight gradient is none");
        Self {
            geometry,
            is_forward: pass == Pass::Forward,
        }
    }

    pub(super) fn is_forward(&self) -> bool {
        self.is_forward
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn channels(&self) -> Channels {
        let [source, target] = self.maps().map(|map| map[2]);
        Channels { source, target }
    }

    /// Pixels of the source, of all images.
    pub(super) fn source_pixels(&self) -> usize {
        let [source, _] = self.maps();
        self.geometry.batch * source[0] * source[1]
    }

    /// Pixels of the target, of all images.
    pub(super) fn target_pixels(&self) -> usize {
        let [_, target] = self.maps();
        self.geometry.batch * target[0] * target[1]
    }

    /// Source and target: height, width, channels.
    pub(super) fn maps(&self) -> [[usize; 3]; 2] {
        match self.is_forward {
            true => [self.geometry.input, self.geometry.output],
            false => [self.geometry.output, self.geometry.input],
        }
    }

    /// The classes of the target's rows and columns.
    pub(super) fn axes(&self) -> [Classes; 2] {
        [0, 1].map(|axis| match self.is_forward {
            true => Classes::forward(&self.geometry, axis),
            false => Classes::backward(&self.geometry, axis),
        })
    }

    /// Copies the weights of a piece to `to`.
    pub(super) fn copy_piece(&self, weights: &[f32], piece: Piece, to: &mut [f32]) {
        let groups = self.geometry.groups;
        let [inputs, filters] = [self.geometry.input[2], self.geometry.output[2]];
        let first = piece.tap * (inputs / groups);
        let filter = piece.group * (filters / groups);
        if self.is_forward {
            let channels = piece.channels;
            for (term, lanes) in piece.terms.zip(to.chunks_mut(piece.width)) {
                let row = &weights[(first + term) * filters + filter + channels.start..];
                lanes[..channels.len()].copy_from_slice(&row[..channels.len()]);
            }
        } else {
            let from = (first + piece.channels.start) * filters + filter + piece.terms.start;
            let rows = Rows {
                values: &weights[from..],
                pitch: filters,
                rows: piece.channels.len(),
                columns: piece.terms.len(),
            };
            rows.transpose(to, piece.width);
        }
    }
}

/// A matrix whose rows begin `pitch` values apart.
struct Rows<'a> {
    values: &'a [f32],
    pitch: usize,
    rows: usize,
    columns: usize,
}

impl Rows<'_> {
    /// Writes the rows as columns of `to`, whose rows are `width` apart.
    fn transpose(&self, to: &mut [f32], width: usize) {
        // Squares, which LLVM transposes in registers.
        const SIDE: usize = 4;
        let whole = |count: usize| count / SIDE * SIDE;
        for row in (0..whole(self.rows)).step_by(SIDE) {
            for column in (0..whole(self.columns)).step_by(SIDE) {
                let square: [[f32; SIDE]; SIDE] = std::array::from_fn(|i| {
                    let row = &self.values[(row + i) * self.pitch + column..];
                    std::array::from_fn(|j| row[..SIDE][j])
                });
                for j in 0..SIDE {
                    let to = &mut to[(column + j) * width + row..][..SIDE];
                    to.copy_from_slice(&square.map(|row| row[j]));
                }
            }
        }
        for row in 0..self.rows {
            let is_whole = row < whole(self.rows);
            let first = if is_whole { whole(self.columns) } else { 0 };
            for column in first..self.columns {
                to[column * width + row] = self.values[row * self.pitch + column];
            }
        }
    }
}
