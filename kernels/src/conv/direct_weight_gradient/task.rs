//! A task of the weight gradient: some input channels over some rows of the output, chunk after chunk.
use std::ops::Range;

use crate::pool::fused::{ROOM, Room, Source, expand};
use crate::simd::{Kernel, Simd};
use crate::stream::prefetch_far;

use super::{Input, Segment, WeightGradient};

/// Where the pixels of a slice of the output gradient lie.
#[derive(Clone, Copy)]
struct Gradient {
    /// The first channel of the slice of the map's first pixel.
    start: *const f32,
    /// Numbers from pixel to pixel.
    pixel: usize,
}

/// Where the pixels of the input lie, of which a task reads some terms.
#[derive(Clone, Copy)]
struct Terms {
    /// The group's first term of the map's first pixel.
    start: *const f32,
    /// Numbers from pixel to pixel.
    pixel: usize,
}

/// What a chunk reads.
#[derive(Clone, Copy)]
struct Maps {
    input: Terms,
    gradient: Gradient,
}

/// Some input channels of a group over some rows of the output.
pub(super) struct Task<'a> {
    pub(super) whole: &'a WeightGradient,
    pub(super) input: Input<'a>,
    /// For what it normalises, if it does.
    pub(super) room: *mut f32,
    pub(super) output_gradient: Source<'a>,
    pub(super) weight_sums: *mut f32,
    pub(super) bias_sums: Option<*mut f32>,
    pub(super) group: usize,
    pub(super) terms: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let geometry = &self.whole.geometry;
        let filters = geometry.output[2];
        let channels = filters / geometry.groups;
        let first = self.group * channels;
        if let Some(bias) = self.bias_sums {
            // SAFETY: only this task writes its group's channels of the bias.
            unsafe { bias.add(first).write_bytes(0, channels) };
        }
        let mut room = Room::new();
        for rows in self.whole.chunks(self.rows.clone()) {
            let input = self.terms_of(simd, rows.clone());
            let mut channel = first;
            while channel < first + channels {
                let left = first + channels - channel;
                let vectors = left.div_ceil(S::LANES);
                let rows = rows.clone();
                // Three if that is all; or if it leaves more than one, and the input is what is read most.
                let by_three = vectors == 3 || vectors > 4 && self.whole.many_terms;
                channel += match vectors {
                    1 => self.slice::<S, 1>(simd, &mut room, input, rows, channel, left),
                    _ if by_three => {
                        self.slice::<S, 3>(simd, &mut room, input, rows, channel, left)
                    }
                    _ => self.slice::<S, 2>(simd, &mut room, input, rows, channel, left),
                };
            }
        }
    }
}

