//! Whether two models, or two settings, differ, and which chance could explain the difference.
//!
//! | question | function |
//! |---|---|
//! | What did a model answer? | [`Predictions::of`] |
//! | Do two models differ on the same images? | [`Pairs`]: McNemar's test, and an interval of the difference |
//! | Does a setting change the accuracy? | [`OverSeeds`]: Welch's t test on trainings with several seeds |
//! | Which images may be used for it? | [`Known`]: those that no model was trained on |
//! | How far apart are the weights? | [`distances`] |
//!
//! Two single models never say that a setting is better: another seed alone gives another model. [`Pairs`] therefore speaks of the two models, and
//! [`OverSeeds`] of the settings.
//!
//! The tests take all images as independent. Near-duplicates flip together, so compare the answers for [`Dataset::distinct`](crate::Dataset::distinct) images only.
//!
//! ```
//! use hubel::compare::{OverSeeds, Pairs};
//!
//! // Of 100 images, the first model alone has 4 right and the second alone 15.
//! let pairs = Pairs::of_counts(70, 4, 15, 11);
//! assert!(pairs.exact_p() < 0.05);
//! // The accuracies of three trainings with each of two settings, which differ in nothing but their seeds.
//! let seeds = OverSeeds::of(&[0.91, 0.93, 0.92], &[0.94, 0.92, 0.93]).expect("two or more on each side");
//! assert!(seeds.p > 0.05);
//! ```
mod distances;
mod known;
mod over_seeds;
mod pairs;
mod predictions;

pub use distances::{Distance, distances};
pub use known::{Known, common};
pub use over_seeds::{Group, OverSeeds};
pub use pairs::{ChiSquared, Pairs};
pub use predictions::Predictions;

/// The probability of a false alarm that all tests of this module accept: a difference counts as seen if its p value is below this.
pub const LEVEL: f64 = 0.05;

/// The probability with which a test sees the smallest difference that could have been seen.
pub const POWER: f64 = 0.8;

/// The place in `[low, high]` at which `is_below` changes from true to false, by bisection to the last bit.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        match is_below(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
}
