//! Output, pooled: the lanes are windows.
use std::ops::Range;

use crate::pool::Winner;
use crate::pool::fused::{ROOM, Room, Target};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;
use crate::{Cpu, InstructionSet};

use super::super::finish::Finish;
use super::super::{Epilogue, Geometry};
use super::{is_dense, windows};

/// Terms of a sum at least: with fewer, the copy of the input and of what is pooled takes as long as the sums.
const LEAST_TERMS: usize = 9;
/// Tasks that keep a few threads equally busy.
const TASKS: usize = 32;
/// Rows of windows of a task at least, where there are that many.
const TASK_ROWS: usize = 4;
/// Lanes at most.
const LANES: usize = 16;
/// Filters of a block, whose sums are in registers at a time.
const BLOCKS: [usize; 4] = [2, 3, 4, 6];
/// The most of them.
const FILTERS: usize = 6;

/// Forward pass of a direct convolution with few filters, pooled.
#[derive(Debug)]
pub(in crate::conv) struct Forward {
    geometry: Geometry,
    lanes: usize,
    /// Filters of a block.
    block: usize,
    /// Rows of windows of a task.
    rows: usize,
    /// Numbers from the even columns of a row of the copied input to the odd ones.
    pitch: usize,
}

impl Forward {
    /// The pass, if windows fill vectors better than filters do; `geometry` has an even output.
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Option<Self> {
        let ([height, width], lanes) = (windows(&geometry), cpu.lanes());
        let [taps_y, taps_x] = geometry.kernel;
        let [inputs, filters] = [geometry.input[2], geometry.output[2]];
        // Four sums of each filter, and what they are computed from.
        let registers = match cpu.instruction_set() {
            InstructionSet::Avx2 => 16,
            _ => 32,
        };
        let blocks = filters.div_ceil(registers / 5);
        let needed = filters.div_ceil(blocks);
        let block = BLOCKS.into_iter().find(|block| *block >= needed)?;
        // Vectors of sums of a row of windows, here and where the lanes are filters.
        let sums = 4 * width.div_ceil(lanes) * blocks * block;
        let sums_of_filters = 4 * width * filters.div_ceil(lanes);
        if !is_dense(&geometry)
            || lanes > LANES
            || taps_y * taps_x * inputs < LEAST_TERMS
            || 10 * sums > 9 * sums_of_filters
        {
            return None;
        }
        let pitch = width.next_multiple_of(lanes) + taps_x / 2;
        let row = 2 * pitch * inputs;
        let most = (ROOM / row).checked_sub(taps_y + 1)? / 2 + 1;
        let chunks = TASKS
            .div_ceil(geometry.batch)
            .min(height / TASK_ROWS)
            .max(height.div_ceil(most));
        Some(Self {
            geometry,
            lanes,
            block,
            rows: height.div_ceil(chunks),
            pitch,
        })
    }

    fn terms(&self) -> usize {
        self.geometry.kernel.iter().product::<usize>() * self.geometry.input[2]
    }

    fn blocks(&self) -> usize {
        self.geometry.output[2].div_ceil(self.block)
    }

    pub(in crate::conv) fn packed_len(&self) -> usize {
        self.blocks() * self.terms() * self.block
    }

    /// Packs the weights as `[block][tap][term][filter]`.
    pub(in crate::conv) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        let (filters, terms) = (self.geometry.output[2], self.terms());
        for (i, to) in packed.chunks_mut(self.block).enumerate() {
            let (block, term) = (i / terms, i % terms);
            let first = block * self.block;
            let count = (filters - first).min(self.block);
            to[..count].copy_from_slice(&weights[term * filters + first..][..count]);
            to[count..].fill(0.0);
        }
    }

    pub(in crate::conv) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
        winners: Option<&mut [Winner]>,
    ) {
        let Geometry { batch, .. } = self.geometry;
        let filters = self.geometry.output[2];
        let [height, width] = windows(&self.geometry);
        let inputs: usize = self.geometry.input.iter().product();
        let numbers = batch * height * width * filters;
        assert_eq!(input.len(), batch * inputs, "input");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        assert_eq!(output.len(), numbers, "output");
        assert!(winners.as_ref().is_none_or(|w| w.len() == numbers));
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
        let winners = winners.map(DisjointMut::new);
        let target = Target {
            values: &DisjointMut::new(output),
            winners: winners.as_ref(),
        };
        let finish = Finish::pooled(epilogue, filters);
        let chunks = height.div_ceil(self.rows);
        cpu.parallel(batch * chunks, |task| {
            let (image, start) = (task / chunks, task % chunks * self.rows);
            cpu.dispatch(Task {
                whole: self,
                input: &input[image * inputs..(image + 1) * inputs],
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
struct Task<'a> {
    whole: &'a Forward,
    input: &'a [f32],
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    target: Target<'a>,
    image: usize,
    rows: Range<usize>,
}

impl Kernel for Task<'_> {
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

impl Task<'_> {
    /// Blocks of F filters.
    #[inline(always)]
    fn all<S: Simd, const F: usize>(&self, simd: S) {
        let mut room = Room::new();
        let copy = room.as_mut_ptr();
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

    /// Copies what the rows read, with its borders of zeros: `[row][channel][even and odd columns][pitch]`.
    #[inline(always)]
    fn copy(&self, to: *mut f32) {
        let Forward {
            geometry, pitch, ..
        } = self.whole;
        let [height, width, channels] = geometry.input;
        let [above, left] = geometry.padding;
        let rows = 2 * self.rows.len() + geometry.kernel[0] - 1;
        let row_len = 2 * pitch * channels;
        // SAFETY: rows, columns and channels lie within the room, which was reckoned at creation.
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

    /// A block for a vector of windows from `first` on.
    #[inline(always)]
    fn tile<S: Simd, const F: usize>(
        &self,
        simd: S,
        copy: *const f32,
        row: usize,
        first: usize,
        block: usize,
    ) {
        let Forward {
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
                    // SAFETY: what a window reads is in the copy; blocks have F filters.
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
        let pooled = Target {
            values: &DisjointMut::new(&mut values),
            winners: asked.then_some(&pooled_winners),
        };
        for f in 0..filters.len() {
            // SAFETY: the filter is one of the bias's; there is room for a block's vectors.
            unsafe {
                let window = sums
                    .map(|sums| (self.finish).value_of_channel(simd, sums[f], filters.start + f));
                pooled.store(simd, window, f * S::LANES, S::LANES);
            }
        }
        let start = ((self.image * height + row) * width + first) * all + filters.start;
        let count = (width - first).min(S::LANES);
        // SAFETY: the windows and filters lie within the target, and this task alone writes them.
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
