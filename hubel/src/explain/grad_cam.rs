//! Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017): where the map of
//! one layer supports a class.
use super::{Explainer, Heatmap, Score};
use crate::network::Operation;
use crate::{Error, Result};

/// max(0, Σ weight · map) over the channels. The weight of a channel is the mean of the score's gradient by it, of a clip over all frames. Uses the
/// first picture of the last [`look`](Explainer::look), and the layer of [`usual_layer`] unless one is named.
///
/// # Errors
/// If the layer does not exist, if its map has one pixel, or if no map of a convolution has more.
pub fn map(explainer: &mut Explainer, score: &Score, layer: Option<&str>) -> Result<Heatmap> {
    let node = match layer {
        Some(name) => explainer.node(name)?,
        None => usual_layer(explainer)?,
    };
    let name = explainer.nodes()[node].name.clone();
    let shape = explainer.nodes()[node].shape;
    let pixels = shape.time * shape.height * shape.width;
    if shape.height * shape.width == 1 {
        return Err(Error::Settings {
            problem: format!(
                "Grad-CAM needs a map of more than one pixel, and that of layer `{name}` is {shape}; name a layer before it"
            ),
        });
    }
    explainer.trace_back(score);
    let length = shape.len();
    let channels = shape.channels;
    let mut weights = vec![0.0f64; channels];
    for pixel in explainer.gradient(node)[..length].chunks_exact(channels) {
        for (weight, gradient) in weights.iter_mut().zip(pixel) {
            *weight += f64::from(*gradient);
        }
    }
    let values = explainer.map(node)[..length].chunks_exact(channels);
    let values = values.map(|pixel| {
        let weighted = pixel.iter().zip(&weights);
        let sum: f64 = weighted
            .map(|(value, weight)| f64::from(*value) * weight)
            .sum();
        (sum / pixels as f64).max(0.0) as f32
    });
    Ok(Heatmap {
        layer: name,
        time: shape.time,
        height: shape.height,
        width: shape.width,
        values: values.collect(),
    })
}

/// The default layer of Grad-CAM. It starts at the last convolution whose map has more than one pixel, and goes past that convolution's
/// batch norm, activation and addition, but not past pooling or flatten.
///
/// # Errors
/// If the network has no such convolution.
pub fn usual_layer(explainer: &Explainer) -> Result<usize> {
    let nodes = explainer.nodes();
    let size = |node: usize| [nodes[node].shape.height, nodes[node].shape.width];
    let is_convolution =
        |operation: &Operation| matches!(operation, Operation::Conv(_) | Operation::TimeConv(_));
    let last = (0..nodes.len())
        .rev()
        .find(|i| is_convolution(&nodes[*i].operation) && size(*i) != [1, 1]);
    let Some(last) = last else {
        let problem = "Grad-CAM needs a convolution whose map has more than one pixel, and this network has none; use the input gradient or occlusion"
            .to_owned();
        return Err(Error::Settings { problem });
    };
    let keeps_places = |operation: &Operation| {
        matches!(
            operation,
            Operation::BatchNorm { .. }
                | Operation::LayerNorm { .. }
                | Operation::GroupNorm { .. }
                | Operation::Scale { .. }
                | Operation::Activation(_)
                | Operation::Prelu
                | Operation::Channels { .. }
                | Operation::Shuffle { .. }
                | Operation::Dropout(_)
                | Operation::Lrn(_)
                | Operation::Add
                | Operation::Concat
                | Operation::Multiply
        )
    };
    let mut node = last;
    for (next, own) in nodes.iter().enumerate().skip(last + 1) {
        let follows = own.inputs.contains(&node) && keeps_places(&own.operation);
        if follows && size(next) == size(last) {
            node = next;
        }
    }
    Ok(node)
}
