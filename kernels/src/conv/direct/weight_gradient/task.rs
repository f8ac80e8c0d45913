//! What a task of the weight gradient computes at a time: the sums of some input channels over a chunk, some rows of the output.
use std::ops::Range;

use crate::map::{BUFFER_FLOATS, Input, TaskBuffer};
use crate::simd::{Kernel, Simd};

use super::tile::WeightTile;
use super::{ChunkGradient, DirectWeightGradient};

/// Where the pixels of a slice of the output gradient lie.
#[derive(Clone, Copy)]
pub(super) struct GradientSlice {
    /// The first channel of the slice of the map's first pixel.
    pub(super) start: *const f32,
    /// Floats from pixel to pixel.
    pub(super) pixel: usize,
    /// Bytes from a pixel to the same pixel of the map that is [prefetched](ChunkGradient::ahead).
    pub(super) ahead: usize,
}

/// Where the pixels of the input lie. A task reads some terms of each.
#[derive(Clone, Copy)]
pub(super) struct InputTerms {
    /// The group's first channel of the map's first pixel.
    pub(super) start: *const f32,
    /// Floats from pixel to pixel.
    pub(super) pixel: usize,
}

/// The maps that a chunk reads.
#[derive(Clone, Copy)]
pub(super) struct ChunkMaps {
    pub(super) input: InputTerms,
    pub(super) gradient: GradientSlice,
}

/// Some input channels of a group of channels over a chunk.
pub(super) struct DirectWeightTask<'a> {
    pub(super) whole: &'a DirectWeightGradient,
    pub(super) input: Input<'a>,
    /// Memory for the part of the input that the task normalises; null if it does not.
    pub(super) input_slot: *mut f32,
    pub(super) gradient: ChunkGradient<'a>,
    pub(super) weight_sums: *mut f32,
    pub(super) bias_sums: Option<*mut f32>,
    pub(super) group: usize,
    pub(super) terms: Range<usize>,
    pub(super) rows: Range<usize>,
    /// Whether the chunk is the first of its group of rows, which begins the sums.
    pub(super) is_first: bool,
}

impl Kernel for DirectWeightTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = &self.whole.geometry;
        let filters = geometry.output[2];
        let channels = filters / geometry.groups;
        let first = self.group * channels;
        if let (Some(bias), true) = (self.bias_sums, self.is_first) {
            // SAFETY: the bias sums have all channels: they are partial sums, or the bias gradient, whose length `pass.rs` or `joint.rs`
            // checked. Only the task with the first terms of a group of channels has the group's.
            unsafe { bias.add(first).write_bytes(0, channels) };
        }
        let mut buffer = TaskBuffer::new();
        let input = self.terms_of(simd);
        let mut channel = first;
        while channel < first + channels {
            let left = first + channels - channel;
            let vectors = left.div_ceil(S::LANES);
            // Three if no more are left, or if that leaves more than one and the input is read more often than the gradient.
            let by_three = vectors == 3 || vectors > 4 && self.whole.many_terms;
            channel += match vectors {
                1 => self.slice::<S, 1>(simd, &mut buffer, input, channel, left),
                _ if by_three => self.slice::<S, 3>(simd, &mut buffer, input, channel, left),
                _ => self.slice::<S, 2>(simd, &mut buffer, input, channel, left),
            };
        }
    }
}

