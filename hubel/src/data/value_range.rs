//! Arrays of values other than bytes: their range decides black and white, and so their levels.
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::storage::Pixels;

/// The values of black and white in an array. The model stores them, so that the same values have the same meaning later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueRange {
    /// From 0, black, to 1, white.
    ZeroToOne,
    /// From −1, black, to 1, white.
    MinusOneToOne,
    /// From −0.5, black, to 0.5, white.
    MinusHalfToHalf,
    /// From 0, black, to 255, white.
    Bytes,
    /// From 0, black, to 65535, white.
    Words,
    /// Standardised: mean about 0, standard deviation about 1. Black and white are unknown.
    Standardised,
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limits() {
            Some([black, white]) => write!(f, "{black} to {white}"),
            None => f.write_str("standardised numbers"),
        }
    }
}

/// Values may exceed a range by this share of its length, due to interpolation and rounding.
const TOLERANCE: f32 = 0.002;

impl ValueRange {
    /// The values of black and white, if known.
    fn limits(self) -> Option<[f32; 2]> {
        match self {
            Self::ZeroToOne => Some([0.0, 1.0]),
            Self::MinusOneToOne => Some([-1.0, 1.0]),
            Self::MinusHalfToHalf => Some([-0.5, 0.5]),
            Self::Bytes => Some([0.0, 255.0]),
            Self::Words => Some([0.0, 65535.0]),
            Self::Standardised => None,
        }
    }

    /// Whether these values fit the range.
    fn holds(self, survey: &Survey) -> bool {
        match self.limits() {
            Some([black, white]) => {
                let beyond = TOLERANCE * (white - black);
                survey.least >= black - beyond && survey.most <= white + beyond
            }
            None => survey.looks_standardised(),
        }
    }

    /// The level of a value, from 0 to 255.
    fn level(self, number: f32) -> u8 {
        let [black, white] = self.limits().unwrap_or([0.0, 255.0]);
        // Saturates beyond the ends.
        (255.0 * (number - black) / (white - black)).round() as u8
    }
}

/// Stored values of pictures.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    Bytes(Vec<u8>),
    /// Values of an integer type with more than 8 bits.
    Integers(Vec<f32>),
    Floats(Vec<f32>),
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Integers(numbers) | Self::Floats(numbers) => numbers.len(),
        }
    }

    /// The index and value of the first value that is not finite.
    pub(super) fn not_finite(&self) -> Option<(usize, f32)> {
        match self {
            Self::Floats(numbers) => {
                let mut places = numbers.iter().copied().enumerate();
                places.find(|(_, number)| !number.is_finite())
            }
            _ => None,
        }
    }

    /// The pixels for these values; as bytes if black and white are known.
    pub(super) fn into_pixels(self, range: Option<ValueRange>) -> Pixels {
        match (self, range) {
            (Self::Bytes(bytes), _) => Pixels::Bytes(bytes.into()),
            (Self::Integers(numbers) | Self::Floats(numbers), Some(ValueRange::Standardised)) => {
                Pixels::Floats(numbers.into())
            }
            (Self::Integers(numbers) | Self::Floats(numbers), range) => {
                let range = range.unwrap_or(ValueRange::Bytes);
                let levels: Vec<u8> = numbers.iter().map(|&number| range.level(number)).collect();
                Pixels::Bytes(levels.into())
            }
        }
    }
}

/// Common facts about values other than bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    least: f32,
    most: f32,
    sum: f64,
    squares: f64,
    count: usize,
    /// Whether all are integers.
    is_whole: bool,
    /// Whether some have a floating-point type.
    has_floats: bool,
}

