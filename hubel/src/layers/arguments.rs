//! Parses the settings in the parentheses of a layer in architecture text, or of an operation in an augmentation.
use super::{Padding, Round};
use crate::nearest::nearest;
use std::{ops::Range, str::FromStr};

/// The value of a setting, as written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number or a word, in lower case.
    Word(String),
    /// `(1,2)`.
    Tuple(Vec<Value>),
    /// `constant(0.5)`.
    Call(String, Vec<Value>),
}

/// A numeric type for settings.
pub(crate) trait Number: FromStr {
    /// What is expected, for messages.
    const EXPECTED: &str;

    /// Whether the parsed value is usable.
    fn is_usable(&self) -> bool {
        true
    }
}

impl Number for usize {
    const EXPECTED: &str = "a number";
}

impl Number for u8 {
    const EXPECTED: &str = "a number from 0 to 255";
}

impl Number for f32 {
    const EXPECTED: &str = "a number between -3.4e38 and 3.4e38";

    /// `f32::from_str` also parses "inf" and "nan", and returns infinity for 1e39.
    fn is_usable(&self) -> bool {
        self.is_finite()
    }
}

/// One setting: `kernel=3`, or `3` alone.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) name: Option<String>,
    pub(crate) value: Value,
    /// Its position in the text, in bytes.
    pub(crate) place: Range<usize>,
}

/// The problem with a setting, and its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ArgumentError {
    pub(crate) message: String,
    pub(crate) place: Option<Range<usize>>,
}

/// The settings of one layer. Each is taken once with `take`, in the order of the layer's parameters, by name or by position.
#[derive(Debug)]
pub(crate) struct Arguments {
    given: Vec<Argument>,
    asked: Vec<&'static str>,
}

impl Arguments {
    pub(crate) fn new(given: Vec<Argument>) -> Self {
        Self {
            given,
            asked: Vec::new(),
        }
    }

    /// The setting called `name`, or else the first one without a name.
    fn take(&mut self, name: &'static str) -> Result<Option<Argument>, ArgumentError> {
        self.asked.push(name);
        let named = (self.given.iter()).position(|a| a.name.as_deref() == Some(name));
        // A setting without a name must come first: `conv(kernel=3, 16)` is a mistake, reported by `finish`.
        let unnamed = self.given.first().filter(|a| a.name.is_none());
        if let (Some(_), Some(unnamed)) = (named, unnamed) {
            // Otherwise it would become the next parameter: `maxpool(2, kernel=3)`.
            return Err(unnamed.error(format!(
                "the setting `{name}` is given twice, here without its name"
            )));
        }
        let place = named.or(unnamed.map(|_| 0));
        Ok(place.map(|place| self.given.remove(place)))
    }

    /// Reports settings that were not taken.
    pub(crate) fn finish(self) -> Result<(), ArgumentError> {
        let Some(left) = self.given.into_iter().next() else {
            return Ok(());
        };
        let message = match &left.name {
            Some(name) if self.asked.contains(&name.as_str()) => {
                format!("the setting `{name}` is given twice")
            }
            Some(name) => {
                let known = self.asked.join(", ");
                match nearest(name, self.asked.iter().copied()) {
                    Some(near) => format!("unknown setting `{name}`; did you mean `{near}`?"),
                    None if known.is_empty() => "it takes no settings".into(),
                    None => format!("unknown setting `{name}`; the settings are {known}"),
                }
            }
            None if self.asked.is_empty() => "it takes no settings".into(),
            None => "a setting without a name must come before the named ones, and there are too many here".into(),
        };
        Err(left.error(message))
    }

    /// A number.
    pub(crate) fn number<T: Number>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, ArgumentError> {
        self.parse(name, T::EXPECTED, |value| value.number())
    }

    /// One number for both axes, or `(height, width)`.
    pub(crate) fn pair(&mut self, name: &'static str) -> Result<Option<[usize; 2]>, ArgumentError> {
        self.parse(
            name,
            "a whole number or (height, width)",
            |value| match value {
                Value::Tuple(values) => match values.as_slice() {
                    [height, width] => Some([height.number()?, width.number()?]),
                    _ => None,
                },
                _ => value.number().map(|both| [both; 2]),
            },
        )
    }

    /// A word from a list.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ArgumentError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.parse(name, &words.join(", "), |value| match value {
            Value::Word(word) => (choices.iter().find(|(name, _)| name == word)).map(|c| c.1),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub(crate) fn switch(&mut self, name: &'static str) -> Result<Option<bool>, ArgumentError> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// `exact`, `floor` or `ceil`.
    pub(crate) fn round(&mut self) -> Result<Round, ArgumentError> {
        let choices = [Round::Exact, Round::Floor, Round::Ceil].map(|r| (r.to_string(), r));
        let choices = [0, 1, 2].map(|i| (choices[i].0.as_str(), choices[i].1));
        Ok(self.choice("round", &choices)?.unwrap_or_default())
    }

    /// `same`, `valid`, a number, `(height, width)` as in PyTorch, or `(top, bottom, left, right)`.
    pub(crate) fn padding(&mut self) -> Result<Padding, ArgumentError> {
        Ok(self.padding_if_given()?.unwrap_or_default())
    }

    /// The same; `None` if it is left out.
    pub(crate) fn padding_if_given(&mut self) -> Result<Option<Padding>, ArgumentError> {
        let expected = "a number, (height, width), (top, bottom, left, right), same or valid";
        self.parse("padding", expected, |value| match value {
            Value::Word(word) if word == "same" => Some(Padding::Same),
            Value::Word(word) if word == "valid" => Some(Padding::default()),
            Value::Word(_) => value.number::<usize>().map(Padding::from),
            Value::Tuple(values) => {
                let sides: Option<Vec<usize>> = values.iter().map(Value::number).collect();
                match *sides?.as_slice() {
                    [height, width] => Some([height, height, width, width].into()),
                    [top, bottom, left, right] => Some([top, bottom, left, right].into()),
                    _ => None,
                }
            }
            Value::Call(..) => None,
        })
    }

    /// Takes and parses a setting; `expected` says what is valid.
    pub(crate) fn parse<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ArgumentError> {
        let Some(argument) = self.take(name)? else {
            return Ok(None);
        };
        match read(&argument.value) {
            Some(value) => Ok(Some(value)),
            None => Err(argument.error(format!("`{name}` must be {expected}"))),
        }
    }
}

impl Argument {
    fn error(&self, message: String) -> ArgumentError {
        ArgumentError {
            message,
            place: Some(self.place.clone()),
        }
    }
}

impl ArgumentError {
    /// An error about the whole layer.
    pub(crate) fn layer(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
        }
    }
}

impl Value {
    /// Parses a word as a number.
    pub(crate) fn number<T: Number>(&self) -> Option<T> {
        match self {
            Self::Word(word) => word.parse().ok().filter(T::is_usable),
            _ => None,
        }
    }
}
