//! Pooling: the largest value or the mean of each window, forward and backward.
mod passes;
mod window;

use std::ops::Range;

pub use crate::map::{Pooled, Winner};
use crate::stream::is_streamed;
use crate::{Cpu, DisjointMut, Input};
use passes::{AverageForward, GatherBackward, MaxForward, Share, SpreadBackward};

pub use window::{Regions, Window};

/// The place of the largest pixel within its window: row by row, without the padding.
pub type Index = u16;

/// The windows of a pooling along one axis.
#[derive(Clone, Debug)]
struct AxisWindows {
    /// For each output, the inputs that it reads: at least one.
    windows: Vec<Range<usize>>,
    /// For each output, this axis' part of the mean's divisor.
    divisors: Vec<f32>,
    /// 1 / divisor.
    shares: Vec<f32>,
    /// For each input, the outputs that read it. They have no gaps, because windows only move on.
    covering: Vec<Range<usize>>,
    /// Whether no input has two readers.
    is_disjoint: bool,
    /// Whether each input has exactly one reader.
    is_tiled: bool,
}

impl AxisWindows {
    fn new(window: &Window, axis: usize) -> Self {
        let (size, count) = (window.input()[axis], window.output()[axis]);
        let windows: Vec<_> = (0..count).map(|i| window.range(axis, i)).collect();
        let mut covering = vec![count..0; size];
        for (i, window) in windows.iter().enumerate() {
            for covering in &mut covering[window.clone()] {
                *covering = covering.start.min(i)..i + 1;
            }
        }
        for covering in &mut covering {
            covering.start = covering.start.min(covering.end);
        }
        let divisors = || (0..count).map(|i| window.divisor(axis, i) as f32);
        Self {
            is_disjoint: covering.iter().all(|covering| covering.len() <= 1),
            is_tiled: covering.iter().all(|covering| covering.len() == 1),
            divisors: divisors().collect(),
            shares: divisors().map(f32::recip).collect(),
            windows,
            covering,
        }
    }

    /// Inputs of the largest window.
    fn widest(&self) -> usize {
        self.windows.iter().map(Range::len).max().unwrap_or(0)
    }
}

/// A pooling, prepared for its windows. A run of it takes no memory.
#[derive(Clone, Debug)]
pub struct Pooling {
    window: Window,
    y: AxisWindows,
    x: AxisWindows,
    channels: usize,
}

impl Pooling {
    /// Prepares a pooling: a table of the windows along each axis.
    pub fn new(window: Window) -> Self {
        Self {
            window,
            y: AxisWindows::new(&window, 0),
            x: AxisWindows::new(&window, 1),
            channels: window.input()[2],
        }
    }

    /// Where the windows lie.
    pub fn window(&self) -> &Window {
        &self.window
    }

    fn check(&self, input: usize, output: usize) {
        let [input_len, output_len] = self.window.lengths();
        assert_eq!(input, input_len, "length of the input");
        assert_eq!(output, output_len, "length of the output");
    }

    /// Values of a row of the input.
    fn input_row(&self) -> usize {
        self.x.covering.len() * self.channels
    }

    /// Values of a row of the output.
    fn output_row(&self) -> usize {
        self.x.windows.len() * self.channels
    }

    /// Values of an input image.
    fn input_len(&self) -> usize {
        self.y.covering.len() * self.input_row()
    }

    /// Values of an output image.
    fn output_len(&self) -> usize {
        self.y.windows.len() * self.output_row()
    }

    /// The first input row that output row `i` reads. Both rows are counted through the whole batch.
    fn top_row_of(&self, i: usize) -> usize {
        let height = self.y.windows.len();
        i / height * self.y.covering.len() + self.y.windows[i % height].start
    }

    /// The first input row that output row `i` owns, where windows are disjoint: input rows between two windows belong to the window
    /// above, and rows above the first window of an image to that window.
    fn first_row_of(&self, i: usize) -> usize {
        let height = self.y.windows.len();
        if i.is_multiple_of(height) {
            i / height * self.y.covering.len()
        } else {
            self.top_row_of(i)
        }
    }

    /// Output rows of a task. They read about as many values as fit a core's cache.
    fn output_rows_of_task(&self) -> usize {
        let read = self.input_len().div_ceil(self.y.windows.len());
        (PIECE / read.max(1)).max(1)
    }

    /// Input rows of a task.
    fn input_rows_of_task(&self) -> usize {
        (PIECE / self.input_row()).max(1)
    }
}

/// Values of the larger map in one task: 128 kB.
const PIECE: usize = 32 * 1024;

/// Max pooling: writes the largest value of each window to `output` and its place to `index`. As in PyTorch, the first of equal
/// values wins, a NaN wins over every value, and padding never wins. The input may be normalised on load.
///
/// # Panics
/// If a length is not that of the windows, or if `index` is given and a window has more places than [`Index`] can tell apart.
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
        assert!(
            pooling.y.widest() * pooling.x.widest() <= 1 << Index::BITS,
            "a window of at most {} places has an index",
            1_usize << Index::BITS
        );
    }
    let index = index.map(DisjointMut::new);
    let rows = pooling.output_rows_of_task();
    let piece = rows * pooling.output_row();
    cpu.parallel_chunks(output, piece, |i, output| {
        let range = i * piece..i * piece + output.len();
        // SAFETY: the ranges of different tasks do not overlap, and `parallel_chunks` runs each task once.
        let index = index
            .as_ref()
            .map(|index| unsafe { index.slice(range.clone()) });
        cpu.dispatch(MaxForward {
            pooling,
            first: i * rows,
            input,
            output,
            index,
        });
    });
}

/// Backward of [`max_forward`]: the gradient of each window goes to the pixel that won it. `accumulate` adds to `input_gradient`
/// instead of overwriting it.
///
/// # Panics
/// If a length is not that of the windows.
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

/// Average pooling: writes the mean of each window to `output`.
///
/// # Panics
/// If a length is not that of the windows.
pub fn average_forward(cpu: &Cpu, pooling: &Pooling, input: &[f32], output: &mut [f32]) {
    pooling.check(input.len(), output.len());
    let rows = pooling.output_rows_of_task();
    cpu.parallel_chunks(output, rows * pooling.output_row(), |i, output| {
        cpu.dispatch(AverageForward {
            pooling,
            first: i * rows,
            input,
            output,
        });
    });
}

/// Backward of [`average_forward`]: each pixel gets gradient / divisor of every window that covers it. `accumulate` adds to
/// `input_gradient` instead of overwriting it.
///
/// # Panics
/// If a length is not that of the windows.
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
            cpu.dispatch(GatherBackward {
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
        pooling.window.batch() * pooling.window.output()[0],
        pooling.output_rows_of_task(),
    );
    let targets = DisjointMut::new(input_gradient);
    cpu.parallel(all.div_ceil(rows), |i| {
        let own = i * rows..all.min((i + 1) * rows);
        let [start, end] =
            [own.start, own.end].map(|i| pooling.first_row_of(i) * pooling.input_row());
        cpu.dispatch(SpreadBackward {
            pooling,
            first: own.start,
            rows: own.len(),
            share,
            gradient,
            // SAFETY: `first_row_of` never decreases, so the rows of different tasks do not overlap, and `parallel` runs each task
            // once.
            target: unsafe { targets.slice(start..end) },
            accumulate,
        });
    });
}

#[cfg(test)]
mod tests;
