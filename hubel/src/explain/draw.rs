//! Explanations as pictures: maps, filters, heatmaps over a picture, frames around places.
mod filters;
mod overview;
mod scale;
mod tiles;

use image::Rgb;

use super::{Explainer, Heatmap, channel_of, response::Fire};
use crate::drawing::{Drawing, INK, lettering};
use crate::film::{self, film};
use crate::{Result, Shape};

pub use filters::{Filters, filter, filters, kernel};
pub use overview::{Column, Overview, Plane, Shown, overview};
pub use scale::{Scale, short};
pub use tiles::{Legend, Tile};

use scale::largest;

/// Maps of a layer, each with its own scale.
#[derive(Clone, Debug)]
pub struct Maps {
    /// One picture per shown channel, in the order of the channels.
    pub tiles: Vec<Tile>,
    /// The colour scale, one kind for the whole layer.
    pub scale: Scale,
    /// Each pixel is the mean of this many rows and columns of the map.
    pub reduced: usize,
}

impl Maps {
    /// The maps at their own size, without gaps or texts, in rows of `columns`.
    pub fn grid(&self, columns: usize) -> Drawing {
        tiles::grid(&self.tiles, columns)
    }

    /// All maps in one drawing.
    ///
    /// # Errors
    /// If the drawing would be too large.
    pub fn sheet(&self) -> Result<Drawing> {
        tiles::sheet(&self.tiles, Legend::Own(self.scale))
    }
}

/// The maps of a node for the first picture of the last [`look`](Explainer::look): all channels, or the `most` strongest (by largest
/// magnitude), in the order of the channels. Maps of more than `side` rows or columns are reduced.
pub fn maps(explainer: &Explainer, node: usize, most: usize, side: usize) -> Maps {
    let shape = explainer.nodes()[node].shape;
    maps_of(&explainer.map(node)[..shape.len()], shape, most, side)
}

/// The same for the values of any maps, `[time, height, width, channels]`, such as their gradients.
pub fn maps_of(numbers: &[f32], shape: Shape, most: usize, side: usize) -> Maps {
    let of = |channel: usize| channel_of(numbers, shape, channel);
    let mut shown: Vec<usize> = (0..shape.channels).collect();
    if shape.channels > most {
        let strength: Vec<f32> = shown.iter().map(|channel| largest(&of(*channel))).collect();
        shown.sort_by(|a, b| strength[*b].total_cmp(&strength[*a]));
        shown.truncate(most);
        shown.sort_unstable();
    }
    let scale = Scale::of(numbers);
    let reduced = shape.height.max(shape.width).div_ceil(side.max(1)).max(1);
    let tiles = shown.into_iter().map(|channel| {
        let values = of(channel);
        let most = largest(&values);
        let frames = values.chunks_exact(shape.height * shape.width);
        let frames = frames.map(|frame| means(frame, [shape.height, shape.width], reduced));
        let (frames, sizes): (Vec<_>, Vec<_>) = frames.unzip();
        let size = Shape::new(sizes[0][0], sizes[0][1], 3).over(shape.time);
        // The colours of single values compare them; a scale of its own would give each the same.
        let is_single = shape.height * shape.width * shape.time == 1;
        let scale = if is_single { scale } else { scale.up_to(most) };
        let tile = Tile::new(channel, &frames.concat(), size, scale);
        Tile {
            largest: most,
            ..tile
        }
    });
    Maps {
        tiles: tiles.collect(),
        scale,
        reduced,
    }
}

/// Maps of one size side by side, at their own size and without gaps, each on a scale of its own, or all on a `common` one.
pub fn row(maps: &[&[f32]], [height, width]: [usize; 2], common: bool) -> Drawing {
    let all = Scale::of(&maps.concat());
    let tiles = maps.iter().enumerate().map(|(number, values)| {
        let scale = if common { all } else { Scale::of(values) };
        Tile::new(number, values, Shape::new(height, width, 3), scale)
    });
    let tiles: Vec<Tile> = tiles.collect();
    tiles::grid(&tiles, tiles.len())
}

/// The means over squares of `side` rows and columns, and the size of the result. Squares at the end are smaller.
fn means(values: &[f32], [height, width]: [usize; 2], side: usize) -> (Vec<f32>, [usize; 2]) {
    let size = [height, width].map(|length| length.div_ceil(side));
    let mut means = Vec::with_capacity(size[0] * size[1]);
    for y in (0..height).step_by(side) {
        for x in (0..width).step_by(side) {
            let (rows, columns) = (y..(y + side).min(height), x..(x + side).min(width));
            let count = (rows.len() * columns.len()) as f32;
            let sum: f32 = rows
                .flat_map(|row| &values[row * width..][columns.clone()])
                .sum();
            means.push(sum / count);
        }
    }
    (means, size)
}

/// The values of a map of one pixel as squares in rows of at most 64, with the scale below.
pub fn vector(explainer: &Explainer, node: usize) -> Drawing {
    let channels = explainer.nodes()[node].shape.channels;
    let values = &explainer.map(node)[..channels];
    with_scale(&squares(values), Scale::of(values))
}

