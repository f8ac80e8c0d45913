//! The tiles of a task: some pixels of a block of target channels at a time. At the end stands the innermost loop, which tiles share with
//! `spread.rs`.
use std::ops::Range;

use super::indirect::Indirect;
use super::{BLOCK_VECTORS, Gather, GatherTask};
use crate::conv::classes::{Class, Distance, Pixel, Walk};
use crate::conv::finish::tile::TargetTile;
use crate::conv::prefetch::{WEIGHTS_AHEAD, prefetch};
use crate::simd::{Kernel, Simd};

/// Some rows of a task.
pub(super) struct RowBand {
    /// Where the source map begins or would begin.
    pub(super) source: *const f32,
    /// The map to prefetch from; `None` prefetches the next pixels of the source.
    pub(super) ahead: Option<*const f32>,
    pub(super) rows: Range<usize>,
    pub(super) target: BlockTarget,
}

/// Where the pixels of a block are stored.
#[derive(Clone, Copy)]
pub(super) struct BlockTarget {
    /// The address that the first pixel of the whole target has or would have.
    pub(super) start: *mut f32,
    /// Floats from pixel to pixel.
    pub(super) pixel: usize,
    /// Whether a pixel has all channels there, or only those of the block.
    pub(super) all_channels: bool,
}

/// A block of target channels of a band.
#[derive(Clone, Copy)]
struct Block {
    group: usize,
    /// Index within the group.
    index: usize,
    /// The group's first channel of pixel 0 of the source.
    source: *const f32,
    /// The weights of the first tap.
    weights: *const f32,
    target: BlockTarget,
}

/// The pixels of a block that lie in one class of rows and one class of columns.
#[derive(Clone, Copy)]
struct ClassBlock {
    block: Block,
    /// The weights of the first tap of the classes.
    weights: *const f32,
    terms: TermLayout,
    /// What a tile at pixel 0 would prefetch.
    ahead: Ahead,
}

/// The band's pixels of a block, in tiles of P pixels. Each size of tiles is a function of its own, because the compiler takes much longer
/// for one function that holds all of them.
pub(super) struct BlockTask<'a, const P: usize, const H: usize, const V: usize> {
    task: &'a GatherTask<'a>,
    block: usize,
    band: &'a RowBand,
}

impl<'a, const P: usize, const H: usize, const V: usize> BlockTask<'a, P, H, V> {
    pub(super) fn new(task: &'a GatherTask<'a>, block: usize, band: &'a RowBand) -> Self {
        Self { task, block, band }
    }
}

impl<const P: usize, const H: usize, const V: usize> Kernel for BlockTask<'_, P, H, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.task.block::<S, P, H, V>(simd, self.block, self.band);
    }
}

