//! Weight gradient that reads the maps in place. For each tap it sums tiles of input channels times vectors of output channels over runs of
//! pixels. Rows are cut into chunks that stay in L2. Where there are few weights, fixed groups of rows have sums of their own, which are
//! added in order. Where there are few input channels, the input is first copied between borders of zeros, so that all taps of a kernel's
//! row are one run everywhere.
mod task;
mod tile;

use std::ops::Range;

use crate::Cpu;
use crate::conv::Geometry;
use crate::conv::loops::{Fused, WeightLoop, WeightOperands};
use crate::conv::parts::sum_parts;
use crate::map::SlotScratch;
use crate::map::{BUFFER_FLOATS, Input, Source};
use crate::stream::LINE;
use crate::threads::DisjointMut;

use super::border::Border;
use task::DirectWeightTask;

/// Groups of rows at most.
const ROW_GROUPS: usize = 16;
/// Floats of the partial sums of all groups of rows.
const PARTIAL_SUMS: usize = 1 << 20;
/// Pixels that a group of rows has at least.
const GROUP_PIXELS: usize = 64;
/// Pixels of a row at least, where a 1×1 convolution may choose its rows.
const ROW_PIXELS: usize = 32;
/// Floats of both maps in a chunk: half of L2.
const CHUNK: usize = 1 << 17;
/// Floats of a slice of a chunk, two vectors of the output gradient's channels: they stay in L1.
const SLICE: usize = 6 << 10;
/// Input channels of a task at least, where there are that many: two tiles with 32 registers.
const PART_TERMS: usize = 28;
/// Channels of a slice at most.
const SLICE_LANES: usize = 48;

/// Weight gradient of a direct convolution.
#[derive(Debug)]
pub(in crate::conv) struct DirectWeightGradient {
    /// The convolution that is computed. Where the kernel is 1×1 and reads every pixel, the maps are one long map.
    geometry: Geometry,
    /// Pixels of the output; the last row may be cut short.
    pixels: usize,
    /// Elements of the input.
    input_len: usize,
    /// Where the input lies in its copy, whose geometry is then the one above.
    border: Option<Border>,
    /// Whether all taps of a kernel's row are one segment.
    joins_taps: bool,
    /// Whether a filter has more terms than its group has filters. Slices then have three vectors, so that the input is read less often.
    many_terms: bool,
    segments: Vec<Segment>,
    row_groups: usize,
    /// Ranges of input channels of a group, each a task's.
    parts: usize,
    chunk_rows: usize,
    /// Floats of a slot for the part of the input that a chunk reads; 0 unless the pass may normalise it.
    input_slot_len: usize,
    /// Floats of a slot for a chunk of the output gradient; 0 unless that is computed chunk by chunk.
    gradient_slot_len: usize,
    slots: SlotScratch,
}

/// Some rows of the output, which a task takes at a time.
pub(in crate::conv) struct Chunk {
    /// Their group of rows.
    pub(in crate::conv) group: usize,
    pub(in crate::conv) rows: Range<usize>,
    /// Memory for their gradient, if the loop was [prepared](DirectWeightGradient::reserve_gradient_chunk) for that.
    pub(in crate::conv) slot: *mut f32,
}

/// The output gradient of a chunk, as a task finds it.
#[derive(Clone, Copy)]
pub(in crate::conv) struct ChunkGradient<'a> {
    pub(in crate::conv) source: Source<'a>,
    /// Elements of the map before the first of the source.
    pub(in crate::conv) skipped: usize,
    /// A map whose next chunk is prefetched.
    pub(in crate::conv) ahead: *const f32,
}

