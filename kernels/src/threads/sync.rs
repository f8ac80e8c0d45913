//! The synchronisation types of `threads.rs`: those of std, or those of loom for the models in `threads/models.rs`.
#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::{Condvar, Mutex, atomic};
    pub(crate) use std::{thread, thread_local};

    /// `std::cell::UnsafeCell` with the interface of loom's.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `body` with the value's address, for reading.
        #[inline(always)]
        pub(crate) fn with<R>(&self, body: impl FnOnce(*const T) -> R) -> R {
            body(self.0.get())
        }

        /// Calls `body` with the value's address, for writing.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, body: impl FnOnce(*mut T) -> R) -> R {
            body(self.0.get())
        }
    }
}

#[cfg(all(test, loom))]
mod real {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::{Condvar, Mutex, atomic};
    pub(crate) use loom::thread;

    /// loom's macro takes no `const` initialiser.
    macro_rules! thread_local_of_loom {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = const { $initial:expr };) => {
            loom::thread_local! { $(#[$attribute])* static $name: $type = $initial; }
        };
    }
    pub(crate) use thread_local_of_loom as thread_local;
}

pub(super) use real::*;