impl GatherTask<'_> {
    /// Computes the band's pixels of a block in tiles of P pixels. The rest is computed in smaller tiles, of H pixels for instance, or in one of
    /// P whose last pixels are copies of the first.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: usize,
        band: &RowBand,
    ) {
        let gather = self.gather;
        let (group, index) = (block / gather.blocks(), block % gather.blocks());
        let weights = &self.packed[gather.block_start(group, index)..];
        let block = Block {
            group,
            index,
            source: band.source.wrapping_add(group * gather.terms),
            weights: weights.as_ptr(),
            target: band.target,
        };
        match &gather.indirect {
            Some(indirect) => self.indirect::<S, P, H, V>(simd, block, band, indirect),
            None => self.classes::<S, P, H, V>(simd, block, band),
        }
    }

    /// Computes each pixel by the table.
    #[inline(always)]
    fn indirect<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        band: &RowBand,
        indirect: &Indirect,
    ) {
        let [mut at, end] =
            [band.rows.start, band.rows.end].map(|row| row * self.gather.columns.target);
        while at < end {
            let left = end - at;
            at += match left {
                1..=4 => self.indirect_tile::<S, 4, V>(simd, block, indirect, at, left),
                _ if left <= H => self.indirect_tile::<S, H, V>(simd, block, indirect, at, left),
                _ => self.indirect_tile::<S, P, V>(simd, block, indirect, at, left),
            };
        }
    }

    /// Computes the next P pixels from `first` on (or those that are left) of a block and returns how many they were.
    #[inline(always)]
    fn indirect_tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        indirect: &Indirect,
        first: usize,
        left: usize,
    ) -> usize {
        let (channels, terms) = (self.gather.source_channels, self.gather.terms);
        let count = left.min(P);
        let pixels = std::array::from_fn(|p| first + if p < count { p } else { 0 });
        // SAFETY: `pass.rs` checked the length of the packed weights: the block has V vectors for each term of each tap. The table names
        // pixels of the source, or zeros for as many channels as `Indirect::supports` allows.
        let sums: [[S::Vector; V]; P] = unsafe {
            products_by_tap(simd, block.weights, indirect.taps(), terms, |tap| {
                indirect.pointers(block.source, channels, &pixels, tap)
            })
        };
        let at = pixels.map(|pixel| pixel * block.target.pixel);
        self.store(simd, block, sums, at, count);
        count
    }

    /// Computes the classes one after the other.
    #[inline(always)]
    fn classes<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        band: &RowBand,
    ) {
        let Gather { rows, columns, .. } = self.gather;
        for row in &rows.list {
            let before = |end| row.before(end, rows.target, rows.steps.target);
            let skip = before(band.rows.start);
            let class_rows = before(band.rows.end) - skip;
            for column in &columns.list {
                let class_block = self.class_block::<S, P, V>(band, block, row, column);
                let pixel = Distance {
                    target: band.target.pixel,
                    source: self.gather.source_channels,
                };
                let axes = [rows, columns];
                let mut walk = Walk::new(axes, [row, column], pixel, block.source, skip);
                let mut left = class_rows * column.count;
                while left > 0 {
                    left -= match left {
                        1 => self.tile::<S, 1, V>(simd, class_block, &mut walk, left),
                        2 => self.tile::<S, 2, V>(simd, class_block, &mut walk, left),
                        3..=4 => self.tile::<S, 4, V>(simd, class_block, &mut walk, left),
                        5..=6 => self.tile::<S, H, V>(simd, class_block, &mut walk, left),
                        7..=8 if P > 8 => self.tile::<S, 4, V>(simd, class_block, &mut walk, left),
                        _ => self.tile::<S, P, V>(simd, class_block, &mut walk, left),
                    };
                }
            }
        }
    }

    #[inline(always)]
    fn class_block<S: Simd, const P: usize, const V: usize>(
        &self,
        band: &RowBand,
        block: Block,
        row: &Class,
        column: &Class,
    ) -> ClassBlock {
        let Gather { rows, columns, .. } = self.gather;
        let (terms, channels) = (self.gather.terms, self.gather.source_channels);
        // Taps that read neighbouring pixels are one run.
        let (runs, run_terms) = if columns.tap_step == 1 && terms == channels {
            (1, column.taps.len() * terms)
        } else {
            (column.taps.len(), terms)
        };
        let first_tap = row.taps.start * columns.order.len() + column.taps.start;
        let first_row = first_tap * terms * V * S::LANES;
        let terms = TermLayout {
            rows: row.taps.len(),
            row_step: rows.tap_step * columns.source * channels,
            row_weights: columns.order.len() * terms,
            runs,
            run_step: columns.tap_step * channels,
            terms: run_terms,
        };
        // The tile after the next, at the last row of taps: no tile has read that yet.
        let tile = P * columns.steps.source * channels;
        let last_row = row.taps.len().saturating_sub(1) * terms.row_step;
        let ahead = match band.ahead {
            Some(map) => map.wrapping_add(block.group * self.gather.terms),
            None => block.source.wrapping_add(last_row + 2 * tile),
        };
        ClassBlock {
            block,
            weights: block.weights.wrapping_add(first_row),
            terms,
            ahead: Ahead {
                start: ahead,
                step: tile.div_ceil((terms.rows * runs * run_terms).max(1)),
                weights: self.gather.fetches_weights,
            },
        }
    }

    /// Computes the next P pixels (or those that are left) and returns how many they were.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        class_block: ClassBlock,
        walk: &mut Walk,
        left: usize,
    ) -> usize {
        let count = left.min(P);
        let pixels = walk.take::<P>(count);
        self.prefetch::<P, V>(S::LANES, class_block.block, &pixels[0]);
        let pointers = pixels.map(|pixel| pixel.source);
        let moved = pointers[0]
            .addr()
            .wrapping_sub(class_block.block.source.addr());
        let ahead = Ahead {
            start: class_block.ahead.start.wrapping_byte_add(moved),
            ..class_block.ahead
        };
        // SAFETY: `pass.rs` checked the length of the packed weights: the block has V vectors for each term of each tap. The taps of a class
        // read inside the source for each of its pixels, and the task's source holds all rows that its own rows read.
        let sums: [[S::Vector; V]; P] = unsafe {
            products(
                simd,
                pointers,
                class_block.weights,
                &class_block.terms,
                ahead,
            )
        };
        self.store(
            simd,
            class_block.block,
            sums,
            pixels.map(|pixel| pixel.target),
            count,
        );
        count
    }

    /// Finishes and stores the sums of `count` pixels, which begin at `at` in the target.
    #[inline(always)]
    fn store<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        sums: [[S::Vector; V]; P],
        at: [usize; P],
        count: usize,
    ) {
        let gather = self.gather;
        let first = block.index * BLOCK_VECTORS * S::LANES;
        let channel = block.group * gather.channels + first;
        let last = (gather.channels - first - (V - 1) * S::LANES).min(S::LANES);
        let BlockTarget {
            start,
            all_channels,
            ..
        } = block.target;
        let shift = if all_channels { channel } else { 0 };
        let tile = TargetTile {
            target: start,
            at: at.map(|at| at + shift),
            count,
            channel,
            last,
        };
        // SAFETY: the pixels are of the task's rows, which its target holds, and the channels of its blocks. No other task has both, nor
        // these channels in its part of the sums.
        unsafe { self.finish.store_tile(simd, sums, tile) };
    }

    /// Prefetches the maps that the end of the next tile reads.
    #[inline(always)]
    fn prefetch<const P: usize, const V: usize>(&self, lanes: usize, block: Block, pixel: &Pixel) {
        let gather = self.gather;
        let channel = block.group * gather.channels + block.index * BLOCK_VECTORS * lanes;
        if !block.target.all_channels {
            return;
        }
        let step = gather.columns.steps.target * gather.target_channels;
        let at = pixel.target + P * step + channel;
        let target = block.target.start;
        self.finish.prefetch::<P>(target, at, step, V * lanes);
    }
}