/// What [`DirectWeightGradient::run_by_chunks`] reads and writes, besides the output gradient. [`WeightGradient::run`] or
/// [`JointGradients::run`] has checked all lengths.
///
/// [`WeightGradient::run`]: crate::conv::WeightGradient::run
/// [`JointGradients::run`]: crate::conv::JointGradients::run
pub(in crate::conv) struct ChunkedOperands<'a> {
    pub(in crate::conv) input: Input<'a>,
    pub(in crate::conv) weight_gradient: &'a mut [f32],
    pub(in crate::conv) bias_gradient: Option<&'a mut [f32]>,
    pub(in crate::conv) scratch: &'a mut [f32],
}

/// Where a group of rows adds up its sums.
struct GroupSums {
    weights: *mut f32,
    bias: Option<*mut f32>,
}

/// Neighbouring terms of a kernel, and the output columns in which they are inside the input.
#[derive(Clone, Debug)]
struct Segment {
    tap: [usize; 2],
    /// Neighbouring floats in a row of the input: the channels of one tap, or of all taps of the kernel's row.
    terms: usize,
    columns: Range<usize>,
}

impl DirectWeightGradient {
    pub(in crate::conv) fn new(geometry: Geometry) -> Self {
        let pixels = geometry.batch * geometry.output[0] * geometry.output[1];
        let input_len = geometry.input_len();
        let geometry = collapse(geometry);
        let terms = geometry.input[2] / geometry.groups;
        let joins_taps = geometry.groups == 1 && geometry.dilation[1] == 1 && terms <= 4;
        let (geometry, border) = if joins_taps {
            Border::new(geometry)
        } else {
            (geometry, None)
        };
        let segments = segments(&geometry, joins_taps);
        let kernel: usize = geometry.kernel.iter().product();
        let rows = geometry.batch * geometry.output[0];
        let sums_len = geometry.weights_len() + geometry.output[2];
        // A group writes no more than it reads.
        let maps_len = input_len + pixels * geometry.output[2];
        let row_groups = (PARTIAL_SUMS / sums_len)
            .min(ROW_GROUPS)
            .min(pixels / GROUP_PIXELS)
            .min(maps_len / sums_len)
            .min(rows)
            .max(1);
        let parts = if joins_taps {
            1
        } else {
            ROW_GROUPS
                .div_ceil(row_groups * geometry.groups)
                .clamp(1, (terms / PART_TERMS).max(1))
        };
        let row_len = geometry.output[1] * geometry.output[2]
            + geometry.stride[0] * geometry.input[1] * geometry.input[2];
        let slice_len = geometry.output[1] * 32;
        let chunk_rows = (CHUNK / row_len).min(SLICE / slice_len).max(1);
        Self {
            geometry,
            pixels,
            input_len,
            border,
            joins_taps,
            many_terms: kernel * terms > geometry.output[2] / geometry.groups,
            segments,
            row_groups,
            parts,
            chunk_rows,
            input_slot_len: 0,
            gradient_slot_len: 0,
            slots: SlotScratch::default(),
        }
    }

    /// The convolution over one long map, where it is 1×1, reads every pixel, and all rows are whole. None where the input is copied between
    /// borders: then only the copy has a pixel for each of the output.
    pub(in crate::conv) fn flat(&self) -> Option<&Geometry> {
        let [height, width, _] = self.geometry.output;
        let is_whole = self.border.is_none() && height * width == self.pixels;
        let is_flat = is_whole && is_pointwise(&self.geometry);
        is_flat.then_some(&self.geometry)
    }

    /// Groups of rows, if one task has each.
    pub(in crate::conv) fn row_groups(&self) -> Option<usize> {
        (self.parts * self.geometry.groups == 1).then_some(self.row_groups)
    }

    /// Channels of the input.
    pub(in crate::conv) fn inputs(&self) -> usize {
        self.geometry.input[2]
    }

    /// Elements of the weights.
    pub(in crate::conv) fn weights(&self) -> usize {
        self.geometry.weights_len()
    }

    /// Channels of the output.
    pub(in crate::conv) fn filters(&self) -> usize {
        self.geometry.output[2]
    }

    /// Elements of the output.
    pub(in crate::conv) fn output_len(&self) -> usize {
        self.pixels * self.filters()
    }

