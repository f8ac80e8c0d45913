//! Writing: recognising dark ink on light paper, and placing a digit as MNIST's makers did.
mod levels;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use levels::{Levels, edge, flatten};

use crate::Result;
use crate::data::Dataset;
use crate::data::resize::{self, Resize};

/// How the pictures that a network learned from show writing; other pictures are brought into this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ink {
    /// Whether the ink is lighter than the paper, as in MNIST.
    pub light: bool,
    /// The side of the square that the ink fills, in pixels, when it is scaled to one and then centred by its mass
    /// (20 of 28 for MNIST); `None` when the writing is anywhere in the picture.
    pub side: Option<usize>,
}

/// Larger pictures are made smaller before ink is looked for: a stroke is still many pixels wide then.
const WORKING_SIDE: usize = 512;
/// Bytes of the pictures by which writing is recognised.
const MOST_BYTES: usize = 64 << 20;
/// Coverage by ink, of 255, from which on a pixel counts for the box around the writing.
const FAINTEST: u8 = 24;

impl Ink {
    /// Finds out how a data set shows writing; `None` when it does not look like writing: more than one channel, or
    /// borders that are not of one extreme level.
    pub(super) fn measure(dataset: &Dataset) -> Result<Option<Self>> {
        let shape = dataset.shape();
        if shape.channels != 1 || shape.height < 8 || shape.width < 8 {
            return Ok(None);
        }
        // 1,000 pictures settle a majority of 95 %, fewer of large ones; evenly spread, since files are often sorted by class.
        let most = (MOST_BYTES / shape.len()).clamp(50, 1000);
        let step = dataset.len().div_ceil(most).max(1);
        let mut pictures = Vec::new();
        for index in (0..dataset.len()).step_by(step) {
            match dataset.bytes(index) {
                Ok(Some(bytes)) => pictures.push(bytes),
                Ok(None) => return Ok(None),
                // What the policy leaves out says nothing; it is reported when it is its turn in training.
                Err(error) => drop(dataset.left_out(index, error)?),
            }
        }
        let border: Vec<u8> = pictures
            .iter()
            .flat_map(|picture| edge(picture, (shape.height, shape.width)))
            .collect();
        let share = |holds: fn(u8) -> bool| {
            border.iter().filter(|&&level| holds(level)).count() as f64 / border.len() as f64
        };
        let light = share(|level| level < 32) > 0.95;
        if !light && share(|level| level > 223) <= 0.95 {
            return Ok(None);
        }
        let mut sides = Vec::new();
        let mut distance = 0.0;
        for picture in &pictures {
            let ink: Vec<u8> = picture
                .iter()
                .map(|&level| if light { level } else { 255 - level })
                .collect();
            let Some(extent) = Extent::of(&ink, shape.width, 0) else {
                continue;
            };
            sides.push(extent.height().max(extent.width()));
            let (row, column) = centre_of_mass(&ink, shape.width);
            let (middle_row, middle_column) = (
                (shape.height - 1) as f64 / 2.0,
                (shape.width - 1) as f64 / 2.0,
            );
            distance += (row - middle_row).abs().max((column - middle_column).abs());
        }
        if sides.is_empty() {
            return Ok(None);
        }
        distance /= sides.len() as f64;
        sides.sort_unstable();
        let side = sides[sides.len() / 2];
        // One box for nearly all, and the mass in the middle to a pixel: scaled and centred on purpose.
        let same = sides
            .iter()
            .filter(|&&other| other.abs_diff(side) <= 1)
            .count();
        let placed = distance < 1.0 && same as f64 > 0.9 * sides.len() as f64;
        Ok(Some(Self {
            light,
            side: placed.then_some(side),
        }))
    }

    /// Brings a grey picture into this form, scaled to `to`; also whether light and dark were exchanged.
    /// A picture that already has the size and the polarity is returned as it is.
    pub(super) fn bring<'a>(
        self,
        pixels: Cow<'a, [u8]>,
        from: (usize, usize),
        to: (usize, usize),
        policy: Resize,
    ) -> (Cow<'a, [u8]>, bool) {
        let paper = if self.light { 0 } else { 255 };
        // The extreme level all around is paper at any threshold: the common case in training, decided at a glance.
        if from == to && edge(&pixels, from).all(|level| level == paper) {
            return (pixels, false);
        }
        if from == to {
            let inverted = Levels::of(&pixels, from).ink_is_other_than(self.light);
            let mut pixels = pixels;
            if inverted {
                invert(pixels.to_mut());
            }
            return (pixels, inverted);
        }
        let size = resize::inside(from, (WORKING_SIDE.min(from.0), WORKING_SIDE.min(from.1)));
        let mut paper = resize::fit(&pixels, from, size, 1, Resize::Stretch);
        flatten(&mut paper, size);
        let levels = Levels::of(&paper, size);
        let inverted = levels.ink_is_other_than(self.light);
        let placed = match self.side {
            Some(side) if levels.contrast() => self.place(&paper, levels, size, to, side),
            _ => None,
        };
        let pixels = placed.unwrap_or_else(|| {
            // Letterbox adds black: for dark ink do it in the negative, so that it adds white paper.
            let mut grey = pixels.into_owned();
            if inverted == self.light {
                invert(&mut grey);
            }
            let mut fitted = resize::fit(&grey, from, to, 1, policy);
            if !self.light {
                invert(&mut fitted);
            }
            fitted
        });
        (pixels.into(), inverted)
    }

    /// Cuts the ink out, scales it to fit a square of `side`, and puts its centre of mass into the middle.
    fn place(
        self,
        grey: &[u8],
        levels: Levels,
        from: (usize, usize),
        to: (usize, usize),
        side: usize,
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
        let cut = resize::fit(&cut, size, scaled, 1, Resize::Stretch);
        let (row, column) = centre_of_mass(&cut, scaled.1);
        let offset = |middle: f64, mass: f64, free: usize| {
            ((middle - mass).round().max(0.0) as usize).min(free)
        };
        // MNIST's pictures have their mass around pixel 14 of 0 … 27, half a pixel beyond the middle.
        let top = offset((to.0 / 2) as f64, row, to.0 - scaled.0);
        let left = offset((to.1 / 2) as f64, column, to.1 - scaled.1);
        let mut result = vec![0; to.0 * to.1];
        for (row, line) in cut.chunks_exact(scaled.1).enumerate() {
            result[(top + row) * to.1 + left..][..scaled.1].copy_from_slice(line);
        }
        if !self.light {
            invert(&mut result);
        }
        Some(result)
    }
}

fn invert(grey: &mut [u8]) {
    grey.iter_mut().for_each(|level| *level = 255 - *level);
}

/// Sets pieces of ink to 0 that are less than a fiftieth of all ink in mass: dust and the grain of paper, not strokes.
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

/// The rows and columns, both ends included, that hold ink.
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

/// Row and column of the centre of mass; of the middle when there is no mass.
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