/// Where the terms of a sum of products lie: rows of runs of neighbouring terms.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv::direct) struct TermLayout {
    pub(in crate::conv::direct) rows: usize,
    /// Floats of the source from row to row.
    pub(in crate::conv::direct) row_step: usize,
    /// Terms of the packed weights from row to row.
    pub(in crate::conv::direct) row_weights: usize,
    /// Runs of a row.
    pub(in crate::conv::direct) runs: usize,
    /// Floats of the source from run to run.
    pub(in crate::conv::direct) run_step: usize,
    /// Terms of a run.
    pub(in crate::conv::direct) terms: usize,
}

/// What is prefetched, a little with each term: many requests at once would make the processor wait.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv::direct) struct Ahead {
    pub(in crate::conv::direct) start: *const f32,
    /// Floats from what is fetched with one term to what is fetched with the next.
    pub(in crate::conv::direct) step: usize,
    /// Whether weights are fetched as well.
    pub(in crate::conv::direct) weights: bool,
}

/// For P pixels, the sums over all terms of an element of the source times V vectors of weights.
///
/// # Safety
/// All terms can be read from each pointer on, and V vectors for each of them from `weights` on.
#[inline(always)]
pub(in crate::conv::direct) unsafe fn products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    pointers: [*const f32; P],
    weights: *const f32,
    terms: &TermLayout,
    ahead: Ahead,
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.zero(); V]; P];
    let mut next = ahead.start;
    for row in 0..terms.rows {
        let mut weights = weights.wrapping_add(row * terms.row_weights * V * S::LANES);
        for run in 0..terms.runs {
            let start = row * terms.row_step + run * terms.run_step;
            for term in start..start + terms.terms {
                prefetch(next, 1);
                if ahead.weights {
                    prefetch(weights.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
                }
                next = next.wrapping_add(ahead.step);
                // SAFETY: the term is one of `terms`, and its V vectors lie at `weights`.
                unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
                weights = weights.wrapping_add(V * S::LANES);
            }
        }
    }
    sums
}

/// As [`products`], over `taps` runs of `terms` terms. `pointers` tells where the run of a tap begins for each pixel. Weights are always
/// prefetched, since each is read for a few pixels only.
///
/// # Safety
/// From each pointer of each tap on, `terms` floats can be read, and from `weights` on V vectors for each term of each tap.
#[inline(always)]
pub(in crate::conv::direct) unsafe fn products_by_tap<S: Simd, const P: usize, const V: usize>(
    simd: S,
    weights: *const f32,
    taps: usize,
    terms: usize,
    pointers: impl Fn(usize) -> [*const f32; P],
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.zero(); V]; P];
    let mut weights = weights;
    for tap in 0..taps {
        let pointers = pointers(tap);
        for term in 0..terms {
            prefetch(weights.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
            // SAFETY: the tap has this term behind each pointer, and its V vectors lie at `weights`.
            unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
            weights = weights.wrapping_add(V * S::LANES);
        }
    }
    sums
}

/// Adds the products of one term.
///
/// # Safety
/// The term can be read from each pointer on, and V vectors from `weights` on.
#[inline(always)]
unsafe fn add_products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; P],
    pointers: &[*const f32; P],
    term: usize,
    weights: *const f32,
) {
    let mut vectors = [simd.zero(); V];
    // SAFETY: V vectors lie at `weights`, and the term behind each pointer.
    unsafe {
        for (v, vector) in vectors.iter_mut().enumerate() {
            *vector = simd.load(weights.add(v * S::LANES));
        }
        for (sums, pointer) in sums.iter_mut().zip(pointers) {
            let value = simd.splat(*pointer.add(term));
            for (sum, vector) in sums.iter_mut().zip(&vectors) {
                *sum = simd.mul_add(value, *vector, *sum);
            }
        }
    }
}
