//! All layers of a network as small pictures, in one drawing.
use super::maps_of;
use super::tiles::Tile;
use crate::drawing::Drawing;
use crate::explain::Explainer;
use crate::network::Operation;
use crate::{Place, Shape};

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

    /// The same for the part of the map that `plane` shows.
    pub fn on(self, plane: Plane, explainer: &Explainer, node: usize) -> (&[f32], Shape) {
        let (values, shape) = self.of(explainer, node);
        match plane.time(explainer, node) {
            Some(time) => {
                let frame = shape.frame();
                (&values[time * frame.len()..][..frame.len()], frame)
            }
            None => {
                let row = Shape::new(1, shape.len() / shape.channels, shape.channels);
                (values, row)
            }
        }
    }
}

/// The part of each map that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// The map at the time that this frame of a picture or clip falls into.
    Frame(usize),
    /// All times of a text, as the columns of one row.
    Times,
}

impl Plane {
    /// All times of a text; this frame of a clip.
    ///
    /// # Panics
    /// If the clip has no such frame.
    pub fn of(explainer: &Explainer, frame: usize) -> Self {
        let input = &explainer.nodes()[0];
        assert!(frame < input.shape.time, "the input has no frame {frame}");
        match input.operation {
            Operation::Tokens { .. } => Self::Times,
            _ => Self::Frame(frame),
        }
    }

    /// The time of a node's map that is drawn; `None` for all times.
    pub fn time(self, explainer: &Explainer, node: usize) -> Option<usize> {
        let times = |node: usize| explainer.nodes()[node].shape.time;
        match self {
            Self::Frame(frame) => Some(frame * times(node) / times(0)),
            Self::Times => None,
        }
    }

    /// The place of a node's map that is drawn at this row and column.
    pub fn place(
        self,
        explainer: &Explainer,
        node: usize,
        [row, column]: [usize; 2],
        channel: usize,
    ) -> Place {
        match self.time(explainer, node) {
            Some(time) => Place::new(row, column, channel).over(time),
            None => Place::new(row, 0, channel).over(column),
        }
    }

    /// The row and column at which a place of a node's map is drawn; `None` if it lies at another time.
    pub fn drawn(self, explainer: &Explainer, node: usize, at: Place) -> Option<[usize; 2]> {
        match self.time(explainer, node) {
            Some(time) => (at.time == time).then_some([at.row, at.column]),
            None => Some([at.row, at.time]),
        }
    }
}

/// Small pictures of at most `most` maps of each node, reduced to at most `cell` rows and columns.
pub fn overview(
    explainer: &Explainer,
    shown: Shown,
    plane: Plane,
    most: usize,
    cell: usize,
) -> Overview {
    let nodes = explainer.nodes().len();
    let of_node = |node: usize| -> Vec<Tile> {
        let (frame, shape) = shown.on(plane, explainer, node);
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
