//! Weight gradient read in place: for each tap, tiles of input channels times vectors of output channels, summed over runs
//! of pixels. Runs are cut into chunks that stay in L2; where there are few weights, fixed groups of rows have their own
//! sums, which are added in order. With few input channels, the input is copied with its borders of zeros first, so that all
//! taps of a kernel's row are one run everywhere.
mod task;
mod tile;

use std::ops::Range;

use crate::Cpu;
use crate::conv::parts::sum_parts;
use crate::conv::pass::{Fused, WeightLoop, WeightOperands};
use crate::conv::{Geometry, Input};
use crate::map::SlotScratch;
use crate::map::{Source, TASK_FLOATS};
use crate::stream::LINE;
use crate::threads::DisjointMut;

use super::border::Border;
use task::DirectWeightTask;

/// Groups of rows at most.
const ROW_GROUPS: usize = 16;
/// Numbers in the partial sums of all groups of rows.
const PARTIAL_SUMS: usize = 1 << 20;
/// Pixels that a group of rows has at least.
const GROUP_PIXELS: usize = 64;
/// Pixels of a row at least, where pixels are no rows and can be divided so.
const ROW_PIXELS: usize = 32;
/// Numbers of both maps in a chunk: half of L2.
const CHUNK: usize = 1 << 17;
/// Numbers of a slice of two vectors of the output gradient's channels in a chunk: they stay in L1.
const SLICE: usize = 6 << 10;
/// Input channels of a task at least, where there are so many: with 32 registers, two tiles.
const PART_TERMS: usize = 28;
/// Channels of a slice at most.
const SLICE_LANES: usize = 48;

/// Weight gradient of a direct convolution.
#[derive(Debug)]
pub(in crate::conv) struct DirectWeightGradient {
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
    /// Whether a filter has more terms than its group has filters: slices are of three vectors, so that the input is read less often.
    many_terms: bool,
    segments: Vec<Segment>,
    row_groups: usize,
    /// Ranges of input channels of a group, each a task's.
    parts: usize,
    chunk_rows: usize,
    /// Numbers of the room for what a chunk reads of the input, if it may be asked to normalise it.
    input_room: usize,
    /// Numbers of the room for a chunk of the output gradient, if that is made chunk by chunk.
    gradient_room: usize,
    rooms: SlotScratch,
}

/// Some rows of the output, which a task takes at a time.
pub(in crate::conv) struct Chunk {
    /// Their group of rows.
    pub(in crate::conv) group: usize,
    pub(in crate::conv) rows: Range<usize>,
    /// For their gradient, if [room](DirectWeightGradient::make_gradients) was made for it.
    pub(in crate::conv) room: *mut f32,
}

/// Where a task finds the output gradient.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Gradient<'a> {
    pub(in crate::conv) source: Source<'a>,
    /// Numbers of it that lie before what is there.
    pub(in crate::conv) skipped: usize,
    /// Where a map begins of which the next chunk is fetched.
    pub(in crate::conv) ahead: *const f32,
}

/// What [`DirectWeightGradient::run_by_chunks`] reads and writes, besides the output gradient. All lengths are right.
pub(in crate::conv) struct ChunkedOperands<'a> {
    pub(in crate::conv) input: Input<'a>,
    pub(in crate::conv) weight_gradient: &'a mut [f32],
    pub(in crate::conv) bias_gradient: Option<&'a mut [f32]>,
    pub(in crate::conv) scratch: &'a mut [f32],
}

/// Neighbouring terms of a kernel and the output columns that they see.
#[derive(Clone, Debug)]
struct Segment {
    tap: [usize; 2],
    /// Neighbouring numbers in a row of the input: one tap's channels or those of the kernel's row.
    terms: usize,
    columns: Range<usize>,
}

