//! Three convolutions of which the middle one is depthwise, computed band of rows by band of rows: the wide maps between them never
//! leave a core's cache. An inverted residual is such a chain: 1×1, depthwise, 1×1.
use std::ops::Range;

use crate::Cpu;
use crate::conv::finish::Finish;
use crate::conv::pass::{PartOfMap, RowsLoop, RowsOperands};
use crate::conv::{Algorithm, Epilogue, Forward, Geometry};
use crate::threads::DisjointMut;

/// Floats of the two maps' bands together: about half of a core's L2.
const BAND: usize = 128 << 10;
/// Tasks of a thread, so that who is disturbed leaves some to the others.
const TASKS: usize = 2;
/// Rows of the depthwise map that a task computes at least, where threads have several tasks. Tasks that are neighbours both compute the
/// rows that both read. Of a single image, 28 and 14 rows on two threads are 7 to 16 % faster so than pass by pass.
const ROWS_OF_SEVERAL: usize = 14;
/// The same where each thread has one task.
const ROWS_OF_ONE: usize = 7;

/// How a chain of convolutions is cut into bands; prepared for three [`Forward`] passes.
///
/// The values have the same bits as those of the passes one after the other, whatever the bands.
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

impl<'a> Link<'a> {
    /// The loop of its pass.
    ///
    /// # Panics
    /// If that is none for a chain, or the packed weights are not its.
    fn rows_loop(&self) -> &'a dyn RowsLoop {
        assert_eq!(
            self.packed.len(),
            self.forward.packed_len(),
            "packed weights"
        );
        let pass = self.forward.by_rows();
        pass.unwrap_or_else(|| panic!("no pass of a chain: {self:?}"))
    }

    /// What happens to its sums, which go to `target`: the whole output, or memory for some rows of it.
    fn finish(&self, target: &[f32]) -> Finish<'a> {
        assert!(self.epilogue.sums.is_none(), "rows of a map are not summed");
        Finish::forward(&self.epilogue, target, self.forward.geometry().output[2])
    }
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
        let is_direct =
            |pass: &Forward| matches!(pass.algorithm(), Algorithm::Direct | Algorithm::Indirect);
        let is_depthwise = depthwise.algorithm() == Algorithm::Depthwise;
        if !is_direct(first) || !is_depthwise || !is_direct(last) {
            return None;
        }
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
        let [input, output] = [self.depthwise().input, self.depthwise().output];
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
        let geometries = links.map(|link| *link.forward.geometry());
        assert_eq!(geometries, self.geometries, "made for another chain");
        links.iter().for_each(|link| link.forward.check_cpu(cpu));
        let [wide, middle, narrow] = links;
        let [first, depthwise, last] = links.map(|link| link.rows_loop());
        assert!(wide.epilogue.add.is_none() && middle.epilogue.add.is_none());
        assert_eq!(input.len(), geometries[0].input_len(), "input");
        assert_eq!(output.len(), geometries[2].output_len(), "output");
        let [source_len, target_len] = self.lengths();
        let slot_len = source_len + target_len;
        let threads = self.threads.min(scratch.len() / slot_len);
        assert!(threads > 0, "scratch");
        let last_finish = narrow.finish(output);
        let (scratch, output) = (DisjointMut::new(scratch), DisjointMut::new(output));
        cpu.parallel_in_slots(threads, self.tasks(), |slot, task| {
            // SAFETY: slots do not overlap, and one task at a time has one.
            let bands = unsafe { scratch.slice(slot * slot_len..(slot + 1) * slot_len) };
            let (source, target) = bands.split_at_mut(source_len);
            let (first_finish, middle_finish) = (wide.finish(source), middle.finish(target));
            for band in self.bands(task) {
                band.keep(source, self.depthwise());
                let source = PartOfMap {
                    start: source.as_mut_ptr(),
                    skipped: row_start(band.source.start, geometries[1].input),
                };
                let target = PartOfMap {
                    start: target.as_mut_ptr(),
                    skipped: row_start(band.target.start, geometries[1].output),
                };
                let operands = [
                    RowsOperands {
                        source: PartOfMap::whole(input.as_ptr()),
                        packed: wide.packed,
                        finish: first_finish,
                        target: source,
                        rows: band.new.clone(),
                        ahead: None,
                    },
                    RowsOperands {
                        source: source.as_const(),
                        packed: middle.packed,
                        finish: middle_finish,
                        target,
                        rows: band.target.clone(),
                        ahead: None,
                    },
                    RowsOperands {
                        source: target.as_const(),
                        packed: narrow.packed,
                        finish: last_finish,
                        target: PartOfMap::whole(output.as_mut_ptr()),
                        rows: band.target.clone(),
                        ahead: None,
                    },
                ];
                for (pass, operands) in [first, depthwise, last].into_iter().zip(operands) {
                    // SAFETY: the input and the output are whole maps, whose lengths were checked above; of the output only this task writes
                    // these rows. `Bands::lengths` says that the bands hold the rows of the two maps between, which only this task has, and
                    // which are written before they are read.
                    unsafe { pass.rows(cpu, operands) };
                }
            }
        });
    }

    /// The bands of a task, from top to bottom.
    fn bands(&self, task: usize) -> impl Iterator<Item = Band> {
        let [input, output] = [self.depthwise().input, self.depthwise().output];
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
        let geometry = self.depthwise();
        let (stride, padding) = (geometry.stride[0], geometry.padding[0]);
        let end = (rows.end * stride + overlap(geometry)).saturating_sub(padding);
        let end = end.min(geometry.input[0]);
        (rows.start * stride).saturating_sub(padding).min(end)..end
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
    if several == 1 || several * ROWS_OF_SEVERAL <= height {
        return Some(several);
    }
    let one = (1..).find(|parts| (batch * parts).is_multiple_of(threads))?;
    (one * ROWS_OF_ONE <= height).then_some(one)
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
