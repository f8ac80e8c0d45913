//! Weight gradient of a depthwise convolution: for each tap and channel, the products of both maps summed over the pixels.
use std::ops::Range;

use crate::Cpu;
use crate::simd::{Kernel, Simd, load, store};
use crate::stream::prefetch_far;

use super::runs::{Read, Run, TILE, Taps, blocks, for_tiles, reads, runs};
use crate::conv::Geometry;
use crate::conv::classes::Classes;
use crate::conv::loops::{WeightLoop, WeightOperands};
use crate::conv::parts::sum_parts;
use crate::map::{Input, Normalised};

/// Groups of rows at most. Each has its own sums, which are added in order.
const ROW_GROUPS: usize = 16;

/// Weight gradient of a depthwise convolution.
#[derive(Debug)]
pub(in crate::conv) struct DepthwiseWeightGradient {
    geometry: Geometry,
    row_groups: usize,
    /// What each row of the output reads.
    rows: Vec<Vec<Read>>,
    runs: Vec<Run>,
}

impl DepthwiseWeightGradient {
    pub(in crate::conv) fn new(geometry: Geometry) -> Self {
        let [rows, columns] = [0, 1].map(|axis| Classes::forward(&geometry, axis));
        Self {
            geometry,
            row_groups: (geometry.batch * geometry.output[0]).clamp(1, ROW_GROUPS),
            rows: reads(&rows, false),
            runs: runs(&columns, false),
        }
    }

    /// Floats of a group's sums: `[tap][channel]` and the bias as one more tap.
    fn sums_len(&self) -> usize {
        self.geometry.weights_len() + self.geometry.output[2]
    }
}

impl WeightLoop for DepthwiseWeightGradient {
    fn scratch_len(&self) -> usize {
        self.row_groups * self.sums_len()
    }

    fn run(&self, cpu: &Cpu, operands: WeightOperands) {
        let WeightOperands {
            input,
            output_gradient,
            weight_gradient,
            bias_gradient,
            scratch,
        } = operands;
        let rows = self.geometry.batch * self.geometry.output[0];
        let partial = &mut scratch[..self.scratch_len()];
        cpu.parallel_chunks(partial, self.sums_len(), |group, sums| {
            cpu.dispatch(DepthwiseWeightTask {
                whole: self,
                input,
                output_gradient: output_gradient.unpooled(),
                sums,
                rows: group * rows / self.row_groups..(group + 1) * rows / self.row_groups,
            });
        });
        sum_parts(cpu, false, partial, self.sums_len(), weight_gradient);
        if let Some(bias_gradient) = bias_gradient {
            let parts = &partial[self.geometry.weights_len()..];
            sum_parts(cpu, false, parts, self.sums_len(), bias_gradient);
        }
    }
}

/// All taps of some rows of the output.
struct DepthwiseWeightTask<'a> {
    whole: &'a DepthwiseWeightGradient,
    input: Input<'a>,
    output_gradient: &'a [f32],
    sums: &'a mut [f32],
    rows: Range<usize>,
}

impl Kernel for DepthwiseWeightTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.sums.fill(0.0);
        let DepthwiseWeightGradient {
            geometry,
            rows,
            runs,
            ..
        } = self.whole;
        let [height, width, channels] = geometry.output;
        for block in blocks(channels) {
            for row in self.rows.clone() {
                let (image, reads) = (row / height, &rows[row % height]);
                for run in runs {
                    let taps = Taps::new(reads, geometry.kernel[1], geometry.input, image, run);
                    let start = (row * width + run.start) * channels;
                    self.run_of_pixels(simd, &taps, run.count, start, block.clone());
                }
            }
        }
    }
}

impl DepthwiseWeightTask<'_> {
    /// Adds the channels `block` of `count` pixels that have the same taps. The first begins at `start` in the output.
    #[inline(always)]
    fn run_of_pixels<S: Simd>(
        &mut self,
        simd: S,
        taps: &Taps,
        count: usize,
        start: usize,
        block: Range<usize>,
    ) {
        let geometry = &self.whole.geometry;
        let [_, width, channels] = geometry.input;
        let step = geometry.stride[1] * channels;
        for_tiles(
            count,
            #[inline(always)]
            |pixel, pixels| {
                let input = self.input.map.as_ptr().wrapping_add(pixel * step);
                let gradient = self.output_gradient[start + pixel * channels..].as_ptr();
                if block.len() == channels {
                    taps.prefetch(input, pixels * step, geometry.stride[0], width * channels);
                    let below = gradient.wrapping_add(geometry.output[1] * channels);
                    prefetch_far(below, pixels * channels);
                }
                let sums = &mut *self.sums;
                // SAFETY: the pixels are of a row of the output, and the taps of a run read inside the input for each of them.
                // `WeightGradient::run` checked the lengths of both maps and that the normalisation has all channels.
                unsafe {
                    let add = AddTile {
                        taps,
                        input,
                        normalised: self.input.normalised,
                        gradient,
                        step,
                        channels,
                        bias: geometry.weights_len(),
                    };
                    match pixels {
                        TILE => add.to::<S, TILE>(simd, sums, block.clone()),
                        4 => add.to::<S, 4>(simd, sums, block.clone()),
                        _ => add.to::<S, 1>(simd, sums, block.clone()),
                    }
                }
            },
        );
    }
}

