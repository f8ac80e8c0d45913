//! A chain of three convolutions, the middle one depthwise, computed by bands of rows: the wide maps between them never leave a core's cache.
//! An inverted residual is such a chain: 1×1, depthwise, 1×1.
use std::ops::Range;

use crate::Cpu;
use crate::conv::finish::Finish;
use crate::conv::loops::{RowsLoop, RowsOperands};
use crate::conv::{Algorithm, Epilogue, Forward, Geometry};
use crate::threads::DisjointMut;

/// Floats of the bands of both maps between the convolutions: about half of a core's L2.
const BAND_FLOATS: usize = 128 << 10;
/// Tasks for each thread, so that a thread that is interrupted leaves some to the others.
const TASKS_PER_THREAD: usize = 2;
/// Rows of the depthwise map that a task computes at least, where threads have several tasks. Neighbouring tasks both compute the rows that
/// both read. A single image of 28 or 14 rows on two threads is 7 to 16 % faster in bands than pass by pass.
const ROWS_OF_SEVERAL: usize = 14;
/// The same where each thread has one task.
const ROWS_OF_ONE: usize = 7;

/// How a chain of convolutions is cut into bands; prepared for three [`Forward`] passes.
///
/// The output has the same bits as that of the passes one after the other, whatever the bands.
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

/// One of the three convolutions, with its weights as [`MapPass::pack`](crate::conv::MapPass::pack) wrote them.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The pass that computes it.
    pub forward: &'a Forward,
    /// Its weights.
    pub packed: &'a [f32],
    /// What happens to its sums. Only the last convolution may add a map.
    pub epilogue: Epilogue<'a>,
}

impl<'a> Link<'a> {
    /// The loop of its pass.
    ///
    /// # Panics
    /// If that cannot be part of a chain, or the packed weights have another length than its own.
    fn rows_loop(&self) -> &'a dyn RowsLoop {
        assert_eq!(
            self.packed.len(),
            self.forward.packed_len(),
            "packed weights"
        );
        let pass = self.forward.by_rows();
        pass.unwrap_or_else(|| panic!("{} cannot be in a chain", self.forward.algorithm()))
    }

    /// The end of its sums, which are stored in `target`: the whole output, or memory for some rows of it.
    fn finish(&self, target: &[f32]) -> Finish<'a> {
        assert!(self.epilogue.sums.is_none(), "rows of a map are not summed");
        Finish::forward(&self.epilogue, target, self.forward.geometry().output[2])
    }
}

impl Bands {
    /// The bands of a chain. None if these passes cannot be chained, or if that is likely slower because all threads would have too few rows.
    ///
    /// A chain is any direct convolution, a depthwise one, and a direct 1×1 convolution with stride 1; none of them pools. Each reads the
    /// map that the one before it writes.
    pub fn new(cpu: &Cpu, passes: [&Forward; 3]) -> Option<Self> {
        let [height, ..] = passes[1].geometry().output;
        let parts = parts(cpu.threads(), passes[1].geometry().batch, height)?;
        Self::with_parts(cpu, passes, parts)
    }

