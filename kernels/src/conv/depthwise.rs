//! Depthwise convolution: one filter for each channel, vectors along the channels.
use std::ops::Range;

use crate::Cpu;
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::axis::{Axis, Walk};
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
const TASK: usize = 1 << 14;

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
        Self(Gather::new([axis(0), axis(1)], &geometry, geometry.input))
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
        let finish = Finish::forward(epilogue, output, self.0.source[2]);
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
        Self(Gather::new([axis(0), axis(1)], &geometry, geometry.output))
    }

    pub(super) fn packed_len(&self) -> usize {
        self.0.weights()
    }

    /// Turns the kernel by 180°.
    pub(super) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), packed.len(), "packed weights");
        let channels = self.0.source[2];
        let taps = packed.chunks_mut(channels);
        for (to, from) in taps.zip(weights.chunks(channels).rev()) {
            to.copy_from_slice(from);
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
        let finish = Finish::gradient(epilogue, input_gradient, self.0.source[2]);
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
    taps: [usize; 2],
    /// Height, width, channels.
    source: [usize; 3],
    /// What a tap outside the source reads.
    zeros: Vec<f32>,
}

impl Gather {
    fn new([rows, columns]: [Axis; 2], geometry: &Geometry, source: [usize; 3]) -> Self {
        Self {
            images: geometry.batch,
            rows,
            columns,
            taps: geometry.kernel,
            source,
            zeros: vec![0.0; source[2]],
        }
    }

    fn weights(&self) -> usize {
        self.taps[0] * self.taps[1] * self.source[2]
    }

    fn run(&self, cpu: &Cpu, source: &[f32], weights: &[f32], finish: &Finish, target: &mut [f32]) {
        let [height, width, channels] = self.source;
        let pixels = self.images * self.rows.target * self.columns.target;
        let sources = self.images * height * width * channels;
        assert_eq!(source.len(), sources, "source");
        assert_eq!(weights.len(), self.weights(), "packed weights");
        assert_eq!(target.len(), pixels * channels, "target");
        let target = DisjointMut::new(target);
        let size = (TASK / channels).max(1).next_multiple_of(TILE);
        cpu.parallel(pixels.div_ceil(size), |task| {
            cpu.dispatch(Task {
                gather: self,
                source,
                weights,
                finish,
                target: target.as_mut_ptr(),
                pixels: task * size..((task + 1) * size).min(pixels),
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
    pixels: Range<usize>,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let channels = gather.source[2];
        let (rows, columns) = (&gather.rows, &gather.columns);
        let mut walk = Walk::new(gather.images, rows, columns, self.pixels.start);
        let mut left = self.pixels.len();
        let mut taps = Taps {
            offsets: [0; MOST_TAPS],
            pointers: [[std::ptr::null(); TILE]; MOST_TAPS],
            count: 0,
        };
        while left > 0 {
            let count = left.min(TILE);
            let mut pixels = [walk.step(); TILE];
            for pixel in &mut pixels[1..count] {
                *pixel = walk.step();
            }
            self.find_taps(&pixels, &mut taps);
            let ats = pixels.map(|pixel| {
                ((pixel.image * rows.target + pixel.y) * columns.target + pixel.x) * channels
            });
            // What follows the lowest row of taps is read by the tiles that come soon, in the next row of pixels at the latest.
            if let Some(last) = taps.count.checked_sub(1) {
                let ahead = taps.pointers[last][TILE - 1].wrapping_add(AHEAD * channels);
                prefetch(ahead, TILE * channels);
            }
            prefetch_write(
                self.target.wrapping_add(ats[0] + AHEAD * channels),
                TILE * channels,
            );
            let mut channel = 0;
            while channel + 2 * S::LANES <= channels {
                self.tile::<S, 2>(simd, &taps, &ats[..count], channel, S::LANES);
                channel += 2 * S::LANES;
            }
            while channel < channels {
                let lanes = (channels - channel).min(S::LANES);
                self.tile::<S, 1>(simd, &taps, &ats[..count], channel, lanes);
                channel += lanes;
            }
            left -= count;
        }
    }
}

/// The taps of which at least one pixel of a tile is inside.
struct Taps {
    /// Start in the weights.
    offsets: [usize; MOST_TAPS],
    pointers: [[*const f32; TILE]; MOST_TAPS],
    count: usize,
}

impl Task<'_> {
    #[inline(always)]
    fn find_taps(&self, pixels: &[super::axis::Pixel; TILE], taps: &mut Taps) {
        let gather = self.gather;
        let [height, width, channels] = gather.source;
        taps.count = 0;
        for tap_y in 0..gather.taps[0] {
            for tap_x in 0..gather.taps[1] {
                let mut any = false;
                for (p, pixel) in pixels.iter().enumerate() {
                    let y = gather.rows.position(pixel.y, tap_y);
                    let x = gather.columns.position(pixel.x, tap_x);
                    taps.pointers[taps.count][p] = if y < 0 || x < 0 {
                        gather.zeros.as_ptr()
                    } else {
                        any = true;
                        let source = (pixel.image * height + y as usize) * width + x as usize;
                        self.source[source * channels..].as_ptr()
                    };
                }
                if any {
                    taps.offsets[taps.count] = (tap_y * gather.taps[1] + tap_x) * channels;
                    taps.count += 1;
                }
            }
        }
    }

    /// V vectors of channels of a tile; the only vector has `lanes` lanes.
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(
        &self,
        simd: S,
        taps: &Taps,
        ats: &[usize],
        channel: usize,
        lanes: usize,
    ) {
        let whole = lanes == S::LANES;
        let mut sums = [[simd.zero(); V]; TILE];
        // SAFETY: V vectors (or `lanes` channels) follow `channel` in each pixel, in the zeros and in each tap's weights; only
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
                    let channel = channel + v * S::LANES;
                    let weight = load(self.weights.as_ptr().add(taps.offsets[tap] + channel));
                    for (sums, pointer) in sums.iter_mut().zip(&taps.pointers[tap]) {
                        sums[v] = simd.mul_add(load(pointer.add(channel)), weight, sums[v]);
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
            for (sums, at) in done.iter().zip(ats) {
                for (v, sum) in sums.iter().enumerate() {
                    let channel = channel + v * S::LANES;
                    let at = at + channel;
                    self.finish
                        .store(simd, *sum, self.target, at, channel, lanes);
                }
            }
        }
    }
}
