//! Weight gradient: the sums of one filter's taps stay in registers while the loop runs over the windows.
use std::ops::Range;

use crate::Cpu;
use crate::conv::Geometry;
use crate::conv::loops::{WeightLoop, WeightOperands};
use crate::conv::parts::{SumsLen, sum_parts};
use crate::map::{BUFFER_FLOATS, Source, TaskBuffer};
use crate::simd::{Kernel, Simd};

use super::{Bordered, is_dense, reach, windows};

/// Groups of images at most.
const GROUPS: usize = 16;

/// Weight gradient of a direct convolution of few channels, pooled.
#[derive(Debug)]
pub(in crate::conv) struct WindowsWeightGradient {
    geometry: Geometry,
    lanes: usize,
    /// Vectors of a kernel's row.
    vectors: usize,
    /// Groups of images, each with its own sums.
    groups: usize,
    image: Bordered,
}

/// Vectors of a kernel's row.
fn vectors(cpu: &Cpu, geometry: &Geometry) -> usize {
    (geometry.kernel[1] * geometry.input[2]).div_ceil(cpu.lanes())
}

impl WindowsWeightGradient {
    /// Whether the pass computes `geometry`, which has an even output.
    pub(in crate::conv) fn supports(cpu: &Cpu, geometry: &Geometry) -> bool {
        let vectors = vectors(cpu, geometry);
        let is_instance = match cpu.lanes() {
            16 => matches!((geometry.kernel[0], vectors), (3 | 5, 1..=4)),
            _ => matches!((geometry.kernel[0], vectors), (3, 1..=4) | (5, 1..=2)),
        };
        let fits = || Self::new(cpu, *geometry).image.len() <= BUFFER_FLOATS;
        is_dense(geometry) && is_instance && fits()
    }

    /// The pass, where it is [supported](WindowsWeightGradient::supports).
    pub(in crate::conv) fn new(cpu: &Cpu, geometry: Geometry) -> Self {
        let vectors = vectors(cpu, &geometry);
        let [rows, columns] = reach(&geometry);
        Self {
            geometry,
            lanes: cpu.lanes(),
            vectors,
            groups: GROUPS.min(geometry.batch),
            image: Bordered {
                rows,
                pitch: columns * geometry.input[2] + vectors * cpu.lanes(),
            },
        }
    }

    /// Floats of a filter's sums.
    fn filter_len(&self) -> usize {
        self.geometry.kernel[0] * self.vectors * self.lanes
    }

    /// Floats of a group's sums: `[filter][row][vectors]` for the weights, `[filter]` for the bias.
    fn sums_len(&self) -> SumsLen {
        let filters = self.geometry.output[2];
        SumsLen {
            weights: filters * self.filter_len(),
            bias: filters,
        }
    }
}

impl WeightLoop for WindowsWeightGradient {
    fn scratch_len(&self) -> usize {
        self.groups * self.sums_len().total()
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
        let filters = geometry.output[2];
        let outputs: usize = geometry.output.iter().product();
        let sums_len = self.sums_len();
        let group_len = sums_len.total();
        let scratch = &mut scratch[..self.scratch_len()];
        cpu.parallel_chunks(scratch, group_len, |group, sums| {
            sums.fill(0.0);
            let images = [group, group + 1].map(|group| group * geometry.batch / self.groups);
            let (weight_sums, bias_sums) = sums.split_at_mut(sums_len.weights);
            let pooled = images.map(|image| image * outputs / 4);
            for pixel in output_gradient.values[pooled[0]..pooled[1]].chunks(filters) {
                for (sum, gradient) in bias_sums.iter_mut().zip(pixel) {
                    *sum += gradient;
                }
            }
            cpu.dispatch(WindowsWeightTask {
                whole: self,
                input: input.plain(),
                output_gradient,
                sums: weight_sums,
                images: images[0]..images[1],
            });
        });
        let (total, others) = scratch.split_at_mut(group_len);
        sum_parts(cpu, true, others, group_len, total);
        let (weight_sums, bias_sums) = total.split_at(sums_len.weights);
        let row_len = geometry.kernel[1] * geometry.input[2];
        for (i, to) in weight_gradient.chunks_mut(filters).enumerate() {
            let at = i / row_len * self.vectors * self.lanes + i % row_len;
            let from = weight_sums[at..].iter().step_by(self.filter_len());
            for (to, sum) in to.iter_mut().zip(from) {
                *to = *sum;
            }
        }
        if let Some(bias_gradient) = bias_gradient {
            bias_gradient.copy_from_slice(bias_sums);
        }
    }
}

