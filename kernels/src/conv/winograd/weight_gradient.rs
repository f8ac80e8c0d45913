//! The weight gradient by F(3×3, 4×4): its "output" are the nine taps, its "kernel" a 4×4 tile of the output gradient.
//!
//! In every plane the sum over tiles of input ⊗ output gradient, `[input channel][output channel]`; each element adds its tiles one
//! after the other whatever the blocks of tiles and channels, so they may follow the number of threads and change no bit. Only
//! shares of the tiles are sums of their own.
mod tasks;

use std::ops::Range;

use tasks::{Interpolate, Maps, Own, Part, Shared, Transform};

use super::{GAP, Geometry, HALF_PLANES, PLANES, Tiles, supports};
use crate::conv::parts::sum_parts;
use crate::conv::pass::{WeightLoop, WeightOperands};
use crate::{Cpu, DisjointMut};

/// Floats of the sums that stay in a core's L2 beside the blocks.
const SUMS_IN_CACHE: usize = 320 * 1024;
/// Floats of the sums of a share, of all planes and channels: they stay in L2. This and what follows: `hubel bench kernels '3x3 32->32'`
/// and its neighbours.
const SUMS_OF_SHARE: usize = 80 * 1024;
/// Tiles of a share at least; adding its sums up takes as long as the products of 16.
const TILES_OF_SHARE: usize = 256;
/// At most, so that their sums take little memory.
const SHARES: usize = 16;
/// With fewer, too few threads would have work.
const MIN_SHARES: usize = 4;
/// Floats of the transformed maps of a chunk, for both maps: they stay in L3.
const CHUNK_FLOATS: usize = 4 * 1024 * 1024;
/// Tiles that one task transforms for all channels.
const TRANSFORM: usize = 8;
/// Tiles whose rows of both maps stay in L1.
const NEAR: usize = 64;
/// Pixels that one task adds up for the bias.
const PIXELS: usize = 512;

/// Who computes what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Each task has all planes and channels of a share of the tiles, and sums of its own that are added up at the end. How many shares
    /// there are decides the bits, so that the geometry alone decides it.
    Shares {
        /// Tasks.
        shares: usize,
        /// Tiles of a block.
        block: usize,
    },
    /// Each task has one half of the planes, a range of input and of output channels, and transforms what it needs: nothing is shared.
    Own {
        /// Input channels and output channels of a task.
        channels: [usize; 2],
        /// Tiles of a block.
        block: usize,
    },
    /// The transformed maps of a chunk of tiles are shared; each task has all planes of a range of input and of output channels.
    Shared {
        /// Input channels and output channels of a task.
        channels: [usize; 2],
        /// Tiles of a chunk.
        chunk: usize,
    },
}

/// Weight and bias gradient, prepared for one geometry.
#[derive(Debug)]
pub(in crate::conv) struct WinogradWeightGradient {
    tiles: Tiles,
    channels: [usize; 2],
    slots: usize,
    order: Order,
}

