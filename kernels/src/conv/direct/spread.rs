//! The loop of forward pass and input gradient for few target channels. A source pixel is multiplied by all taps of a kernel's row at once:
//! its products, its *parts*, belong to neighbouring target pixels, so that one vector holds several taps. Each target pixel then adds up
//! its parts.
use std::ops::Range;

use crate::Cpu;
use crate::conv::classes::Classes;
use crate::conv::finish::{Finish, VectorPlace};
use crate::conv::loops::{Fused, MapLoop, MapOperands, MapTarget};
use crate::map::{BUFFER_FLOATS, Source, TaskBuffer, TwoRows};
use crate::simd::{Kernel, Simd};

use super::gather::tiles::{Ahead, TermLayout, products};
use crate::conv::correlation::{Channels, Correlation, Piece};

/// Vectors of a source pixel's parts at most.
const MOST_VECTORS: usize = 3;
/// Floats of the parts of a strip of pixels: a third of L1.
const PARTS_LEN: usize = 3 << 10;
/// Pixels behind each strip whose parts are computed but not used, so that tiles need not be cut.
const SPARE: usize = 12;
/// Pixels whose parts are added at the same time.
const ADDED: usize = 4;
/// Tasks that keep a few threads equally busy.
const TASKS: usize = 32;

/// A loop in which source pixels spread over target pixels.
#[derive(Debug)]
pub(in crate::conv) struct Spread {
    correlation: Correlation,
    images: usize,
    /// What each target row reads.
    rows: Vec<RowReads>,
    row_axis: Classes,
    columns: Classes,
    /// The column that a target column's last tap reads, less the target column.
    reach: isize,
    /// Source channels: terms of a tap.
    terms: usize,
    /// Target channels.
    channels: usize,
    lanes: usize,
    vectors: usize,
    /// Rows of a task.
    rows_of_task: usize,
}

/// What a row of the target reads.
#[derive(Clone, Debug)]
struct RowReads {
    /// Positions of its taps in the order of the packed weights.
    taps: Range<usize>,
    /// The source row that the first of them reads.
    source: usize,
}

impl Spread {
    /// Whether the parts of a source pixel fit into few vectors and belong to neighbouring pixels.
    pub(in crate::conv) fn supports(cpu: &Cpu, correlation: &Correlation) -> bool {
        let (geometry, lanes) = (correlation.geometry(), cpu.lanes());
        let (taps, channels) = (geometry.kernel[1], correlation.channels().target);
        let vectors = (taps * channels).div_ceil(lanes);
        let fits = channels <= lanes
            && vectors <= MOST_VECTORS
            && (taps + SPARE + lanes.max(2)) * vectors * lanes <= PARTS_LEN;
        let is_dense = geometry.stride[1] == 1 && geometry.dilation[1] == 1 && geometry.groups == 1;
        let reads_something = (0..taps).any(|tap| !geometry.outputs_of_tap(1, tap).is_empty());
        is_dense && fits && reads_something
    }

    /// The loop, where it is [supported](Spread::supports). None where what is to be fused does not fit into the caches.
    pub(in crate::conv) fn new(cpu: &Cpu, correlation: Correlation, fused: Fused) -> Option<Self> {
        let (geometry, lanes) = (correlation.geometry(), cpu.lanes());
        let [rows, columns] = correlation.axes();
        let Channels { source, target } = correlation.channels();
        let taps = geometry.kernel[1];
        let first = columns.list.iter().find(|class| !class.taps.is_empty());
        let first = first.expect("a column that reads something");
        let reach = (first.source + taps - 1) as isize - (first.target + first.taps.start) as isize;
        let nothing = RowReads {
            taps: 0..0,
            source: 0,
        };
        let mut table = vec![nothing; rows.target];
        for class in &rows.list {
            for i in 0..class.count {
                table[class.target + i * rows.steps.target] = RowReads {
                    taps: class.taps.clone(),
                    source: class.source + i * rows.steps.source,
                };
            }
        }
        let rows_of_task = (geometry.batch * rows.target).div_ceil(TASKS).max(1);
        let spread = Self {
            correlation,
            images: geometry.batch,
            rows: table,
            row_axis: rows,
            columns,
            reach,
            terms: source,
            channels: target,
            lanes,
            vectors: (taps * target).div_ceil(lanes),
            rows_of_task,
        };
        match (fused.pooled, correlation.is_forward()) {
            (false, _) => Some(spread),
            (true, true) => Some(Self {
                rows_of_task: rows_of_task.next_multiple_of(2),
                ..spread
            }),
            (true, false) => spread.expanding(),
        }
    }

