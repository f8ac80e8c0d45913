//! Three convolutions of which the middle one is depthwise, computed band of rows by band of rows: the wide maps between them never
//! leave a core's cache. An inverted residual is such a chain: 1×1, depthwise, 1×1.
use std::ops::Range;

use crate::Cpu;
use crate::threads::DisjointMut;

use super::{Epilogue, Forward, Geometry};

/// Numbers of the two maps' bands together: about half of a core's L2.
const BAND: usize = 128 << 10;
/// Tasks of a thread, so that who is disturbed leaves some to the others.
const TASKS: usize = 2;
/// Rows of the depthwise map that a task computes at least, since tasks that are neighbours both compute the rows that both read: where
/// threads have several tasks, and where they have one. Of a single image, 28 and 14 rows on two threads are 7 to 16 % faster so than pass
/// by pass.
const TASK_ROWS: [usize; 2] = [14, 7];

/// How a chain of convolutions is cut into bands; prepared for three [`Forward`] passes.
///
/// The numbers are the same bits as those of the passes one after the other, whatever the bands.
#[derive(Clone, Debug)]
pub struct Bands {
    geometries: [Geometry; 3],
    /// Rows of the depthwise map that are computed at a time.
    rows: usize,
    /// Parts that an image is cut into, each a task.
    parts: usize,
    /// Threads that have scratch of their own.
    threads: usize,
}

/// One of the three convolutions, with its weights as [`Forward::pack`] wrote them.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// How it is computed.
    pub forward: &'a Forward,
    /// Its weights.
    pub packed: &'a [f32],
    /// What happens to its sums; only the last may add a map.
    pub epilogue: Epilogue<'a>,
}

impl Bands {
    /// The bands of a chain, if these passes can be chained and that is likely faster: any direct convolution, a depthwise one, a
    /// direct 1×1 convolution with stride 1, each of which reads the map that the one before it writes; and rows enough for all threads.
    pub fn new(cpu: &Cpu, passes: [&Forward; 3]) -> Option<Self> {
        let [height, ..] = passes[1].geometry().output;
        let parts = parts(cpu.threads(), passes[1].geometry().batch, height)?;
        Self::with_parts(cpu, passes, parts)
    }

    /// The bands of passes that can be chained, each image in so many parts.
    fn with_parts(
        cpu: &Cpu,
        [first, depthwise, last]: [&Forward; 3],
        parts: usize,
    ) -> Option<Self> {
        let geometries = [first, depthwise, last].map(Forward::geometry);
        let [wide, middle, narrow] = geometries;
        let is_pointwise = narrow.kernel == [1, 1]
            && narrow.stride == [1, 1]
            && narrow.padding == [0, 0]
            && narrow.output[..2] == narrow.input[..2];
        let is_chain = wide.output == middle.input
            && middle.output == narrow.input
            && wide.batch == middle.batch
            && middle.batch == narrow.batch;
        if !is_chain || !is_pointwise {
            return None;
        }
        first.gather()?;
        depthwise.depthwise()?;
        last.gather()?;
        let [height, width, channels] = middle.output;
        let source_row = middle.input[1] * channels;
        // Each further row of the depthwise map takes `stride` rows of the one before it.
        let row = middle.stride[0] * source_row + width * channels;
        let overlap = overlap(middle) * source_row;
        let most = BAND.saturating_sub(overlap) / row;
        Some(Self {
            geometries: geometries.map(|geometry| *geometry),
            rows: most.clamp(1, height.div_ceil(parts)),
            parts,
            threads: cpu.threads(),
        })
    }

