//! The shape of one sample's feature map.
use std::fmt;

/// The shape of one sample's feature map, `[height, width, channels]`; the batch is never part of it.
/// After `flatten` a vector of n numbers is `1×1×n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels; the innermost (contiguous) dimension.
    pub channels: usize,
}

impl Shape {
    /// A map of `height` rows, `width` columns and `channels` channels.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
        }
    }

    /// Number of values in one sample.
    pub fn len(self) -> usize {
        self.height * self.width * self.channels
    }

    /// The index of the value at row, column and channel in a sample.
    pub(crate) fn index(self, [y, x, channel]: [usize; 3]) -> usize {
        (y * self.width + x) * self.channels + channel
    }

    /// The row, column and channel of the value at `index`.
    pub(crate) fn place(self, index: usize) -> [usize; 3] {
        let pixel = index / self.channels;
        [
            pixel / self.width,
            pixel % self.width,
            index % self.channels,
        ]
    }

    /// Whether a sample has no values.
    pub fn is_empty(self) -> bool {
        [self.height, self.width, self.channels].contains(&0)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}×{}", self.height, self.width, self.channels)
    }
}
