//! Near-duplicates in a data set.
use std::collections::HashMap;

use crate::data::fingerprint::{Fingerprint, Likenesses, is_small};
use crate::data::{Dataset, Pixels};
use crate::on_all_cores::on_all_cores;

impl Dataset {
    /// The hash of each sample's contents: of its file, or of its pixels if it has no file.
    pub(crate) fn contents(&self) -> impl Iterator<Item = u64> {
        let content = |row: &usize| self.pixels.content(*row, self.shape);
        self.rows.iter().map(content)
    }

    /// The fingerprint of each sample: of its file, or of its pixels if it has no file.
    pub(crate) fn fingerprints(&self) -> Vec<Fingerprint> {
        let of_rows = |rows: &[usize]| -> Vec<Fingerprint> {
            let rows = rows.iter();
            rows.map(|&row| self.pixels.fingerprint(row, self.shape))
                .collect()
        };
        on_all_cores(self.rows.chunks(ROWS), of_rows, |_| ()).concat()
    }

    /// Groups of samples that stay together when data is divided, and count as one in a score. For small grey arrays, only equal samples form a group:
    /// such pictures are too similar to each other to recognise copies.
    pub(crate) fn likenesses(&self) -> Likenesses {
        match &self.pixels {
            Pixels::Bytes(_) if self.shape.channels == 1 && is_small(self.shape) => {
                let contents: Vec<u64> = self.contents().collect();
                Likenesses::of_equal(&contents)
            }
            _ => Likenesses::of(&self.fingerprints()),
        }
    }

    /// The effective number of independent samples, given groups of near-duplicates: n²/Σm² for groups of m
    /// (Kish, "Survey Sampling", 1965).
    pub(crate) fn independent(&self) -> f64 {
        let mut sizes = HashMap::new();
        for group in self.likenesses().same {
            *sizes.entry(group).or_insert(0.0) += 1.0;
        }
        // Integers, so the order does not matter.
        let squares: f64 = sizes.values().map(|size: &f64| size * size).sum();
        (self.len() as f64).powi(2) / squares.max(1.0)
    }
}

/// Samples whose fingerprints are computed per work item, because each takes microseconds.
const ROWS: usize = 256;
