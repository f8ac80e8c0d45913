//! Brings recordings to one length.

/// The samples at `length`: a shorter recording is centred between zeros (the odd zero is at the end); of a longer one, the
/// loudest stretch is kept.
pub(crate) fn fit(samples: &[f32], length: usize) -> Vec<f32> {
    let start = start(samples, length);
    if samples.len() >= length {
        return samples[start as usize..][..length].to_vec();
    }
    let mut padded = vec![0.0; length];
    padded[start.unsigned_abs()..][..samples.len()].copy_from_slice(samples);
    padded
}

/// The place in `samples` where those of [`fit`] begin; negative if zeros stand before them.
pub(crate) fn start(samples: &[f32], length: usize) -> isize {
    match samples.len() >= length {
        true => loudest(samples, length) as isize,
        false => -(((length - samples.len()) / 2) as isize),
    }
}

/// The start of the stretch of `length` samples with the greatest energy; the earliest of equals. Takes time proportional to
/// the number of samples.
///
/// # Panics
/// If there are fewer samples than `length`.
pub(crate) fn loudest(samples: &[f32], length: usize) -> usize {
    assert!(length <= samples.len(), "a stretch within the recording");
    let energy = |sample: &f32| f64::from(*sample).powi(2);
    let mut sum: f64 = samples[..length].iter().map(energy).sum();
    let (mut best, mut largest) = (0, sum);
    // A stretch must be louder than by rounding errors, or silence after a loud sound would count as louder silence.
    let tolerance = 1e-12 * samples.iter().map(energy).sum::<f64>();
    for (start, (old, new)) in samples.iter().zip(&samples[length..]).enumerate() {
        sum += energy(new) - energy(old);
        if sum > largest + tolerance {
            (best, largest) = (start + 1, sum);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_recordings_are_centred() {
        assert_eq!(fit(&[1.0, 2.0], 5), [0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!(fit(&[], 2), [0.0, 0.0]);
        assert_eq!(fit(&[1.0, 2.0], 2), [1.0, 2.0]);
        assert_eq!(start(&[1.0, 2.0], 5), -1);
        assert_eq!(start(&[0.0, 0.0, 1.0, 2.0], 2), 2);
    }

    #[test]
    fn long_recordings_keep_their_loudest_stretch() {
        assert_eq!(fit(&[0.0, 0.1, -0.9, 0.5, 0.0], 2), [-0.9, 0.5]);
        assert!(fit(&[0.5; 9], 0).is_empty());
        assert_eq!(loudest(&[0.25; 100], 10), 0);
        assert_eq!(loudest(&[0.0, 1.0, 0.0, 1.0, 0.0], 2), 0);
    }

    proptest! {
        #[test]
        fn no_stretch_is_louder(
            samples in prop::collection::vec(-1.0_f32..1.0, 1..200),
            share in 0.0_f64..1.0,
        ) {
            let length = (share * samples.len() as f64) as usize;
            let energy = |start: usize| -> f64 {
                samples[start..start + length].iter().map(|sample| f64::from(*sample).powi(2)).sum()
            };
            let found = energy(loudest(&samples, length));
            for start in 0..=samples.len() - length {
                prop_assert!(energy(start) <= found + 1e-9);
            }
        }
    }
}
