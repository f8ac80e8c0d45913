//! From a text or a name to a graph of layers with shapes.
mod generated;
mod graph;
mod text;
mod zoo;

use super::*;
use crate::layers::{
    Activation, Conv, Interpolation, LayerInput, Outputs, Pad, Padding, PaddingMode, Pool,
    PoolKind, Round, TimeConv, TimePadding, TimePool, Upsample,
};

fn graph(text: &str, input: [usize; 3]) -> Result<Graph> {
    let [height, width, channels] = input;
    Network::parse(text)?.graph(Shape::new(height, width, channels), 10)
}

fn message(text: &str, input: [usize; 3]) -> String {
    graph(text, input).unwrap_err().to_string()
}

fn zoo(name: &str) -> Graph {
    let input = Network::usual_input(name).unwrap();
    Network::named(name).unwrap().graph(input, 10).unwrap()
}
