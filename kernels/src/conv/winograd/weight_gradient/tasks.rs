//! What one task of a Winograd weight gradient computes: transforms, products, interpolation.
use std::ops::Range;

use super::super::pooled::PooledGradient;
use super::super::product::{self, Left, Product, Right, Sizes};
use super::super::transform::NormalisedPixels;
use super::super::{GAP, HALF_PLANES, PLANES, Share, TILE, TileWindow, Tiles, transform};
use super::{NEAR, PerMap, WinogradWeightGradient};
use crate::map::{Input, Source};
use crate::{DisjointMut, Kernel, Simd};

/// The channels of a task's sums `[plane][input channel][output channel]`, and how these lie.
pub(super) struct SumsBlock {
    /// Indices of the ranges of channels.
    pub(super) index: PerMap<usize>,
    pub(super) inputs: Range<usize>,
    pub(super) outputs: Range<usize>,
    /// Floats from one input channel to the next.
    pub(super) row: usize,
    /// Floats from one plane to the next.
    pub(super) plane: usize,
}

/// Both maps, and their tiles.
pub(super) struct TiledMaps<'a> {
    pub(super) tiles: &'a Tiles,
    pub(super) channels: PerMap<usize>,
    pub(super) input: Input<'a>,
    pub(super) output_gradient: Source<'a>,
    /// Zeros for every channel of either map.
    pub(super) zeros: &'a [f32],
}

impl TiledMaps<'_> {
    /// Prefetches a share of the pixels of both maps that the tiles `next` read.
    #[inline(always)]
    fn prefetch(&self, share: Share, next: &Range<usize>) {
        let window = self.tiles.input_window(self.channels.input);
        let input = self.input.map.as_ptr();
        self.tiles.prefetch(share, next, input, window);
        if self.output_gradient.winners.is_some() {
            return;
        }
        let [height, width] = self.tiles.output;
        let window = TileWindow {
            size: [height, width, self.channels.output],
            shift: [0, 0],
        };
        let output = self.output_gradient.values.as_ptr();
        self.tiles.prefetch(share, next, output, window);
    }

    /// Calls `body` with the input pixels of a tile.
    #[inline(always)]
    fn with_input_pixels<S: Simd>(&self, simd: S, tile: usize, body: impl OnPixels<PLANES>) {
        let (map, zeros) = (self.input.map.as_ptr(), self.zeros.as_ptr());
        let origin = self.tiles.origin(tile);
        // SAFETY: `WeightGradient::run` checked the length of the map and that the normalisation has all channels; the zeros are as many.
        // `HalfTransform` and `RowTransform` are made with memory for the row of a tile.
        unsafe {
            let pixels = (self.tiles).input_pixels(origin, map, self.channels.input, zeros);
            match self.input.normalised {
                None => body.run(simd, &pixels),
                Some(by) => body.run(simd, &NormalisedPixels { pixels, zeros, by }),
            }
        }
    }

    /// Calls `body` with the pixels of a tile of the output gradient.
    #[inline(always)]
    fn with_output_pixels<S: Simd>(
        &self,
        simd: S,
        tile: usize,
        body: impl OnPixels<{ TILE * TILE }>,
    ) {
        let (origin, zeros) = (self.tiles.origin(tile), self.zeros.as_ptr());
        let (map, channels) = (self.output_gradient, self.channels.output);
        // SAFETY: `WeightGradient::run` checked the length of the map; the zeros are as many as the channels. `Source::pooled` checked that
        // each value of a pooled gradient has a winner. `HalfTransform` and `RowTransform` are made with memory for the row of a tile.
        unsafe {
            match map.winners {
                None => {
                    let map = map.values.as_ptr();
                    let pixels = self.tiles.output_pixels(origin, map, channels, zeros);
                    body.run(simd, &pixels);
                }
                Some(winners) => {
                    let map = PooledGradient::new(map.values, winners, channels, zeros);
                    body.run(simd, &self.tiles.expanded_output(origin, map));
                }
            }
        }
    }
}

