//! The tiles of a task: some pixels of a block of target channels at a time.
use std::ops::Range;

use super::indirect::Indirect;
use super::{BLOCK_VECTORS, Gather, GatherTask};
use crate::conv::classes::{Class, Pixel, Steps, Walk};
use crate::conv::direct::products::{Ahead, Terms, products, products_by_tap};
use crate::conv::finish::tile::Tile;
use crate::simd::Simd;

/// Some rows of a task.
pub(super) struct Band {
    /// Where the source begins.
    pub(super) source: *const f32,
    /// What is fetched meanwhile would begin there, if not the next pixels of the source are: those of a later task, where this one reads
    /// what it has made of its own.
    pub(super) beyond: Option<*const f32>,
    pub(super) rows: Range<usize>,
    pub(super) place: Place,
}

/// Where the pixels of a block go.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Of the first pixel of the whole target.
    pub(super) start: *mut f32,
    /// Numbers from pixel to pixel.
    pub(super) pixel: usize,
    /// Whether these are all channels, or those of the block.
    pub(super) all_channels: bool,
}

/// A block of target channels of a band.
#[derive(Clone, Copy)]
struct Block {
    group: usize,
    /// Of the group.
    index: usize,
    /// The first number that pixel 0 of the source has for the group.
    source: *const f32,
    /// Those of the first tap.
    weights: *const f32,
    place: Place,
}

/// The pixels of a block of one class of rows and one of columns.
#[derive(Clone, Copy)]
struct Part {
    block: Block,
    /// Those of the first tap of the classes.
    weights: *const f32,
    terms: Terms,
    /// What pixel 0 fetches.
    ahead: Ahead,
}

impl GatherTask<'_> {
    /// All pixels in tiles of P; where fewer are left, of H or less.
    #[inline(always)]
    pub(super) fn block<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: usize,
        band: &Band,
    ) {
        let gather = self.gather;
        let (group, index) = (block / gather.blocks(), block % gather.blocks());
        let weights = &self.packed[gather.block_start(group, index)..];
        let block = Block {
            group,
            index,
            source: band.source.wrapping_add(group * gather.terms),
            weights: weights.as_ptr(),
            place: band.place,
        };
        match &gather.indirect {
            Some(indirect) => self.indirect::<S, P, H, V>(simd, block, band, indirect),
            None => self.classes::<S, P, H, V>(simd, block, band),
        }
    }

    /// Each pixel by the table.
    #[inline(always)]
    fn indirect<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        band: &Band,
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
        // SAFETY: the block has V vectors for each term of each tap, and what the table names are pixels of the source or zeros.
        let sums: [[S::Vector; V]; P] = unsafe {
            products_by_tap(simd, block.weights, [indirect.taps(), terms], |tap| {
                indirect.pointers(block.source, channels, &pixels, tap)
            })
        };
        let at = pixels.map(|pixel| pixel * block.place.pixel);
        self.store(simd, block, sums, at, count);
        count
    }

    /// The classes one after the other.
    #[inline(always)]
    fn classes<S: Simd, const P: usize, const H: usize, const V: usize>(
        &self,
        simd: S,
        block: Block,
        band: &Band,
    ) {
        let Gather { rows, columns, .. } = self.gather;
        for row in &rows.list {
            let before = |end| row.before(end, rows.target, rows.steps.target);
            let skip = before(band.rows.start);
            let class_rows = before(band.rows.end) - skip;
            for column in &columns.list {
                let part = self.part::<S, P, V>(band, block, [row, column]);
                let numbers = Steps {
                    target: band.place.pixel,
                    source: self.gather.source_channels,
                };
                let axes = [rows, columns];
                let mut walk = Walk::new(axes, [row, column], numbers, block.source, skip);
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
        block: Block,
        [row, column]: [&Class; 2],
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
        let ahead = match band.beyond {
            Some(beyond) => beyond.wrapping_add(block.group * self.gather.terms),
            None => block.source.wrapping_add(last_row + 2 * tile),
        };
        Part {
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

    /// Computes the next P pixels (or those that are left) of a part and returns how many they were.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        part: Part,
        walk: &mut Walk,
        left: usize,
    ) -> usize {
        let count = left.min(P);
        let pixels = walk.take::<P>(count);
        self.prefetch::<P, V>(S::LANES, part.block, &pixels[0]);
        let pointers = pixels.map(|pixel| pixel.source);
        let moved = pointers[0].addr().wrapping_sub(part.block.source.addr());
        let ahead = Ahead {
            start: part.ahead.start.wrapping_byte_add(moved),
            ..part.ahead
        };
        // SAFETY: the block has V vectors for each term of each tap, and the taps of the classes lie within the source for
        // every pixel.
        let sums: [[S::Vector; V]; P] =
            unsafe { products(simd, pointers, part.weights, &part.terms, ahead) };
        self.store(
            simd,
            part.block,
            sums,
            pixels.map(|pixel| pixel.target),
            count,
        );
        count
    }

    /// Finishes and stores the sums of `count` pixels of the target, whose numbers begin there.
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
        let place = block.place;
        let shift = if place.all_channels { channel } else { 0 };
        let tile = Tile {
            target: place.start,
            at: at.map(|at| at + shift),
            count,
            channel,
            last,
        };
        // SAFETY: the pixels and their channels lie within the target, and only this task writes them.
        unsafe { self.finish.store_tile(simd, sums, tile) };
    }

    /// Fetches what the end of the next tile reads beside its sums.
    #[inline(always)]
    fn prefetch<const P: usize, const V: usize>(&self, lanes: usize, block: Block, pixel: &Pixel) {
        let gather = self.gather;
        let channel = block.group * gather.channels + block.index * BLOCK_VECTORS * lanes;
        if !block.place.all_channels {
            return;
        }
        let step = gather.columns.steps.target * gather.target_channels;
        let at = pixel.target + P * step + channel;
        let target = block.place.start;
        self.finish.prefetch::<P>(target, at, step, V * lanes);
    }
}
