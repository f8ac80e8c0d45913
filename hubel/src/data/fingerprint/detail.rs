//! Compares two pictures in colour and in detail: is one a copy of the other?
//!
//! A copy may have been encoded again, resized, cropped a little, or made a little brighter. So the thumbnail of one is fitted to that of
//! the other by least squares: contrast, brightness, and a shift and a stretch along each axis, to first order by the gradient
//! (Lucas and Kanade, "An iterative image registration technique", 1981). The residual of each cell must be explained by these changes:
//! by a little noise, and on edges by their shift and the change of light. So two figures that differ
//! in the colour of a face are no copies, since their edges have not moved; a cropped picture, whose edges have moved, is a copy.
use super::look::Look;
use super::thumbnail::{COLOUR_SIDE, SIDE, Thumbnail};

/// Largest residual of a copy, in units of what noise and the changes explain. 95 % of copies of emoji that were encoded at quality 75, resized to
/// 80 % and back, made 10 % brighter or darker, or cropped by 2 %, are below.
const REMAINDER: f32 = 2.0;
/// Levels that noise explains, in pictures of enough contrast.
const NOISE: f32 = 6.0;
/// The same as a share of the standard deviation, if that is less.
const NOISE_SHARE: f32 = 0.1;
/// The share of the gradient that is explained without any change, and per cell of shift.
const EDGE: [f32; 2] = [0.05, 0.8];
/// Contrast may differ by this factor.
const CONTRAST: f32 = 1.18;
/// The mean level may become lighter or darker by this many levels.
const LIGHT: f32 = 20.0;
/// Largest offset of all levels for a picture on a white background.
const LIGHT_ON_WHITE: f32 = 14.0;
/// The borders may move by this share of the picture, or by one pixel of a small picture, plus [`UNSURE`].
const CROP: f32 = 0.02;
/// Error of an estimated shift, in cells.
const UNSURE: f32 = 0.2;
/// A cell from this level on may be saturated.
const WHITE: f32 = 250.0;
/// The weight of such a cell in the fit.
const WHITE_WEIGHT: f32 = 0.02;

const CELLS: usize = SIDE * SIDE;
/// Red, green and blue, 32×32 each.
type Colours = [[f32; CELLS]; 3];
/// Contrast, brightness, shift across and down, stretch across and down.
const UNKNOWNS: usize = 6;
/// Regularisation, which keeps undetermined unknowns near 0.
const RIDGE: [f64; UNKNOWNS] = [1e-3, 1e-3, 10.0, 10.0, 3.0, 3.0];

/// How one picture may differ from a copy of it.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    /// A factor of the largest residual, at most 1.
    pub(super) strictness: f32,
    /// Whether it may have been cropped.
    pub(super) crop: bool,
}

/// Whether both are the same picture.
pub(super) fn is_copy(
    one: (&Thumbnail, &Look),
    other: (&Thumbnail, &Look),
    allowance: Allowance,
) -> bool {
    // A brightened picture has lost what became white, so the darker one is fitted to it.
    let key = |(thumbnail, look): (&Thumbnail, &Look)| {
        (look.light().sum(), thumbnail.grey, thumbnail.colours)
    };
    let (dark, bright) = if key(one) <= key(other) {
        (one, other)
    } else {
        (other, one)
    };
    let noise = dark.1.deviation().min(bright.1.deviation()) as f32 * NOISE_SHARE;
    let pixel = SIDE as f32 / f32::from(dark.0.side.min(bright.0.side));
    let farthest = match allowance.crop {
        true => (CROP * SIDE as f32).max(pixel) + UNSURE,
        false => UNSURE,
    };
    Fit::new(&smooth(&colours(dark.0)), &smooth(&colours(bright.0))).is_some_and(|fit| {
        fit.is_crop(farthest, goes_on(dark.0))
            && fit.remainder(noise.min(NOISE)) <= REMAINDER * allowance.strictness
    })
}