/// Transforms one half of the planes of some input channels of a tile.
///
/// # Safety
/// The pixels have `channels`. A row of `channels`, rounded up to vectors, can be written to each of the half's planes, which begin at `to`,
/// `plane` floats apart.
#[inline(always)]
unsafe fn input<S: Simd, const H: usize>(
    simd: S,
    pixels: &impl transform::Pixels<PLANES>,
    channels: &Range<usize>,
    to: *mut f32,
    plane: usize,
) {
    for channel in channels.clone().step_by(S::LANES) {
        let n = S::LANES.min(channels.end - channel);
        // SAFETY: the pixels have these channels, and each plane has memory for them, rounded up to vectors.
        unsafe {
            let to = to.add(channel - channels.start);
            transform::input::<S, H>(simd, pixels, channel, n, to, plane);
        }
    }
}

/// A computation over the N pixels of a tile of a map, however these are read.
pub(super) trait OnPixels<const N: usize> {
    /// Computes it.
    ///
    /// # Safety
    /// The pixels have the channels of the map, and the memory that the computation writes is there.
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<N>);
}

/// Transforms half H of the planes of some channels of a tile, of the input or of the output gradient.
pub(super) struct HalfTransform<'a, const H: usize> {
    pub(super) channels: &'a Range<usize>,
    /// Where the tile's row of the half's first plane is written.
    pub(super) to: *mut f32,
    /// Floats from plane to plane.
    pub(super) plane: usize,
}

impl<const H: usize> OnPixels<PLANES> for HalfTransform<'_, H> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<PLANES>) {
        // SAFETY: the pixels have the channels, and the planes memory for a row of them, as `OnPixels::run` asks.
        unsafe { input::<S, H>(simd, pixels, self.channels, self.to, self.plane) };
    }
}

impl<const H: usize> OnPixels<{ TILE * TILE }> for HalfTransform<'_, H> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<{ TILE * TILE }>) {
        // SAFETY: the pixels have the channels, and the planes memory for a row of them, as `OnPixels::run` asks.
        unsafe { output::<S, H>(simd, pixels, self.channels, self.to, self.plane) };
    }
}

/// Transforms all planes of all ranges of channels of a tile, of the input or of the output gradient, into its row of a chunk.
pub(super) struct RowTransform<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    /// Where the tile's row of the first range and plane is written.
    pub(super) to: *mut f32,
    /// Floats from range to range.
    pub(super) range_step: usize,
    /// Floats from plane to plane.
    pub(super) plane: usize,
}

impl RowTransform<'_> {
    /// Where the planes of both halves of a range are written.
    #[inline(always)]
    fn halves(&self, range: usize) -> [*mut f32; 2] {
        let to = self.to.wrapping_add(range * self.range_step);
        [to, to.wrapping_add(HALF_PLANES * self.plane)]
    }
}

impl OnPixels<PLANES> for RowTransform<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<PLANES>) {
        for range in 0..self.whole.ranges().input {
            let channels = self.whole.input_range(range);
            let [first, second] = self.halves(range);
            // SAFETY: the pixels have the channels, and the chunk memory for a row of them in each plane, as `OnPixels::run` asks.
            unsafe {
                input::<S, 0>(simd, pixels, &channels, first, self.plane);
                input::<S, 1>(simd, pixels, &channels, second, self.plane);
            }
        }
    }
}

impl OnPixels<{ TILE * TILE }> for RowTransform<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<{ TILE * TILE }>) {
        for range in 0..self.whole.ranges().output {
            let channels = self.whole.output_range(range);
            let [first, second] = self.halves(range);
            // SAFETY: the pixels have the channels, and the chunk memory for a row of them in each plane, as `OnPixels::run` asks.
            unsafe {
                output::<S, 0>(simd, pixels, &channels, first, self.plane);
                output::<S, 1>(simd, pixels, &channels, second, self.plane);
            }
        }
    }
}

/// Transforms one half of the planes of some channels of a tile's output gradient.
///
/// # Safety
/// As of [`input`].
#[inline(always)]
unsafe fn output<S: Simd, const H: usize>(
    simd: S,
    pixels: &impl transform::Pixels<{ TILE * TILE }>,
    channels: &Range<usize>,
    to: *mut f32,
    plane: usize,
) {
    for channel in channels.clone().step_by(S::LANES) {
        let n = S::LANES.min(channels.end - channel);
        // SAFETY: the pixels have these channels, and each plane has memory for them, rounded up to vectors.
        unsafe {
            let to = to.add(channel - channels.start);
            transform::output_gradient::<S, H>(simd, pixels, channel, n, to, plane);
        }
    }
}