    /// The loop prepared to read a pooled gradient. None if the expanded rows that a task reads do not fit into L2.
    fn expanding(mut self) -> Option<Self> {
        let all_rows = self.all_rows();
        let row_len = self.columns.source * self.terms;
        while self.row_axis.most_reads(all_rows, self.rows_of_task) * row_len > BUFFER_FLOATS {
            if self.rows_of_task == 1 {
                return None;
            }
            self.rows_of_task = self.rows_of_task.div_ceil(2);
        }
        Some(self)
    }

    /// Rows of the target of all images.
    fn all_rows(&self) -> usize {
        self.images * self.row_axis.target
    }

    fn taps(&self) -> usize {
        self.columns.order.len()
    }
}

impl MapLoop for Spread {
    fn packed_len(&self) -> usize {
        self.row_axis.order.len() * self.terms * self.vectors * self.lanes
    }

    /// Packs the weights as `[row][term][column · channels]`, with the columns in reverse order.
    fn pack(&self, _: &Cpu, weights: &[f32], packed: &mut [f32]) {
        packed.fill(0.0);
        let width = self.vectors * self.lanes;
        let rows = packed.chunks_mut(self.terms * width);
        for (row, row_tap) in rows.zip(&self.row_axis.order) {
            for (i, column_tap) in self.columns.order.iter().rev().enumerate() {
                let piece = Piece {
                    group: 0,
                    tap: row_tap * self.taps() + column_tap,
                    terms: 0..self.terms,
                    channels: 0..self.channels,
                    width,
                };
                let to = &mut row[i * self.channels..];
                self.correlation.copy_piece(weights, piece, to);
            }
        }
    }

    /// A row of the target is finished as one pixel.
    fn finished_pixel(&self) -> usize {
        self.columns.target * self.channels
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source,
            packed,
            finish,
            target,
            ..
        } = operands;
        let (all_rows, rows) = (self.all_rows(), self.rows_of_task);
        cpu.parallel(all_rows.div_ceil(rows), |task| {
            cpu.dispatch(SpreadTask {
                spread: self,
                source,
                packed,
                finish: &finish,
                output: target,
                rows: task * rows..((task + 1) * rows).min(all_rows),
            });
        });
    }
}

/// Some rows of the target.
struct SpreadTask<'a> {
    spread: &'a Spread,
    source: Source<'a>,
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    output: MapTarget<'a>,
    rows: Range<usize>,
}

impl Kernel for SpreadTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.spread.vectors {
            1 => self.all_rows::<S, 1>(simd),
            2 => self.all_rows::<S, 2>(simd),
            _ => self.all_rows::<S, 3>(simd),
        }
    }
}

