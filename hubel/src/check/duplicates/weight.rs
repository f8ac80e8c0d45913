//! By how much the same picture in several classes or parts can move an accuracy.
use std::fmt;

use crate::check::duplicates::Whole;
use crate::check::examine::Samples;
use crate::data::catalogue::{Part, thousands};

/// How many pictures an accuracy is measured on.
pub(super) struct Judged {
    all: usize,
    validation: usize,
    test: usize,
}

/// So many pictures of a finding are among those that are judged.
pub(super) struct Weight {
    pictures: usize,
    judged: usize,
    /// What the accuracy is that of.
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

    /// Of pictures of several classes: all that are judged may be counted wrong. Data that is not divided may be judged by any of them.
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

    /// Of pictures that stand in several parts: all that are judged may be known from another part.
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
    /// In hundredths of the accuracy.
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
            "moves {of} accuracy by at most {points:.2} points ({} of {} images)",
            thousands(self.pictures),
            thousands(self.judged)
        )
    }
}