/// If the brightness of a picture's borders has at least this standard deviation, they show more than a background.
fn goes_on(thumbnail: &Thumbnail) -> bool {
    const DEVIATION: u64 = 12;
    let border = (0..CELLS).filter(|cell| {
        let (row, column) = (cell / SIDE, cell % SIDE);
        row.min(column) == 0 || row.max(column) == SIDE - 1
    });
    let [count, sum, squares] = border.fold([0; 3], |[count, sum, squares], cell| {
        let level = u64::from(thumbnail.grey[cell]);
        [count + 1, sum + level, squares + level * level]
    });
    count * squares - sum * sum >= (count * DEVIATION).pow(2)
}

/// One thumbnail fitted to another.
struct Fit {
    contrast: f32,
    /// The shift across and down, in cells, at the middle.
    movement: [f32; 2],
    /// The stretch across and down, in cells from one side to the other.
    stretch: [f32; 2],
    /// The smoothed residual.
    remainder: Colours,
    /// Length of the gradient, smoothed, in levels per cell.
    gradient: [f32; CELLS],
}

impl Fit {
    /// Fits `dark` to `bright`; `None` if they differ more than copies do.
    fn new(dark: &Colours, bright: &Colours) -> Option<Self> {
        let across: Colours =
            std::array::from_fn(|colour| mean(&across(&dark[colour]), &across(&bright[colour])));
        let down: Colours =
            std::array::from_fn(|colour| mean(&down(&dark[colour]), &down(&bright[colour])));
        let mut sums = Sums::new();
        for colour in 0..3 {
            for row in 0..SIDE {
                let line = |cells: &[f32; CELLS]| -> [f32; SIDE] {
                    std::array::from_fn(|column| cells[row * SIDE + column])
                };
                sums.add(
                    row,
                    &line(&dark[colour]),
                    &line(&bright[colour]),
                    &line(&across[colour]),
                    &line(&down[colour]),
                );
            }
        }
        let solved = sums.solve()?;
        let [contrast, brightness, parameters @ ..] = solved.map(|number| number as f32);
        let lighter = (contrast - 1.0) * 128.0 + brightness;
        // A white background that stays white means that levels were multiplied and nothing was added.
        let stays_white =
            (0..CELLS).filter(|&cell| dark[1][cell] >= WHITE && bright[1][cell] >= WHITE);
        let has_ground = stays_white.count() > CELLS / 16;
        if !(1.0 / CONTRAST..=CONTRAST).contains(&contrast)
            || lighter.abs() > LIGHT
            || (has_ground && brightness.abs() > LIGHT_ON_WHITE)
        {
            return None;
        }
        let [right, below, wider, higher] = parameters;
        let remainder = std::array::from_fn(|colour| {
            let mut remainder = [0.0; CELLS];
            for (cell, remainder) in remainder.iter_mut().enumerate() {
                let (row, column) = (cell / SIDE, cell % SIDE);
                let fitted = contrast * dark[colour][cell]
                    + brightness
                    + across[colour][cell] * (right + wider * PLACES[column])
                    + down[colour][cell] * (below + higher * PLACES[row]);
                *remainder = bright[colour][cell] - fitted.clamp(0.0, 255.0);
            }
            smoothed(&remainder)
        });
        let mut gradient = [0.0; CELLS];
        for (cell, gradient) in gradient.iter_mut().enumerate() {
            let squares = |colour: usize| {
                across[colour][cell] * across[colour][cell]
                    + down[colour][cell] * down[colour][cell]
            };
            *gradient = squares(0).max(squares(1)).max(squares(2)).sqrt();
        }
        Some(Self {
            contrast,
            movement: [right, below].map(|cells| cells / contrast),
            stretch: [wider, higher].map(|cells| cells / contrast),
            remainder,
            gradient: smoothed(&gradient),
        })
    }

