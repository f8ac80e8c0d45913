//! Input gradient: what the four pixels of a window reach lies in registers while the filters pass by.
use crate::Cpu;
use crate::pool::fused::{ROOM, Room, Source};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::super::finish::Finish;
use super::super::{Geometry, GradientEpilogue};
use super::{is_dense, reach, windows};

/// Numbers of packed weights at most: half of L2.
const PACKED: usize = 1 << 17;

/// Input gradient of a direct convolution of few channels, pooled.
#[derive(Debug)]
pub(in crate::conv) struct InputGradient {
    geometry: Geometry,
    lanes: usize,
    /// Rows that a window reaches, and vectors of each.
    sums: [usize; 2],
    /// Rows of an image with borders, and numbers of each.
    image: [usize; 2],
}

impl InputGradient {
    /// The pass, if it is likely faster than one that expands the gradient; `geometry` has an even output.
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Option<Self> {
        let [taps_y, taps_x] = geometry.kernel;
        let [inputs, lanes] = [geometry.input[2], cpu.lanes()];
        let [rows, vectors] = [taps_y + 1, ((taps_x + 1) * inputs).div_ceil(lanes)];
        let size = [0, 1].map(|axis| {
            let inside = geometry.input[axis] + geometry.padding[axis];
            inside.max(reach(&geometry)[axis])
        });
        let pass = Self {
            geometry,
            lanes,
            sums: [rows, vectors],
            image: [size[0], size[1] * inputs + vectors * lanes],
        };
        let expanded = 4 * taps_y * (taps_x * inputs).div_ceil(lanes);
        let fits = pass.image[0] * pass.image[1] <= ROOM && pass.packed_len() <= PACKED;
        let is_instance = match lanes {
            16 => matches!((rows, vectors), (4, 1..=4) | (6, 1..=4)),
            _ => matches!((rows, vectors), (4, 1..=3) | (6, 1..=2)),
        };
        // A multiply-add costs more than one of many pixels that share their weights: of 18 instead of 40 half the time was left
        // (`hubel bench train lenet5 --steps --threads 1`).
        let is_faster = 3 * rows * vectors <= 2 * expanded;
        (is_dense(&geometry) && fits && is_instance && is_faster).then_some(pass)
    }

    /// Numbers of one filter's weights, moved to one of the columns of a window.
    fn moved_len(&self) -> usize {
        let [rows, vectors] = self.sums;
        (rows + 1) * vectors * self.lanes
    }

    pub(in crate::conv) fn packed_len(&self) -> usize {
        2 * self.geometry.output[2] * self.moved_len()
    }

    /// Packs the weights as `[filter][column of the window][row][vectors]`, moved by that column, between rows of zeros: what a pixel of
    /// either row of the window reaches is as many rows of it.
    pub(in crate::conv) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), self.geometry.weights(), "weights");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        packed.fill(0.0);
        let [inputs, filters] = [self.geometry.input[2], self.geometry.output[2]];
        let (width, row) = (self.sums[1] * self.lanes, self.geometry.kernel[1] * inputs);
        for (i, moved) in packed.chunks_mut(self.moved_len()).enumerate() {
            let (filter, column) = (i / 2, i % 2);
            for (tap_y, to) in moved[width..].chunks_mut(width).enumerate() {
                let Some(from) = weights.get(tap_y * row * filters + filter..) else {
                    break;
                };
                let from = from.iter().step_by(filters).take(row);
                for (to, weight) in to[column * inputs..].iter_mut().zip(from) {
                    *to = *weight;
                }
            }
        }
    }

    pub(in crate::conv) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: Source,
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let geometry = &self.geometry;
        let outputs: usize = geometry.output.iter().product();
        let inputs: usize = geometry.input.iter().product();
        let numbers = geometry.batch * outputs;
        assert_eq!(output_gradient.len(), numbers, "output gradient");
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        assert_eq!(input_gradient.len(), geometry.batch * inputs, "input");
        assert_eq!(cpu.lanes(), self.lanes, "made for another instruction set");
        let row = geometry.input[1] * geometry.input[2];
        let finish =
            Finish::gradient(epilogue, input_gradient, row).summing(epilogue.sums, row, None);
        let target = DisjointMut::new(input_gradient);
        cpu.parallel(geometry.batch, |image| {
            cpu.dispatch(Task {
                whole: self,
                output_gradient,
                packed,
                finish: &finish,
                target: &target,
                image,
            });
        });
    }
}

