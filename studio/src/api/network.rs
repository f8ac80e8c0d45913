//! Networks: those with a name, and the layers of any architecture text.
use std::ops::Range;

use axum::Json;
use hubel::network::{Graph, Input, Operation, Summary};
use hubel::{Error, Network, Shape};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, blocking};

/// `/api/networks`: the networks that have a name.
pub(super) async fn names() -> Json<Value> {
    let networks = Network::names().filter_map(|name| {
        let input = Network::usual_input(name)?;
        let text = Network::named(name).ok()?.to_string();
        Some(json!({ "name": name, "input": input.to_string(), "text": text }))
    });
    Json(networks.collect())
}

/// A network to show.
#[derive(Deserialize)]
pub(super) struct TypedNetwork {
    /// Its name or architecture text.
    text: String,
    /// `28×28×1`, `12×32×32×1` for clips, or `56 tokens of 10000`.
    input: String,
    classes: usize,
}

/// `/api/network`: its layers, or what is wrong and where.
pub(super) async fn summary(Json(typed): Json<TypedNetwork>) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || match typed.layers() {
        Ok(network) => json!({ "network": network }),
        Err(problem) => json!({ "problem": problem.of_text(&typed.text) }),
    });
    answer.await.map(Json)
}

/// Why a network cannot be shown.
struct Problem {
    /// The field that the user can change: `text`, `input` or `classes`.
    field: &'static str,
    message: String,
    /// The place in the text, in bytes.
    place: Option<Range<usize>>,
}

impl Problem {
    /// As JSON. Places count as JavaScript counts, in UTF-16.
    fn of_text(&self, text: &str) -> Value {
        let place = self.place.as_ref().map(|place| {
            let [start, end] = [place.start, place.end].map(|at| {
                text.get(..at)
                    .map_or(0, |before| before.encode_utf16().count())
            });
            json!([start, end])
        });
        json!({ "field": self.field, "message": self.message, "place": place })
    }
}

impl TypedNetwork {
    fn layers(&self) -> Result<Value, Problem> {
        let in_text = |message: String, place| Problem {
            field: "text",
            message,
            place,
        };
        let network = Network::resolve(&self.text).map_err(|error| {
            let place = match &error {
                Error::Architecture { place, .. } => Some(place.clone()),
                _ => None,
            };
            in_text(error.to_string(), place)
        })?;
        let input = input(&self.input).ok_or_else(|| Problem {
            field: "input",
            message: "write the input as height×width×channels, such as 28x28x1, with the number of frames before it for clips, or as 56 tokens of 10000"
                .into(),
            place: None,
        })?;
        if self.classes == 0 {
            return Err(Problem {
                field: "classes",
                message: "a network has at least 1 class".into(),
                place: None,
            });
        }
        let graph = network
            .graph(input, self.classes)
            .map_err(|error| match &error {
                Error::Input { .. } | Error::Settings { .. } => Problem {
                    field: "input",
                    message: error.to_string(),
                    place: None,
                },
                Error::Layer(layer) => {
                    let places = Network::places(&self.text).ok();
                    let place = places
                        .zip(layer.index)
                        .and_then(|(places, index)| places.get(index).cloned());
                    in_text(error.to_string(), place)
                }
                _ => in_text(error.to_string(), None),
            })?;
        let summary = Summary::new(&graph);
        Ok(json!({
            "name": network.name(),
            "text": network.to_string(),
            "input": input.to_string(),
            "summary": summary,
            "shapes": summary.layers.iter().map(|layer| layer.output.to_string()).collect::<Vec<_>>(),
            "sees": summary.layers.iter().map(|layer| layer.sees(summary.input)).collect::<Vec<_>>(),
            "settings": graph.nodes.iter().skip(1).map(|node| settings(&node.operation)).collect::<Vec<_>>(),
            "reads": reads(&graph),
        }))
    }
}

/// For each layer, the indices of the layers that it reads; −1 is the input.
fn reads(graph: &Graph) -> Vec<Vec<isize>> {
    let layers = graph.nodes.iter().skip(1);
    let reads = layers.map(|node| {
        node.inputs
            .iter()
            .map(|input| *input as isize - 1)
            .collect()
    });
    reads.collect()
}

