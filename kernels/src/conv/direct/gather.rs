//! The loop of forward pass and input gradient. It computes tiles of pixels that read the same taps: each source channel of a pixel is
//! broadcast and multiplied by vectors of packed weights.
pub(in crate::conv) mod indirect;
pub(super) mod tiles;

use std::ops::Range;

use crate::Cpu;
use crate::conv::classes::Classes;
use crate::conv::finish::Finish;
use crate::conv::loops::{Fused, MapLoop, MapOperands, MapTarget, RowsLoop, RowsOperands};
use crate::map::SlotScratch;
use crate::map::{BUFFER_FLOATS, PooledTarget, Source, TaskBuffer, TwoRows};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use crate::conv::correlation::{Channels, Correlation, Piece};
use indirect::Indirect;
use tiles::{BlockTarget, BlockTask, RowBand};

/// Floats of the source that a task reads: they stay in L2 while all blocks of weights are read once.
const SOURCE_FLOATS: usize = 96 << 10;
/// Floats of the source at most that a task normalises.
const MOST_NORMALISED: usize = 2 * SOURCE_FLOATS;
/// Pixels at least of a task with one block, where there are that many.
const BLOCK_TASK_PIXELS: usize = 48;
/// Pixels at least of a task with all blocks.
const WHOLE_TASK_PIXELS: usize = 144;
/// Tasks that keep a few threads equally busy.
const ENOUGH_TASKS: usize = 32;
/// Terms that are packed at a time: a transposition within L1.
const PACK_TERMS: usize = 64;
/// Packed weights that need no prefetch. More weights are prefetched, and those of a single tap, whose sums are short: the last layers of
/// resnet18 and mobilenet-v2 then took 5 to 9 % less time for a batch of 16, their first layers 5 % more.
const MOST_WEIGHTS_NEAR: usize = 1 << 20;
/// Vectors of target channels in a block. The last block may have 1 or 3.
const BLOCK_VECTORS: usize = 2;

/// Floats that a task keeps in L1 until they are pooled.
const POOLED_FLOATS: usize = 6 << 10;

/// A loop in which target pixels gather source pixels.
#[derive(Debug)]
pub(in crate::conv) struct Gather {
    correlation: Correlation,
    images: usize,
    rows: Classes,
    columns: Classes,
    source_channels: usize,
    target_channels: usize,
    groups: usize,
    /// Source channels of a group: terms of a tap.
    terms: usize,
    /// Target channels of a group.
    channels: usize,
    lanes: usize,
    /// The table of source pixels of [`Algorithm::Indirect`](crate::conv::Algorithm::Indirect).
    indirect: Option<Indirect>,
    /// Whether weights are prefetched.
    fetches_weights: bool,
    task: TaskSize,
    /// Scratch for the source rows that tasks normalise.
    slots: SlotScratch,
}

/// How much of the target a task computes.
#[derive(Clone, Copy, Debug)]
struct TaskSize {
    rows: usize,
    blocks: usize,
}

impl Gather {
    /// The loop. `by_table` makes it read by a table of source pixels, where that is [supported](Indirect::supports).
    pub(in crate::conv) fn new(cpu: &Cpu, correlation: Correlation, by_table: bool) -> Self {
        assert!(
            !by_table || Indirect::supports(&correlation),
            "no table for this correlation"
        );
        let [rows, columns] = correlation.axes();
        let Channels { source, target } = correlation.channels();
        let groups = correlation.geometry().groups;
        let mut gather = Self {
            correlation,
            images: correlation.geometry().batch,
            rows,
            columns,
            source_channels: source,
            target_channels: target,
            groups,
            terms: source / groups,
            channels: target / groups,
            lanes: cpu.lanes(),
            indirect: None,
            fetches_weights: false,
            task: TaskSize { rows: 0, blocks: 0 },
            slots: SlotScratch::default(),
        };
        gather.task = gather.task_size();
        gather.indirect =
            by_table.then(|| Indirect::new(&gather.rows, &gather.columns, gather.images));
        gather.fetches_weights = gather.has_single_tap() || gather.packed_len() > MOST_WEIGHTS_NEAR;
        gather
    }

