//! Colour scales.

/// A colour scale for values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From 0 (black) to this value, with evenly growing brightness.
    Positive(f32),
    /// 0 is white, positive values are red, negative ones blue. The darkest colours are at this magnitude.
    Signed(f32),
}

impl Scale {
    /// The scale up to the largest magnitude of `values`; signed if one of them is negative.
    pub fn of(values: &[f32]) -> Self {
        let most = largest(values);
        match values.iter().any(|value| *value < 0.0) {
            true => Self::Signed(most),
            false => Self::Positive(most),
        }
    }

    /// The same kind of scale with another largest magnitude.
    pub fn up_to(self, most: f32) -> Self {
        match self {
            Self::Positive(_) => Self::Positive(most),
            Self::Signed(_) => Self::Signed(most),
        }
    }

    /// The values at the left and right end of the scale.
    pub fn ends(self) -> [f32; 2] {
        match self {
            Self::Positive(most) => [0.0, most],
            Self::Signed(most) => [-most, most],
        }
    }

    /// Colours of the scale at even distances, from left to right.
    pub fn colours(self) -> &'static [[u8; 3]] {
        match self {
            Self::Positive(_) => &BRIGHTER,
            Self::Signed(_) => &DIVERGING,
        }
    }

    /// The position of 0 on the scale, from 0 to 1.
    fn zero(self) -> f32 {
        match self {
            Self::Positive(_) => 0.0,
            Self::Signed(_) => 0.5,
        }
    }

    /// The colour of a value.
    pub fn colour(self, value: f32) -> [u8; 3] {
        let [low, high] = self.ends();
        let table = self.colours();
        let share = match high > low {
            true => ((value - low) / (high - low)).clamp(0.0, 1.0),
            false => self.zero(),
        };
        let place = share * (table.len() - 1) as f32;
        let low = (place as usize).min(table.len() - 2);
        let part = place - low as f32;
        [0, 1, 2].map(|i| {
            let (from, to) = (f32::from(table[low][i]), f32::from(table[low + 1][i]));
            (from + part * (to - from)).round() as u8
        })
    }
}

/// Ten colours of matplotlib's `inferno`, from black to light yellow. The brightness grows evenly, also with red-green colour blindness.
const BRIGHTER: [[u8; 3]; 10] = [
    [0, 0, 4],
    [27, 12, 65],
    [74, 12, 107],
    [120, 28, 109],
    [165, 44, 96],
    [207, 68, 70],
    [237, 105, 37],
    [251, 155, 6],
    [247, 209, 61],
    [252, 255, 164],
];

/// ColorBrewer's `RdBu` of nine colours, from blue to red.
const DIVERGING: [[u8; 3]; 9] = [
    [33, 102, 172],
    [67, 147, 195],
    [146, 197, 222],
    [209, 229, 240],
    [247, 247, 247],
    [253, 219, 199],
    [244, 165, 130],
    [214, 96, 77],
    [178, 24, 43],
];

/// The largest magnitude of the values; 0 if there are none.
pub(crate) fn largest(values: &[f32]) -> f32 {
    let magnitudes = values.iter().map(|value| value.abs());
    magnitudes.fold(0.0, f32::max)
}

/// Formats a value with three significant digits.
pub fn short(value: f32) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(0.001..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    let decimals = (2.0 - size.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_say_sign_and_size() {
        let signed = Scale::of(&[-2.0, 1.0]);
        assert_eq!(signed, Scale::Signed(2.0));
        assert_eq!(signed.colour(0.0), [247; 3]);
        assert_eq!(
            (signed.colour(-2.0), signed.colour(9.0)),
            (DIVERGING[0], DIVERGING[8])
        );
        let positive = Scale::of(&[0.0, 4.0]);
        assert_eq!(
            (positive.colour(0.0), positive.colour(4.0)),
            (BRIGHTER[0], BRIGHTER[9])
        );
        // All zeros are black; they do not cause a division by zero.
        assert_eq!(Scale::of(&[0.0]).colour(0.0), BRIGHTER[0]);
        let brightness = |share: f32| {
            let [red, green, blue] = positive.colour(share).map(f32::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        let steps = (0..=20).map(|i| brightness(i as f32 / 5.0));
        assert!(steps.collect::<Vec<_>>().is_sorted());
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (-0.25, "-0.25"),
            (300.0, "300"),
            (1234.4, "1234"),
            (0.012_34, "0.0123"),
            (2.5e-5, "2.5e-5"),
            (3.21e7, "3.2e7"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
