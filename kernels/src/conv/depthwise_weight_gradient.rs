//! Weight gradient of a depthwise convolution: for each tap, products of two maps summed over the pixels.
use std::ops::Range;

use crate::Cpu;
use crate::simd::{Kernel, Simd};

use super::{Geometry, columns_of_tap};

/// Groups of rows at most, each with its own sums, which are added in order.
const ROW_GROUPS: usize = 16;
/// Numbers of the output gradient in a chunk of rows: both maps' chunks stay in L2.
const CHUNK: usize = 1 << 15;

/// Weight gradient of a depthwise convolution.
#[derive(Debug)]
pub(super) struct WeightGradient {
    geometry: Geometry,
    row_groups: usize,
    chunk_rows: usize,
}

impl WeightGradient {
    pub(super) fn new(geometry: Geometry) -> Self {
        let rows = geometry.batch * geometry.output[0];
        let row = geometry.output[1] * geometry.output[2];
        Self {
            geometry,
            row_groups: rows.clamp(1, ROW_GROUPS),
            chunk_rows: (CHUNK / row).max(1),
        }
    }

    /// Sums of one group: `[tap][channel]` and the bias as one more tap.
    fn sums(&self) -> usize {
        self.geometry.weights() + self.geometry.output[2]
    }

    pub(super) fn scratch_len(&self) -> usize {
        self.row_groups * self.sums()
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        weight_gradient: &mut [f32],
        bias_gradient: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let Geometry {
            batch,
            input: [height, width, channels],
            output: [out_height, out_width, _],
            ..
        } = self.geometry;
        let (inputs, outputs) = (
            batch * height * width * channels,
            batch * out_height * out_width * channels,
        );
        assert_eq!(input.len(), inputs, "input");
        assert_eq!(output_gradient.len(), outputs, "output gradient");
        let weights = self.geometry.weights();
        assert_eq!(weight_gradient.len(), weights, "weight gradient");
        let rows = batch * out_height;
        let partial = &mut scratch[..self.scratch_len()];
        cpu.parallel_chunks(partial, self.sums(), |group, sums| {
            cpu.dispatch(Task {
                whole: self,
                input,
                output_gradient,
                sums,
                rows: group * rows / self.row_groups..(group + 1) * rows / self.row_groups,
            });
        });
        let reduce = |start: usize, total: &mut [f32]| {
            total.copy_from_slice(&partial[start..start + total.len()]);
            for group in partial.chunks(self.sums()).skip(1) {
                for (total, part) in total.iter_mut().zip(&group[start..]) {
                    *total += part;
                }
            }
        };
        reduce(0, weight_gradient);
        if let Some(bias_gradient) = bias_gradient {
            assert_eq!(bias_gradient.len(), channels, "bias gradient");
            reduce(weights, bias_gradient);
        }
    }
}

/// All taps of some rows of the output.
struct Task<'a> {
    whole: &'a WeightGradient,
    input: &'a [f32],
    output_gradient: &'a [f32],
    sums: &'a mut [f32],
    rows: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.sums.fill(0.0);
        let channels = self.whole.geometry.output[2];
        let mut start = self.rows.start;
        while start < self.rows.end {
            let end = (start + self.whole.chunk_rows).min(self.rows.end);
            let mut channel = 0;
            while channel + 4 * S::LANES <= channels {
                self.slice::<S, 4>(simd, start..end, channel, S::LANES);
                channel += 4 * S::LANES;
            }
            while channel < channels {
                let lanes = (channels - channel).min(S::LANES);
                self.slice::<S, 1>(simd, start..end, channel, lanes);
                channel += lanes;
            }
            start = end;
        }
    }
}

impl Task<'_> {
    /// V vectors of channels; the only one has `lanes` lanes.
    #[inline(always)]
    fn slice<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        rows: Range<usize>,
        channel: usize,
        lanes: usize,
    ) {
        let [taps_y, taps_x] = self.whole.geometry.kernel;
        for y in 0..taps_y {
            for x in 0..taps_x {
                self.tap::<S, V>(simd, Some([y, x]), rows.clone(), channel, lanes);
            }
        }
        self.tap::<S, V>(simd, None, rows, channel, lanes);
    }

    /// Adds the products of one tap, or the output gradient alone (the bias gradient).
    #[inline(always)]
    fn tap<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        tap: Option<[usize; 2]>,
        rows: Range<usize>,
        channel: usize,
        lanes: usize,
    ) {
        let geometry = &self.whole.geometry;
        let [height, width, channels] = geometry.input;
        let [out_height, out_width, _] = geometry.output;
        let whole = lanes == S::LANES;
        let load = |from: *const f32| {
            // SAFETY: a vector, or `lanes` channels of a pixel.
            unsafe {
                if whole {
                    simd.load(from)
                } else {
                    simd.load_first(lanes, from)
                }
            }
        };
        let columns = tap.map_or(0..out_width, |[_, x]| columns_of_tap(geometry, x));
        let at = tap.map_or(geometry.weights(), |[y, x]| {
            (y * geometry.kernel[1] + x) * channels
        });
        let target = self.sums[at + channel..].as_mut_ptr();
        let mut sums = [simd.zero(); V];
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = load(target.wrapping_add(v * S::LANES));
        }
        for row in rows {
            let (image, y) = (row / out_height, row % out_height);
            let gradient = (row * out_width + columns.start) * channels + channel;
            let mut gradient = self.output_gradient.as_ptr().wrapping_add(gradient);
            let Some([tap_y, tap_x]) = tap else {
                for _ in columns.clone() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.add(*sum, load(gradient.wrapping_add(v * S::LANES)));
                    }
                    gradient = gradient.wrapping_add(channels);
                }
                continue;
            };
            let source_y = (y * geometry.stride[0] + tap_y * geometry.dilation[0])
                .wrapping_sub(geometry.padding[0]);
            if source_y >= height || columns.is_empty() {
                continue;
            }
            let source_x = columns.start * geometry.stride[1] + tap_x * geometry.dilation[1]
                - geometry.padding[1];
            let source = ((image * height + source_y) * width + source_x) * channels + channel;
            let mut source = self.input.as_ptr().wrapping_add(source);
            for _ in columns.clone() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    let x = load(source.wrapping_add(v * S::LANES));
                    let gradient = load(gradient.wrapping_add(v * S::LANES));
                    *sum = simd.mul_add(x, gradient, *sum);
                }
                source = source.wrapping_add(geometry.stride[1] * channels);
                gradient = gradient.wrapping_add(channels);
            }
        }
        for (v, sum) in sums.iter().enumerate() {
            let to = target.wrapping_add(v * S::LANES);
            // SAFETY: V vectors, or `lanes` sums, follow `channel` in a tap's sums.
            unsafe {
                if whole {
                    simd.store(*sum, to);
                } else {
                    simd.store_first(lanes, *sum, to);
                }
            }
        }
    }
}
