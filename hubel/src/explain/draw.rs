//! Explanations as pictures: maps, filters, heatmaps over a picture, frames around places.
use image::Rgb;

use super::{Explainer, Heatmap, response::Fire};
use crate::drawing::lettering::{HEIGHT as LINE, width};
use crate::drawing::{Drawing, INK};
use crate::network::{Operation, Role};
use crate::{Error, Result, Shape};

/// How numbers become colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From 0, which is black, to this number, by a scale that grows brighter evenly.
    Positive(f32),
    /// 0 is white; positive numbers are red, negative ones blue, the darkest at this magnitude.
    Signed(f32),
}

impl Scale {
    /// The scale on which the largest magnitude of `values` is just shown; signed where one of them is negative.
    pub fn of(values: &[f32]) -> Self {
        let most = values
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        match values.iter().any(|value| *value < 0.0) {
            true => Self::Signed(most),
            false => Self::Positive(most),
        }
    }

    /// The colour of a number.
    pub fn colour(self, value: f32) -> [u8; 3] {
        let (most, table) = match self {
            Self::Positive(most) => (most, &BRIGHTER[..]),
            Self::Signed(most) => (most, &DIVERGING[..]),
        };
        let share = match most > 0.0 {
            true => (value / most).clamp(-1.0, 1.0),
            false => 0.0,
        };
        let share = match self {
            Self::Positive(_) => share.max(0.0),
            Self::Signed(_) => (share + 1.0) / 2.0,
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

/// Ten colours of matplotlib's `inferno`, from black to light yellow: brightness grows evenly, also for who sees no red or green.
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

/// Pictures are enlarged until their longer side has so many pixels.
const LEGIBLE: usize = 72;
/// Pixels between cells and around them.
const GAP: usize = 8;
/// About as many pixels a sheet is wide.
const WIDTH: usize = 960;

/// A picture on a sheet.
struct Cell {
    /// `[h, w, 3]`
    pixels: Vec<u8>,
    shape: Shape,
    label: String,
}

/// Maps of a layer side by side, each on a scale of its own.
#[derive(Clone, Debug)]
pub struct Maps {
    /// The drawing.
    pub drawing: Drawing,
    /// The channels that are shown, in their order.
    pub channels: Vec<usize>,
}

/// The maps of a node for the first picture last [looked at](Explainer::look): all channels, or the `most` strongest (by their largest
/// magnitude) in the order of their numbers.
///
/// # Errors
/// Where the drawing would be too large.
pub fn maps(explainer: &Explainer, node: usize, most: usize) -> Result<Maps> {
    let Shape {
        height,
        width,
        channels,
    } = explainer.nodes()[node].shape;
    let numbers = &explainer.map(node)[..height * width * channels];
    let of = |channel: usize| -> Vec<f32> {
        numbers
            .iter()
            .skip(channel)
            .step_by(channels)
            .copied()
            .collect()
    };
    let strength = |channel: &usize| {
        of(*channel)
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()))
    };
    let mut shown: Vec<usize> = (0..channels).collect();
    if channels > most {
        shown.sort_by(|a, b| strength(b).total_cmp(&strength(a)));
        shown.truncate(most);
        shown.sort_unstable();
    }
    // A layer's maps share the kind of scale, so that one colour has one meaning.
    let is_signed = numbers.iter().any(|value| *value < 0.0);
    let cells = shown.iter().map(|&channel| {
        let values = of(channel);
        let largest = strength(&channel);
        let scale = match is_signed {
            true => Scale::Signed(largest),
            false => Scale::Positive(largest),
        };
        let label = format!("{channel}: {}", short(largest));
        cell(&values, height, width, scale, label)
    });
    Ok(Maps {
        drawing: sheet(&cells.collect::<Vec<_>>())?,
        channels: shown,
    })
}

/// The numbers of a map of one pixel, in rows.
pub fn vector(explainer: &Explainer, node: usize) -> Drawing {
    const COLUMNS: usize = 64;
    let channels = explainer.nodes()[node].shape.channels;
    let columns = channels.min(COLUMNS);
    let rows = channels.div_ceil(columns);
    let mut values = explainer.map(node)[..channels].to_vec();
    let scale = Scale::of(&values);
    values.resize(rows * columns, 0.0);
    let cell = cell(&values, rows, columns, scale, String::new());
    let factor = (WIDTH / 2 / columns).clamp(4, 32);
    let mut drawing = Drawing::blank(columns * factor, rows * factor);
    drawing.put((0, 0), &cell.pixels, cell.shape, factor);
    drawing
}

/// Every filter of a convolution. Those that read three channels of a picture are shown in its colours, where grey is 0 and the strongest
/// weight of all filters is at full strength; others as a row of `most` input channels at the most, on a signed scale. Also that strongest
/// weight.
///
/// # Errors
/// Where the node is no convolution, or the drawing would be too large.
pub fn filters(explainer: &Explainer, node: usize, most: [usize; 2]) -> Result<(Drawing, f32)> {
    let nodes = explainer.nodes();
    let Operation::Conv(settings) = &nodes[node].operation else {
        return Err(Error::Settings {
            problem: format!(
                "layer `{}` is no convolution: it has no filters",
                nodes[node].name
            ),
        });
    };
    let parameters = explainer.parameters();
    let range = parameters
        .range(node, Role::Weight)
        .expect("a convolution has weights");
    let weights = &parameters.values()[range];
    let [height, width] = settings.kernel;
    let filters = settings.filters;
    let depth = weights.len() / (height * width * filters);
    let largest = weights
        .iter()
        .fold(0.0f32, |most, weight| most.max(weight.abs()));
    let weight = |filter: usize, pixel: usize, channel: usize| {
        weights[(pixel * depth + channel) * filters + filter]
    };
    let reads_colours = node_reads_image(explainer, node) && depth == 3;
    let scale = Scale::Signed(largest);
    let mut cells = Vec::new();
    for filter in 0..filters.min(most[0]) {
        if reads_colours {
            let level =
                |value: f32| (127.5 + 127.5 * value / largest.max(f32::MIN_POSITIVE)).round() as u8;
            let pixels = (0..height * width * 3).map(|i| level(weight(filter, i / 3, i % 3)));
            cells.push(Cell {
                pixels: pixels.collect(),
                shape: Shape::new(height, width, 3),
                label: format!("{filter}"),
            });
            continue;
        }
        for channel in 0..depth.min(most[1]) {
            let values: Vec<f32> = (0..height * width)
                .map(|pixel| weight(filter, pixel, channel))
                .collect();
            let label = match depth {
                1 => format!("{filter}"),
                _ => format!("{filter}/{channel}"),
            };
            cells.push(cell(&values, height, width, scale, label));
        }
    }
    Ok((sheet(&cells)?, largest))
}

fn node_reads_image(explainer: &Explainer, node: usize) -> bool {
    explainer.nodes()[node].inputs == [0]
}

/// A heatmap alone, enlarged so that it can be seen.
pub fn heatmap(map: &Heatmap) -> Drawing {
    let scale = Scale::of(&map.values);
    let cell = cell(&map.values, map.height, map.width, scale, String::new());
    let factor = (4 * LEGIBLE).div_ceil(map.height.max(map.width)).max(1);
    let mut drawing = Drawing::blank(map.width * factor, map.height * factor);
    drawing.put((0, 0), &cell.pixels, cell.shape, factor);
    drawing
}

/// A heatmap over the picture it explains, `[h, w, c]` of bytes with 1 or 3 channels: the picture in grey, coloured where the map is strong.
pub fn overlay(map: &Heatmap, picture: &[u8], shape: Shape) -> Drawing {
    let map = map.resized(shape.height, shape.width);
    let scale = Scale::of(&map.values);
    let most = map
        .values
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    let mut pixels = Vec::with_capacity(3 * map.values.len());
    for (pixel, value) in picture.chunks_exact(shape.channels).zip(&map.values) {
        let grey = pixel.iter().map(|level| f32::from(*level)).sum::<f32>() / shape.channels as f32;
        let colour = scale.colour(*value);
        let share = match most > 0.0 {
            true => 0.75 * (value.abs() / most).sqrt(),
            false => 0.0,
        };
        pixels.extend(
            colour.map(|level| (share * f32::from(level) + (1.0 - share) * grey).round() as u8),
        );
    }
    enlarged(&pixels, Shape::new(shape.height, shape.width, 3))
}

/// The picture, `[h, w, c]` of bytes, with a frame around what each of `fires` sees; the strongest has the thickest.
pub fn framed(fires: &[Fire], picture: &[u8], shape: Shape) -> Drawing {
    let mut drawing = enlarged(picture, shape);
    let factor = drawing.shape().height / shape.height;
    for (rank, fire) in fires.iter().enumerate().rev() {
        let [rows, columns] = &fire.sees;
        let thickness = if rank == 0 { 3 } else { 2 };
        let colour = if rank == 0 {
            Rgb([230, 60, 30])
        } else {
            Rgb([250, 180, 20])
        };
        frame(
            &mut drawing,
            [rows.start * factor, columns.start * factor],
            [rows.end * factor, columns.end * factor],
            thickness,
            colour,
        );
    }
    drawing
}

fn frame(
    drawing: &mut Drawing,
    from: [usize; 2],
    to: [usize; 2],
    thickness: usize,
    colour: Rgb<u8>,
) {
    for y in from[0]..to[0] {
        for x in from[1]..to[1] {
            let distance = [y - from[0], to[0] - 1 - y, x - from[1], to[1] - 1 - x];
            if distance.iter().any(|side| *side < thickness) {
                if let Some(pixel) = drawing.image.get_pixel_mut_checked(x as u32, y as u32) {
                    *pixel = colour;
                }
            }
        }
    }
}

/// A picture, enlarged until it can be seen.
pub fn enlarged(pixels: &[u8], shape: Shape) -> Drawing {
    let factor = (4 * LEGIBLE).div_ceil(shape.height.max(shape.width)).max(1);
    let mut drawing = Drawing::blank(shape.width * factor, shape.height * factor);
    drawing.put((0, 0), pixels, shape, factor);
    drawing
}

fn cell(values: &[f32], height: usize, width: usize, scale: Scale, label: String) -> Cell {
    Cell {
        pixels: values
            .iter()
            .flat_map(|value| scale.colour(*value))
            .collect(),
        shape: Shape::new(height, width, 3),
        label,
    }
}

/// A number in few letters.
fn short(value: f32) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (0.01..1000.0).contains(&size) => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.0e}"),
    }
}

