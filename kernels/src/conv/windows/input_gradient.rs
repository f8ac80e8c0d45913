//! Input gradient: the sums of the input pixels that a window reaches stay in registers while the loop runs over the filters.
use crate::Cpu;
use crate::conv::Geometry;
use crate::conv::finish::{Finish, VectorPlace};
use crate::conv::loops::{MapLoop, MapOperands, MapTarget};
use crate::map::{BUFFER_FLOATS, Source, TaskBuffer};
use crate::simd::{Kernel, Simd};
use crate::threads::DisjointMut;

use super::{Bordered, SumsShape, is_dense, reach, windows};

/// Floats of packed weights at most: half of L2.
const PACKED: usize = 1 << 17;

/// Input gradient of a direct convolution of few channels, pooled.
#[derive(Debug)]
pub(in crate::conv) struct WindowsInputGradient {
    geometry: Geometry,
    lanes: usize,
    /// The rows of the input that a window reaches.
    sums: SumsShape,
    image: Bordered,
}

impl WindowsInputGradient {
    /// Whether the pass computes `geometry`, which has an even output.
    pub(in crate::conv) fn supports(cpu: &Cpu, geometry: &Geometry) -> bool {
        let sums = Self::sums(cpu, geometry);
        let is_instance = match cpu.lanes() {
            16 => matches!((sums.rows, sums.vectors), (4 | 6, 1..=4)),
            _ => matches!((sums.rows, sums.vectors), (4, 1..=3) | (6, 1..=2)),
        };
        let fits = || {
            let pass = Self::new(cpu, *geometry);
            pass.image.len() <= BUFFER_FLOATS && pass.packed_len() <= PACKED
        };
        is_dense(geometry) && is_instance && fits()
    }

    /// The rows of the input that a window reaches.
    pub(in crate::conv) fn sums(cpu: &Cpu, geometry: &Geometry) -> SumsShape {
        let [taps_y, taps_x] = geometry.kernel;
        SumsShape {
            rows: taps_y + 1,
            vectors: ((taps_x + 1) * geometry.input[2]).div_ceil(cpu.lanes()),
        }
    }

    /// The pass, where it is [supported](WindowsInputGradient::supports).
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let sums = Self::sums(cpu, &geometry);
        let [rows, columns] = [0, 1].map(|axis| {
            let inside = geometry.input[axis] + geometry.padding[axis];
            inside.max(reach(&geometry)[axis])
        });
        Self {
            geometry,
            lanes: cpu.lanes(),
            sums,
            image: Bordered {
                rows,
                pitch: columns * geometry.input[2] + sums.vectors * cpu.lanes(),
            },
        }
    }

    /// Floats of one filter's weights, shifted to one of the columns of a window.
    fn moved_len(&self) -> usize {
        (self.sums.rows + 1) * self.sums.vectors * self.lanes
    }
}

impl MapLoop for WindowsInputGradient {
    fn packed_len(&self) -> usize {
        2 * self.geometry.output[2] * self.moved_len()
    }

    /// Packs the weights as `[filter][column of the window][row][vectors]`, shifted by that column, between two rows of zeros: a pixel in the
    /// upper or lower row of the window then takes as many rows, one row apart.
    fn pack(&self, _: &Cpu, weights: &[f32], packed: &mut [f32]) {
        packed.fill(0.0);
        let [inputs, filters] = [self.geometry.input[2], self.geometry.output[2]];
        let (width, row_len) = (
            self.sums.vectors * self.lanes,
            self.geometry.kernel[1] * inputs,
        );
        for (i, moved) in packed.chunks_mut(self.moved_len()).enumerate() {
            let (filter, column) = (i / 2, i % 2);
            for (tap_y, to) in moved[width..].chunks_mut(width).enumerate() {
                let Some(from) = weights.get(tap_y * row_len * filters + filter..) else {
                    break;
                };
                let from = from.iter().step_by(filters).take(row_len);
                for (to, weight) in to[column * inputs..].iter_mut().zip(from) {
                    *to = *weight;
                }
            }
        }
    }