impl DirectWeightTask<'_> {
    /// The input that the rows of the output read, normalised if asked.
    #[inline(always)]
    fn terms_of<S: Simd>(&self, simd: S) -> InputTerms {
        let geometry = &self.whole.geometry;
        let inputs = geometry.input[2];
        let first = self.group * (inputs / geometry.groups);
        let map = self.input.map.as_ptr();
        let Some(by) = &self.input.normalised else {
            return InputTerms {
                start: map.wrapping_add(first),
                pixel: inputs,
            };
        };
        let pixels = self.whole.pixels_read(self.rows.clone());
        let channels = first + self.terms.start..first + self.terms.end;
        let before = pixels.start * channels.len() + self.terms.start;
        let pixel = channels.len();
        // SAFETY: `pixels_read` names pixels of the map, whose length and whose normalisation `pass.rs` or `joint.rs` checked. `normalises`
        // made the slot as long as the most that a chunk reads.
        unsafe { by.write(simd, map, inputs, pixels, channels, self.input_slot) };
        InputTerms {
            start: self.input_slot.cast_const().wrapping_sub(before),
            pixel,
        }
    }

    /// Computes up to V vectors of output channels from `channel` on; `left` channels are left. Returns how many channels were computed.
    #[inline(always)]
    fn slice<S: Simd, const V: usize>(
        &self,
        simd: S,
        buffer: &mut TaskBuffer,
        input: InputTerms,
        channel: usize,
        left: usize,
    ) -> usize {
        let lanes = left.min(V * S::LANES);
        let [_, width, filters] = self.whole.geometry.output;
        let ChunkGradient {
            source,
            skipped,
            ahead,
        } = self.gradient;
        let start = source.values.as_ptr().wrapping_sub(skipped);
        let ahead = ahead.addr().wrapping_sub(start.addr());
        let gradient = match source.expansion(width, filters) {
            None => GradientSlice {
                start: start.wrapping_add(channel),
                pixel: filters,
                ahead,
            },
            Some(expansion) => {
                let (rows, channels) = (self.rows.clone(), channel..channel + lanes);
                let (to, pixel) = (buffer.as_mut_ptr(), V * S::LANES);
                let floats = rows.len() * width * pixel;
                assert!(floats <= BUFFER_FLOATS, "{rows:?} expanded");
                // SAFETY: `sum` asserted that the gradient has the chunk's rows, and the slice's channels are the map's. The assertion above
                // says that the buffer holds them.
                unsafe { expansion.write(simd, rows.clone(), channels, to, pixel) };
                GradientSlice {
                    start: to.wrapping_sub(rows.start * width * pixel),
                    pixel,
                    ahead,
                }
            }
        };
        let maps = ChunkMaps { input, gradient };
        if lanes == V * S::LANES {
            self.all_segments::<S, V, false>(simd, maps, channel, S::LANES);
        } else {
            let last = lanes - (V - 1) * S::LANES;
            self.all_segments::<S, V, true>(simd, maps, channel, last);
        }
        lanes
    }

    #[inline(always)]
    fn all_segments<S: Simd, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        maps: ChunkMaps,
        channel: usize,
        last: usize,
    ) {
        if let Some(bias) = self.bias_sums {
            self.bias::<S, V, TAIL>(simd, maps.gradient, channel, last, bias);
        }
        // The most terms whose sums fit into the registers, beside V vectors and one term.
        let most = match (S::REGISTERS >= 32, V) {
            (true, 3) => 9,
            (true, _) | (false, 1) => 14,
            (false, 2) => 6,
            (false, _) => 4,
        };
        let group_terms = self.whole.geometry.input[2] / self.whole.geometry.groups;
        for segment in &self.whole.segments {
            let (mut term, end) = if segment.terms > group_terms {
                (0, segment.terms)
            } else {
                (self.terms.start, self.terms.end)
            };
            while term < end {
                let tiles = (end - term).div_ceil(most);
                let size = (end - term).div_ceil(tiles);
                // The compiler knows `most` and leaves out larger tiles.
                macro_rules! tile_of_size {
                    ($($terms:literal)*) => {
                        match size {
                            $($terms if $terms <= most => simd.call(WeightTile::<$terms, V, TAIL> {
                                task: self,
                                maps,
                                segment,
                                term,
                                channel,
                                last,
                            }),)*
                            _ => unreachable!("{size} terms, at most {most}"),
                        }
                    };
                }
                tile_of_size!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
                term += size;
            }
        }
    }

    /// The columns of `columns` that a row of the output has: the last row may be cut short.
    #[inline(always)]
    pub(super) fn existing(&self, row: usize, columns: &Range<usize>) -> Range<usize> {
        let left = self.whole.pixels - row * self.whole.geometry.output[1];
        columns.start.min(left)..columns.end.min(left)
    }

    /// Adds the output gradient to the bias sums.
    #[inline(always)]
    fn bias<S: Simd, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        gradient: GradientSlice,
        channel: usize,
        last: usize,
        bias: *mut f32,
    ) {
        let [_, out_width, _] = self.whole.geometry.output;
        let Range { start, end } = self.rows;
        let pixels = start * out_width..(end * out_width).min(self.whole.pixels);
        for v in 0..V {
            let lanes = if TAIL && v + 1 == V { last } else { S::LANES };
            let channel = channel + v * S::LANES;
            // SAFETY: `lanes` channels from `channel` on exist in each pixel of the gradient, whose rows `sum` asserted, and in the bias. No
            // other task has these bias sums.
            unsafe {
                let target = bias.add(channel);
                let mut sum = simd.load_first(lanes, target);
                for pixel in pixels.clone() {
                    let from = (gradient.start).wrapping_add(pixel * gradient.pixel + v * S::LANES);
                    sum = simd.add(sum, simd.load_first(lanes, from));
                }
                simd.store_first(lanes, sum, target);
            }
        }
    }
}
