//! The pooled output: the lanes of a vector are windows.
use std::ops::Range;

use crate::conv::Geometry;
use crate::conv::finish::Finish;
use crate::conv::loops::{MapLoop, MapOperands, MapTarget};
use crate::map::{BUFFER_FLOATS, PooledTarget, TaskBuffer};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;
use crate::{Cpu, InstructionSet};

use super::{is_dense, windows};

/// Tasks that keep a few threads equally busy.
const TASKS: usize = 32;
/// Rows of windows of a task at least, where there are that many.
const TASK_ROWS: usize = 4;
/// Lanes at most.
const LANES: usize = 16;
/// Filters of a block, whose sums are in registers at the same time: the sizes for which there is a loop.
const BLOCKS: [usize; 4] = [2, 3, 4, 6];
/// Filters of a block at most.
const FILTERS: usize = 6;

/// Forward pass of a direct convolution with few filters, pooled.
#[derive(Debug)]
pub(in crate::conv) struct WindowsForward {
    geometry: Geometry,
    /// Filters of a block.
    block: usize,
    /// Rows of windows of a task.
    rows: usize,
    /// Floats from the even columns of a row of the copied input to the odd ones.
    pitch: usize,
}

/// Blocks of filters that are needed at least, so that a block's sums fit into the registers.
fn least_blocks(cpu: &Cpu, filters: usize) -> usize {
    // A filter has four sums. The fifth register holds what they are computed from.
    let registers = match cpu.instruction_set() {
        InstructionSet::Avx2 => 16,
        _ => 32,
    };
    filters.div_ceil(registers / 5)
}

/// Filters of a block. None where that is more than any loop has.
fn block(cpu: &Cpu, filters: usize) -> Option<usize> {
    let needed = filters.div_ceil(least_blocks(cpu, filters));
    BLOCKS.into_iter().find(|block| *block >= needed)
}

/// Floats from the even columns of a row of the copied input to the odd ones.
fn pitch(cpu: &Cpu, geometry: &Geometry) -> usize {
    let [_, width] = windows(geometry);
    width.next_multiple_of(cpu.lanes()) + geometry.kernel[1] / 2
}

/// Rows of windows of a task at most: the rows that they read have to fit into the task's buffer. None where no row of windows fits.
fn most_rows(cpu: &Cpu, geometry: &Geometry) -> Option<usize> {
    let row_len = 2 * pitch(cpu, geometry) * geometry.input[2];
    Some((BUFFER_FLOATS / row_len).checked_sub(geometry.kernel[0] + 1)? / 2 + 1)
}

impl WindowsForward {
    /// Whether the pass computes `geometry`, which has an even output.
    pub(in crate::conv) fn supports(cpu: &Cpu, geometry: &Geometry) -> bool {
        is_dense(geometry)
            && cpu.lanes() <= LANES
            && block(cpu, geometry.output[2]).is_some()
            && most_rows(cpu, geometry).is_some()
    }

    /// Vectors of sums of a row of windows, padding of windows and filters included.
    pub(in crate::conv) fn sums_of_row(cpu: &Cpu, geometry: &Geometry) -> Option<usize> {
        let ([_, width], filters) = (windows(geometry), geometry.output[2]);
        let filters = least_blocks(cpu, filters) * block(cpu, filters)?;
        Some(4 * width.div_ceil(cpu.lanes()) * filters)
    }

    /// The pass, where it is [supported](WindowsForward::supports).
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let [height, _] = windows(&geometry);
        let most = most_rows(cpu, &geometry).expect("a row of windows fits");
        let chunks = TASKS
            .div_ceil(geometry.batch)
            .min(height / TASK_ROWS)
            .max(height.div_ceil(most));
        Self {
            geometry,
            block: block(cpu, geometry.output[2]).expect("a block of filters"),
            rows: height.div_ceil(chunks),
            pitch: pitch(cpu, &geometry),
        }
    }

    fn terms(&self) -> usize {
        self.geometry.kernel.iter().product::<usize>() * self.geometry.input[2]
    }

    fn blocks(&self) -> usize {
        self.geometry.output[2].div_ceil(self.block)
    }
}

