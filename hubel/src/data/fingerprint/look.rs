//! What a picture looks like at a glance: whether two look alike.
//!
//! Thumbnails of 16×16 cells are compared after the best fit in brightness and contrast. Different pictures may look alike: the same
//! figure with another face, the same cell in another stain, another shirt.
use crate::data::fingerprint::thumbnail::{COLOUR_SIDE, Thumbnail};

/// Cells of brightness along each side.
const SIDE: usize = COLOUR_SIDE;
/// Cells of colour along each side.
const CHROMA_SIDE: usize = 4;
/// Cells of brightness.
const CELLS: u64 = (SIDE * SIDE) as u64;
/// A spread below that of a standard deviation of 3 levels is no structure.
const FLAT: u64 = CELLS * CELLS * 9;
/// Contrasts may differ by a factor of 1.5, their squares by 9/4.
const CONTRAST_RATIO_4: u64 = 9;
/// Mean brightness may differ by this many levels.
const BRIGHTNESS: u32 = 40;
/// What may remain of a thumbnail, as a share of its variance: of a thousand of CIFAR-10's pictures 916 are recognised when
/// they are coded again with JPEG's quality 50, and no two of its different pictures are taken for one.
const RESIDUAL: f64 = 0.02;
/// Where the structure is that of fewer cells than this, less may remain: of handwritten ones, which are a stroke of some
/// 25 cells, hundreds by different writers lie below [`RESIDUAL`], and none below what is left then.
const STRUCTURED_CELLS: f64 = 52.0;
/// Where there are no colours, which would have to agree too, this much of it may remain.
const WITHOUT_COLOUR: f64 = 0.5;
/// Levels of `chroma` up to which there is no colour.
const COLOURLESS: i8 = 2;
/// Colours may differ by this many levels in the mean.
const COLOUR: u32 = 8;

/// A thumbnail for a glance, about 330 bytes.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Brightness, 16×16 means over equal areas.
    pub(super) grey: [u8; SIDE * SIDE],
    /// Half of red and of blue less brightness, 4×4 each.
    chroma: [i8; 2 * CHROMA_SIDE * CHROMA_SIDE],
    /// Sum of `grey`.
    sum: u32,
    /// n·Σgrey² − (Σgrey)², that is n² times the variance.
    spread: u64,
    /// Which share of [`STRUCTURED_CELLS`] the structure has, at most 1.
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

    /// Whether there is anything to be seen but one colour.
    pub(super) fn has_structure(&self) -> bool {
        self.spread >= FLAT
    }

    /// Whether there are no colours.
    pub(super) fn is_grey(&self) -> bool {
        is_grey(&self.chroma)
    }

    /// Whether what remains of one thumbnail after the best fit of the other in brightness and contrast is little, and the colours are
    /// about the same; of looks whose [`Light`] is near.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.residual(other) <= self.tolerance().min(other.tolerance())
            && self.colour_difference(other) <= COLOUR
    }

    /// How much may remain between this thumbnail and one that looks alike.
    fn tolerance(&self) -> f64 {
        let colour = if self.is_grey() { WITHOUT_COLOUR } else { 1.0 };
        RESIDUAL * colour * self.structure * self.structure * self.structure
    }

    /// How much there is to be seen: from near 0, where all is plain but for a few cells, to 1.
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

    /// 1 − r², r being the correlation of the thumbnails; 1 where they are opposites.
    fn residual(&self, other: &Self) -> f64 {
        let products = self.grey.iter().zip(&other.grey);
        let products: u32 = products.map(|(&a, &b)| u32::from(a) * u32::from(b)).sum();
        // Whole numbers below 2⁵³ are exact as f64, and IEEE 754 rounds the rest in one way: the same on every machine.
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

/// Which share of [`STRUCTURED_CELLS`] the structure has, at most 1. Their number is the participation ratio (Σd²)²/Σd⁴ of the
/// deviations d from the mean. `sum` is that of `grey`.
fn structure(grey: &[u8], sum: u32) -> f64 {
    let mean = f64::from(sum) / CELLS as f64;
    // Column by column, since one sum would wait for each of its additions.
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