/// The most pixels of a sheet.
const MOST_PIXELS: usize = 100_000_000;

/// Cells of one size in rows, with their labels below.
fn sheet(cells: &[Cell]) -> Result<Drawing> {
    let Some(first) = cells.first() else {
        let problem = "there is nothing to draw".to_owned();
        return Err(Error::Settings { problem });
    };
    let Shape {
        height,
        width: across,
        ..
    } = first.shape;
    let factor = LEGIBLE.div_ceil(height.max(across)).max(1);
    let text = cells
        .iter()
        .map(|cell| width(&cell.label))
        .max()
        .unwrap_or(0);
    let (cell_width, cell_height) = ((across * factor).max(text), height * factor + LINE);
    let columns = ((WIDTH - GAP) / (cell_width + GAP)).clamp(1, cells.len());
    let rows = cells.len().div_ceil(columns);
    let size = [
        GAP + columns * (cell_width + GAP),
        GAP + rows * (cell_height + GAP),
    ];
    if size[0].saturating_mul(size[1]) > MOST_PIXELS {
        return Err(Error::Settings {
            problem: format!(
                "a drawing of {} maps of {height}×{across} would be too large; show fewer",
                cells.len()
            ),
        });
    }
    let mut drawing = Drawing::blank(size[0], size[1]);
    for (place, cell) in cells.iter().enumerate() {
        let left = GAP + place % columns * (cell_width + GAP);
        let top = GAP + place / columns * (cell_height + GAP);
        drawing.put((left, top), &cell.pixels, cell.shape, factor);
        drawing.write((left, top + height * factor), cell_width, &cell.label, INK);
    }
    Ok(drawing)
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
        // Nothing but zeros is black, not a division by zero.
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
            (3.0, "3"),
            (1234.0, "1e3"),
            (0.0012, "1e-3"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