    /// Prepares to be given the output gradient chunk by chunk, in memory of the task's slot. Returns the floats of a chunk.
    pub(in crate::conv) fn reserve_gradient_chunk(&mut self, cpu: &Cpu) -> usize {
        let [_, width, filters] = self.geometry.output;
        self.gradient_slot_len = self.chunk_rows * width * filters;
        self.slots = SlotScratch::new(cpu, self.input_slot_len + self.gradient_slot_len);
        self.gradient_slot_len
    }

    /// The loop prepared for what is to be fused. None where that does not fit into the caches.
    pub(in crate::conv) fn fusing(mut self, cpu: &Cpu, fused: Fused) -> Option<Self> {
        let expands = !fused.pooled || self.expands();
        let normalises = !fused.normalised || self.prepare_normalisation(cpu);
        (expands && normalises).then_some(self)
    }

    /// Prepares to normalise the input. Returns false if the part that a chunk reads does not fit into L2.
    fn prepare_normalisation(&mut self, cpu: &Cpu) -> bool {
        let terms = self.geometry.input[2] / self.geometry.groups;
        let groups = 0..self.row_groups;
        let chunks = groups.flat_map(|group| self.chunks(self.rows_of_group(group)));
        let most = chunks.map(|chunk| self.pixels_read(chunk).len()).max();
        let floats = (most.unwrap_or(0) * terms.div_ceil(self.parts)).max(1);
        if self.joins_taps || floats > CHUNK {
            return false;
        }
        self.input_slot_len = floats.next_multiple_of(LINE);
        self.slots = SlotScratch::new(cpu, self.input_slot_len + self.gradient_slot_len);
        true
    }

    fn rows_of_group(&self, group: usize) -> Range<usize> {
        let rows = self.geometry.batch * self.geometry.output[0];
        group * rows / self.row_groups..(group + 1) * rows / self.row_groups
    }

