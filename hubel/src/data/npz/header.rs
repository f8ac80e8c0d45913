//! The header of a NumPy array: a magic word, a version, and a Python dictionary of type, order and sizes.
use std::io::Read;

use super::element::{Element, Kind};

/// The longest accepted header; NumPy's headers for pictures have 118 bytes.
const LONGEST: usize = 1 << 16;

/// The header of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type in NumPy's short form: `|u1` for bytes, `<i8` for integers of 8 bytes.
    pub(super) kind: String,
    /// Sizes, outermost first.
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads a header, and leaves `reader` at the first value.
    ///
    /// # Errors
    /// A message, if it is no header, is too long, or has an unsupported type or order.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut take = |length: usize| {
            let mut bytes = vec![0; length];
            reader
                .read_exact(&mut bytes)
                .map(|()| bytes)
                .map_err(|error| {
                    format!("its header cannot be read ({error}); copy or download the file again")
                })
        };
        let start = take(8)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err("it does not begin as a NumPy array does; save it by numpy.savez".into());
        }
        let length = match start[6] {
            1 => take(2)?
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
            2 | 3 => take(4)?
                .iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte)),
            version => {
                return Err(format!(
                    "its format has version {version}; 1 to 3 are supported"
                ));
            }
        };
        if length > LONGEST {
            return Err(format!(
                "its header is {length} bytes long; at most {LONGEST} are read"
            ));
        }
        let text = take(length)?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// Parses the dictionary.
    ///
    /// # Errors
    /// A message, with the dictionary.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.trim().chars().take(120).collect();
            format!(
                "its header `{shown}` is not understood; save it by numpy.savez as an array of numbers"
            )
        };
        let (mut kind, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{').ok_or_else(wrong)?;
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            if rest.trim() == "}" {
                break;
            }
            let (key, after) = quoted(rest).ok_or_else(wrong)?;
            rest = after
                .trim_start()
                .strip_prefix(':')
                .ok_or_else(wrong)?
                .trim_start();
            match key {
                "descr" => {
                    let (value, after) = quoted(rest).ok_or_else(wrong)?;
                    (kind, rest) = (Some(value.to_owned()), after);
                }
                "fortran_order" => {
                    let (value, after) = match rest.strip_prefix("True") {
                        Some(after) => (true, after),
                        None => (false, rest.strip_prefix("False").ok_or_else(wrong)?),
                    };
                    (fortran, rest) = (Some(value), after);
                }
                "shape" => {
                    let (sizes, after) = rest
                        .strip_prefix('(')
                        .and_then(|rest| rest.split_once(')'))
                        .ok_or_else(wrong)?;
                    let sizes = sizes
                        .split(',')
                        .map(str::trim)
                        .filter(|size| !size.is_empty());
                    let sizes: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
                    (shape, rest) = (Some(sizes.map_err(|_| wrong())?), after);
                }
                _ => return Err(wrong()),
            }
        }
        let (Some(kind), Some(fortran), Some(shape)) = (kind, fortran, shape) else {
            return Err(wrong());
        };
        if fortran && shape.len() > 1 {
            return Err(
                "its values are in Fortran order; save it after `numpy.ascontiguousarray`".into(),
            );
        }
        Ok(Self { kind, shape })
    }

    /// The bytes of all elements; `None` on overflow.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(self.width(), |product, &size| product.checked_mul(size))
    }

    /// The sizes as text: `[60000, 28, 28]`.
    pub(super) fn sizes(&self) -> String {
        format!("{:?}", self.shape)
    }

    /// Bytes of one element.
    fn width(&self) -> usize {
        self.element().map_or(1, |element| element.width)
    }

    /// The type of the elements; `None` if it is not supported.
    pub(super) fn element(&self) -> Option<Element> {
        let mut letters = self.kind.chars();
        let order = letters.next().filter(|order| "|<>=".contains(*order))?;
        let letter = letters.next()?;
        let size: usize = letters.as_str().parse().ok()?;
        let kind = match (letter, size) {
            ('b', 1) => Kind::Boolean,
            ('u', 1 | 2 | 4 | 8) => Kind::Unsigned,
            ('i', 1 | 2 | 4 | 8) => Kind::Signed,
            ('f', 2 | 4 | 8) => Kind::Float,
            ('S', _) => Kind::Bytes,
            ('U', _) => Kind::Text,
            _ => return None,
        };
        let width = match kind {
            Kind::Text => size.checked_mul(4)?,
            _ => size,
        };
        Some(Element {
            kind,
            width,
            big_endian: order == '>',
        })
    }
}

/// A quoted string at the start of `text`, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text
        .chars()
        .next()
        .filter(|quote| ['\'', '"'].contains(quote))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_understood() {
        let header = |text: &str| Header::parse(text);
        assert_eq!(
            header("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 28, 28), }      \n"),
            Ok(Header {
                kind: "|u1".into(),
                shape: vec![3, 28, 28]
            })
        );
        assert_eq!(
            header("{'descr': '<i8', 'fortran_order': True, 'shape': (5,), }\n")
                .unwrap()
                .shape,
            [5]
        );
        assert_eq!(
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (), }")
                .unwrap()
                .bytes(),
            Some(4)
        );
        assert!(
            header("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2)}")
                .unwrap_err()
                .contains("ascontiguousarray")
        );
        for wrong in [
            "",
            "{",
            "{'descr'}",
            "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '|u1', 'fortran_order': False}",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
        ] {
            assert!(
                header(wrong).unwrap_err().contains("not understood"),
                "{wrong}"
            );
        }
        let vast =
            header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}")
                .unwrap();
        assert_eq!(vast.bytes(), None);
    }
}