impl MapLoop for WindowsForward {
    fn packed_len(&self) -> usize {
        self.blocks() * self.terms() * self.block
    }

    /// Packs the weights as `[block][tap][term][filter]`.
    fn pack(&self, _: &Cpu, weights: &[f32], packed: &mut [f32]) {
        let (filters, terms) = (self.geometry.output[2], self.terms());
        for (i, to) in packed.chunks_mut(self.block).enumerate() {
            let (block, term) = (i / terms, i % terms);
            let first = block * self.block;
            let count = (filters - first).min(self.block);
            to[..count].copy_from_slice(&weights[term * filters + first..][..count]);
            to[count..].fill(0.0);
        }
    }

    fn finished_pixel(&self) -> usize {
        self.geometry.output[2]
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source,
            packed,
            finish,
            target,
            ..
        } = operands;
        let MapTarget::Pooled(target) = target else {
            unreachable!("`choose` makes this pass only together with the pooling");
        };
        let input = source.unpooled();
        let [height, _] = windows(&self.geometry);
        let image_len: usize = self.geometry.input.iter().product();
        let chunks = height.div_ceil(self.rows);
        cpu.parallel(self.geometry.batch * chunks, |task| {
            let (image, start) = (task / chunks, task % chunks * self.rows);
            cpu.dispatch(WindowsForwardTask {
                whole: self,
                input: &input[image * image_len..(image + 1) * image_len],
                packed,
                finish: &finish,
                target,
                image,
                rows: start..(start + self.rows).min(height),
            });
        });
    }
}

/// Some rows of windows of an image.
struct WindowsForwardTask<'a> {
    whole: &'a WindowsForward,
    input: &'a [f32],
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    target: PooledTarget<'a>,
    image: usize,
    rows: Range<usize>,
}

impl Kernel for WindowsForwardTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.whole.block {
            2 => self.all::<S, 2>(simd),
            3 => self.all::<S, 3>(simd),
            4 => self.all::<S, 4>(simd),
            _ => self.all::<S, FILTERS>(simd),
        }
    }
}

