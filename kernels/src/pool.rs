//! Pooling: the largest number or the mean of each window, and the way back.
pub(crate) mod fused;
mod passes;

use std::ops::Range;

use crate::stream::is_streamed;
use crate::{Cpu, DisjointMut, Input};
use passes::{Average, Gather, Max, Share, Spread};

/// Where the windows of a pooling lie, for a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels.
    pub output: [usize; 3],
    /// The rule that places the windows.
    pub regions: Regions,
}

/// How windows are laid over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Windows of one size at one interval.
    Sliding {
        /// Height and width.
        kernel: [usize; 2],
        /// Interval down and to the right.
        stride: [usize; 2],
        /// Rows and columns outside the map: top, left, bottom, right.
        padding: [usize; 4],
        /// Whether the mean's divisor counts the padding.
        count_padding: bool,
    },
    /// Output i of n reads rows ⌊i·H/n⌋ to ⌈(i+1)·H/n⌉, as in PyTorch; with n = 1, the whole map.
    Adaptive,
}

/// The place of a winner within its window, row by row, padding left out.
pub type Index = u16;

/// Which of a 2×2 window won, row by row.
pub type Winner = u8;

/// The gradient of a map that was pooled by 2×2 windows side by side: each number belongs to one pixel of its window.
#[derive(Clone, Copy, Debug)]
pub struct Pooled<'a> {
    /// `[n, y, x, c]` of the pooled map.
    pub gradient: &'a [f32],
    /// For each of these numbers, whose it is.
    pub winners: &'a [Winner],
}

impl Window {
    /// The rows (axis 0) or columns (axis 1) of the map under window `i`.
    fn range(&self, axis: usize, i: usize) -> Range<usize> {
        let size = self.input[axis];
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                ..
            } => {
                let start = i * stride[axis];
                let clip = |place: usize| place.saturating_sub(padding[axis]).min(size);
                clip(start)..clip(start + kernel[axis])
            }
            Regions::Adaptive => {
                let count = self.output[axis];
                i * size / count..((i + 1) * size).div_ceil(count)
            }
        }
    }

    /// What the mean along this axis is divided by.
    fn divisor(&self, axis: usize, i: usize) -> usize {
        match self.regions {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                count_padding: true,
            } => {
                let start = i * stride[axis];
                let end = self.input[axis] + padding[axis] + padding[axis + 2];
                (start + kernel[axis]).min(end) - start
            }
            _ => self.range(axis, i).len(),
        }
    }

    fn axis(&self, axis: usize) -> Axis {
        let count = self.output[axis];
        let windows: Vec<_> = (0..count).map(|i| self.range(axis, i)).collect();
        let mut covering = vec![count..0; self.input[axis]];
        for (i, window) in windows.iter().enumerate() {
            for covering in &mut covering[window.clone()] {
                *covering = covering.start.min(i)..i + 1;
            }
        }
        for covering in &mut covering {
            covering.start = covering.start.min(covering.end);
        }
        let divisors = || (0..count).map(|i| self.divisor(axis, i) as f32);
        Axis {
            is_disjoint: covering.iter().all(|covering| covering.len() <= 1),
            is_tiled: covering.iter().all(|covering| covering.len() == 1),
            divisors: divisors().collect(),
            shares: divisors().map(f32::recip).collect(),
            windows,
            covering,
        }
    }

    fn grid(&self) -> Grid {
        Grid {
            y: self.axis(0),
            x: self.axis(1),
            channels: self.input[2],
        }
    }

    fn check(&self, input: usize, output: usize) {
        let [input_len, output_len] =
            [self.input, self.output].map(|shape| self.batch * shape.iter().product::<usize>());
        assert_eq!(input, input_len, "length of the input");
        assert_eq!(output, output_len, "length of the output");
        assert_eq!(self.input[2], self.output[2], "pooling keeps the channels");
    }
}

/// Where the windows lie along one axis.
#[derive(Debug)]
struct Axis {
    /// For each output, what it reads.
    windows: Vec<Range<usize>>,
    /// For each output, its part of the mean's divisor.
    divisors: Vec<f32>,
    /// 1 / divisor.
    shares: Vec<f32>,
    /// For each input, the outputs that read it: as windows only move on, they have no gaps.
    covering: Vec<Range<usize>>,
    /// Whether no input has two readers.
    is_disjoint: bool,
    /// Whether each input has one reader.
    is_tiled: bool,
}

/// The windows of an image.
#[derive(Debug)]
struct Grid {
    y: Axis,
    x: Axis,
    channels: usize,
}

impl Grid {
    /// Numbers in a row of the input.
    fn input_row(&self) -> usize {
        self.x.covering.len() * self.channels
    }

    /// Numbers in a row of the output.
    fn output_row(&self) -> usize {
        self.x.windows.len() * self.channels
    }

    /// Numbers in an input image.
    fn input_len(&self) -> usize {
        self.y.covering.len() * self.input_row()
    }

    /// Numbers in an output image.
    fn output_len(&self) -> usize {
        self.y.windows.len() * self.output_row()
    }

