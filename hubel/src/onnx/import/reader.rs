//! Reads the nodes of a file one after the other into a [`Draft`].
mod channels;
mod label;
mod linear;
mod norms;
mod pairs;
mod resize;
mod views;
mod windows;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::call::{Call, UNKNOWN, Value};
use super::draft::{Affine, Draft, Node, Operation};
use super::view::{OPEN_BATCH, View};
use super::{Image, folding};
use crate::Shape;
use crate::layers::{Activation, Layer};
use crate::memory;
use crate::onnx::constant::{Constant, Values};
use crate::onnx::file::{self, Source};
use crate::onnx::proto::{self, data_type};

/// The state of reading.
pub(super) struct Reader<'s> {
    source: &'s Source,
    pub(super) draft: Draft,
    /// The values by the names that the file gives them.
    pub(super) values: HashMap<&'s str, Value>,
    /// Images of a batch.
    batch: usize,
    /// Whether the image has whole numbers. A cast of them to floats is a node of its own, so that they can be told apart.
    is_image_whole: bool,
    /// Numbers of the weights of all layers.
    weights: usize,
    /// How many values nodes may still read and compute for constants.
    to_compute: usize,
    /// Why nodes were refused.
    pub(super) problems: Vec<String>,
}

/// The most values of all computed constants together, and of what is read for them: a short file must not fill the memory or take hours.
const MOST_COMPUTED: usize = 1 << 28;

const IN_TRAINING: &str = "it is in training mode; export the model after `model.eval()`";
const NO_OPERATOR: &str = "hubel does not have this operator";
const IN_INTEGERS: &str =
    "the file is quantised to integers; export the model without quantisation";
const NOT_A_PATH: &str =
    "the network's course depends on its input; export it by tracing, without conditions and loops";

/// The result of a node, or why hubel does not read it.
type Outcome = Result<View, String>;

