//! Reads the nodes of a file one after the other into a [`Draft`].
mod channels;
mod label;
mod linear;
mod norms;
mod pairs;
mod views;
mod windows;

use std::collections::HashMap;
use std::rc::Rc;

use super::call::{Call, UNKNOWN, Value};
use super::draft::{Affine, Draft, Node, Operation};
use super::view::View;
use super::{Image, folding};
use crate::Shape;
use crate::layers::{Activation, Layer};
use crate::onnx::constant::{Constant, Values};
use crate::onnx::file::{self, Source};
use crate::onnx::proto;

/// The state of reading.
pub(super) struct Reader<'s> {
    source: &'s Source,
    pub(super) draft: Draft,
    /// The values by the names that the file gives them.
    pub(super) values: HashMap<&'s str, Value>,
    /// Images of a batch.
    batch: usize,
    /// Number of values of the constants that nodes have computed.
    computed: usize,
    /// Why nodes were refused.
    pub(super) problems: Vec<String>,
}

/// The most values that all computed constants may have together: a short file must not fill the memory.
const MOST_COMPUTED: usize = 1 << 28;

const IN_TRAINING: &str = "it is in training mode; export the model after `model.eval()`";
const NO_OPERATOR: &str = "hubel does not have this operator";

/// The result of a node, or why hubel does not read it.
type Outcome = Result<View, String>;

impl<'s> Reader<'s> {
    /// A reader of a file, which knows the constants of its graph.
    pub(super) fn new(source: &'s Source, image: &Image<'s>) -> Result<Self, String> {
        let mut values = HashMap::from([(image.name, Value::View(image.view()))]);
        for tensor in &source.graph.initializer {
            let constant = Rc::new(source.constant(tensor)?);
            let name = tensor.name.as_deref().unwrap_or_default();
            values.insert(name, Value::Constant(constant));
        }
        let mut draft = Draft::default();
        draft.push(Node {
            operation: Operation::Image,
            inputs: Vec::new(),
            shape: image.shape,
            tensors: Vec::new(),
            source: "the input".into(),
            label: None,
        });
        Ok(Self {
            source,
            draft,
            values,
            batch: image.batch,
            computed: 0,
            problems: Vec::new(),
        })
    }

