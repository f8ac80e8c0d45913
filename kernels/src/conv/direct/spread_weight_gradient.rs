//! Weight gradient for few output channels. The pixels of an output row that an input pixel contributes to are neighbours, so that one vector
//! of the output gradient holds several taps of the kernel.
use std::ops::Range;

use crate::Cpu;
use crate::conv::Geometry;
use crate::conv::loops::{WeightLoop, WeightOperands};
use crate::conv::parts::{SumsLen, sum_parts};
use crate::map::Source;
use crate::simd::{Kernel, Simd};

/// Vectors of a kernel's row at most.
const MOST_VECTORS: usize = 3;
/// Rows of sums in a tile at most.
const MOST_LINES: usize = 8;
/// Groups of rows, each with its own sums.
const ROW_GROUPS: usize = 16;

/// Weight gradient of a direct convolution with few filters.
#[derive(Debug)]
pub(in crate::conv) struct SpreadWeightGradient {
    geometry: Geometry,
    lanes: usize,
    vectors: usize,
    row_groups: usize,
    borders: Borders,
}

/// Zeros beside a copied row of the output gradient, in pixels.
#[derive(Clone, Copy, Debug)]
struct Borders {
    left: usize,
    right: usize,
}

impl SpreadWeightGradient {
    /// Whether a row of the kernel fits into few vectors and reads neighbouring pixels.
    pub(in crate::conv) fn supports(cpu: &Cpu, geometry: &Geometry) -> bool {
        let (taps, filters) = (geometry.kernel[1], geometry.output[2]);
        let vectors = (taps * filters).div_ceil(cpu.lanes());
        let is_dense = geometry.stride[1] == 1 && geometry.dilation[1] == 1 && geometry.groups == 1;
        is_dense && filters <= cpu.lanes() && vectors <= MOST_VECTORS
    }

    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let [_, width, filters] = geometry.output;
        let (taps, padding, lanes) = (geometry.kernel[1], geometry.padding[1], cpu.lanes());
        Self {
            geometry,
            lanes,
            vectors: (taps * filters).div_ceil(lanes),
            row_groups: ROW_GROUPS.min(geometry.batch * geometry.output[0]),
            borders: Borders {
                left: (taps - 1).saturating_sub(padding),
                right: (geometry.input[1] + padding).saturating_sub(width),
            },
        }
    }

    /// Rows of sums: the kernel's rows times the input channels, rounded up to whole tiles.
    fn lines(&self) -> usize {
        (self.geometry.kernel[0] * self.geometry.input[2]).next_multiple_of(MOST_LINES)
    }

    /// Floats of the sums of a group: `[line][tap from the last to the first][filter]` for the weights, a vector for each filter for the
    /// bias.
    fn sums_len(&self) -> SumsLen {
        SumsLen {
            weights: self.lines() * self.vectors * self.lanes,
            bias: self.geometry.output[2] * self.lanes,
        }
    }

    /// Floats of a copied row of the output gradient.
    fn row_len(&self) -> usize {
        let Borders { left, right } = self.borders;
        (left + self.geometry.output[1] + right) * self.geometry.output[2]
            + self.vectors * self.lanes
    }

    /// Floats of the zeros that stand for a row outside the input.
    fn zeros_len(&self) -> usize {
        self.geometry.input[1] * self.geometry.input[2]
    }
}

impl WeightLoop for SpreadWeightGradient {
    fn scratch_len(&self) -> usize {
        self.row_groups * (self.sums_len().total() + self.row_len()) + self.zeros_len()
    }