impl WinogradWeightGradient {
    /// Prepares a pass; `geometry` is the forward convolution's.
    ///
    /// # Panics
    /// If the geometry is not [`supports`].
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        assert!(supports(&geometry), "{geometry:?}");
        let tiles = Tiles::of_output(&geometry);
        let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
        Self {
            tiles,
            channels: [inputs, outputs],
            slots: cpu.threads(),
            order: order(cpu.threads(), tiles.count, [inputs, outputs]),
        }
    }

    #[cfg(test)]
    pub(super) fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    fn zeros_len(&self) -> usize {
        self.channels[0].max(self.channels[1]).next_multiple_of(GAP)
    }

    fn pixels(&self) -> usize {
        self.tiles.batch * self.tiles.output[0] * self.tiles.output[1]
    }

    fn bias_len(&self) -> usize {
        (self.pixels().div_ceil(PIXELS) * self.channels[1]).next_multiple_of(GAP)
    }

    /// Channels of a range of input and of output channels.
    fn channels_of_range(&self) -> [usize; 2] {
        match self.order {
            Order::Shares { .. } => self.channels,
            Order::Own { channels, .. } | Order::Shared { channels, .. } => channels,
        }
    }

    /// Ranges of input and of output channels.
    fn ranges(&self) -> [usize; 2] {
        let channels = self.channels_of_range();
        [0, 1].map(|side| self.channels[side].div_ceil(channels[side]))
    }

    /// The channels of one pair of ranges.
    fn part(&self, pair: usize) -> Part {
        let channels = self.channels_of_range();
        let [_, across] = self.ranges();
        let index = [pair / across, pair % across];
        Part {
            index,
            inputs: self.range(0, index[0]),
            outputs: self.range(1, index[1]),
            row: self.rows()[1],
            plane: channels[0] * self.rows()[1] + GAP,
        }
    }

    /// The channels of a range of the input (side 0) or the output (1).
    #[inline(always)]
    fn range(&self, side: usize, i: usize) -> Range<usize> {
        let channels = self.channels_of_range();
        let first = i * channels[side];
        first..(first + channels[side]).min(self.channels[side])
    }

    /// Floats of all sums: of each share; of each thread where they need not outlive a task; of all pairs of ranges of channels otherwise.
    fn sums_len(&self) -> usize {
        let pairs = self.ranges()[0] * self.ranges()[1];
        let kept = match self.order {
            Order::Shares { shares, .. } => shares,
            Order::Shared { chunk, .. } if chunk >= self.tiles.count => self.slots,
            _ => pairs,
        };
        kept * PLANES * self.part(0).plane
    }

    /// Floats from one tile to the next in the transformed maps of a range of channels.
    fn rows(&self) -> [usize; 2] {
        (self.channels_of_range()).map(|channels| channels.next_multiple_of(GAP))
    }

    /// Floats from one plane to the next where all ranges of channels of a chunk are kept, one after the other: a product then reads
    /// neighbouring rows.
    fn steps(&self, chunk: usize) -> [usize; 2] {
        let (rows, ranges) = (self.rows(), self.ranges());
        [0, 1].map(|side| ranges[side] * chunk * rows[side] + GAP)
    }

    fn planes_len(&self) -> usize {
        let [input, output] = self.rows();
        match self.order {
            Order::Shares { block, .. } => {
                self.slots * PLANES * self.steps(block).iter().sum::<usize>()
            }
            Order::Own { block, .. } => {
                self.slots * HALF_PLANES * (block * (input + output) + 2 * GAP)
            }
            Order::Shared { chunk, .. } => PLANES * self.steps(chunk).iter().sum::<usize>(),
        }
    }

    /// From the sums of all pairs of ranges, one after the other.
    fn interpolate(&self, cpu: &Cpu, sums: &[f32], weight_gradient: &DisjointMut<f32>) {
        cpu.parallel(self.ranges()[0] * self.ranges()[1], |pair| {
            let part = self.part(pair);
            let length = PLANES * part.plane;
            cpu.dispatch(Interpolate {
                sums: &sums[pair * length..(pair + 1) * length],
                part,
                channels: self.channels,
                weight_gradient,
            });
        });
    }

    fn run_shares(
        &self,
        cpu: &Cpu,
        [shares, block]: [usize; 2],
        maps: &Maps,
        sums: &mut [f32],
        planes: &mut [f32],
    ) {
        let part = &self.part(0);
        let length = PLANES * part.plane;
        let lengths = self.steps(block).map(|step| PLANES * step);
        let planes = DisjointMut::new(planes);
        let of_shares = DisjointMut::new(&mut *sums);
        cpu.parallel_in_slots(self.slots, shares, |slot, share| {
            let at = slot * (lengths[0] + lengths[1]);
            // SAFETY: one task at a time has this slot, and each its own share.
            let (inputs, outputs, sums) = unsafe {
                (
                    planes.slice(at..at + lengths[0]),
                    planes.slice(at + lengths[0]..at + lengths[0] + lengths[1]),
                    of_shares.slice(share * length..(share + 1) * length),
                )
            };
            let planes = [inputs, outputs].map(DisjointMut::new);
            let planes = [&planes[0], &planes[1]];
            let [start, end] = [share, share + 1].map(|i| i * self.tiles.count / shares);
            for first in (start..end).step_by(block) {
                let tiles = first..(first + block).min(end);
                let count = tiles.len();
                let next = tiles.end..(tiles.end + block).min(end);
                cpu.dispatch(Transform {
                    whole: self,
                    maps,
                    tiles,
                    to: planes,
                    row: 0,
                    chunk: block,
                });
                cpu.dispatch(Shared {
                    whole: self,
                    planes,
                    tiles: count,
                    chunk: block,
                    add: first > start,
                    part,
                    sums,
                    ahead: Some((maps, next)),
                });
            }
        });
        let (total, others) = sums[..shares * length].split_at_mut(length);
        sum_parts(cpu, true, others, length, total);
    }

    fn run_own(&self, cpu: &Cpu, block: usize, maps: &Maps, sums: &mut [f32], planes: &mut [f32]) {
        let rows = self.rows();
        let lengths = rows.map(|row| HALF_PLANES * (block * row + GAP));
        let slot_length = lengths[0] + lengths[1];
        let sums = DisjointMut::new(sums);
        let planes = DisjointMut::new(planes);
        let tasks = 2 * self.ranges()[0] * self.ranges()[1];
        cpu.parallel_in_slots(self.slots, tasks, |slot, task| {
            let (pair, half) = (task / 2, task % 2);
            let part = self.part(pair);
            let length = HALF_PLANES * part.plane;
            // SAFETY: one task at a time has this slot.
            let planes = unsafe { planes.slice(slot * slot_length..(slot + 1) * slot_length) };
            // SAFETY: each task has sums of its own.
            let sums = unsafe { sums.slice(task * length..(task + 1) * length) };
            let mut first = 0;
            while first < self.tiles.count {
                let tiles = first..(first + block).min(self.tiles.count);
                first = tiles.end;
                cpu.dispatch(Own {
                    maps,
                    tiles,
                    half,
                    part: &part,
                    rows,
                    block,
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
        maps: &Maps,
        sums: &mut [f32],
        planes: &mut [f32],
        weight_gradient: &DisjointMut<f32>,
    ) {
        let [inputs, outputs] = {
            let (inputs, outputs) = planes.split_at_mut(PLANES * self.steps(chunk)[0]);
            [inputs, outputs].map(DisjointMut::new)
        };
        let sums = DisjointMut::new(sums);
        let single = chunk >= self.tiles.count;
        let mut first = 0;
        while first < self.tiles.count {
            let tiles = first..(first + chunk).min(self.tiles.count);
            cpu.parallel(tiles.len().div_ceil(TRANSFORM), |i| {
                let start = tiles.start + i * TRANSFORM;
                cpu.dispatch(Transform {
                    whole: self,
                    maps,
                    tiles: start..(start + TRANSFORM).min(tiles.end),
                    to: [&inputs, &outputs],
                    row: i * TRANSFORM,
                    chunk,
                });
            });
            let pairs = self.ranges()[0] * self.ranges()[1];
            cpu.parallel_in_slots(self.slots, pairs, |slot, pair| {
                let part = self.part(pair);
                let length = PLANES * part.plane;
                let place = if single { slot } else { pair };
                // SAFETY: the place belongs to this slot or this pair, and one task at a time has either.
                let sums = unsafe { sums.slice(place * length..(place + 1) * length) };
                cpu.dispatch(Shared {
                    whole: self,
                    planes: [&inputs, &outputs],
                    tiles: tiles.len(),
                    chunk,
                    add: tiles.start > 0,
                    part: &part,
                    sums,
                    ahead: None,
                });
                if tiles.end == self.tiles.count {
                    cpu.dispatch(Interpolate {
                        sums,
                        part,
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
        let maps = Maps {
            tiles: &self.tiles,
            channels: self.channels,
            input,
            output_gradient,
            zeros,
        };
        let weight_gradient = &DisjointMut::new(weight_gradient);
        match self.order {
            Order::Shares { shares, block } => {
                self.run_shares(cpu, [shares, block], &maps, sums, planes);
                self.interpolate(cpu, sums, weight_gradient);
            }
            Order::Own { block, .. } => {
                self.run_own(cpu, block, &maps, sums, planes);
                self.interpolate(cpu, sums, weight_gradient);
            }
            Order::Shared { chunk, .. } => {
                self.run_shared(cpu, chunk, &maps, sums, planes, weight_gradient);
            }
        }
    }
}

/// The order that is likely the fastest.
fn order(threads: usize, tiles: usize, channels: [usize; 2]) -> Order {
    // By the geometry alone: shares decide the bits.
    let shares = (tiles / TILES_OF_SHARE).min(SHARES);
    let sums = PLANES * channels[0] * channels[1].next_multiple_of(GAP);
    if shares >= MIN_SHARES && sums <= SUMS_OF_SHARE {
        return Order::Shares { shares, block: 32 };
    }
    // Half of the planes for each task; more threads share channels out, which repeats transforms.
    let mut own = channels;
    while 2 * channels[0].div_ceil(own[0]) * channels[1].div_ceil(own[1]) < threads {
        let wider = usize::from(own[1] >= own[0]);
        if own[wider] < 64 {
            break;
        }
        own[wider] = (own[wider] / 2).next_multiple_of(GAP);
    }
    let tasks = 2 * channels[0].div_ceil(own[0]) * channels[1].div_ceil(own[1]);
    if tasks >= threads && HALF_PLANES * own[0] * own[1] <= SUMS_IN_CACHE {
        let block = (BLOCK_FLOATS / (HALF_PLANES * (own[0] + own[1])) / 8 * 8).clamp(8, 64);
        return Order::Own {
            channels: own,
            block,
        };
    }
    let most = (CHUNK_FLOATS / (PLANES * (channels[0] + channels[1]))).clamp(32, 512);
    let chunks = tiles.div_ceil(most).max(1);
    Order::Shared {
        channels: [32.min(channels[0]), 64.min(channels[1])],
        chunk: tiles.div_ceil(chunks).next_multiple_of(TRANSFORM),
    }
}

/// Floats of both blocks of an [`Order::Own`] task.
const BLOCK_FLOATS: usize = 96 * 1024;

/// The sums of each channel, first over the pixels of a task, then over tasks.
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
