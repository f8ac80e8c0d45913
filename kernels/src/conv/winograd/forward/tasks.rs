//! What one task of a Winograd convolution computes: transforms, products, interpolation.
use std::ops::Range;

use super::super::product::{self, Left, Product, Right};
use super::super::transform::NormalisedPixels;
use super::super::{HALF_PLANES, PLANES, TILE, transform};
use super::{CHUNK, PACK, PANEL, Winograd};
use crate::conv::finish::Finish;
use crate::conv::pass::MapTarget;
use crate::map::Source;
use crate::stream::prefetch_far;
use crate::{Kernel, Simd};

/// Transforms the weights of some terms, at most [`PACK`], of a panel.
pub(super) struct Weights<'a, const ROTATED: bool> {
    pub(super) convolution: &'a Winograd,
    pub(super) weights: &'a [f32],
    pub(super) panel: usize,
    pub(super) terms: Range<usize>,
    /// Where the first term's row of the first plane goes; rows follow one another.
    pub(super) to: *mut f32,
    pub(super) plane: usize,
}

impl<const ROTATED: bool> Kernel for Weights<'_, ROTATED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Winograd {
            inputs, outputs, ..
        } = *self.convolution;
        let panel = PANEL * S::LANES;
        let channel = self.panel * panel;
        let channels = panel.min(outputs - channel);
        let (first, terms) = (self.terms.start, self.terms.len());
        // The weights of the rotated kernel lie across: they are brought into order first.
        let mut turned = [[[0.0_f32; PANEL * 16]; PACK]; 9];
        if ROTATED {
            for tap in 0..9 {
                for c in 0..channels {
                    let row = ((8 - tap) * outputs + channel + c) * inputs + first;
                    let row = &self.weights[row..row + terms];
                    for (k, weight) in row.iter().enumerate() {
                        turned[tap][k][c] = *weight;
                    }
                }
            }
        }
        for k in 0..terms {
            for v in 0..PANEL {
                let n = channels.saturating_sub(v * S::LANES).min(S::LANES);
                let mut taps = [[simd.zero(); 3]; 3];
                // SAFETY: the first n lanes lie in the weights; the caller has room for these terms in each plane.
                unsafe {
                    for y in 0..3 {
                        for x in 0..3 {
                            let tap = y * 3 + x;
                            let from = if ROTATED {
                                turned[tap][k].as_ptr().wrapping_add(v * S::LANES)
                            } else {
                                let row = tap * inputs + first + k;
                                let from = row * outputs + channel + v * S::LANES;
                                self.weights.as_ptr().wrapping_add(from)
                            };
                            taps[y][x] = simd.load_first(n, from);
                        }
                    }
                    let to = self.to.add(k * panel + v * S::LANES);
                    transform::weights(simd, taps, to, self.plane);
                }
            }
        }
    }
}

pub(super) struct Transform<'a> {
    pub(super) convolution: &'a Winograd,
    pub(super) input: Source<'a>,
    pub(super) zeros: &'a [f32],
    pub(super) tiles: Range<usize>,
    /// Where the first tile's row of the first plane goes.
    pub(super) to: *mut f32,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let (plane, channels) = (convolution.input_plane(), convolution.inputs);
        for (i, tile) in self.tiles.enumerate() {
            let place = convolution.tiles.place(tile);
            // SAFETY: the pass has checked that the map is as large as the tiles say, and the planes have room for every
            // tile of a block with its channels rounded up to a vector.
            unsafe {
                let (tiles, zeros) = (&convolution.tiles, self.zeros.as_ptr());
                let to = self.to.add(i * convolution.row());
                match self.input.winners {
                    None => {
                        let map = self.input.values.as_ptr();
                        let pixels = tiles.input_pixels(place, map, channels, zeros);
                        match self.input.normalised {
                            None => transform_tile(simd, &pixels, channels, to, plane),
                            Some(by) => {
                                let pixels = NormalisedPixels { pixels, zeros, by };
                                transform_tile(simd, &pixels, channels, to, plane);
                            }
                        }
                    }
                    Some(winners) => {
                        let pixels =
                            tiles.expanded_input(place, self.input, winners, channels, zeros);
                        transform_tile(simd, &pixels, channels, to, plane);
                    }
                }
            }
        }
    }
}

