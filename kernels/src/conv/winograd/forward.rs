//! Forward pass and input gradient: both convolve a map with transformed weights.
mod tasks;

use std::ops::{Range, RangeInclusive};

use tasks::{
    InputTransformTask, PackedPanelTask, PanelProducts, UnpackedPanelTask, WeightTransformTask,
};

use super::{GAP, PLANES, Tiles, supports};
use crate::conv::correlation::{Channels, Correlation};
use crate::conv::loops::{MapLoop, MapOperands};
use crate::{Cpu, DisjointMut};

/// Terms whose weights are transformed at a time.
const PACK: usize = 16;
/// Vectors of output channels that are computed at a time.
const PANEL: usize = 2;
/// Tiles that are multiplied together where there are 32 registers.
const ROWS: usize = 8;
/// Floats of a block's transformed input: about half of a core's L2.
const BLOCK_FLOATS: usize = 128 * 1024;
/// Tiles whose sums stay in L2 beside transformed weights, and that are enough to be worth transforming weights for.
const FEW_TILES: RangeInclusive<usize> = 16..=96;
/// Transformed weights that stay in a core's L2: half of it.
const FEW_WEIGHTS: usize = 256 * 1024;
/// Transformed weights at least that would not stay in the caches.
const MANY_WEIGHTS: usize = 1024 * 1024;
/// Terms whose weights are transformed at a time where they are not packed.
const CHUNK: usize = 128;
/// Tiles that a task transforms where all are transformed first.
const TRANSFORM: usize = 4;

/// How the work is divided into tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapSchedule {
    /// A task transforms a block of tiles and multiplies it by all panels.
    Blocks,
    /// All tiles are transformed first. A task multiplies one block by one panel. This serves few blocks with many weights, and fewer blocks
    /// than threads. Threads then read what others have transformed, 2.25 times the map.
    Pairs,
    /// All tiles are transformed first. A task transforms the weights of one panel and multiplies all tiles by them. This serves few tiles
    /// with many weights: transformed weights, four times as large, would have to come from memory.
    Panels,
}

/// A forward pass or input gradient. The latter is the convolution of the output gradient with the weights rotated by half a turn.
///
/// A *block* of tiles is transformed into planes `[36][tile][input channel]`. For each *panel* of output channels it is multiplied plane by
/// plane by the weights `[panel][36][input channel][channel of the panel]`. The products `[36][tile][channel of the panel]` are
/// interpolated, finished and stored.
#[derive(Debug)]
pub(in crate::conv) struct Winograd {
    tiles: Tiles,
    /// Channels of the map that is read.
    inputs: usize,
    /// Channels of the map that is written.
    outputs: usize,
    is_rotated: bool,
    lanes: usize,
    /// Tiles of a block.
    pub(super) block: usize,
    /// Tasks that run at the same time at most, each with scratch of its own.
    slots: usize,
    pub(super) schedule: MapSchedule,
}

impl Winograd {
    /// Prepares a pass.
    ///
    /// # Panics
    /// If [`supports`] is false for the geometry.
    pub(in crate::conv) fn new(cpu: &Cpu, correlation: &Correlation) -> Self {
        let geometry = correlation.geometry();
        assert!(supports(geometry), "{geometry:?}");
        let is_rotated = !correlation.is_forward();
        let Channels { source, target } = correlation.channels();
        let convolution = Self {
            tiles: match is_rotated {
                false => Tiles::of_output(geometry),
                true => Tiles::of_input(geometry),
            },
            inputs: source,
            outputs: target,
            is_rotated,
            lanes: cpu.lanes(),
            block: 0,
            slots: cpu.threads(),
            schedule: MapSchedule::Blocks,
        };
        // Blocks that a thread should have at least: more where every block reads many weights.
        let least = if convolution.has_few_weights() { 1 } else { 4 };
        let has_many_weights = convolution.transformed_weights() >= MANY_WEIGHTS;
        let schedule = if FEW_TILES.contains(&convolution.tiles.count) && has_many_weights {
            MapSchedule::Panels
        } else if convolution.tiles.count.div_ceil(convolution.usual_block())
            < least * cpu.threads()
        {
            MapSchedule::Pairs
        } else {
            MapSchedule::Blocks
        };
        convolution.with_schedule(schedule)
    }