    /// The row of the batch at which window `i` of all rows of output begins.
    fn top_row_of(&self, i: usize) -> usize {
        let height = self.y.windows.len();
        i / height * self.y.covering.len() + self.y.windows[i % height].start
    }

    /// The first of the rows that belong to window `i` where windows are disjoint: rows before a window that no other has belong to the
    /// one above, or to the first.
    fn first_row_of(&self, i: usize) -> usize {
        let height = self.y.windows.len();
        if i.is_multiple_of(height) {
            i / height * self.y.covering.len()
        } else {
            self.top_row_of(i)
        }
    }

    /// Output rows of a task: they read about as many numbers as fit a core's cache.
    fn output_rows_of_task(&self) -> usize {
        let read = self.input_len().div_ceil(self.y.windows.len());
        (PIECE / read.max(1)).max(1)
    }

    /// Input rows of a task.
    fn input_rows_of_task(&self) -> usize {
        (PIECE / self.input_row()).max(1)
    }
}

/// Numbers of the larger map in one task: 128 kB.
const PIECE: usize = 32 * 1024;

/// The largest number of each window of the input, which may be normalised on the way, and, in `index`, its place. The first of equal numbers wins, a NaN always, padding never; as in
/// PyTorch.
///
/// # Panics
/// If `index` is asked for and a window has more places than [`Index`] can tell apart.
pub fn max_forward<'a>(
    cpu: &Cpu,
    window: &Window,
    input: impl Into<Input<'a>>,
    output: &mut [f32],
    index: Option<&mut [Index]>,
) {
    let input = input.into();
    window.check(input.map.len(), output.len());
    (input.normalised.iter()).for_each(|by| by.check(window.input[2]));
    let grid = window.grid();
    if let Some(index) = &index {
        assert_eq!(index.len(), output.len(), "length of the index");
        let widest = |axis: &Axis| axis.windows.iter().map(Range::len).max().unwrap_or(0);
        assert!(
            widest(&grid.y) * widest(&grid.x) <= 1 << Index::BITS,
            "a window of at most {} places has an index",
            1_usize << Index::BITS
        );
    }
    let index = index.map(DisjointMut::new);
    let rows = grid.output_rows_of_task();
    let piece = rows * grid.output_row();
    cpu.parallel_chunks(output, piece, |i, output| {
        let range = i * piece..i * piece + output.len();
        // SAFETY: each task writes a part of its own.
        let index = index
            .as_ref()
            .map(|index| unsafe { index.slice(range.clone()) });
        cpu.dispatch(Max {
            grid: &grid,
            first: i * rows,
            input,
            output,
            index,
        });
    });
}

/// Hands the gradient of each window to its winner; adds to what is there where `accumulate`.
pub fn max_backward(
    cpu: &Cpu,
    window: &Window,
    index: &[Index],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(index.len(), output_gradient.len(), "length of the index");
    let share = Share::Winner(index);
    backward(
        cpu,
        window,
        share,
        output_gradient,
        input_gradient,
        accumulate,
    );
}

/// The mean of each window.
pub fn average_forward(cpu: &Cpu, window: &Window, input: &[f32], output: &mut [f32]) {
    window.check(input.len(), output.len());
    let grid = window.grid();
    let rows = grid.output_rows_of_task();
    cpu.parallel_chunks(output, rows * grid.output_row(), |i, output| {
        cpu.dispatch(Average {
            grid: &grid,
            first: i * rows,
            input,
            output,
        });
    });
}

/// Shares the gradient of each window among its pixels; adds to what is there where `accumulate`.
pub fn average_backward(
    cpu: &Cpu,
    window: &Window,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    backward(
        cpu,
        window,
        Share::Mean,
        output_gradient,
        input_gradient,
        accumulate,
    );
}

fn backward(
    cpu: &Cpu,
    window: &Window,
    share: Share<'_>,
    gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    window.check(input_gradient.len(), gradient.len());
    let grid = window.grid();
    if !(grid.y.is_disjoint && grid.x.is_disjoint) {
        let rows = grid.input_rows_of_task();
        let is_streamed = !accumulate && is_streamed(input_gradient, grid.channels);
        return cpu.parallel_chunks(input_gradient, rows * grid.input_row(), |i, target| {
            cpu.dispatch(Gather {
                grid: &grid,
                first: i * rows,
                share,
                gradient,
                target,
                accumulate,
                is_streamed,
            });
        });
    }
    let (all, rows) = (window.batch * window.output[0], grid.output_rows_of_task());
    let targets = DisjointMut::new(input_gradient);
    cpu.parallel(all.div_ceil(rows), |i| {
        let own = i * rows..all.min((i + 1) * rows);
        let [start, end] = [own.start, own.end].map(|i| grid.first_row_of(i) * grid.input_row());
        cpu.dispatch(Spread {
            grid: &grid,
            first: own.start,
            rows: own.len(),
            share,
            gradient,
            // SAFETY: `first_row_of` grows, so that the rows of different tasks do not overlap, and each task runs once.
            target: unsafe { targets.slice(start..end) },
            accumulate,
        });
    });
}

#[cfg(test)]
mod tests;