impl Survey {
    /// Over all `parts` that are not bytes; `None` if all are bytes.
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Numbers>) -> Option<Self> {
        let mut survey = Self {
            least: f32::INFINITY,
            most: f32::NEG_INFINITY,
            sum: 0.0,
            squares: 0.0,
            count: 0,
            is_whole: true,
            has_floats: false,
        };
        for part in parts {
            let (Numbers::Integers(numbers) | Numbers::Floats(numbers)) = part else {
                continue;
            };
            survey.has_floats |= matches!(part, Numbers::Floats(_));
            survey.count += numbers.len();
            for &number in numbers {
                survey.least = survey.least.min(number);
                survey.most = survey.most.max(number);
                survey.sum += f64::from(number);
                survey.squares += f64::from(number).powi(2);
                survey.is_whole &= number.fract() == 0.0;
            }
        }
        (survey.count > 0).then_some(survey)
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    fn deviation(&self) -> f64 {
        let variance = self.squares / self.count as f64 - self.mean().powi(2);
        variance.max(0.0).sqrt()
    }

    /// Whether they are standardised, by the moments of these pictures or of others, such as ImageNet's.
    fn looks_standardised(&self) -> bool {
        self.has_floats
            && self.least < 0.0
            && self.mean().abs() <= 1.0
            && (0.3..=3.0).contains(&self.deviation())
    }

    /// The meaning of the values, if their range decides it. `remembered` is the range of a model's training data; it takes precedence if
    /// it fits, since dark pictures alone do not show that −1 is black.
    ///
    /// # Errors
    /// A message with the factor to multiply by.
    pub(super) fn range(
        &self,
        remembered: Option<ValueRange>,
    ) -> std::result::Result<ValueRange, String> {
        // No real pictures use only 0 and 1 of 255, unless all are black.
        let is_far_darker = |range: ValueRange| {
            range == ValueRange::Bytes && self.has_floats && self.most <= 1.0 && !self.is_whole
        };
        if let Some(range) = remembered
            && range.holds(self)
            && !is_far_darker(range)
        {
            return Ok(range);
        }
        let floats: &[ValueRange] = match self.least < 0.0 {
            _ if !self.has_floats => &[],
            true => &[ValueRange::MinusHalfToHalf, ValueRange::MinusOneToOne],
            false => &[ValueRange::ZeroToOne],
        };
        if let Some(range) = floats.iter().find(|range| range.holds(self)) {
            return Ok(*range);
        }
        // Rounding to whole levels would lose most of a dark picture's levels.
        if ValueRange::Bytes.holds(self) && (self.is_whole || self.most >= 128.0) {
            return Ok(ValueRange::Bytes);
        }
        if ValueRange::Words.holds(self) && self.most >= 32768.0 {
            return Ok(ValueRange::Words);
        }
        if ValueRange::Standardised.holds(self) {
            return Ok(ValueRange::Standardised);
        }
        Err(self.unclear())
    }

    /// The message for values whose range does not decide their meaning.
    fn unclear(&self) -> String {
        let (least, most) = (self.least, self.most);
        // The largest value with the used number of bits.
        let bits = (u64::from(most.max(1.0) as u32) + 1).next_power_of_two() - 1;
        let (black, white) = match least < 0.0 {
            true => (least, most.max(least + 1.0)),
            false if self.is_whole => (0.0, bits as f32),
            false => (0.0, most),
        };
        let bring = match black < 0.0 {
            true => format!("(a - {black}) / {}", white - black),
            false => format!("a / {white}"),
        };
        let bring = bring.replace("- -", "+ ");
        format!(
            "its numbers go from {least} to {most}; 0 to 1, −1 to 1, 0 to 255, 0 to 65535, or a mean of 0 with a standard deviation of 1 would be clear. If {black} is black and {white} is white, save them as `({bring}).astype(numpy.float32)`, all splits in the same way"
        )
    }

    /// A note on values read in this range; `None` if no level changes.
    pub(super) fn note(&self, range: ValueRange) -> Option<String> {
        let (least, most) = (self.least, self.most);
        if range == ValueRange::Bytes && self.is_whole && !self.has_floats {
            return None;
        }
        Some(match range.limits() {
            Some([black, white]) => format!(
                "numbers from {least} to {most} were converted to 8 bits: {black} is black, {white} is white"
            ),
            None => format!(
                "numbers from {least:.2} to {most:.2} (mean {:.2}, standard deviation {:.2}) look standardised, and are used unchanged and without augmentation; evaluate the model on such arrays, not on picture files",
                self.mean(),
                self.deviation()
            ),
        })
    }
}

/// Up to this many levels of 255 count as few.
const FEW_LEVELS: u8 = 127;

