//! What one task of a Winograd convolution computes: transforms, products, interpolation.
use std::ops::Range;

use super::super::pooled::{ChannelVector, PooledGradient};
use super::super::product::{self, Left, Product, Right, Sizes};
use super::super::transform::NormalisedPixels;
use super::super::{HALF_PLANES, PLANES, Share, TILE, transform};
use super::{CHUNK, PACK, PANEL, Winograd};
use crate::conv::finish::{Finish, VectorPlace};
use crate::conv::loops::MapTarget;
use crate::map::Source;
use crate::stream::prefetch_far;
use crate::{Kernel, Simd};

/// Transforms the weights of some terms, at most [`PACK`], of a panel.
pub(super) struct WeightTransformTask<'a, const ROTATED: bool> {
    pub(super) convolution: &'a Winograd,
    pub(super) weights: &'a [f32],
    pub(super) panel: usize,
    pub(super) terms: Range<usize>,
    /// Where the first term's row of the first plane is written. The rows of further terms follow.
    pub(super) to: *mut f32,
    /// Floats from plane to plane.
    pub(super) plane: usize,
}

impl<const ROTATED: bool> Kernel for WeightTransformTask<'_, ROTATED> {
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
        // The weights of the rotated kernel are transposed first: their channels are apart in memory.
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
                // SAFETY: `pass.rs` checked the length of the weights, which have these terms and n channels; `turned` has whole vectors. The
                // task's memory at `to` has a row of the panel for each of its terms in each plane.
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

/// Transforms some tiles of the input.
pub(super) struct InputTransformTask<'a> {
    pub(super) convolution: &'a Winograd,
    pub(super) input: Source<'a>,
    pub(super) zeros: &'a [f32],
    pub(super) tiles: Range<usize>,
    /// Where the first tile's row of the first plane is written.
    pub(super) to: *mut f32,
}

impl Kernel for InputTransformTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let convolution = self.convolution;
        let (plane, channels) = (convolution.input_plane(), convolution.inputs);
        for (i, tile) in self.tiles.enumerate() {
            let origin = convolution.tiles.origin(tile);
            // SAFETY: `pass.rs` checked the length of the map, of the winners and of the normalisation. `row` and `input_plane` give each
            // tile of a block memory for its channels rounded up to vectors, in each plane.
            unsafe {
                let (tiles, zeros) = (&convolution.tiles, self.zeros.as_ptr());
                let to = self.to.add(i * convolution.row());
                match self.input.winners {
                    None => {
                        let map = self.input.values.as_ptr();
                        let pixels = tiles.input_pixels(origin, map, channels, zeros);
                        match self.input.normalised {
                            None => transform_tile(simd, &pixels, channels, to, plane),
                            Some(by) => {
                                let pixels = NormalisedPixels { pixels, zeros, by };
                                transform_tile(simd, &pixels, channels, to, plane);
                            }
                        }
                    }
                    Some(winners) => {
                        let map = PooledGradient::new(self.input.values, winners, channels, zeros);
                        let pixels = tiles.expanded_input(origin, map);
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
/// The pixels have `channels` channels. In each plane there is memory for a row of them, rounded up to vectors, the first at `to`.
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
        // SAFETY: the pixels have these channels, and each plane has memory for them, rounded up to vectors.
        unsafe {
            let to = to.add(channel);
            transform::input::<S, 0>(simd, pixels, channel, n, to, plane);
            let to = to.add(HALF_PLANES * plane);
            transform::input::<S, 1>(simd, pixels, channel, n, to, plane);
        }
    }
}

/// The products of a block of tiles and a panel of output channels, from the transformed maps to the stored output.
pub(super) struct PanelProducts<'a> {
    pub(super) convolution: &'a Winograd,
    /// The transformed input of the block.
    pub(super) inputs: *const f32,
    /// The products.
    pub(super) planes: &'a mut [f32],
    pub(super) finish: Finish<'a>,
    pub(super) target: MapTarget<'a>,
    pub(super) block: usize,
    pub(super) panel: usize,
    /// The input, if the next block is prefetched meanwhile.
    pub(super) ahead: Option<&'a [f32]>,
}

impl PanelProducts<'_> {
    /// Prefetches the maps that the end of a tile reads; none where the output is pooled.
    #[inline(always)]
    fn prefetch(&self, tile: usize, first: usize, channels: usize) {
        let MapTarget::Map(map) = self.target else {
            return;
        };
        let Winograd { tiles, outputs, .. } = self.convolution;
        let origin = tiles.origin(tile);
        let [height, width] = tiles.output;
        for y in origin.y..height.min(origin.y + TILE) {
            let at = ((origin.image * height + y) * width + origin.x) * outputs + first;
            // Pixels beyond the right border are those of the next row. Prefetching them does no harm.
            self.finish
                .prefetch::<TILE>(map.as_mut_ptr(), at, *outputs, channels);
        }
    }

    /// Multiplies one plane by the transformed weights of `terms`. Adds the products to those of the terms before.
    ///
    /// # Safety
    /// `weights` has a row of `PANEL` vectors for each of the terms. The block has been transformed.
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
        // SAFETY: `convolve` gave both maps' planes a row for each tile of a block, and the weights have one for each term.
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
            let sizes = Sizes {
                rows: tiles,
                terms: terms.len(),
                vectors: channels.div_ceil(S::LANES),
            };
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
            let origin = convolution.tiles.origin(tile);
            if tile + 1 < tiles.end {
                self.prefetch(tile + 1, first, channels);
            }
            for v in 0..channels.div_ceil(S::LANES) {
                let n = S::LANES.min(channels - v * S::LANES);
                // SAFETY: the planes have been written. The pixels lie within the output, whose length `pass.rs` checked. Only this task
                // has the block's tiles and the panel's channels, of the output and of this part of the sums.
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
                                let place = VectorPlace {
                                    at: 0,
                                    channel,
                                    lanes: n,
                                };
                                *value = self.finish.value(simd, *value, nowhere, place, &mut None);
                            }
                            let channels = ChannelVector {
                                first: channel,
                                lanes: n,
                                all: convolution.outputs,
                            };
                            let tiles = &convolution.tiles;
                            tiles.store_pooled(simd, origin, &values, target, channels);
                            continue;
                        }
                    };
                    let target = map.as_mut_ptr();
                    let mut taken = self.finish.no_sums(simd, channel, n);
                    for y in 0..TILE {
                        for x in 0..TILE {
                            if origin.y + y < height && origin.x + x < width {
                                let row = origin.image * height + origin.y + y;
                                let pixel = row * width + origin.x + x;
                                let place = VectorPlace {
                                    at: pixel * convolution.outputs + channel,
                                    channel,
                                    lanes: n,
                                };
                                let (value, taken) = (values[y][x], &mut taken);
                                self.finish.store_summed(simd, value, target, place, taken);
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
pub(super) struct PackedPanelTask<'a> {
    pub(super) products: PanelProducts<'a>,
    /// The panel's packed weights.
    pub(super) weights: &'a [f32],
}

impl Kernel for PackedPanelTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            mut products,
            weights,
        } = self;
        let convolution = products.convolution;
        let inputs = convolution.inputs;
        let next = convolution.tiles_of(products.block + convolution.slots);
        let window = convolution.tiles.input_window(inputs);
        for plane in 0..PLANES {
            if let Some(input) = products.ahead {
                let share = Share {
                    index: products.panel * PLANES + plane,
                    of: convolution.panels() * PLANES,
                };
                (convolution.tiles).prefetch(share, &next, input.as_ptr(), window);
            }
            // SAFETY: `convolve` sliced the weights of a whole panel: all terms of all planes. It transformed the block before.
            unsafe {
                let weights = weights.as_ptr().add(plane * inputs * PANEL * S::LANES);
                products.plane(simd, plane, 0..inputs, weights);
            }
        }
        products.end(simd);
    }
}

