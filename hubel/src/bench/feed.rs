//! Measures how fast batches are prepared.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::data::{Feed, loader};

/// Prepares batches of `feed` (reading, decoding, augmenting, normalising) on `threads` threads for about `seconds`, but at least one
/// epoch, without training. Returns the number of prepared images and the time.
///
/// # Errors
/// If a picture can no longer be read, whatever the policy for bad files.
pub fn feed(feed: &Feed, threads: usize, seconds: f64) -> Result<(usize, Duration)> {
    let start = Instant::now();
    let mut done = (0, Duration::ZERO);
    let feed = Arc::new(feed.clone());
    loader::batches(&feed, 1..usize::MAX / feed.images(), threads, |batch| {
        if let Some(bad) = batch.bad_files.first() {
            return Err(bad.clone().into());
        }
        done = (done.0 + batch.draws.len(), start.elapsed());
        let enough = done.0 >= feed.images() && done.1.as_secs_f64() >= seconds;
        Ok(match enough {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    })?;
    // Batches that are prepared after the last one do not count.
    Ok(done)
}