impl SpreadTask<'_> {
    #[inline(always)]
    fn all_rows<S: Simd, const V: usize>(&self, simd: S) {
        let Spread {
            columns,
            row_axis,
            channels,
            ..
        } = self.spread;
        let (mut parts, mut sums) = ([0.0; PARTS_LEN], [[0.0; PARTS_LEN]; 2]);
        let mut buffer = TaskBuffer::new();
        let reads = match self.source.winners {
            Some(_) => row_axis.reads(self.rows.clone()),
            None => 0..0,
        };
        // SAFETY: rows of the target read rows of the source, whose length `pass.rs` checked.
        let source = unsafe {
            let (width, terms) = (columns.source, self.spread.terms);
            self.source.rows(simd, &mut buffer, width, terms, reads)
        };
        // Whole vectors of pixels, so that each strip begins with a vector of the row; and whole windows.
        let most = PARTS_LEN / (V * S::LANES) - self.spread.taps() - SPARE;
        let unit = S::LANES.max(2);
        let strip = most / unit * unit;
        let windows = match self.output {
            MapTarget::Map(_) => 1,
            MapTarget::Pooled(_) => 2,
        };
        for row in self.rows.clone().step_by(windows) {
            for start in (0..columns.target).step_by(strip) {
                let strip = start..(start + strip).min(columns.target);
                for (i, sums) in sums[..windows].iter_mut().enumerate() {
                    self.strip::<S, V>(simd, source, row + i, strip.clone(), &mut parts);
                    self.add::<S, V>(simd, row + i, strip.clone(), &parts, sums);
                }
                if let MapTarget::Pooled(target) = self.output {
                    let first = row / 2 * (columns.target / 2) + strip.start / 2;
                    let rows = TwoRows {
                        starts: [sums[0].as_ptr(), sums[1].as_ptr()],
                        pixel: *channels,
                        windows: strip.len() / 2,
                        channels: *channels,
                        all: *channels,
                    };
                    // SAFETY: `add` has written the strip's sums. `pass.rs` checked the length of the pooled target, and only this task has
                    // its rows.
                    unsafe { target.store_rows(simd, rows, first * channels) };
                }
            }
        }
    }

    /// Computes the parts that belong to some pixels of a row of the target.
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(
        &self,
        simd: S,
        source_start: *const f32,
        row: usize,
        strip: Range<usize>,
        parts: &mut [f32; PARTS_LEN],
    ) {
        let Spread {
            row_axis,
            columns,
            terms,
            ..
        } = self.spread;
        let (taps, width) = (self.spread.taps(), V * S::LANES);
        let (image, y) = (row / row_axis.target, row % row_axis.target);
        let RowReads {
            taps: row_taps,
            source: source_y,
        } = &self.spread.rows[y];
        // The source pixels that the strip reads. Some may lie outside the source.
        let first = strip.start as isize + self.spread.reach - (taps - 1) as isize;
        let all = strip.len() + taps - 1;
        let inside =
            |at: isize| (at.clamp(0, columns.source as isize) - first).clamp(0, all as isize);
        let (start, end) = (
            inside(first) as usize,
            inside(first + all as isize) as usize,
        );
        parts[..start * width].fill(0.0);
        let terms_of_tap = TermLayout {
            rows: row_taps.len(),
            row_step: row_axis.tap_step * columns.source * terms,
            row_weights: *terms,
            runs: 1,
            run_step: 0,
            terms: *terms,
        };
        let source = (image * row_axis.source + source_y) * columns.source;
        let source = source.wrapping_add_signed(first + start as isize) * terms;
        let mut tile = SpreadTile {
            source: source_start.wrapping_add(source),
            weights: self.packed[row_taps.start * terms * width..].as_ptr(),
            terms: terms_of_tap,
            parts: parts[start * width..].as_mut_ptr(),
        };
        let mut left = end - start;
        let size = left.div_ceil(left.div_ceil(12).max(1));
        while left > 0 {
            left -= match size.min(left) {
                1..=2 => tile.next::<S, 2, V>(simd, left),
                3..=4 => tile.next::<S, 4, V>(simd, left),
                5..=6 => tile.next::<S, 6, V>(simd, left),
                7..=8 => tile.next::<S, 8, V>(simd, left),
                9..=10 => tile.next::<S, 10, V>(simd, left),
                _ => tile.next::<S, 12, V>(simd, left),
            }
        }
        parts[end * width..all * width].fill(0.0);
    }

    /// Adds the parts of each pixel of the strip and finishes it.
    #[inline(always)]
    fn add<S: Simd, const V: usize>(
        &self,
        simd: S,
        row: usize,
        strip: Range<usize>,
        parts: &[f32; PARTS_LEN],
        sums: &mut [f32; PARTS_LEN],
    ) {
        let (taps, channels) = (self.spread.taps(), self.spread.channels);
        let width = V * S::LANES;
        let start = parts.as_ptr();
        for x in (0..strip.len()).step_by(ADDED) {
            let mut added = [simd.zero(); ADDED];
            // SAFETY: `parts` holds those of the strip's pixels and of `taps - 1` pixels behind them. `all_rows` made strips so short that
            // `SPARE` pixels fit behind, in `parts` and in `sums`: vectors and pixels beyond the strip lie there.
            unsafe {
                for tap in 0..taps {
                    let part = start.add((x + taps - 1 - tap) * width + tap * channels);
                    for (i, sum) in added.iter_mut().enumerate() {
                        *sum = simd.add(*sum, simd.load(part.add(i * width)));
                    }
                }
                for (i, sum) in added.into_iter().enumerate() {
                    simd.store(sum, sums.as_mut_ptr().add((x + i) * channels));
                }
            }
        }
        let first = strip.start * channels;
        let target = row * self.spread.columns.target * channels + first;
        let strip_len = strip.len() * channels;
        for i in (0..strip_len).step_by(S::LANES) {
            let lanes = (strip_len - i).min(S::LANES);
            // SAFETY: a vector fits behind the strip's sums in `sums`. `pass.rs` checked the length of the target, or the strip is pooled
            // from `sums`; only this task has its rows.
            unsafe {
                let sum = simd.load(sums.as_ptr().add(i));
                let (to, at) = match self.output {
                    MapTarget::Map(map) => (map.as_mut_ptr(), target + i),
                    MapTarget::Pooled(_) => (sums.as_mut_ptr(), i),
                };
                let place = VectorPlace {
                    at,
                    channel: first + i,
                    lanes,
                };
                self.finish.store(simd, sum, to, place);
            }
        }
    }
}