/// Transforms the weights of a panel, some terms at a time, and multiplies all tiles by them.
pub(super) struct UnpackedPanelTask<'a, const ROTATED: bool> {
    pub(super) products: PanelProducts<'a>,
    /// All weights.
    pub(super) weights: &'a [f32],
    /// Memory for the transformed weights of [`CHUNK`] terms.
    pub(super) chunk: *mut f32,
}

/// The terms from `first` on of a panel, whose weights are transformed next.
#[derive(Clone, Copy)]
struct NextTerms {
    panel: usize,
    first: usize,
}

impl<const ROTATED: bool> UnpackedPanelTask<'_, ROTATED> {
    /// Prefetches share `plane` of [`PLANES`] shares of the weights of the next terms.
    #[inline(always)]
    fn prefetch(&self, plane: usize, next: NextTerms) {
        let NextTerms { panel, first } = next;
        let convolution = self.products.convolution;
        let Winograd {
            inputs, outputs, ..
        } = *convolution;
        let channel = panel * convolution.panel();
        let channels = convolution.panel().min(outputs.saturating_sub(channel));
        let terms = CHUNK.min(inputs - first);
        // Rows of each tap, and the floats of a row.
        let (rows, row_len) = if ROTATED {
            (channels, terms)
        } else {
            (terms, channels)
        };
        let share = |plane: usize| 9 * rows * plane / PLANES;
        for i in share(plane)..share(plane + 1) {
            let (tap, row) = (i / rows, i % rows);
            let start = match ROTATED {
                true => (tap * outputs + channel + row) * inputs + first,
                false => (tap * inputs + first + row) * outputs + channel,
            };
            prefetch_far(self.weights.as_ptr().wrapping_add(start), row_len);
        }
    }
}

impl<const ROTATED: bool> Kernel for UnpackedPanelTask<'_, ROTATED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let convolution = self.products.convolution;
        let row = PANEL * S::LANES;
        for start in (0..convolution.inputs).step_by(CHUNK) {
            let terms = start..(start + CHUNK).min(convolution.inputs);
            for first in terms.clone().step_by(PACK) {
                WeightTransformTask::<ROTATED> {
                    convolution,
                    weights: self.weights,
                    panel: self.products.panel,
                    terms: first..(first + PACK).min(terms.end),
                    to: self.chunk.wrapping_add((first - start) * row),
                    plane: convolution.chunk_plane(),
                }
                .run(simd);
            }
            let next = match terms.end < convolution.inputs {
                true => NextTerms {
                    panel: self.products.panel,
                    first: terms.end,
                },
                false => NextTerms {
                    panel: self.products.panel + convolution.slots,
                    first: 0,
                },
            };
            for plane in 0..PLANES {
                self.prefetch(plane, next);
                // SAFETY: the chunk's memory, a row for each of `CHUNK` terms in each plane, has just been filled with the terms' weights.
                // `convolve` transformed all tiles before.
                unsafe {
                    let weights = self.chunk.add(plane * convolution.chunk_plane());
                    self.products.plane(simd, plane, terms.clone(), weights);
                }
            }
        }
        self.products.end(simd);
    }
}
