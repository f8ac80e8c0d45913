//! Claims, and how measurements with several seeds decide them.
use std::fmt;

use serde::Serialize;

use crate::one_line::thousands;

/// A quantity measured once per seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// One value per seed, in the order of the seeds.
    pub values: Vec<f64>,
}

impl Sample {
    /// The mean; NaN if there are no values.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The standard deviation between seeds, with divisor n − 1; 0 for fewer than two values.
    pub fn deviation(&self) -> f64 {
        let (mean, count) = (self.mean(), self.values.len());
        if count < 2 {
            return 0.0;
        }
        let squares = self.values.iter().map(|value| (value - mean).powi(2));
        (squares.sum::<f64>() / (count - 1) as f64).sqrt()
    }

    /// The differences to `other`, seed by seed. Effects that both share for a seed cancel out.
    ///
    /// # Panics
    /// If the numbers of seeds differ.
    pub fn minus(&self, other: &Self) -> Self {
        assert_eq!(self.values.len(), other.values.len(), "seeds");
        let pairs = self.values.iter().zip(&other.values);
        pairs.map(|(own, other)| own - other).collect()
    }

    /// The 95 % confidence interval of the mean over infinitely many seeds: mean ± t·deviation/√n, with the quantile t of Student's
    /// distribution for n − 1 degrees of freedom. It is unbounded if there are fewer than two values, or if all are equal: then the spread is
    /// unknown, for example for accuracies on few pictures.
    pub fn interval(&self) -> Interval {
        let count = self.values.len();
        let deviation = self.deviation();
        if count < 2 || deviation == 0.0 {
            return Interval {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            };
        }
        let reach = student(count - 1) * deviation / (count as f64).sqrt();
        Interval {
            low: self.mean() - reach,
            high: self.mean() + reach,
        }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self {
            values: values.into_iter().collect(),
        }
    }
}

/// The 97.5 % quantile of Student's t distribution.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    ];
    if let Some(quantile) = freedom.checked_sub(1).and_then(|place| FEW.get(place)) {
        return *quantile;
    }
    // Cornish and Fisher's expansion around the normal quantile (Abramowitz and Stegun 26.7.5); from here on its error is below 0.0002.
    let (z, n) = (1.959_964_f64, freedom as f64);
    z + (z.powi(3) + z) / (4.0 * n)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * n.powi(3))
}

/// The values from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The region in which a value lies if the claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Above this value.
    Above(f64),
    /// At most this far from 0, which counts as no difference.
    Within(f64),
}

/// The verdict on a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds here.
    Holds,
    /// It does not hold here.
    DoesNotHold,
    /// The seeds do not decide it.
    Undecided,
}

impl Verdict {
    /// The rule of all experiments. A claim says that a value lies in a region. It holds if the whole 95 % interval of the value lies
    /// in the region. It does not hold if the whole interval lies outside. Otherwise it is undecided. A single seed, or seeds with equal
    /// values, have no spread and decide nothing.
    pub fn of(interval: Interval, region: Region) -> Self {
        let Interval { low, high } = interval;
        let (inside, outside) = match region {
            Region::Above(bound) => (low > bound, high <= bound),
            Region::Within(bound) => (low >= -bound && high <= bound, low > bound || high < -bound),
        };
        match (inside, outside) {
            (true, _) => Self::Holds,
            (_, true) => Self::DoesNotHold,
            _ => Self::Undecided,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Undecided => "undecided",
        })
    }
}

/// A claim of the tutorial, and its verdict here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// The claim, as a sentence.
    pub text: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, with the values.
    pub because: String,
    /// The measurement, if the claim was measured.
    pub numbers: Option<Numbers>,
}

/// The measurement that decides a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Numbers {
    /// The value for each seed.
    pub sample: Sample,
    /// The 95 % confidence interval of the mean.
    pub interval: Interval,
    /// The region in which it lies if the claim holds.
    pub region: Region,
}

impl Claim {
    /// The claim that a value, measured with each seed, lies in a region. `what` names the value, as in `the difference`. `unit` follows
    /// each value; it may be empty.
    pub fn measured(text: &str, what: &str, unit: &str, sample: &Sample, region: Region) -> Self {
        let interval = sample.interval();
        let verdict = Verdict::of(interval, region);
        let unit = match unit {
            "" => String::new(),
            unit => format!(" {unit}"),
        };
        let asked = match region {
            Region::Above(0.0) => "above 0".to_owned(),
            Region::Above(bound) => format!("above {bound}{unit}"),
            Region::Within(bound) => format!("between -{bound} and {bound}{unit}"),
        };
        let seeds = sample.values.len();
        let found = match seeds {
            0 | 1 => format!(
                "{what} is {:.2}{unit}; one seed has no spread, so use two seeds or more",
                sample.mean()
            ),
            _ if sample.deviation() == 0.0 => format!(
                "{what} is {:.2}{unit} with every seed, so its spread is unknown; use more data",
                sample.mean()
            ),
            _ => format!(
                "{what} is {:.2}{unit} (95 % confidence over {seeds} seeds: {:.2} to {:.2})",
                sample.mean(),
                interval.low,
                interval.high
            ),
        };
        Self {
            text: text.to_owned(),
            verdict,
            because: format!("{found}; it holds if all of that is {asked}"),
            numbers: Some(Numbers {
                sample: sample.clone(),
                interval,
                region,
            }),
        }
    }

