//! The loop of forward and input gradient: a tile of pixels that read the same taps, whose channels are broadcast against
//! vectors of packed weights.
mod indirect;
mod tiles;

use std::ops::Range;

use crate::Cpu;
use crate::normalised::Rooms;
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::classes::Classes;
use super::direct::Piece;
use super::finish::Finish;
use super::{Epilogue, Geometry};
use crate::pool::fused::{ROOM, Room, Source, Target};
use indirect::Indirect;
use tiles::{Band, Place};

/// Numbers of the source that a task reads: they stay in L2 while the blocks of weights pass by.
const TASK_NUMBERS: usize = 96 << 10;
/// Numbers of the source at most that a task normalises.
const MOST_ROOM: usize = 2 * TASK_NUMBERS;
/// Pixels of a task at least, where there are that many.
const TASK_PIXELS: [usize; 2] = [48, 144];
/// Tasks that keep a few threads equally busy.
const ENOUGH_TASKS: usize = 32;
/// Terms that are packed at a time: a transposition within L1.
const PACK_TERMS: usize = 64;
/// Packed weights that the processor fetches in time by itself. Of more, and of a single tap (whose sums are short), the next are asked
/// for: that took 5 to 9 % less of a batch of 16 through the last layers of resnet18 and mobilenet-v2, and 5 % more of their first.
const MOST_WEIGHTS_NEAR: usize = 1 << 20;
/// Vectors of output channels in a block, but for the last, which may have 1 or 3.
const BLOCK_VECTORS: usize = 2;

/// Target pixels gather source pixels.
#[derive(Debug)]
pub(super) struct Gather {
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
    /// What each pixel reads, where there are few.
    indirect: Option<Indirect>,
    /// Whether weights are worth asking for before they are needed.
    fetches_weights: bool,
    /// Rows of the target and blocks of a task.
    task: [usize; 2],
    /// For what tasks read, if they may be asked to normalise it.
    rooms: Rooms,
}

/// Where a pass writes.
#[derive(Clone, Copy)]
pub(super) enum Output<'a> {
    Map(&'a DisjointMut<'a, f32>),
    /// The target pooled by 2×2 windows side by side.
    Pooled(Target<'a>),
}

/// Numbers that a task keeps in L1 until they are pooled.
const BAND: usize = 6 << 10;

impl Gather {
    pub(super) fn new(
        cpu: &Cpu,
        [rows, columns]: [Classes; 2],
        geometry: &Geometry,
        [source_channels, target_channels]: [usize; 2],
    ) -> Self {
        let mut gather = Self {
            images: geometry.batch,
            rows,
            columns,
            source_channels,
            target_channels,
            groups: geometry.groups,
            terms: source_channels / geometry.groups,
            channels: target_channels / geometry.groups,
            lanes: cpu.lanes(),
            indirect: None,
            fetches_weights: false,
            task: [0, 0],
            rooms: Rooms::default(),
        };
        gather.task = gather.task_size();
        let axes = [&gather.rows, &gather.columns];
        gather.indirect = Indirect::new(cpu, axes, gather.images, gather.terms);
        gather.fetches_weights = gather.has_single_tap() || gather.packed_len() > MOST_WEIGHTS_NEAR;
        gather
    }

    /// Rows and blocks of a task: all blocks if there are many rows, else one.
    fn task_size(&self) -> [usize; 2] {
        let (all_rows, width) = (self.all_rows(), self.columns.target);
        let blocks = self.groups * self.blocks();
        let source_row = self.columns.source * self.source_channels * self.rows.source;
        let most = (TASK_NUMBERS * self.rows.target / source_row).max(1);
        let least = TASK_PIXELS.map(|pixels| pixels.div_ceil(width));
        let rows = (all_rows / ENOUGH_TASKS).min(most);
        if rows >= least[1] {
            return [rows, blocks];
        }
        let chunks = ENOUGH_TASKS.div_ceil(blocks).min(all_rows / least[0]);
        [all_rows.div_ceil(chunks.max(1)).min(most), 1]
    }

