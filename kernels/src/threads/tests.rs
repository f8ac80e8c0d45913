use super::*;

#[test]
fn every_task_runs_once_for_any_number_of_threads() {
    for count in [1, 2, 3, 4, 7] {
        let threads = Threads::new(count);
        for tasks in [0, 1, 2, 3, 64, 1000] {
            let runs: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            threads.run(tasks, &|i| {
                runs[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        }
    }
}

#[test]
fn sleeping_workers_do_not_lose_a_region() {
    let threads = Threads::new(3);
    for pause in [0, 1, 5] {
        std::thread::sleep(std::time::Duration::from_millis(pause));
        let sum = AtomicUsize::new(0);
        threads.run(100, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}

#[test]
fn regions_nest_and_panics_reach_the_caller() {
    let threads = Threads::new(2);
    let count = AtomicUsize::new(0);
    threads.run(4, &|_| {
        threads.run(4, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        })
    });
    assert_eq!(count.load(Ordering::Relaxed), 16);
    let caught = catch_unwind(AssertUnwindSafe(|| threads.run(8, &|i| assert_ne!(i, 5))));
    assert!(caught.is_err());
    threads.run(8, &|_| ());
}
