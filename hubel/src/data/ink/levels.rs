//! The levels of ink and paper in a grey picture, also for unevenly lit paper.
use crate::data::ground::edge;

/// The grey levels of ink and paper in one picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    ink: u8,
    paper: u8,
    /// Standard deviation of the paper's grain.
    grain: u8,
}

/// A smaller difference between ink and paper (of 255) counts as noise, and the picture is not changed.
const LEAST_CONTRAST: u8 = 24;

impl Levels {
    /// Two groups of levels by Otsu's threshold. The paper is the one with most of the border,
    /// or of the picture if the border is divided.
    pub(super) fn of(grey: &[u8], size: (usize, usize)) -> Self {
        let groups = Groups::of(grey, size);
        let (dark, light) = groups.histogram.split_at(groups.first_light);
        let (dark_count, light_count): (u64, u64) = (dark.iter().sum(), light.iter().sum());
        let dark_at = |share| quantile(dark, share);
        let light_at = |share| groups.first_light + quantile(light, share);
        // The paper's level is its median. The ink's level is the quartile farthest from it, since strokes have soft edges.
        // The grain is measured on the paper's side away from the ink.
        let (paper, ink, grain) = match (dark_count, light_count) {
            (_, 0) => (dark_at(0.5), dark_at(0.5), 0),
            (0, _) => (light_at(0.5), light_at(0.5), 0),
            _ if groups.paper_is_dark => {
                (dark_at(0.5), light_at(0.75), dark_at(0.5) - dark_at(0.16))
            }
            _ => (light_at(0.5), dark_at(0.25), light_at(0.84) - light_at(0.5)),
        };
        Self {
            ink: ink as u8,
            paper: paper as u8,
            grain: grain as u8,
        }
    }

    /// Whether there is ink.
    pub(super) fn contrast(self) -> bool {
        self.ink.abs_diff(self.paper) >= LEAST_CONTRAST
    }

    /// Whether there is ink, and its polarity differs from `light`.
    pub(super) fn ink_is_other_than(self, light: bool) -> bool {
        self.contrast() && (self.ink > self.paper) != light
    }

    /// The ink coverage of each pixel: 0 for paper with its grain, 255 for ink, whichever of them is light.
    pub(super) fn coverage(self, grey: &[u8]) -> Vec<u8> {
        let paper = f32::from(self.paper);
        let range = f32::from(self.ink) - paper;
        // One pixel in 30,000 is beyond four standard deviations, and isolated.
        let floor = (4.0 * f32::from(self.grain) / range.abs()).clamp(0.05, 0.4);
        let table: [u8; 256] = std::array::from_fn(|level| {
            let share = (level as f32 - paper) / range;
            (((share - floor) / (1.0 - floor)).clamp(0.0, 1.0) * 255.0).round() as u8
        });
        grey.iter()
            .map(|&level| table[usize::from(level)])
            .collect()
    }
}

/// A picture's levels in two groups.
struct Groups {
    histogram: [u64; 256],
    first_light: usize,
    paper_is_dark: bool,
}

impl Groups {
    fn of(grey: &[u8], size: (usize, usize)) -> Self {
        let mut histogram = [0u64; 256];
        grey.iter()
            .for_each(|&level| histogram[usize::from(level)] += 1);
        let threshold = otsu(&histogram);
        let border = edge(grey, size, 1).count() as f64;
        let dark_border = edge(grey, size, 1).filter(|pixel| pixel[0] <= threshold);
        let dark_border = dark_border.count() as f64;
        let dark: u64 = histogram[..=usize::from(threshold)].iter().sum();
        Self {
            first_light: usize::from(threshold) + 1,
            paper_is_dark: if (dark_border / border - 0.5).abs() > 0.1 {
                dark_border > 0.5 * border
            } else {
                dark as f64 > 0.5 * grey.len() as f64
            },
            histogram,
        }
    }

    fn is_paper(&self, level: u8) -> bool {
        (usize::from(level) < self.first_light) == self.paper_is_dark
    }
}

/// Removes a gradient of the paper's brightness, as from a lamp at one side: first fits a plane to all pixels,
/// then one to the pixels of the paper.
pub(super) fn flatten(grey: &mut [u8], size: (usize, usize)) {
    let plane = Plane::through(grey, size.1, |_| true);
    let mut flat = grey.to_vec();
    plane.take_from(&mut flat, size.1);
    let groups = Groups::of(&flat, size);
    Plane::through(grey, size.1, |at| groups.is_paper(flat[at])).take_from(grey, size.1);
}

/// A brightness that changes linearly over the picture.
struct Plane {
    row: f64,
    column: f64,
    row_slope: f64,
    column_slope: f64,
}

impl Plane {
    /// The least-squares plane through the pixels that `take` chooses.
    fn through(grey: &[u8], width: usize, take: impl Fn(usize) -> bool) -> Self {
        let chosen = || (0..grey.len()).filter(|&at| take(at));
        let (mut count, mut row, mut column, mut level) = (0.0, 0.0, 0.0, 0.0);
        for at in chosen() {
            count += 1.0;
            row += (at / width) as f64;
            column += (at % width) as f64;
            level += f64::from(grey[at]);
        }
        let count = f64::max(count, 1.0);
        let (row, column, level) = (row / count, column / count, level / count);
        let (mut rr, mut rc, mut cc, mut rl, mut cl) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for at in chosen() {
            let (r, c) = ((at / width) as f64 - row, (at % width) as f64 - column);
            let l = f64::from(grey[at]) - level;
            rr += r * r;
            rc += r * c;
            cc += c * c;
            rl += r * l;
            cl += c * l;
        }
        let determinant = rr * cc - rc * rc;
        let (row_slope, column_slope) = if determinant > 1e-6 * rr * cc {
            (
                (rl * cc - cl * rc) / determinant,
                (cl * rr - rl * rc) / determinant,
            )
        } else {
            (0.0, 0.0)
        };
        Self {
            row,
            column,
            row_slope,
            column_slope,
        }
    }

    fn take_from(&self, grey: &mut [u8], width: usize) {
        for (at, level) in grey.iter_mut().enumerate() {
            let slope = self.row_slope * ((at / width) as f64 - self.row)
                + self.column_slope * ((at % width) as f64 - self.column);
            *level = (f64::from(*level) - slope).round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// The threshold of a histogram that maximises the variance between the two groups (Otsu, 1979).
fn otsu(histogram: &[u64; 256]) -> u8 {
    let count: u64 = histogram.iter().sum();
    let total: u64 = (0..).zip(histogram).map(|(level, n)| level * n).sum();
    let (mut below, mut sum, mut best, mut threshold) = (0u64, 0u64, 0.0, 0u8);
    for level in 0..=254u8 {
        below += histogram[usize::from(level)];
        sum += u64::from(level) * histogram[usize::from(level)];
        if below == 0 || below == count {
            continue;
        }
        let difference = sum as f64 / below as f64 - (total - sum) as f64 / (count - below) as f64;
        let variance = below as f64 * (count - below) as f64 * difference * difference;
        if variance > best {
            (best, threshold) = (variance, level);
        }
    }
    threshold
}

/// The index up to which `share` of the counts lie.
fn quantile(histogram: &[u64], share: f64) -> usize {
    let wanted = share * histogram.iter().sum::<u64>() as f64;
    let mut seen = 0;
    histogram
        .iter()
        .position(|count| {
            seen += count;
            seen as f64 >= wanted
        })
        .unwrap_or(0)
}