    /// Reads one node. A refused one is noted in the problems, and what depends on it is passed over.
    pub(super) fn read(&mut self, node: &'s proto::Node) {
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match (name.as_str(), self.values.get(name.as_str())) {
                ("", _) => None,
                (_, Some(value)) => Some(value.clone()),
                (name, None) => {
                    self.refuse(
                        node,
                        &format!("its input `{name}` does not exist, or hubel does not compute it"),
                    );
                    Some(Value::Unknown)
                }
            });
        }
        let is_unknown = |input: &Option<Value>| matches!(input, Some(Value::Unknown));
        let depends_on_refused = inputs.iter().any(is_unknown);
        let call = Call { node, inputs };
        let results = match file::is_own(node.domain.as_deref()) {
            // Its operator may be one that hubel does not have.
            true if depends_on_refused => match self.views(&call) {
                Err(reason) if reason == NO_OPERATOR => folding::fold(&call)
                    .and_then(|known| known.ok_or(reason))
                    .and(Err(UNKNOWN.to_owned())),
                result => result.and(Err(UNKNOWN.to_owned())),
            },
            true => self.results(&call),
            false => Err(format!(
                "it is an operator of {}, which hubel does not know",
                node.domain.as_deref().unwrap_or_default()
            )),
        };
        match results {
            Ok(results) => {
                let named = node.output.iter().map(String::as_str);
                self.values.extend(named.zip(results));
            }
            Err(reason) => {
                if reason != UNKNOWN {
                    self.refuse(node, &reason);
                }
                let named = node.output.iter().map(String::as_str);
                self.values.extend(named.map(|name| (name, Value::Unknown)));
            }
        }
    }

    fn refuse(&mut self, node: &proto::Node, reason: &str) {
        self.problems
            .push(format!("{}: {reason}", file::named(node)));
    }

    /// The results of a node.
    fn results(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        if call.kind() == "Constant" {
            return Ok(vec![Value::Constant(Rc::new(self.constant(call)?))]);
        }
        let is_constant = |input: &Option<Value>| matches!(input, None | Some(Value::Constant(_)));
        if call.inputs.iter().all(is_constant) {
            let folded = folding::fold(call)?;
            let constant = folded.ok_or("hubel does not compute this operator for constants")?;
            self.computed = self.computed.saturating_add(constant.values.len());
            if self.computed > MOST_COMPUTED {
                return Err("the constants that the file computes have too many values".into());
            }
            return Ok(vec![Value::Constant(Rc::new(constant))]);
        }
        if matches!(call.kind(), "Shape" | "Size") {
            let sizes = call.view(0)?.sizes();
            let constant = match call.kind() {
                "Shape" => folding::between(sizes.iter().map(|size| *size as i64).collect(), call),
                _ => return Err("the number of values of a batch is not a constant".into()),
            };
            return Ok(vec![Value::Constant(Rc::new(constant))]);
        }
        self.views(call)
    }

    /// The results of a node that reads a map.
    fn views(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        match call.kind() {
            "Split" => self.split(call),
            _ => Ok(vec![Value::View(self.view(call)?)]),
        }
    }

    /// The result of a node without inputs.
    fn constant(&self, call: &Call) -> Result<Constant, String> {
        if let Some(tensor) = call.tensor("value") {
            return self.source.constant(tensor);
        }
        if let Some(value) = call.float("value_float") {
            return Ok(Constant::scalar(Values::Floats(vec![value])));
        }
        if let Some(value) = call.int("value_int") {
            return Ok(Constant::scalar(Values::Integers(vec![value])));
        }
        if let Some(values) = call.ints("value_ints") {
            return Ok(Constant::integers(values.to_vec()));
        }
        let floats = call
            .floats("value_floats")
            .ok_or("its value has a type that hubel does not read")?;
        Ok(Constant {
            shape: vec![floats.len()],
            values: Values::Floats(floats.to_vec()),
        })
    }

    /// The only result of a node that reads a map.
    fn view(&mut self, call: &Call) -> Outcome {
        match call.kind() {
            "Identity" | "Cast" => Ok(call.view(0)?.clone()),
            "Dropout" => self.dropout(call),
            "Conv" => self.conv(call),
            "Gemm" => self.gemm(call),
            "MatMul" => self.matmul(call),
            "BatchNormalization" => self.batch_norm(call),
            "LayerNormalization" => self.layer_norm(call),
            "InstanceNormalization" => self.instance_norm(call),
            "GroupNormalization" => self.group_norm(call),
            "MaxPool" | "AveragePool" => self.pool(call),
            "GlobalAveragePool" => self.global(call, Layer::GlobalAvgPool),
            "GlobalMaxPool" => self.global(call, Layer::GlobalMaxPool),
            "ReduceMean" => self.reduced(call, Layer::GlobalAvgPool),
            "ReduceMax" => self.reduced(call, Layer::GlobalMaxPool),
            "Pad" => self.pad(call),
            "Add" | "Sum" => self.sum(call),
            "Sub" => self.difference(call),
            "Mul" => self.product(call),
            "Div" => self.quotient(call),
            "Concat" => self.concat(call),
            "Slice" => self.slice(call),
            "Gather" => views::gathered(call),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" => self.rearranged(call),
            "LRN" => self.local_response(call),
            "Relu" => self.activation(call, Activation::Relu),
            "Sigmoid" => self.activation(call, Activation::Sigmoid),
            "Tanh" => self.activation(call, Activation::Tanh),
            "HardSwish" => self.activation(call, Activation::HardSwish),
            "LeakyRelu" => {
                let slope = call.float("alpha").unwrap_or(0.01);
                self.activation(call, Activation::LeakyRelu(slope))
            }
            "Elu" => {
                let alpha = call.float("alpha").unwrap_or(1.0);
                self.activation(call, Activation::Elu(alpha))
            }
            "Mish" => self.activation(call, Activation::Mish),
            "Softplus" => self.elementwise(call, Operation::Softplus),
            "PRelu" => {
                let slopes = call.needed(1)?.to_floats();
                match slopes.iter().all(|slope| *slope == slopes[0]) && !slopes.is_empty() {
                    true => self.activation(call, Activation::LeakyRelu(slopes[0])),
                    false => Err("hubel has one slope for all channels (leakyrelu), and this layer has one for each".into()),
                }
            }
            "Swish" if call.float("alpha").unwrap_or(1.0) == 1.0 => {
                self.activation(call, Activation::Silu)
            }
            "Gelu" => match call.text("approximate") {
                None | Some("none") => self.activation(call, Activation::Gelu),
                Some(other) => Err(format!("hubel computes GELU exactly, not by `{other}`")),
            },
            "Pow" => match call.needed(1)?.single() {
                Some(2.0) => self.elementwise(call, Operation::Square),
                _ => Err("hubel computes squares only".into()),
            },
            "Sqrt" => self.elementwise(call, Operation::Root),
            "Erf" => self.elementwise(call, Operation::Erf),
            "HardSigmoid" => {
                // hubel's has the slope 1/6 and the middle 1/2.
                let slope = 6.0 * call.float("alpha").unwrap_or(0.2);
                let shift = 6.0 * (call.float("beta").unwrap_or(0.5) - 0.5);
                let scaled = Operation::Affine(Affine::of(slope, shift));
                let scaled = self.elementwise(call, scaled)?;
                let function = Layer::Activation(Activation::HardSigmoid);
                Ok(self.elementwise_of(call, scaled, Operation::Layer(function)))
            }
            "Clip" => {
                let operation = Operation::Clip {
                    least: call.float_of("min", 1)?.unwrap_or(f32::NEG_INFINITY),
                    most: call.float_of("max", 2)?.unwrap_or(f32::INFINITY),
                };
                self.elementwise(call, operation)
            }
            "Max" | "Min" => self.limited(call),
            "Softmax" | "LogSoftmax" => {
                Err("hubel has softmax at the end of a network only, where it computes it itself".into())
            }
            "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" | "QLinearMatMul"
            | "DynamicQuantizeLinear" => Err(
                "the file is quantised to integers; export the model without quantisation".into(),
            ),
            "If" | "Loop" | "Scan" => Err(
                "the network's course depends on its input; export it by tracing, without conditions and loops".into(),
            ),
            _ => Err(NO_OPERATOR.into()),
        }
    }

    /// Adds a node that keeps the places of its input; the view of it.
    fn elementwise(&mut self, call: &Call, operation: Operation) -> Outcome {
        let view = call.view(0)?.clone();
        Ok(self.elementwise_of(call, view, operation))
    }

    fn elementwise_of(&mut self, call: &Call, view: View, operation: Operation) -> View {
        let shape = self.draft.shape(view.node);
        let node = self.push(call, operation, vec![view.node], shape);
        view.at(node)
    }

    /// Adds a node without tensors; returns its index.
    fn push(
        &mut self,
        call: &Call,
        operation: Operation,
        inputs: Vec<usize>,
        shape: Shape,
    ) -> usize {
        self.draft.push(Node {
            operation,
            inputs,
            shape,
            tensors: Vec::new(),
            source: file::named(call.node),
            label: None,
        })
    }

    /// Adds a layer that reads node `input`, with its tensors and its name; returns its index.
    fn push_layer(
        &mut self,
        call: &Call,
        layer: Layer,
        input: usize,
        tensors: Vec<(&'static str, Vec<f32>)>,
    ) -> Result<usize, String> {
        let label = label::label(call, 1).filter(|_| !tensors.is_empty());
        let shape = self.draft.resolve(&layer, input)?;
        let node = self.push(call, Operation::Layer(layer), vec![input], shape);
        let added = &mut self.draft.nodes[node];
        (added.tensors, added.label) = (tensors, label);
        Ok(node)
    }

    fn activation(&mut self, call: &Call, activation: Activation) -> Outcome {
        self.elementwise(call, Operation::Layer(Layer::Activation(activation)))
    }

    fn dropout(&mut self, call: &Call) -> Outcome {
        let trains = call.constant(2)?.and_then(|mode| mode.single());
        if trains.is_some_and(|mode| mode != 0.0) {
            return Err(IN_TRAINING.into());
        }
        let ratio = call.float_of("ratio", 1)?.unwrap_or(0.5);
        match 0.0 < ratio && ratio < 1.0 {
            true => self.elementwise(call, Operation::Layer(Layer::Dropout(ratio))),
            false => Ok(call.view(0)?.clone()),
        }
    }

    /// Input 0 as a map: the node and its shape.
    fn map(&self, call: &Call) -> Result<(usize, Shape), String> {
        let view = call.view(0)?;
        let shape = self.draft.shape(view.node);
        if view.is_map(shape) {
            return Ok((view.node, shape));
        }
        Err(match view.axes.len() {
            3 => "hubel reads layers of pictures, and this one has one axis beside its channels"
                .into(),
            5 => "hubel reads layers of pictures, and this one has three axes beside its channels"
                .into(),
            _ => format!(
                "its input has the sizes {:?}, in which the map {shape} is rearranged in a way that hubel does not follow",
                view.sizes()
            ),
        })
    }

    /// Adds a layer to the map at input 0.
    fn layer(
        &mut self,
        call: &Call,
        layer: Layer,
        tensors: Vec<(&'static str, Vec<f32>)>,
    ) -> Outcome {
        let (input, _) = self.map(call)?;
        let node = self.push_layer(call, layer, input, tensors)?;
        Ok(View::of(node, self.draft.shape(node), self.batch))
    }
}
