//! Which maps are written past the caches.

/// Numbers of a map of which a cache would keep little until someone reads it: 16 MB. Tests stream smaller ones.
const LARGE: usize = if cfg!(test) { 1 << 10 } else { 4 << 20 };
/// Numbers of a cache line.
const LINE: usize = 16;

/// Whether the map, in pieces of a multiple of `piece` numbers, is written by [`stream`](crate::Simd::stream): it is large, and each piece
/// begins on a cache line.
pub(crate) fn is_streamed(map: &[f32], piece: usize) -> bool {
    map.len() >= LARGE && piece.is_multiple_of(LINE) && map.as_ptr().addr().is_multiple_of(64)
}
