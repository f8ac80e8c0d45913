//! A chunk of a task of the weight gradient: some input channels over some rows of the output.
use std::ops::Range;

use crate::map::{TASK_FLOATS, TaskBuffer};
use crate::simd::{Kernel, Simd};

use super::tile::Tile;
use super::{DirectWeightGradient, Gradient, Input};

/// Where the pixels of a slice of the output gradient lie.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    /// The first channel of the slice of the map's first pixel.
    pub(super) start: *const f32,
    /// Numbers from pixel to pixel.
    pub(super) pixel: usize,
    /// Bytes from there to the same of the map of which the next chunk is [fetched](Gradient::ahead).
    pub(super) ahead: usize,
}

/// Where the pixels of the input lie, of which a task reads some terms.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// The group's first term of the map's first pixel.
    pub(super) start: *const f32,
    /// Numbers from pixel to pixel.
    pub(super) pixel: usize,
}

/// What a chunk reads.
#[derive(Clone, Copy)]
pub(super) struct Maps {
    pub(super) input: Terms,
    pub(super) gradient: Slice,
}

/// Some input channels of a group over some rows of the output, a chunk.
pub(super) struct DirectWeightTask<'a> {
    pub(super) whole: &'a DirectWeightGradient,
    pub(super) input: Input<'a>,
    /// For what it normalises, if it does.
    pub(super) room: *mut f32,
    pub(super) gradient: Gradient<'a>,
    pub(super) weight_sums: *mut f32,
    pub(super) bias_sums: Option<*mut f32>,
    pub(super) group: usize,
    pub(super) terms: Range<usize>,
    pub(super) rows: Range<usize>,
    /// Whether there are no sums yet to add to.
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
            // SAFETY: only this task writes its group's channels of the bias.
            unsafe { bias.add(first).write_bytes(0, channels) };
        }
        let mut buffer = TaskBuffer::new();
        let input = self.terms_of(simd);
        let mut channel = first;
        while channel < first + channels {
            let left = first + channels - channel;
            let vectors = left.div_ceil(S::LANES);
            // Three if that is all; or if it leaves more than one, and the input is what is read most.
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
    /// What the rows of the output read of the input, normalised if it is to be.
    #[inline(always)]
    fn terms_of<S: Simd>(&self, simd: S) -> Terms {
        let geometry = &self.whole.geometry;
        let inputs = geometry.input[2];
        let first = self.group * (inputs / geometry.groups);
        let map = self.input.map.as_ptr();
        let Some(by) = &self.input.normalised else {
            return Terms {
                start: map.wrapping_add(first),
                pixel: inputs,
            };
        };
        let pixels = self.whole.pixels_read(self.rows.clone());
        let channels = first + self.terms.start..first + self.terms.end;
        let before = pixels.start * channels.len() + self.terms.start;
        let pixel = channels.len();
        // SAFETY: the pixels and channels are on the map, and there is room for those of every chunk.
        unsafe { by.write(simd, map, inputs, pixels, channels, self.room) };
        Terms {
            start: self.room.cast_const().wrapping_sub(before),
            pixel,
        }
    }

    /// V vectors of output channels from `channel` on, of which `left` are left; returns how many channels were done.
    #[inline(always)]
    fn slice<S: Simd, const V: usize>(
        &self,
        simd: S,
        buffer: &mut TaskBuffer,
        input: Terms,
        channel: usize,
        left: usize,
    ) -> usize {
        let lanes = left.min(V * S::LANES);
        let [_, width, filters] = self.whole.geometry.output;
        let Gradient {
            source,
            skipped,
            ahead,
        } = self.gradient;
        let start = source.values.as_ptr().wrapping_sub(skipped);
        let ahead = ahead.addr().wrapping_sub(start.addr());
        let gradient = match source.expansion(width, filters) {
            None => Slice {
                start: start.wrapping_add(channel),
                pixel: filters,
                ahead,
            },
            Some(expansion) => {
                let (rows, channels) = (self.rows.clone(), channel..channel + lanes);
                let (to, pixel) = (buffer.as_mut_ptr(), V * S::LANES);
                let floats = rows.len() * width * pixel;
                assert!(floats <= TASK_FLOATS, "{rows:?} expanded");
                // SAFETY: the task's rows and the slice's channels exist; that the buffer holds them was asserted.
                unsafe { expansion.write(simd, rows.clone(), channels, to, pixel) };
                Slice {
                    start: to.wrapping_sub(rows.start * width * pixel),
                    pixel,
                    ahead,
                }
            }
        };
        let maps = Maps { input, gradient };
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
        maps: Maps,
        channel: usize,
        last: usize,
    ) {
        if let Some(bias) = self.bias_sums {
            self.bias::<S, V, TAIL>(simd, maps.gradient, channel, last, bias);
        }
        // So many that their sums, V vectors and a term fit into the registers.
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
                // The compiler knows `most`, and leaves out what is larger.
                macro_rules! tile_of_size {
                    ($($terms:literal)*) => {
                        match size {
                            $($terms if $terms <= most => simd.call(Tile::<$terms, V, TAIL> {
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

    /// Columns of `columns` that exist in a row of the output.
    #[inline(always)]
    pub(super) fn existing(&self, row: usize, columns: &Range<usize>) -> Range<usize> {
        let left = self.whole.pixels - row * self.whole.geometry.output[1];
        columns.start.min(left)..columns.end.min(left)
    }

    /// Adds the output gradient's columns.
    #[inline(always)]
    fn bias<S: Simd, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        gradient: Slice,
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
            // SAFETY: `lanes` channels from `channel` on exist in each pixel and in the bias.
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
