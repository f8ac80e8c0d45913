//! The filters of a convolution as pictures.
use super::scale::{Scale, largest};
use super::tiles::{self, Legend, MOST_PIXELS, Tile};
use crate::drawing::lettering::{HEIGHT as LINE, width};
use crate::drawing::{Drawing, FAINT};
use crate::explain::{Explainer, Kernel};
use crate::network::Operation;
use crate::{Error, Result, Shape};

/// The filters of a convolution.
#[derive(Clone, Debug)]
pub struct Filters {
    /// All filters in one drawing.
    pub drawing: Drawing,
    /// One picture per filter, for filters that read one channel or the colours of the picture. Other filters are rows of the drawing,
    /// whose columns are the input channels.
    pub tiles: Vec<Tile>,
    /// The colour scale.
    pub legend: Legend,
    /// Number of filters. The drawing shows fewer if it would be too large.
    pub count: usize,
    /// Pixels between the rows of filters.
    row: usize,
}

impl Filters {
    /// The upper part of the drawing with this many rows of filters, if each filter is a row.
    pub fn first(&self, count: usize) -> Drawing {
        let shape = self.drawing.shape();
        let height = shape.height.min(LINE + count * self.row);
        let mut drawing = Drawing::blank(shape.width, height);
        let part = Shape::new(height, shape.width, 3);
        drawing.put((0, 0), &self.drawing.pixels()[..part.len()], part, 1);
        drawing
    }
}

/// The weights of a convolution.
struct Weights<'a> {
    values: &'a [f32],
    kernel: [usize; 2],
    depth: usize,
    filters: usize,
}

impl Weights<'_> {
    /// `[kernel height, kernel width]` of a filter for an input channel.
    fn plane(&self, filter: usize, channel: usize) -> Vec<f32> {
        let pixels = 0..self.kernel[0] * self.kernel[1];
        pixels
            .map(|pixel| self.values[(pixel * self.depth + channel) * self.filters + filter])
            .collect()
    }
}

impl<'a> Weights<'a> {
    fn of(explainer: &'a Explainer, node: usize) -> Result<Self> {
        let nodes = explainer.nodes();
        let Operation::Conv(settings) = &nodes[node].operation else {
            return Err(Error::Settings {
                problem: format!(
                    "layer `{}` is no convolution: it has no filters",
                    nodes[node].name
                ),
            });
        };
        let values = explainer.weights(node).expect("a convolution has weights");
        let taps = settings.kernel[0] * settings.kernel[1];
        Ok(Self {
            values,
            kernel: settings.kernel,
            depth: values.len() / (taps * settings.filters),
            filters: settings.filters,
        })
    }
}

/// Draws the filters of a convolution.
///
/// # Errors
/// If the node is no convolution.
pub fn filters(explainer: &Explainer, node: usize) -> Result<Filters> {
    let weights = Weights::of(explainer, node)?;
    let most = largest(weights.values);
    let reads_image = explainer.nodes()[node].inputs == [0];
    let (tiles, legend) = match weights.depth {
        3 if reads_image => (coloured(&weights, most), Legend::Colours(most)),
        1 => (grey(&weights, most), Legend::Shared(Scale::Signed(most))),
        _ => (Vec::new(), Legend::Shared(Scale::Signed(most))),
    };
    let (drawing, row) = match tiles.is_empty() {
        true => table(&weights, legend, Scale::Signed(most)),
        false => (tiles::sheet(&tiles, legend)?, 0),
    };
    Ok(Filters {
        drawing,
        tiles,
        legend,
        count: weights.filters,
        row,
    })
}

/// One filter of a convolution: a picture per input channel, with a common scale.
///
/// # Errors
/// If the node is no convolution.
///
/// # Panics
/// If there is no such filter.
pub fn filter(explainer: &Explainer, node: usize, filter: usize) -> Result<Drawing> {
    let weights = Weights::of(explainer, node)?;
    let planes = (0..weights.depth).map(|channel| weights.plane(filter, channel));
    planes_side_by_side(&planes.collect::<Vec<_>>(), weights.kernel)
}

/// The same for a filter made by hand.
pub fn kernel(kernel: &Kernel) -> Drawing {
    let plane = |channel: usize| -> Vec<f32> {
        let weights = kernel.weights.iter().skip(channel);
        weights.step_by(kernel.channels).copied().collect()
    };
    let planes: Vec<Vec<f32>> = (0..kernel.channels).map(plane).collect();
    planes_side_by_side(&planes, [kernel.height, kernel.width])
        .expect("a drawing of three planes of 64×64 is not too large")
}

