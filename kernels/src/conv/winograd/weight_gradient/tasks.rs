//! What one task of a Winograd weight gradient computes: transforms, products, interpolation.
use std::ops::Range;

use super::super::product::{self, Left, Product, Right};
use super::super::transform::NormalisedPixels;
use super::super::{GAP, HALF_PLANES, PLANES, TILE, Tiles, transform};
use super::{NEAR, WinogradWeightGradient};
use crate::map::Input;
use crate::map::Source;
use crate::{DisjointMut, Kernel, Simd};

/// Channels of a task, and how its sums `[plane][input channel][output channel]` lie.
pub(super) struct Part {
    pub(super) index: [usize; 2],
    pub(super) inputs: Range<usize>,
    pub(super) outputs: Range<usize>,
    pub(super) row: usize,
    pub(super) plane: usize,
}

pub(super) struct Maps<'a> {
    pub(super) tiles: &'a Tiles,
    pub(super) channels: [usize; 2],
    pub(super) input: Input<'a>,
    pub(super) output_gradient: Source<'a>,
    pub(super) zeros: &'a [f32],
}

impl Maps<'_> {
    /// Asks for a share of what the tiles `next` read of both maps.
    #[inline(always)]
    fn prefetch(&self, part: [usize; 2], next: &Range<usize>) {
        let (size, shift) = self.tiles.ahead(self.channels[0]);
        let input = self.input.map.as_ptr();
        self.tiles.prefetch(part, next, input, size, shift);
        if self.output_gradient.winners.is_some() {
            return;
        }
        let [height, width] = self.tiles.output;
        let size = [height, width, self.channels[1]];
        let output = self.output_gradient.values.as_ptr();
        self.tiles.prefetch(part, next, output, size, [0, 0]);
    }

    /// Calls `body` with the input pixels of a tile.
    #[inline(always)]
    fn with_input_pixels<S: Simd>(&self, simd: S, tile: usize, body: impl OnPixels<PLANES>) {
        let (map, zeros) = (self.input.map.as_ptr(), self.zeros.as_ptr());
        let place = self.tiles.place(tile);
        // SAFETY: `run` has checked the size of the map.
        unsafe {
            let pixels = self.tiles.input_pixels(place, map, self.channels[0], zeros);
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
        let (place, zeros) = (self.tiles.place(tile), self.zeros.as_ptr());
        let (map, all) = (self.output_gradient, self.channels[1]);
        // SAFETY: `run` has checked the size of the map, and that all pixels have winners if one has.
        unsafe {
            match map.winners {
                None => {
                    let map = map.values.as_ptr();
                    body.run(simd, &self.tiles.output_pixels(place, map, all, zeros));
                }
                Some(winners) => {
                    let pixels = self.tiles.expanded_output(place, map, winners, all, zeros);
                    body.run(simd, &pixels);
                }
            }
        }
    }
}

/// Transforms one half of the planes of some input channels of a tile.
///
/// # Safety
/// A row of `channels`, rounded up to vectors, can be written at each of the half's planes, `plane` apart.
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
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(channel - channels.start);
            transform::input::<S, H>(simd, pixels, channel, n, to, plane);
        }
    }
}

/// What is done with the N pixels of a tile of a map, however they are read.
pub(super) trait OnPixels<const N: usize> {
    /// # Safety
    /// The pixels have the channels of the map.
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<N>);
}

/// Transforms half H of the planes of a tile: of the input from all of its pixels, of the output's gradient from those that it writes.
pub(super) struct Half<'a, const H: usize> {
    pub(super) channels: &'a Range<usize>,
    /// Where there is room for the planes.
    pub(super) to: *mut f32,
    pub(super) plane: usize,
}

impl<const H: usize> OnPixels<PLANES> for Half<'_, H> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<PLANES>) {
        // SAFETY: whoever made it has room for the planes.
        unsafe { input::<S, H>(simd, pixels, self.channels, self.to, self.plane) };
    }
}

impl<const H: usize> OnPixels<{ TILE * TILE }> for Half<'_, H> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<{ TILE * TILE }>) {
        // SAFETY: as above.
        unsafe { output::<S, H>(simd, pixels, self.channels, self.to, self.plane) };
    }
}

