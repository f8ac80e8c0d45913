//! Prefetches: a tile reads many short runs of memory, which the processor does not predict.

/// Floats between the weights that are read and those that are fetched: far enough to hide a cache miss.
pub(super) const WEIGHTS_AHEAD: usize = 1 << 10;

/// Fetches the cache lines of `floats` floats from `start` on into L1. The memory need not exist.
#[inline(always)]
pub(super) fn prefetch(start: *const f32, floats: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..floats).step_by(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, floats);
}