/// Transforms all channels of a tile.
///
/// # Safety
/// The pixels have `channels` channels, and the planes a row for them, rounded up to a vector, at `to`.
#[inline(always)]
unsafe fn transform_tile<S: Simd>(
    simd: S,
    pixels: &impl transform::Pixels<PLANES>,
    channels: usize,
    to: *mut f32,
    plane: usize,
) {
    for channel in (0..channels).step_by(S::LANES) {
        let n = S::LANES.min(channels - channel);
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(channel);
            transform::input::<S, 0>(simd, pixels, channel, n, to, plane);
            let to = to.add(HALF_PLANES * plane);
            transform::input::<S, 1>(simd, pixels, channel, n, to, plane);
        }
    }
}

pub(super) struct Multiply<'a> {
    pub(super) convolution: &'a Winograd,
    /// The transformed input of the block.
    pub(super) inputs: *const f32,
    pub(super) planes: &'a mut [f32],
    pub(super) finish: Finish<'a>,
    pub(super) target: MapTarget<'a>,
    pub(super) block: usize,
    pub(super) panel: usize,
    /// The input, if the next block is to be fetched meanwhile.
    pub(super) ahead: Option<&'a [f32]>,
}

impl Multiply<'_> {
    /// Asks for what the end of a tile reads beside its sums: nothing where it is pooled.
    #[inline(always)]
    fn prefetch(&self, tile: usize, first: usize, channels: usize) {
        let MapTarget::Map(map) = self.target else {
            return;
        };
        let Winograd { tiles, outputs, .. } = self.convolution;
        let place = tiles.place(tile);
        let [height, width] = tiles.output;
        for y in place.y..height.min(place.y + TILE) {
            let at = ((place.image * height + y) * width + place.x) * outputs + first;
            // Pixels beyond the right border are of the next row; to ask for those harms nobody.
            self.finish
                .prefetch::<TILE>(map.as_mut_ptr(), at, *outputs, channels);
        }
    }
}

impl Multiply<'_> {
    /// One plane's products with `terms`, whose transformed weights lie at `weights`; added to those of the terms before.
    ///
    /// # Safety
    /// There are rows of `PANEL` vectors for all the terms.
    #[inline(always)]
    unsafe fn plane<S: Simd>(
        &mut self,
        simd: S,
        plane: usize,
        terms: Range<usize>,
        weights: *const f32,
    ) {
        let convolution = self.convolution;
        let panel = PANEL * S::LANES;
        let channels = panel.min(convolution.outputs - self.panel * panel);
        let tiles = convolution.tiles_of(self.block).len();
        // SAFETY: the planes have a row for each tile of a block, the weights one for each term.
        unsafe {
            let left = Left {
                start: (self.inputs).add(plane * convolution.input_plane() + terms.start),
                row: convolution.row(),
                column: 1,
            };
            let right = Right {
                start: weights,
                row: panel,
            };
            let product = Product {
                start: (self.planes.as_mut_ptr()).add(plane * convolution.output_plane()),
                row: panel,
            };
            let sizes = [tiles, terms.len(), channels.div_ceil(S::LANES)];
            product::multiply(simd, terms.start > 0, sizes, left, right, product);
        }
    }

    /// Interpolates the products, finishes and stores them.
    #[inline(always)]
    fn end<S: Simd>(&self, simd: S) {
        let convolution = self.convolution;
        let panel = PANEL * S::LANES;
        let first = self.panel * panel;
        let channels = panel.min(convolution.outputs - first);
        let tiles = convolution.tiles_of(self.block);
        let [height, width] = convolution.tiles.output;
        for (i, tile) in tiles.clone().enumerate() {
            let place = convolution.tiles.place(tile);
            if tile + 1 < tiles.end {
                self.prefetch(tile + 1, first, channels);
            }
            for v in 0..channels.div_ceil(S::LANES) {
                let n = S::LANES.min(channels - v * S::LANES);
                // SAFETY: the planes have been written; pixels are within the output, whose size the pass has
                // checked, and belong to this tile and panel alone.
                unsafe {
                    let from = self.planes.as_ptr().add(i * panel + v * S::LANES);
                    let values = transform::output(simd, from, convolution.output_plane());
                    let channel = first + v * S::LANES;
                    let map = match self.target {
                        MapTarget::Map(map) => map,
                        MapTarget::Pooled(target) => {
                            let mut values = values;
                            for value in values.as_flattened_mut() {
                                let nowhere = std::ptr::null();
                                *value = (self.finish)
                                    .value(simd, *value, nowhere, 0, channel, n, &mut None);
                            }
                            let channel = [channel, convolution.outputs];
                            (convolution.tiles)
                                .store_pooled(simd, place, &values, target, channel, n);
                            continue;
                        }
                    };
                    let target = map.as_mut_ptr();
                    let mut taken = self.finish.no_sums(simd, channel, n);
                    for y in 0..TILE {
                        for x in 0..TILE {
                            if place.y + y < height && place.x + x < width {
                                let row = place.image * height + place.y + y;
                                let at =
                                    (row * width + place.x + x) * convolution.outputs + channel;
                                let (value, taken) = (values[y][x], &mut taken);
                                (self.finish)
                                    .store_summed(simd, value, target, at, channel, n, taken);
                            }
                        }
                    }
                    self.finish.add_sums(simd, taken, channel, n);
                }
            }
        }
    }
}

