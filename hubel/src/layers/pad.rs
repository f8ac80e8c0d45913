//! Padding as a layer of its own, in front of layers that do not pad so, such as a pooling.
use super::{
    Layer, Misfit, Padding, PaddingMode, Resolved,
    arguments::{ArgumentError, Arguments, Value},
};
use crate::{Shape, network::Operation};
use hubel_kernels::pad;
use std::fmt;

/// Settings of a padding (`torch.nn.ZeroPad2d`, `ReflectionPad2d` …).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pad {
    /// Rows and columns: `[top, bottom, left, right]`.
    pub sides: [usize; 4],
    /// The values in the padding; zeros by default.
    pub mode: PaddingMode,
}

impl Pad {
    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let Some(Padding::Sides(sides)) = arguments.padding_if_given()? else {
            let message = "it needs a padding: a number, (height, width) or (top, bottom, left, right), such as `pad(1)`";
            return Err(ArgumentError::layer(message));
        };
        let mode = parse_mode(arguments)?;
        Ok(Self { sides, mode })
    }

    pub(crate) fn resolve(&self, input: Shape) -> Result<Resolved, Misfit> {
        let [top, bottom, left, right] = self.sides;
        let padded = |size: usize, before: usize, after: usize| {
            let sum = before
                .checked_add(after)
                .and_then(|sum| sum.checked_add(size));
            sum.ok_or_else(|| "padded input is too large a number".to_owned())
        };
        let shape = Shape {
            height: padded(input.height, top, bottom)?,
            width: padded(input.width, left, right)?,
            ..input
        };
        let sides = [top, left, bottom, right];
        check_reach(self.mode, sides, [input.height, input.width])?;
        let mode = self.mode;
        Ok(Resolved::new(
            Operation::Pad { sides, mode },
            shape,
            Vec::new(),
        )?)
    }
}

impl From<Pad> for Layer {
    fn from(pad: Pad) -> Self {
        Self::Pad(pad)
    }
}

impl PaddingMode {
    /// The values in the padding as the kernels know them.
    pub(crate) fn for_kernels(self) -> pad::PaddingMode {
        match self {
            Self::Zeros => pad::PaddingMode::Constant(0.0),
            Self::Constant(value) => pad::PaddingMode::Constant(value),
            Self::Reflect => pad::PaddingMode::Reflect,
            Self::Replicate => pad::PaddingMode::Replicate,
            Self::Circular => pad::PaddingMode::Circular,
        }
    }
}

/// Refuses padding `[top, left, bottom, right]` for which a map of `[height, width]` does not have the pixels.
pub(super) fn check_reach(
    mode: PaddingMode,
    [top, left, bottom, right]: [usize; 4],
    [height, width]: [usize; 2],
) -> Result<(), String> {
    let (name, less) = match mode {
        PaddingMode::Reflect => ("reflect", 1),
        PaddingMode::Circular => ("circular", 0),
        _ => return Ok(()),
    };
    for (padding, size) in [(top.max(bottom), height), (left.max(right), width)] {
        if padding > size - less {
            return Err(format!(
                "mode={name} can pad {size} pixels by at most {}, not {padding}",
                size - less
            ));
        }
    }
    Ok(())
}

pub(super) fn parse_mode(arguments: &mut Arguments) -> Result<PaddingMode, ArgumentError> {
    let expected = "zeros, reflect, replicate, circular or constant(value)";
    let mode = arguments.parse("mode", expected, |value| match value {
        Value::Word(word) => match word.as_str() {
            "zeros" => Some(PaddingMode::Zeros),
            "reflect" => Some(PaddingMode::Reflect),
            "replicate" => Some(PaddingMode::Replicate),
            "circular" => Some(PaddingMode::Circular),
            _ => None,
        },
        Value::Call(word, values) if word == "constant" => match values.as_slice() {
            [value] => value.number().map(PaddingMode::Constant),
            _ => None,
        },
        _ => None,
    })?;
    Ok(mode.unwrap_or_default())
}

impl fmt::Display for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pad({}", Padding::Sides(self.sides))?;
        if self.mode != PaddingMode::default() {
            write!(f, ", mode={}", self.mode)?;
        }
        f.write_str(")")
    }
}
