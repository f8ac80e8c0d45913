//! The files written by make_fixtures.py.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hubel::network::Input;
use hubel::{Model, Network, Parameters};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Values and their shape.
pub(crate) type Tensor = (Vec<usize>, Vec<f32>);

pub(crate) struct Fixture {
    description: serde_json::Value,
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    pub(crate) fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch");
        let bytes = std::fs::read(folder.join(name).with_extension("safetensors")).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let description = &header.metadata().as_ref().unwrap()["hubel"];
        Self {
            description: serde_json::from_str(description).unwrap(),
            tensors: tensors(&bytes),
        }
    }

    /// The metadata.
    pub(crate) fn description<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(self.description.clone()).unwrap()
    }

    /// The list in the metadata, one entry per case.
    pub(crate) fn cases<T: DeserializeOwned>(&self) -> Vec<T> {
        serde_json::from_value(self.description["cases"].clone()).unwrap()
    }

    pub(crate) fn numbers(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    /// The tensors whose names begin with `folder`, by the rest of their names.
    pub(crate) fn under(&self, folder: &str) -> BTreeMap<String, Tensor> {
        (self.tensors.iter())
            .filter_map(|(name, tensor)| Some((name.strip_prefix(folder)?.into(), tensor.clone())))
            .collect()
    }
}

/// All tensors of a file.
pub(crate) fn tensors(bytes: &[u8]) -> BTreeMap<String, Tensor> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    (file.iter())
        .map(|(name, view)| {
            assert_eq!(view.dtype(), Dtype::F32);
            let (numbers, _) = view.data().as_chunks();
            let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
            (name.into(), (view.shape().to_vec(), numbers.collect()))
        })
        .collect()
}

/// The model whose file has `tensors`, with PyTorch's names and layouts.
pub(crate) fn model(
    text: &str,
    input: impl Into<Input>,
    tensors: &BTreeMap<String, Tensor>,
) -> Model {
    let input = input.into();
    let network = Network::resolve(text).unwrap();
    // Text with `classes` has ten classes; otherwise the text gives the number of logits.
    let graph = network.graph(input, 10).unwrap();
    let classes = graph.output().shape.len();
    // The text may be the beginning of the network with these tensors.
    let parameters = Parameters::initial(&graph, 0).unwrap();
    let own: BTreeSet<&str> = (parameters.entries().iter())
        .map(|entry| entry.name.as_str())
        .collect();
    let tensors: BTreeMap<&String, &Tensor> = (tensors.iter())
        .filter(|(name, _)| own.contains(name.as_str()))
        .collect();
    let classes: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let channels = input.shape.channels;
    // A vocabulary has padding and the unknown token besides.
    let medium = match input.vocabulary {
        None => json!("picture"),
        Some(vocabulary) => {
            let tokens: Vec<String> = (2..vocabulary).map(|token| token.to_string()).collect();
            json!({ "text": { "kind": "words", "tokens": tokens } })
        }
    };
    let preparation = json!({
        "shape": input.shape,
        "resize": "letterbox",
        "mean": vec![0.0; channels],
        "std": vec![1.0; channels],
        "transparent": null,
        "ground": null,
        "medium": medium,
    });
    let metadata = [
        ("hubel.version", "1".into()),
        ("hubel.network", network.to_string()),
        ("hubel.classes", json!(classes).to_string()),
        ("hubel.preparation", preparation.to_string()),
        ("hubel.input", input.shape.to_string().replace('×', "x")),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_string(), value));
    let bytes: Vec<Vec<u8>> = (tensors.values())
        .map(|(_, numbers)| numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, tensor), bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.0.clone(), bytes).unwrap();
        (name, view)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let bytes = safetensors::serialize(views, Some(metadata.into())).unwrap();
    std::fs::write(&path, bytes).unwrap();
    Model::load(&path).unwrap_or_else(|error| panic!("{text}: {error}"))
}