    /// The bands of passes that can be chained, with each image cut into `parts` parts.
    fn with_parts(
        cpu: &Cpu,
        [first, depthwise, last]: [&Forward; 3],
        parts: usize,
    ) -> Option<Self> {
        let geometries = [first, depthwise, last].map(|pass| pass.geometry());
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
        let pools = [first, depthwise, last].map(|pass| pass.by_rows().is_none());
        if !is_direct(first) || !is_depthwise || !is_direct(last) || pools.contains(&true) {
            return None;
        }
        let [height, width, channels] = middle.output;
        let source_row_len = middle.input[1] * channels;
        // Each further row of the depthwise map needs `stride` further rows of the map before it.
        let row_len = middle.stride[0] * source_row_len + width * channels;
        let overlap_len = overlap(middle) * source_row_len;
        let most = BAND_FLOATS.saturating_sub(overlap_len) / row_len;
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

    /// Lengths of the bands of both maps.
    fn lengths(&self) -> BandLengths {
        let [input, output] = [self.depthwise().input, self.depthwise().output];
        let source_rows = self.rows * self.depthwise().stride[0] + overlap(self.depthwise());
        let length = |rows: usize, map: [usize; 3]| rows.min(map[0]) * map[1] * map[2];
        // Both begin on a cache line.
        BandLengths {
            source: length(source_rows, input).next_multiple_of(16),
            target: length(self.rows, output).next_multiple_of(16),
        }
    }

    /// Floats of scratch with which all threads can work. [`Bands::run`] needs the share of one thread at least.
    pub fn scratch_len(&self) -> usize {
        self.threads * self.lengths().total()
    }

    /// Computes the output of the last convolution. Every element of it is written.
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
        let lengths = self.lengths();
        let slot_len = lengths.total();
        let threads = self.threads.min(scratch.len() / slot_len);
        assert!(threads > 0, "scratch");
        let last_finish = narrow.finish(output);
        let (scratch, output) = (DisjointMut::new(scratch), DisjointMut::new(output));
        cpu.parallel_in_slots(threads, self.tasks(), |slot, task| {
            // SAFETY: slots do not overlap, and `parallel_in_slots` gives each to one task at a time.
            let bands = unsafe { scratch.slice(slot * slot_len..(slot + 1) * slot_len) };
            let (source, target) = bands.split_at_mut(lengths.source);
            let (first_finish, middle_finish) = (wide.finish(source), middle.finish(target));
            for band in self.bands(task) {
                band.keep(source, self.depthwise());
                let [source_before, target_before] = [
                    row_start(band.source.start, geometries[1].input),
                    row_start(band.target.start, geometries[1].output),
                ];
                let source = source.as_mut_ptr().wrapping_sub(source_before);
                let target = target.as_mut_ptr().wrapping_sub(target_before);
                let operands = [
                    RowsOperands {
                        source: input.as_ptr(),
                        packed: wide.packed,
                        finish: first_finish,
                        target: source,
                        rows: band.new.clone(),
                        ahead: None,
                    },
                    RowsOperands {
                        source: source.cast_const(),
                        packed: middle.packed,
                        finish: middle_finish,
                        target,
                        rows: band.target.clone(),
                        ahead: None,
                    },
                    RowsOperands {
                        source: target.cast_const(),
                        packed: narrow.packed,
                        finish: last_finish,
                        target: output.as_mut_ptr(),
                        rows: band.target.clone(),
                        ahead: None,
                    },
                ];
                for (pass, operands) in [first, depthwise, last].into_iter().zip(operands) {
                    // SAFETY: the geometries are those of a chain, checked above and by `with_parts`, and no pass pools, so each map has its
                    // rows. Input and output are whole maps, whose lengths were checked above; only this task writes these rows of the
                    // output. Bands of `lengths` hold the rows of the two maps between. Only this task has them, and each pass writes what
                    // the next one reads. `rows_loop` and `finish` checked the packed weights and the epilogues.
                    unsafe { pass.rows(cpu, operands) };
                }
            }
        });
    }

    /// The bands of a task, from top to bottom.
    fn bands(&self, task: usize) -> impl Iterator<Item = ChainBand> {
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
            ChainBand {
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

/// Floats of the bands of the two maps between the convolutions.
#[derive(Clone, Copy)]
struct BandLengths {
    source: usize,
    target: usize,
}

impl BandLengths {
    fn total(self) -> usize {
        self.source + self.target
    }
}

/// Some rows of the depthwise map, and the rows of its source that they read. All but `kept` are counted through all images.
struct ChainBand {
    /// Rows that the band before has computed and this one reads too, counted within the band before.
    kept: Range<usize>,
    /// Rows of the source that this band reads.
    source: Range<usize>,
    /// Rows of the source that have not been computed yet.
    new: Range<usize>,
    /// Rows of the depthwise map.
    target: Range<usize>,
}

impl ChainBand {
    /// Moves the kept rows to the front.
    fn keep(&self, source: &mut [f32], geometry: &Geometry) {
        let row_len = geometry.input[1] * geometry.input[2];
        source.copy_within(self.kept.start * row_len..self.kept.end * row_len, 0);
    }
}

/// How many parts to cut images of `height` rows into: so many that each thread has some tasks, or else that all threads have equally many.
/// None if the parts had too few rows.
fn parts(threads: usize, batch: usize, height: usize) -> Option<usize> {
    let several = (TASKS_PER_THREAD * threads).div_ceil(batch);
    if several == 1 || several * ROWS_OF_SEVERAL <= height {
        return Some(several);
    }
    let one = (1..).find(|parts| (batch * parts).is_multiple_of(threads))?;
    (one * ROWS_OF_ONE <= height).then_some(one)
}

/// Elements of a map before `row`.
fn row_start(row: usize, [_, width, channels]: [usize; 3]) -> usize {
    row * width * channels
}

/// Rows that two neighbouring bands both read.
fn overlap(geometry: &Geometry) -> usize {
    ((geometry.kernel[0] - 1) * geometry.dilation[0] + 1).saturating_sub(geometry.stride[0])
}

#[cfg(test)]
mod tests;
