//! The innermost loop of the direct convolutions.
use crate::simd::Simd;

use crate::conv::prefetch::{WEIGHTS_AHEAD, prefetch};

/// Where the terms of a sum of products lie: rows of runs of neighbouring terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct TermLayout {
    pub(super) rows: usize,
    /// Floats of the source from row to row.
    pub(super) row_step: usize,
    /// Terms of the packed weights from row to row.
    pub(super) row_weights: usize,
    /// Runs of a row.
    pub(super) runs: usize,
    /// Floats of the source from run to run.
    pub(super) run_step: usize,
    /// Terms of a run.
    pub(super) terms: usize,
}

/// What is prefetched, a little with each term: many requests at once would make the processor wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) start: *const f32,
    /// Floats from what is fetched with one term to what is fetched with the next.
    pub(super) step: usize,
    /// Whether weights are fetched as well.
    pub(super) weights: bool,
}

/// For P pixels, the sums over all terms of an element of the source times V vectors of weights.
///
/// # Safety
/// All terms can be read from each pointer on, and V vectors for each of them from `weights` on.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    pointers: [*const f32; P],
    weights: *const f32,
    terms: &TermLayout,
    ahead: Ahead,
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.zero(); V]; P];
    let mut next = ahead.start;
    for row in 0..terms.rows {
        let mut weights = weights.wrapping_add(row * terms.row_weights * V * S::LANES);
        for run in 0..terms.runs {
            let start = row * terms.row_step + run * terms.run_step;
            for term in start..start + terms.terms {
                prefetch(next, 1);
                if ahead.weights {
                    prefetch(weights.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
                }
                next = next.wrapping_add(ahead.step);
                // SAFETY: the term is one of `terms`, and its V vectors lie at `weights`.
                unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
                weights = weights.wrapping_add(V * S::LANES);
            }
        }
    }
    sums
}

/// As [`products`], over `taps` runs of `terms` terms. `pointers` tells where the run of a tap begins for each pixel. Weights are always
/// prefetched, since each is read for a few pixels only.
///
/// # Safety
/// From each pointer of each tap on, `terms` floats can be read, and from `weights` on V vectors for each term of each tap.
#[inline(always)]
pub(super) unsafe fn products_by_tap<S: Simd, const P: usize, const V: usize>(
    simd: S,
    weights: *const f32,
    taps: usize,
    terms: usize,
    pointers: impl Fn(usize) -> [*const f32; P],
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.zero(); V]; P];
    let mut weights = weights;
    for tap in 0..taps {
        let pointers = pointers(tap);
        for term in 0..terms {
            prefetch(weights.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
            // SAFETY: the tap has this term behind each pointer, and its V vectors lie at `weights`.
            unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
            weights = weights.wrapping_add(V * S::LANES);
        }
    }
    sums
}

/// Adds the products of one term.
///
/// # Safety
/// The term can be read from each pointer on, and V vectors from `weights` on.
#[inline(always)]
unsafe fn add_products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; P],
    pointers: &[*const f32; P],
    term: usize,
    weights: *const f32,
) {
    let mut vectors = [simd.zero(); V];
    // SAFETY: V vectors lie at `weights`, and the term behind each pointer.
    unsafe {
        for (v, vector) in vectors.iter_mut().enumerate() {
            *vector = simd.load(weights.add(v * S::LANES));
        }
        for (sums, pointer) in sums.iter_mut().zip(pointers) {
            let value = simd.splat(*pointer.add(term));
            for (sum, vector) in sums.iter_mut().zip(&vectors) {
                *sum = simd.mul_add(value, *vector, *sum);
            }
        }
    }
}