    pub(super) fn with_schedule(self, schedule: MapSchedule) -> Self {
        let block = match schedule {
            MapSchedule::Panels => self.tiles.count,
            MapSchedule::Blocks | MapSchedule::Pairs => self.usual_block(),
        };
        Self {
            block,
            schedule,
            ..self
        }
    }

    /// As many tiles as fit into the cache. Of few tiles about half, for two threads, in a multiple of [`ROWS`]. It does not depend on the
    /// number of threads, because sums by channel are taken by block.
    fn usual_block(&self) -> usize {
        let fit = (BLOCK_FLOATS / (PLANES * self.inputs) / ROWS * ROWS).clamp(16, 32);
        let half = self.tiles.count.div_ceil(2) / ROWS * ROWS;
        if half > 0 && self.has_few_weights() {
            fit.min(half)
        } else {
            fit
        }
    }

    /// Whether all transformed weights fit into the cache of each core.
    fn has_few_weights(&self) -> bool {
        self.transformed_weights() <= FEW_WEIGHTS
    }

    fn transformed_weights(&self) -> usize {
        PLANES * self.inputs * self.outputs
    }

    fn panel(&self) -> usize {
        PANEL * self.lanes
    }

    fn panels(&self) -> usize {
        self.outputs.div_ceil(self.panel())
    }

    fn blocks(&self) -> usize {
        self.tiles.count.div_ceil(self.block)
    }

    /// Floats from one tile to the next in the transformed input.
    fn row(&self) -> usize {
        self.inputs.next_multiple_of(GAP)
    }

    fn input_plane(&self) -> usize {
        self.block * self.row() + GAP
    }

    fn output_plane(&self) -> usize {
        self.block * self.panel() + GAP
    }

    /// Floats of one panel's transformed weights.
    fn panel_weights(&self) -> usize {
        PLANES * self.inputs * self.panel()
    }

    /// Floats from one plane to the next of a chunk's transformed weights.
    fn chunk_plane(&self) -> usize {
        CHUNK * self.panel() + GAP
    }

    /// The tiles of a block.
    #[inline(always)]
    fn tiles_of(&self, block: usize) -> Range<usize> {
        let first = (block * self.block).min(self.tiles.count);
        first..(first + self.block).min(self.tiles.count)
    }

    fn transform_weights<const ROTATED: bool>(
        &self,
        cpu: &Cpu,
        weights: &[f32],
        packed: &mut [f32],
    ) {
        let pieces = self.inputs.div_ceil(PACK);
        let packed = DisjointMut::new(packed);
        cpu.parallel(self.panels() * pieces, |i| {
            let (panel, first) = (i / pieces, i % pieces * PACK);
            let at = panel * self.panel_weights() + first * self.panel();
            cpu.dispatch(WeightTransformTask::<ROTATED> {
                convolution: self,
                weights,
                panel,
                terms: first..(first + PACK).min(self.inputs),
                to: packed.as_mut_ptr().wrapping_add(at),
                plane: self.inputs * self.panel(),
            });
        });
    }

