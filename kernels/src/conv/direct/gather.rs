//! The loop of forward and input gradient: a tile of pixels that read the same taps, whose channels are broadcast against
//! vectors of packed weights.
pub(in crate::conv) mod indirect;
mod tiles;

use std::ops::Range;

use crate::Cpu;
use crate::conv::classes::Classes;
use crate::conv::finish::Finish;
use crate::conv::pass::{Fused, MapLoop, MapOperands, MapTarget, RowsLoop, RowsOperands};
use crate::map::SlotScratch;
use crate::map::{PooledTarget, Source, TASK_FLOATS, TaskBuffer, TwoRows};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::correlation::{Channels, Correlation, Piece};
use indirect::Indirect;
use tiles::{Band, Place};

/// Floats of the source that a task reads: they stay in L2 while the blocks of weights pass by.
const TASK_NUMBERS: usize = 96 << 10;
/// Floats of the source at most that a task normalises.
const MOST_ROOM: usize = 2 * TASK_NUMBERS;
/// Pixels of a task at least, where there are that many: of a task with one block, and with all blocks.
const BLOCK_TASK_PIXELS: usize = 48;
const WHOLE_TASK_PIXELS: usize = 144;
/// Tasks that keep a few threads equally busy.
const ENOUGH_TASKS: usize = 32;
/// Terms that are packed at a time: a transposition within L1.
const PACK_TERMS: usize = 64;
/// Packed weights that the processor fetches in time by itself. Of more, and of a single tap (whose sums are short), the next are asked
/// for: that took 5 to 9 % less of a batch of 16 through the last layers of resnet18 and mobilenet-v2, and 5 % more of their first.
const MOST_WEIGHTS_NEAR: usize = 1 << 20;
/// Vectors of output channels in a block, but for the last, which may have 1 or 3.
const BLOCK_VECTORS: usize = 2;

/// Floats that a task keeps in L1 until they are pooled.
const BAND: usize = 6 << 10;

/// Target pixels gather source pixels.
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
    /// What each pixel reads, in [`Algorithm::Indirect`](crate::conv::Algorithm::Indirect).
    indirect: Option<Indirect>,
    /// Whether weights are worth asking for before they are needed.
    fetches_weights: bool,
    task: TaskSize,
    /// For what tasks read, if they normalise it.
    rooms: SlotScratch,
}

/// How much of the target a task computes.
#[derive(Clone, Copy, Debug)]
struct TaskSize {
    rows: usize,
    blocks: usize,
}