/// Transforms some channels of a block of tiles into one half of the planes, and adds their products.
pub(super) struct HalfPlanesTask<'a> {
    pub(super) maps: &'a TiledMaps<'a>,
    pub(super) tiles: Range<usize>,
    /// 0 or 1.
    pub(super) half: usize,
    pub(super) block: &'a SumsBlock,
    /// Floats from tile to tile.
    pub(super) rows: PerMap<usize>,
    /// Tiles of a whole block.
    pub(super) tiles_of_block: usize,
    pub(super) planes: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
}

impl HalfPlanesTask<'_> {
    #[inline(always)]
    fn half<S: Simd, const H: usize>(self, simd: S) {
        let steps = self.rows.map(|row| self.tiles_of_block * row + GAP);
        let inputs = self.planes.as_mut_ptr();
        let maps = self.maps;
        let next = self.tiles.end..(self.tiles.end + self.tiles_of_block).min(maps.tiles.count);
        let outputs = inputs.wrapping_add(HALF_PLANES * steps.input);
        // SAFETY: `run_own` sliced planes with a row for each tile of a block in both maps, which only this task has.
        unsafe {
            for (i, tile) in self.tiles.clone().enumerate() {
                let to = inputs.add(i * self.rows.input);
                let half = HalfTransform::<H> {
                    channels: &self.block.inputs,
                    to,
                    plane: steps.input,
                };
                maps.with_input_pixels(simd, tile, half);
                let to = outputs.add(i * self.rows.output);
                let half = HalfTransform::<H> {
                    channels: &self.block.outputs,
                    to,
                    plane: steps.output,
                };
                maps.with_output_pixels(simd, tile, half);
            }
            let products = PlaneProducts {
                maps: PerMap {
                    input: inputs.cast_const(),
                    output: outputs.cast_const(),
                },
                planes: HALF_PLANES,
                tiles: self.tiles.len(),
                add: self.tiles.start > 0,
                block: self.block,
                rows: self.rows,
                steps,
            };
            products.multiply(simd, self.sums, |index| {
                let share = Share {
                    index,
                    of: HALF_PLANES,
                };
                maps.prefetch(share, &next);
            });
        }
    }
}

impl Kernel for HalfPlanesTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.half == 0 {
            self.half::<S, 0>(simd);
        } else {
            self.half::<S, 1>(simd);
        }
    }
}

/// The products of some planes of both transformed maps.
struct PlaneProducts<'a> {
    /// The block's first channel of the first tile, in the first plane.
    maps: PerMap<*const f32>,
    planes: usize,
    tiles: usize,
    /// Whether the products are added to the sums; else they begin them.
    add: bool,
    block: &'a SumsBlock,
    /// Floats from tile to tile.
    rows: PerMap<usize>,
    /// Floats from plane to plane.
    steps: PerMap<usize>,
}

impl PlaneProducts<'_> {
    /// Multiplies plane by plane and calls `before` with the index of each plane first.
    ///
    /// # Safety
    /// At `maps` the planes lie with all tiles, and the block's channels of each, rounded up to vectors.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&self, simd: S, sums: &mut [f32], before: impl Fn(usize)) {
        let Self {
            maps,
            block,
            rows,
            steps,
            ..
        } = *self;
        assert!(sums.len() >= self.planes * block.plane);
        let sizes = Sizes {
            rows: block.inputs.len(),
            terms: self.tiles,
            vectors: block.outputs.len().div_ceil(S::LANES),
        };
        for plane in 0..self.planes {
            before(plane);
            // SAFETY: both maps have the plane with all tiles and channels. The assertion says that the sums have the plane.
            unsafe {
                let left = Left {
                    start: maps.input.add(plane * steps.input),
                    row: 1,
                    column: rows.input,
                };
                let right = Right {
                    start: maps.output.add(plane * steps.output),
                    row: rows.output,
                };
                let product = Product {
                    start: sums.as_mut_ptr().add(plane * block.plane),
                    row: block.row,
                };
                product::multiply::<S>(simd, self.add, sizes, left, right, product);
            }
        }
    }
}

/// Transforms all channels of some tiles of a chunk.
pub(super) struct ChunkTransformTask<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    pub(super) maps: &'a TiledMaps<'a>,
    pub(super) tiles: Range<usize>,
    /// The transformed maps.
    pub(super) to: PerMap<&'a DisjointMut<'a, f32>>,
    /// Index of the first tile in the chunk.
    pub(super) row: usize,
    /// Tiles of the chunk.
    pub(super) chunk: usize,
}

