//! How a [`Workspace`](crate::Workspace) knows what it was made and packed for.
use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of a plan, or of the values of parameters. No two of a process are equal but by copying one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64);

impl Identity {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // The order of two threads does not matter, only that their numbers differ.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
