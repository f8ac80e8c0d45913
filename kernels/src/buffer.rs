//! Memory for maps and weights, aligned to cache lines: a vector that crosses lines costs twice to load. Large buffers ask for huge
//! pages: a kernel walks through many rows at once, more than the processor remembers addresses of small pages.
use std::alloc::{self, Layout};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

const LINE: usize = 64;
/// Bytes of a huge page (x86-64, and aarch64 with pages of 4 kB).
const HUGE_PAGE: usize = 2 << 20;

/// A slice of `f32` that begins on a cache line; zeros when made.
pub struct Buffer {
    start: NonNull<f32>,
    length: usize,
    /// Floats that there is memory for.
    capacity: usize,
}

// SAFETY: a buffer owns its numbers, as a Vec does.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `length` zeros.
    ///
    /// # Panics
    /// If the bytes are more than an address can count.
    pub fn zeros(length: usize) -> Self {
        if length == 0 {
            return Self::default();
        }
        let layout = Self::layout(length);
        // SAFETY: the layout is not empty; a null pointer is handled; the zeros are written before anyone reads.
        let start = unsafe {
            let start = alloc::alloc(layout);
            let Some(start) = NonNull::new(start) else {
                alloc::handle_alloc_error(layout);
            };
            ask_for_huge_pages(start.as_ptr(), layout.size());
            start.as_ptr().write_bytes(0, layout.size());
            start.cast()
        };
        Self {
            start,
            length,
            capacity: length,
        }
    }

    /// Becomes `length` zeros, in the memory that it has where that is enough.
    pub fn reset(&mut self, length: usize) {
        if length > self.capacity {
            // What it has goes before more is taken.
            *self = Self::default();
            *self = Self::zeros(length);
        } else {
            self.length = length;
            self.fill(0.0);
        }
    }

    fn layout(length: usize) -> Layout {
        let bytes = length.checked_mul(size_of::<f32>());
        let bytes = bytes.expect("an address counts the bytes");
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { LINE };
        Layout::from_size_align(bytes, align).expect("an address counts the bytes")
    }
}

/// A hint; where it is refused or unknown, pages stay small.
fn ask_for_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= HUGE_PAGE {
        // SAFETY: the memory belongs to a buffer that has just been allocated; the hint changes nothing that a program can see.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            start: NonNull::dangling(),
            length: 0,
            capacity: 0,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: `zeros` took it with this layout.
            unsafe { alloc::dealloc(self.start.as_ptr().cast(), Self::layout(self.capacity)) };
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: at least `length` floats lie there (or the pointer is dangling, aligned, and the length 0).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[f32]> for Buffer {
    fn as_ref(&self) -> &[f32] {
        self
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `&mut self` makes it unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<&[f32]> for Buffer {
    fn from(from: &[f32]) -> Self {
        let mut buffer = Self::zeros(from.len());
        buffer.copy_from_slice(from);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_buffer_is_zeros_of_the_new_length_in_the_memory_that_it_has() {
        let mut buffer = Buffer::zeros(100);
        let start = buffer.as_ptr();
        for length in [40, 0, 100] {
            buffer.fill(1.0);
            buffer.reset(length);
            assert_eq!(*buffer, vec![0.0; length]);
            assert_eq!(buffer.as_ptr(), start);
        }
        buffer.fill(1.0);
        buffer.reset(101);
        assert_eq!(*buffer, [0.0; 101]);
    }
}