    /// Some rows of the output, cut into chunks.
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
        row(rows.start, 0) * width..end.min(self.input_len / channels)
    }

    /// The elements of some rows of the output.
    pub(in crate::conv) fn part_of_output(&self, rows: Range<usize>) -> Range<usize> {
        let [_, width, filters] = self.geometry.output;
        let at = |row: usize| (row * width).min(self.pixels) * filters;
        at(rows.start)..at(rows.end)
    }

    /// Whether the loop can read a pooled gradient: a chunk's slice fits into a task's buffer when it is expanded, and the rows are those of
    /// the map.
    fn expands(&self) -> bool {
        let [height, width, _] = self.geometry.output;
        self.pixels == self.geometry.batch * height * width
            && self.geometry.kernel != [1, 1]
            && self.chunk_rows * width * SLICE_LANES <= BUFFER_FLOATS
    }

    fn copy_len(&self) -> usize {
        let image: usize = self.geometry.input.iter().product();
        self.border
            .as_ref()
            .map_or(0, |_| self.geometry.batch * image)
    }

    /// As [`WeightLoop::run`], but asks for the output gradient chunk by chunk: it calls `chunk(rows, add)` for the chunks of a group in
    /// order, and `chunk` calls `add` with their output gradient.
    ///
    /// # Panics
    /// If that gradient lacks elements of the chunk.
    pub(in crate::conv) fn run_by_chunks(
        &self,
        cpu: &Cpu,
        operands: ChunkedOperands,
        chunk: impl Fn(Chunk, &dyn Fn(ChunkGradient)) + Sync,
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
        let (slots, scratch) = scratch.split_at_mut(self.slots.len());
        if self.row_groups == 1 {
            let weight_gradient = DisjointMut::new(weight_gradient);
            let bias_gradient = bias_gradient.map(DisjointMut::new);
            self.sum(cpu, input, chunk, slots, |_| GroupSums {
                weights: weight_gradient.as_mut_ptr(),
                bias: bias_gradient.as_ref().map(DisjointMut::as_mut_ptr),
            });
            return;
        }
        let group_len = weights + filters;
        let partial = &mut scratch[..self.row_groups * group_len];
        let shared = DisjointMut::new(partial);
        self.sum(cpu, input, chunk, slots, |group| {
            let start = shared.as_mut_ptr().wrapping_add(group * group_len);
            GroupSums {
                weights: start,
                bias: with_bias.then(|| start.wrapping_add(weights)),
            }
        });
        let partial = &scratch[..self.row_groups * group_len];
        sum_parts(cpu, false, partial, group_len, weight_gradient);
        if let Some(bias_gradient) = bias_gradient {
            sum_parts(cpu, false, &partial[weights..], group_len, bias_gradient);
        }
    }

    /// Runs all tasks. `sums(group)` tells where the weight and bias sums of a group of rows are stored.
    fn sum(
        &self,
        cpu: &Cpu,
        input: Input,
        chunk: impl Fn(Chunk, &dyn Fn(ChunkGradient)) + Sync,
        slots: &mut [f32],
        sums: impl Fn(usize) -> GroupSums + Sync,
    ) {
        let terms = self.geometry.input[2] / self.geometry.groups;
        let per_row_group = self.parts * self.geometry.groups;
        let tasks = self.row_groups * per_row_group;
        let run = |task: usize, slot: *mut f32| {
            let row_group = task / per_row_group;
            let group = task / self.parts % self.geometry.groups;
            let part = task % self.parts;
            let GroupSums { weights, bias } = sums(row_group);
            let of_group = self.rows_of_group(row_group);
            for rows in self.chunks(of_group.clone()) {
                let this = Chunk {
                    group: row_group,
                    rows: rows.clone(),
                    slot: slot.wrapping_add(self.input_slot_len),
                };
                chunk(this, &|gradient| {
                    let (needed, start) = (self.part_of_output(rows.clone()), gradient.skipped);
                    let is_there =
                        start <= needed.start && needed.end <= start + gradient.source.len();
                    assert!(is_there, "a chunk of the output gradient");
                    cpu.dispatch(DirectWeightTask {
                        whole: self,
                        input,
                        input_slot: slot,
                        gradient,
                        weight_sums: weights,
                        bias_sums: bias.filter(|_| part == 0),
                        group,
                        terms: part * terms / self.parts..(part + 1) * terms / self.parts,
                        is_first: rows.start == of_group.start,
                        rows: rows.clone(),
                    });
                });
            }
        };
        let needs_slot = input.normalised.is_some() || self.gradient_slot_len > 0;
        self.slots.parallel(cpu, tasks, needs_slot, slots, run);
    }
}

impl WeightLoop for DirectWeightGradient {
    fn scratch_len(&self) -> usize {
        let sums_len = self.row_groups * (self.geometry.weights_len() + self.geometry.output[2]);
        self.copy_len() + self.slots.len() + if self.row_groups > 1 { sums_len } else { 0 }
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
            add(ChunkGradient {
                source: output_gradient,
                skipped: 0,
                ahead: output_gradient.values.as_ptr(),
            });
        });
    }
}

/// A 1×1 convolution that reads every pixel, over one long map: it does not depend on the rows. Others are returned unchanged.
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

/// Whether the convolution is 1×1 and reads every pixel.
fn is_pointwise(geometry: &Geometry) -> bool {
    geometry.kernel == [1, 1]
        && geometry.stride == [1, 1]
        && geometry.padding == [0, 0]
        && geometry.input[..2] == geometry.output[..2]
}

/// The segments of all taps. `joins_taps` makes one segment of the taps of a kernel's row, which must all be inside everywhere.
fn segments(geometry: &Geometry, joins_taps: bool) -> Vec<Segment> {
    let terms = geometry.input[2] / geometry.groups;
    let [rows, taps] = geometry.kernel;
    let (taps, terms) = if joins_taps {
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
