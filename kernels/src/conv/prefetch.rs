//! Hints to fetch memory early: a tile reads many short runs, which the processor does not foresee.

/// Numbers between the weights that are read and those that are fetched: enough for a cache miss to pass.
pub(super) const WEIGHTS_AHEAD: usize = 1 << 10;

/// Asks for the cache lines of `numbers` numbers from `start` on, which need not exist.
#[inline(always)]
pub(super) fn prefetch(start: *const f32, numbers: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..numbers).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, numbers);
}