impl<'s> Reader<'s> {
    /// A reader of these nodes of a file, which knows their constants and the image.
    pub(super) fn new(
        source: &'s Source,
        nodes: &[&'s proto::Node],
        image: &Image<'s>,
    ) -> Result<Self, String> {
        let mut reader = Self::of_constants(source, nodes, MOST_COMPUTED)?;
        reader.draft.push(Node {
            operation: Operation::Image,
            inputs: Vec::new(),
            shape: image.shape,
            tensors: Vec::new(),
            source: "the input".into(),
            label: None,
        });
        (reader.batch, reader.is_image_whole) = (image.batch, image.is_whole);
        (reader.values).insert(image.name, Value::View(image.view()));
        Ok(reader)
    }

    /// A reader of these nodes of a file, which knows their constants; nodes may read and compute `to_compute` values for others.
    pub(super) fn of_constants(
        source: &'s Source,
        nodes: &[&'s proto::Node],
        to_compute: usize,
    ) -> Result<Self, String> {
        let needed = nodes.iter().flat_map(|node| &node.input);
        let needed: HashSet<&str> = needed.map(String::as_str).collect();
        let mut values = HashMap::new();
        for tensor in &source.graph.initializer {
            let name = tensor.name.as_deref().unwrap_or_default();
            if needed.contains(name) {
                let constant = Rc::new(source.constant(tensor)?);
                values.insert(name, Value::Constant(constant));
            }
        }
        Ok(Self {
            source,
            draft: Draft::default(),
            values,
            batch: OPEN_BATCH,
            is_image_whole: false,
            weights: 0,
            to_compute,
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
            // Its operator may be one that hubel does not have for any input.
            true if depends_on_refused => match self.views(&call) {
                Err(reason) if reason == NO_OPERATOR => folding::fold(&call)
                    .and_then(|known| known.ok_or(reason))
                    .and(Err(UNKNOWN.to_owned())),
                Err(reason) if [IN_INTEGERS, NOT_A_PATH].contains(&&*reason) => Err(reason),
                _ => Err(UNKNOWN.to_owned()),
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
        if call.kind() == "CastLike"
            && let Some(constant) = call.constant(0).ok().flatten()
        {
            // Maps are floats.
            let like = call.constant(1).ok().flatten();
            let constant = match like.and_then(|like| like.as_integers()) {
                Some(_) => constant.of_integers(),
                None => constant.of_floats(),
            };
            return Ok(vec![Value::Constant(Rc::new(constant))]);
        }
        let is_constant = |input: &Option<Value>| matches!(input, None | Some(Value::Constant(_)));
        if call.inputs.iter().all(is_constant) {
            let too_many = "the file computes too many constants";
            let work = folding::work(call)?;
            self.to_compute = self.to_compute.checked_sub(work).ok_or(too_many)?;
            let folded = folding::fold(call)?;
            let constant = folded.ok_or("hubel does not compute this operator for constants")?;
            let rest = self.to_compute.checked_sub(constant.values.len());
            self.to_compute = rest.ok_or(too_many)?;
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
        let shows_whole =
            |input: &Option<Value>| matches!(input, Some(Value::View(view)) if self.is_whole(view));
        let keeps_values = matches!(
            call.kind(),
            "Identity"
                | "Cast"
                | "CastLike"
                | "Gather"
                | "Reshape"
                | "Flatten"
                | "Squeeze"
                | "Unsqueeze"
                | "Transpose"
        );
        if !keeps_values && call.inputs.iter().any(shows_whole) {
            return Err("it computes with bytes, and hubel computes with floats; cast the input to floats first".into());
        }
        match call.kind() {
            "Identity" => Ok(call.view(0)?.clone()),
            "Cast" | "CastLike" => self.cast(call),
            "Dropout" => self.dropout(call),
            "Conv" => self.conv(call),
            "Gemm" => self.gemm(call),
            "MatMul" => self.matmul(call),
            "BatchNormalization" => self.batch_norm(call),
            "LayerNormalization" => self.layer_norm(call),
            "InstanceNormalization" => self.instance_norm(call),
            "GroupNormalization" => self.group_norm(call),
            "MaxPool" | "AveragePool" => self.pool(call),
            "GlobalAveragePool" => self.layer(call, Layer::GlobalAvgPool, Vec::new()),
            "GlobalMaxPool" => self.layer(call, Layer::GlobalMaxPool, Vec::new()),
            "ReduceMean" => self.reduced(call, Layer::GlobalAvgPool),
            "ReduceMax" => self.reduced(call, Layer::GlobalMaxPool),
            "Pad" => self.pad(call),
            "Resize" | "Upsample" => self.resize(call),
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
            "Softplus" => self.activation(call, Activation::Softplus),
            "PRelu" => self.prelu(call),
            "Swish" if call.float("alpha").unwrap_or(1.0) == 1.0 => {
                self.activation(call, Activation::Silu)
            }
            "Gelu" => match call.text("approximate") {
                None | Some("none") => self.activation(call, Activation::Gelu),
                Some("tanh") => self.activation(call, Activation::GeluTanh),
                Some(other) => Err(format!(
                    "hubel computes GELU exactly or by tanh, not by `{other}`"
                )),
            },
            "Pow" => match call.needed(1)?.single() {
                Some(2.0) => self.elementwise(call, Operation::Square),
                Some(3.0) => self.elementwise(call, Operation::Cube),
                _ => Err("hubel computes the powers 2 and 3 only".into()),
            },
            "Sqrt" => self.elementwise(call, Operation::Root),
            "Greater" => {
                let threshold = call.needed(1)?.single();
                let threshold = threshold.ok_or("its threshold must be one number")?;
                self.elementwise(call, Operation::Above(threshold))
            }
            "Where" => self.choice(call),
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
            "Softmax" | "LogSoftmax" => Err(
                "hubel has softmax at the end of a network only, where it computes it itself"
                    .into(),
            ),
            "QuantizeLinear"
            | "DequantizeLinear"
            | "QLinearConv"
            | "ConvInteger"
            | "QLinearMatMul"
            | "DynamicQuantizeLinear" => Err(IN_INTEGERS.into()),
            "If" | "Loop" | "Scan" => Err(NOT_A_PATH.into()),
            _ => Err(NO_OPERATOR.into()),
        }
    }

    /// Whether a view shows the whole numbers of the image.
    fn is_whole(&self, view: &View) -> bool {
        self.is_image_whole && view.node == 0
    }

    /// A cast of a map, which has floats, or of the bytes of the image.
    fn cast(&mut self, call: &Call) -> Outcome {
        let view = call.view(0)?;
        let is_to_whole = match (call.kind(), call.inputs.get(1)) {
            ("Cast", _) => {
                let to = call.int("to").and_then(|to| i32::try_from(to).ok());
                let floats = [
                    data_type::FLOAT,
                    data_type::FLOAT16,
                    data_type::BFLOAT16,
                    data_type::DOUBLE,
                ];
                to.is_none_or(|to| !floats.contains(&to))
            }
            (_, Some(Some(Value::View(like)))) => self.is_whole(like),
            (_, Some(Some(Value::Constant(like)))) => like.as_integers().is_some(),
            _ => false,
        };
        match (self.is_whole(view), is_to_whole) {
            (false, false) => Ok(view.clone()),
            (true, false) => self.elementwise(call, Operation::Affine(Affine::of(1.0, 0.0))),
            (_, true) => {
                Err("it makes whole numbers of a map, and hubel computes with floats".into())
            }
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
        let label = label::label(call).filter(|_| !tensors.is_empty());
        // A short file may use a constant many times.
        self.weights += tensors
            .iter()
            .map(|(_, values)| values.len())
            .sum::<usize>();
        memory::check_weights(self.weights.saturating_mul(size_of::<f32>()))
            .map_err(|error| error.to_string())?;
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
        if self.is_training_of_old(call) {
            return Err(IN_TRAINING.into());
        }
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

    /// Whether a node of batch norm or dropout is in training mode by the rules before version 7 of the operators.
    fn is_training_of_old(&self, call: &Call) -> bool {
        self.source.version < 7 && call.int("is_test").unwrap_or(0) == 0
    }

    /// Input 0 as a map: the node and its shape.
    fn map(&self, call: &Call) -> Result<(usize, Shape), String> {
        let view = call.view(0)?;
        let shape = self.draft.shape(view.node);
        if view.is_map(shape) {
            return Ok((view.node, shape));
        }
        Err(match view.axes.len() {
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
        self.shown(call, node)
    }

    /// The map of a node with the axes that the map at input 0 has: those of a picture, or of a single row.
    fn shown(&self, call: &Call, node: usize) -> Outcome {
        let view = View::of(node, self.draft.shape(node), self.batch);
        Ok(match call.view(0)?.axes.len() {
            3 => view.without_rows(),
            _ => view,
        })
    }
}
