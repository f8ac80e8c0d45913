//! Holding samples out: stratified, and decided by the seed alone.
use crate::data::Dataset;
use crate::{Error, Purpose, Random, Result};

impl Dataset {
    /// Divides the data set into a part to train on and `validation` samples to judge by: `(train, validation)`.
    /// Each class keeps its share (to one sample); the same seed gives the same division; both parts keep the order.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] when `validation` would leave nothing to train on.
    pub fn split(&self, validation: usize, seed: u64) -> Result<(Self, Self)> {
        if validation >= self.len() {
            return Err(Error::DataMismatch(format!(
                "cannot hold {validation} of {} samples out for validation: nothing would be left to train on",
                self.len()
            )));
        }
        let mut members = vec![Vec::new(); self.classes().len()];
        for (index, &label) in self.labels().iter().enumerate() {
            members[label].push(index);
        }
        let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
        let mut held_out = vec![false; self.len()];
        for (class, (members, share)) in members
            .iter_mut()
            .zip(shares(&sizes, validation))
            .enumerate()
        {
            Random::new(seed)
                .stream(Purpose::Split, 0, class as u64)
                .shuffle(members);
            members[..share]
                .iter()
                .for_each(|&index| held_out[index] = true);
        }
        let part = |held: bool| -> Vec<usize> {
            (0..self.len())
                .filter(|&index| held_out[index] == held)
                .collect()
        };
        Ok((self.subset(&part(false)), self.subset(&part(true))))
    }
}

/// `total` divided in proportion to `sizes` by largest remainders; never more than a size.
fn shares(sizes: &[usize], total: usize) -> Vec<usize> {
    let all: u128 = sizes.iter().map(|&size| size as u128).sum::<u128>().max(1);
    let exact = |size: usize| size as u128 * total as u128;
    let mut shares: Vec<usize> = sizes
        .iter()
        .map(|&size| (exact(size) / all) as usize)
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(exact(sizes[class]) % all));
    let missing = total - shares.iter().sum::<usize>();
    for &class in order.iter().take(missing) {
        shares[class] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_add_up_and_are_proportional(sizes in prop::collection::vec(0usize..500, 1..20), share in 0.0f64..1.0) {
            let all: usize = sizes.iter().sum();
            let total = (all as f64 * share) as usize;
            let shares = shares(&sizes, total);
            prop_assert_eq!(shares.iter().sum::<usize>(), total);
            for (share, size) in shares.iter().zip(&sizes) {
                prop_assert!(share <= size);
                let exact = *size as f64 * total as f64 / all.max(1) as f64;
                prop_assert!((*share as f64 - exact).abs() < 1.0 + 1e-9);
            }
        }
    }
}

/// TEMPORARY
pub(crate) fn assign(
    labels: &[usize],
    fingerprints: &[crate::data::fingerprint::Fingerprint],
    validation: f64,
    test: f64,
    seed: u64,
) -> Vec<crate::data::Part> {
    let _ = labels;
    fingerprints
        .iter()
        .map(|f| {
            let u = Random::new(seed ^ f.content)
                .stream(Purpose::Split, 0, 0)
                .uniform() as f64;
            if u < test {
                crate::data::Part::Test
            } else if u < test + validation {
                crate::data::Part::Validation
            } else {
                crate::data::Part::Train
            }
        })
        .collect()
}
