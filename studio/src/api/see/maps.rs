//! The maps of a layer, and how one of them is made of others.
use std::ops::Range;

use axum::Json;
use axum::extract::State;
use hubel::Explainer;
use hubel::explain::channel_of;
use hubel::explain::composition::{self, Composition};
use hubel::explain::draw::{self, Plane, Scale, Shown};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking, image};
use super::{Of, PictureQuestion, look, plane};
use crate::server::Shared;

/// Most maps of a layer, unless all are asked for.
const MOST: usize = 64;
/// Most rows and columns of a map.
const SIDE: usize = 128;
/// Most maps that another one is shown to be made of.
const PARTS: usize = 12;

/// A layer.
#[derive(Deserialize)]
pub(in crate::api) struct Layer {
    #[serde(flatten)]
    asked: PictureQuestion,
    of: Of,
    layer: usize,
    /// Whether more than [`MOST`] maps are wanted.
    all: bool,
}

/// `POST /api/see/layer`: all maps of a layer.
pub(in crate::api) async fn layer(
    State(shared): State<Shared>,
    Json(wanted): Json<Layer>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        look(&shared, &wanted.asked, |loaded, eyes, score| {
            let shown = wanted.of.ready(eyes, score);
            let node = known(&eyes.explainer, wanted.layer)?;
            let plane = plane(loaded, eyes, &wanted.asked);
            let (values, shape) = shown.on(plane, &eyes.explainer, node);
            let most = if wanted.all { usize::MAX } else { MOST };
            let maps = draw::maps_of(values, shape, most, SIDE);
            // Rows of times lie below each other.
            let columns = match shape.height == 1 && shape.width > 1 {
                true => 1,
                false => (maps.tiles.len() as f64).sqrt().ceil() as usize,
            };
            let size = maps.tiles.first().map_or([0, 0], draw::Tile::size);
            let tiles = maps.tiles.iter();
            let tiles =
                tiles.map(|tile| json!({ "channel": tile.number, "largest": tile.largest }));
            Ok(json!({
                "tiles": tiles.collect::<Vec<_>>(),
                "channels": shape.channels,
                "columns": columns.max(1),
                "height": size[0],
                "width": size[1],
                "reduced": maps.reduced,
                "scale": scale(maps.scale),
                "image": image("image/png", &maps.grid(columns).png()),
            }))
        })
    });
    answer.await?.map(Json)
}

/// A map.
#[derive(Deserialize)]
pub(in crate::api) struct Map {
    #[serde(flatten)]
    asked: PictureQuestion,
    of: Of,
    layer: usize,
    channel: usize,
}

/// `POST /api/see/map`: the values of a map, and the maps that it is made of; backwards, those that its gradient comes from.
pub(in crate::api) async fn map(
    State(shared): State<Shared>,
    Json(wanted): Json<Map>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        look(&shared, &wanted.asked, |loaded, eyes, score| {
            let shown = wanted.of.ready(eyes, score);
            let explainer = &eyes.explainer;
            let node = known(explainer, wanted.layer)?;
            let plane = plane(loaded, eyes, &wanted.asked);
            let (drawn, shape) = shown.on(plane, explainer, node);
            if wanted.channel >= shape.channels {
                // The library's message.
                composition::of(explainer, node, wanted.channel, PARTS)?;
            }
            let values = channel_of(drawn, shape, wanted.channel);
            let made = match shown {
                Shown::Values if node == 0 => None,
                Shown::Values => Some(composition::of(explainer, node, wanted.channel, PARTS)?),
                Shown::Gradients => {
                    let made = composition::of_gradient(explainer, node, wanted.channel, PARTS)?;
                    Some(made)
                }
            };
            // Of what is added at all times, the part that is drawn.
            let time = plane.time(explainer, node).unwrap_or(0);
            let part = time * values.len()..(time + 1) * values.len();
            let made = made.map(|made| {
                let size = [shape.height, shape.width];
                parts(explainer, (shown, plane), (size, part), &made, &values)
            });
            Ok(json!({
                "height": shape.height,
                "width": shape.width,
                "scale": scale(Scale::of(&values)),
                "values": values,
                "made": made,
            }))
        })
    });
    answer.await?.map(Json)
}

/// The maps that a map is made of: as they are, and what they add, each in a row of pictures. What they add has the colour scale of the sum. `size` is that of a
/// picture, and `drawn` the part of what is added that it shows.
fn parts(
    explainer: &Explainer,
    (shown, plane): (Shown, Plane),
    (size, drawn): ([usize; 2], Range<usize>),
    made: &Composition,
    sum: &[f32],
) -> Value {
    let read = made.parts.iter().map(|part| {
        let (values, shape) = shown.on(plane, explainer, part.node);
        channel_of(values, shape, part.channel)
    });
    let read: Vec<Vec<f32>> = read.collect();
    // Maps of different sizes do not fit into one row: of a flat gradient, for example.
    let size_of = |part: &composition::Part| {
        let (_, shape) = shown.on(plane, explainer, part.node);
        [shape.height, shape.width]
    };
    let first = made.parts.first().map(size_of);
    let is_one_size = made.parts.iter().all(|part| Some(size_of(part)) == first);
    let row = |maps: &[&[f32]], size: [usize; 2], common: bool| {
        (!maps.is_empty()).then(|| image("image/png", &draw::row(maps, size, common).png()))
    };
    let others = made.others.as_ref();
    let mut adds: Vec<&[f32]> = made
        .parts
        .iter()
        .filter_map(|part| Some(&part.adds.as_deref()?[drawn.clone()]))
        .collect();
    let has_sums = adds.len() == made.parts.len() && !adds.is_empty();
    adds.extend(others.map(|(_, others)| &others[drawn.clone()]));
    adds.push(sum);
    let reads: Vec<&[f32]> = read.iter().map(Vec::as_slice).collect();
    let list = made.parts.iter().map(|part| {
        let node = &explainer.nodes()[part.node];
        json!({
            "layer": part.node,
            "name": node.name,
            "kind": node.operation.kind(),
            "channel": part.channel,
            "kernel": part.kernel,
        })
    });
    json!({
        "parts": list.collect::<Vec<_>>(),
        "others": others.map(|(count, _)| count),
        "bias": made.bias,
        "size": first,
        "read": first.filter(|_| is_one_size).and_then(|size| row(&reads, size, false)),
        "adds": if has_sums { row(&adds, size, true) } else { None },
    })
}

/// The index of a layer, if there is one.
pub(super) fn known(explainer: &Explainer, layer: usize) -> hubel::Result<usize> {
    match layer < explainer.nodes().len() {
        true => Ok(layer),
        false => Err(hubel::Error::Settings {
            problem: format!(
                "there is no layer {layer}; the last one is {}",
                explainer.nodes().len() - 1
            ),
        }),
    }
}

/// A colour scale, by which the page draws values.
pub(super) fn scale(scale: Scale) -> Value {
    json!({ "ends": scale.ends(), "colours": scale.colours() })
}
