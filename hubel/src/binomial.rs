//! The binomial distribution: the tests of this library that count right and wrong answers.
use statrs::distribution::{Binomial, DiscreteCDF};

/// The probability of at most `successes` of `count`, each with probability `share`.
pub(crate) fn at_most(successes: usize, count: usize, share: f64) -> f64 {
    distribution(count, share).cdf(successes as u64)
}

/// The probability of at least `successes` of `count`, each with probability `share`.
pub(crate) fn at_least(successes: usize, count: usize, share: f64) -> f64 {
    match successes {
        0 => 1.0,
        _ => distribution(count, share).sf(successes as u64 - 1),
    }
}

fn distribution(count: usize, share: f64) -> Binomial {
    Binomial::new(share, count as u64).expect("a share is a probability")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_are_those_of_the_textbook() {
        for (computed, expected) in [
            (at_least(7, 10, 0.5), 0.171_875),
            (at_least(0, 10, 0.5), 1.0),
            (at_most(10, 10, 0.5), 1.0),
            (at_most(1, 3, 0.25), 0.843_75),
            (at_most(0, 3, 1.0), 0.0),
            (at_least(1, 3, 0.0), 0.0),
            (at_most(0, 0, 0.5), 1.0),
        ] {
            assert!((computed - expected).abs() < 1e-12, "{computed} {expected}");
        }
        // All terms together, also where single ones underflow.
        assert!((at_most(1023, 1024, 0.5) - 1.0).abs() < 1e-9);
        let split = at_most(99, 1024, 0.1) + at_least(100, 1024, 0.1);
        assert!((split - 1.0).abs() < 1e-12);
    }

    #[test]
    fn many_answers_lose_no_digits() {
        // Sums of all terms, in Python's integers.
        for (successes, count, expected) in [
            (4_902, 10_000, 0.025_585_345_384_148),
            (49_690, 100_000, 0.025_147_028_677_332),
        ] {
            let computed = at_most(successes, count, 0.5);
            assert!((computed / expected - 1.0).abs() < 1e-9, "{computed}");
        }
    }
}
