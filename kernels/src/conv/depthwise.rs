//! Depthwise convolution: one filter for each channel, vectors along the channels.
use std::ops::Range;

use crate::Cpu;
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::axis::{Axis, Class, Pixel, Walk};
use super::finish::Finish;
use super::prefetch::{prefetch, prefetch_write};
use super::{Epilogue, Geometry, GradientEpilogue};

/// Taps of a kernel at most: the table of pointers of a tile lies on the stack.
const MOST_TAPS: usize = 64;
/// Pixels of a tile.
const TILE: usize = 4;
/// Pixels between what is computed and what is prefetched.
const AHEAD: usize = 16;
/// Numbers of the target that a task writes about.
const TASK: usize = 1 << 16;

/// Whether the channels of `geometry` do not see each other and the kernel is of a common size.
pub(super) fn supports(geometry: &Geometry) -> bool {
    geometry.groups == geometry.input[2]
        && geometry.groups == geometry.output[2]
        && geometry.kernel[0] * geometry.kernel[1] <= MOST_TAPS
}

/// Forward pass of a depthwise convolution.
#[derive(Debug)]
pub(super) struct Forward(Gather);

impl Forward {
    pub(super) fn new(geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::forward(
                [geometry.input[i], geometry.output[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        Self(Gather::new([axis(0), axis(1)], &geometry))
    }

    pub(super) fn packed_len(&self) -> usize {
        self.0.weights()
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: &[f32],
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
    ) {
        let finish = Finish::forward(epilogue, output.len(), self.0.channels);
        self.0.run(cpu, input, packed, &finish, output);
    }
}

/// Input gradient of a depthwise convolution.
#[derive(Debug)]
pub(super) struct InputGradient(Gather);

impl InputGradient {
    pub(super) fn new(geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::backward(
                [geometry.output[i], geometry.input[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        Self(Gather::new([axis(0), axis(1)], &geometry))
    }

    pub(super) fn packed_len(&self) -> usize {
        self.0.weights()
    }

    /// Puts the taps in the order in which they are read.
    pub(super) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), packed.len(), "packed weights");
        let Gather {
            rows,
            columns,
            channels,
            ..
        } = &self.0;
        let width = columns.order.len();
        let taps = rows
            .order
            .iter()
            .flat_map(|y| columns.order.iter().map(move |x| y * width + x));
        for (to, tap) in packed.chunks_mut(*channels).zip(taps) {
            to.copy_from_slice(&weights[tap * channels..(tap + 1) * channels]);
        }
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let finish = Finish::gradient(epilogue, input_gradient.len());
        self.0
            .run(cpu, output_gradient, packed, &finish, input_gradient);
    }
}

/// The loop that both share: target pixels gather source pixels.
#[derive(Debug)]
struct Gather {
    images: usize,
    rows: Axis,
    columns: Axis,
    channels: usize,
}

impl Gather {
    fn new([rows, columns]: [Axis; 2], geometry: &Geometry) -> Self {
        Self {
            images: geometry.batch,
            rows,
            columns,
            channels: geometry.groups,
        }
    }

    fn weights(&self) -> usize {
        self.rows.order.len() * self.columns.order.len() * self.channels
    }

    fn run(&self, cpu: &Cpu, source: &[f32], weights: &[f32], finish: &Finish, target: &mut [f32]) {
        let all_rows = self.images * self.rows.target;
        let row = self.columns.target * self.channels;
        let sources = self.images * self.rows.source * self.columns.source;
        assert_eq!(source.len(), sources * self.channels, "source");
        assert_eq!(weights.len(), self.weights(), "packed weights");
        assert_eq!(target.len(), all_rows * row, "target");
        let target = DisjointMut::new(target);
        let rows = (TASK / row).max(1);
        cpu.parallel(all_rows.div_ceil(rows), |task| {
            cpu.dispatch(Task {
                gather: self,
                source,
                weights,
                finish,
                target: target.as_mut_ptr(),
                rows: task * rows..((task + 1) * rows).min(all_rows),
            });
        });
    }
}

struct Task<'a> {
    gather: &'a Gather,
    source: &'a [f32],
    weights: &'a [f32],
    finish: &'a Finish<'a>,
    target: *mut f32,
    rows: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gather { rows, columns, .. } = self.gather;
        let mut taps = Taps {
            weights: [0; MOST_TAPS],
            source: [0; MOST_TAPS],
            count: 0,
        };
        for row in &rows.classes {
            let before = |end| row.before(end, rows.target, rows.steps.target);
            let skip = before(self.rows.start);
            let class_rows = before(self.rows.end) - skip;
            for column in &columns.classes {
                self.find_taps([row, column], &mut taps);
                let walk = Walk::new([rows, columns], [row, column], skip);
                self.class(simd, &taps, walk, class_rows * column.count);
            }
        }
    }
}

/// The taps of a class of pixels.
struct Taps {
    /// Start in the weights.
    weights: [usize; MOST_TAPS],
    /// Start in the source, from that of the first tap on.
    source: [usize; MOST_TAPS],
    count: usize,
}

impl Task<'_> {
    fn find_taps(&self, [row, column]: [&Class; 2], taps: &mut Taps) {
        let Gather {
            rows,
            columns,
            channels,
            ..
        } = self.gather;
        taps.count = 0;
        for (y, tap_y) in row.taps.clone().enumerate() {
            for (x, tap_x) in column.taps.clone().enumerate() {
                let source = y * rows.tap_step * columns.source + x * columns.tap_step;
                taps.source[taps.count] = source * channels;
                taps.weights[taps.count] = (tap_y * columns.order.len() + tap_x) * channels;
                taps.count += 1;
            }
        }
    }

