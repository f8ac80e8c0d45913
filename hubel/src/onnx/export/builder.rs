//! Builds the messages of a graph.
use std::collections::BTreeMap;

use half::f16;
use prost::bytes::Bytes;

use crate::onnx::proto::{self, Size, attribute_type, data_type};

/// The type of weights and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Single,
    Half,
}

impl Scalar {
    pub(super) fn data_type(self) -> i32 {
        match self {
            Self::Single => data_type::FLOAT,
            Self::Half => data_type::FLOAT16,
        }
    }
}

/// A graph that grows.
pub(super) struct Builder {
    opset: i64,
    scalar: Scalar,
    graph: proto::Graph,
}

impl Builder {
    pub(super) fn new(opset: i64, scalar: Scalar) -> Self {
        Self {
            opset,
            scalar,
            graph: proto::Graph {
                name: Some("hubel".into()),
                ..proto::Graph::default()
            },
        }
    }

    pub(super) fn opset(&self) -> i64 {
        self.opset
    }

    pub(super) fn scalar(&self) -> Scalar {
        self.scalar
    }

    pub(super) fn nodes(&self) -> usize {
        self.graph.node.len()
    }

    /// Adds a node whose result has this name; returns the name. Inputs with an empty name are left out.
    pub(super) fn node(
        &mut self,
        kind: &str,
        name: &str,
        inputs: &[&str],
        attributes: impl FnOnce(Attributes) -> Attributes,
    ) -> String {
        self.graph.node.push(proto::Node {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(kind.to_owned()),
            attribute: attributes(Attributes(Vec::new())).0,
            domain: None,
        });
        name.to_owned()
    }

    /// Adds a constant of floats; returns its name.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> String {
        self.floats_of(self.scalar, name, shape, values)
    }

    /// Adds a constant of floats of this type; returns its name.
    pub(super) fn floats_of(
        &mut self,
        scalar: Scalar,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> String {
        let bytes: Vec<u8> = match scalar {
            Scalar::Single => values.into_iter().flat_map(f32::to_le_bytes).collect(),
            Scalar::Half => (values.into_iter())
                .flat_map(|value| f16::from_f32(value).to_le_bytes())
                .collect(),
        };
        self.constant(name, shape, scalar.data_type(), bytes)
    }

    /// Adds a constant of integers; returns its name.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, &[values.len()], data_type::INT64, bytes)
    }

    fn constant(&mut self, name: &str, shape: &[usize], kind: i32, bytes: Vec<u8>) -> String {
        self.graph.initializer.push(proto::Tensor {
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: Some(kind),
            name: Some(name.to_owned()),
            raw_data: Some(bytes.into()),
            ..proto::Tensor::default()
        });
        name.to_owned()
    }

    /// The file with the graph.
    pub(super) fn finish(
        mut self,
        input: proto::ValueInfo,
        output: proto::ValueInfo,
        metadata: BTreeMap<String, String>,
    ) -> proto::Model {
        self.graph.input.push(input);
        self.graph.output.push(output);
        let entries = metadata.into_iter().map(|(key, value)| proto::Entry {
            key: Some(key),
            value: Some(value),
        });
        proto::Model {
            // Readers of the oldest operators that are written know this version of the format.
            ir_version: Some(8),
            producer_name: Some("hubel".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(self.graph),
            opset_import: vec![proto::OperatorSet {
                domain: Some(String::new()),
                version: Some(self.opset),
            }],
            metadata_props: entries.collect(),
            functions: Vec::new(),
        }
    }
}

/// The attributes of a node.
pub(super) struct Attributes(Vec<proto::Attribute>);

impl Attributes {
    fn with(mut self, name: &str, kind: i32, value: proto::Attribute) -> Self {
        self.0.push(proto::Attribute {
            name: Some(name.to_owned()),
            r#type: Some(kind),
            ..value
        });
        self
    }

    pub(super) fn int(self, name: &str, value: i64) -> Self {
        let value = proto::Attribute {
            i: Some(value),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::INT, value)
    }

    pub(super) fn float(self, name: &str, value: f32) -> Self {
        let value = proto::Attribute {
            f: Some(value),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::FLOAT, value)
    }

    pub(super) fn ints(self, name: &str, values: &[usize]) -> Self {
        let value = proto::Attribute {
            ints: values.iter().map(|value| *value as i64).collect(),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::INTS, value)
    }

    pub(super) fn text(self, name: &str, value: &'static str) -> Self {
        let value = proto::Attribute {
            s: Some(Bytes::from_static(value.as_bytes())),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::STRING, value)
    }
}

/// An input or output: the batch, whose size is open, and these axes.
pub(super) fn port(name: &str, kind: i32, sizes: &[usize]) -> proto::ValueInfo {
    let size = |value| proto::Dimension { value: Some(value) };
    let batch = size(Size::Name("batch".into()));
    let sizes = sizes
        .iter()
        .map(|number| size(Size::Number(*number as i64)));
    let shape = proto::TensorShape {
        dim: std::iter::once(batch).chain(sizes).collect(),
    };
    proto::ValueInfo {
        name: Some(name.to_owned()),
        r#type: Some(proto::Type {
            tensor_type: Some(proto::TensorType {
                elem_type: Some(kind),
                shape: Some(shape),
            }),
        }),
    }
}