impl WindowsForwardTask<'_> {
    /// Blocks of F filters.
    #[inline(always)]
    fn all<S: Simd, const F: usize>(&self, simd: S) {
        let mut buffer = TaskBuffer::new();
        let copy = buffer.as_mut_ptr();
        self.copy(copy);
        let width = windows(&self.whole.geometry)[1];
        for row in self.rows.clone() {
            for first in (0..width).step_by(S::LANES) {
                for block in 0..self.whole.blocks() {
                    self.tile::<S, F>(simd, copy, row, first, block);
                }
            }
        }
    }

    /// Copies the input rows that the task reads, between borders of zeros: `[row][channel][even and odd columns][pitch]`.
    #[inline(always)]
    fn copy(&self, to: *mut f32) {
        let WindowsForward {
            geometry, pitch, ..
        } = self.whole;
        let [height, width, channels] = geometry.input;
        let [above, left] = geometry.padding;
        let rows = 2 * self.rows.len() + geometry.kernel[0] - 1;
        let row_len = 2 * pitch * channels;
        // SAFETY: `most_rows` limits a task to rows whose copy fits into the buffer. Columns stay below twice the pitch.
        // `WindowsForward::run` sliced an image of the input, which has row `y`.
        unsafe {
            to.write_bytes(0, rows * row_len);
            let columns = width.min((2 * pitch).saturating_sub(left));
            for row in 0..rows {
                let y = (2 * self.rows.start + row).wrapping_sub(above);
                if y >= height {
                    continue;
                }
                for channel in 0..channels {
                    let from = self.input[y * width * channels + channel..].as_ptr();
                    let to = to.add(row * row_len + channel * 2 * pitch);
                    for x in 0..columns {
                        let at = x + left;
                        *to.add(at % 2 * pitch + at / 2) = *from.add(x * channels);
                    }
                }
            }
        }
    }

    /// Computes a block of filters for a vector of windows from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const F: usize>(
        &self,
        simd: S,
        copy: *const f32,
        row: usize,
        first: usize,
        block: usize,
    ) {
        let WindowsForward {
            geometry, pitch, ..
        } = self.whole;
        let [taps_y, taps_x] = geometry.kernel;
        let channels = geometry.input[2];
        let row_len = 2 * pitch * channels;
        let mut weights = self.packed[block * self.whole.terms() * F..].as_ptr();
        let mut sums = [[simd.zero(); F]; 4];
        for tap_y in 0..taps_y {
            let line = 2 * (row - self.rows.start) + tap_y;
            for tap_x in 0..taps_x {
                let at = |column: usize| column % 2 * pitch + column / 2 + first;
                let offsets = [at(tap_x), at(tap_x + 1)];
                for channel in 0..channels {
                    let from = copy.wrapping_add(line * row_len + channel * 2 * pitch);
                    // SAFETY: `copy` has the rows that the windows read, and `pitch` leaves memory for whole vectors behind the tap's
                    // columns. `Forward::run` checked the length of the packed weights: F for each term of the block.
                    unsafe {
                        let below = from.add(row_len);
                        let pixels = [
                            simd.load(from.add(offsets[0])),
                            simd.load(from.add(offsets[1])),
                            simd.load(below.add(offsets[0])),
                            simd.load(below.add(offsets[1])),
                        ];
                        for f in 0..F {
                            let weight = simd.splat(*weights.add(f));
                            for (sums, pixel) in sums.iter_mut().zip(pixels) {
                                sums[f] = simd.mul_add(pixel, weight, sums[f]);
                            }
                        }
                        weights = weights.add(F);
                    }
                }
            }
        }
        let end = ((block + 1) * F).min(geometry.output[2]);
        self.store(simd, sums, row, first, block * F..end);
    }

    /// Finishes and pools the sums of the four pixels of each window.
    #[inline(always)]
    fn store<S: Simd, const F: usize>(
        &self,
        simd: S,
        sums: [[S::Vector; F]; 4],
        row: usize,
        first: usize,
        filters: Range<usize>,
    ) {
        let [height, width] = windows(&self.whole.geometry);
        let all = self.whole.geometry.output[2];
        // `[filter][window]`
        let (mut values, mut winners) = ([0.0; FILTERS * LANES], [0; FILTERS * LANES]);
        let asked = self.target.winners.is_some();
        let pooled_winners = DisjointMut::new(&mut winners);
        let pooled = PooledTarget {
            values: &DisjointMut::new(&mut values),
            winners: asked.then_some(&pooled_winners),
        };
        for f in 0..filters.len() {
            // SAFETY: the filter is one of the output's channels, for which the finish was made. The buffers have FILTERS vectors, and a
            // block has no more filters.
            unsafe {
                let window = sums
                    .map(|sums| (self.finish).value_of_channel(simd, sums[f], filters.start + f));
                pooled.store(simd, window, f * S::LANES, S::LANES);
            }
        }
        let start = ((self.image * height + row) * width + first) * all + filters.start;
        let count = (width - first).min(S::LANES);
        // SAFETY: `Forward::run` checked the lengths of the pooled map and the winners, which have these windows and filters. Only this task
        // has the rows.
        unsafe {
            let to = self.target.values.as_mut_ptr().add(start);
            for window in 0..count {
                for f in 0..filters.len() {
                    *to.add(window * all + f) = values[f * S::LANES + window];
                }
            }
            if let Some(target) = self.target.winners {
                let to = target.as_mut_ptr().add(start);
                for window in 0..count {
                    for f in 0..filters.len() {
                        *to.add(window * all + f) = winners[f * S::LANES + window];
                    }
                }
            }
        }
    }
}
