//! Reading and writing maps that no cache holds.

/// Values of a map that is larger than what a cache keeps until someone reads it: 8 MB. Tests stream smaller maps.
const LARGE: usize = if cfg!(test) { 1 << 10 } else { 2 << 20 };
/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Whether a pass writes `map` with [`Simd::stream`](crate::Simd::stream). The pass writes pieces of a multiple of `piece` values. Where
/// this is true, the map is large, each piece begins on a cache line, and the last piece ends with one. So all vectors of a piece are
/// whole and aligned, whatever the instruction set.
pub(crate) fn is_streamed(map: &[f32], piece: usize) -> bool {
    map.len() >= LARGE
        && map.len().is_multiple_of(LINE)
        && piece.is_multiple_of(LINE)
        && map.as_ptr().addr().is_multiple_of(64)
}

/// Prefetches the cache lines of `values` floats from `start` on into L2: they are read later than L1 would keep them. The memory need
/// not exist.
#[inline(always)]
pub(crate) fn prefetch_far(start: *const f32, values: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..values).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch never faults, and it changes nothing that the program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, values);
}
