//! The norm of a gradient.
use crate::Cpu;

use super::PIECE;

/// Parts of the sum at most.
const PARTS: usize = 64;
/// Sums in flight at a time: two vectors of the widest instruction set.
const LANES: usize = 16;

/// The sum of the squares, in f64. The order of the additions depends only on the length, so the bits are the same for any number of threads
/// and on every instruction set.
pub fn sum_of_squares(cpu: &Cpu, values: &[f32]) -> f64 {
    let piece = values.len().div_ceil(PARTS).max(PIECE);
    let mut parts = [0.0; PARTS];
    let count = values.len().div_ceil(piece);
    cpu.parallel_chunks(&mut parts[..count], 1, |i, part| {
        let values = &values[i * piece..values.len().min((i + 1) * piece)];
        part[0] = cpu.vectorised(|| of_part(values));
    });
    parts.iter().sum()
}

#[inline(always)]
fn of_part(values: &[f32]) -> f64 {
    let mut sums = [0.0; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for values in whole {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(*value) * f64::from(*value);
    }
    sums.iter().sum()
}
