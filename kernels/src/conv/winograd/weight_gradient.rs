//! The weight gradient by F(3×3, 4×4): its "output" is the nine taps, its "kernel" a 4×4 tile of the output gradient.
//!
//! Each plane has the sums `[input channel][output channel]` over all tiles of input ⊗ output gradient. An element adds its tiles in their
//! order, however tiles and channels are cut into blocks. The blocks may therefore depend on the number of threads without changing a bit.
//! Only shares of the tiles have sums of their own.
mod tasks;

use std::ops::Range;

use tasks::{
    ChunkProductsTask, ChunkTransformTask, HalfPlanesTask, InterpolateTask, NextTiles, SumsBlock,
    TiledMaps,
};

use super::{GAP, Geometry, HALF_PLANES, PLANES, Tiles, supports};
use crate::conv::loops::{WeightLoop, WeightOperands};
use crate::conv::parts::sum_parts;
use crate::{Cpu, DisjointMut};

/// Floats of the sums that stay in a core's L2 beside the blocks.
const SUMS_IN_CACHE: usize = 320 * 1024;
/// Floats of the sums of a share, all planes and channels: they stay in L2. This and the next three constants were measured with
/// `hubel bench kernels '3x3 32->32'` and its neighbours.
const SUMS_OF_SHARE: usize = 80 * 1024;
/// Tiles of a share at least. Adding up the sums of a share takes as long as the products of 16 tiles.
const TILES_OF_SHARE: usize = 256;
/// Shares at most, so that their sums take little memory.
const SHARES: usize = 16;
/// Shares at least: with fewer, too few threads would have work.
const MIN_SHARES: usize = 4;
/// Floats of both transformed maps of a chunk: they stay in L3.
const CHUNK_FLOATS: usize = 4 * 1024 * 1024;
/// Tiles that one task transforms for all channels.
const TRANSFORM: usize = 8;
/// Tiles whose rows of both maps stay in L1.
const NEAR: usize = 64;
/// Pixels that one task adds up for the bias.
const PIXELS: usize = 512;

/// A value for the input and one for the output gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PerMap<T> {
    pub(super) input: T,
    pub(super) output: T,
}

impl<T> PerMap<T> {
    #[inline(always)]
    pub(super) fn map<U>(self, mut of: impl FnMut(T) -> U) -> PerMap<U> {
        PerMap {
            input: of(self.input),
            output: of(self.output),
        }
    }
}

impl PerMap<usize> {
    fn sum(self) -> usize {
        self.input + self.output
    }

    fn product(self) -> usize {
        self.input * self.output
    }
}

/// How the work is divided into tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightSchedule {
    /// A task computes all planes and channels of a share of the tiles, with sums of its own that are added up at the end. The number of
    /// shares affects the bits, so it depends on the geometry alone.
    Shares {
        /// Tasks.
        shares: usize,
        /// Tiles of a block.
        block: usize,
    },
    /// A task computes one half of the planes for a range of input and of output channels. It transforms all tiles for that itself; nothing
    /// is shared.
    OwnPlanes {
        /// Input channels and output channels of a task.
        channels: PerMap<usize>,
        /// Tiles of a block.
        block: usize,
    },
    /// The transformed maps of a chunk of tiles are shared. A task computes all planes for a range of input and of output channels.
    SharedPlanes {
        /// Input channels and output channels of a task.
        channels: PerMap<usize>,
        /// Tiles of a chunk.
        chunk: usize,
    },
}

/// Weight and bias gradient, prepared for one geometry.
#[derive(Debug)]
pub(in crate::conv) struct WinogradWeightGradient {
    tiles: Tiles,
    channels: PerMap<usize>,
    /// Tasks that run at the same time at most, each with scratch of its own.
    slots: usize,
    schedule: WeightSchedule,
}