/// The shape of a plane of weights as a picture.
fn of_plane([height, width]: [usize; 2]) -> Shape {
    Shape::new(height, width, 3)
}

fn planes_side_by_side(planes: &[Vec<f32>], size: [usize; 2]) -> Result<Drawing> {
    let most = planes
        .iter()
        .map(|plane| largest(plane))
        .fold(0.0, f32::max);
    let scale = Scale::Signed(most);
    let tiles = planes.iter().enumerate();
    let tiles = tiles.map(|(channel, plane)| Tile::new(channel, plane, of_plane(size), scale));
    tiles::sheet(&tiles.collect::<Vec<_>>(), Legend::Shared(scale))
}

fn grey(weights: &Weights, most: f32) -> Vec<Tile> {
    let filters = 0..weights.filters;
    filters
        .map(|filter| {
            Tile::new(
                filter,
                &weights.plane(filter, 0),
                of_plane(weights.kernel),
                Scale::Signed(most),
            )
        })
        .collect()
}

/// Weights for red, green and blue as a colour; 0 is half intensity.
fn coloured(weights: &Weights, most: f32) -> Vec<Tile> {
    let level = |value: f32| (127.5 + 127.5 * value / most.max(f32::MIN_POSITIVE)).round() as u8;
    let filters = 0..weights.filters;
    filters
        .map(|filter| {
            let planes = [0, 1, 2].map(|channel| weights.plane(filter, channel));
            let pixels = (0..planes[0].len()).flat_map(|i| [0, 1, 2].map(|c| level(planes[c][i])));
            Tile {
                number: filter,
                largest: planes
                    .iter()
                    .map(|plane| largest(plane))
                    .fold(0.0, f32::max),
                pixels: pixels.collect(),
                shape: Shape::new(weights.kernel[0], weights.kernel[1], 3),
            }
        })
        .collect()
}

/// Target length of the longer side of a table of filters, in pixels.
const TABLE: usize = 4096;
/// Space for numbers and the legend.
const MARGIN: usize = 48;
/// Largest enlargement of a filter's plane.
const LARGEST_FACTOR: usize = 12;

/// The colour between the planes of a table; a weight of 0 is nearly as light as paper.
const BETWEEN: u8 = 205;

/// A row per filter and a column per input channel; also returns the distance between rows.
fn table(weights: &Weights, legend: Legend, scale: Scale) -> (Drawing, usize) {
    let [kernel_height, kernel_width] = weights.kernel;
    let longest = (weights.filters * (kernel_height + 1)).max(weights.depth * (kernel_width + 1));
    let factor = (TABLE / longest).clamp(1, LARGEST_FACTOR);
    let gap = factor.min(4);
    let (down, across) = (kernel_height * factor + gap, kernel_width * factor + gap);
    let width_of_all = (MARGIN + weights.depth * across).max(tiles::legend_width(legend));
    let rows = weights
        .filters
        .min(MOST_PIXELS / (width_of_all * down))
        .max(1);
    let mut drawing = Drawing::blank(width_of_all, LINE + rows * down + 4 + LINE);
    let ground = Shape::new(rows * down - gap, weights.depth * across - gap, 1);
    drawing.put((MARGIN, LINE), &vec![BETWEEN; ground.len()], ground, 1);
    for filter in 0..rows {
        for channel in 0..weights.depth {
            let tile = Tile::new(
                0,
                &weights.plane(filter, channel),
                of_plane(weights.kernel),
                scale,
            );
            let corner = (MARGIN + channel * across, LINE + filter * down);
            drawing.put(corner, &tile.pixels, tile.shape, factor);
        }
    }
    // Numbers are written where they fit: at every row and column, or at every tenth, hundredth …
    let every = |room: usize, needed: usize| {
        let mut step = 1;
        while step * room < needed {
            step *= 10;
        }
        step
    };
    for filter in (0..rows).step_by(every(down, LINE)) {
        let top = LINE + filter * down + (kernel_height * factor).saturating_sub(LINE) / 2;
        drawing.write((4, top), MARGIN - 8, &filter.to_string(), FAINT);
    }
    for channel in (0..weights.depth).step_by(every(across, width("0000"))) {
        drawing.write(
            (MARGIN + channel * across, 0),
            MARGIN,
            &channel.to_string(),
            FAINT,
        );
    }
    tiles::write_legend(&mut drawing, (4, LINE + rows * down + 4), legend);
    (drawing, down)
}
