//! The innermost loop of the direct convolutions.
use crate::simd::Simd;

use crate::conv::prefetch::{WEIGHTS_AHEAD, prefetch};

/// Where the terms of a sum of products lie: rows of runs of neighbouring terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) rows: usize,
    /// Numbers of the source from row to row.
    pub(super) row_step: usize,
    /// Terms of the packed weights from row to row.
    pub(super) row_weights: usize,
    /// Runs of a row.
    pub(super) runs: usize,
    /// Numbers of the source from run to run.
    pub(super) run_step: usize,
    /// Terms of a run.
    pub(super) terms: usize,
}

/// What will be read soon, fetched bit by bit: a burst of requests would make the processor wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) start: *const f32,
    /// Numbers from term to term.
    pub(super) step: usize,
    /// Whether weights, too, are fetched.
    pub(super) weights: bool,
}

/// Sums over all terms of P numbers of the source times V vectors of weights.
///
/// # Safety
/// The terms lie in the source behind each pointer, and V vectors for each of them behind `weights`.
#[inline(always)]
pub(super) unsafe fn products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    pointers: [*const f32; P],
    weights: *const f32,
    terms: &Terms,
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
                // SAFETY: the caller's promise.
                unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
                weights = weights.wrapping_add(V * S::LANES);
            }
        }
    }
    sums
}

/// Sums over `taps` runs of `terms` of P numbers of the source, which begin where `pointers` says for each tap, times V vectors of
/// weights, which are fetched: each is read for a few pixels alone.
///
/// # Safety
/// As of [`products`].
#[inline(always)]
pub(super) unsafe fn products_by_tap<S: Simd, const P: usize, const V: usize>(
    simd: S,
    weights: *const f32,
    [taps, terms]: [usize; 2],
    pointers: impl Fn(usize) -> [*const f32; P],
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.zero(); V]; P];
    let mut weights = weights;
    for tap in 0..taps {
        let pointers = pointers(tap);
        for term in 0..terms {
            prefetch(weights.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
            // SAFETY: the caller's promise.
            unsafe { add_products(simd, &mut sums, &pointers, term, weights) };
            weights = weights.wrapping_add(V * S::LANES);
        }
    }
    sums
}

/// Adds the products of one term.
///
/// # Safety
/// The term lies in the source behind each pointer, and V vectors behind `weights`.
#[inline(always)]
unsafe fn add_products<S: Simd, const P: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; P],
    pointers: &[*const f32; P],
    term: usize,
    weights: *const f32,
) {
    let mut vectors = [simd.zero(); V];
    // SAFETY: the caller's promise.
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