impl WinogradWeightGradient {
    /// Prepares a pass; `geometry` is the forward convolution's.
    ///
    /// # Panics
    /// If [`supports`] is false for the geometry.
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        assert!(supports(&geometry), "{geometry:?}");
        let tiles = Tiles::of_output(&geometry);
        let channels = PerMap {
            input: geometry.input[2],
            output: geometry.output[2],
        };
        Self {
            tiles,
            channels,
            slots: cpu.threads(),
            schedule: schedule(cpu.threads(), tiles.count, channels),
        }
    }

    #[cfg(test)]
    pub(super) fn with_schedule(self, schedule: WeightSchedule) -> Self {
        Self { schedule, ..self }
    }

    fn zeros_len(&self) -> usize {
        (self.channels.input)
            .max(self.channels.output)
            .next_multiple_of(GAP)
    }

    fn pixels(&self) -> usize {
        self.tiles.batch * self.tiles.output[0] * self.tiles.output[1]
    }

    fn bias_len(&self) -> usize {
        (self.pixels().div_ceil(PIXELS) * self.channels.output).next_multiple_of(GAP)
    }

    /// Channels of a range of input and of output channels.
    fn channels_of_range(&self) -> PerMap<usize> {
        match self.schedule {
            WeightSchedule::Shares { .. } => self.channels,
            WeightSchedule::OwnPlanes { channels, .. }
            | WeightSchedule::SharedPlanes { channels, .. } => channels,
        }
    }

    /// Ranges of input and of output channels.
    fn ranges(&self) -> PerMap<usize> {
        let channels = self.channels_of_range();
        PerMap {
            input: self.channels.input.div_ceil(channels.input),
            output: self.channels.output.div_ceil(channels.output),
        }
    }

    /// Pairs of a range of input and a range of output channels.
    fn pairs(&self) -> usize {
        self.ranges().product()
    }

    /// The sums of one pair of ranges.
    fn sums_block(&self, pair: usize) -> SumsBlock {
        let across = self.ranges().output;
        let index = PerMap {
            input: pair / across,
            output: pair % across,
        };
        let row = self.rows().output;
        SumsBlock {
            index,
            inputs: self.input_range(index.input),
            outputs: self.output_range(index.output),
            row,
            plane: self.channels_of_range().input * row + GAP,
        }
    }

    /// The channels of range `i` of the input.
    #[inline(always)]
    fn input_range(&self, i: usize) -> Range<usize> {
        range(i, self.channels_of_range().input, self.channels.input)
    }

    /// The channels of range `i` of the output.
    #[inline(always)]
    fn output_range(&self, i: usize) -> Range<usize> {
        range(i, self.channels_of_range().output, self.channels.output)
    }

    /// Floats of all sums: of each share; of each slot, where they need not outlive a task; else of all pairs of ranges.
    fn sums_len(&self) -> usize {
        let kept = match self.schedule {
            WeightSchedule::Shares { shares, .. } => shares,
            WeightSchedule::SharedPlanes { chunk, .. } if chunk >= self.tiles.count => self.slots,
            _ => self.pairs(),
        };
        kept * PLANES * self.sums_block(0).plane
    }

    /// Floats from one tile to the next in the transformed maps of a range of channels.
    fn rows(&self) -> PerMap<usize> {
        (self.channels_of_range()).map(|channels| channels.next_multiple_of(GAP))
    }

    /// Floats from one plane to the next of a chunk's transformed maps. A plane has the ranges of channels one after the other, so that a
    /// product reads neighbouring rows.
    fn steps(&self, chunk: usize) -> PerMap<usize> {
        let (rows, ranges) = (self.rows(), self.ranges());
        PerMap {
            input: ranges.input * chunk * rows.input + GAP,
            output: ranges.output * chunk * rows.output + GAP,
        }
    }

    fn planes_len(&self) -> usize {
        match self.schedule {
            WeightSchedule::Shares { block, .. } => self.slots * PLANES * self.steps(block).sum(),
            WeightSchedule::OwnPlanes { block, .. } => {
                self.slots * HALF_PLANES * (block * self.rows().sum() + 2 * GAP)
            }
            WeightSchedule::SharedPlanes { chunk, .. } => PLANES * self.steps(chunk).sum(),
        }
    }

    /// Interpolates the sums of all pairs of ranges.
    fn interpolate(&self, cpu: &Cpu, sums: &[f32], weight_gradient: &DisjointMut<f32>) {
        cpu.parallel(self.pairs(), |pair| {
            let block = self.sums_block(pair);
            let block_len = PLANES * block.plane;
            cpu.dispatch(InterpolateTask {
                sums: &sums[pair * block_len..(pair + 1) * block_len],
                block,
                channels: self.channels,
                weight_gradient,
            });
        });
    }

    fn run_shares(
        &self,
        cpu: &Cpu,
        shares: usize,
        tiles_of_block: usize,
        maps: &TiledMaps,
        sums: &mut [f32],
        planes: &mut [f32],
    ) {
        let block = &self.sums_block(0);
        let block_len = PLANES * block.plane;
        let planes_len = self.steps(tiles_of_block).map(|step| PLANES * step);
        let planes = DisjointMut::new(planes);
        let of_shares = DisjointMut::new(&mut *sums);
        cpu.parallel_in_slots(self.slots, shares, |slot, share| {
            let at = slot * planes_len.sum();
            // SAFETY: `parallel_in_slots` gives a slot to one task at a time, and each share is one task's.
            let (inputs, outputs, sums) = unsafe {
                (
                    planes.slice(at..at + planes_len.input),
                    planes.slice(at + planes_len.input..at + planes_len.sum()),
                    of_shares.slice(share * block_len..(share + 1) * block_len),
                )
            };
            let planes = PerMap {
                input: &DisjointMut::new(inputs),
                output: &DisjointMut::new(outputs),
            };
            let [start, end] = [share, share + 1].map(|i| i * self.tiles.count / shares);
            for first in (start..end).step_by(tiles_of_block) {
                let tiles = first..(first + tiles_of_block).min(end);
                let count = tiles.len();
                let next = tiles.end..(tiles.end + tiles_of_block).min(end);
                cpu.dispatch(ChunkTransformTask {
                    whole: self,
                    maps,
                    tiles,
                    to: planes,
                    row: 0,
                    chunk: tiles_of_block,
                });
                cpu.dispatch(ChunkProductsTask {
                    whole: self,
                    planes,
                    tiles: count,
                    chunk: tiles_of_block,
                    add: first > start,
                    block,
                    sums,
                    ahead: Some(NextTiles { maps, tiles: next }),
                });
            }
        });
        let (total, others) = sums[..shares * block_len].split_at_mut(block_len);
        sum_parts(cpu, true, others, block_len, total);
    }

    fn run_own(
        &self,
        cpu: &Cpu,
        tiles_of_block: usize,
        maps: &TiledMaps,
        sums: &mut [f32],
        planes: &mut [f32],
    ) {
        let rows = self.rows();
        let slot_len = rows
            .map(|row| HALF_PLANES * (tiles_of_block * row + GAP))
            .sum();
        let sums = DisjointMut::new(sums);
        let planes = DisjointMut::new(planes);
        let tasks = 2 * self.pairs();
        cpu.parallel_in_slots(self.slots, tasks, |slot, task| {
            let (pair, half) = (task / 2, task % 2);
            let block = self.sums_block(pair);
            let block_len = HALF_PLANES * block.plane;
            // SAFETY: `parallel_in_slots` gives a slot to one task at a time.
            let planes = unsafe { planes.slice(slot * slot_len..(slot + 1) * slot_len) };
            // SAFETY: each task has sums of its own.
            let sums = unsafe { sums.slice(task * block_len..(task + 1) * block_len) };
            let mut first = 0;
            while first < self.tiles.count {
                let tiles = first..(first + tiles_of_block).min(self.tiles.count);
                first = tiles.end;
                cpu.dispatch(HalfPlanesTask {
                    maps,
                    tiles,
                    half,
                    block: &block,
                    rows,
                    tiles_of_block,
                    planes,
                    sums,
                });
            }
        });
    }

    fn run_shared(
        &self,
        cpu: &Cpu,
        chunk: usize,
        maps: &TiledMaps,
        sums: &mut [f32],
        planes: &mut [f32],
        weight_gradient: &DisjointMut<f32>,
    ) {
        let (inputs, outputs) = planes.split_at_mut(PLANES * self.steps(chunk).input);
        let planes = PerMap {
            input: &DisjointMut::new(inputs),
            output: &DisjointMut::new(outputs),
        };
        let sums = DisjointMut::new(sums);
        let single = chunk >= self.tiles.count;
        let mut first = 0;
        while first < self.tiles.count {
            let tiles = first..(first + chunk).min(self.tiles.count);
            cpu.parallel(tiles.len().div_ceil(TRANSFORM), |i| {
                let start = tiles.start + i * TRANSFORM;
                cpu.dispatch(ChunkTransformTask {
                    whole: self,
                    maps,
                    tiles: start..(start + TRANSFORM).min(tiles.end),
                    to: planes,
                    row: i * TRANSFORM,
                    chunk,
                });
            });
            cpu.parallel_in_slots(self.slots, self.pairs(), |slot, pair| {
                let block = self.sums_block(pair);
                let block_len = PLANES * block.plane;
                let i = if single { slot } else { pair };
                // SAFETY: `parallel_in_slots` gives a slot, like a pair, to one task at a time.
                let sums = unsafe { sums.slice(i * block_len..(i + 1) * block_len) };
                cpu.dispatch(ChunkProductsTask {
                    whole: self,
                    planes,
                    tiles: tiles.len(),
                    chunk,
                    add: tiles.start > 0,
                    block: &block,
                    sums,
                    ahead: None,
                });
                if tiles.end == self.tiles.count {
                    cpu.dispatch(InterpolateTask {
                        sums,
                        block,
                        channels: self.channels,
                        weight_gradient,
                    });
                }
            });
            first = tiles.end;
        }
    }
}

