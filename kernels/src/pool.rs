//! Pooling: the largest number or the mean of each window, and the way back.
mod passes;

use std::ops::Range;

use crate::stream::is_streamed;
use crate::{Cpu, DisjointMut, Input};
use passes::{Average, Gather, Max, Share, Spread};
pub(crate) use passes::{challenge, larger};

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
    pub fn range(&self, axis: usize, i: usize) -> Range<usize> {
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
    pub fn divisor(&self, axis: usize, i: usize) -> usize {
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

    /// Numbers of the input and of the output, of the whole batch.
    pub fn lengths(&self) -> [usize; 2] {
        [self.input, self.output].map(|shape| self.batch * shape.iter().product::<usize>())
    }
}

/// Where the windows lie along one axis.
#[derive(Clone, Debug)]
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

/// A pooling, prepared for its windows: running it takes no memory.
#[derive(Clone, Debug)]
pub struct Pooling {
    window: Window,
    y: Axis,
    x: Axis,
    channels: usize,
}

impl Pooling {
    /// Prepares a pooling.
    ///
    /// # Panics
    /// If input and output have different channels.
    pub fn new(window: Window) -> Self {
        let channels = window.input[2];
        assert_eq!(channels, window.output[2], "pooling keeps the channels");
        Self {
            window,
            y: window.axis(0),
            x: window.axis(1),
            channels,
        }
    }

    /// Where its windows lie.
    pub fn window(&self) -> &Window {
        &self.window
    }

    fn check(&self, input: usize, output: usize) {
        let [input_len, output_len] = self.window.lengths();
        assert_eq!(input, input_len, "length of the input");
        assert_eq!(output, output_len, "length of the output");
    }

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
    pooling: &Pooling,
    input: impl Into<Input<'a>>,
    output: &mut [f32],
    index: Option<&mut [Index]>,
) {
    let input = input.into();
    pooling.check(input.map.len(), output.len());
    (input.normalised.iter()).for_each(|by| by.check(pooling.channels));
    if let Some(index) = &index {
        assert_eq!(index.len(), output.len(), "length of the index");
        let widest = |axis: &Axis| axis.windows.iter().map(Range::len).max().unwrap_or(0);
        assert!(
            widest(&pooling.y) * widest(&pooling.x) <= 1 << Index::BITS,
            "a window of at most {} places has an index",
            1_usize << Index::BITS
        );
    }
    let index = index.map(DisjointMut::new);
    let rows = pooling.output_rows_of_task();
    let piece = rows * pooling.output_row();
    cpu.parallel_chunks(output, piece, |i, output| {
        let range = i * piece..i * piece + output.len();
        // SAFETY: each task writes a part of its own.
        let index = index
            .as_ref()
            .map(|index| unsafe { index.slice(range.clone()) });
        cpu.dispatch(Max {
            pooling,
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
    pooling: &Pooling,
    index: &[Index],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(index.len(), output_gradient.len(), "length of the index");
    let share = Share::Winner(index);
    backward(
        cpu,
        pooling,
        share,
        output_gradient,
        input_gradient,
        accumulate,
    );
}

/// The mean of each window.
pub fn average_forward(cpu: &Cpu, pooling: &Pooling, input: &[f32], output: &mut [f32]) {
    pooling.check(input.len(), output.len());
    let rows = pooling.output_rows_of_task();
    cpu.parallel_chunks(output, rows * pooling.output_row(), |i, output| {
        cpu.dispatch(Average {
            pooling,
            first: i * rows,
            input,
            output,
        });
    });
}

/// Shares the gradient of each window among its pixels; adds to what is there where `accumulate`.
pub fn average_backward(
    cpu: &Cpu,
    pooling: &Pooling,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    backward(
        cpu,
        pooling,
        Share::Mean,
        output_gradient,
        input_gradient,
        accumulate,
    );
}

fn backward(
    cpu: &Cpu,
    pooling: &Pooling,
    share: Share<'_>,
    gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    pooling.check(input_gradient.len(), gradient.len());
    if !(pooling.y.is_disjoint && pooling.x.is_disjoint) {
        let rows = pooling.input_rows_of_task();
        let is_streamed = !accumulate && is_streamed(input_gradient, pooling.channels);
        return cpu.parallel_chunks(input_gradient, rows * pooling.input_row(), |i, target| {
            cpu.dispatch(Gather {
                pooling,
                first: i * rows,
                share,
                gradient,
                target,
                accumulate,
                is_streamed,
            });
        });
    }
    let (all, rows) = (
        pooling.window.batch * pooling.window.output[0],
        pooling.output_rows_of_task(),
    );
    let targets = DisjointMut::new(input_gradient);
    cpu.parallel(all.div_ceil(rows), |i| {
        let own = i * rows..all.min((i + 1) * rows);
        let [start, end] =
            [own.start, own.end].map(|i| pooling.first_row_of(i) * pooling.input_row());
        cpu.dispatch(Spread {
            pooling,
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