/// Transforms all planes of all ranges of channels of a tile, for the row of a chunk; of input or output as [`Half`].
pub(super) struct Row<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    /// Where there is room for the planes.
    pub(super) to: *mut f32,
    /// Floats from range to range and from plane to plane.
    pub(super) steps: [usize; 2],
}

impl Row<'_> {
    /// The ranges of channels of input (0) or output (1), and where the planes of each half go.
    fn ranges(&self, side: usize) -> impl Iterator<Item = (Range<usize>, [*mut f32; 2])> {
        let [range_step, plane] = self.steps;
        (0..self.whole.ranges()[side]).map(move |range| {
            let to = self.to.wrapping_add(range * range_step);
            let halves = [to, to.wrapping_add(HALF_PLANES * plane)];
            (self.whole.range(side, range), halves)
        })
    }
}

impl OnPixels<PLANES> for Row<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<PLANES>) {
        for (channels, [first, second]) in self.ranges(0) {
            // SAFETY: whoever made it has room for the planes.
            unsafe {
                input::<S, 0>(simd, pixels, &channels, first, self.steps[1]);
                input::<S, 1>(simd, pixels, &channels, second, self.steps[1]);
            }
        }
    }
}

impl OnPixels<{ TILE * TILE }> for Row<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S, pixels: &impl transform::Pixels<{ TILE * TILE }>) {
        for (channels, [first, second]) in self.ranges(1) {
            // SAFETY: as above.
            unsafe {
                output::<S, 0>(simd, pixels, &channels, first, self.steps[1]);
                output::<S, 1>(simd, pixels, &channels, second, self.steps[1]);
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
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(channel - channels.start);
            transform::output_gradient::<S, H>(simd, pixels, channel, n, to, plane);
        }
    }
}

pub(super) struct Own<'a> {
    pub(super) maps: &'a Maps<'a>,
    pub(super) tiles: Range<usize>,
    pub(super) half: usize,
    pub(super) part: &'a Part,
    pub(super) rows: [usize; 2],
    pub(super) block: usize,
    pub(super) planes: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
}

impl Own<'_> {
    #[inline(always)]
    fn half<S: Simd, const H: usize>(self, simd: S) {
        let steps = self.rows.map(|row| self.block * row + GAP);
        let inputs = self.planes.as_mut_ptr();
        let maps = self.maps;
        let next = self.tiles.end..(self.tiles.end + self.block).min(maps.tiles.count);
        let outputs = inputs.wrapping_add(HALF_PLANES * steps[0]);
        // SAFETY: the planes have room for the rows of a block in both maps.
        unsafe {
            for (i, tile) in self.tiles.clone().enumerate() {
                let to = inputs.add(i * self.rows[0]);
                let half = Half::<H> {
                    channels: &self.part.inputs,
                    to,
                    plane: steps[0],
                };
                maps.with_input_pixels(simd, tile, half);
                let to = outputs.add(i * self.rows[1]);
                let half = Half::<H> {
                    channels: &self.part.outputs,
                    to,
                    plane: steps[1],
                };
                maps.with_output_pixels(simd, tile, half);
            }
            multiply(
                simd,
                [inputs, outputs],
                [HALF_PLANES, self.tiles.len()],
                self.tiles.start > 0,
                self.part,
                self.rows,
                steps,
                self.sums,
                |plane| maps.prefetch([plane, HALF_PLANES], &next),
            );
        }
    }
}

impl Kernel for Own<'_> {
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

/// Adds the products of some planes to their sums, or begins them.
///
/// # Safety
/// At `maps` lie planes `steps` apart with `tiles` rows each, whose first number belongs to the first channel of the part.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three matrices and their sizes")]
unsafe fn multiply<S: Simd>(
    simd: S,
    maps: [*const f32; 2],
    [planes, tiles]: [usize; 2],
    add: bool,
    part: &Part,
    rows: [usize; 2],
    steps: [usize; 2],
    sums: &mut [f32],
    before: impl Fn(usize),
) {
    assert!(sums.len() >= planes * part.plane);
    let sizes = [
        part.inputs.len(),
        tiles,
        part.outputs.len().div_ceil(S::LANES),
    ];
    for plane in 0..planes {
        before(plane);
        // SAFETY: the caller's promise; the sums were checked above.
        unsafe {
            let left = Left {
                start: maps[0].add(plane * steps[0]),
                row: 1,
                column: rows[0],
            };
            let right = Right {
                start: maps[1].add(plane * steps[1]),
                row: rows[1],
            };
            let product = Product {
                start: sums.as_mut_ptr().add(plane * part.plane),
                row: part.row,
            };
            product::multiply::<S>(simd, add, sizes, left, right, product);
        }
    }
}

