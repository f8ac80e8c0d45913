//! Untrained models.
use std::path::Path;

use hubel::{Model, Network, Preparation, Shape};

/// Writes `model.safetensors` into a folder: a network for pictures of `shape`, with the classes `cat` and `dog`.
pub(crate) fn of_cats_and_dogs(folder: &Path, network: &str, shape: Shape) {
    let preparation = Preparation {
        shape,
        resize: Default::default(),
        mean: vec![0.5; shape.channels],
        std: vec![0.25; shape.channels],
        transparent: None,
        ground: None,
        range: None,
        medium: Default::default(),
    };
    let network = Network::parse(network).expect("a network");
    let classes = ["cat", "dog"].map(String::from).into();
    Model::untrained(network, classes, preparation, 1)
        .and_then(|model| model.save(folder.join("model.safetensors")))
        .expect("a model");
}