    /// Whether the shift is one by cropping, of at most `farthest` cells: opposite borders move towards each other, or apart. A picture that
    /// moved as a whole is another picture, unless it `goes_on` beyond its borders, and was cut elsewhere.
    fn is_crop(&self, farthest: f32, goes_on: bool) -> bool {
        let borders = (0..2).map(|axis| {
            let half = self.stretch[axis] / 2.0;
            [self.movement[axis] - half, self.movement[axis] + half]
        });
        borders.fold(true, |is_crop, [first, last]| {
            let stays = first.abs().min(last.abs()) <= UNSURE;
            is_crop
                && first.abs().max(last.abs()) <= farthest
                && (goes_on || stays || first.signum() != last.signum())
        })
    }

    /// The largest residual of a cell, in units of what is explained there.
    fn remainder(&self, noise: f32) -> f32 {
        let light = (self.contrast - 1.0).abs();
        let moved = |axis: usize, place: usize| {
            (self.movement[axis] + self.stretch[axis] * PLACES[place]).abs()
        };
        let ratio = |cell: usize| {
            let (row, column) = (cell / SIDE, cell % SIDE);
            let moved = moved(0, column).max(moved(1, row));
            let explained = noise + self.gradient[cell] * (EDGE[0] + EDGE[1] * moved + light);
            let remains = |colour: usize| self.remainder[colour][cell].abs();
            remains(0).max(remains(1)).max(remains(2)) / explained
        };
        (0..CELLS).map(ratio).fold(0.0, f32::max)
    }
}

/// The middle of each cell, from −½ to ½.
const PLACES: [f32; SIDE] = {
    let mut places = [0.0; SIDE];
    let mut cell = 0;
    while cell < SIDE {
        places[cell] = (cell as f32 + 0.5) / SIDE as f32 - 0.5;
        cell += 1;
    }
    places
};

/// The sums of the normal equations, one per column: a single sum would have to wait for each addition.
struct Sums {
    /// Sums of the products of any two unknowns' factors, and of each with the target level.
    products: [[[f32; SIDE]; UNKNOWNS + 1]; UNKNOWNS],
}

impl Sums {
    fn new() -> Self {
        Self {
            products: [[[0.0; SIDE]; UNKNOWNS + 1]; UNKNOWNS],
        }
    }

    /// Adds a row of one colour.
    fn add(
        &mut self,
        row: usize,
        dark: &[f32; SIDE],
        bright: &[f32; SIDE],
        across: &[f32; SIDE],
        down: &[f32; SIDE],
    ) {
        let by = |cells: &[f32; SIDE], factor: &dyn Fn(usize) -> f32| -> [f32; SIDE] {
            std::array::from_fn(|column| cells[column] * factor(column))
        };
        let factors = [
            *dark,
            [1.0; SIDE],
            *across,
            *down,
            by(across, &|column| PLACES[column]),
            by(down, &|_| PLACES[row]),
            *bright,
        ];
        let is_white = |column: usize| dark[column] >= WHITE || bright[column] >= WHITE;
        let weights: [f32; SIDE] =
            std::array::from_fn(|column| if is_white(column) { WHITE_WEIGHT } else { 1.0 });
        for first in 0..UNKNOWNS {
            let weighted: [f32; SIDE] =
                std::array::from_fn(|column| factors[first][column] * weights[column]);
            let others = self.products[first].iter_mut().zip(&factors);
            for (sums, factor) in others.skip(first) {
                for column in 0..SIDE {
                    sums[column] += weighted[column] * factor[column];
                }
            }
        }
    }

    /// The unknowns, by Cholesky decomposition.
    fn solve(&self) -> Option<[f64; UNKNOWNS]> {
        let sum = |first: usize, second: usize| -> f64 {
            self.products[first][second]
                .iter()
                .map(|&sum| f64::from(sum))
                .sum()
        };
        let mut lower = [[0.0; UNKNOWNS]; UNKNOWNS];
        for row in 0..UNKNOWNS {
            for column in 0..=row {
                let met: f64 = (0..column).map(|k| lower[row][k] * lower[column][k]).sum();
                let rest = sum(column, row) - met;
                if row == column {
                    let square = rest + RIDGE[row];
                    if square.is_nan() || square <= 0.0 {
                        return None;
                    }
                    lower[row][row] = square.sqrt();
                } else {
                    lower[row][column] = rest / lower[column][column];
                }
            }
        }
        let mut solution = [0.0; UNKNOWNS];
        for row in 0..UNKNOWNS {
            let met: f64 = (0..row).map(|k| lower[row][k] * solution[k]).sum();
            solution[row] = (sum(row, UNKNOWNS) - met) / lower[row][row];
        }
        for row in (0..UNKNOWNS).rev() {
            let met: f64 = (row + 1..UNKNOWNS)
                .map(|k| lower[k][row] * solution[k])
                .sum();
            solution[row] = (solution[row] - met) / lower[row][row];
        }
        Some(solution)
    }
}