/// An image.
struct Task<'a> {
    whole: &'a InputGradient,
    output_gradient: Source<'a>,
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    target: &'a DisjointMut<'a, f32>,
    image: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.whole.sums {
            [4, 1] => self.all::<S, 4, 1>(simd),
            [4, 2] => self.all::<S, 4, 2>(simd),
            [4, 3] => self.all::<S, 4, 3>(simd),
            [4, _] => self.all::<S, 4, 4>(simd),
            [_, 1] => self.all::<S, 6, 1>(simd),
            [_, 2] => self.all::<S, 6, 2>(simd),
            [_, 3] => self.all::<S, 6, 3>(simd),
            [_, _] => self.all::<S, 6, 4>(simd),
        }
    }
}

impl Task<'_> {
    /// Windows that reach R rows of V vectors.
    #[inline(always)]
    fn all<S: Simd, const R: usize, const V: usize>(&self, simd: S) {
        let InputGradient {
            geometry, image, ..
        } = self.whole;
        let [height, width] = windows(geometry);
        let [rows, pitch] = *image;
        let mut room = Room::new();
        let sums = room.as_mut_ptr();
        // SAFETY: an image with borders fits into the room.
        unsafe { sums.write_bytes(0, rows * pitch) };
        for y in 0..height {
            for x in 0..width {
                let window = (self.image * height + y) * width + x;
                let reached = self.window::<S, R, V>(simd, window);
                let to = sums.wrapping_add(2 * y * pitch + 2 * x * geometry.input[2]);
                for (r, vectors) in reached.into_iter().enumerate() {
                    for (v, vector) in vectors.into_iter().enumerate() {
                        let to = to.wrapping_add(r * pitch + v * S::LANES);
                        // SAFETY: a window reaches rows of the image with borders, whose rows leave room for V vectors.
                        unsafe { simd.store(simd.add(vector, simd.load(to)), to) };
                    }
                }
            }
        }
        let [height, width, channels] = geometry.input;
        let [above, left] = geometry.padding;
        for y in 0..height {
            let from = sums.wrapping_add((y + above) * pitch + left * channels);
            let target = (self.image * height + y) * width * channels;
            for i in (0..width * channels).step_by(S::LANES) {
                let lanes = (width * channels - i).min(S::LANES);
                // SAFETY: rows of the image within its borders, with room behind them; this task alone writes the target's.
                unsafe {
                    let sum = simd.load(from.add(i));
                    let to = self.target.as_mut_ptr();
                    self.finish.store(simd, sum, to, target + i, i, lanes);
                }
            }
        }
    }

    /// What a window's numbers add to the rows that it reaches.
    #[inline(always)]
    fn window<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        window: usize,
    ) -> [[S::Vector; V]; R] {
        let filters = self.whole.geometry.output[2];
        let numbers = window * filters..(window + 1) * filters;
        let winners = self.output_gradient.winners.expect("a pooled gradient");
        let gradients = &self.output_gradient.numbers[numbers.clone()];
        let (row, moved) = (V * S::LANES, (R + 1) * V * S::LANES);
        let mut sums = [[simd.zero(); V]; R];
        let mut weights = self.packed.as_ptr();
        for (gradient, winner) in gradients.iter().zip(&winners[numbers]) {
            let (below, right) = (usize::from(winner / 2 % 2), usize::from(winner % 2));
            let gradient = simd.splat(*gradient);
            let from = weights.wrapping_add(right * moved + (1 - below) * row);
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: each filter has R + 1 rows for both columns.
                    let weight = unsafe { simd.load(from.add(r * row + v * S::LANES)) };
                    *sum = simd.mul_add(gradient, weight, *sum);
                }
            }
            weights = weights.wrapping_add(2 * moved);
        }
        sums
    }
}
