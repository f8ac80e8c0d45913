//! Memory for maps and weights. It is aligned to cache lines, because a load that crosses two lines costs twice. Large buffers ask
//! for huge pages, because a kernel reads many rows at once and the processor caches the addresses of few small pages.
use std::alloc::{self, Layout};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes of a huge page (x86-64, and aarch64 with pages of 4 kB).
const HUGE_PAGE: usize = 2 << 20;

/// A slice of `f32` that begins on a cache line. A new one holds zeros.
pub struct Buffer {
    /// Dangling where the capacity is 0, else from [`Buffer::layout`] of the capacity.
    start: NonNull<f32>,
    /// At most the capacity.
    length: usize,
    /// Floats that fit into the memory; all of them have been written.
    capacity: usize,
}

// SAFETY: a buffer owns its memory, as a Vec does, and f32 is `Send`.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer only gives out `&[f32]`, which is `Sync`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `length` zeros.
    ///
    /// # Panics
    /// If the bytes are more than a slice can have.
    pub fn zeros(length: usize) -> Self {
        if length == 0 {
            return Self::default();
        }
        let layout = Self::layout(length);
        // SAFETY: `length` is not 0, so the layout has a size. A null pointer is handled. The zeros fill the whole memory, whose size
        // is that of the layout.
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

    /// Becomes `length` zeros. Takes new memory only if the old is too small.
    ///
    /// # Panics
    /// If the bytes are more than a slice can have.
    pub fn reset(&mut self, length: usize) {
        if length > self.capacity {
            // The old memory is freed before the new is taken.
            *self = Self::default();
            *self = Self::zeros(length);
        } else {
            self.length = length;
            self.fill(0.0);
        }
    }

    /// The memory of `length` floats.
    ///
    /// # Panics
    /// If the bytes are more than a slice can have.
    fn layout(length: usize) -> Layout {
        const TOO_LONG: &str = "a buffer has no more bytes than a slice can have";
        let bytes = length.checked_mul(size_of::<f32>()).expect(TOO_LONG);
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { LINE };
        Layout::from_size_align(bytes, align).expect(TOO_LONG)
    }
}

/// Asks for huge pages. Pages stay small if the system refuses or knows none.
fn ask_for_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= HUGE_PAGE {
        // SAFETY: `zeros` has just allocated these bytes, and this advice does not change what they hold.
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
            // SAFETY: `zeros` allocated the memory with this layout, and a buffer with a capacity is dropped once.
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
        // SAFETY: `length` is at most the capacity, and that many floats have been written (the fields say so). Without capacity the
        // pointer is dangling but aligned, and the length is 0.
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
        // SAFETY: the floats are there, as `deref` says, and `&mut self` is the only way to them.
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
