//! The loop of forward and input gradient: a tile of pixels that read the same taps, whose channels are broadcast against
//! vectors of packed weights.
use std::ops::Range;

use crate::Cpu;
use crate::normalised::Rooms;
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::classes::{Class, Classes, Pixel, Walk};
use super::direct::Piece;
use super::finish::Finish;
use super::finish::tile::Tile;
use super::products::{Ahead, Terms, products};
use super::{Epilogue, Geometry};
use crate::pool::fused::{ROOM, Room, Source, Target};

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
            task: [0, 0],
            rooms: Rooms::default(),
        };
        gather.task = gather.task_size();
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
            cpu.dispatch(Task {
                gather: self,
                source,
                room,
                packed,
                finish: finish.with_part(chunk),
                output,
                skipped: [0, 0],
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
    /// begin `skipped` numbers behind the start of their maps.
    ///
    /// # Safety
    /// What the rows read and write is there, no other thread writes it, and `finish` belongs to a map that has the rows.
    pub(super) unsafe fn rows(
        &self,
        cpu: &Cpu,
        [source, packed]: [&[f32]; 2],
        finish: &Finish,
        target: &DisjointMut<f32>,
        skipped: [usize; 2],
        rows: Range<usize>,
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
        let beyond = self.source.normalised.map(|_| {
            let start = self.source.numbers.as_ptr();
            start.wrapping_add(gather.rooms.len())
        });
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
                    beyond,
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

/// Some rows of a task.
struct Band {
    /// Where the source begins.
    source: *const f32,
    /// What is fetched meanwhile would begin there, if not the next pixels of the source are: those of a later task, where this one reads
    /// what it has normalised.
    beyond: Option<*const f32>,
    rows: Range<usize>,
    place: Place,
}

/// Where the pixels of a block go.
#[derive(Clone, Copy)]
struct Place {
    /// Of the first pixel of the whole target.
    start: *mut f32,
    /// Numbers from pixel to pixel.
    pixel: usize,
    /// Whether these are all channels, or those of the block.
    all_channels: bool,
}

/// A block of target channels for the pixels of one class of rows and one of columns.
#[derive(Clone, Copy)]
struct Part {
    group: usize,
    /// Of the group.
    block: usize,
    /// The first number that pixel 0 of the source has for the group.
    source: *const f32,
    /// Those of the first tap of the classes.
    weights: *const f32,
    terms: Terms,
    place: Place,
    /// What pixel 0 fetches.
    ahead: Ahead,
}

impl Task<'_> {
    /// All classes in tiles of P pixels; where fewer are left, of H or less.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: usize,
        band: &Band,
    ) {
        let Gather { rows, columns, .. } = self.gather;
        let blocks = self.gather.blocks();
        for row in &rows.list {
            let before = |end| row.before(end, rows.target, rows.steps.target);
            let skip = before(band.rows.start);
            let class_rows = before(band.rows.end) - skip;
            for column in &columns.list {
                let part =
                    self.part::<S, P, V>(band, [row, column], block / blocks, block % blocks);
                let mut walk = Walk::new([rows, columns], [row, column], skip);
                let mut left = class_rows * column.count;
                while left > 0 {
                    left -= match left {
                        1 => self.tile::<S, 1, V>(simd, part, &mut walk, left),
                        2 => self.tile::<S, 2, V>(simd, part, &mut walk, left),
                        3..=4 => self.tile::<S, 4, V>(simd, part, &mut walk, left),
                        5..=6 => self.tile::<S, H, V>(simd, part, &mut walk, left),
                        7..=8 if P > 8 => self.tile::<S, 4, V>(simd, part, &mut walk, left),
                        _ => self.tile::<S, P, V>(simd, part, &mut walk, left),
                    };
                }
            }
        }
    }

    #[inline(always)]
    fn part<S: Simd, const P: usize, const V: usize>(
        &self,
        band: &Band,
        [row, column]: [&Class; 2],
        group: usize,
        block: usize,
    ) -> Part {
        let Gather { rows, columns, .. } = self.gather;
        let (terms, channels) = (self.gather.terms, self.gather.source_channels);
        // Taps that read neighbours are one run.
        let (runs, run_terms) = if columns.tap_step == 1 && terms == channels {
            (1, column.taps.len() * terms)
        } else {
            (column.taps.len(), terms)
        };
        let first_tap = row.taps.start * columns.order.len() + column.taps.start;
        let first_row = first_tap * terms * V * S::LANES;
        let weights = &self.packed[self.gather.block_start(group, block)..];
        let terms = Terms {
            rows: row.taps.len(),
            row_step: rows.tap_step * columns.source * channels,
            row_weights: columns.order.len() * terms,
            runs,
            run_step: columns.tap_step * channels,
            terms: run_terms,
        };
        // The last row of taps of the tile after the next, which no tile has read yet.
        let tile = P * columns.steps.source * channels;
        let last_row = row.taps.len().saturating_sub(1) * terms.row_step;
        let first = group * self.gather.terms;
        let source = band.source.wrapping_add(first);
        let ahead = match band.beyond {
            Some(beyond) => beyond.wrapping_add(first),
            None => source.wrapping_add(last_row + 2 * tile),
        };
        Part {
            group,
            block,
            source,
            weights: weights.as_ptr().wrapping_add(first_row),
            terms,
            place: band.place,
            ahead: Ahead {
                start: ahead,
                step: tile.div_ceil((terms.rows * runs * run_terms).max(1)),
            },
        }
    }

    /// Computes the next P pixels (or those that are left) of a block and returns how many they were.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        part: Part,
        walk: &mut Walk,
        left: usize,
    ) -> usize {
        let gather = self.gather;
        let count = left.min(P);
        let pixels = walk.take::<P>(count);
        self.prefetch::<P, V>(S::LANES, part, &pixels[0]);
        let place = |pixel: &Pixel| pixel.source * gather.source_channels;
        let pointers = pixels.map(|pixel| part.source.wrapping_add(place(&pixel)));
        let ahead = Ahead {
            start: part.ahead.start.wrapping_add(place(&pixels[0])),
            ..part.ahead
        };
        // SAFETY: the block has V vectors for each term of each tap, and the taps of the classes lie within the source for
        // every pixel.
        let sums: [[S::Vector; V]; P] =
            unsafe { products(simd, pointers, part.weights, &part.terms, ahead) };
        let first = part.block * BLOCK_VECTORS * S::LANES;
        let channel = part.group * gather.channels + first;
        let last = (gather.channels - first - (V - 1) * S::LANES).min(S::LANES);
        let place = part.place;
        let shift = if place.all_channels { channel } else { 0 };
        let tile = Tile {
            target: place.start,
            at: pixels.map(|pixel| pixel.target * place.pixel + shift),
            count,
            channel,
            last,
        };
        // SAFETY: the pixels and their channels lie within the target, and only this task writes them.
        unsafe { self.finish.store_tile(simd, sums, tile) };
        count
    }

    /// Fetches what the end of the next tile reads and writes.
    #[inline(always)]
    fn prefetch<const P: usize, const V: usize>(&self, lanes: usize, part: Part, pixel: &Pixel) {
        let gather = self.gather;
        let channel = part.group * gather.channels + part.block * BLOCK_VECTORS * lanes;
        if !part.place.all_channels {
            return;
        }
        for p in P..2 * P {
            let target = pixel.target + p * gather.columns.steps.target;
            let at = target * gather.target_channels + channel;
            self.finish.prefetch(part.place.start, at, V * lanes);
        }
    }

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
