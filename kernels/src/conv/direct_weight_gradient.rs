//! Weight gradient read in place: for each tap, tiles of input channels times vectors of output channels, summed over runs
//! of pixels. Runs are cut into chunks that stay in L2; where there are few weights, fixed groups of rows have their own
//! sums, which are added in order. With few input channels, the input is copied with its borders of zeros first, so that all
//! taps of a kernel's row are one run everywhere.
use std::ops::Range;

use crate::Cpu;
use crate::normalised::Rooms;
use crate::pool::fused::{ROOM, Room, Source, expand};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::border::Border;
use super::parts::sum_parts;
use super::{Geometry, Input, outputs_of_tap};
use crate::stream::prefetch_far;

/// Groups of rows at most.
const ROW_GROUPS: usize = 16;
/// Numbers in the partial sums of all groups of rows.
const PARTIAL_SUMS: usize = 1 << 20;
/// Pixels that a group of rows has at least.
const GROUP_PIXELS: usize = 64;
/// Numbers of both maps in a chunk: half of L2.
const CHUNK: usize = 1 << 17;
/// Numbers of a slice of the output gradient's channels in a chunk: most of L1.
const SLICE: usize = 6 << 10;
/// Channels of a slice at most.
const SLICE_LANES: usize = 48;

/// Weight gradient of a direct convolution.
#[derive(Debug)]
pub(super) struct WeightGradient {
    /// With a 1×1 kernel that reads every pixel, the maps are one long map of `row` columns.
    geometry: Geometry,
    /// Pixels of the output; the last row may be cut short.
    pixels: usize,
    /// Numbers of the input.
    inputs: usize,
    /// Where the input lies in its copy, whose geometry is then the one above.
    border: Option<Border>,
    /// Whether all taps of a kernel's row are one segment.
    fused: bool,
    segments: Vec<Segment>,
    row_groups: usize,
    /// Ranges of input channels of a group, each a task's.
    parts: usize,
    chunk_rows: usize,
    /// For what a chunk reads of the input, if it may be asked to normalise it.
    rooms: Rooms,
}

/// Neighbouring terms of a kernel and the output columns that they see.
#[derive(Debug)]
struct Segment {
    tap: [usize; 2],
    /// Neighbouring numbers in a row of the input: one tap's channels or those of the kernel's row.
    terms: usize,
    columns: Range<usize>,
}

impl WeightGradient {
    pub(super) fn new(geometry: Geometry) -> Self {
        let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
        let inputs = geometry.batch * geometry.input.iter().product::<usize>();
        let geometry = collapse(geometry);
        let terms = geometry.input[2] / geometry.groups;
        let fused = geometry.groups == 1 && geometry.dilation[1] == 1 && terms <= 4;
        let (geometry, border) = if fused {
            Border::new(geometry)
        } else {
            (geometry, None)
        };
        let segments = segments(&geometry, fused);
        let rows = geometry.batch * geometry.output[0];
        let sums = geometry.weights() + geometry.output[2];
        // What a group adds to memory is no more than what it reads.
        let numbers = inputs + pixels * geometry.output[2];
        let row_groups = (PARTIAL_SUMS / sums)
            .min(ROW_GROUPS)
            .min(pixels / GROUP_PIXELS)
            .min(numbers / sums)
            .min(rows)
            .max(1);
        let parts = if fused {
            1
        } else {
            ROW_GROUPS
                .div_ceil(row_groups * geometry.groups)
                .clamp(1, terms.div_ceil(8))
        };
        let row = geometry.output[1] * geometry.output[2]
            + geometry.stride[0] * geometry.input[1] * geometry.input[2];
        let slice = geometry.output[1] * 32;
        let chunk_rows = (CHUNK / row).min(SLICE / slice).max(1);
        Self {
            geometry,
            pixels,
            inputs,
            border,
            fused,
            segments,
            row_groups,
            parts,
            chunk_rows,
            rooms: Rooms::default(),
        }
    }