    /// Rows of the depthwise map that are computed at a time.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn tasks(&self) -> usize {
        self.depthwise().batch * self.parts
    }

    fn depthwise(&self) -> &Geometry {
        &self.geometries[1]
    }

    /// Numbers of the bands of the two maps.
    fn lengths(&self) -> [usize; 2] {
        let Geometry { input, output, .. } = *self.depthwise();
        let source_rows = self.rows * self.depthwise().stride[0] + overlap(self.depthwise());
        let length = |rows: usize, map: [usize; 3]| rows.min(map[0]) * map[1] * map[2];
        // Both begin on a cache line.
        [length(source_rows, input), length(self.rows, output)]
            .map(|length| length.next_multiple_of(16))
    }

    /// Numbers of scratch that [`Bands::run`] needs.
    pub fn scratch_len(&self) -> usize {
        self.threads * self.lengths().iter().sum::<usize>()
    }

    /// Computes the output of the last convolution, every number of it.
    ///
    /// # Panics
    /// If a length is wrong, or the passes are not those that the bands were made for.
    pub fn run(
        &self,
        cpu: &Cpu,
        links: [Link<'_>; 3],
        input: &[f32],
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [wide, middle, narrow] = links;
        let (Some(first), Some(depthwise), Some(last)) = (
            wide.forward.gather(),
            middle.forward.depthwise(),
            narrow.forward.gather(),
        ) else {
            panic!("no chain: {links:?}");
        };
        let geometries = links.map(|link| *link.forward.geometry());
        assert_eq!(geometries, self.geometries, "made for another chain");
        assert!(wide.epilogue.add.is_none() && middle.epilogue.add.is_none());
        assert_eq!(input.len(), first.source_len(), "input");
        assert_eq!(output.len(), last.target_len(), "output");
        let [source_length, target_length] = self.lengths();
        let slot_length = source_length + target_length;
        let threads = self.threads.min(scratch.len() / slot_length);
        assert!(threads > 0, "scratch");
        let end = last.finish(&narrow.epilogue, output);
        let (scratch, output) = (DisjointMut::new(scratch), DisjointMut::new(output));
        cpu.parallel_in_slots(threads, self.tasks(), |slot, task| {
            // SAFETY: slots do not overlap, and one task at a time has one.
            let bands = unsafe { scratch.slice(slot * slot_length..(slot + 1) * slot_length) };
            let (source, target) = bands.split_at_mut(source_length);
            let first_end = first.finish(&wide.epilogue, source);
            for band in self.bands(task) {
                band.keep(source, self.depthwise());
                let [new, rows] = [band.new.clone(), band.target.clone()];
                let skipped = [
                    row_start(band.source.start, geometries[1].input),
                    row_start(band.target.start, geometries[1].output),
                ];
                let bands = [&mut *source, &mut *target].map(DisjointMut::new);
                // SAFETY: the input and the output are whole maps, of which only this task writes these rows; the bands hold
                // the rows of the two maps between, which are written before they are read.
                unsafe {
                    let maps = [input, wide.packed];
                    first.rows(cpu, maps, &first_end, &bands[0], [0, skipped[0]], new, None);
                    let [from, to] = [0, 1].map(|i| bands[i].as_mut_ptr().wrapping_sub(skipped[i]));
                    depthwise.rows(cpu, from, middle, to, rows.clone());
                    let maps = [bands[1].slice(0..target_length), narrow.packed];
                    last.rows(cpu, maps, &end, &output, [skipped[1], 0], rows, None);
                }
            }
        });
    }

    /// The bands of a task, from top to bottom.
    fn bands(&self, task: usize) -> impl Iterator<Item = Band> {
        let Geometry { input, output, .. } = *self.depthwise();
        let [source_height, height] = [input[0], output[0]];
        let (image, part) = (task / self.parts, task % self.parts);
        let [start, end] = [part, part + 1].map(|part| part * height / self.parts);
        let mut last = 0..0;
        (start..end).step_by(self.rows).map(move |start| {
            let rows = start..(start + self.rows).min(end);
            let source = self.reads(&rows);
            let new = source.start.max(last.end)..source.end;
            let kept = source.start.min(last.end)..last.end;
            let kept = kept.start - last.start.min(kept.start)..kept.end - last.start;
            last = source.clone();
            let of_image = |rows: Range<usize>, height: usize| {
                image * height + rows.start..image * height + rows.end
            };
            Band {
                kept,
                source: of_image(source, source_height),
                new: of_image(new, source_height),
                target: of_image(rows, height),
            }
        })
    }

    /// The rows of the depthwise convolution's input that its output `rows` read.
    fn reads(&self, rows: &Range<usize>) -> Range<usize> {
        let Geometry {
            input,
            stride,
            padding,
            ..
        } = *self.depthwise();
        let end = (rows.end * stride[0] + overlap(self.depthwise())).saturating_sub(padding[0]);
        let end = end.min(input[0]);
        (rows.start * stride[0]).saturating_sub(padding[0]).min(end)..end
    }
}

/// Some rows of the depthwise map, and those of its source that they read; all but `kept` counted through all images.
struct Band {
    /// Rows of the band before, counted within it, that this one reads too.
    kept: Range<usize>,
    source: Range<usize>,
    /// The rows of the source that have not been computed yet.
    new: Range<usize>,
    target: Range<usize>,
}

impl Band {
    /// Moves the rows that are kept to the front.
    fn keep(&self, source: &mut [f32], geometry: &Geometry) {
        let row = geometry.input[1] * geometry.input[2];
        source.copy_within(self.kept.start * row..self.kept.end * row, 0);
    }
}

/// Parts of images of `height` rows that give each thread some tasks, or else all of them as many, if each part has rows enough.
fn parts(threads: usize, batch: usize, height: usize) -> Option<usize> {
    let several = (TASKS * threads).div_ceil(batch);
    if several == 1 || several * TASK_ROWS[0] <= height {
        return Some(several);
    }
    let one = (1..).find(|parts| (batch * parts).is_multiple_of(threads))?;
    (one * TASK_ROWS[1] <= height).then_some(one)
}

/// The numbers of a map before `row`.
fn row_start(row: usize, [_, width, channels]: [usize; 3]) -> usize {
    row * width * channels
}

/// Rows that two neighbouring bands both read.
fn overlap(geometry: &Geometry) -> usize {
    ((geometry.kernel[0] - 1) * geometry.dilation[0] + 1).saturating_sub(geometry.stride[0])
}

#[cfg(test)]
mod tests;
