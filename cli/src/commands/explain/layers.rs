//! Layers as pictures: their maps, and the filters of convolutions.
use std::path::PathBuf;

use hubel::explain::draw::{self, Filters, Maps};
use hubel::network::{LayerSummary, Node, Operation};
use hubel::{Error, Model, shown};
use serde_json::{Value, json};

use super::{Files, Looked};

/// A layer with its pictures.
pub(super) struct Layer {
    pub(super) summary: LayerSummary,
    pub(super) shown: Shown,
    pub(super) filters: Option<Filters>,
    maps_file: PathBuf,
    pub(super) filters_file: Option<PathBuf>,
}

/// The maps of a layer.
pub(super) enum Shown {
    /// Maps of more than one pixel.
    Maps(Maps),
    /// The values of a map of one pixel.
    Numbers(Vec<f32>),
}

impl Layer {
    /// How many maps are shown.
    pub(super) fn count(&self) -> usize {
        match &self.shown {
            Shown::Maps(maps) => maps.tiles.len(),
            Shown::Numbers(numbers) => numbers.len(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.summary.name,
            "kind": self.summary.kind,
            "output": self.summary.output.to_vec(),
            "formula": self.summary.formula,
            "maps": shown(&self.maps_file),
            "maps_shown": self.count(),
            "filters": self.filters_file.as_deref().map(shown),
        })
    }
}

/// How many maps of a layer are drawn, and how large.
#[derive(Clone, Copy)]
struct Detail {
    maps: usize,
    side: usize,
}

/// From fine to coarse: how to show the strongest maps of all layers on one page.
const OVERVIEWS: [Detail; 5] = [
    Detail { maps: 16, side: 96 },
    Detail { maps: 16, side: 64 },
    Detail { maps: 12, side: 48 },
    Detail { maps: 8, side: 32 },
    Detail { maps: 4, side: 16 },
];
/// Most pixels of all maps on one page. Coloured maps take 1 to 2 bytes per pixel as PNG and a third more in the page, which should stay below 10 MB.
const PIXELS: usize = 3_500_000;
/// For a single layer, nearly always all maps at full size: most maps, and most pixels of all maps.
const ALL: usize = 4096;
const PIXELS_OF_ALL: usize = 4_000_000;
const LARGEST_SIDE: usize = 1024;

/// Draws all layers, or the layer of `--layer` at full size.
pub(super) fn draw(
    model: &Model,
    looked: &Looked,
    layer: Option<usize>,
    files: &mut Files,
) -> Result<Vec<Layer>, Error> {
    let summary = model
        .network()
        .summary(model.input(), model.classes().len())?;
    let nodes = looked.explainer.nodes();
    let detail = match layer {
        Some(node) => in_full(&nodes[node]),
        None => overview(nodes),
    };
    let wanted = (1..).zip(summary.layers);
    wanted
        .filter(|(node, _)| layer.is_none_or(|chosen| chosen == *node))
        .map(|(node, summary)| {
            // Filters of the first layer are always shown, those of deeper layers only with `--layer`.
            let with_filters = layer.is_some() || nodes[node].inputs == [0];
            one(looked, node, summary, detail, with_filters, files)
        })
        .collect()
}

/// The finest overview that fits on a page.
fn overview(nodes: &[Node]) -> Detail {
    let pixels = |detail: &Detail| -> usize {
        let layers = nodes[1..].iter().filter(|node| is_map(node));
        layers
            .map(|node| {
                let shape = node.shape;
                let reduced = shape.height.max(shape.width).div_ceil(detail.side);
                let pixels = shape.height.div_ceil(reduced) * shape.width.div_ceil(reduced);
                shape.time * pixels * detail.maps.min(shape.channels)
            })
            .sum()
    };
    let fitting = OVERVIEWS.iter().find(|detail| pixels(detail) <= PIXELS);
    *fitting.unwrap_or(&OVERVIEWS[OVERVIEWS.len() - 1])
}

fn in_full(node: &Node) -> Detail {
    let maps = node.shape.channels.min(ALL);
    let side = (PIXELS_OF_ALL / maps).isqrt();
    Detail {
        maps,
        side: side.min(LARGEST_SIDE),
    }
}

fn is_map(node: &Node) -> bool {
    node.shape.len() > node.shape.channels
}

fn one(
    looked: &Looked,
    node: usize,
    summary: LayerSummary,
    detail: Detail,
    with_filters: bool,
    files: &mut Files,
) -> Result<Layer, Error> {
    let explainer = &looked.explainer;
    let own = &explainer.nodes()[node];
    let (shown, drawing) = match is_map(own) {
        true => {
            let maps = draw::maps(explainer, node, detail.maps, detail.side);
            let sheet = maps.sheet()?;
            (Shown::Maps(maps), sheet)
        }
        false => {
            let numbers = explainer.map(node)[..own.shape.channels].to_vec();
            (Shown::Numbers(numbers), draw::vector(explainer, node))
        }
    };
    let maps_file = files.save(&format!("maps-{}", own.name), &drawing)?;
    let filters = match &own.operation {
        Operation::Conv(_) if with_filters => Some(draw::filters(explainer, node)?),
        _ => None,
    };
    let filters_file = (filters.as_ref())
        .map(|filters| files.save(&format!("filters-{}", own.name), &filters.drawing))
        .transpose()?;
    Ok(Layer {
        summary,
        shown,
        filters,
        maps_file,
        filters_file,
    })
}