/// A group of images.
struct WindowsWeightTask<'a> {
    whole: &'a WindowsWeightGradient,
    input: &'a [f32],
    output_gradient: Source<'a>,
    sums: &'a mut [f32],
    images: Range<usize>,
}

impl Kernel for WindowsWeightTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match (self.whole.geometry.kernel[0], self.whole.vectors) {
            (3, 1) => self.all::<S, 3, 1>(simd),
            (3, 2) => self.all::<S, 3, 2>(simd),
            (3, 3) => self.all::<S, 3, 3>(simd),
            (3, _) => self.all::<S, 3, 4>(simd),
            (_, 1) => self.all::<S, 5, 1>(simd),
            (_, 2) => self.all::<S, 5, 2>(simd),
            (_, 3) => self.all::<S, 5, 3>(simd),
            (_, _) => self.all::<S, 5, 4>(simd),
        }
    }
}

impl WindowsWeightTask<'_> {
    /// Computes the sums of kernels of R rows of V vectors.
    #[inline(always)]
    fn all<S: Simd, const R: usize, const V: usize>(&mut self, simd: S) {
        let mut buffer = TaskBuffer::new();
        let copy = buffer.as_mut_ptr();
        // SAFETY: `supports` checked that an image with borders fits into the buffer. What is not copied stays zero.
        unsafe { copy.write_bytes(0, self.whole.image.len()) };
        for image in self.images.clone() {
            self.copy(image, copy);
            for filter in 0..self.whole.geometry.output[2] {
                self.filter::<S, R, V>(simd, image, filter, copy);
            }
        }
    }

    /// Copies the part of an image that its windows read into the middle of its borders.
    #[inline(always)]
    fn copy(&self, image: usize, to: *mut f32) {
        let [height, width, channels] = self.whole.geometry.input;
        let [above, left] = self.whole.geometry.padding;
        let pitch = self.whole.image.pitch;
        let [rows, columns] = reach(&self.whole.geometry);
        let columns = width.min(columns.saturating_sub(left));
        if columns == 0 {
            return;
        }
        for y in 0..height.min(rows.saturating_sub(above)) {
            let from = &self.input[(image * height + y) * width * channels..][..columns * channels];
            let at = (y + above) * pitch + left * channels;
            // SAFETY: the rows and columns are those that `reach` says, for which `new` made the copy, so they lie within its borders.
            unsafe {
                to.add(at)
                    .copy_from_nonoverlapping(from.as_ptr(), from.len())
            };
        }
    }

    /// Adds the windows of an image to the sums of one filter.
    #[inline(always)]
    fn filter<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        image: usize,
        filter: usize,
        copy: *const f32,
    ) {
        let WindowsWeightGradient { geometry, .. } = self.whole;
        let (pitch, channels, filters) = (
            self.whole.image.pitch,
            geometry.input[2],
            geometry.output[2],
        );
        let [height, width] = windows(geometry);
        let winners = self.output_gradient.winners.expect("a pooled gradient");
        let row_len = width * filters;
        let to = self.sums[filter * R * V * S::LANES..][..R * V * S::LANES].as_mut_ptr();
        let mut sums = [[simd.zero(); V]; R];
        // SAFETY: `to` was sliced with R rows of V vectors. `new` made the copy so large that it has the R rows that a pixel of a window
        // reads, each with whole vectors.
        unsafe {
            for (i, sum) in sums.as_flattened_mut().iter_mut().enumerate() {
                *sum = simd.load(to.add(i * S::LANES));
            }
            for y in 0..height {
                let start = (image * height + y) * row_len;
                let gradients = &self.output_gradient.values[start..start + row_len];
                let winners = &winners[start..start + row_len];
                let mut pixel = copy.add(2 * y * pitch);
                for at in (filter..row_len).step_by(filters) {
                    let winner = usize::from(winners[at]);
                    let gradient = simd.splat(gradients[at]);
                    let from = pixel.add(winner / 2 % 2 * pitch + winner % 2 * channels);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            let pixels = simd.load(from.add(r * pitch + v * S::LANES));
                            *sum = simd.mul_add(gradient, pixels, *sum);
                        }
                    }
                    pixel = pixel.add(2 * channels);
                }
            }
            for (i, sum) in sums.as_flattened().iter().enumerate() {
                simd.store(*sum, to.add(i * S::LANES));
            }
        }
    }
}