/// Red, green and blue of a thumbnail.
fn colours(thumbnail: &Thumbnail) -> Colours {
    let mut colours = [[0.0; CELLS]; 3];
    for row in 0..SIDE {
        for column in 0..SIDE {
            let cell = row * SIDE + column;
            let [red, blue] = thumbnail.colours[row / 2 * COLOUR_SIDE + column / 2]
                .map(|half| 2.0 * f32::from(half));
            // Green follows from the weights of Rec. 709.
            let green = -(0.2126 * red + 0.0722 * blue) / 0.7152;
            for (colour, difference) in [red, green, blue].into_iter().enumerate() {
                colours[colour][cell] =
                    (f32::from(thumbnail.grey[cell]) + difference).clamp(0.0, 255.0);
            }
        }
    }
    colours
}

fn smooth(colours: &Colours) -> Colours {
    std::array::from_fn(|colour| smoothed(&colours[colour]))
}

/// Adds half of each neighbour to a cell, along both axes, so that the gradient predicts the effect of a shift by half a cell.
fn smoothed(cells: &[f32; CELLS]) -> [f32; CELLS] {
    let mut wide = [0.0; CELLS];
    for row in 0..SIDE {
        let (above, below) = (row.saturating_sub(1) * SIDE, (row + 1).min(SIDE - 1) * SIDE);
        for column in 0..SIDE {
            wide[row * SIDE + column] =
                cells[above + column] + 2.0 * cells[row * SIDE + column] + cells[below + column];
        }
    }
    let mut smoothed = [0.0; CELLS];
    for (line, smoothed) in wide.chunks_exact(SIDE).zip(smoothed.chunks_exact_mut(SIDE)) {
        smoothed[0] = (3.0 * line[0] + line[1]) / 16.0;
        for column in 1..SIDE - 1 {
            smoothed[column] = (line[column - 1] + 2.0 * line[column] + line[column + 1]) / 16.0;
        }
        smoothed[SIDE - 1] = (line[SIDE - 2] + 3.0 * line[SIDE - 1]) / 16.0;
    }
    smoothed
}

/// The slope from left to right, in levels per cell.
fn across(cells: &[f32; CELLS]) -> [f32; CELLS] {
    let mut slopes = [0.0; CELLS];
    for (line, slopes) in cells.chunks_exact(SIDE).zip(slopes.chunks_exact_mut(SIDE)) {
        slopes[0] = line[1] - line[0];
        for column in 1..SIDE - 1 {
            slopes[column] = (line[column + 1] - line[column - 1]) / 2.0;
        }
        slopes[SIDE - 1] = line[SIDE - 1] - line[SIDE - 2];
    }
    slopes
}

/// The slope from top to bottom, in levels per cell.
fn down(cells: &[f32; CELLS]) -> [f32; CELLS] {
    let mut slopes = [0.0; CELLS];
    for row in 0..SIDE {
        let (above, below) = (row.saturating_sub(1), (row + 1).min(SIDE - 1));
        let distance = (below - above) as f32;
        for column in 0..SIDE {
            slopes[row * SIDE + column] =
                (cells[below * SIDE + column] - cells[above * SIDE + column]) / distance;
        }
    }
    slopes
}

fn mean(one: &[f32; CELLS], other: &[f32; CELLS]) -> [f32; CELLS] {
    std::array::from_fn(|cell| (one[cell] + other[cell]) / 2.0)
}
