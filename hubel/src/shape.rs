//! The shape of one sample's feature map.
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The shape of one sample's feature map, `[time, height, width, channels]`; the batch is never part of it.
/// A picture and the map of a picture have a time of 1. A text of t tokens is `t×1×1×1`.
/// After `flatten` a vector of n numbers is `1×1×n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Frames of a clip, or tokens of a text; 1 for a picture.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub time: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels; the innermost (contiguous) dimension.
    pub channels: usize,
}

impl Shape {
    /// A map of `height` rows, `width` columns and `channels` channels, at one time.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self {
            time: 1,
            height,
            width,
            channels,
        }
    }

    /// The same map at `time` times.
    pub const fn over(self, time: usize) -> Self {
        Self { time, ..self }
    }

    /// Number of values in one sample.
    pub fn len(self) -> usize {
        self.sizes().iter().product()
    }

    /// `[time, height, width, channels]`
    pub fn sizes(self) -> [usize; 4] {
        [self.time, self.height, self.width, self.channels]
    }

    /// `[height, width, channels]`, with the time before them if it is not 1.
    pub fn to_vec(self) -> Vec<usize> {
        self.sizes()[usize::from(self.time == 1)..].to_vec()
    }

    /// Whether it is one row of numbers: a time, height and width of 1.
    pub fn is_row(self) -> bool {
        [self.time, self.height, self.width] == [1; 3]
    }

    /// The map at one time.
    pub fn frame(self) -> Self {
        self.over(1)
    }

    /// The index of the value at a place of one sample's map.
    pub fn index(self, at: Place) -> usize {
        let frame = at.time * self.height + at.row;
        (frame * self.width + at.column) * self.channels + at.channel
    }

    /// The place of the value at `index`.
    pub fn place(self, index: usize) -> Place {
        let pixel = index / self.channels;
        let row = pixel / self.width;
        Place {
            time: row / self.height,
            row: row % self.height,
            column: pixel % self.width,
            channel: index % self.channels,
        }
    }

    /// Whether the map has this place.
    pub fn contains(self, at: Place) -> bool {
        let mut pairs = at.numbers().into_iter().zip(self.sizes());
        pairs.all(|(number, size)| number < size)
    }

    /// Whether a sample has no values.
    pub fn is_empty(self) -> bool {
        self.sizes().contains(&0)
    }
}

/// The place of a value in a feature map. All numbers count from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// The time: 0 in the map of a picture.
    pub time: usize,
    /// The row.
    pub row: usize,
    /// The column.
    pub column: usize,
    /// The channel.
    pub channel: usize,
}

impl Place {
    /// A place at the first time.
    pub const fn new(row: usize, column: usize, channel: usize) -> Self {
        Self {
            time: 0,
            row,
            column,
            channel,
        }
    }

    /// The same place at `time`.
    pub const fn over(self, time: usize) -> Self {
        Self { time, ..self }
    }

    /// `[time, row, column, channel]`
    pub fn numbers(self) -> [usize; 4] {
        [self.time, self.row, self.column, self.channel]
    }

    /// `[row, column, channel]`, with the time before them if a map of `shape` has several.
    pub fn numbers_in(self, shape: Shape) -> Vec<usize> {
        self.numbers()[usize::from(shape.time == 1)..].to_vec()
    }

    /// `row 3, column 4, channel 0`, with the time before them if a map of `shape` has several.
    pub fn in_words(self, shape: Shape) -> String {
        let Self {
            time,
            row,
            column,
            channel,
        } = self;
        let place = format!("row {row}, column {column}, channel {channel}");
        match shape.time {
            1 => place,
            _ => format!("time {time}, {place}"),
        }
    }
}

/// Serialises a shape as [its sizes](Shape::to_vec).
pub(crate) fn as_sizes<S: Serializer>(shape: &Shape, serializer: S) -> Result<S::Ok, S::Error> {
    shape.to_vec().serialize(serializer)
}

fn one() -> usize {
    1
}

fn is_one(time: &usize) -> bool {
    *time == 1
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.time != 1 {
            write!(f, "{}×", self.time)?;
        }
        write!(f, "{}×{}×{}", self.height, self.width, self.channels)
    }
}