    fn run(&self, cpu: &Cpu, operands: WeightOperands) {
        let WeightOperands {
            input,
            output_gradient,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let geometry = &self.geometry;
        let [height, width, filters] = geometry.output;
        let rows = geometry.batch * height;
        let sums_len = self.sums_len();
        let group_len = sums_len.total() + self.row_len();
        let scratch = &mut scratch[..self.scratch_len()];
        scratch.fill(0.0);
        let (groups, zeros) = scratch.split_at_mut(self.row_groups * group_len);
        cpu.parallel_chunks(groups, group_len, |group, scratch| {
            let (weight_sums, rest) = scratch.split_at_mut(sums_len.weights);
            let (bias_sums, row) = rest.split_at_mut(sums_len.bias);
            let rows = group * rows / self.row_groups..(group + 1) * rows / self.row_groups;
            if output_gradient.winners.is_none() {
                let gradient = rows.start * width * filters..rows.end * width * filters;
                cpu.vectorised(|| add_periods(bias_sums, &output_gradient.values[gradient]));
            } else {
                // Each value of the pooled gradient belongs to one pixel.
                let gradient = rows.start / 2 * (width / 2) * filters;
                let end = rows.end / 2 * (width / 2) * filters;
                let gradient = &output_gradient.values[gradient..end];
                cpu.vectorised(|| add_periods(bias_sums, gradient));
            }
            cpu.dispatch(SpreadWeightTask {
                whole: self,
                input: input.plain(),
                output_gradient,
                zeros,
                weight_sums,
                row,
                rows,
            });
        });
        let (total, others) = groups.split_at_mut(group_len);
        let total = &mut total[..sums_len.total()];
        sum_parts(cpu, true, others, group_len, total);
        let (weight_sums, bias_sums) = total.split_at(sums_len.weights);
        let [taps, terms] = [geometry.kernel[1], geometry.input[2]];
        for (i, to) in weight_gradient.chunks_mut(filters).enumerate() {
            let (tap, term) = (i / terms, i % terms);
            let line = tap / taps * terms + term;
            let from = line * self.vectors * self.lanes + (taps - 1 - tap % taps) * filters;
            to.copy_from_slice(&weight_sums[from..from + filters]);
        }
        if let Some(bias_gradient) = bias_gradient {
            bias_gradient.fill(0.0);
            for sums in bias_sums.chunks(filters) {
                add_periods(bias_gradient, sums);
            }
        }
    }
}

/// Adds `values` to `sums`, in pieces of as many values as there are sums.
#[inline(always)]
fn add_periods(sums: &mut [f32], values: &[f32]) {
    for values in values.chunks(sums.len()) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

/// A group of rows.
struct SpreadWeightTask<'a> {
    whole: &'a SpreadWeightGradient,
    input: &'a [f32],
    output_gradient: Source<'a>,
    zeros: &'a [f32],
    weight_sums: &'a mut [f32],
    /// Buffer for a row of the output gradient between zeros.
    row: &'a mut [f32],
    rows: Range<usize>,
}

impl Kernel for SpreadWeightTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let geometry = &self.whole.geometry;
        let [height, width, filters] = geometry.output;
        let left = self.whole.borders.left;
        for row in self.rows.clone() {
            let row_len = width * filters;
            let to = &mut self.row[left * filters..][..row_len];
            match self.output_gradient.expansion(width, filters) {
                None => {
                    let from = &self.output_gradient.values[row * row_len..][..row_len];
                    to.copy_from_slice(from);
                }
                // SAFETY: the row is one of the task's, so the map has it, and `to` has as many floats as a row.
                Some(expansion) => unsafe {
                    expansion.write(simd, row..row + 1, 0..filters, to.as_mut_ptr(), filters);
                },
            }
            let (image, y) = (row / height, row % height);
            match self.whole.vectors {
                1 => self.lines::<S, 1>(simd, image, y),
                2 => self.lines::<S, 2>(simd, image, y),
                _ => self.lines::<S, 3>(simd, image, y),
            }
        }
    }
}

impl SpreadWeightTask<'_> {
    /// Adds a row of the output gradient to all lines.
    #[inline(always)]
    fn lines<S: Simd, const V: usize>(&mut self, simd: S, image: usize, y: usize) {
        let geometry = &self.whole.geometry;
        let lines = geometry.kernel[0] * geometry.input[2];
        let mut line = 0;
        while line < lines {
            let tiles = (lines - line).div_ceil(MOST_LINES);
            line += match (lines - line).div_ceil(tiles) {
                1..=3 => self.tile::<S, 3, V>(simd, image, y, line),
                4..=5 => self.tile::<S, 5, V>(simd, image, y, line),
                _ => self.tile::<S, MOST_LINES, V>(simd, image, y, line),
            };
        }
    }

    /// Adds to R lines from `line` on and returns R. Lines beyond the kernel read zeros.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        image: usize,
        y: usize,
        line: usize,
    ) -> usize {
        let geometry = &self.whole.geometry;
        let [height, width, terms] = geometry.input;
        let mut sources = [self.zeros.as_ptr(); R];
        for (r, source) in sources.iter_mut().enumerate() {
            let (tap, term) = ((line + r) / terms, (line + r) % terms);
            let at = (y * geometry.stride[0] + tap * geometry.dilation[0])
                .wrapping_sub(geometry.padding[0]);
            if tap < geometry.kernel[0] && at < height {
                *source = self.input[(image * height + at) * width * terms + term..].as_ptr();
            }
        }
        let filters = geometry.output[2];
        let first =
            (self.whole.borders.left + geometry.padding[1] + 1 - geometry.kernel[1]) * filters;
        let gradient = self.row[first..].as_ptr();
        let target = self.weight_sums[line * V * S::LANES..].as_mut_ptr();
        // SAFETY: each source is the beginning of a row of the input, but for the term, or of as many zeros. `row_len` made the copied row so
        // long that V vectors follow from the first output pixel of each input pixel on. `lines` made the sums those of whole tiles.
        unsafe {
            let mut sums = [[simd.zero(); V]; R];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.load(target.add((r * V + v) * S::LANES));
                }
            }
            for x in 0..width {
                let mut vectors = [simd.zero(); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = simd.load(gradient.add(x * filters + v * S::LANES));
                }
                for (sums, source) in sums.iter_mut().zip(&sources) {
                    let value = simd.splat(*source.add(x * terms));
                    for (sum, vector) in sums.iter_mut().zip(&vectors) {
                        *sum = simd.mul_add(value, *vector, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    simd.store(sum, target.add((r * V + v) * S::LANES));
                }
            }
        }
        R
    }
}
