//! Near-duplicates in a data set.
use std::collections::HashSet;

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
            // Their fingerprints have no appearance.
            Pixels::Sounds(_) => Likenesses::of_equal(&self.contents().collect::<Vec<u64>>()),
            _ => Likenesses::of(&self.fingerprints()),
        }
    }

    /// For each sample, the index of the first of its near-duplicates, which may be itself.
    pub fn groups(&self) -> Vec<usize> {
        self.likenesses().same
    }

    /// The indices of the samples without near-duplicates of earlier ones.
    pub fn distinct(&self) -> Vec<usize> {
        let same = self.groups().into_iter().enumerate();
        same.filter(|(index, first)| index == first)
            .map(|(index, _)| index)
            .collect()
    }

    /// The samples whose contents are not among those of `other`.
    pub fn without(&self, other: &Self) -> Self {
        let others: HashSet<u64> = other.contents().collect();
        let contents = self.contents().enumerate();
        let own = contents.filter(|(_, content)| !others.contains(content));
        self.subset(&own.map(|(index, _)| index).collect::<Vec<usize>>())
    }
}

/// Samples whose fingerprints are computed per work item, because each takes microseconds.
const ROWS: usize = 256;