/// The next source pixels of a strip.
struct SpreadTile {
    source: *const f32,
    weights: *const f32,
    terms: TermLayout,
    parts: *mut f32,
}

impl SpreadTile {
    /// Computes the parts of the next P pixels (or those that are left) and returns how many they were.
    #[inline(always)]
    fn next<S: Simd, const P: usize, const V: usize>(&mut self, simd: S, left: usize) -> usize {
        let count = left.min(P);
        let mut pointers = [self.source; P];
        for (p, pointer) in pointers[..count].iter_mut().enumerate() {
            *pointer = self.source.wrapping_add(p * self.terms.terms);
        }
        let TermLayout {
            rows,
            row_step,
            terms,
            ..
        } = self.terms;
        let last_row = rows.saturating_sub(1) * row_step;
        let ahead = Ahead {
            start: self.source.wrapping_add(last_row + P * terms),
            step: P.div_ceil(rows.max(1)),
            weights: false,
        };
        // SAFETY: `strip` begins with a pixel inside the source and counts those inside, `left`; the rows of taps that `RowReads` names are
        // inside too. `weights` begins with the first of these rows. P pixels fit into `parts`, whose strip leaves `SPARE` behind.
        unsafe {
            let sums: [[S::Vector; V]; P] =
                products(simd, pointers, self.weights, &self.terms, ahead);
            for (p, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    simd.store(sum, self.parts.add((p * V + v) * S::LANES));
                }
            }
        }
        self.parts = self.parts.wrapping_add(count * V * S::LANES);
        self.source = self.source.wrapping_add(count * self.terms.terms);
        count
    }
}
