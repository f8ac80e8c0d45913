//! loom tries every order of the threads, and every value that a load may see, on small pools:
//!
//!     RUSTFLAGS="--cfg loom" cargo test --package hubel-kernels --lib --target-dir target/loom threads::models
//!
//! loom itself fails a model where all threads wait, where two touch a cell at once, or where one yields for ever.
use std::sync::Arc;

use super::Threads;
use super::sync::{Condvar, Mutex, UnsafeCell, thread};

/// Preemptions in one run of a model of two threads. The models take seconds with this many, minutes with one more.
/// The environment variable `LOOM_MAX_PREEMPTIONS` overrules this constant and the next.
const OF_TWO: usize = 3;
/// Preemptions in one run of a model of three threads, which have many more orders.
const OF_THREE: usize = 2;

fn model(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// A count for each task, without any lock. loom notices two threads that touch one at a time, and a caller that reads a count
/// before the thread that wrote it is known to be done.
struct Results(Vec<UnsafeCell<usize>>);

// SAFETY: no two threads touch one cell at a time. The models test exactly this, and loom's cells check each access.
unsafe impl Sync for Results {}

impl Results {
    fn new(tasks: usize) -> Self {
        Self((0..tasks).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, task: usize, value: usize) {
        // SAFETY: one thread alone runs `task`; loom's cell checks it.
        self.0[task].with_mut(|result| unsafe { *result += value });
    }

    fn assert_all(&self, value: usize) {
        for result in &self.0 {
            // SAFETY: the region is over, so no thread writes; loom's cell checks it.
            assert_eq!(result.with(|result| unsafe { *result }), value);
        }
    }
}

/// A region in which each task runs once and the caller sees what it wrote.
fn run_and_check(threads: &Threads, tasks: usize) {
    let results = Results::new(tasks);
    threads.run(tasks, &|task| results.add(task, 1));
    results.assert_all(1);
}

#[test]
fn each_task_runs_once_and_the_caller_sees_what_it_wrote() {
    model(OF_TWO, || run_and_check(&Threads::new(2), 2));
    model(OF_TWO, || run_and_check(&Threads::new(2), 3));
}

#[test]
fn three_threads_share_the_tasks() {
    model(OF_THREE, || run_and_check(&Threads::new(3), 2));
}

#[test]
fn regions_follow_one_another() {
    model(OF_TWO, || {
        let threads = Threads::new(2);
        let results = Results::new(2);
        threads.run(2, &|task| results.add(task, 1));
        results.assert_all(1);
        threads.run(2, &|task| results.add(task, 10));
        results.assert_all(11);
        drop(threads);
    });
}

#[test]
fn callers_take_turns() {
    model(OF_THREE, || {
        let threads = Arc::new(Threads::new(2));
        let other = {
            let threads = threads.clone();
            thread::spawn(move || run_and_check(&threads, 2))
        };
        run_and_check(&threads, 2);
        other.join().unwrap();
    });
}

#[test]
fn dropping_an_idle_pool_ends_its_threads() {
    model(OF_TWO, || drop(Threads::new(2)));
    model(OF_THREE, || drop(Threads::new(3)));
}

/// The caller could do all tasks alone, so a worker that sleeps through a region goes unnoticed, unless the tasks wait for
/// one another.
#[test]
fn no_wake_up_is_lost() {
    fn meet(threads: &Threads) {
        let (arrived, all_here) = (Mutex::new(0), Condvar::new());
        threads.run(2, &|_| {
            let mut arrived = arrived.lock().unwrap();
            *arrived += 1;
            all_here.notify_all();
            while *arrived < 2 {
                arrived = all_here.wait(arrived).unwrap();
            }
        });
    }
    model(OF_TWO, || meet(&Threads::new(2)));
    model(OF_TWO, || {
        let threads = Threads::new(2);
        meet(&threads);
        meet(&threads);
    });
}
