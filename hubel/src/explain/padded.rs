//! The padded input of a convolution: where the values under its filter come from.
use std::ops::Range;

use hubel_kernels::pad::{self, Padding};

use crate::Shape;
use crate::layers::PaddingMode;
use crate::network::Convolution;

/// The padded input of a convolution.
pub(super) struct Padded<'a> {
    settings: &'a Convolution,
    padding: Padding,
}

/// Where a value under the filter comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The row and column of the input.
    Pixel([usize; 2]),
    /// Padding of this value.
    Border(f32),
}

impl<'a> Padded<'a> {
    pub(super) fn of(settings: &'a Convolution, from: Shape) -> Self {
        let [top, left, bottom, right] = settings.padding;
        let padding = Padding {
            batch: 1,
            input: [from.height, from.width, from.channels],
            output: [
                from.height + top + bottom,
                from.width + left + right,
                from.channels,
            ],
            before: [top, left],
            mode: match settings.mode {
                PaddingMode::Zeros => pad::PaddingMode::Constant(0.0),
                PaddingMode::Constant(value) => pad::PaddingMode::Constant(value),
                PaddingMode::Reflect => pad::PaddingMode::Reflect,
                PaddingMode::Replicate => pad::PaddingMode::Replicate,
                PaddingMode::Circular => pad::PaddingMode::Circular,
            },
        };
        Self { settings, padding }
    }

    /// The source of the value under row and column `tap` of the filter, for the output at row and column `at`.
    pub(super) fn source(&self, at: [usize; 2], tap: [usize; 2]) -> Source {
        let place = [0, 1].map(|axis| self.place(axis, at[axis], tap[axis]));
        // With `round=ceil` a window may reach beyond the border; the values there are zeros.
        if (0..2).any(|axis| place[axis] >= self.padding.output[axis]) {
            return Source::Border(0.0);
        }
        let row = self.padding.source(0, place[0]);
        match (row.zip(self.padding.source(1, place[1])), self.padding.mode) {
            (Some((row, column)), _) => Source::Pixel([row, column]),
            (None, pad::PaddingMode::Constant(value)) => Source::Border(value),
            (None, _) => unreachable!("only a constant shows no pixel"),
        }
    }

    /// The outputs along an axis whose window reads row or column `read` of the input, each with its row or column in the filter.
    pub(super) fn readers(&self, axis: usize, read: usize, outputs: usize) -> Vec<[usize; 2]> {
        let mut readers = Vec::new();
        for output in 0..outputs {
            for tap in 0..self.settings.kernel[axis] {
                let place = self.place(axis, output, tap);
                let is_inside = place < self.padding.output[axis];
                if is_inside && self.padding.source(axis, place) == Some(read) {
                    readers.push([output, tap]);
                }
            }
        }
        readers
    }

    /// The row or column of the padded input.
    fn place(&self, axis: usize, output: usize, tap: usize) -> usize {
        output * self.settings.stride[axis] + tap * self.settings.dilation[axis]
    }
}

impl Convolution {
    /// The channels of the input that a filter reads: those of its group.
    pub(super) fn channels_of(&self, filter: usize, from: Shape) -> Range<usize> {
        let depth = from.channels / self.groups;
        let first = filter / (self.filters / self.groups) * depth;
        first..first + depth
    }

    /// The filters that read a channel of the input: those of its group.
    pub(super) fn filters_of(&self, channel: usize, from: Shape) -> Range<usize> {
        let count = self.filters / self.groups;
        let first = channel / (from.channels / self.groups) * count;
        first..first + count
    }
}
