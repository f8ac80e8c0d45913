//! Direct convolution of few channels with its max pooling by 2×2 windows. Forward, the lanes of a vector are neighbouring windows, where a
//! pixel's channels would leave most of them empty. Backward, each number of the pooled gradient belongs to one pixel of its window: the
//! three quarters of the products that are zero are never computed.
mod forward;
mod input_gradient;
mod weight_gradient;

use crate::conv::Geometry;

pub(in crate::conv) use forward::WindowsForward;
pub(in crate::conv) use input_gradient::WindowsInputGradient;
pub(in crate::conv) use weight_gradient::WindowsWeightGradient;

/// Sums of a tile.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Tile {
    pub(in crate::conv) rows: usize,
    /// Vectors of a row.
    pub(in crate::conv) vectors: usize,
}

/// An image with the borders that windows reach.
#[derive(Clone, Copy, Debug)]
struct Bordered {
    rows: usize,
    /// Floats of a row.
    pitch: usize,
}

impl Bordered {
    fn len(self) -> usize {
        self.rows * self.pitch
    }
}

/// Whether neighbouring outputs read neighbouring inputs, of all channels.
fn is_dense(geometry: &Geometry) -> bool {
    geometry.stride == [1, 1] && geometry.dilation == [1, 1] && geometry.groups == 1
}

/// Rows and columns of windows.
fn windows(geometry: &Geometry) -> [usize; 2] {
    [geometry.output[0] / 2, geometry.output[1] / 2]
}

/// Rows and columns of the input that the windows read, with borders.
fn reach(geometry: &Geometry) -> [usize; 2] {
    [0, 1].map(|axis| geometry.output[axis] + geometry.kernel[axis] - 1)
}
