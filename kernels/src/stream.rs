//! Maps that no cache holds: how they are read and written.

/// Numbers of a map of which a cache would keep little until someone reads it: 8 MB. Tests stream smaller ones.
const LARGE: usize = if cfg!(test) { 1 << 10 } else { 2 << 20 };
/// Numbers of a cache line.
pub(crate) const LINE: usize = 16;

/// Whether the map, in pieces of a multiple of `piece` numbers, is written by [`stream`](crate::Simd::stream): it is large, each piece
/// begins on a cache line, and the last ends with one.
pub(crate) fn is_streamed(map: &[f32], piece: usize) -> bool {
    map.len() >= LARGE
        && map.len().is_multiple_of(LINE)
        && piece.is_multiple_of(LINE)
        && map.as_ptr().addr().is_multiple_of(64)
}

/// Asks L2 for the cache lines of `numbers` numbers from `start` on, which need not exist: for what comes later than L1 can keep it.
#[inline(always)]
pub(crate) fn prefetch_far(start: *const f32, numbers: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..numbers).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, numbers);
}