    /// Has it normalise the input, where it is asked to; false if it cannot.
    pub(super) fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        let terms = self.geometry.input[2] / self.geometry.groups;
        let groups = 0..self.row_groups;
        let chunks = groups.flat_map(|group| self.chunks(self.rows_of_group(group)));
        let most = chunks.map(|chunk| self.pixels_read(chunk).len()).max();
        let room = (most.unwrap_or(0) * terms.div_ceil(self.parts)).max(1);
        if self.fused || room > CHUNK {
            return false;
        }
        self.rooms = Rooms::new(cpu, room);
        true
    }

    fn rows_of_group(&self, group: usize) -> Range<usize> {
        let rows = self.geometry.batch * self.geometry.output[0];
        group * rows / self.row_groups..(group + 1) * rows / self.row_groups
    }

    /// What is read at a time of some rows of the output.
    fn chunks(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let end = rows.end;
        rows.step_by(self.chunk_rows)
            .map(move |start| start..(start + self.chunk_rows).min(end))
    }

    /// The pixels of the input, counted through all images, from the first to the last that some rows of the output read.
    fn pixels_read(&self, rows: Range<usize>) -> Range<usize> {
        let geometry = &self.geometry;
        let [height, width, channels] = geometry.input;
        let reach = (geometry.kernel[0] - 1) * geometry.dilation[0] + 1;
        let row = |row: usize, beyond: usize| {
            let (image, y) = (row / geometry.output[0], row % geometry.output[0]);
            let y = (y * geometry.stride[0] + beyond).saturating_sub(geometry.padding[0]);
            image * height + y.min(height)
        };
        let end = row(rows.end - 1, reach) * width;
        row(rows.start, 0) * width..end.min(self.inputs / channels)
    }

    /// Whether it can read a pooled gradient: a task has room for a chunk's slice, expanded, and rows are rows.
    pub(super) fn expands(&self) -> bool {
        let [height, width, _] = self.geometry.output;
        self.pixels == self.geometry.batch * height * width
            && self.geometry.kernel != [1, 1]
            && self.chunk_rows * width * SLICE_LANES <= ROOM
    }

    pub(super) fn scratch_len(&self) -> usize {
        let sums = self.row_groups * (self.geometry.weights() + self.geometry.output[2]);
        self.copy_len() + self.rooms.len() + if self.row_groups > 1 { sums } else { 0 }
    }

    fn copy_len(&self) -> usize {
        let image: usize = self.geometry.input.iter().product();
        self.border
            .as_ref()
            .map_or(0, |_| self.geometry.batch * image)
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: Input,
        output_gradient: Source,
        weight_gradient: &mut [f32],
        bias_gradient: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let filters = self.geometry.output[2];
        assert_eq!(input.map.len(), self.inputs, "input");
        let all_channels = self.geometry.input[2];
        (input.normalised.iter()).for_each(|by| by.check(all_channels));
        assert_eq!(output_gradient.len(), self.pixels * filters, "output");
        let weights = self.geometry.weights();
        assert_eq!(weight_gradient.len(), weights, "weight gradient");
        assert!(bias_gradient.as_ref().is_none_or(|b| b.len() == filters));
        let with_bias = bias_gradient.is_some();
        let (copied, scratch) = scratch.split_at_mut(self.copy_len());
        let input = match &self.border {
            Some(border) => {
                border.fill(cpu, input.plain(), &self.geometry, copied);
                Input::from(&*copied)
            }
            None => input,
        };
        let (rooms, scratch) = scratch.split_at_mut(self.rooms.len());
        if self.row_groups == 1 {
            let weight_gradient = DisjointMut::new(weight_gradient);
            let bias_gradient = bias_gradient.map(DisjointMut::new);
            self.sum(cpu, input, output_gradient, rooms, |_| {
                let bias = bias_gradient.as_ref().map(DisjointMut::as_mut_ptr);
                (weight_gradient.as_mut_ptr(), bias)
            });
            return;
        }
        let stride = weights + filters;
        let partial = &mut scratch[..self.row_groups * stride];
        let shared = DisjointMut::new(partial);
        self.sum(cpu, input, output_gradient, rooms, |group| {
            // SAFETY: each group's sums lie within the scratch.
            let sums = unsafe { shared.slice(group * stride..(group + 1) * stride) };
            let (weight_sums, bias_sums) = sums.split_at_mut(weights);
            (
                weight_sums.as_mut_ptr(),
                with_bias.then_some(bias_sums.as_mut_ptr()),
            )
        });
        let partial = &scratch[..self.row_groups * stride];
        sum_parts(cpu, false, partial, stride, weight_gradient);
        if let Some(bias_gradient) = bias_gradient {
            sum_parts(cpu, false, &partial[weights..], stride, bias_gradient);
        }
    }

    /// Runs all tasks; `sums(group)` is where a group's weight and bias sums go.
    fn sum(
        &self,
        cpu: &Cpu,
        input: Input,
        output_gradient: Source,
        rooms: &mut [f32],
        sums: impl Fn(usize) -> (*mut f32, Option<*mut f32>) + Sync,
    ) {
        let terms = self.geometry.input[2] / self.geometry.groups;
        let per_row_group = self.parts * self.geometry.groups;
        let tasks = self.row_groups * per_row_group;
        let run = |task: usize, room: *mut f32| {
            let row_group = task / per_row_group;
            let group = task / self.parts % self.geometry.groups;
            let part = task % self.parts;
            let (weight_sums, bias_sums) = sums(row_group);
            cpu.dispatch(Task {
                whole: self,
                input,
                room,
                output_gradient,
                weight_sums,
                bias_sums: bias_sums.filter(|_| part == 0),
                group,
                terms: part * terms / self.parts..(part + 1) * terms / self.parts,
                rows: self.rows_of_group(row_group),
            });
        };
        let normalise = input.normalised.is_some();
        self.rooms.parallel(cpu, tasks, normalise, rooms, run);
    }
}

