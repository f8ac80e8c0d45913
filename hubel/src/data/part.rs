//! The parts of a data set.
use std::fmt;

/// A split of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// For training.
    Train,
    /// For choices: which epoch is best, when to stop.
    Validation,
    /// For the final test; it influences no choice.
    Test,
}

impl Part {
    /// Whether images of this split are never trained on.
    pub(crate) fn is_held_out(self) -> bool {
        matches!(self, Self::Validation | Self::Test)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}
