//! The parts of a data set.
use std::fmt;

/// A part into which data is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What is learnt from.
    Train,
    /// What choices are made by: which epoch is best, when to stop.
    Validation,
    /// What takes part in no choice, for the final judgement.
    Test,
}

impl Part {
    /// Whether images of this part are never trained on.
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
