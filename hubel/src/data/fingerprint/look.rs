//! A coarse comparison: do two pictures look similar?
//!
//! Thumbnails of 16×16 cells are compared after the best fit in brightness and contrast. Different pictures may look similar: the same
//! figure with another face, the same cell in another stain, another shirt.
use crate::data::fingerprint::thumbnail::{COLOUR_SIDE, Thumbnail};

/// Cells of brightness along each side.
const SIDE: usize = COLOUR_SIDE;
/// Cells of colour along each side.
const CHROMA_SIDE: usize = 4;
/// Cells of brightness.
const CELLS: u64 = (SIDE * SIDE) as u64;
/// A standard deviation below 3 levels is no structure.
const FLAT: u64 = CELLS * CELLS * 9;
/// Contrasts may differ by a factor of 1.5, so their squares by 9/4.
const CONTRAST_RATIO_4: u64 = 9;
/// Mean brightness may differ by this many levels.
const BRIGHTNESS: u32 = 40;
/// Largest residual of a thumbnail, as a share of its variance: of a thousand CIFAR-10 pictures, 916 are recognised after
/// encoding with JPEG quality 50, and no two different pictures are confused.
const RESIDUAL: f64 = 0.02;
/// With fewer structured cells than this, the residual must be smaller. Handwritten ones are a stroke of some
/// 25 cells; hundreds by different writers are below [`RESIDUAL`], and none below the reduced limit.
const STRUCTURED_CELLS: f64 = 52.0;
/// Factor of the residual for pictures without colours, which would otherwise have to agree too.
const WITHOUT_COLOUR: f64 = 0.5;
/// Levels of `chroma` up to which there is no colour.
const COLOURLESS: i8 = 2;
/// Colours may differ by this many levels in the mean.
const COLOUR: u32 = 8;

/// A thumbnail for the coarse comparison, about 330 bytes.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Brightness, 16×16 means over equal areas.
    pub(super) grey: [u8; SIDE * SIDE],
    /// Half of red minus brightness and of blue minus brightness, 4×4 each.
    chroma: [i8; 2 * CHROMA_SIDE * CHROMA_SIDE],
    /// Sum of `grey`.
    sum: u32,
    /// n·Σgrey² − (Σgrey)², that is n² times the variance.
    spread: u64,
    /// The amount of structure as a share of [`STRUCTURED_CELLS`], at most 1.
    structure: f64,
}

impl Look {
    pub(super) fn new(thumbnail: &Thumbnail) -> Self {
        let grey = thumbnail.coarse();
        let mut chroma = [0; 2 * CHROMA_SIDE * CHROMA_SIDE];
        for (place, pair) in chroma.chunks_exact_mut(2).enumerate() {
            const STEP: usize = SIDE / CHROMA_SIDE;
            let (top, left) = (place / CHROMA_SIDE * STEP, place % CHROMA_SIDE * STEP);
            let rows =
                (top..top + STEP).flat_map(|row| &thumbnail.colours[row * SIDE + left..][..STEP]);
            let sums = rows.fold([0; 2], |sums, cell| {
                [sums[0] + i32::from(cell[0]), sums[1] + i32::from(cell[1])]
            });
            pair.copy_from_slice(&sums.map(|sum| (sum / (STEP * STEP) as i32) as i8));
        }
        let sum: u32 = grey.iter().map(|&level| u32::from(level)).sum();
        let squares: u64 = grey.iter().map(|&level| u64::from(level).pow(2)).sum();
        Self {
            structure: structure(&grey, sum),
            grey,
            chroma,
            sum,
            spread: CELLS * squares - u64::from(sum).pow(2),
        }
    }

    /// Whether it shows more than one colour.
    pub(super) fn has_structure(&self) -> bool {
        self.spread >= FLAT
    }

    /// Whether it has no colours.
    pub(super) fn is_grey(&self) -> bool {
        is_grey(&self.chroma)
    }

    /// Whether the residual of one thumbnail after the best fit of the other in brightness and contrast is small, and the colours are
    /// about the same. Only for looks whose [`Light`] is near.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.residual(other) <= self.tolerance().min(other.tolerance())
            && self.colour_difference(other) <= COLOUR
    }

    /// Largest residual between this thumbnail and a similar one.
    fn tolerance(&self) -> f64 {
        let colour = if self.is_grey() { WITHOUT_COLOUR } else { 1.0 };
        RESIDUAL * colour * self.structure * self.structure * self.structure
    }

    /// The amount of structure: from near 0, if all but a few cells are plain, to 1.
    pub(super) fn structure(&self) -> f64 {
        self.structure
    }

    /// Standard deviation of the brightness, in levels.
    pub(super) fn deviation(&self) -> f64 {
        (self.spread as f64).sqrt() / CELLS as f64
    }

    pub(super) fn light(&self) -> Light {
        Light {
            sum: self.sum,
            spread: self.spread,
        }
    }

    /// 1 − r², where r is the correlation of the thumbnails; 1 if r is negative.
    fn residual(&self, other: &Self) -> f64 {
        let products = self.grey.iter().zip(&other.grey);
        let products: u32 = products.map(|(&a, &b)| u32::from(a) * u32::from(b)).sum();
        // Integers below 2⁵³ are exact as f64, and IEEE 754 rounds the rest in one way: the same on every machine.
        let together =
            (CELLS * u64::from(products)) as f64 - f64::from(self.sum) * f64::from(other.sum);
        if together <= 0.0 {
            return 1.0;
        }
        1.0 - together * together / (self.spread as f64 * other.spread as f64)
    }

    /// Mean difference of the colours, in levels.
    fn colour_difference(&self, other: &Self) -> u32 {
        let differences = self
            .chroma
            .iter()
            .zip(&other.chroma)
            .map(|(&a, &b)| u32::from(a.abs_diff(b)));
        2 * differences.sum::<u32>() / self.chroma.len() as u32
    }
}

/// Brightness and contrast of a thumbnail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Light {
    sum: u32,
    spread: u64,
}

impl Light {
    pub(super) fn sum(self) -> u32 {
        self.sum
    }

    pub(super) fn is_near(self, other: Self) -> bool {
        let (low, high) = (self.spread.min(other.spread), self.spread.max(other.spread));
        low >= FLAT
            && 4 * high <= CONTRAST_RATIO_4 * low
            && self.sum.abs_diff(other.sum) <= BRIGHTNESS * CELLS as u32
    }
}

/// The amount of structure as a share of [`STRUCTURED_CELLS`], at most 1. The number of cells is the participation ratio (Σd²)²/Σd⁴ of the
/// deviations d from the mean. `sum` is that of `grey`.
fn structure(grey: &[u8], sum: u32) -> f64 {
    let mean = f64::from(sum) / CELLS as f64;
    // One sum per column, since a single sum would have to wait for each addition.
    let (mut seconds, mut fourths) = ([0.0; SIDE], [0.0; SIDE]);
    for row in grey.chunks_exact(SIDE) {
        for (column, &level) in row.iter().enumerate() {
            let square = (f64::from(level) - mean) * (f64::from(level) - mean);
            seconds[column] += square;
            fourths[column] += square * square;
        }
    }
    let [second, fourth] = [seconds, fourths].map(|sums| sums.iter().sum::<f64>());
    if fourth > 0.0 {
        (second * second / fourth / STRUCTURED_CELLS).min(1.0)
    } else {
        0.0
    }
}

fn is_grey(chroma: &[i8]) -> bool {
    chroma.iter().all(|level| level.abs() <= COLOURLESS)
}
