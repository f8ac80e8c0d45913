//! The only file that knows how work is spread over threads.
//!
//! A *region* is a number of tasks and a function. Each thread has a *share*: a range of neighbouring tasks. The thread finds in
//! its cache what it wrote in the region before. A thread that has finished its own share takes tasks from the others.
//!
//! The state of a share is one atomic word, the *ticket*: the next task to take, the end, and a counter of regions that keeps
//! old tickets from looking like new ones. A thread moves `next` forward by compare-and-swap and then owns the tasks that it
//! passed. The region ends when all owned tasks have ended, so nobody waits for a worker that comes late or never.
//! Workers spin for some microseconds after a region, then sleep.
//!
//! No wake-up is lost. Whoever opens a region or stops the pool first stores that, then looks for sleepers. A worker first
//! stores that it sleeps, then looks for a region. Both put a sequentially consistent fence between the two, so at least one
//! sees the other. In `threads/models.rs` loom tries every order.
mod sync;

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use sync::thread::{self, JoinHandle};
use sync::{Condvar, Mutex, UnsafeCell, spin_loop, thread_local};

/// Polls of the region counter before a worker sleeps: about 50 µs, longer than the serial gap between two steps of a plan.
/// Under loom one poll shows as much as many.
const SPINS: u32 = if cfg!(all(test, loom)) { 1 } else { 2000 };
/// Bits of a task's number in a ticket.
const FIELD: u32 = 20;
const FIELD_MASK: u64 = (1 << FIELD) - 1;
/// Tasks of the largest region; [`Threads::run`] opens several for more.
const MOST_TASKS: usize = FIELD_MASK as usize;

type Body = *const (dyn Fn(usize) + Sync);

thread_local! {
    /// Whether this thread is running a task. A region within a region runs on its caller alone.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A thread takes a quarter of what is left of a share.
const PARTS: u64 = 4;

/// What is left of one thread's share, on a cache line of its own.
#[repr(align(64))]
struct Ticket(AtomicU64);

struct State {
    /// One for each thread: region in 24 bits, end in 20, next in 20.
    tickets: Vec<Ticket>,
    /// Counts regions. Stored after the tickets.
    region: AtomicU64,
    /// Tasks of the open region that have ended.
    done: AtomicUsize,
    /// The function of the open region.
    body: UnsafeCell<Option<Body>>,
    /// Whether a task of the open region has panicked.
    panicked: AtomicBool,
    stop: AtomicBool,
    sleeping: AtomicUsize,
    gate: Mutex<()>,
    wake: Condvar,
}

// SAFETY: only `Threads::region` writes `body`, under the lock `Threads::turn` and while no task can be taken. Only `run` reads
// it, and its thread owns a task of the region for which `body` was written.
unsafe impl Sync for State {}
// SAFETY: the pointer in `body` is to a `Sync` closure that outlives the region (`Threads::region` waits for all tasks).
unsafe impl Send for State {}

impl State {
    /// Takes some tasks of a share of the open region; `None` if none are left. It takes many while many are left, so that small
    /// tasks cost few compare-and-swaps, and few towards the end, so that the threads end together.
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

    /// Runs tasks until none are left, those of the share `own` first.
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
        // SAFETY: `take` gave these tasks to this thread alone, so `Threads::region` wrote `body` before and keeps the closure
        // alive until `done` counts them below.
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

    /// Wakes the workers that sleep. The caller has stored `region` or `stop` before.
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
    /// Held by the caller whose regions are running.
    turn: Mutex<()>,
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
            turn: Mutex::new(()),
            workers,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `body` for every task and returns when all have ended. Within a task, or without workers, the calling thread runs
    /// them all, in order.
    ///
    /// # Panics
    /// If a task panicked: after the others have ended, or at once where the calling thread runs them all.
    pub(crate) fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 || INSIDE.with(Cell::get) {
            return (0..tasks).for_each(body);
        }
        let has_panicked = {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if tasks <= MOST_TASKS {
                self.region(tasks, body)
            } else {
                let mut has_panicked = false;
                for first in (0..tasks).step_by(MOST_TASKS) {
                    let count = MOST_TASKS.min(tasks - first);
                    has_panicked |= self.region(count, &|task| body(first + task));
                }
                has_panicked
            }
        };
        if has_panicked {
            panic!("a task of a parallel region panicked");
        }
    }

    /// Runs one region of at most [`MOST_TASKS`] tasks and returns whether one of them panicked. The caller holds `turn`.
    fn region(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) -> bool {
        debug_assert!(tasks <= MOST_TASKS);
        let state = &*self.state;
        // SAFETY: this changes nothing but the lifetime. Only `State::run` follows the pointer, for a task of this region, and
        // this function returns after the last of them.
        let lasting: Body =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Body>(body) };
        // SAFETY: all tasks of the last region have ended and the next tickets are not yet stored, so no other thread looks at
        // `body`.
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
        state.panicked.swap(false, Ordering::Relaxed)
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

// SAFETY: the parts do not overlap (the contract of `slice`), so sharing this sends `&mut [T]` parts to other threads, which
// `T: Send` allows.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}
// SAFETY: this stands for the `&mut [T]` that it was made from, which is `Send` where `T` is.
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
    #[allow(
        clippy::mut_from_ref,
        reason = "the contract says that parts do not overlap"
    )]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "{range:?} of {}",
            self.length
        );
        // SAFETY: the range lies within the slice by the assertion above, and no other part that is alive overlaps it by this
        // function's contract.
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
