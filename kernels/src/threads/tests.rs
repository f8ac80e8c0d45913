use std::time::Duration;

use super::*;

/// How often each of `tasks` tasks ran.
fn runs(threads: &Threads, tasks: usize) -> Vec<usize> {
    let runs: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    threads.run(tasks, &|i| {
        runs[i].fetch_add(1, Ordering::Relaxed);
    });
    runs.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_task_runs_once_for_any_number_of_threads() {
    for count in [1, 2, 3, 4, 7] {
        let threads = Threads::new(count);
        for tasks in [0, 1, 2, 3, 64, 1000] {
            assert_eq!(runs(&threads, tasks), vec![1; tasks]);
        }
    }
}

#[test]
fn more_tasks_than_a_ticket_counts_run_once_each() {
    let tasks = 2 * MOST_TASKS + 3;
    for count in [1, 3] {
        let threads = Threads::new(count);
        let runs = runs(&threads, tasks);
        assert_eq!(runs.len(), tasks);
        assert!(runs.iter().all(|runs| *runs == 1));
    }
}

/// The panic of an early region does not keep the later ones from running.
#[test]
fn a_panic_among_very_many_tasks_comes_after_the_others() {
    let (threads, tasks) = (Threads::new(2), MOST_TASKS + 1);
    let others = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        threads.run(tasks, &|task| {
            assert_ne!(task, 5, "planted");
            others.fetch_add(1, Ordering::Relaxed);
        });
    }));
    assert!(caught.is_err());
    assert_eq!(others.into_inner(), tasks - 1);
    assert_eq!(runs(&threads, 8), [1; 8]);
}

#[test]
fn more_threads_than_the_machine_has_are_only_slower() {
    let count = 4 * crate::Cpu::available_threads() + 1;
    let threads = Threads::new(count);
    assert_eq!(threads.count(), count);
    for tasks in [2, count - 1, count, 10 * count] {
        assert_eq!(runs(&threads, tasks), vec![1; tasks]);
    }
}

#[test]
fn sleeping_workers_do_not_lose_a_region() {
    let threads = Threads::new(3);
    for pause in [0, 1, 5] {
        thread::sleep(Duration::from_millis(pause));
        let arrived = AtomicUsize::new(0);
        // Each task waits for the others, so it takes all three threads to end the region.
        threads.run(3, &|_| {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < 3 {
                thread::yield_now();
            }
        });
        assert_eq!(arrived.into_inner(), 3);
    }
}

#[test]
fn callers_on_several_threads_take_turns() {
    let threads = Threads::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(runs(&threads, 10), [1; 10]);
                }
            });
        }
    });
}

#[test]
fn a_region_within_a_region_runs_on_the_thread_that_asked() {
    let threads = Threads::new(3);
    let inner = AtomicUsize::new(0);
    threads.run(4, &|_| {
        let asking = thread::current().id();
        let next = AtomicUsize::new(0);
        threads.run(5, &|i| {
            assert_eq!(thread::current().id(), asking);
            assert_eq!(next.fetch_add(1, Ordering::Relaxed), i);
            inner.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(next.into_inner(), 5);
    });
    assert_eq!(inner.into_inner(), 20);
}

#[test]
fn a_panic_reaches_the_caller_after_the_other_tasks_and_the_pool_goes_on() {
    for count in [2, 4] {
        let threads = Threads::new(count);
        for culprit in [0, 5, 7] {
            let others = AtomicUsize::new(0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                threads.run(8, &|i| {
                    assert_ne!(i, culprit, "planted");
                    others.fetch_add(1, Ordering::Relaxed);
                });
            }));
            assert!(caught.is_err());
            assert_eq!(others.into_inner(), 7);
            assert_eq!(runs(&threads, 8), [1; 8]);
        }
        // A panic in an inner region is one of the outer region's task.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            threads.run(2, &|_| threads.run(2, &|i| assert_ne!(i, 1, "planted")));
        }));
        assert!(caught.is_err());
        assert_eq!(runs(&threads, 8), [1; 8]);
    }
}

#[test]
fn an_idle_pool_ends_whether_its_threads_sleep_or_not() {
    for pause in [0, 5] {
        let threads = Threads::new(3);
        thread::sleep(Duration::from_millis(pause));
        drop(threads);
    }
}