/// The drawing with the scale of its colours below.
fn with_scale(above: &Drawing, scale: Scale) -> Drawing {
    let shape = above.shape();
    let legend = Legend::Shared(scale);
    let width = shape.width.max(tiles::legend_width(legend));
    let mut drawing = Drawing::blank(width, shape.height + 24);
    drawing.put((0, 0), above.pixels(), shape, 1);
    tiles::write_legend(&mut drawing, (0, shape.height + 4), legend);
    drawing
}

/// Values as squares in rows of at most 64, coloured on a common [scale](Scale::of).
pub fn squares(values: &[f32]) -> Drawing {
    const COLUMNS: usize = 64;
    const WIDTH: usize = 512;
    let columns = values.len().clamp(1, COLUMNS);
    let factor = (WIDTH / columns).min(32);
    let scale = Scale::of(values);
    let rows = values.len().div_ceil(columns);
    let mut drawing = Drawing::blank(columns * factor, rows * factor);
    for (place, value) in values.iter().enumerate() {
        let corner = (place % columns * factor, place / columns * factor);
        drawing.put(corner, &scale.colour(*value), Shape::new(1, 1, 3), factor);
    }
    drawing
}

/// Target length of the longer side of a picture, in pixels.
const PICTURE: usize = 288;

/// The factor by which a small picture is enlarged.
fn enlargement(height: usize, width: usize) -> usize {
    (PICTURE / height.max(width).max(1)).max(1)
}

/// An enlarged heatmap with its scale below.
pub fn heatmap(map: &Heatmap) -> Drawing {
    let scale = Scale::of(&map.values);
    let shape = Shape::new(map.height, map.width, 3).over(map.time);
    let tile = Tile::new(0, &map.values, shape, scale);
    with_scale(&enlarged(&tile.pixels, tile.shape), scale)
}

/// A heatmap over the picture it explains, `[h, w, c]` of bytes with 1 or 3 channels: the picture in grey, coloured where the map is strong. The frames of a
/// clip, `[t, h, w, c]`, are side by side and below each other.
pub fn overlay(map: &Heatmap, picture: &[u8], shape: Shape) -> Drawing {
    let coloured = Shape {
        channels: 3,
        ..shape
    };
    enlarged(&overlaid(map, picture, shape), coloured)
}

/// The same for one frame of a clip. All frames have one scale of colours.
pub fn overlay_of_frame(map: &Heatmap, clip: &[u8], shape: Shape, frame: usize) -> Drawing {
    let coloured = Shape {
        channels: 3,
        ..shape.frame()
    };
    let pixels = overlaid(map, clip, shape);
    enlarged(
        &pixels[frame * coloured.len()..][..coloured.len()],
        coloured,
    )
}

/// The pixels of a picture or clip, coloured where the map is strong.
fn overlaid(map: &Heatmap, picture: &[u8], shape: Shape) -> Vec<u8> {
    let map = map.resized([shape.time, shape.height, shape.width]);
    let scale = Scale::of(&map.values);
    let most = largest(&map.values);
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
    pixels
}

/// The picture, `[h, w, c]` of bytes, with a frame around the part that each of `fires` depends on. The strongest has the thickest frame.
pub fn framed(fires: &[Fire], picture: &[u8], shape: Shape) -> Drawing {
    let mut drawing = enlarged(picture, shape);
    let factor = drawing.shape().height / shape.height;
    let longest = drawing.shape().height.max(drawing.shape().width);
    for (rank, fire) in fires.iter().enumerate().rev() {
        let [rows, columns] = &fire.sees;
        // Thick enough to be visible on a photograph of thousands of pixels.
        let thickness = (if rank == 0 { 3 } else { 2 }) * longest.div_ceil(1000);
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
            if distance.iter().any(|side| *side < thickness)
                && let Some(pixel) = drawing.image.get_pixel_mut_checked(x as u32, y as u32)
            {
                *pixel = colour;
            }
        }
    }
}

/// An enlarged picture; of a clip, all frames.
pub fn enlarged(pixels: &[u8], shape: Shape) -> Drawing {
    let (pixels, shape) = (&*film(pixels, shape), film::shape(shape));
    let factor = enlargement(shape.height, shape.width);
    let mut drawing = Drawing::blank(shape.width * factor, shape.height * factor);
    drawing.put((0, 0), pixels, shape, factor);
    drawing
}

/// A drawing with text below it, broken into lines.
pub fn captioned(drawing: &Drawing, text: &str) -> Drawing {
    const MARGIN: usize = 6;
    let shape = drawing.shape();
    let across = shape.width.max(PICTURE);
    let lines = lettering::broken(text, across - 2 * MARGIN);
    let below = 2 * MARGIN + lines.len() * lettering::HEIGHT;
    let mut captioned = Drawing::blank(across, shape.height + below);
    captioned.put((0, 0), drawing.pixels(), shape, 1);
    for (line, number) in lines.iter().zip(0..) {
        let top = shape.height + MARGIN + number * lettering::HEIGHT;
        captioned.write((MARGIN, top), across - 2 * MARGIN, line, INK);
    }
    captioned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_maps_are_drawn_by_their_means() {
        let values: Vec<f32> = (0..15).map(|i| i as f32).collect();
        let (small, size) = means(&values, [3, 5], 2);
        assert_eq!(size, [2, 3]);
        assert_eq!(small, [3.0, 5.0, 6.5, 10.5, 12.5, 14.0]);
        assert_eq!(means(&values, [3, 5], 1), (values, [3, 5]));
    }
}
