//! The entry points of fuzzers: each runs a parser on arbitrary bytes and checks the properties of its result. A panic is a finding. Each function
//! returns whether the bytes were accepted. Tests call the same functions with the [`seeds`] and with former findings.
use std::path::Path;

pub use crate::data::fuzzing::{cifar, corrections, idx, npz, picture, table};

pub mod seeds;
pub(crate) mod torch_file;

use std::io::Cursor;

use crate::formats::torch::{self, Form};
use crate::{Model, Network, Shape, TrainState, Weights};

/// A model file.
pub fn model(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes) else {
        return false;
    };
    let graph = model.graph().expect("a model has a graph");
    assert_eq!(graph.output().shape.len(), model.classes().len());
    assert!(graph.parameters() * size_of::<f32>() <= bytes.len());
    let values = model.parameters().values();
    assert!(values.iter().all(|value| value.is_finite()));
    true
}

/// A model file with the state of a training.
pub fn state(bytes: &[u8]) -> bool {
    let path = Path::new("last.safetensors");
    let file = Model::read_from(&mut &*bytes, bytes.len() as u64, path);
    let Ok(state) = file.and_then(|file| TrainState::of_file(file, path)) else {
        return false;
    };
    // It is written as it was read.
    let written = state.clone().into_tensors().expect("its network fits");
    let again = TrainState::of_file(written, path);
    assert_eq!(again.expect("it was written just now"), state);
    true
}

/// Weights of another program: for a known network, and for arbitrary tensors.
pub fn weights(bytes: &[u8]) -> bool {
    let path = Path::new("weights.pth");
    let size = bytes.len() as u64;
    match Weights::read(&mut Cursor::new(bytes), size, path, None) {
        Ok(weights) => {
            let values = weights.model.parameters().values();
            assert!(values.iter().all(|value| value.is_finite()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let Some(form) = Form::of(bytes) else {
        return false;
    };
    let all = |outline: &[(&str, Vec<usize>)]| {
        Ok(outline.iter().map(|(name, _)| (*name).to_owned()).collect())
    };
    let tensors = torch::read_some(&mut Cursor::new(bytes), size, form, path, all);
    for tensor in tensors.iter().flatten() {
        let elements = tensor
            .shape
            .iter()
            .map(|size| *size as u128)
            .product::<u128>();
        assert!(tensor.shape.contains(&0) || tensor.data.len() as u128 == elements);
        // An element takes at least one byte, and is read once.
        assert!(tensor.data.len() <= bytes.len());
    }
    tensors.is_ok()
}

/// An ONNX file without external data.
#[cfg(feature = "onnx")]
pub fn onnx(bytes: &[u8]) -> bool {
    match crate::onnx::read(bytes) {
        Ok(imported) => {
            let model = imported.model;
            let graph = model.graph().expect("a model has a graph");
            assert_eq!(graph.output().shape.len(), model.classes().len());
            let values = model.parameters().values();
            assert!(values.iter().all(|value| value.is_finite()));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Architecture text, as a graph for one image.
pub fn architecture(text: &str) -> bool {
    let network = match Network::parse(text) {
        Ok(network) => network,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let again = Network::parse(&network.to_string()).expect("what is printed is read");
    assert_eq!(again, network);
    match network.summary(Shape::new(17, 19, 3), 5) {
        Ok(summary) => assert!(!summary.to_string().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    true
}

#[cfg(test)]
mod tests;