    /// A claim that was computed exactly for `cases`, with `exceptions` among them. It is undecided without cases.
    pub fn computed(text: &str, what: &str, cases: usize, exceptions: usize) -> Self {
        Self {
            text: text.to_owned(),
            verdict: match (cases, exceptions) {
                (0, _) => Verdict::Undecided,
                (_, 0) => Verdict::Holds,
                _ => Verdict::DoesNotHold,
            },
            because: format!(
                "{} of {} {what}",
                thousands(cases - exceptions),
                thousands(cases)
            ),
            numbers: None,
        }
    }

    /// A claim that this data cannot decide, with the reason.
    pub fn undecided(text: &str, because: &str) -> Self {
        Self {
            text: text.to_owned(),
            verdict: Verdict::Undecided,
            because: because.to_owned(),
            numbers: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(values: &[f64]) -> Sample {
        values.iter().copied().collect()
    }

    #[test]
    fn the_interval_is_student_s() {
        // R: t.test(c(1, 2, 3, 4, 6)): 0.8116 to 5.5884.
        let interval = sample(&[1.0, 2.0, 3.0, 4.0, 6.0]).interval();
        assert!((interval.low - 0.811_6).abs() < 1e-3, "{interval:?}");
        assert!((interval.high - 5.588_4).abs() < 1e-3, "{interval:?}");
        // R: qt(0.975, c(10, 11, 30, 1000)).
        for (freedom, quantile) in [(10, 2.2281), (11, 2.2010), (30, 2.0423), (1000, 1.9623)] {
            assert!((student(freedom) - quantile).abs() < 2e-4, "{freedom}");
        }
    }

    #[test]
    fn a_claim_holds_fails_or_stays_open_by_where_the_interval_lies() {
        let verdict = |values: &[f64], region| Verdict::of(sample(values).interval(), region);
        let more = Region::Above(0.0);
        assert_eq!(verdict(&[1.0, 1.1, 0.9], more), Verdict::Holds);
        assert_eq!(verdict(&[-1.0, -1.1, -0.9], more), Verdict::DoesNotHold);
        assert_eq!(verdict(&[-1.0, 1.1, 0.9], more), Verdict::Undecided);
        assert_eq!(verdict(&[0.0, 0.0, 0.0], more), Verdict::Undecided);
        let none = Region::Within(0.5);
        assert_eq!(verdict(&[0.1, -0.1, 0.0], none), Verdict::Holds);
        assert_eq!(verdict(&[-1.0, -1.1, -0.9], none), Verdict::DoesNotHold);
        assert_eq!(verdict(&[0.5, 0.4, 0.6], none), Verdict::Undecided);
        for region in [more, none, Region::Above(-9.0)] {
            assert_eq!(verdict(&[7.0], region), Verdict::Undecided);
            assert_eq!(verdict(&[], region), Verdict::Undecided);
            // A loss that is NaN.
            assert_eq!(verdict(&[1.0, f64::NAN], region), Verdict::Undecided);
        }
    }

    proptest! {
        #[test]
        fn the_opposite_of_what_holds_does_not_hold(
            values in prop::collection::vec(-3.0..3.0f64, 2..8),
            bound in -1.0..1.0f64,
        ) {
            let own = Verdict::of(sample(&values).interval(), Region::Above(bound));
            let negated: Sample = values.iter().map(|value| -value).collect();
            let other = Verdict::of(negated.interval(), Region::Above(-bound));
            match own {
                Verdict::Holds => prop_assert_eq!(other, Verdict::DoesNotHold),
                Verdict::Undecided => prop_assert_eq!(other, Verdict::Undecided),
                Verdict::DoesNotHold => prop_assert!(other != Verdict::DoesNotHold || values.len() < 2),
            }
        }
    }

    #[test]
    fn the_numbers_of_a_claim_have_their_unit_or_none() {
        let because =
            |unit, region| Claim::measured("", "it", unit, &sample(&[1.0, 2.0]), region).because;
        let end = "is 1.50 ms (95 % confidence over 2 seeds: -4.85 to 7.85); it holds if all of that is above 2 ms";
        assert_eq!(because("ms", Region::Above(2.0)), format!("it {end}"));
        let without = because("", Region::Within(2.0));
        assert!(without.starts_with("it is 1.50 (95 %"), "{without}");
        assert!(without.ends_with("between -2 and 2"), "{without}");
    }

    #[test]
    fn a_computed_claim_needs_cases_and_no_exception() {
        let verdict = |cases, exceptions| Claim::computed("", "", cases, exceptions).verdict;
        assert_eq!(verdict(4, 0), Verdict::Holds);
        assert_eq!(verdict(4, 1), Verdict::DoesNotHold);
        assert_eq!(verdict(0, 0), Verdict::Undecided);
    }
}
