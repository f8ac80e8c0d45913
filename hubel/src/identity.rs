//! Identities, by which a [`Workspace`](crate::Workspace) recognises its plan and its packed weights.
use std::sync::atomic::{AtomicU64, Ordering};

/// The identity of a plan, or of the values of parameters. Unique in a process; only copies are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64);

impl Identity {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Threads may get their numbers in any order; they only need to differ.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