/// Transforms all channels of some tiles of a chunk.
pub(super) struct Transform<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    pub(super) maps: &'a Maps<'a>,
    pub(super) tiles: Range<usize>,
    pub(super) to: [&'a DisjointMut<'a, f32>; 2],
    /// The first tile's place in the chunk.
    pub(super) row: usize,
    pub(super) chunk: usize,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { whole, maps, .. } = self;
        let (rows, steps) = (whole.rows(), whole.steps(self.chunk));
        let to =
            |side: usize, row: usize| self.to[side].as_mut_ptr().wrapping_add(row * rows[side]);
        for (i, tile) in self.tiles.enumerate() {
            let row = self.row + i;
            // The planes have a row for each range and tile of the chunk, and this task has these tiles alone.
            let inputs = Row {
                whole,
                to: to(0, row),
                steps: [self.chunk * rows[0], steps[0]],
            };
            maps.with_input_pixels(simd, tile, inputs);
            let outputs = Row {
                whole,
                to: to(1, row),
                steps: [self.chunk * rows[1], steps[1]],
            };
            maps.with_output_pixels(simd, tile, outputs);
        }
    }
}

/// Adds the products of all planes of a chunk for one pair of ranges.
pub(super) struct Shared<'a> {
    pub(super) whole: &'a WinogradWeightGradient,
    pub(super) planes: [&'a DisjointMut<'a, f32>; 2],
    pub(super) tiles: usize,
    pub(super) chunk: usize,
    pub(super) add: bool,
    pub(super) part: &'a Part,
    pub(super) sums: &'a mut [f32],
    /// The maps and the tiles of them that are to be fetched meanwhile.
    pub(super) ahead: Option<(&'a Maps<'a>, Range<usize>)>,
}

impl Kernel for Shared<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (rows, steps) = (self.whole.rows(), self.whole.steps(self.chunk));
        let start = |side: usize| {
            let at = self.part.index[side] * self.chunk * rows[side];
            self.planes[side].as_mut_ptr().wrapping_add(at).cast_const()
        };
        // Few enough tiles at a time that the rows of both maps stay in L1 while they meet.
        for first in (0..self.tiles).step_by(NEAR) {
            let tiles = NEAR.min(self.tiles - first);
            // SAFETY: all planes of the chunk are written and have rows of all channels.
            unsafe {
                let maps = [0, 1].map(|side| start(side).add(first * rows[side]));
                multiply(
                    simd,
                    maps,
                    [PLANES, tiles],
                    self.add || first > 0,
                    self.part,
                    rows,
                    steps,
                    self.sums,
                    |plane| {
                        if let Some((maps, next)) = &self.ahead {
                            maps.prefetch([plane, PLANES], next);
                        }
                    },
                );
            }
        }
    }
}

pub(super) struct Interpolate<'a> {
    pub(super) sums: &'a [f32],
    pub(super) part: Part,
    pub(super) channels: [usize; 2],
    pub(super) weight_gradient: &'a DisjointMut<'a, f32>,
}

impl Kernel for Interpolate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [inputs, outputs] = self.channels;
        for (i, input) in self.part.inputs.clone().enumerate() {
            for output in self.part.outputs.clone().step_by(S::LANES) {
                let n = S::LANES.min(self.part.outputs.end - output);
                let at = i * self.part.row + output - self.part.outputs.start;
                // SAFETY: the sums have rows of whole vectors; the weights of these channels are written by this task alone.
                unsafe {
                    let from = self.sums.as_ptr().add(at);
                    let taps = transform::weight_gradient(simd, from, self.part.plane);
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