    /// A task has all blocks if there are many rows, else one block.
    fn task_size(&self) -> TaskSize {
        let (all_rows, width) = (self.all_rows(), self.columns.target);
        let blocks = self.groups * self.blocks();
        let source_row = self.columns.source * self.source_channels * self.rows.source;
        let most = (SOURCE_FLOATS * self.rows.target / source_row).max(1);
        let rows = (all_rows / ENOUGH_TASKS).min(most);
        if rows >= WHOLE_TASK_PIXELS.div_ceil(width) {
            return TaskSize { rows, blocks };
        }
        let chunks = ENOUGH_TASKS
            .div_ceil(blocks)
            .min(all_rows / BLOCK_TASK_PIXELS.div_ceil(width));
        TaskSize {
            rows: all_rows.div_ceil(chunks.max(1)).min(most),
            blocks: 1,
        }
    }

    /// The loop prepared for what is to be fused. None where that does not fit into the caches.
    pub(in crate::conv) fn fusing(mut self, cpu: &Cpu, fused: Fused) -> Option<Self> {
        let fits = match (fused.pooled, self.correlation.is_forward()) {
            (false, _) => true,
            (true, true) => self.prepare_pooling(),
            (true, false) => self.prepare_expansion(),
        };
        // An input gradient normalises only the mask, a vector at a time.
        let normalises = fused.normalised && self.correlation.is_forward();
        (fits && (!normalises || self.prepare_normalisation(cpu))).then_some(self)
    }

    /// Prepares to pool the target. Returns false if two rows of a block do not fit into L1.
    fn prepare_pooling(&mut self) -> bool {
        let widest = (0..self.blocks()).map(|block| self.block_vectors(block));
        let pixel = widest.max().unwrap_or(1) * self.lanes;
        self.task.rows = self.task.rows.next_multiple_of(2);
        2 * self.columns.target * pixel <= POOLED_FLOATS
    }

    /// Prepares to read a pooled gradient. Returns false if the expanded rows that a task reads do not fit into L2.
    fn prepare_expansion(&mut self) -> bool {
        let row_len = self.columns.source * self.source_channels;
        while self.rows.most_reads(self.all_rows(), self.task.rows) * row_len > BUFFER_FLOATS {
            if self.task.rows == 1 {
                return false;
            }
            self.task.rows = self.task.rows.div_ceil(2);
        }
        true
    }

    /// Prepares to normalise the source. Returns false if the rows that a task reads do not fit into L2.
    fn prepare_normalisation(&mut self, cpu: &Cpu) -> bool {
        let row_len = self.columns.source * self.source_channels;
        let rows = self.rows.most_reads(self.all_rows(), self.task.rows);
        let slot_len = (rows * row_len).max(1);
        if slot_len <= MOST_NORMALISED {
            self.slots = SlotScratch::new(cpu, slot_len);
        }
        slot_len <= MOST_NORMALISED
    }

    /// Rows of the target of all images.
    fn all_rows(&self) -> usize {
        self.images * self.rows.target
    }

    /// Vectors of the target channels of a group.
    fn vectors(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Blocks of the target channels of a group.
    fn blocks(&self) -> usize {
        (self.vectors() / BLOCK_VECTORS).max(1)
    }

    fn block_vectors(&self, block: usize) -> usize {
        if block + 1 == self.blocks() {
            self.vectors() - BLOCK_VECTORS * block
        } else {
            BLOCK_VECTORS
        }
    }

    fn has_single_tap(&self) -> bool {
        self.rows.order.len() * self.columns.order.len() == 1
    }

    fn all_terms(&self) -> usize {
        self.rows.order.len() * self.columns.order.len() * self.terms
    }

    /// Start of a block in the packed weights `[group][block][tap][term][vectors · lanes]`.
    fn block_start(&self, group: usize, block: usize) -> usize {
        (group * self.vectors() + block * BLOCK_VECTORS) * self.lanes * self.all_terms()
    }
}

impl MapLoop for Gather {
    fn packed_len(&self) -> usize {
        self.groups * self.vectors() * self.lanes * self.all_terms()
    }