impl Task<'_> {
    /// What some rows of the output read of the input, normalised if it is to be.
    #[inline(always)]
    fn terms_of<S: Simd>(&self, simd: S, rows: Range<usize>) -> Terms {
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
        let pixels = self.whole.pixels_read(rows);
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
        room: &mut Room,
        input: Terms,
        rows: Range<usize>,
        channel: usize,
        left: usize,
    ) -> usize {
        let lanes = left.min(V * S::LANES);
        let [_, width, filters] = self.whole.geometry.output;
        let numbers = self.output_gradient.numbers.as_ptr();
        let gradient = match self.output_gradient.winners {
            None => Gradient {
                start: numbers.wrapping_add(channel),
                pixel: filters,
            },
            Some(winners) => {
                let (to, pixel) = (room.as_mut_ptr(), V * S::LANES);
                assert!(rows.len() * width * pixel <= ROOM, "{rows:?} expanded");
                let (all, channels) = ([width, filters], channel..channel + lanes);
                // SAFETY: the rows and channels exist; the room was checked.
                unsafe {
                    let winners = winners.as_ptr();
                    expand(
                        simd,
                        numbers,
                        winners,
                        all,
                        rows.clone(),
                        channels,
                        to,
                        pixel,
                    );
                }
                Gradient {
                    start: to.wrapping_sub(rows.start * width * pixel),
                    pixel,
                }
            }
        };
        let maps = Maps { input, gradient };
        if lanes == V * S::LANES {
            self.all_segments::<S, V, false>(simd, maps, rows, channel, S::LANES);
        } else {
            let last = lanes - (V - 1) * S::LANES;
            self.all_segments::<S, V, true>(simd, maps, rows, channel, last);
        }
        lanes
    }

    #[inline(always)]
    fn all_segments<S: Simd, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        maps: Maps,
        rows: Range<usize>,
        channel: usize,
        last: usize,
    ) {
        if let Some(bias) = self.bias_sums {
            self.bias::<S, V, TAIL>(simd, maps.gradient, rows.clone(), channel, last, bias);
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
                let rows = rows.clone();
                // The compiler knows `most`, and leaves out what is larger.
                macro_rules! tile_of_size {
                    ($($terms:literal)*) => {
                        match size {
                            $($terms if $terms <= most => self
                                .tile::<S, $terms, V, TAIL>(simd, maps, segment, term, rows, channel, last),)*
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
    fn existing(&self, row: usize, columns: &Range<usize>) -> Range<usize> {
        let left = self.whole.pixels - row * self.whole.geometry.output[1];
        columns.start.min(left)..columns.end.min(left)
    }

    /// Adds R terms from `term` on times V vectors from `channel` on, to 0 where `rows` are the task's first.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "which part of which sums")]
    fn tile<S: Simd, const R: usize, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        maps: Maps,
        segment: &Segment,
        term: usize,
        rows: Range<usize>,
        channel: usize,
        last: usize,
    ) {
        let geometry = &self.whole.geometry;
        let [height, width, inputs] = geometry.input;
        let [out_height, out_width, filters] = geometry.output;
        let group_terms = inputs / geometry.groups;
        let [tap_y, tap_x] = segment.tap;
        let tap = tap_y * geometry.kernel[1] + tap_x;
        // SAFETY: R rows of the weights from this term of this tap on, `channel + …` within each.
        let target = unsafe {
            self.weight_sums
                .add((tap * group_terms + term) * filters + channel)
        };
        let load = |v: usize, from: *const f32| {
            // SAFETY: the vectors before the last are whole, the last has `last` lanes.
            unsafe {
                if TAIL && v + 1 == V {
                    simd.load_first(last, from.add(v * S::LANES))
                } else {
                    simd.load(from.add(v * S::LANES))
                }
            }
        };
        let mut sums = [[simd.zero(); V]; R];
        if rows.start > self.rows.start {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = load(v, target.wrapping_add(r * filters));
                }
            }
        }
        // The first to read something fetches the same of the next chunk.
        let is_expanded = self.output_gradient.winners.is_some();
        let first_of_slice = tap == 0 && term == self.terms.start && !is_expanded;
        let first_of_chunk = tap == 0 && channel == self.group * (filters / geometry.groups);
        let next_gradient = rows.len() * out_width * filters;
        let next_source = rows.len() * geometry.stride[0] * width * inputs;
        let map = (self.input.map.as_ptr()).wrapping_add(self.group * group_terms + next_source);
        let (mut image, mut y) = (rows.start / out_height, rows.start % out_height);
        for row in rows {
            let columns = self.existing(row, &segment.columns);
            let source_y = (y * geometry.stride[0] + tap_y * geometry.dilation[0])
                .wrapping_sub(geometry.padding[0]);
            if source_y < height && !columns.is_empty() {
                let source_x = columns.start * geometry.stride[1] + tap_x * geometry.dilation[1]
                    - geometry.padding[1];
                let source = (image * height + source_y) * width + source_x;
                let mut ahead = map.wrapping_add(source * inputs + term);
                let mut source = (maps.input.start).wrapping_add(source * maps.input.pixel + term);
                let first = row * out_width + columns.start;
                let pixel = maps.gradient.pixel;
                let mut gradient = maps.gradient.start.wrapping_add(first * pixel);
                let step = geometry.stride[1] * maps.input.pixel;
                for _ in columns {
                    if first_of_slice {
                        prefetch_far(gradient.wrapping_add(next_gradient), V * S::LANES);
                    }
                    if first_of_chunk {
                        prefetch_far(ahead, R);
                        ahead = ahead.wrapping_add(geometry.stride[1] * inputs);
                    }
                    let mut vectors = [simd.zero(); V];
                    for (v, vector) in vectors.iter_mut().enumerate() {
                        *vector = load(v, gradient);
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: R neighbouring terms of the input, which this column sees.
                        let value = simd.splat(unsafe { *source.add(r) });
                        for v in 0..V {
                            sums[v] = simd.mul_add(value, vectors[v], sums[v]);
                        }
                    }
                    source = source.wrapping_add(step);
                    gradient = gradient.wrapping_add(pixel);
                }
            }
            y += 1;
            if y == out_height {
                y = 0;
                image += 1;
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                // SAFETY: as for the loads; no other task has these terms of this group's channels and of these sums.
                unsafe {
                    let to = target.add(r * filters + v * S::LANES);
                    if TAIL && v + 1 == V {
                        simd.store_first(last, *sum, to);
                    } else {
                        simd.store(*sum, to);
                    }
                }
            }
        }
    }

    /// Adds the output gradient's columns.
    #[inline(always)]
    fn bias<S: Simd, const V: usize, const TAIL: bool>(
        &self,
        simd: S,
        gradient: Gradient,
        rows: Range<usize>,
        channel: usize,
        last: usize,
        bias: *mut f32,
    ) {
        let [_, out_width, _] = self.whole.geometry.output;
        let pixels = rows.start * out_width..(rows.end * out_width).min(self.whole.pixels);
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