impl WeightLoop for WinogradWeightGradient {
    fn scratch_len(&self) -> usize {
        self.zeros_len() + self.bias_len() + self.sums_len() + self.planes_len()
    }

    fn run(&self, cpu: &Cpu, operands: WeightOperands) {
        let WeightOperands {
            input,
            output_gradient,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let (zeros, scratch) = scratch.split_at_mut(self.zeros_len());
        let (bias, scratch) = scratch.split_at_mut(self.bias_len());
        let (sums, planes) = scratch.split_at_mut(self.sums_len());
        zeros.fill(0.0);
        if let Some(bias_gradient) = bias_gradient {
            bias_sums(cpu, output_gradient.values, bias_gradient, bias);
        }
        let maps = TiledMaps {
            tiles: &self.tiles,
            channels: self.channels,
            input,
            output_gradient,
            zeros,
        };
        let weight_gradient = &DisjointMut::new(weight_gradient);
        match self.schedule {
            WeightSchedule::Shares { shares, block } => {
                self.run_shares(cpu, shares, block, &maps, sums, planes);
                self.interpolate(cpu, sums, weight_gradient);
            }
            WeightSchedule::OwnPlanes { block, .. } => {
                self.run_own(cpu, block, &maps, sums, planes);
                self.interpolate(cpu, sums, weight_gradient);
            }
            WeightSchedule::SharedPlanes { chunk, .. } => {
                self.run_shared(cpu, chunk, &maps, sums, planes, weight_gradient);
            }
        }
    }
}

/// Range `i` of `count` channels, in ranges of `size`.
#[inline(always)]
fn range(i: usize, size: usize, count: usize) -> Range<usize> {
    i * size..((i + 1) * size).min(count)
}

/// The schedule that is likely the fastest.
fn schedule(threads: usize, tiles: usize, channels: PerMap<usize>) -> WeightSchedule {
    // This depends on the geometry alone, because shares affect the bits.
    let shares = (tiles / TILES_OF_SHARE).min(SHARES);
    let sums = PLANES * channels.input * channels.output.next_multiple_of(GAP);
    if shares >= MIN_SHARES && sums <= SUMS_OF_SHARE {
        return WeightSchedule::Shares { shares, block: 32 };
    }
    // A task has half of the planes. For more threads the channels are divided, which repeats transforms.
    let mut own = channels;
    let tasks = |own: PerMap<usize>| {
        2 * channels.input.div_ceil(own.input) * channels.output.div_ceil(own.output)
    };
    while tasks(own) < threads {
        let wider = match own.output >= own.input {
            true => &mut own.output,
            false => &mut own.input,
        };
        if *wider < 64 {
            break;
        }
        *wider = (*wider / 2).next_multiple_of(GAP);
    }
    if tasks(own) >= threads && HALF_PLANES * own.product() <= SUMS_IN_CACHE {
        let block = (BLOCK_FLOATS / (HALF_PLANES * own.sum()) / 8 * 8).clamp(8, 64);
        return WeightSchedule::OwnPlanes {
            channels: own,
            block,
        };
    }
    let most = (CHUNK_FLOATS / (PLANES * channels.sum())).clamp(32, 512);
    let chunks = tiles.div_ceil(most).max(1);
    WeightSchedule::SharedPlanes {
        channels: PerMap {
            input: channels.input.min(32),
            output: channels.output.min(64),
        },
        chunk: tiles.div_ceil(chunks).next_multiple_of(TRANSFORM),
    }
}

/// Floats of both blocks of an [`WeightSchedule::OwnPlanes`] task.
const BLOCK_FLOATS: usize = 96 * 1024;

/// Sums each channel, first over the pixels of a task, then over tasks.
fn bias_sums(cpu: &Cpu, map: &[f32], bias_gradient: &mut [f32], scratch: &mut [f32]) {
    let channels = bias_gradient.len();
    let scratch = &mut scratch[..map.len().div_ceil(PIXELS * channels) * channels];
    cpu.parallel_chunks(scratch, channels, |i, sums| {
        let end = map.len().min((i + 1) * PIXELS * channels);
        cpu.vectorised(|| add_pixels(&map[i * PIXELS * channels..end], sums));
    });
    add_pixels(scratch, bias_gradient);
}

#[inline(always)]
fn add_pixels(pixels: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for pixel in pixels.chunks_exact(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
}