    /// The next `left` pixels of a walk.
    #[inline(always)]
    fn class<S: Simd>(&self, simd: S, taps: &Taps, mut walk: Walk, mut left: usize) {
        let channels = self.gather.channels;
        let target_step = self.gather.columns.steps.target;
        while left > 0 {
            let count = left.min(TILE);
            let mut pixels = [walk.step(); TILE];
            for pixel in &mut pixels[1..count] {
                *pixel = walk.step();
            }
            // What follows the lowest row of taps is read by the tiles that come soon, in the next row of pixels at the latest.
            if let Some(last) = taps.count.checked_sub(1) {
                let ahead = (pixels[TILE - 1].source + AHEAD) * channels + taps.source[last];
                prefetch(self.source.as_ptr().wrapping_add(ahead), TILE * channels);
            }
            let ahead = (pixels[0].target + AHEAD * target_step) * channels;
            prefetch_write(self.target.wrapping_add(ahead), TILE * channels);
            let mut channel = 0;
            while channel + 2 * S::LANES <= channels {
                self.tile::<S, 2>(simd, taps, &pixels, count, channel, S::LANES);
                channel += 2 * S::LANES;
            }
            while channel < channels {
                let lanes = (channels - channel).min(S::LANES);
                self.tile::<S, 1>(simd, taps, &pixels, count, channel, lanes);
                channel += lanes;
            }
            left -= count;
        }
    }

    /// V vectors of channels of a tile; the only vector has `lanes` lanes.
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(
        &self,
        simd: S,
        taps: &Taps,
        pixels: &[Pixel; TILE],
        count: usize,
        channel: usize,
        lanes: usize,
    ) {
        let whole = lanes == S::LANES;
        let channels = self.gather.channels;
        let source = self.source.as_ptr();
        let pointers = pixels.map(|pixel| source.wrapping_add(pixel.source * channels + channel));
        let mut sums = [[simd.zero(); V]; TILE];
        // SAFETY: V vectors (or `lanes` channels) follow `channel` in each pixel and in each tap's weights; only
        // this task writes these pixels.
        unsafe {
            let load = |from: *const f32| {
                if whole {
                    simd.load(from)
                } else {
                    simd.load_first(lanes, from)
                }
            };
            for tap in 0..taps.count {
                for v in 0..V {
                    let vector = v * S::LANES;
                    let weights = self.weights.as_ptr().add(taps.weights[tap] + channel);
                    let weight = load(weights.add(vector));
                    for (sums, pointer) in sums.iter_mut().zip(&pointers) {
                        let value = load(pointer.add(taps.source[tap] + vector));
                        sums[v] = simd.mul_add(value, weight, sums[v]);
                    }
                }
            }
            // A copy, which may lie in memory, so that the sums above stay in registers.
            let mut done = [[simd.zero(); V]; TILE];
            for p in 0..TILE {
                for v in 0..V {
                    done[p][v] = sums[p][v];
                }
            }
            for (sums, pixel) in done.iter().zip(&pixels[..count]) {
                for (v, sum) in sums.iter().enumerate() {
                    let channel = channel + v * S::LANES;
                    let at = pixel.target * channels + channel;
                    self.finish
                        .store(simd, *sum, self.target, at, channel, lanes);
                }
            }
        }
    }
}
