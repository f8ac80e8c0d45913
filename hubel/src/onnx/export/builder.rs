//! Builds the messages of a graph.
use std::collections::BTreeMap;

use half::f16;
use prost::bytes::Bytes;

use crate::onnx::proto::{self, Size, attribute_type, data_type};

/// The type of weights and maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::onnx) enum Scalar {
    Single,
    Half,
}

impl Scalar {
    pub(in crate::onnx) fn data_type(self) -> i32 {
        match self {
            Self::Single => data_type::FLOAT,
            Self::Half => data_type::FLOAT16,
        }
    }
}

/// A graph that grows.
pub(in crate::onnx) struct Builder {
    opset: i64,
    scalar: Scalar,
    graph: proto::Graph,
}

impl Builder {
    pub(in crate::onnx) fn new(opset: i64, scalar: Scalar) -> Self {
        Self {
            opset,
            scalar,
            graph: proto::Graph {
                name: Some("hubel".into()),
                ..proto::Graph::default()
            },
        }
    }

    pub(in crate::onnx) fn opset(&self) -> i64 {
        self.opset
    }

    pub(in crate::onnx) fn scalar(&self) -> Scalar {
        self.scalar
    }

    pub(in crate::onnx) fn nodes(&self) -> usize {
        self.graph.node.len()
    }

    /// Number of nodes and constants.
    pub(in crate::onnx) fn entries(&self) -> usize {
        self.graph.node.len() + self.graph.initializer.len()
    }

    /// Adds a node whose result has this name; returns the name. Inputs with an empty name are left out.
    pub(in crate::onnx) fn node(
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

    /// Adds a constant of the graph's type; returns its name.
    pub(in crate::onnx) fn floats(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> String {
        if self.scalar == Scalar::Single {
            return self.singles(name, shape, &values);
        }
        let halves = values.into_iter().map(f16::from_f32);
        let bytes = halves.flat_map(f16::to_le_bytes).collect();
        self.constant(name, shape, data_type::FLOAT16, bytes)
    }

    /// Adds a constant of floats of 32 bits, whatever the type of the maps is; returns its name.
    pub(in crate::onnx) fn singles(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, shape, data_type::FLOAT, bytes.collect())
    }

    /// Adds a constant of 64 bits; returns its name.
    pub(in crate::onnx) fn doubles(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f64],
    ) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, shape, data_type::DOUBLE, bytes.collect())
    }

    /// Adds a constant of integers; returns its name.
    pub(in crate::onnx) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, &[values.len()], data_type::INT64, bytes)
    }

    /// Adds an integer without axes; returns its name.
    pub(in crate::onnx) fn integer(&mut self, name: &str, value: i64) -> String {
        self.constant(name, &[], data_type::INT64, value.to_le_bytes().into())
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
    pub(in crate::onnx) fn finish(
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
            // The version of the format that came with these operators: a program that knows them may refuse a newer one.
            ir_version: Some(match self.opset {
                ..=14 => 7,
                15..=18 => 8,
                19..=20 => 9,
                _ => 10,
            }),
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
pub(in crate::onnx) struct Attributes(Vec<proto::Attribute>);

impl Attributes {
    fn with(mut self, name: &str, kind: i32, value: proto::Attribute) -> Self {
        self.0.push(proto::Attribute {
            name: Some(name.to_owned()),
            r#type: Some(kind),
            ..value
        });
        self
    }

    pub(in crate::onnx) fn int(self, name: &str, value: i64) -> Self {
        let value = proto::Attribute {
            i: Some(value),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::INT, value)
    }

    pub(in crate::onnx) fn float(self, name: &str, value: f32) -> Self {
        let value = proto::Attribute {
            f: Some(value),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::FLOAT, value)
    }

    pub(in crate::onnx) fn ints(self, name: &str, values: &[usize]) -> Self {
        let value = proto::Attribute {
            ints: values.iter().map(|value| *value as i64).collect(),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::INTS, value)
    }

    pub(in crate::onnx) fn text(self, name: &str, value: &'static str) -> Self {
        let value = proto::Attribute {
            s: Some(Bytes::from_static(value.as_bytes())),
            ..proto::Attribute::default()
        };
        self.with(name, attribute_type::STRING, value)
    }
}

/// An input or output: the batch, whose size is open, and these axes.
pub(in crate::onnx) fn port<const AXES: usize>(
    name: &str,
    kind: i32,
    axes: [proto::Dimension; AXES],
) -> proto::ValueInfo {
    let shape = proto::TensorShape {
        dim: std::iter::once(open("batch")).chain(axes).collect(),
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

/// An axis of this size.
pub(in crate::onnx) fn number(size: usize) -> proto::Dimension {
    proto::Dimension {
        value: Some(Size::Number(size as i64)),
    }
}

/// An axis whose size is open.
pub(in crate::onnx) fn open(name: &str) -> proto::Dimension {
    proto::Dimension {
        value: Some(Size::Name(name.into())),
    }
}
