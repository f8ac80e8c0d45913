//! Batches prepared ahead by threads of their own, while training computes: reading, decoding and augmenting overlap with it.
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::Result;
use crate::data::{BadFile, Feed};

/// A batch that is ready for the network.
pub(crate) struct Batch {
    /// Its epoch, counted from 1; 0 where images are to be as they are.
    pub(crate) epoch: usize,
    /// Its step in the epoch, counted from 0.
    pub(crate) step: usize,
    /// What was drawn; see [`Feed::order`].
    pub(crate) draws: Vec<usize>,
    /// `[n, h, w, c]`
    pub(crate) images: Vec<f32>,
    /// Pictures that could no longer be read, for which others stand in.
    pub(crate) bad_files: Vec<BadFile>,
}

/// The most bytes that images take on their way: of each thread a batch in the making, one that waits and one that training looks at.
pub(crate) fn most_bytes(feed: &Feed, threads: usize) -> usize {
    let image = feed.preparation().shape.len() * size_of::<f32>();
    3 * threads * feed.batch_size() * image
}

/// Prepares the batches of these epochs on `threads` threads and gives them to `take` in order, with the time it had to be
/// waited for each, until `take` breaks off. At most two batches for each thread lie ready, whatever the size of the data.
///
/// # Errors
/// That of `take`, and of [`Feed::fill`].
pub(crate) fn batches(
    feed: &Feed,
    epochs: Range<usize>,
    threads: usize,
    mut take: impl FnMut(&Batch, Duration) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let steps = feed.steps();
    std::thread::scope(|scope| {
        // Thread t prepares batches t, t + threads, …: which thread it is decides nothing about a batch.
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
            // A worker that has finished needs no memory any more.
            let _ = give_back.try_send(batch);
        }
        Ok(())
    })
}

/// The work of one thread: every `threads`-th batch, into memory that was used before where there is some.
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
        let batch = feed
            .fill(epoch, &mut draws, &mut images)
            .map(|bad_files| Batch {
                epoch,
                step,
                draws,
                images,
                bad_files,
            });
        let failed = batch.is_err();
        // Nobody takes batches any more when training has been broken off.
        if ready.send(batch).is_err() || failed {
            return;
        }
    }
}
