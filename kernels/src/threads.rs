//! The only file that knows how work is spread over threads.
//!
//! A region is a number of tasks and a function. Each thread has a share of the tasks, neighbours, so that it finds in its cache
//! what it wrote in the region before; who is done with its own takes from the others. Everything that threads must agree on
//! about a share lies in one atomic word, the *ticket*: the next task to take and the end (and a counter of regions, so that no
//! two tickets look alike by chance). A thread that moves `next` forward by compare-and-swap owns those tasks, and the region
//! cannot end before they do; so a worker that comes late or is not scheduled at all is never waited for.
//! Workers spin for some microseconds after a region, then sleep.
//!
//! No wake-up is lost: whoever opens a region (or stops the pool) first says so and then looks for sleepers, a worker first
//! says that it sleeps and then looks for a region, and a sequentially consistent fence stands between the two in both, so at
//! least one sees the other. `threads/models.rs` has loom try every order.
mod sync;

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use sync::thread::{self, JoinHandle};
use sync::{Condvar, Mutex, UnsafeCell, spin_loop, thread_local};

/// Polls of the ticket before a worker sleeps: about 50 µs, longer than the serial gap between two steps of a plan.
/// Under loom one says as much as many.
const SPINS: u32 = if cfg!(all(test, loom)) { 1 } else { 2000 };
const FIELD: u32 = 20;
const FIELD_MASK: u64 = (1 << FIELD) - 1;

type Body = *const (dyn Fn(usize) + Sync);

