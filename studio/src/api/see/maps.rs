//! The maps of a layer, and how one of them is made of others.
use axum::Json;
use axum::extract::State;
use hubel::Explainer;
use hubel::explain::channel_of;
use hubel::explain::composition::{self, Composition};
use hubel::explain::draw::{self, Scale, Shown};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking, image};
use super::{Of, PictureQuestion, look};
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
        look(&shared, &wanted.asked, |_, eyes, score| {
            let shown = wanted.of.ready(eyes, score);
            let node = known(&eyes.explainer, wanted.layer)?;
            let (values, shape) = shown.of(&eyes.explainer, node);
            let most = if wanted.all { usize::MAX } else { MOST };
            let maps = draw::maps_of(values, shape, most, SIDE);
            let columns = (maps.tiles.len() as f64).sqrt().ceil() as usize;
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
        look(&shared, &wanted.asked, |_, eyes, score| {
            let shown = wanted.of.ready(eyes, score);
            let explainer = &eyes.explainer;
            let node = known(explainer, wanted.layer)?;
            let (frame, shape) = shown.frame_of(explainer, node);
            if wanted.channel >= shape.channels {
                // The library's message.
                composition::of(explainer, node, wanted.channel, PARTS)?;
            }
            let values = channel_of(frame, shape, wanted.channel);
            let made = match shown {
                Shown::Values if node == 0 => Ok(None),
                Shown::Values => composition::of(explainer, node, wanted.channel, PARTS).map(Some),
                Shown::Gradients => {
                    composition::of_gradient(explainer, node, wanted.channel, PARTS).map(Some)
                }
            };
            let (made, refusal) = match made {
                Ok(made) => (made, None),
                Err(error) => (None, Some(error.to_string())),
            };
            let made = made.map(|made| {
                parts(
                    explainer,
                    shown,
                    [shape.height, shape.width],
                    &made,
                    &values,
                )
            });
            Ok(json!({
                "height": shape.height,
                "width": shape.width,
                "scale": scale(Scale::of(&values)),
                "values": values,
                "made": made,
                "refusal": refusal,
            }))
        })
    });
    answer.await?.map(Json)
}

/// The maps that a map is made of: as they are, and what they add, each in a row of pictures. What they add has the colour scale of the sum.
fn parts(
    explainer: &Explainer,
    shown: Shown,
    size: [usize; 2],
    made: &Composition,
    sum: &[f32],
) -> Value {
    let read = made.parts.iter().map(|part| {
        let (values, shape) = shown.of(explainer, part.node);
        channel_of(values, shape, part.channel)
    });
    let read: Vec<Vec<f32>> = read.collect();
    // Maps of different sizes do not fit into one row: of a flat gradient, for example.
    let size_of = |part: &composition::Part| {
        let shape = explainer.nodes()[part.node].shape;
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
        .filter_map(|part| part.adds.as_deref())
        .collect();
    let has_sums = adds.len() == made.parts.len() && !adds.is_empty();
    adds.extend(others.map(|(_, others)| &others[..]));
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
