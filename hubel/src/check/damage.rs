//! `unreadable`, `truncated` and `frame-numbers`. Decoders fill missing parts with grey, so files are also checked up to their ends.
use crate::check::examine::{Samples, Seen};
use crate::check::{Finding, Kind};

/// Why a file cannot be used.
pub(super) enum Damage {
    Unreadable(String),
    Truncated(String),
}

/// A finding for each damaged file, and for each clip with unusual frame numbers.
pub(super) fn findings(samples: &Samples) -> Vec<Finding> {
    let found = samples.all.iter().filter_map(|sample| {
        let (kind, detail) = match &sample.seen {
            Seen::Whole(facts) => (Kind::FrameNumbers, facts.odd_frames.as_ref()?),
            Seen::Damaged(Damage::Unreadable(why)) => (Kind::Unreadable, why),
            Seen::Damaged(Damage::Truncated(why)) => (Kind::Truncated, why),
        };
        Some(Finding {
            kind,
            paths: vec![sample.name.clone()],
            detail: detail.clone(),
            points: None,
        })
    });
    found.collect()
}
