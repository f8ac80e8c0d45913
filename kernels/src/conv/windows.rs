//! Direct convolution of few channels with its max pooling by 2×2 windows. In the forward pass the lanes of a vector are neighbouring
//! windows: a pixel's few channels would leave most lanes empty. In the gradients each value of the pooled gradient belongs to one pixel of
//! its window: the other three quarters of the products are zero and are not computed.
mod forward;
mod input_gradient;
mod weight_gradient;

use crate::conv::Geometry;

pub(in crate::conv) use forward::WindowsForward;
pub(in crate::conv) use input_gradient::WindowsInputGradient;
pub(in crate::conv) use weight_gradient::WindowsWeightGradient;

/// The sums that a tile keeps in registers.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct SumsShape {
    pub(in crate::conv) rows: usize,
    /// Vectors of a row.
    pub(in crate::conv) vectors: usize,
}

/// An image with the borders that its windows reach.
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
