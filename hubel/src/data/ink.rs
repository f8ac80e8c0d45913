//! Grey pictures on a plain background: inverts them if they have the other polarity, and places a digit as in MNIST.
mod levels;

use std::borrow::Cow;

use levels::{Levels, flatten};

use crate::Result;
use crate::data::ground::{Ground, edge};
use crate::data::resize::{self, Resize};
use crate::data::{Dataset, Sampled};

/// Larger pictures are reduced before ink is searched; a stroke is then still many pixels wide.
const WORKING_SIDE: usize = 512;
/// Ink coverage of 255 from which on a pixel counts for the bounding box of the writing.
const FAINTEST: u8 = 24;

/// The side of the square that ink fills in pictures on a dark or light background, if it was scaled and centred on purpose;
/// otherwise `None`.
pub(super) fn side(dataset: &Dataset, ground_is_dark: bool) -> Result<Option<usize>> {
    let shape = dataset.shape();
    if shape.channels != 1 || shape.height < 8 || shape.width < 8 {
        return Ok(None);
    }
    let size = (shape.height, shape.width);
    let (mut sides, mut distance) = (Vec::new(), 0.0);
    let (mut border, mut paper) = (0, 0);
    for Sampled { pixels, .. } in dataset.some()? {
        let mut ink = pixels.into_owned();
        if !ground_is_dark {
            invert(&mut ink);
        }
        border += edge(&ink, size, 1).count();
        paper += edge(&ink, size, 1).filter(|pixel| pixel[0] < 32).count();
        let Some(extent) = Extent::of(&ink, shape.width, 0) else {
            continue;
        };
        sides.push(extent.height().max(extent.width()));
        let (row, column) = centre_of_mass(&ink, shape.width);
        let middle = |side: usize| (side - 1) as f64 / 2.0;
        let (down, right) = (row - middle(shape.height), column - middle(shape.width));
        distance += down.abs().max(right.abs());
    }
    if sides.is_empty() || paper as f64 <= 0.95 * border as f64 {
        return Ok(None);
    }
    distance /= sides.len() as f64;
    sides.sort_unstable();
    let side = sides[sides.len() / 2];
    // One box size for nearly all, and the centre of mass in the middle to a pixel: scaled and centred on purpose.
    let same = sides.iter().filter(|other| other.abs_diff(side) <= 1);
    let placed = distance < 1.0 && same.count() as f64 > 0.9 * sides.len() as f64;
    Ok(placed.then_some(side))
}

impl Ground {
    /// Prepares a grey picture for this background at the size `to`; also returns whether light and dark were exchanged.
    /// A picture that already has the size and the polarity is returned unchanged.
    pub(super) fn bring<'a>(
        self,
        pixels: Cow<'a, [u8]>,
        from: (usize, usize),
        to: (usize, usize),
        policy: Resize,
    ) -> (Cow<'a, [u8]>, bool) {
        let fitted = |pixels: &[u8]| resize::fit(pixels, from, to, &[self.level()], policy);
        let Some(things_are_light) = self.is_dark() else {
            // The negative of a grey background is grey, so it cannot show whether light and dark were exchanged.
            return match from == to {
                true => (pixels, false),
                false => (fitted(&pixels).into(), false),
            };
        };
        if from == to {
            let inverted = !stands_out(&pixels, from, things_are_light)
                && Levels::of(&pixels, from).ink_is_other_than(things_are_light);
            let mut pixels = pixels;
            if inverted {
                invert(pixels.to_mut());
            }
            return (pixels, inverted);
        }
        let size = resize::inside(from, (WORKING_SIDE.min(from.0), WORKING_SIDE.min(from.1)));
        let mut paper = resize::fit(&pixels, from, size, &[0], Resize::Stretch);
        flatten(&mut paper, size);
        let levels = Levels::of(&paper, size);
        let inverted = levels.ink_is_other_than(things_are_light);
        let placed = match self.ink_side {
            Some(side) if levels.contrast() => {
                place(&paper, levels, size, to, side, things_are_light)
            }
            _ => None,
        };
        let pixels = placed.unwrap_or_else(|| match inverted {
            true => {
                let mut negative = pixels.into_owned();
                invert(&mut negative);
                fitted(&negative)
            }
            false => fitted(&pixels),
        });
        (pixels.into(), inverted)
    }
}

/// Whether most of the border has the extreme level of the background, which is paper at any threshold. This is the common case in training, and
/// quick to decide.
fn stands_out(pixels: &[u8], size: (usize, usize), things_are_light: bool) -> bool {
    let ground = if things_are_light { 0 } else { 255 };
    let (mut of_ground, mut all) = (0, 0);
    for pixel in edge(pixels, size, 1) {
        of_ground += usize::from(pixel[0] == ground);
        all += 1;
    }
    10 * of_ground > 6 * all
}

