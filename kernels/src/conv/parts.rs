//! Sums that tasks took apart from one another, added up.
use crate::Cpu;

/// Numbers that one task adds up.
const PIECE: usize = 4096;

/// Sets `total` to the sum of `parts`, or where `add` adds them to it: one part after the other, so that the bits are those of any
/// number of threads. From part to part it is `step` numbers.
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
