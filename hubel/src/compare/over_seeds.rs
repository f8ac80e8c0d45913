//! Two settings, each trained with several seeds: Welch's t test.
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

use super::{LEVEL, POWER, bisect};

/// The accuracies of trainings that differ in nothing but their seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// Number of trainings.
    pub count: usize,
    /// The mean; NaN without trainings.
    pub mean: f64,
    /// The standard deviation between seeds, with divisor n − 1; 0 for fewer than two trainings.
    pub deviation: f64,
}

impl Group {
    /// Mean and standard deviation of `values`.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len();
        // Equal values have no spread; the mean of equal values may differ from them in the last bit.
        let is_equal = values.iter().all(|value| *value == values[0]);
        let mean = match values.first() {
            Some(first) if is_equal => *first,
            _ => values.iter().sum::<f64>() / count as f64,
        };
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let divisor = count.saturating_sub(1).max(1) as f64;
        Self {
            count,
            mean,
            deviation: (squares / divisor).sqrt(),
        }
    }

    /// The squared standard error of the mean.
    fn squared_error(&self) -> f64 {
        self.deviation * self.deviation / self.count as f64
    }
}

/// Two settings, each trained with several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OverSeeds {
    /// The trainings with the first setting.
    pub first: Group,
    /// The trainings with the second setting.
    pub second: Group,
    /// The mean of the second minus that of the first.
    pub difference: f64,
    /// The degrees of freedom of the t distribution, by Welch and Satterthwaite; `None` without spread.
    pub freedom: Option<f64>,
    /// The two-sided p value. Without spread it is that of the permutation test.
    pub p: f64,
    /// The 95 % confidence interval of the difference over infinitely many seeds; `None` without spread.
    pub interval: Option<[f64; 2]>,
    /// The smallest difference that as many trainings with this spread would show in 80 of 100 cases; `None` without spread.
    pub detectable: Option<f64>,
}

impl OverSeeds {
    /// Compares two groups of trainings by Welch's t test ("The generalization of 'Student's' problem when several different population variances are
    /// involved", 1947): the groups may have different sizes and spreads. `None` if a side has fewer than two trainings, since a single one
    /// says nothing about the spread.
    ///
    /// If all values of each group are equal, their spread is unknown and t is undefined. Then p is that of the permutation test (Fisher, 1935): the
    /// share of all ways to deal the trainings to the two groups that separate them as clearly, and 1 if the two values are equal.
    pub fn of(first: &[f64], second: &[f64]) -> Option<Self> {
        if first.len() < 2 || second.len() < 2 {
            return None;
        }
        let (first, second) = (Group::of(first), Group::of(second));
        let difference = second.mean - first.mean;
        let errors = [first.squared_error(), second.squared_error()];
        let error = (errors[0] + errors[1]).sqrt();
        if error == 0.0 {
            let p = match difference == 0.0 {
                true => 1.0,
                false => permutation_p(first.count, second.count),
            };
            return Some(Self {
                first,
                second,
                difference,
                freedom: None,
                p,
                interval: None,
                detectable: None,
            });
        }
        let parts = [(errors[0], first.count), (errors[1], second.count)];
        let parts = parts.map(|(error, count)| error * error / (count - 1) as f64);
        let freedom = error.powi(4) / (parts[0] + parts[1]);
        let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
        let quantile = student.inverse_cdf(1.0 - LEVEL / 2.0);
        let reach = quantile * error;
        Some(Self {
            first,
            second,
            difference,
            freedom: Some(freedom),
            p: 2.0 * student.sf((difference / error).abs()),
            interval: Some([difference - reach, difference + reach]),
            detectable: Some(error * detectable_shift(quantile, freedom)),
        })
    }

    /// Whether the trainings show a difference between the settings: p is below [`LEVEL`].
    pub fn is_seen(&self) -> bool {
        self.p < LEVEL
    }
}

/// The p value of two groups that are completely separated and have no spread: the two of all ways to deal the trainings that separate them.
/// With equal values in each group, every other way gives a smaller difference of the means.
fn permutation_p(first: usize, second: usize) -> f64 {
    let [all, first, second] = [first + second, first, second].map(|count| count as f64);
    let ways = (ln_gamma(all + 1.0) - ln_gamma(first + 1.0) - ln_gamma(second + 1.0)).exp();
    // Only groups of one size can be exchanged.
    let separating = if first == second { 2.0 } else { 1.0 };
    (separating / ways).min(1.0)
}

/// The shift of a t statistic, in standard errors, that exceeds `quantile` with probability [`POWER`]: by the noncentral t distribution.
fn detectable_shift(quantile: f64, freedom: f64) -> f64 {
    bisect(0.0, 100.0, |shift| {
        exceeds(quantile, freedom, shift) < POWER
    })
}

/// The probability that a noncentral t value exceeds `bound`: that of a normal value around `shift` to exceed `bound` times the estimated spread,
/// integrated over the distribution of the estimate, χ/√n.
fn exceeds(bound: f64, freedom: f64, shift: f64) -> f64 {
    /// Intervals of Simpson's rule; 400 give eight digits.
    const INTERVALS: usize = 400;
    let normal = Normal::standard();
    let half = freedom / 2.0;
    let scale = std::f64::consts::LN_2 + half * half.ln() - ln_gamma(half);
    let density =
        |spread: f64| (scale + (freedom - 1.0) * spread.ln() - half * spread * spread).exp();
    // The standard deviation of the estimate is about 1/√(2n); outside of this range there is nothing.
    let reach = 8.0 / freedom.sqrt();
    // Over the cube root: for few degrees of freedom the density rises too steeply at 0.
    let [from, to] = [(1.0 - reach).max(0.0), 1.0 + reach].map(f64::cbrt);
    let width = (to - from) / INTERVALS as f64;
    let value = |place: usize| {
        let root = from + place as f64 * width;
        let spread = root.powi(3);
        match spread > 0.0 {
            true => 3.0 * root * root * density(spread) * normal.cdf(shift - bound * spread),
            false => 0.0,
        }
    };
    let sum: f64 = (0..=INTERVALS)
        .map(|place| match place {
            0 | INTERVALS => value(place),
            place if place % 2 == 1 => 4.0 * value(place),
            _ => 2.0 * value(place),
        })
        .sum();
    sum * width / 3.0
}