    fn pack(&self, cpu: &Cpu, weights: &[f32], packed: &mut [f32]) {
        let packed = DisjointMut::new(packed);
        let columns = &self.columns.order;
        cpu.parallel(self.groups * self.blocks(), |task| {
            let (group, block) = (task / self.blocks(), task % self.blocks());
            let width = self.block_vectors(block) * self.lanes;
            let first = block * BLOCK_VECTORS * self.lanes;
            let channels = first..(first + width).min(self.channels);
            let start = self.block_start(group, block);
            // SAFETY: the packed blocks do not overlap, and one task writes each.
            let block = unsafe { packed.slice(start..start + width * self.all_terms()) };
            if channels.len() < width {
                block.fill(0.0);
            }
            for (i, block) in block.chunks_mut(width * self.terms).enumerate() {
                let row = self.rows.order[i / columns.len()];
                let tap = row * columns.len() + columns[i % columns.len()];
                for (chunk, block) in block.chunks_mut(width * PACK_TERMS).enumerate() {
                    let first = chunk * PACK_TERMS;
                    let piece = Piece {
                        group,
                        tap,
                        terms: first..(first + PACK_TERMS).min(self.terms),
                        channels: channels.clone(),
                        width,
                    };
                    self.correlation.copy_piece(weights, piece, block);
                }
            }
        });
    }

    /// One part for each range of rows that tasks have.
    fn sums_parts(&self) -> usize {
        self.all_rows().div_ceil(self.task.rows)
    }

    fn scratch_len(&self) -> usize {
        self.slots.len()
    }

    fn finished_pixel(&self) -> usize {
        self.target_channels
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source,
            packed,
            finish,
            target,
            scratch,
        } = operands;
        let TaskSize { rows, blocks } = self.task;
        let all_blocks = self.groups * self.blocks();
        let tasks_per_chunk = all_blocks.div_ceil(blocks);
        let tasks = self.sums_parts() * tasks_per_chunk;
        let run = |task: usize, slot: *mut f32| {
            // A chunk of rows is a part of the sums.
            let (chunk, nth) = (task / tasks_per_chunk, task % tasks_per_chunk);
            cpu.dispatch(GatherTask {
                gather: self,
                source: TaskSource::Map(source),
                slot,
                packed,
                finish: finish.with_part(chunk),
                target: match target {
                    MapTarget::Map(map) => TaskTarget::At(map.as_mut_ptr()),
                    MapTarget::Pooled(pooled) => TaskTarget::Pooled(pooled),
                },
                // The source rows that a later task normalises.
                ahead: (source.normalised)
                    .map(|_| source.values.as_ptr().wrapping_add(self.slots.len())),
                rows: chunk * rows..((chunk + 1) * rows).min(self.all_rows()),
                blocks: nth * blocks..((nth + 1) * blocks).min(all_blocks),
            });
        };
        let normalise = source.normalised.is_some();
        self.slots.parallel(cpu, tasks, normalise, scratch, run);
    }

    fn by_rows(&self) -> Option<&dyn RowsLoop> {
        Some(self)
    }
}

impl RowsLoop for Gather {
    unsafe fn rows(&self, cpu: &Cpu, operands: RowsOperands) {
        let RowsOperands {
            source,
            packed,
            finish,
            target,
            rows,
            ahead,
        } = operands;
        if rows.is_empty() {
            return;
        }
        cpu.dispatch(GatherTask {
            gather: self,
            source: TaskSource::At(source),
            slot: std::ptr::null_mut(),
            packed,
            finish,
            target: TaskTarget::At(target),
            ahead,
            rows,
            blocks: 0..self.groups * self.blocks(),
        });
    }
}

/// Some rows of some blocks of target channels.
struct GatherTask<'a> {
    gather: &'a Gather,
    source: TaskSource<'a>,
    /// Memory for the source rows that the task normalises; null if it does not.
    slot: *mut f32,
    packed: &'a [f32],
    finish: Finish<'a>,
    target: TaskTarget<'a>,
    /// The map to prefetch from; `None` prefetches the next pixels of the source.
    ahead: Option<*const f32>,
    rows: Range<usize>,
    blocks: Range<usize>,
}

/// What a task reads.
#[derive(Clone, Copy)]
enum TaskSource<'a> {
    Map(Source<'a>),
    /// The virtual start of the map: where its first element would be. Only the rows that the task reads are in memory.
    At(*const f32),
}

/// Where a task writes.
#[derive(Clone, Copy)]
enum TaskTarget<'a> {
    /// The virtual start of the map. Only the task's rows are in memory.
    At(*mut f32),
    Pooled(PooledTarget<'a>),
}

