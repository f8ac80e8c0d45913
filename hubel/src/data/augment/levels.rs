//! Changes of levels by a table: brightness, contrast and other operations of TrivialAugment.
use super::Picture;

/// A table for all channels.
pub(super) fn apply(picture: &mut Picture<'_>, table: &[u8; 256]) {
    for level in picture.pixels.iter_mut() {
        *level = table[usize::from(*level)];
    }
}

/// A table for each channel, computed from its histogram.
fn apply_by_channel(picture: &mut Picture<'_>, table: impl Fn(&[u32; 256]) -> [u8; 256]) {
    let channels = picture.shape.channels;
    let mut counts = vec![[0u32; 256]; channels];
    for pixel in picture.pixels.chunks_exact(channels) {
        for (counts, level) in counts.iter_mut().zip(pixel) {
            counts[usize::from(*level)] += 1;
        }
    }
    let tables: Vec<[u8; 256]> = counts.iter().map(table).collect();
    for pixel in picture.pixels.chunks_exact_mut(channels) {
        for (table, level) in tables.iter().zip(pixel) {
            *level = table[usize::from(*level)];
        }
    }
}

/// `base` + `factor`·(level − `base`), rounded and clamped to a byte: torchvision's blend of a picture with a uniform one.
fn blend(base: f32, factor: f32) -> [u8; 256] {
    std::array::from_fn(|level| (base + factor * (level as f32 - base)).round() as u8)
}

/// Multiplies each level by `factor`.
pub(super) fn brightness(picture: &mut Picture<'_>, factor: f32) {
    if factor != 1.0 {
        apply(picture, &blend(0.0, factor));
    }
}

/// Multiplies each level's distance from the picture's mean grey by `factor`.
pub(super) fn contrast(picture: &mut Picture<'_>, factor: f32) {
    if factor == 1.0 {
        return;
    }
    let sum: u64 = match picture.shape.channels {
        3 => (picture.pixels.as_chunks().0.iter())
            .map(|pixel| u64::from(grey(*pixel)))
            .sum(),
        _ => picture.pixels.iter().map(|level| u64::from(*level)).sum(),
    };
    let count = match picture.shape.channels {
        3 => picture.pixels.len() / 3,
        _ => picture.pixels.len(),
    };
    let mean = (sum as f64 / count as f64) as f32;
    apply(picture, &blend(mean, factor));
}

/// The luma of ITU-R BT.601 (0.299 red, 0.587 green, 0.114 blue), as in Pillow and torchvision.
#[inline(always)]
pub(super) fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + (1 << 15))
        >> 16) as u8
}

/// Keeps the upper `bits` bits of each level.
pub(super) fn posterize(picture: &mut Picture<'_>, bits: u32) {
    let mask = !(255u32 >> bits) as u8;
    apply(picture, &std::array::from_fn(|level| level as u8 & mask));
}

/// Inverts levels of at least `threshold`.
pub(super) fn solarize(picture: &mut Picture<'_>, threshold: f32) {
    let table = std::array::from_fn(|level| {
        let level = level as u8;
        if f32::from(level) >= threshold {
            255 - level
        } else {
            level
        }
    });
    apply(picture, &table);
}

/// Stretches each channel so that its darkest level becomes 0 and its lightest 255.
pub(super) fn autocontrast(picture: &mut Picture<'_>) {
    apply_by_channel(picture, |counts| {
        let darkest = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let lightest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        if darkest == lightest {
            return std::array::from_fn(|level| level as u8);
        }
        let scale = 255.0 / (lightest - darkest) as f32;
        std::array::from_fn(|level| ((level as f32 - darkest as f32) * scale).round() as u8)
    });
}

/// Equalises the histogram of each channel, by Pillow's rule.
pub(super) fn equalize(picture: &mut Picture<'_>) {
    apply_by_channel(picture, |counts| {
        let total: u32 = counts.iter().sum();
        let of_lightest = counts.iter().rev().find(|count| **count > 0).copied();
        let step = (total - of_lightest.unwrap_or(0)) / 255;
        if step == 0 {
            return std::array::from_fn(|level| level as u8);
        }
        let mut below = step / 2;
        std::array::from_fn(|level| {
            let place = (below / step).min(255) as u8;
            below += counts[level];
            place
        })
    });
}
