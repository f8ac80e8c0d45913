//! Worker threads read, decode and augment batches while training computes.
use std::ops::{ControlFlow, Range};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
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

/// Threads that prepare the batches of a feed in advance. At most two batches per thread are ready at a time. When it is dropped, the threads end.
pub(crate) struct Loader {
    workers: Vec<Worker>,
    /// Number of batches taken so far.
    taken: usize,
    /// Number of all batches.
    count: usize,
}

/// A thread, and the channels to it.
struct Worker {
    /// In a mutex, so that the loader is `Sync`; only `&mut self` receives.
    ready: Mutex<Receiver<Result<Batch>>>,
    used: SyncSender<Batch>,
    thread: JoinHandle<()>,
}

/// The batches of all threads.
#[derive(Clone)]
struct Batches {
    feed: Arc<Feed>,
    first_epoch: usize,
    /// They are counted from the first step of the first epoch.
    numbers: Range<usize>,
    threads: usize,
}

impl Loader {
    /// Prepares the batches of these epochs on `threads` threads, without the first `skipped` batches.
    pub(crate) fn start(
        feed: &Arc<Feed>,
        epochs: Range<usize>,
        skipped: usize,
        threads: usize,
    ) -> Self {
        let batches = Batches {
            feed: feed.clone(),
            first_epoch: epochs.start,
            numbers: skipped..epochs.len().saturating_mul(feed.steps()),
            threads,
        };
        let count = batches.numbers.len();
        let workers = (0..threads).map(|turn| {
            let (sender, ready) = sync_channel(1);
            let (used, receiver) = sync_channel(2);
            let batches = batches.clone();
            Worker {
                ready: Mutex::new(ready),
                used,
                thread: std::thread::spawn(move || batches.prepare(turn, &sender, &receiver)),
            }
        });
        Self {
            workers: workers.collect(),
            taken: 0,
            count,
        }
    }

    /// The next batch and the time spent waiting for it; `None` after the last.
    ///
    /// # Errors
    /// Those of [`Feed::fill`]. There is no further batch then.
    pub(crate) fn next(&mut self) -> Result<Option<(Batch, Duration)>> {
        if self.taken == self.count {
            return Ok(None);
        }
        let turn = self.taken % self.workers.len();
        let ready = self.workers[turn].ready.get_mut();
        let start = Instant::now();
        let batch = ready
            .expect("no thread panics while it receives")
            .recv()
            .expect("a worker sends all its batches, or an error");
        match batch {
            Ok(batch) => {
                self.taken += 1;
                Ok(Some((batch, start.elapsed())))
            }
            Err(error) => {
                self.taken = self.count;
                Err(error)
            }
        }
    }

    /// Gives the memory of the last batch back to its thread.
    pub(crate) fn give_back(&mut self, batch: Batch) {
        let worker = &self.workers[(self.taken + self.workers.len() - 1) % self.workers.len()];
        // Fails if the thread has finished; then the memory is freed.
        let _ = worker.used.try_send(batch);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for Worker { ready, thread, .. } in self.workers.drain(..) {
            // The thread ends when nobody receives its next batch.
            drop(ready);
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a thread that prepares batches has panicked");
            }
        }
    }
}

impl Batches {
    /// The work of one thread: prepares every `threads`-th batch, and reuses the memory of earlier ones. A batch does not depend on its thread.
    fn prepare(self, turn: usize, ready: &SyncSender<Result<Batch>>, used: &Receiver<Batch>) {
        let feed = &self.feed;
        let (steps, length) = (feed.steps(), feed.preparation().shape.len());
        let mut order = (None, Vec::new());
        for number in self.numbers.skip(turn).step_by(self.threads) {
            let (epoch, step) = (self.first_epoch + number / steps, number % steps);
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
            // Sending fails if nobody wants further batches.
            if ready.send(batch).is_err() || failed {
                return;
            }
        }
    }
}

/// Prepares the batches of these epochs on `threads` threads. Gives them to `take` in order, until `take` breaks off.
///
/// # Errors
/// Those of `take` and [`Feed::fill`].
pub(crate) fn batches(
    feed: &Arc<Feed>,
    epochs: Range<usize>,
    threads: usize,
    mut take: impl FnMut(&Batch) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut loader = Loader::start(feed, epochs, 0, threads);
    while let Some((batch, _)) = loader.next()? {
        if take(&batch)?.is_break() {
            break;
        }
        loader.give_back(batch);
    }
    Ok(())
}
