//! The floating-point types in files; all are converted to `f32`.
use half::{bf16, f16};

/// A floating-point type, stored in little-endian order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F16,
    BF16,
    F32,
    F64,
}

impl Float {
    /// Bytes per value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Converts `bytes`, whose length is a multiple of [`width`](Self::width). Values that are too large for `f32` become infinite.
    pub(crate) fn decode(self, bytes: &[u8], numbers: &mut Vec<f32>) {
        match self {
            Self::F16 => extend(numbers, bytes, |bytes| f16::from_le_bytes(bytes).into()),
            Self::BF16 => extend(numbers, bytes, |bytes| bf16::from_le_bytes(bytes).into()),
            Self::F32 => extend(numbers, bytes, f32::from_le_bytes),
            Self::F64 => extend(numbers, bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        }
    }
}

fn extend<const WIDTH: usize>(
    numbers: &mut Vec<f32>,
    bytes: &[u8],
    number: fn([u8; WIDTH]) -> f32,
) {
    let (all, rest) = bytes.as_chunks::<WIDTH>();
    assert!(rest.is_empty(), "whole numbers");
    numbers.extend(all.iter().map(|bytes| number(*bytes)));
}