impl Kernel for ChunkTransformTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { whole, maps, .. } = self;
        let (rows, steps) = (whole.rows(), whole.steps(self.chunk));
        for (i, tile) in self.tiles.enumerate() {
            let row = self.row + i;
            // The planes have a row for each range and tile of the chunk, and only this task has these tiles.
            let inputs = RowTransform {
                whole,
                to: (self.to.input.as_mut_ptr()).wrapping_add(row * rows.input),
                range_step: self.chunk * rows.input,
                plane: steps.input,
            };
            maps.with_input_pixels(simd, tile, inputs);
            let outputs = RowTransform {
                whole,
                to: (self.to.output.as_mut_ptr()).wrapping_add(row * rows.output),
                range_step: self.chunk * rows.output,
                plane: steps.output,
            };
            maps.with_output_pixels(simd, tile, outputs);
        }
    }
}

/// Adds the products of all planes of a chunk for one pair of ranges.
pub(super) struct ChunkProductsTask<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    /// The transformed maps.
    pub(super) planes: PerMap<&'a DisjointMut<'a, f32>>,
    /// Tiles that were transformed.
    pub(super) tiles: usize,
    /// Tiles of a whole chunk.
    pub(super) chunk: usize,
    /// Whether the products are added to the sums; else they begin them.
    pub(super) add: bool,
    pub(super) block: &'a SumsBlock,
    pub(super) sums: &'a mut [f32],
    /// What is prefetched meanwhile.
    pub(super) ahead: Option<NextTiles<'a>>,
}

/// The tiles that a task transforms next.
pub(super) struct NextTiles<'a> {
    pub(super) maps: &'a TiledMaps<'a>,
    pub(super) tiles: Range<usize>,
}

impl Kernel for ChunkProductsTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (rows, steps) = (self.whole.rows(), self.whole.steps(self.chunk));
        let index = self.block.index;
        let inputs = self.planes.input.as_mut_ptr().cast_const();
        let inputs = inputs.wrapping_add(index.input * self.chunk * rows.input);
        let outputs = self.planes.output.as_mut_ptr().cast_const();
        let outputs = outputs.wrapping_add(index.output * self.chunk * rows.output);
        // Few enough tiles at a time that the rows of both maps stay in L1 while they are multiplied.
        for first in (0..self.tiles).step_by(NEAR) {
            let tiles = NEAR.min(self.tiles - first);
            // SAFETY: `ChunkTransformTask` has written all planes of the chunk's tiles with all ranges of channels, in scratch of
            // `planes_len` floats.
            unsafe {
                let products = PlaneProducts {
                    maps: PerMap {
                        input: inputs.add(first * rows.input),
                        output: outputs.add(first * rows.output),
                    },
                    planes: PLANES,
                    tiles,
                    add: self.add || first > 0,
                    block: self.block,
                    rows,
                    steps,
                };
                products.multiply(simd, self.sums, |index| {
                    if let Some(ahead) = &self.ahead {
                        let share = Share { index, of: PLANES };
                        ahead.maps.prefetch(share, &ahead.tiles);
                    }
                });
            }
        }
    }
}

/// Interpolates the sums of a pair of ranges to the weight gradient.
pub(super) struct InterpolateTask<'a> {
    pub(super) sums: &'a [f32],
    pub(super) block: SumsBlock,
    /// All channels of both maps.
    pub(super) channels: PerMap<usize>,
    pub(super) weight_gradient: &'a DisjointMut<'a, f32>,
}

impl Kernel for InterpolateTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let PerMap {
            input: inputs,
            output: outputs,
        } = self.channels;
        for (i, input) in self.block.inputs.clone().enumerate() {
            for output in self.block.outputs.clone().step_by(S::LANES) {
                let n = S::LANES.min(self.block.outputs.end - output);
                let at = i * self.block.row + output - self.block.outputs.start;
                // SAFETY: `sums_block` made the rows of the sums whole vectors. `WeightGradient::run` checked the length of the weight
                // gradient, and only this task has these channels of it.
                unsafe {
                    let from = self.sums.as_ptr().add(at);
                    let taps = transform::weight_gradient(simd, from, self.block.plane);
                    for y in 0..3 {
                        for x in 0..3 {
                            let to = ((y * 3 + x) * inputs + input) * outputs + output;
                            let to = self.weight_gradient.as_mut_ptr().add(to);
                            simd.store_first(n, taps[y][x], to);
                        }
                    }
                }
            }
        }
    }
}
