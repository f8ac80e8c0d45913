//! What training had better begin with.
use std::fmt;

use crate::Model;
use crate::data::Outlook;

/// What training had better begin with, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    outlook: Outlook,
}

impl Outlook {
    /// What training on such data had better begin with.
    pub fn start(self) -> Advice {
        Advice { outlook: self }
    }
}

impl Advice {
    /// The name of an [embedded model](Model::PRETRAINED); `None` for weights drawn at random.
    pub fn model(&self) -> Option<&'static str> {
        let size = self.outlook.size?;
        let is_small = size.height.max(size.width) <= 64;
        let per_class = self.outlook.images / self.outlook.classes.max(1);
        let suits =
            !self.outlook.is_of_floats && (size.channels == 3) && !(is_small && per_class >= 1000);
        suits.then_some(Model::PRETRAINED[0])
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "training begins with {}",
            self.model().unwrap_or("nothing")
        )
    }
}