/// The settings of a layer, as a list of names and values; heights and widths are shown once if they are equal.
fn settings(operation: &Operation) -> Vec<[String; 2]> {
    let pair = |pair: [usize; 2]| match pair {
        [height, width] if height == width => height.to_string(),
        [height, width] => format!("{height}×{width}"),
    };
    let padding = |[top, left, bottom, right]: [usize; 4]| match [left, bottom, right] == [top; 3] {
        true => top.to_string(),
        false => format!("top {top}, bottom {bottom}, left {left}, right {right}"),
    };
    let settings: Vec<(&str, String)> = match operation {
        Operation::Conv(conv) => vec![
            ("filters", conv.filters.to_string()),
            ("kernel", pair(conv.kernel)),
            ("stride", pair(conv.stride)),
            ("padding", padding(conv.padding)),
            ("dilation", pair(conv.dilation)),
            ("groups", conv.groups.to_string()),
        ],
        Operation::MaxPool(window) | Operation::AvgPool { window, .. } => vec![
            ("kernel", pair(window.kernel)),
            ("stride", pair(window.stride)),
            ("padding", padding(window.padding)),
        ],
        Operation::TimeConv(conv) => vec![
            ("filters", conv.filters.to_string()),
            ("kernel", conv.window.kernel.to_string()),
            ("stride", conv.window.stride.to_string()),
        ],
        Operation::TimeMaxPool(window) | Operation::TimeAvgPool { window, .. } => vec![
            ("kernel", window.kernel.to_string()),
            ("stride", window.stride.to_string()),
        ],
        Operation::Channels { first, count } => {
            vec![("first", first.to_string()), ("count", count.to_string())]
        }
        Operation::Pad { sides, mode } => {
            vec![("padding", padding(*sides)), ("mode", mode.to_string())]
        }
        Operation::Upsample(upsample) => vec![
            ("factor", pair(upsample.factor)),
            (
                "mode",
                format!("{:?}", upsample.interpolation).to_lowercase(),
            ),
        ],
        Operation::Shuffle { groups } => vec![("groups", groups.to_string())],
        Operation::Dropout(share) => vec![("probability", share.to_string())],
        Operation::Linear { outputs, .. } => vec![("outputs", outputs.to_string())],
        _ => Vec::new(),
    };
    let settings = settings.into_iter();
    settings
        .map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// Reads `28x28x1`, `12×32×32×1` or `56 tokens of 10000`.
fn input(text: &str) -> Option<Input> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    if let Some((length, vocabulary)) = text.split_once("tokens of") {
        return Some(Input::tokens(number(length)?, number(vocabulary)?));
    }
    let sizes: Vec<usize> =
        (text.split(['x', '×', 'X', '*']).map(number)).collect::<Option<_>>()?;
    match sizes[..] {
        [height, width, channels] => Some(Shape::new(height, width, channels).into()),
        [time, height, width, channels] => {
            Some(Shape::new(height, width, channels).over(time).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, input: &str) -> Value {
        let typed = TypedNetwork {
            text: text.into(),
            input: input.into(),
            classes: 10,
        };
        match typed.layers() {
            Ok(network) => network,
            Err(problem) => problem.of_text(text),
        }
    }

    #[test]
    fn every_network_of_the_zoo_is_shown_with_its_usual_input() {
        for name in Network::names() {
            let usual = Network::usual_input(name).unwrap();
            let network = answer(name, &usual.to_string());
            assert_eq!(network["name"], name, "{network}");
            let summary = Network::named(name).unwrap().summary(usual, 10).unwrap();
            assert_eq!(network["summary"], serde_json::to_value(summary).unwrap());
            assert_eq!(
                network["reads"].as_array().map(Vec::len),
                network["settings"].as_array().map(Vec::len)
            );
        }
    }

    #[test]
    fn a_problem_has_its_place_in_utf_16() {
        let problem = answer("é𝒜: relu-cnov(8)", "8x8x1");
        assert_eq!(problem["place"], json!([10, 14]), "{problem}");
        assert!(problem["message"].as_str().unwrap().contains("^^^^"));
        let misfit = answer("conv(4)-conv(8, kernel=9)", "8x8x1");
        assert_eq!(misfit["place"], json!([8, 25]), "{misfit}");
        assert!(misfit["message"].as_str().unwrap().contains("ways out"));
    }

    #[test]
    fn a_wrong_input_is_told_apart_from_a_wrong_text() {
        for text in ["", "8x8", "0x0x1", "99999x99999x3", "8xax3"] {
            assert_eq!(answer("relu", text)["field"], "input", "{text}");
        }
        assert_eq!(answer("relu", "8×8×2")["input"], "8×8×2");
    }
}