    /// A row of the target is finished as one pixel.
    fn finished_pixel(&self) -> usize {
        self.geometry.input[1] * self.geometry.input[2]
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source,
            packed,
            finish,
            target,
            ..
        } = operands;
        let MapTarget::Map(target) = target else {
            unreachable!("an input gradient is not pooled");
        };
        cpu.parallel(self.geometry.batch, |image| {
            cpu.dispatch(WindowsInputTask {
                whole: self,
                output_gradient: source,
                packed,
                finish: &finish,
                target,
                image,
            });
        });
    }
}

/// An image.
struct WindowsInputTask<'a> {
    whole: &'a WindowsInputGradient,
    output_gradient: Source<'a>,
    packed: &'a [f32],
    finish: &'a Finish<'a>,
    target: &'a DisjointMut<'a, f32>,
    image: usize,
}

impl Kernel for WindowsInputTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (self.whole.sums.rows, self.whole.sums.vectors) {
            (4, 1) => self.all::<S, 4, 1>(simd),
            (4, 2) => self.all::<S, 4, 2>(simd),
            (4, 3) => self.all::<S, 4, 3>(simd),
            (4, _) => self.all::<S, 4, 4>(simd),
            (_, 1) => self.all::<S, 6, 1>(simd),
            (_, 2) => self.all::<S, 6, 2>(simd),
            (_, 3) => self.all::<S, 6, 3>(simd),
            (_, _) => self.all::<S, 6, 4>(simd),
        }
    }
}

impl WindowsInputTask<'_> {
    /// Computes an image whose windows reach R rows of V vectors.
    #[inline(always)]
    fn all<S: Simd, const R: usize, const V: usize>(&self, simd: S) {
        let WindowsInputGradient {
            geometry, image, ..
        } = self.whole;
        let [height, width] = windows(geometry);
        let Bordered { rows, pitch } = *image;
        let mut buffer = TaskBuffer::new();
        let sums = buffer.as_mut_ptr();
        // SAFETY: `supports` checked that an image with borders fits into the buffer.
        unsafe { sums.write_bytes(0, rows * pitch) };
        for y in 0..height {
            for x in 0..width {
                let window = (self.image * height + y) * width + x;
                let reached = self.window::<S, R, V>(simd, window);
                let to = sums.wrapping_add(2 * y * pitch + 2 * x * geometry.input[2]);
                for (r, vectors) in reached.into_iter().enumerate() {
                    for (v, vector) in vectors.into_iter().enumerate() {
                        let to = to.wrapping_add(r * pitch + v * S::LANES);
                        // SAFETY: `new` made the image with borders so large that it has all rows that a window reaches, and V vectors fit
                        // into a row from the window's first column on.
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
                // SAFETY: the row lies within the borders, and a vector fits behind its end. `InputGradient::run` checked the length of the
                // target and made the finish for its rows. Only this task has the image.
                unsafe {
                    let sum = simd.load(from.add(i));
                    let place = VectorPlace {
                        at: target + i,
                        channel: i,
                        lanes,
                    };
                    let to = self.target.as_mut_ptr();
                    self.finish.store(simd, sum, to, place);
                }
            }
        }
    }

    /// The sums that a window's gradients contribute to the rows that it reaches.
    #[inline(always)]
    fn window<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        window: usize,
    ) -> [[S::Vector; V]; R] {
        let filters = self.whole.geometry.output[2];
        let of_window = window * filters..(window + 1) * filters;
        let winners = self.output_gradient.winners.expect("a pooled gradient");
        let gradients = &self.output_gradient.values[of_window.clone()];
        let (row_len, moved_len) = (V * S::LANES, (R + 1) * V * S::LANES);
        let mut sums = [[simd.zero(); V]; R];
        let mut weights = self.packed.as_ptr();
        for (gradient, winner) in gradients.iter().zip(&winners[of_window]) {
            let (below, right) = (usize::from(winner / 2 % 2), usize::from(winner % 2));
            let gradient = simd.splat(*gradient);
            let from = weights.wrapping_add(right * moved_len + (1 - below) * row_len);
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `InputGradient::run` checked the length of the packed weights: each filter has R + 1 rows for both columns.
                    let weight = unsafe { simd.load(from.add(r * row_len + v * S::LANES)) };
                    *sum = simd.mul_add(gradient, weight, *sum);
                }
            }
            weights = weights.wrapping_add(2 * moved_len);
        }
        sums
    }
}
