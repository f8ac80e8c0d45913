//! The elements of a NumPy array: numbers of any type, booleans and text.

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Unsigned,
    Signed,
    Float,
    /// Text with one byte per character, padded with zeros.
    Bytes,
    /// Text with four bytes per character, padded with zeros.
    Text,
}

/// How an element is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    /// In bytes.
    pub(super) width: usize,
    pub(super) big_endian: bool,
}

impl Element {
    /// The numbers in `bytes`, with booleans as 0 and 1; `None` for text.
    pub(super) fn numbers(self, bytes: &[u8]) -> Option<impl Iterator<Item = f64>> {
        if matches!(self.kind, Kind::Bytes | Kind::Text) {
            return None;
        }
        let number = move |bytes: &[u8]| match self.kind {
            Kind::Signed => self.signed(bytes) as f64,
            Kind::Float => match self.width {
                2 => half(self.bits(bytes) as u16),
                4 => f64::from(f32::from_bits(self.bits(bytes) as u32)),
                _ => f64::from_bits(self.bits(bytes)),
            },
            _ => self.bits(bytes) as f64,
        };
        Some(bytes.chunks_exact(self.width).map(number))
    }

    /// The elements in `bytes` as labels: text, or integers; `Err` has the first number that is no integer.
    pub(super) fn labels(self, bytes: &[u8]) -> Result<Vec<String>, f64> {
        let elements = || bytes.chunks_exact(self.width.max(1));
        match self.kind {
            Kind::Boolean | Kind::Unsigned => Ok(elements()
                .map(|bytes| self.bits(bytes).to_string())
                .collect()),
            Kind::Signed => Ok(elements()
                .map(|bytes| self.signed(bytes).to_string())
                .collect()),
            Kind::Float => {
                let whole = |number: f64| match number.fract() == 0.0 && number.abs() < 1e15 {
                    true => Ok((number as i64).to_string()),
                    false => Err(number),
                };
                self.numbers(bytes)
                    .into_iter()
                    .flatten()
                    .map(whole)
                    .collect()
            }
            Kind::Bytes => Ok(elements()
                .map(|bytes| {
                    String::from_utf8_lossy(bytes)
                        .trim_end_matches('\0')
                        .to_owned()
                })
                .collect()),
            Kind::Text => {
                let letter = |bytes: &[u8]| {
                    char::from_u32(self.bits(bytes) as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
                };
                let text = |bytes: &[u8]| {
                    let text: String = bytes.chunks_exact(4).map(letter).collect();
                    text.trim_end_matches('\0').to_owned()
                };
                Ok(elements().map(text).collect())
            }
        }
    }

    /// Up to eight bytes as an unsigned integer.
    fn bits(self, bytes: &[u8]) -> u64 {
        let push = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        match self.big_endian {
            true => bytes.iter().fold(0, push),
            false => bytes.iter().rev().fold(0, push),
        }
    }

    fn signed(self, bytes: &[u8]) -> i64 {
        let unused = 64 - 8 * self.width as u32;
        (self.bits(bytes) << unused).cast_signed() >> unused
    }
}

/// The value of an IEEE 754 binary16 number.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    sign * match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;

    fn element(kind: &str) -> Option<super::Element> {
        let header = Header {
            kind: kind.into(),
            shape: vec![1],
        };
        header.element()
    }

    #[test]
    fn labels_of_all_types_are_read() {
        let labels = |kind: &str, bytes: &[u8]| element(kind).expect("a known type").labels(bytes);
        let read = |labels: &[&str]| Ok(labels.iter().map(|&label| label.to_owned()).collect());
        assert_eq!(labels("|u1", &[255, 3]), read(&["255", "3"]));
        assert_eq!(labels("|i1", &[255, 3]), read(&["-1", "3"]));
        assert_eq!(labels("<u2", &[1, 2]), read(&["513"]));
        assert_eq!(labels(">i4", &[255, 255, 255, 254]), read(&["-2"]));
        assert_eq!(labels("<u8", &[255; 8]), read(&["18446744073709551615"]));
        assert_eq!(labels("<i8", &[255; 8]), read(&["-1"]));
        assert_eq!(labels("|b1", &[1, 0]), read(&["1", "0"]));
        assert_eq!(labels("<f4", &2f32.to_le_bytes()), read(&["2"]));
        assert_eq!(labels("<f4", &0.5f32.to_le_bytes()), Err(0.5));
        assert_eq!(labels("|S3", b"ox\0cat"), read(&["ox", "cat"]));
        let text = |text: &str| -> Vec<u8> {
            text.chars()
                .flat_map(|letter| u32::from(letter).to_le_bytes())
                .collect()
        };
        assert_eq!(labels("<U3", &text("ox\0caté")[..24]), read(&["ox", "cat"]));
        assert_eq!(labels("<U1", &text("é")), read(&["é"]));
        for other in [
            "<i16",
            "",
            "é1",
            "|O",
            "<c8",
            "<M8[ns]",
            "<f16",
            "<U",
            "<U99999999999999999999",
        ] {
            assert_eq!(element(other), None, "{other}");
        }
    }

    #[test]
    fn numbers_of_all_types_are_read() {
        let numbers = |kind: &str, bytes: &[u8]| -> Vec<f64> {
            element(kind)
                .and_then(|element| Some(element.numbers(bytes)?.collect()))
                .expect("numbers")
        };
        assert_eq!(numbers("<f8", &0.1f64.to_le_bytes()), [0.1]);
        assert_eq!(numbers(">f4", &0.25f32.to_be_bytes()), [0.25]);
        assert_eq!(
            numbers("<f2", &[0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00]),
            [1.0, -2.0, 65504.0, 2f64.powi(-24)]
        );
        assert!(numbers("<f2", &[0x00, 0x7e])[0].is_nan());
        assert_eq!(numbers("<f2", &[0x00, 0xfc]), [f64::NEG_INFINITY]);
        assert_eq!(numbers("<i2", &[0xfe, 0xff]), [-2.0]);
    }
}