/// Adds the products of a tile to the sums.
struct AddTile<'a> {
    taps: &'a Taps,
    /// What the first pixel's [`TapPlace::source`](super::runs::TapPlace) counts from.
    input: *const f32,
    /// Normalisation of the input, applied on load.
    normalised: Option<Normalised<'a>>,
    /// The output gradient of the first pixel.
    gradient: *const f32,
    /// Floats of the input from pixel to pixel.
    step: usize,
    channels: usize,
    /// Sums before those of the bias gradient.
    bias: usize,
}

impl AddTile<'_> {
    /// Adds the products of P pixels and the channels `block`.
    ///
    /// # Safety
    /// P pixels can be read from `gradient` on, and what their taps read from `input` on. The normalisation has all channels.
    #[inline(always)]
    unsafe fn to<S: Simd, const P: usize>(&self, simd: S, sums: &mut [f32], block: Range<usize>) {
        assert!(sums.len() >= self.bias + self.channels && block.end <= self.channels);
        let mut channel = block.start;
        // SAFETY: both maps have the pixels with all channels. The assertion says that each tap and the bias have sums for these channels.
        unsafe {
            while channel + S::LANES <= block.end {
                self.vector::<S, P>(simd, sums.as_mut_ptr(), channel, S::LANES);
                channel += S::LANES;
            }
            if channel < block.end {
                self.vector::<S, P>(simd, sums.as_mut_ptr(), channel, block.end - channel);
            }
        }
    }

    /// Adds the products of P pixels and `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// As [`AddTile::to`]; and each tap and the bias have sums for these channels.
    #[inline(always)]
    unsafe fn vector<S: Simd, const P: usize>(
        &self,
        simd: S,
        sums: *mut f32,
        channel: usize,
        lanes: usize,
    ) {
        // SAFETY: both maps and the sums of each tap and the bias have these channels, and so has the normalisation.
        unsafe {
            let mut gradients = [simd.zero(); P];
            let bias = sums.add(self.bias + channel);
            let mut total = load(simd, lanes, bias);
            for (p, gradient) in gradients.iter_mut().enumerate() {
                let from = self.gradient.add(p * self.channels + channel);
                *gradient = load(simd, lanes, from);
                total = simd.add(total, *gradient);
            }
            store(simd, lanes, total, bias);
            let sums = sums.add(channel);
            match self.normalised {
                None => self.taps::<S, P>(simd, gradients, sums, channel, lanes, |x| x),
                Some(by) => {
                    let by = by.of(simd, channel, lanes);
                    self.taps::<S, P>(
                        simd,
                        gradients,
                        sums,
                        channel,
                        lanes,
                        #[inline(always)]
                        |x| by.apply(simd, x),
                    );
                }
            }
        }
    }

    /// Adds, for each tap, the products of the gradients and of the values that `change` computes from those of the input.
    ///
    /// # Safety
    /// As [`AddTile::vector`]; `sums` begins with the channel.
    #[inline(always)]
    unsafe fn taps<S: Simd, const P: usize>(
        &self,
        simd: S,
        gradients: [S::Vector; P],
        sums: *mut f32,
        channel: usize,
        lanes: usize,
        change: impl Fn(S::Vector) -> S::Vector,
    ) {
        // SAFETY: the input has what the taps read with these channels, and the sums have them for each tap.
        unsafe {
            for tap in self.taps.places() {
                let input = self.input.add(tap.source + channel);
                let sum = sums.add(tap.weight);
                let mut total = load(simd, lanes, sum);
                for (p, gradient) in gradients.into_iter().enumerate() {
                    let x = change(load(simd, lanes, input.add(p * self.step)));
                    total = simd.mul_add(x, gradient, total);
                }
                store(simd, lanes, total, sum);
            }
        }
    }
}