/// A 1×1 convolution of every pixel has no rows: the same over one long map.
fn collapse(geometry: Geometry) -> Geometry {
    let [height, width, filters] = geometry.output;
    let every_pixel = geometry.kernel == [1, 1]
        && geometry.stride == [1, 1]
        && geometry.padding == [0, 0]
        && geometry.input[..2] == geometry.output[..2];
    if !every_pixel {
        return geometry;
    }
    let pixels = geometry.batch * height * width;
    let row = pixels.min(GROUP_PIXELS);
    let rows = pixels.div_ceil(row);
    Geometry {
        batch: 1,
        input: [rows, row, geometry.input[2]],
        output: [rows, row, filters],
        ..geometry
    }
}

/// The runs of all taps. `fused` takes the taps of a kernel's row together: all of them are inside everywhere.
fn segments(geometry: &Geometry, fused: bool) -> Vec<Segment> {
    let terms = geometry.input[2] / geometry.groups;
    let [rows, taps] = geometry.kernel;
    let (taps, terms) = if fused {
        (1, taps * terms)
    } else {
        (taps, terms)
    };
    let segment = |tap: usize| Segment {
        tap: [tap / taps, tap % taps],
        terms,
        columns: outputs_of_tap(geometry, 1, tap % taps),
    };
    (0..rows * taps).map(segment).collect()
}

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
struct Task<'a> {
    whole: &'a WeightGradient,
    input: Input<'a>,
    /// For what it normalises, if it does.
    room: *mut f32,
    output_gradient: Source<'a>,
    weight_sums: *mut f32,
    bias_sums: Option<*mut f32>,
    group: usize,
    terms: Range<usize>,
    rows: Range<usize>,
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
                channel += match vectors {
                    1 => self.slice::<S, 1>(simd, &mut room, input, rows, channel, left),
                    3 => self.slice::<S, 3>(simd, &mut room, input, rows, channel, left),
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
        // The three times three terms of a row of RGB are one tile.
        let most = match (S::REGISTERS >= 32, self.whole.fused) {
            (true, true) => 9,
            (true, false) => 8,
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
                match size {
                    1 => self.tile::<S, 1, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    2 => self.tile::<S, 2, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    3 => self.tile::<S, 3, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    4 => self.tile::<S, 4, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    5 => self.tile::<S, 5, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    6 => self.tile::<S, 6, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    7 => self.tile::<S, 7, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    8 => self.tile::<S, 8, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                    _ => self.tile::<S, 9, V, TAIL>(simd, maps, segment, term, rows, channel, last),
                }
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
                // SAFETY: as for the loads.
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