/// Cuts the ink out, scales it to fit a square of `side`, and moves its centre of mass to the middle.
fn place(
    grey: &[u8],
    levels: Levels,
    from: (usize, usize),
    to: (usize, usize),
    side: usize,
    ink_is_light: bool,
) -> Option<Vec<u8>> {
    let mut ink = levels.coverage(grey);
    clear_specks(&mut ink, from.1);
    let extent = Extent::of(&ink, from.1, FAINTEST)?;
    let cut: Vec<u8> = (extent.top..=extent.bottom)
        .flat_map(|row| &ink[row * from.1 + extent.left..=row * from.1 + extent.right])
        .copied()
        .collect();
    let size = (extent.height(), extent.width());
    let scaled = resize::inside(size, (side.min(to.0), side.min(to.1)));
    let cut = resize::fit(&cut, size, scaled, &[0], Resize::Stretch);
    let (row, column) = centre_of_mass(&cut, scaled.1);
    let offset =
        |middle: f64, mass: f64, free: usize| ((middle - mass).round().max(0.0) as usize).min(free);
    // The centre of mass of MNIST's pictures is around pixel 14 of 0 … 27, half a pixel beyond the middle.
    let top = offset((to.0 / 2) as f64, row, to.0 - scaled.0);
    let left = offset((to.1 / 2) as f64, column, to.1 - scaled.1);
    let mut result = vec![0; to.0 * to.1];
    for (row, line) in cut.chunks_exact(scaled.1).enumerate() {
        result[(top + row) * to.1 + left..][..scaled.1].copy_from_slice(line);
    }
    if !ink_is_light {
        invert(&mut result);
    }
    Some(result)
}

fn invert(grey: &mut [u8]) {
    grey.iter_mut().for_each(|level| *level = 255 - *level);
}

/// Erases pieces with less than a fiftieth of all ink: dust and the grain of paper, not strokes.
fn clear_specks(ink: &mut [u8], width: usize) {
    let total: u64 = ink.iter().map(|&level| u64::from(level)).sum();
    let mut seen = vec![false; ink.len()];
    for start in 0..ink.len() {
        if seen[start] || ink[start] == 0 {
            continue;
        }
        seen[start] = true;
        let mut piece = vec![start];
        let mut next = 0;
        while let Some(&at) = piece.get(next) {
            next += 1;
            let column = at % width;
            for column in column.saturating_sub(1)..=(column + 1).min(width - 1) {
                for row in [at / width * width, at / width * width + width]
                    .into_iter()
                    .chain((at / width * width).checked_sub(width))
                {
                    let neighbour = row + column;
                    if neighbour < ink.len() && !seen[neighbour] && ink[neighbour] > 0 {
                        seen[neighbour] = true;
                        piece.push(neighbour);
                    }
                }
            }
        }
        let mass: u64 = piece.iter().map(|&at| u64::from(ink[at])).sum();
        if mass * 50 < total {
            piece.into_iter().for_each(|at| ink[at] = 0);
        }
    }
}

/// The rows and columns with ink, both ends included.
struct Extent {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

impl Extent {
    /// The smallest rectangle around everything above `level`.
    fn of(ink: &[u8], width: usize, level: u8) -> Option<Self> {
        let mut found: Option<Self> = None;
        for (index, _) in ink.iter().enumerate().filter(|&(_, &value)| value > level) {
            let (row, column) = (index / width, index % width);
            let extent = found.get_or_insert(Self {
                top: row,
                bottom: row,
                left: column,
                right: column,
            });
            extent.bottom = row;
            extent.left = extent.left.min(column);
            extent.right = extent.right.max(column);
        }
        found
    }

    fn height(&self) -> usize {
        self.bottom - self.top + 1
    }

    fn width(&self) -> usize {
        self.right - self.left + 1
    }
}

/// Row and column of the centre of mass; the middle if there is no mass.
fn centre_of_mass(ink: &[u8], width: usize) -> (f64, f64) {
    let (mut mass, mut rows, mut columns) = (0u64, 0u64, 0u64);
    for (index, &level) in ink.iter().enumerate() {
        mass += u64::from(level);
        rows += u64::from(level) * (index / width) as u64;
        columns += u64::from(level) * (index % width) as u64;
    }
    if mass == 0 {
        return (
            (ink.len() / width).saturating_sub(1) as f64 / 2.0,
            (width - 1) as f64 / 2.0,
        );
    }
    (rows as f64 / mass as f64, columns as f64 / mass as f64)
}
