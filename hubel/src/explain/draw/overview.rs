//! All layers of a network as small pictures, in one drawing.
use super::maps_of;
use super::tiles::Tile;
use crate::Shape;
use crate::drawing::Drawing;
use crate::explain::Explainer;

/// Small pictures of all layers. Column i of the drawing belongs to node i; below each other lie the pictures of its maps, in cells of `cell` × `cell` pixels.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The pictures.
    pub drawing: Drawing,
    /// Height and width of a cell.
    pub cell: usize,
    /// One for each node.
    pub columns: Vec<Column>,
}

/// The pictures of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The shown channels in their order: all, or the strongest.
    pub channels: Vec<usize>,
    /// Height of a picture in its cell.
    pub height: usize,
    /// Its width.
    pub width: usize,
}

/// What is shown of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Their values.
    Values,
    /// The gradients of the score by them, of the last [`trace_back`](Explainer::trace_back).
    Gradients,
}

impl Shown {
    /// The values or gradients of a node for the first picture, and their shape.
    pub fn of(self, explainer: &Explainer, node: usize) -> (&[f32], Shape) {
        let shape = explainer.nodes()[node].shape;
        let values = match self {
            Self::Values => explainer.map(node),
            Self::Gradients => explainer.gradient(node),
        };
        (&values[..shape.len()], shape)
    }

    /// The same for one frame: of a clip, the one in the middle.
    pub fn frame_of(self, explainer: &Explainer, node: usize) -> (&[f32], Shape) {
        let (values, shape) = self.of(explainer, node);
        let frame = shape.frame();
        (
            &values[shape.time / 2 * frame.len()..][..frame.len()],
            frame,
        )
    }
}

/// Small pictures of at most `most` maps of each node, reduced to at most `cell` rows and columns.
pub fn overview(explainer: &Explainer, shown: Shown, most: usize, cell: usize) -> Overview {
    let nodes = explainer.nodes().len();
    let of_node = |node: usize| -> Vec<Tile> {
        let (frame, shape) = shown.frame_of(explainer, node);
        maps_of(frame, shape, most, cell).tiles
    };
    let mut drawing = Drawing::blank(nodes * cell, most * cell);
    let columns = (0..nodes).map(|node| {
        let tiles = of_node(node);
        for (place, tile) in tiles.iter().enumerate() {
            drawing.put((node * cell, place * cell), &tile.pixels, tile.shape, 1);
        }
        let size = tiles.first().map_or(Shape::new(0, 0, 3), |tile| tile.shape);
        Column {
            channels: tiles.iter().map(|tile| tile.number).collect(),
            height: size.height,
            width: size.width,
        }
    });
    let columns = columns.collect();
    Overview {
        drawing,
        cell,
        columns,
    }
}
