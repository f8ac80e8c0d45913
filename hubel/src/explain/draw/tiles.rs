//! Many small pictures side by side, one per map or filter.
use super::scale::{Scale, largest, short};
use crate::drawing::lettering::{HEIGHT as LINE, width};
use crate::drawing::{Drawing, FAINT, INK};
use crate::film::{self, film};
use crate::{Error, Result, Shape};

/// A map or filter as a picture with one pixel per value.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The number of the channel or the filter.
    pub number: usize,
    /// The largest magnitude of its values.
    pub largest: f32,
    /// `[h, w, 3]`
    pub(super) pixels: Vec<u8>,
    pub(super) shape: Shape,
}

impl Tile {
    /// Values `[time, height, width]` on a scale; of a clip, all frames. The shape's channels do not matter.
    pub(super) fn new(number: usize, values: &[f32], shape: Shape, scale: Scale) -> Self {
        let colours: Vec<u8> = values
            .iter()
            .flat_map(|value| scale.colour(*value))
            .collect();
        let shape = Shape {
            channels: 3,
            ..shape
        };
        Self {
            number,
            largest: largest(values),
            pixels: film(&colours, shape).into_owned(),
            shape: film::shape(shape),
        }
    }

    /// Height and width of the picture.
    pub fn size(&self) -> [usize; 2] {
        [self.shape.height, self.shape.width]
    }

    /// The picture at its own size.
    pub fn drawing(&self) -> Drawing {
        let mut drawing = Drawing::blank(self.shape.width, self.shape.height);
        drawing.put((0, 0), &self.pixels, self.shape, 1);
        drawing
    }
}

/// The colour scale of tiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Legend {
    /// One scale for all tiles.
    Shared(Scale),
    /// Such a scale for each tile, up to its own largest magnitude.
    Own(Scale),
    /// The three channels are red, green and blue: 0 is grey, and this magnitude is full strength.
    Colours(f32),
}

/// Tiles are enlarged to this longer side.
const LEGIBLE: usize = 72;
/// Pixels between tiles and around them.
const GAP: usize = 8;
/// Target width of a sheet in pixels.
const WIDTH: usize = 960;
/// The most pixels of a drawing.
pub(super) const MOST_PIXELS: usize = 100_000_000;

/// Tiles of one size in rows, with number and largest magnitude below each, and the colour scale below all.
pub(super) fn sheet(tiles: &[Tile], legend: Legend) -> Result<Drawing> {
    let Some(first) = tiles.first() else {
        let problem = "there is nothing to draw".to_owned();
        return Err(Error::Settings { problem });
    };
    let label = |tile: &Tile| match legend {
        Legend::Own(_) => format!("{}: {}", tile.number, short(tile.largest)),
        _ => tile.number.to_string(),
    };
    let Shape {
        height,
        width: across,
        ..
    } = first.shape;
    let factor = LEGIBLE.div_ceil(height.max(across)).max(1);
    let text = tiles.iter().map(|tile| width(&label(tile))).max();
    let (cell_width, cell_height) = (
        (across * factor).max(text.unwrap_or(0)),
        height * factor + LINE,
    );
    let columns = ((WIDTH - GAP) / (cell_width + GAP)).clamp(1, tiles.len());
    let rows = tiles.len().div_ceil(columns);
    let below = GAP + rows * (cell_height + GAP);
    let size = [GAP + columns * (cell_width + GAP), below + LINE + GAP];
    let size = [size[0].max(legend_width(legend) + 2 * GAP), size[1]];
    if size[0].saturating_mul(size[1]) > MOST_PIXELS {
        return Err(Error::Settings {
            problem: format!(
                "a drawing of {} maps of {height}×{across} would be too large; show fewer",
                tiles.len()
            ),
        });
    }
    let mut drawing = Drawing::blank(size[0], size[1]);
    for (place, tile) in tiles.iter().enumerate() {
        let left = GAP + place % columns * (cell_width + GAP);
        let top = GAP + place / columns * (cell_height + GAP);
        drawing.put((left, top), &tile.pixels, tile.shape, factor);
        drawing.write((left, top + height * factor), cell_width, &label(tile), INK);
    }
    write_legend(&mut drawing, (GAP, below), legend);
    Ok(drawing)
}

/// Tiles of one size in rows of `columns`, at their own size and without gaps.
pub(super) fn grid(tiles: &[Tile], columns: usize) -> Drawing {
    let columns = columns.clamp(1, tiles.len().max(1));
    let (height, across) = tiles
        .first()
        .map_or((1, 1), |tile| (tile.shape.height, tile.shape.width));
    let rows = tiles.len().div_ceil(columns).max(1);
    let mut drawing = Drawing::blank(columns * across, rows * height);
    for (place, tile) in tiles.iter().enumerate() {
        let corner = (place % columns * across, place / columns * height);
        drawing.put(corner, &tile.pixels, tile.shape, 1);
    }
    drawing
}

/// Size of a legend's bar in pixels.
const BAR: usize = 128;

/// The texts left and right of the bar.
fn legend_texts(legend: Legend) -> (String, String) {
    match legend {
        Legend::Shared(scale) => {
            let [low, high] = scale.ends().map(short);
            (low, high)
        }
        Legend::Own(Scale::Positive(_)) => (
            "0".into(),
            "the map's largest value, written below it".into(),
        ),
        // A hyphen: the font has no minus sign.
        Legend::Own(Scale::Signed(_)) => (
            "-".into(),
            "+ the map's largest value, written below it".into(),
        ),
        Legend::Colours(most) => (
            format!("grey is 0, full colour ±{}", short(most)),
            String::new(),
        ),
    }
}

pub(super) fn legend_width(legend: Legend) -> usize {
    let (left, right) = legend_texts(legend);
    width(&left) + BAR + width(&right) + 2 * GAP
}

/// The scale as a bar with the values of its ends.
pub(super) fn write_legend(drawing: &mut Drawing, (left, top): (usize, usize), legend: Legend) {
    let (low, high) = legend_texts(legend);
    let room = width(&low);
    drawing.write((left, top), room, &low, FAINT);
    let (Legend::Shared(scale) | Legend::Own(scale)) = legend else {
        return;
    };
    let [from, to] = scale.up_to(1.0).ends();
    let step = |x: usize| from + (to - from) * x as f32 / (BAR - 1) as f32;
    let pixels: Vec<u8> = (0..BAR)
        .flat_map(|x| scale.up_to(1.0).colour(step(x)))
        .collect();
    let bar = left + room + GAP;
    for row in 0..LINE - 4 {
        drawing.put((bar, top + 2 + row), &pixels, Shape::new(1, BAR, 3), 1);
    }
    drawing.write((bar + BAR + GAP, top), width(&high), &high, FAINT);
}