thread_local! {
    /// Whether this thread is already inside a region: a region within a region runs on the caller alone.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A thread takes one of so many parts of what is left of a share.
const PARTS: u64 = 4;

/// What is left of one thread's share, on a cache line of its own.
#[repr(align(64))]
struct Ticket(AtomicU64);

struct State {
    /// One for each thread. regions : 24 bits | end : 20 | next : 20
    tickets: Vec<Ticket>,
    /// Counts regions; changed after the tickets.
    region: AtomicU64,
    done: AtomicUsize,
    body: UnsafeCell<Option<Body>>,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleeping: AtomicUsize,
    gate: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `body` is written only by the thread that holds `Threads::region`, while no task is open, and read only by a
// thread that owns a task of the region it was written for.
unsafe impl Sync for State {}
// SAFETY: the pointer in `body` is to a `Sync` closure that outlives the region.
unsafe impl Send for State {}

impl State {
    /// Takes some tasks of a share of the open region, if any are left: the fewer the fewer are left, so that many small tasks are
    /// not as many disputes over the ticket and the threads still end together.
    fn take(&self, share: usize) -> Option<Range<usize>> {
        let word = &self.tickets[share].0;
        let mut ticket = word.load(Ordering::Acquire);
        loop {
            let (end, next) = ((ticket >> FIELD) & FIELD_MASK, ticket & FIELD_MASK);
            if next >= end {
                return None;
            }
            let count = ((end - next) / PARTS).max(1);
            match word.compare_exchange_weak(
                ticket,
                ticket + count,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(next as usize..(next + count) as usize),
                Err(now) => ticket = now,
            }
        }
    }

    /// Runs tasks until none is left, those of the share `own` first.
    fn work(&self, own: usize) {
        let shares = self.tickets.len();
        for share in (own..own + shares).map(|share| share % shares) {
            while let Some(tasks) = self.take(share) {
                self.run(tasks);
            }
        }
    }

    /// Runs tasks that this thread has taken.
    fn run(&self, tasks: Range<usize>) {
        // SAFETY: this thread owns the tasks, so the region is open and its closure alive until `done` counts them.
        let body = self
            .body
            .with(|body| unsafe { &*(*body).expect("an open region has a body") });
        let count = tasks.len();
        for task in tasks {
            if catch_unwind(AssertUnwindSafe(|| body(task))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
        }
        self.done.fetch_add(count, Ordering::Release);
    }

    fn worker(&self, own: usize) {
        INSIDE.with(|inside| inside.set(true));
        let mut seen = 0;
        let is_new = |seen: u64| self.region.load(Ordering::Acquire) != seen;
        loop {
            let mut spins = 0;
            while !is_new(seen) {
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                spins += 1;
                if spins < SPINS {
                    spin_loop();
                } else {
                    let mut guard = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
                    self.sleeping.fetch_add(1, Ordering::Relaxed);
                    fence(Ordering::SeqCst);
                    while !is_new(seen) && !self.stop.load(Ordering::Acquire) {
                        guard = self
                            .wake
                            .wait(guard)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                    self.sleeping.fetch_sub(1, Ordering::Relaxed);
                }
            }
            seen = self.region.load(Ordering::Acquire);
            self.work(own);
        }
    }

    /// Called after `region` or `stop` was stored.
    fn wake_sleepers(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            let _guard = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_all();
        }
    }
}

/// A pool of threads that run one region at a time.
pub(crate) struct Threads {
    state: Arc<State>,
    region: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Threads {
    /// `count` threads, of which the one that calls [`Threads::run`] is the first.
    pub(crate) fn new(count: usize) -> Self {
        assert!(count > 0, "at least one thread is needed");
        let state = Arc::new(State {
            tickets: (0..count).map(|_| Ticket(AtomicU64::new(0))).collect(),
            region: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            body: UnsafeCell::new(None),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleeping: AtomicUsize::new(0),
            gate: Mutex::new(()),
            wake: Condvar::new(),
        });
        let workers = (1..count)
            .map(|own| {
                let state = state.clone();
                thread::spawn(move || state.worker(own))
            })
            .collect();
        Self {
            state,
            region: Mutex::new(()),
            workers,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `body` for every task and returns when all have ended; within a task, on that task's thread alone, in order.
    ///
    /// # Panics
    /// If a task panicked, after the others have ended; with one thread or task, or within a task, at once.
    pub(crate) fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 || INSIDE.with(Cell::get) {
            return (0..tasks).for_each(body);
        }
        assert!((tasks as u64) < FIELD_MASK, "{tasks} tasks in one region");
        let _region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &*self.state;
        // SAFETY: only the lifetime is changed; the pointer is used by owners of a task alone, and this function waits for all.
        let lasting: Body =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Body>(body) };
        // SAFETY: the last region is over and the next not yet published, so no other thread looks at `body`.
        state.body.with_mut(|body| unsafe { *body = Some(lasting) });
        state.done.store(0, Ordering::Relaxed);
        let region = state.region.load(Ordering::Relaxed).wrapping_add(1);
        let shares = self.count();
        for (i, ticket) in state.tickets.iter().enumerate() {
            let (next, end) = (i * tasks / shares, (i + 1) * tasks / shares);
            let ticket_word = (region << (2 * FIELD)) | ((end as u64) << FIELD) | next as u64;
            ticket.0.store(ticket_word, Ordering::Release);
        }
        state.region.store(region, Ordering::Release);
        state.wake_sleepers();
        INSIDE.with(|inside| inside.set(true));
        state.work(0);
        INSIDE.with(|inside| inside.set(false));
        let mut spins = 0_u32;
        while state.done.load(Ordering::Acquire) < tasks {
            spins += 1;
            if spins < SPINS {
                spin_loop()
            } else {
                thread::yield_now()
            }
        }
        if state.panicked.swap(false, Ordering::Relaxed) {
            panic!("a task of a parallel region panicked");
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        self.state.wake_sleepers();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

/// A mutable slice of which several threads may hold parts that do not overlap.
#[derive(Debug)]
pub struct DisjointMut<'a, T> {
    start: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: parts handed out do not overlap (the contract of `slice`), so this is as good as sending `&mut [T]` parts.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for DisjointMut<'_, T> {}

impl<'a, T> DisjointMut<'a, T> {
    /// Takes `data` for as long as parts of it are handed out.
    pub fn new(data: &'a mut [T]) -> Self {
        Self {
            start: data.as_mut_ptr(),
            length: data.len(),
            lifetime: PhantomData,
        }
    }

    /// The part `range`.
    ///
    /// # Safety
    /// No two parts that are alive at one time overlap.
    ///
    /// # Panics
    /// If `range` does not lie within the slice.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "{range:?} of {}",
            self.length
        );
        // SAFETY: within the slice by the assertion; not aliased by the caller's promise.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start)
        }
    }

    /// The address of the first element, for kernels that write with strides.
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