    /// Prepared to pool what it writes, if two rows of a block fit into L1.
    pub(super) fn pooled(mut self) -> Option<Self> {
        let widest = (0..self.blocks()).map(|block| self.block_vectors(block));
        let pixel = widest.max().unwrap_or(1) * self.lanes;
        self.task[0] = self.task[0].next_multiple_of(2);
        (2 * self.columns.target * pixel <= BAND).then_some(self)
    }

    /// Prepared to read a pooled gradient, if what a task reads of it fits into L2 expanded.
    pub(super) fn expanding(mut self) -> Option<Self> {
        let row = self.columns.source * self.source_channels;
        while self.rows.most_reads(self.all_rows(), self.task[0]) * row > ROOM {
            if self.task[0] == 1 {
                return None;
            }
            self.task[0] = self.task[0].div_ceil(2);
        }
        Some(self)
    }

    /// Has it normalise what it reads, where it is asked to; false if that does not fit into L2.
    pub(super) fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        let row = self.columns.source * self.source_channels;
        let room = (self.rows.most_reads(self.all_rows(), self.task[0]) * row).max(1);
        if room <= MOST_ROOM {
            self.rooms = Rooms::new(cpu, room);
        }
        room <= MOST_ROOM
    }

    /// Numbers of scratch that [`Gather::run`] needs.
    pub(super) fn scratch_len(&self) -> usize {
        self.rooms.len()
    }

    /// Rows of the target of all images.
    fn all_rows(&self) -> usize {
        self.images * self.rows.target
    }

    pub(super) fn target_channels(&self) -> usize {
        self.target_channels
    }

    /// Numbers of the source.
    pub(super) fn source_len(&self) -> usize {
        self.images * self.rows.source * self.columns.source * self.source_channels
    }

    /// Numbers of the target.
    pub(super) fn target_len(&self) -> usize {
        self.all_rows() * self.columns.target * self.target_channels
    }

    /// The end of a forward pass into `target`, a whole map or some rows of it.
    pub(super) fn finish<'a>(&self, epilogue: &Epilogue<'a>, target: &[f32]) -> Finish<'a> {
        assert!(epilogue.sums.is_none(), "rows of a map are not summed");
        Finish::forward(epilogue, target, self.target_channels)
    }

    /// Parts in which a pass sums what it stores: its tasks of other rows.
    pub(super) fn sums_parts(&self) -> usize {
        self.all_rows().div_ceil(self.task[0])
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

    pub(super) fn packed_len(&self) -> usize {
        self.groups * self.vectors() * self.lanes * self.all_terms()
    }

    /// Start of a block in the packed weights `[group][block][tap][term][vectors · lanes]`.
    fn block_start(&self, group: usize, block: usize) -> usize {
        (group * self.vectors() + block * BLOCK_VECTORS) * self.lanes * self.all_terms()
    }

    /// `fill` writes each piece.
    pub(super) fn pack(
        &self,
        cpu: &Cpu,
        packed: &mut [f32],
        fill: impl Fn(Piece, &mut [f32]) + Sync,
    ) {
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
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
                    fill(piece, block);
                }
            }
        });
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        source: Source,
        packed: &[f32],
        finish: &Finish,
        output: Output,
        scratch: &mut [f32],
    ) {
        assert_eq!(source.len(), self.source_len(), "source");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
        let [rows, blocks] = self.task;
        let all_blocks = self.groups * self.blocks();
        let parts = all_blocks.div_ceil(blocks);
        let tasks = self.sums_parts() * parts;
        let run = |task: usize, room: *mut f32| {
            let (chunk, part) = (task / parts, task % parts);
            // What a later task normalises.
            let ahead = (source.numbers.as_ptr()).wrapping_add(self.rooms.len());
            cpu.dispatch(Task {
                gather: self,
                source,
                room,
                packed,
                finish: finish.with_part(chunk),
                output,
                skipped: [0, 0],
                ahead: source.normalised.map(|_| ahead),
                rows: chunk * rows..((chunk + 1) * rows).min(self.all_rows()),
                blocks: part * blocks..((part + 1) * blocks).min(all_blocks),
            });
        };
        let normalised = source.normalised.iter();
        normalised.for_each(|by| by.check(self.source_channels));
        let normalise = source.normalised.is_some();
        self.rooms.parallel(cpu, tasks, normalise, scratch, run);
    }

    /// Some rows, counted through all images, of all blocks, on this thread alone. Of source and target only rows are there, which
    /// begin `skipped` numbers behind the start of their maps. What is fetched meanwhile lies as far behind `ahead`, if that is given, as
    /// what is read lies behind the start of the source's map.
    ///
    /// # Safety
    /// What the rows read and write is there, no other thread writes it, and `finish` belongs to a map that has the rows.
    #[allow(
        clippy::too_many_arguments,
        reason = "what is read, written and fetched"
    )]
    pub(super) unsafe fn rows(
        &self,
        cpu: &Cpu,
        [source, packed]: [&[f32]; 2],
        finish: &Finish,
        target: &DisjointMut<f32>,
        skipped: [usize; 2],
        rows: Range<usize>,
        ahead: Option<*const f32>,
    ) {
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
        if rows.is_empty() {
            return;
        }
        cpu.dispatch(Task {
            gather: self,
            source: Source::map(source),
            room: std::ptr::null_mut(),
            packed,
            finish: *finish,
            output: Output::Map(target),
            skipped,
            ahead,
            rows,
            blocks: 0..self.groups * self.blocks(),
        });
    }
}

