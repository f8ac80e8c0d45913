//! Parallel work outside the kernels: reading, decoding, comparing.
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubel_kernels::Cpu;

/// The results of `work` for the items, in their order. Each core takes one item at a time, so that no core
/// waits for another with larger items. Several threads call `done` after each item with the number of finished items.
pub(crate) fn on_all_cores<I, T: Send>(
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> T + Sync,
    done: impl Fn(usize) + Sync,
) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = items.size_hint().1.map_or(cores, |most| most.min(cores));
    let items = Mutex::new(items.enumerate());
    let finished = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = items.lock().expect("an iterator does not panic").next();
                    let Some((place, item)) = next else {
                        return;
                    };
                    let result = work(item);
                    done(finished.fetch_add(1, Ordering::Relaxed) + 1);
                    let mut results = results.lock().expect("pushing does not panic");
                    results.push((place, result));
                }
            });
        }
    });
    in_order(results)
}

/// The results of `work` for the images of a batch, in their order. Threads of `cpu` call it with the index of an image and its `length` values.
pub(crate) fn on_each_image<T: Send>(
    cpu: &Cpu,
    images: &mut [f32],
    length: usize,
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let results = Mutex::new(Vec::with_capacity(images.len() / length));
    cpu.parallel_chunks(images, length, |place, image| {
        let result = work(place, image);
        let mut results = results.lock().expect("pushing does not panic");
        results.push((place, result));
    });
    in_order(results)
}

fn in_order<T>(results: Mutex<Vec<(usize, T)>>) -> Vec<T> {
    let mut results = results.into_inner().expect("pushing does not panic");
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_all_are_counted() {
        let largest = AtomicUsize::new(0);
        let squares = on_all_cores(
            0..1000usize,
            |number| number * number,
            |done| {
                largest.fetch_max(done, Ordering::Relaxed);
            },
        );
        assert!(
            squares
                .into_iter()
                .eq((0..1000).map(|number| number * number))
        );
        assert_eq!(largest.into_inner(), 1000);
    }
}