    fn convolve<const ROTATED: bool>(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source: input,
            packed,
            finish,
            target,
            scratch,
        } = operands;
        let (zeros, scratch) = scratch.split_at_mut(self.row());
        zeros.fill(0.0);
        let zeros = &*zeros;
        let products_len = PLANES * self.output_plane();
        let (products, scratch) = scratch.split_at_mut(self.slots * products_len);
        let block_len = PLANES * self.input_plane();
        let products = DisjointMut::new(products);
        let scratch = DisjointMut::new(scratch);
        // Transforms some tiles of a block into the planes of buffer `buffer`.
        let transform = |buffer: usize, block: usize, part: Range<usize>| {
            let tiles = self.tiles_of(block);
            cpu.dispatch(InputTransformTask {
                convolution: self,
                input,
                zeros,
                tiles: tiles.start + part.start..(tiles.start + part.end).min(tiles.end),
                to: (scratch.as_mut_ptr())
                    .wrapping_add(buffer * block_len + part.start * self.row()),
            });
        };
        // The products of a panel and of the block in buffer `buffer`.
        let multiply = |slot: usize, buffer: usize, block: usize, panel: usize| PanelProducts {
            convolution: self,
            inputs: scratch.as_mut_ptr().wrapping_add(buffer * block_len),
            // SAFETY: `parallel_in_slots` gives a slot to one task at a time, which has one `PanelProducts` at a time.
            planes: unsafe { products.slice(slot * products_len..(slot + 1) * products_len) },
            finish: finish.with_part(block),
            target,
            block,
            panel,
            ahead: (self.schedule == MapSchedule::Blocks && input.winners.is_none())
                .then_some(input.values),
        };
        let weights =
            |panel: usize| &packed[panel * self.panel_weights()..][..self.panel_weights()];
        let (blocks, panels, all) = (self.blocks(), self.panels(), 0..self.block);
        match self.schedule {
            MapSchedule::Blocks => cpu.parallel_in_slots(self.slots, blocks, |slot, block| {
                transform(slot, block, all.clone());
                for panel in 0..panels {
                    cpu.dispatch(PackedPanelTask {
                        products: multiply(slot, slot, block, panel),
                        weights: weights(panel),
                    });
                }
            }),
            MapSchedule::Pairs => {
                cpu.parallel(blocks, |block| transform(block, block, all.clone()));
                cpu.parallel_in_slots(self.slots, panels * blocks, |slot, task| {
                    let (panel, block) = (task / blocks, task % blocks);
                    cpu.dispatch(PackedPanelTask {
                        products: multiply(slot, block, block, panel),
                        weights: weights(panel),
                    });
                });
            }
            MapSchedule::Panels => {
                cpu.parallel(self.block.div_ceil(TRANSFORM), |i| {
                    transform(0, 0, i * TRANSFORM..(i + 1) * TRANSFORM);
                });
                let chunk_len = PLANES * self.chunk_plane();
                cpu.parallel_in_slots(self.slots, panels, |slot, panel| {
                    cpu.dispatch(UnpackedPanelTask::<ROTATED> {
                        products: multiply(slot, 0, 0, panel),
                        weights: packed,
                        chunk: (scratch.as_mut_ptr()).wrapping_add(block_len + slot * chunk_len),
                    });
                });
            }
        }
    }
}

impl MapLoop for Winograd {
    fn packed_len(&self) -> usize {
        match self.schedule {
            MapSchedule::Panels => 0,
            MapSchedule::Blocks | MapSchedule::Pairs => self.panels() * self.panel_weights(),
        }
    }

    fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        match self.is_rotated {
            _ if packed.is_empty() => {}
            false => self.transform_weights::<false>(cpu, weights, packed),
            true => self.transform_weights::<true>(cpu, weights, packed),
        }
    }

    fn sums_parts(&self) -> usize {
        self.blocks()
    }

    fn scratch_len(&self) -> usize {
        let buffers = match self.schedule {
            MapSchedule::Blocks => self.slots,
            MapSchedule::Pairs | MapSchedule::Panels => self.blocks(),
        };
        let of_slot = match self.schedule {
            MapSchedule::Panels => self.output_plane() + self.chunk_plane(),
            MapSchedule::Blocks | MapSchedule::Pairs => self.output_plane(),
        };
        self.row() + PLANES * (buffers * self.input_plane() + self.slots * of_slot)
    }

    fn finished_pixel(&self) -> usize {
        self.outputs
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        match self.is_rotated {
            false => self.convolve::<false>(cpu, operands),
            true => self.convolve::<true>(cpu, operands),
        }
    }
}