impl DirectWeightGradient {
    pub(in crate::conv) fn new(geometry: Geometry) -> Self {
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
        let kernel: usize = geometry.kernel.iter().product();
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
                .clamp(1, (terms / PART_TERMS).max(1))
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
            many_terms: kernel * terms > geometry.output[2] / geometry.groups,
            segments,
            row_groups,
            parts,
            chunk_rows,
            input_room: 0,
            gradient_room: 0,
            rooms: SlotScratch::default(),
        }
    }

    /// The convolution as that of one map of rows of pixels, where it is 1×1 and reads every pixel, and the rows are whole. A copy with
    /// borders is none: only the copy has a pixel for each of the output.
    pub(in crate::conv) fn flat(&self) -> Option<&Geometry> {
        let [height, width, _] = self.geometry.output;
        let is_whole = self.border.is_none() && height * width == self.pixels;
        let is_flat = is_whole && is_pointwise(&self.geometry);
        is_flat.then_some(&self.geometry)
    }

    /// Groups of rows, if each is one task's.
    pub(in crate::conv) fn row_groups(&self) -> Option<usize> {
        (self.parts * self.geometry.groups == 1).then_some(self.row_groups)
    }

    /// Channels of the input.
    pub(in crate::conv) fn inputs(&self) -> usize {
        self.geometry.input[2]
    }

    /// Elements of the weights.
    pub(in crate::conv) fn weights(&self) -> usize {
        self.geometry.weights()
    }

    /// Channels of the output.
    pub(in crate::conv) fn filters(&self) -> usize {
        self.geometry.output[2]
    }

    /// Numbers of the output.
    pub(in crate::conv) fn output_len(&self) -> usize {
        self.pixels * self.filters()
    }

    /// Makes room for the output gradient of a chunk; returns how many numbers that is.
    pub(in crate::conv) fn make_gradients(&mut self, cpu: &Cpu) -> usize {
        let [_, width, filters] = self.geometry.output;
        self.gradient_room = self.chunk_rows * width * filters;
        self.rooms = SlotScratch::new(cpu, self.input_room + self.gradient_room);
        self.gradient_room
    }

    /// The loop prepared for what is to be fused. None where that does not fit into the caches.
    pub(in crate::conv) fn fusing(mut self, cpu: &Cpu, fused: Fused) -> Option<Self> {
        let expands = !fused.pooled || self.expands();
        let normalises = !fused.normalised || self.normalises(cpu);
        (expands && normalises).then_some(self)
    }

    /// Prepares to normalise what it reads of the input, if that fits into L2.
    fn normalises(&mut self, cpu: &Cpu) -> bool {
        let terms = self.geometry.input[2] / self.geometry.groups;
        let groups = 0..self.row_groups;
        let chunks = groups.flat_map(|group| self.chunks(self.rows_of_group(group)));
        let most = chunks.map(|chunk| self.pixels_read(chunk).len()).max();
        let room = (most.unwrap_or(0) * terms.div_ceil(self.parts)).max(1);
        if self.fused || room > CHUNK {
            return false;
        }
        self.input_room = room.next_multiple_of(LINE);
        self.rooms = SlotScratch::new(cpu, self.input_room + self.gradient_room);
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

    /// Where some rows of the output lie in its map.
    pub(in crate::conv) fn part_of_output(&self, rows: Range<usize>) -> Range<usize> {
        let [_, width, filters] = self.geometry.output;
        let at = |row: usize| (row * width).min(self.pixels) * filters;
        at(rows.start)..at(rows.end)
    }

    /// Whether it can read a pooled gradient: a task has room for a chunk's slice, expanded, and rows are rows.
    fn expands(&self) -> bool {
        let [height, width, _] = self.geometry.output;
        self.pixels == self.geometry.batch * height * width
            && self.geometry.kernel != [1, 1]
            && self.chunk_rows * width * SLICE_LANES <= TASK_FLOATS
    }

    fn copy_len(&self) -> usize {
        let image: usize = self.geometry.input.iter().product();
        self.border
            .as_ref()
            .map_or(0, |_| self.geometry.batch * image)
    }

    /// As [`WeightLoop::run`], but calls `chunk` for each chunk, in the order of its group. `chunk` calls in its turn what it is given with
    /// the output gradient.
    ///
    /// # Panics
    /// If a chunk of that is not there.
    pub(in crate::conv) fn run_by_chunks(
        &self,
        cpu: &Cpu,
        operands: ChunkedOperands,
        chunk: impl Fn(Chunk, &dyn Fn(Gradient)) + Sync,
    ) {
        let ChunkedOperands {
            input,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let (weights, filters) = (weight_gradient.len(), self.filters());
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
            self.sum(cpu, input, chunk, rooms, |_| {
                let bias = bias_gradient.as_ref().map(DisjointMut::as_mut_ptr);
                (weight_gradient.as_mut_ptr(), bias)
            });
            return;
        }
        let stride = weights + filters;
        let partial = &mut scratch[..self.row_groups * stride];
        let shared = DisjointMut::new(partial);
        self.sum(cpu, input, chunk, rooms, |group| {
            let sums = shared.as_mut_ptr().wrapping_add(group * stride);
            (sums, with_bias.then(|| sums.wrapping_add(weights)))
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
        chunk: impl Fn(Chunk, &dyn Fn(Gradient)) + Sync,
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
            let of_group = self.rows_of_group(row_group);
            for rows in self.chunks(of_group.clone()) {
                let this = Chunk {
                    group: row_group,
                    rows: rows.clone(),
                    room: room.wrapping_add(self.input_room),
                };
                chunk(this, &|gradient| {
                    let (needed, start) = (self.part_of_output(rows.clone()), gradient.skipped);
                    let is_there =
                        start <= needed.start && needed.end <= start + gradient.source.len();
                    assert!(is_there, "a chunk of the output gradient");
                    cpu.dispatch(DirectWeightTask {
                        whole: self,
                        input,
                        room,
                        gradient,
                        weight_sums,
                        bias_sums: bias_sums.filter(|_| part == 0),
                        group,
                        terms: part * terms / self.parts..(part + 1) * terms / self.parts,
                        is_first: rows.start == of_group.start,
                        rows: rows.clone(),
                    });
                });
            }
        };
        let has_room = input.normalised.is_some() || self.gradient_room > 0;
        self.rooms.parallel(cpu, tasks, has_room, rooms, run);
    }
}

impl WeightLoop for DirectWeightGradient {
    fn scratch_len(&self) -> usize {
        let sums = self.row_groups * (self.geometry.weights() + self.geometry.output[2]);
        self.copy_len() + self.rooms.len() + if self.row_groups > 1 { sums } else { 0 }
    }

    fn run(&self, cpu: &Cpu, operands: WeightOperands) {
        let WeightOperands {
            input,
            output_gradient,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let operands = ChunkedOperands {
            input,
            weight_gradient,
            bias_gradient,
            scratch,
        };
        self.run_by_chunks(cpu, operands, |_, add| {
            add(Gradient {
                source: output_gradient,
                skipped: 0,
                ahead: output_gradient.values.as_ptr(),
            });
        });
    }
}

/// A 1×1 convolution of every pixel has no rows: the same over one long map.
fn collapse(geometry: Geometry) -> Geometry {
    let [height, width, filters] = geometry.output;
    if !is_pointwise(&geometry) {
        return geometry;
    }
    let pixels = geometry.batch * height * width;
    let divides = |row: &usize| pixels.is_multiple_of(*row);
    let row = pixels.min(GROUP_PIXELS);
    let row = (row.min(ROW_PIXELS)..=row)
        .rev()
        .find(divides)
        .unwrap_or(row);
    let rows = pixels.div_ceil(row);
    geometry.with(|settings| {
        settings.batch = 1;
        settings.input = [rows, row, geometry.input[2]];
        settings.output = [rows, row, filters];
    })
}

/// Whether it is 1×1 and reads every pixel.
fn is_pointwise(geometry: &Geometry) -> bool {
    geometry.kernel == [1, 1]
        && geometry.stride == [1, 1]
        && geometry.padding == [0, 0]
        && geometry.input[..2] == geometry.output[..2]
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
        columns: geometry.outputs_of_tap(1, tap % taps),
    };
    (0..rows * taps).map(segment).collect()
}