/// A note on bytes that use few of the 255 levels, if they do.
pub(super) fn few_levels(pixels: &[&Pixels]) -> Option<String> {
    let bytes = pixels.iter().filter_map(|pixels| match pixels {
        Pixels::Bytes(bytes) => bytes.iter().max().copied(),
        _ => None,
    });
    let most = bytes.max().filter(|most| (1..=FEW_LEVELS).contains(most))?;
    Some(format!(
        "the lightest level of the pictures is {most}, and white is 255: they are used unchanged, and later pictures for the model must be as dark; \
         if {most} is white, save them as `(a * (255 / {most})).astype(numpy.uint8)`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(numbers: &[f32], floats: bool) -> Survey {
        let numbers = match floats {
            true => Numbers::Floats(numbers.to_vec()),
            false => Numbers::Integers(numbers.to_vec()),
        };
        Survey::of([&numbers].into_iter()).expect("they are no bytes")
    }

    #[test]
    fn the_range_of_numbers_tells_what_they_mean() {
        use ValueRange::*;
        for (numbers, floats, range) in [
            (&[0.0, 0.25, 1.0][..], true, ZeroToOne),
            (&[0.0, 0.25, 1.0001], true, ZeroToOne),
            (&[0.0, 1.0], false, Bytes),
            (&[-1.0, 0.0, 0.7], true, MinusOneToOne),
            (&[-0.5, 0.5], true, MinusHalfToHalf),
            (&[0.0, 12.5, 254.3], true, Bytes),
            (&[0.0, 5.0, 16.0], true, Bytes),
            (&[0.0, 200.0], false, Bytes),
            (&[3.0, 60000.0], false, Words),
            (&[3.0, 60000.0], true, Words),
            (&[-2.1, -0.4, 0.3, 2.6], true, Standardised),
            (
                &[-0.5, -0.5, -0.5, -0.5, 40.0, -0.5, -0.5, -0.5].repeat(200)[..4],
                true,
                MinusHalfToHalf,
            ),
        ] {
            assert_eq!(
                survey(numbers, floats).range(None),
                Ok(range),
                "{numbers:?}"
            );
        }
        for (numbers, floats, advice) in [
            (
                &[0.0, 0.5, 2.6][..],
                true,
                "`(a / 2.6).astype(numpy.float32)`",
            ),
            (&[0.0, 3900.0], false, "`(a / 4095).astype(numpy.float32)`"),
            (
                &[-1000.0, 3000.0],
                false,
                "`((a + 1000) / 4000).astype(numpy.float32)`",
            ),
            (
                &[-128.0, 127.0],
                false,
                "`((a + 128) / 255).astype(numpy.float32)`",
            ),
            (&[0.0, 1e9], false, "`(a / 1073741800)"),
        ] {
            let text = survey(numbers, floats).range(None).unwrap_err();
            assert!(text.contains(advice), "{text}");
        }
    }

    #[test]
    fn the_range_that_a_model_was_trained_on_decides_where_it_can() {
        use ValueRange::*;
        for (numbers, floats, remembered, range) in [
            (&[0.0, 0.5, 1.0][..], true, MinusOneToOne, MinusOneToOne),
            (&[-1.0, 0.5], true, ZeroToOne, MinusOneToOne),
            (&[0.0, 0.5, 1.0], true, Bytes, ZeroToOne),
            (&[0.0, 30.5, 80.0], true, Bytes, Bytes),
            (&[3.0, 9000.0], false, Words, Words),
            (&[-0.4, 0.5, -0.5, 0.4], true, Standardised, Standardised),
        ] {
            assert_eq!(
                survey(numbers, floats).range(Some(remembered)),
                Ok(range),
                "{numbers:?}"
            );
        }
    }

    #[test]
    fn levels_of_8_bits_come_back_to_the_bit() {
        for byte in 0..=255u8 {
            let level = f32::from(byte);
            assert_eq!(ValueRange::ZeroToOne.level(level / 255.0), byte);
            assert_eq!(ValueRange::MinusOneToOne.level(level / 127.5 - 1.0), byte);
            assert_eq!(ValueRange::MinusHalfToHalf.level(level / 255.0 - 0.5), byte);
            assert_eq!(ValueRange::Bytes.level(level), byte);
            assert_eq!(ValueRange::Words.level(level * 257.0), byte);
        }
        assert_eq!(ValueRange::ZeroToOne.level(1.001), 255);
        assert_eq!(ValueRange::ZeroToOne.level(-0.001), 0);
    }
}
