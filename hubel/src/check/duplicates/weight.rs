//! How much the same picture in several classes or splits can change an accuracy.
use std::fmt;

use crate::check::duplicates::Whole;
use crate::check::examine::Samples;
use crate::data::catalogue::{Part, thousands};

/// Number of pictures that an accuracy is measured on.
pub(super) struct Judged {
    all: usize,
    validation: usize,
    test: usize,
}

/// Number of pictures of a finding that are used for testing.
pub(super) struct Weight {
    pictures: usize,
    judged: usize,
    /// The splits that the accuracy is measured on.
    of: &'static str,
}

impl Judged {
    pub(super) fn of(samples: &Samples) -> Self {
        let count = |part| {
            samples
                .whole()
                .filter(|(sample, _)| sample.part == Some(part))
                .count()
        };
        Self {
            all: samples.whole().count(),
            validation: count(Part::Validation),
            test: count(Part::Test),
        }
    }

    /// For pictures in several classes: all that are tested may count as wrong. In data without splits, any picture may be tested.
    pub(super) fn conflict(&self, group: &[Whole<'_>]) -> Weight {
        match (self.test, self.validation) {
            (0, 0) => Weight {
                pictures: group.len(),
                judged: self.all,
                of: "an",
            },
            (0, _) => self.weight(group, Part::Validation),
            _ => self.weight(group, Part::Test),
        }
    }

    /// For pictures in several splits: all that are tested may be known from another split.
    pub(super) fn leak(&self, group: &[Whole<'_>]) -> Weight {
        let test = self.weight(group, Part::Test);
        match test.pictures {
            0 => self.weight(group, Part::Validation),
            _ => test,
        }
    }

    fn weight(&self, group: &[Whole<'_>], part: Part) -> Weight {
        let (judged, of) = match part {
            Part::Test => (self.test, "the test"),
            _ => (self.validation, "the validation"),
        };
        let members = group.iter().filter(|(sample, _)| sample.part == Some(part));
        Weight {
            pictures: members.count(),
            judged,
            of,
        }
    }
}

impl Weight {
    /// In percentage points of the accuracy.
    pub(super) fn points(&self) -> f64 {
        100.0 * self.pictures as f64 / self.judged.max(1) as f64
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, points) = (self.of, self.points());
        if self.pictures == 0 {
            return write!(f, "{of} accuracy is measured on none of them");
        }
        write!(
            f,
            "changes {of} accuracy by at most {points:.2} points ({} of {})",
            thousands(self.pictures),
            thousands(self.judged)
        )
    }
}
