//! Worker threads read, decode and augment batches while training computes.
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::Result;
use crate::data::{BadFile, Feed};

/// A prepared batch.
pub(crate) struct Batch {
    /// Its epoch, counted from 1; 0 means no augmentation.
    pub(crate) epoch: usize,
    /// Its step in the epoch, counted from 0.
    pub(crate) step: usize,
    /// Its draws, see [`Feed::order`].
    pub(crate) draws: Vec<usize>,
    /// `[n, h, w, c]`
    pub(crate) images: Vec<f32>,
    /// Pictures that could no longer be read; others have taken their places.
    pub(crate) bad_files: Vec<BadFile>,
}

/// The most bytes of prepared images. Each thread has three batches: one in preparation, one ready, one in use by training.
pub(crate) fn most_bytes(feed: &Feed, threads: usize) -> usize {
    let image = feed.preparation().shape.len() * size_of::<f32>();
    3 * threads * feed.batch_size() * image
}

/// Prepares the batches of these epochs on `threads` threads. Gives them to `take` in order, each with the time spent waiting for it,
/// until `take` breaks off. At most two batches per thread are ready at a time.
///
/// # Errors
/// Those of `take` and [`Feed::fill`].
pub(crate) fn batches(
    feed: &Feed,
    epochs: Range<usize>,
    threads: usize,
    mut take: impl FnMut(&Batch, Duration) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let steps = feed.steps();
    std::thread::scope(|scope| {
        // Thread t prepares batches t, t + threads, …; a batch does not depend on its thread.
        let workers: Vec<(Receiver<Result<Batch>>, SyncSender<Batch>)> = (0..threads)
            .map(|first| {
                let (ready, receiver) = sync_channel(1);
                let (give_back, used) = sync_channel(2);
                let epochs = epochs.clone();
                scope.spawn(move || prepare(feed, epochs, (first, threads), &ready, &used));
                (receiver, give_back)
            })
            .collect();
        for number in 0..epochs.len() * steps {
            let (receiver, give_back) = &workers[number % threads];
            let start = Instant::now();
            let batch = receiver
                .recv()
                .expect("a worker sends all its batches, or an error")?;
            let waited = start.elapsed();
            if take(&batch, waited)?.is_break() {
                break;
            }
            // Fails if the worker has finished; then the memory is freed.
            let _ = give_back.try_send(batch);
        }
        Ok(())
    })
}

/// The work of one thread: prepares every `threads`-th batch, and reuses the memory of earlier ones.
fn prepare(
    feed: &Feed,
    epochs: Range<usize>,
    (first, threads): (usize, usize),
    ready: &SyncSender<Result<Batch>>,
    used: &Receiver<Batch>,
) {
    let (steps, length) = (feed.steps(), feed.preparation().shape.len());
    let mut order = (None, Vec::new());
    for number in (first..epochs.len() * steps).step_by(threads) {
        let (epoch, step) = (epochs.start + number / steps, number % steps);
        if order.0 != Some(epoch) {
            order = (Some(epoch), feed.order(epoch));
        }
        let mut draws = feed.step(&order.1, step).to_vec();
        let used = used.try_recv().map(|batch| batch.images);
        let mut images = used.unwrap_or_default();
        images.resize(draws.len() * length, 0.0);
        let batch = feed.fill(epoch, &mut draws, &mut images).map(|bad_files| {
            feed.mix(epoch, step, &mut images);
            Batch {
                epoch,
                step,
                draws,
                images,
                bad_files,
            }
        });
        let failed = batch.is_err();
        // Sending fails if training has been broken off.
        if ready.send(batch).is_err() || failed {
            return;
        }
    }
}
