//! Advice: fine-tune a model, or train from scratch?
use std::fmt;

use crate::Model;
use crate::data::{Kind, Outlook};
use crate::one_line::thousands;

/// Whether to fine-tune a model or train from scratch, and why.
///
/// The limits were measured: docs/benchmarks/2026-11-29-transfer.txt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    outlook: Outlook,
}

/// Largest longer side of small pictures, in pixels: a small network sees all of them at once.
const SMALL: usize = 64;

/// From this many small pictures per class on, training from scratch is better.
const MANY: usize = 2_000;

/// The same for grey pictures, of which a network trained on photographs knows less.
const MANY_GREY: usize = 100;

impl Outlook {
    /// The advice for such data.
    pub fn advice(self) -> Advice {
        Advice { outlook: self }
    }
}

impl Advice {
    /// The [embedded model](Model::PRETRAINED) to fine-tune; `None` for training from scratch.
    pub fn model(&self) -> Option<&'static str> {
        let is_picture = self.outlook.kind == Kind::Pictures && !self.outlook.is_of_floats;
        let size = self.outlook.size.filter(|_| is_picture)?;
        let is_small = size.height.max(size.width) <= SMALL;
        let many = if size.channels == 1 { MANY_GREY } else { MANY };
        let is_enough = is_small && self.of_class() >= many;
        let is_picture = [1, 3].contains(&size.channels);
        (is_picture && !is_enough).then_some(Model::PRETRAINED[0])
    }

    /// Mean number of images per class.
    fn of_class(&self) -> usize {
        self.outlook.images / self.outlook.classes.max(1)
    }
}

/// One line: the advice and the reason.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = if self.of_class() == 1 {
            "picture"
        } else {
            "pictures"
        };
        let count = thousands(self.of_class());
        match (self.model(), self.outlook.is_of_floats) {
            (Some(name), _) => write!(
                f,
                "fine-tuning {name}, which was trained on photographs: {count} {each} per class are few for training from scratch"
            ),
            (None, true) => f.write_str(
                "training from scratch: the data holds standardised numbers, not pixels",
            ),
            (None, false) => write!(
                f,
                "training from scratch: {count} small {each} per class are enough"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn small_pictures_in_great_number_begin_with_nothing() {
        let model = |side: usize, channels: usize, images: usize| {
            let outlook = Outlook {
                images,
                classes: 10,
                size: Some(Shape::new(side, side, channels)),
                is_of_floats: false,
                kind: Kind::Pictures,
            };
            outlook.advice().model()
        };
        assert_eq!(model(32, 3, 19_990), Some("efficientnet-lite0"));
        assert_eq!(model(32, 3, 20_000), None);
        assert_eq!(model(300, 3, 1_000_000), Some("efficientnet-lite0"));
        assert_eq!(model(28, 1, 990), Some("efficientnet-lite0"));
        assert_eq!(model(28, 1, 60_000), None);
        assert_eq!(model(300, 1, 5_000), Some("efficientnet-lite0"));
        assert_eq!(model(8, 4, 100), None);
    }

    #[test]
    fn the_line_says_what_and_why() {
        let outlook = Outlook {
            images: 245,
            classes: 2,
            size: Some(Shape::new(300, 200, 3)),
            is_of_floats: false,
            kind: Kind::Pictures,
        };
        let line = outlook.advice().to_string();
        assert!(
            line.contains("efficientnet-lite0") && line.contains("122 pictures per class"),
            "{line}"
        );
        let numbers = Outlook {
            is_of_floats: true,
            ..outlook
        };
        assert!(numbers.advice().to_string().contains("numbers"));
    }
}