/// Multiplies a block by a panel of packed weights.
pub(super) struct Packed<'a>(pub(super) Multiply<'a>, pub(super) &'a [f32]);

impl Kernel for Packed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(mut multiply, weights) = self;
        let convolution = multiply.convolution;
        let inputs = convolution.inputs;
        let next = convolution.tiles_of(multiply.block + convolution.slots);
        let (size, shift) = convolution.tiles.ahead(inputs);
        for plane in 0..PLANES {
            if let Some(input) = multiply.ahead {
                let part = [
                    multiply.panel * PLANES + plane,
                    convolution.panels() * PLANES,
                ];
                (convolution.tiles).prefetch(part, &next, input.as_ptr(), size, shift);
            }
            // SAFETY: the packed panel has all terms of all planes.
            unsafe {
                let weights = weights.as_ptr().add(plane * inputs * PANEL * S::LANES);
                multiply.plane(simd, plane, 0..inputs, weights);
            }
        }
        multiply.end(simd);
    }
}

/// Transforms the weights of a panel, some terms at a time, and multiplies all tiles by them.
pub(super) struct Plain<'a, const ROTATED: bool> {
    pub(super) multiply: Multiply<'a>,
    pub(super) weights: &'a [f32],
    pub(super) chunk: *mut f32,
}

impl<const ROTATED: bool> Plain<'_, ROTATED> {
    /// Asks for the `plane`-th of `PLANES` parts of the weights of the terms from `first` on of a panel.
    #[inline(always)]
    fn prefetch(&self, plane: usize, (panel, first): (usize, usize)) {
        let convolution = self.multiply.convolution;
        let Winograd {
            inputs, outputs, ..
        } = *convolution;
        let channel = panel * convolution.panel();
        let channels = convolution.panel().min(outputs.saturating_sub(channel));
        let terms = CHUNK.min(inputs - first);
        // Rows of each tap, and the numbers of each.
        let (rows, length) = if ROTATED {
            (channels, terms)
        } else {
            (terms, channels)
        };
        let part = |plane: usize| 9 * rows * plane / PLANES;
        for i in part(plane)..part(plane + 1) {
            let (tap, row) = (i / rows, i % rows);
            let start = match ROTATED {
                true => (tap * outputs + channel + row) * inputs + first,
                false => (tap * inputs + first + row) * outputs + channel,
            };
            prefetch_far(self.weights.as_ptr().wrapping_add(start), length);
        }
    }
}

impl<const ROTATED: bool> Kernel for Plain<'_, ROTATED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let convolution = self.multiply.convolution;
        let row = PANEL * S::LANES;
        for start in (0..convolution.inputs).step_by(CHUNK) {
            let terms = start..(start + CHUNK).min(convolution.inputs);
            for first in terms.clone().step_by(PACK) {
                Weights::<ROTATED> {
                    convolution,
                    weights: self.weights,
                    panel: self.multiply.panel,
                    terms: first..(first + PACK).min(terms.end),
                    to: self.chunk.wrapping_add((first - start) * row),
                    plane: convolution.chunk_plane(),
                }
                .run(simd);
            }
            let next = match terms.end < convolution.inputs {
                true => (self.multiply.panel, terms.end),
                false => (self.multiply.panel + convolution.slots, 0),
            };
            for plane in 0..PLANES {
                self.prefetch(plane, next);
                // SAFETY: the chunk's weights have just been written.
                unsafe {
                    let weights = self.chunk.add(plane * convolution.chunk_plane());
                    self.multiply.plane(simd, plane, terms.clone(), weights);
                }
            }
        }
        self.multiply.end(simd);
    }
}
