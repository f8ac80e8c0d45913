//! The innermost loop of the direct weight gradient.
use crate::simd::{Kernel, Simd};
use crate::stream::prefetch_far;

use super::Segment;
use super::task::{ChunkMaps, DirectWeightTask};

/// Adds the products of R terms from `term` on and V vectors from `channel` on. With `TAIL` the last vector has `last` lanes.
///
/// It is a function of its own: R · V sums take nearly all registers, and within a larger function the compiler keeps some of them in memory.
pub(super) struct WeightTile<'a, const R: usize, const V: usize, const TAIL: bool> {
    pub(super) task: &'a DirectWeightTask<'a>,
    pub(super) maps: ChunkMaps,
    pub(super) segment: &'a Segment,
    pub(super) term: usize,
    pub(super) channel: usize,
    pub(super) last: usize,
}

impl<const R: usize, const V: usize, const TAIL: bool> Kernel for WeightTile<'_, R, V, TAIL> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            task,
            maps,
            segment,
            term,
            channel,
            last,
        } = self;
        let (geometry, rows) = (&task.whole.geometry, task.rows.clone());
        let [height, width, inputs] = geometry.input;
        let [out_height, out_width, filters] = geometry.output;
        let group_terms = inputs / geometry.groups;
        let [tap_y, tap_x] = segment.tap;
        let tap = tap_y * geometry.kernel[1] + tap_x;
        // SAFETY: the sums are as long as the weights, which `pass.rs` or `joint.rs` checked: they have this term of this tap, and the
        // channel.
        let target = unsafe {
            task.weight_sums
                .add((tap * group_terms + term) * filters + channel)
        };
        let load = |v: usize, from: *const f32| {
            // SAFETY: `from` has V vectors: the sums and the gradient have V · LANES channels from `channel` on, or with `TAIL` so many that
            // the last vector has `last` lanes.
            unsafe {
                if TAIL && v + 1 == V {
                    simd.load_first(last, from.add(v * S::LANES))
                } else {
                    simd.load(from.add(v * S::LANES))
                }
            }
        };
        let mut sums = [[simd.zero(); V]; R];
        if !task.is_first {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = load(v, target.wrapping_add(r * filters));
                }
            }
        }
        // The tile that reads a part of a chunk first prefetches the same part of the next chunk.
        let is_expanded = task.gradient.source.winners.is_some();
        let first_of_slice = tap == 0 && term == task.terms.start && !is_expanded;
        let first_of_chunk = tap == 0 && channel == task.group * (filters / geometry.groups);
        let next_gradient = rows.len() * out_width * filters * size_of::<f32>();
        let next_gradient = next_gradient.wrapping_add(maps.gradient.ahead);
        let next_source = rows.len() * geometry.stride[0] * width * inputs;
        let map = (task.input.map.as_ptr()).wrapping_add(task.group * group_terms + next_source);
        let (mut image, mut y) = (rows.start / out_height, rows.start % out_height);
        for row in rows {
            let columns = task.existing(row, &segment.columns);
            let source_y = (y * geometry.stride[0] + tap_y * geometry.dilation[0])
                .wrapping_sub(geometry.padding[0]);
            if source_y < height && !columns.is_empty() {
                let source_x = columns.start * geometry.stride[1] + tap_x * geometry.dilation[1]
                    - geometry.padding[1];
                let source = (image * height + source_y) * width + source_x;
                let mut ahead = map.wrapping_add(source * inputs + term);
                let mut source = (maps.input.start).wrapping_add(source * maps.input.pixel + term);
                let first = row * out_width + columns.start;
                let pixel = maps.gradient.pixel;
                let mut gradient = maps.gradient.start.wrapping_add(first * pixel);
                let step = geometry.stride[1] * maps.input.pixel;
                for _ in columns {
                    if first_of_slice {
                        prefetch_far(gradient.wrapping_byte_add(next_gradient), V * S::LANES);
                    }
                    if first_of_chunk {
                        prefetch_far(ahead, R);
                        ahead = ahead.wrapping_add(geometry.stride[1] * inputs);
                    }
                    let mut vectors = [simd.zero(); V];
                    for (v, vector) in vectors.iter_mut().enumerate() {
                        *vector = load(v, gradient);
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the segment's terms are neighbours, and inside the input for this row and column; R follow from `term` on.
                        let value = simd.splat(unsafe { *source.add(r) });
                        for v in 0..V {
                            sums[v] = simd.mul_add(value, vectors[v], sums[v]);
                        }
                    }
                    source = source.wrapping_add(step);
                    gradient = gradient.wrapping_add(pixel);
                }
            }
            y += 1;
            if y == out_height {
                y = 0;
                image += 1;
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                // SAFETY: the sums have these R terms with V vectors of channels, the last with `last` lanes. No other task has these terms
                // and channels of these sums.
                unsafe {
                    let to = target.add(r * filters + v * S::LANES);
                    if TAIL && v + 1 == V {
                        simd.store_first(last, *sum, to);
                    } else {
                        simd.store(*sum, to);
                    }
                }
            }
        }
    }
}