impl Kernel for GatherTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let Gather { columns, .. } = gather;
        // It holds an expanded source (of an input gradient) or rows to pool (of a forward pass), never both.
        const { assert!(POOLED_FLOATS <= BUFFER_FLOATS) };
        let mut buffer = TaskBuffer::new();
        let source = match &self.source {
            TaskSource::At(start) => *start,
            TaskSource::Map(source) => self.source_rows(simd, source, &mut buffer),
        };
        for block in self.blocks.clone() {
            let vectors = gather.block_vectors(block % gather.blocks());
            let row_len = columns.target * vectors * S::LANES;
            let band = match self.target {
                TaskTarget::At(_) => self.rows.len(),
                TaskTarget::Pooled(_) => POOLED_FLOATS / row_len / 2 * 2,
            };
            for start in self.rows.clone().step_by(band) {
                let rows = start..(start + band).min(self.rows.end);
                let target = match self.target {
                    TaskTarget::At(start) => BlockTarget {
                        start,
                        pixel: gather.target_channels,
                        all_channels: true,
                    },
                    TaskTarget::Pooled(_) => BlockTarget {
                        start: buffer.as_mut_ptr().wrapping_sub(start * row_len),
                        pixel: vectors * S::LANES,
                        all_channels: false,
                    },
                };
                let band = RowBand {
                    source,
                    ahead: self.ahead,
                    rows: rows.clone(),
                    target,
                };
                // P × V sums, V vectors of weights and one broadcast fit into the registers: 12·2 + 2 + 1 of 32, 6·2 + 2 + 1 of 16. The condition is
                // a constant, so that the tiles of other register counts are not compiled.
                if const { S::REGISTERS >= 32 } {
                    match vectors {
                        1 => simd.call(BlockTask::<12, 6, 1>::new(&self, block, &band)),
                        2 => simd.call(BlockTask::<12, 6, 2>::new(&self, block, &band)),
                        _ => simd.call(BlockTask::<8, 6, 3>::new(&self, block, &band)),
                    }
                } else {
                    match vectors {
                        1 => simd.call(BlockTask::<8, 6, 1>::new(&self, block, &band)),
                        2 => simd.call(BlockTask::<6, 6, 2>::new(&self, block, &band)),
                        _ => simd.call(BlockTask::<4, 4, 3>::new(&self, block, &band)),
                    }
                }
                if let TaskTarget::Pooled(target) = self.target {
                    self.pool(simd, block, &band, target);
                }
            }
        }
    }
}

impl GatherTask<'_> {
    /// The virtual start of the source. The rows that the task reads are those of the map itself, or copies: expanded in `buffer`, or normalised
    /// in the slot.
    #[inline(always)]
    fn source_rows<S: Simd>(
        &self,
        simd: S,
        source: &Source,
        buffer: &mut TaskBuffer,
    ) -> *const f32 {
        let gather = self.gather;
        let (width, channels) = (gather.columns.source, gather.source_channels);
        let is_plain = source.winners.is_none() && source.normalised.is_none();
        let reads = match is_plain {
            true => 0..0,
            false => gather.rows.reads(self.rows.clone()),
        };
        // SAFETY: `reads` are rows of the source, whose length and whose normalisation `pass.rs` checked. `Gather::prepare_normalisation` made the slot
        // as long as the most that a task reads.
        unsafe {
            match &source.normalised {
                None => source.rows(simd, buffer, width, channels, reads),
                Some(by) => {
                    let pixels = reads.start * width..reads.end * width;
                    let start = pixels.start * channels;
                    let map = source.values.as_ptr();
                    by.write(simd, map, channels, pixels, 0..channels, self.slot);
                    self.slot.cast_const().wrapping_sub(start)
                }
            }
        }
    }

    /// Pools the rows of a block, which lie in the band's target.
    #[inline(always)]
    fn pool<S: Simd>(&self, simd: S, block: usize, band: &RowBand, target: PooledTarget) {
        let gather = self.gather;
        let (group, within) = (block / gather.blocks(), block % gather.blocks());
        let first = within * BLOCK_VECTORS * S::LANES;
        let channels = (gather.channels - first).min(band.target.pixel);
        let (width, all) = (gather.columns.target, gather.target_channels);
        for row in band.rows.clone().step_by(2) {
            let start = |row: usize| {
                let start = band.target.start.cast_const();
                start.wrapping_add(row * width * band.target.pixel)
            };
            let at = row / 2 * (width / 2) * all + group * gather.channels + first;
            let rows = TwoRows {
                starts: [start(row), start(row + 1)],
                pixel: band.target.pixel,
                windows: width / 2,
                channels,
                all,
            };
            // SAFETY: the band's rows have been written. `pass.rs` checked the length of the pooled target, and only this task has its rows
            // of this block.
            unsafe { target.store_rows(simd, rows, at) };
        }
    }
}