/// Some rows of some blocks of target channels.
struct Task<'a> {
    gather: &'a Gather,
    source: Source<'a>,
    /// For what it normalises, if it does.
    room: *mut f32,
    packed: &'a [f32],
    finish: Finish<'a>,
    output: Output<'a>,
    /// Numbers of source and target that lie before what is there.
    skipped: [usize; 2],
    /// Where what is fetched meanwhile would begin, if not the next pixels of the source are.
    ahead: Option<*const f32>,
    rows: Range<usize>,
    blocks: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    // Tile heights: as many accumulators as leave registers for the weights and the broadcast.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let Gather { rows, columns, .. } = gather;
        let (mut room, size) = (Room::new(), [columns.source, gather.source_channels]);
        let is_map = self.source.winners.is_none() && self.source.normalised.is_none();
        let reads = match is_map {
            true => 0..0,
            false => rows.reads(self.rows.clone()),
        };
        // SAFETY: what rows of the target read are rows of the source, whose length has been checked; there is room for those of a task
        // where it normalises.
        let source = unsafe {
            match &self.source.normalised {
                None => self.source.rows(simd, &mut room, size, reads),
                Some(by) => {
                    let [width, channels] = size;
                    let pixels = reads.start * width..reads.end * width;
                    let start = pixels.start * channels;
                    let map = self.source.numbers.as_ptr();
                    by.write(simd, map, channels, pixels, 0..channels, self.room);
                    self.room.cast_const().wrapping_sub(start)
                }
            }
        };
        let source = source.wrapping_sub(self.skipped[0]);
        for block in self.blocks.clone() {
            let vectors = gather.block_vectors(block % gather.blocks());
            let row = columns.target * vectors * S::LANES;
            let band = match self.output {
                Output::Map(_) => self.rows.len(),
                Output::Pooled(_) => BAND / row / 2 * 2,
            };
            for start in self.rows.clone().step_by(band) {
                let rows = start..(start + band).min(self.rows.end);
                let place = match self.output {
                    Output::Map(map) => Place {
                        start: map.as_mut_ptr().wrapping_sub(self.skipped[1]),
                        pixel: gather.target_channels,
                        all_channels: true,
                    },
                    Output::Pooled(_) => Place {
                        start: room.as_mut_ptr().wrapping_sub(start * row),
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
                if let Output::Pooled(target) = self.output {
                    self.pool(simd, block, &band, target);
                }
            }
        }
    }
}

impl Task<'_> {
    /// Pools the rows of a block, which lie where the band says.
    #[inline(always)]
    fn pool<S: Simd>(&self, simd: S, block: usize, band: &Band, target: Target) {
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
            // SAFETY: the band's rows have been written; the pooled ones lie within the target, and this task alone writes them.
            unsafe {
                let (rows, pixel) = ([start(row), start(row + 1)], band.place.pixel);
                target.store_rows(simd, rows, pixel, width / 2, at, [channels, all]);
            }
        }
    }
}