impl Gather {
    /// The loop; `by_table` reads by a table of source pixels, where that is [supported](Indirect::supports).
    pub(in crate::conv) fn new(cpu: &Cpu, correlation: Correlation, by_table: bool) -> Self {
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
            rooms: SlotScratch::default(),
        };
        gather.task = gather.task_size();
        gather.indirect =
            by_table.then(|| Indirect::new(&gather.rows, &gather.columns, gather.images));
        gather.fetches_weights = gather.has_single_tap() || gather.packed_len() > MOST_WEIGHTS_NEAR;
        gather
    }

    /// All blocks if there are many rows, else one.
    fn task_size(&self) -> TaskSize {
        let (all_rows, width) = (self.all_rows(), self.columns.target);
        let blocks = self.groups * self.blocks();
        let source_row = self.columns.source * self.source_channels * self.rows.source;
        let most = (TASK_NUMBERS * self.rows.target / source_row).max(1);
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
            (true, true) => self.pools(),
            (true, false) => self.expands(),
        };
        // An input gradient normalises no more than the mask, a vector at a time.
        let normalises = fused.normalised && self.correlation.is_forward();
        (fits && (!normalises || self.normalises(cpu))).then_some(self)
    }

    /// Prepares to pool what it writes, if two rows of a block fit into L1.
    fn pools(&mut self) -> bool {
        let widest = (0..self.blocks()).map(|block| self.block_vectors(block));
        let pixel = widest.max().unwrap_or(1) * self.lanes;
        self.task.rows = self.task.rows.next_multiple_of(2);
        2 * self.columns.target * pixel <= BAND
    }

    /// Prepares to read a pooled gradient, if what a task reads of it fits into L2 expanded.
    fn expands(&mut self) -> bool {
        let row = self.columns.source * self.source_channels;
        while self.rows.most_reads(self.all_rows(), self.task.rows) * row > TASK_FLOATS {
            if self.task.rows == 1 {
                return false;
            }
            self.task.rows = self.task.rows.div_ceil(2);
        }
        true
    }

    /// Prepares to normalise what it reads, if that fits into L2.
    fn normalises(&mut self, cpu: &Cpu) -> bool {
        let row = self.columns.source * self.source_channels;
        let room = (self.rows.most_reads(self.all_rows(), self.task.rows) * row).max(1);
        if room <= MOST_ROOM {
            self.rooms = SlotScratch::new(cpu, room);
        }
        room <= MOST_ROOM
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
            // SAFETY: blocks do not overlap and each is written by one task.
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

    /// The tasks that have different rows.
    fn sums_parts(&self) -> usize {
        self.all_rows().div_ceil(self.task.rows)
    }

    fn scratch_len(&self) -> usize {
        self.rooms.len()
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
        let parts = all_blocks.div_ceil(blocks);
        let tasks = self.sums_parts() * parts;
        let run = |task: usize, room: *mut f32| {
            let (chunk, part) = (task / parts, task % parts);
            cpu.dispatch(GatherTask {
                gather: self,
                source: TaskSource::Map(source),
                room,
                packed,
                finish: finish.with_part(chunk),
                target: match target {
                    MapTarget::Map(map) => TaskTarget::At(map.as_mut_ptr()),
                    MapTarget::Pooled(pooled) => TaskTarget::Pooled(pooled),
                },
                // What a later task normalises.
                ahead: (source.normalised)
                    .map(|_| source.values.as_ptr().wrapping_add(self.rooms.len())),
                rows: chunk * rows..((chunk + 1) * rows).min(self.all_rows()),
                blocks: part * blocks..((part + 1) * blocks).min(all_blocks),
            });
        };
        let normalise = source.normalised.is_some();
        self.rooms.parallel(cpu, tasks, normalise, scratch, run);
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
            source: TaskSource::At(source.start.wrapping_sub(source.skipped)),
            room: std::ptr::null_mut(),
            packed,
            finish,
            target: TaskTarget::At(target.start.wrapping_sub(target.skipped)),
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
    /// Memory for what it normalises, if it does.
    room: *mut f32,
    packed: &'a [f32],
    finish: Finish<'a>,
    target: TaskTarget<'a>,
    /// Where what is fetched meanwhile would begin, if not the next pixels of the source are.
    ahead: Option<*const f32>,
    rows: Range<usize>,
    blocks: Range<usize>,
}

/// What a task reads.
#[derive(Clone, Copy)]
enum TaskSource<'a> {
    Map(Source<'a>),
    /// A map that begins or would begin here; what the task's rows read is there.
    At(*const f32),
}

/// Where a task writes.
#[derive(Clone, Copy)]
enum TaskTarget<'a> {
    /// A map that begins or would begin here; the task's rows are there.
    At(*mut f32),
    Pooled(PooledTarget<'a>),
}

impl Kernel for GatherTask<'_> {
    type Output = ();

    // Tile heights: as many accumulators as leave registers for the weights and the broadcast.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let Gather { columns, .. } = gather;
        let mut buffer = TaskBuffer::new();
        let source = match &self.source {
            TaskSource::At(start) => *start,
            TaskSource::Map(source) => self.source_rows(simd, source, &mut buffer),
        };
        for block in self.blocks.clone() {
            let vectors = gather.block_vectors(block % gather.blocks());
            let row = columns.target * vectors * S::LANES;
            let band = match self.target {
                TaskTarget::At(_) => self.rows.len(),
                TaskTarget::Pooled(_) => BAND / row / 2 * 2,
            };
            for start in self.rows.clone().step_by(band) {
                let rows = start..(start + band).min(self.rows.end);
                let place = match self.target {
                    TaskTarget::At(start) => Place {
                        start,
                        pixel: gather.target_channels,
                        all_channels: true,
                    },
                    TaskTarget::Pooled(_) => Place {
                        start: buffer.as_mut_ptr().wrapping_sub(start * row),
                        pixel: vectors * S::LANES,
                        all_channels: false,
                    },
                };
                let band = Band {
                    source,
                    beyond: self.ahead,
                    rows: rows.clone(),
                    place,
                };
                match (S::REGISTERS >= 32, vectors) {
                    (true, 1) => self.block::<S, 12, 6, 1>(simd, block, &band),
                    (true, 2) => self.block::<S, 12, 6, 2>(simd, block, &band),
                    (true, _) => self.block::<S, 8, 6, 3>(simd, block, &band),
                    (false, 1) => self.block::<S, 8, 6, 1>(simd, block, &band),
                    (false, 2) => self.block::<S, 6, 6, 2>(simd, block, &band),
                    (false, _) => self.block::<S, 4, 4, 3>(simd, block, &band),
                }
                if let TaskTarget::Pooled(target) = self.target {
                    self.pool(simd, block, &band, target);
                }
            }
        }
    }
}

impl GatherTask<'_> {
    /// The address that the first element of the source would have if the rows that the task reads lay where they belong: those of the map
    /// itself, or copies in a room, expanded or normalised.
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
        // SAFETY: `reads` are rows of the source, whose length the pass has checked; `Gather::normalises` made a room for those of a task.
        unsafe {
            match &source.normalised {
                None => source.rows(simd, buffer, width, channels, reads),
                Some(by) => {
                    let pixels = reads.start * width..reads.end * width;
                    let start = pixels.start * channels;
                    let map = source.values.as_ptr();
                    by.write(simd, map, channels, pixels, 0..channels, self.room);
                    self.room.cast_const().wrapping_sub(start)
                }
            }
        }
    }

    /// Pools the rows of a block, which lie where the band says.
    #[inline(always)]
    fn pool<S: Simd>(&self, simd: S, block: usize, band: &Band, target: PooledTarget) {
        let gather = self.gather;
        let (group, within) = (block / gather.blocks(), block % gather.blocks());
        let first = within * BLOCK_VECTORS * S::LANES;
        let channels = (gather.channels - first).min(band.place.pixel);
        let (width, all) = (gather.columns.target, gather.target_channels);
        for row in band.rows.clone().step_by(2) {
            let start = |row: usize| {
                let start = band.place.start.cast_const();
                start.wrapping_add(row * width * band.place.pixel)
            };
            let at = row / 2 * (width / 2) * all + group * gather.channels + first;
            let rows = TwoRows {
                starts: [start(row), start(row + 1)],
                pixel: band.place.pixel,
                windows: width / 2,
                channels,
                all,
            };
            // SAFETY: the band's rows have been written; the pooled ones lie within the target, and this task alone writes them.
            unsafe { target.store_rows(simd, rows, at) };
        }
    }
}
