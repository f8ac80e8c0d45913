//! Adds up the partial sums of tasks.
use crate::Cpu;

/// Elements of the total that one task computes.
const PIECE: usize = 4096;

/// Floats of the partial sums of a weight gradient.
#[derive(Clone, Copy)]
pub(super) struct SumsLen {
    pub(super) weights: usize,
    pub(super) bias: usize,
}

impl SumsLen {
    pub(super) fn total(self) -> usize {
        self.weights + self.bias
    }
}

/// Sets `total` to the sum of `parts`, or adds them to it if `add`. Parts begin `step` floats apart. They are added in their order, so that
/// the bits do not depend on the number of threads.
pub(super) fn sum_parts(cpu: &Cpu, add: bool, parts: &[f32], step: usize, total: &mut [f32]) {
    cpu.parallel_chunks(total, PIECE, |i, total| {
        let piece = i * PIECE..i * PIECE + total.len();
        let mut parts = parts.chunks(step).map(|part| &part[piece.clone()]);
        if !add {
            total.copy_from_slice(parts.next().expect("at least one part"));
        }
        cpu.vectorised(|| {
            for part in parts {
                for (total, part) in total.iter_mut().zip(part) {
                    *total += part;
                }
            }
        });
    });
}
