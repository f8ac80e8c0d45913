//! Reads the nodes of a file one after the other into a [`Draft`].
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::call::{Call, Value, axes, axis, wanted_sizes};
use super::draft::{Draft, Node, Operation};
use super::view::{Axis, Part, View, order_of, whole};
use super::{Image, folding, window};
use crate::Shape;
use crate::layers::{Activation, Conv, Layer, LocalResponse, Outputs, PaddingMode, addressable};
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

    /// The value with this name.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Reads one node. A refused one is noted in the problems, and what depends on it is passed over.
    pub(super) fn read(&mut self, node: &'s proto::Node) {
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match (name.as_str(), self.values.get(name.as_str())) {
                ("", _) => None,
                (_, Some(value)) => Some(value.clone()),
                (name, None) => {
                    self.refuse(node, &format!("its input `{name}` does not exist"));
                    Some(Value::Unknown)
                }
            });
        }
        let first = node.output.first().map_or("", String::as_str);
        if inputs
            .iter()
            .any(|input| matches!(input, Some(Value::Unknown)))
        {
            node.output
                .iter()
                .for_each(|name| drop(self.values.insert(name, Value::Unknown)));
            return;
        }
        let call = Call { node, inputs };
        let results = match file::is_own(node.domain.as_deref()) {
            true => self.results(&call),
            false => Err(format!(
                "it is an operator of {}, which hubel does not know",
                node.domain.as_deref().unwrap_or_default()
            )),
        };
        match results {
            Ok(results) => {
                for (name, value) in node.output.iter().zip(results) {
                    self.values.insert(name, value);
                }
            }
            Err(reason) => {
                self.refuse(node, &reason);
                self.values.insert(first, Value::Unknown);
                node.output
                    .iter()
                    .for_each(|name| drop(self.values.insert(name, Value::Unknown)));
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

    /// The result of a node that reads a map.
    fn view(&mut self, call: &Call) -> Outcome {
        match call.kind() {
            "Identity" | "Cast" => Ok(call.view(0)?.clone()),
            "Dropout" => self.dropout(call),
            "Conv" => self.conv(call),
            "Gemm" => self.gemm(call),
            "MatMul" => self.matmul(call),
            "BatchNormalization" => self.batch_norm(call),
            "LayerNormalization" => self.layer_norm(call),
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
            "Gather" => gathered(call),
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
                let scaled = Operation::Affine {
                    scale: vec![slope],
                    shift: vec![shift],
                };
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
            _ => Err("hubel does not have this operator".into()),
        }
    }

    /// Adds a node that keeps the places of its input; the view of it.
    fn elementwise(&mut self, call: &Call, operation: Operation) -> Outcome {
        let view = call.view(0)?.clone();
        Ok(self.elementwise_of(call, view, operation))
    }

    fn elementwise_of(&mut self, call: &Call, view: View, operation: Operation) -> View {
        let shape = self.draft.shape(view.node);
        let node = self.push(call, operation, vec![view.node], shape, Vec::new(), None);
        view.at(node)
    }

    fn push(
        &mut self,
        call: &Call,
        operation: Operation,
        inputs: Vec<usize>,
        shape: Shape,
        tensors: Vec<(&'static str, Vec<f32>)>,
        label: Option<String>,
    ) -> usize {
        self.draft.push(Node {
            operation,
            inputs,
            shape,
            tensors,
            source: file::named(call.node),
            label,
        })
    }

    fn activation(&mut self, call: &Call, activation: Activation) -> Outcome {
        self.elementwise(call, Operation::Layer(Layer::Activation(activation)))
    }

    fn dropout(&mut self, call: &Call) -> Outcome {
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
        label: Option<String>,
    ) -> Outcome {
        let (node, _) = self.map(call)?;
        let shape = self.draft.resolve(&layer, node)?;
        let node = self.push(
            call,
            Operation::Layer(layer),
            vec![node],
            shape,
            tensors,
            label,
        );
        Ok(View::of(node, shape, self.batch))
    }

    fn global(&mut self, call: &Call, layer: Layer) -> Outcome {
        self.layer(call, layer, Vec::new(), None)
    }

    fn local_response(&mut self, call: &Call) -> Outcome {
        let size = call.int("size").unwrap_or(0);
        let layer = Layer::Lrn(LocalResponse {
            size: usize::try_from(size).map_err(|_| format!("its size is {size}"))?,
            alpha: call.float("alpha").unwrap_or(1e-4),
            beta: call.float("beta").unwrap_or(0.75),
            bias: call.float("bias").unwrap_or(1.0),
        });
        self.layer(call, layer, Vec::new(), None)
    }

    /// A mean or maximum over rows and columns.
    fn reduced(&mut self, call: &Call, layer: Layer) -> Outcome {
        let view = call.view(0)?.clone();
        let shape = self.draft.shape(view.node);
        let count = view.axes.len();
        let along = call
            .ints_of("axes", 1)?
            .ok_or("hubel reduces rows and columns, and this node reduces all axes")?;
        let along = axes(&along, count)?;
        let reduced: Vec<Part> = along
            .iter()
            .flat_map(|axis| view.axes[*axis].clone())
            .collect();
        let keeps = call.int("keepdims").unwrap_or(1) != 0;
        let places = [
            whole(Axis::Row, shape.height),
            whole(Axis::Column, shape.width),
        ]
        .concat();
        if reduced.len() != places.len() || !places.iter().all(|part| reduced.contains(part)) {
            let mean = match layer {
                Layer::GlobalAvgPool if keeps => self.channel_mean(call, &along)?,
                _ => None,
            };
            return mean.ok_or_else(|| {
                "hubel reduces all rows and columns of a map together, and no other axes".into()
            });
        }
        let output = self.draft.resolve(&layer, view.node)?;
        let node = self.push(
            call,
            Operation::Layer(layer),
            vec![view.node],
            output,
            Vec::new(),
            None,
        );
        let kept = (0..count).filter(|axis| keeps || !along.contains(axis));
        let axes = kept.map(|axis| match along.contains(&axis) {
            true => Vec::new(),
            false => view.axes[axis].clone(),
        });
        Ok(View {
            node,
            axes: axes.collect(),
        })
    }

    /// The mean over these axes, if they show the channels.
    fn channel_mean(&mut self, call: &Call, along: &[usize]) -> Result<Option<View>, String> {
        let view = self.flattened(call, 0)?;
        let shape = self.draft.shape(view.node);
        let reduced: Vec<Part> = (along.iter())
            .flat_map(|axis| view.axes[*axis].clone())
            .collect();
        if reduced != whole(Axis::Channel, shape.channels) {
            return Ok(None);
        }
        let shape = Shape {
            channels: 1,
            ..shape
        };
        let operation = Operation::ChannelMean;
        let node = self.push(call, operation, vec![view.node], shape, Vec::new(), None);
        let mut mean = view.at(node);
        for axis in along {
            mean.axes[*axis].clear();
        }
        Ok(Some(mean))
    }

    fn conv(&mut self, call: &Call) -> Outcome {
        let (_, input) = self.map(call)?;
        let weights = call.needed(1)?;
        let &[filters, channels, height, width] = &weights.shape[..] else {
            return Err(format!(
                "its weights have the shape {:?}, and hubel needs four axes",
                weights.shape
            ));
        };
        let groups = call.int("group").unwrap_or(1);
        let groups = usize::try_from(groups).map_err(|_| format!("it has {groups} groups"))?;
        if channels.checked_mul(groups) != Some(input.channels) {
            return Err(format!(
                "its weights are for {channels} channels in each of {groups} groups, and its input has {}",
                input.channels
            ));
        }
        let bias = call.constant(2)?.map(|bias| bias.to_floats());
        if bias.as_ref().is_some_and(|bias| bias.len() != filters) {
            return Err(format!("its bias does not have {filters} values"));
        }
        let windows = window::read(call, [height, width], input)?;
        let conv = Conv {
            kernel: windows.kernel,
            stride: windows.stride,
            padding: windows.padding,
            dilation: windows.dilation,
            round: windows.round,
            groups,
            bias: bias.is_some(),
            mode: PaddingMode::Zeros,
            filters,
        };
        let mut tensors = vec![("weight", weights.to_floats())];
        tensors.extend(bias.map(|bias| ("bias", bias)));
        self.layer(call, conv.into(), tensors, label(call, 1))
    }

    fn pool(&mut self, call: &Call) -> Outcome {
        if call.node.output.get(1).is_some_and(|name| !name.is_empty()) {
            return Err(
                "it gives the places of the largest values too, which hubel does not".into(),
            );
        }
        let (_, input) = self.map(call)?;
        let pool = window::pool(call, input)?;
        self.layer(call, pool.into(), Vec::new(), None)
    }

    fn pad(&mut self, call: &Call) -> Outcome {
        let (node, shape) = self.map(call)?;
        let (sides, mode) = window::pad(call)?;
        let [top, bottom, left, right] = sides;
        let padded = Shape {
            height: shape.height + top + bottom,
            width: shape.width + left + right,
            ..shape
        };
        addressable(&padded.sizes()).ok_or("its result is larger than any memory")?;
        let node = self.push(
            call,
            Operation::Pad { sides, mode },
            vec![node],
            padded,
            Vec::new(),
            None,
        );
        Ok(View::of(node, padded, self.batch))
    }

    fn batch_norm(&mut self, call: &Call) -> Outcome {
        if call.int("training_mode").unwrap_or(0) != 0 {
            return Err("it is in training mode; export the model after `model.eval()`".into());
        }
        let names = ["weight", "bias", "running_mean", "running_var"];
        let tensors = (names.into_iter().zip(1..))
            .map(|(name, place)| Ok((name, call.needed(place)?.to_floats())));
        let tensors: Vec<_> = tensors.collect::<Result<_, String>>()?;
        let epsilon = call.float("epsilon").unwrap_or(1e-5);
        let momentum = 1.0 - call.float("momentum").unwrap_or(0.9);
        let layer = Layer::BatchNorm { epsilon, momentum };
        let view = self.flattened(call, 0)?;
        let shape = self.draft.shape(view.node);
        if !view.is_map(shape) && view.row().is_none() {
            return Err("its input is a map whose channels are not its second axis".into());
        }
        if tensors
            .iter()
            .any(|(_, values)| values.len() != shape.channels)
        {
            return Err(format!(
                "its tensors do not have a value for each of {} channels",
                shape.channels
            ));
        }
        let output = self.draft.resolve(&layer, view.node)?;
        let node = self.push(
            call,
            Operation::Layer(layer),
            vec![view.node],
            output,
            tensors,
            label(call, 1),
        );
        Ok(view.at(node))
    }

    fn layer_norm(&mut self, call: &Call) -> Outcome {
        if call.node.output.iter().skip(1).any(|name| !name.is_empty()) {
            return Err("it gives means and deviations too, which hubel does not".into());
        }
        let view = self.flattened(call, 0)?;
        let channels = self.draft.shape(view.node).channels;
        let first = axis(call.int("axis").unwrap_or(-1), view.axes.len())?;
        if view.axes[first..].concat() != whole(Axis::Channel, channels) {
            return Err(
                "hubel normalises the channels of each pixel, and this node other axes".into(),
            );
        }
        let scale = call.needed(1)?.to_floats();
        let shift = call.constant(2)?.map(|shift| shift.to_floats());
        let shift = shift.unwrap_or_else(|| vec![0.0; channels]);
        let epsilon = call.float("epsilon").unwrap_or(1e-5);
        self.normalised(
            call,
            &view,
            epsilon,
            vec![("weight", scale), ("bias", shift)],
        )
    }

    /// Layer norm of the channels of a view.
    fn normalised(
        &mut self,
        call: &Call,
        view: &View,
        epsilon: f32,
        tensors: Vec<(&'static str, Vec<f32>)>,
    ) -> Outcome {
        let layer = Layer::LayerNorm { epsilon };
        let shape = self.draft.resolve(&layer, view.node)?;
        if let Some((name, values)) = tensors
            .iter()
            .find(|(_, values)| values.len() != shape.channels)
        {
            return Err(format!(
                "its `{name}` has {} values, and its input has {} channels",
                values.len(),
                shape.channels
            ));
        }
        let layer = Operation::Layer(layer);
        let node = self.push(call, layer, vec![view.node], shape, tensors, label(call, 1));
        Ok(view.at(node))
    }

    /// If a division is the last part of layer norm, (x − mean) / √(mean of (x − mean)² + epsilon): x, and epsilon.
    fn normalised_by_parts(&self, call: &Call) -> Option<(View, f32)> {
        let (centred, root) = (call.view(0).ok()?, call.view(1).ok()?);
        let operation = |node: usize| &self.draft.nodes[node].operation;
        let before = |node: usize| self.draft.nodes[node].inputs.first().copied();
        let sum = before(root.node)?;
        let Operation::Affine { scale, shift } = operation(sum) else {
            return None;
        };
        let &[epsilon] = &shift[..] else { return None };
        let mean = before(sum)?;
        let square = before(mean)?;
        let is_square = match operation(square) {
            Operation::Square => true,
            Operation::Multiply => self.draft.nodes[square].inputs == [centred.node; 2],
            _ => false,
        };
        let is_norm = *operation(root.node) == Operation::Root
            && scale[..] == [1.0]
            && *operation(mean) == Operation::ChannelMean
            && is_square
            && before(square) == Some(centred.node)
            && *operation(centred.node) == Operation::Centred
            && has_axes_but_channels(root, centred);
        let input = before(centred.node).filter(|_| is_norm)?;
        Some((centred.at(input), epsilon))
    }

    /// The view at an input; if it shows a map as a row, that of a flatten layer after it.
    fn flattened(&mut self, call: &Call, place: usize) -> Outcome {
        let view = call.view(place)?.clone();
        let shape = self.draft.shape(view.node);
        let Some(row) = view.row().filter(|_| !shape.is_row()) else {
            return Ok(view);
        };
        if order_of(&row, shape)
            .into_iter()
            .enumerate()
            .any(|(place, value)| place != value)
        {
            return Err("its input is a map that was flattened in another order than channels, rows, columns".into());
        }
        Ok(self.flatten(call, &view, shape))
    }

    /// The view of the row of a flatten layer, which all readers of the row share.
    fn flatten(&mut self, call: &Call, view: &View, shape: Shape) -> View {
        let flatten = Operation::Layer(Layer::Flatten);
        let mut nodes = self.draft.nodes.iter();
        let known = nodes.position(|node| node.operation == flatten && node.inputs == [view.node]);
        let row = Shape::new(1, 1, shape.len());
        let inputs = vec![view.node];
        let node = known.unwrap_or_else(|| self.push(call, flatten, inputs, row, Vec::new(), None));
        let axes =
            view.axes
                .iter()
                .enumerate()
                .map(|(axis, parts)| match (axis, parts.is_empty()) {
                    (0, _) => parts.clone(),
                    (_, true) => Vec::new(),
                    (_, false) => whole(Axis::Channel, shape.len()),
                });
        View {
            node,
            axes: axes.collect(),
        }
    }

    /// A product with a matrix `[inputs, outputs]` from the right, and a bias.
    fn gemm(&mut self, call: &Call) -> Outcome {
        if call.int("transA").unwrap_or(0) != 0 {
            return Err("its input is transposed, so images would be mixed".into());
        }
        let matrix = call.needed(1)?;
        let matrix = match call.int("transB").unwrap_or(0) {
            0 => (**matrix).clone(),
            _ if matrix.shape.len() == 2 => folding::transposed(matrix, &[1, 0]),
            _ => return Err("its weights are no matrix".into()),
        };
        let alpha = call.float("alpha").unwrap_or(1.0);
        let beta = call.float("beta").unwrap_or(1.0);
        let bias = call.constant(2)?.map(|bias| {
            let bias = bias.to_floats();
            bias.into_iter()
                .map(|value| beta * value)
                .collect::<Vec<f32>>()
        });
        self.linear(call, &matrix, alpha, bias)
    }

    fn matmul(&mut self, call: &Call) -> Outcome {
        let matrix = call.needed(1)?;
        let matrix = Rc::clone(matrix);
        self.linear(call, &matrix, 1.0, None)
    }

    fn linear(
        &mut self,
        call: &Call,
        matrix: &Constant,
        alpha: f32,
        bias: Option<Vec<f32>>,
    ) -> Outcome {
        let &[inputs, outputs] = &matrix.shape[..] else {
            return Err(format!(
                "its weights have the shape {:?}; hubel needs a matrix",
                matrix.shape
            ));
        };
        let view = call.view(0)?.clone();
        let shape = self.draft.shape(view.node);
        let bias = match bias {
            Some(bias) if bias.len() == 1 => Some(vec![bias[0]; outputs]),
            Some(bias) if bias.len() != outputs => {
                return Err(format!(
                    "its bias has {} values, and it has {outputs} outputs",
                    bias.len()
                ));
            }
            bias => bias,
        };
        if view
            .axes
            .last()
            .is_none_or(|parts| parts.iter().map(|part| part.size).product::<usize>() != inputs)
        {
            return Err(format!(
                "its weights are for {inputs} inputs, and its input has the sizes {:?}",
                view.sizes()
            ));
        }
        let values = matrix.to_floats();
        // For each input the row of the matrix, in PyTorch's order of a flattened map.
        let is_row = view.row().is_some()
            && view.axes[..view.axes.len() - 1]
                .iter()
                .skip(1)
                .all(Vec::is_empty);
        let (view, rows) = match (is_row, view.row()) {
            (true, Some(row)) => {
                let mut rows = vec![0; inputs];
                let order = order_of(&row, shape);
                if order.len() != shape.len() {
                    return Err("it reads a part of a map".into());
                }
                for (place, value) in order.into_iter().enumerate() {
                    rows[value] = place;
                }
                match shape.is_row() {
                    true => (view, rows),
                    false => (self.flatten(call, &view, shape), rows),
                }
            }
            _ if view.ends_in_channels(shape) => (view, (0..inputs).collect()),
            _ => return Err("it multiplies another axis than the channels of a map".into()),
        };
        let weights = (0..outputs).flat_map(|output| {
            let values = &values;
            rows.iter()
                .map(move |row| alpha * values[row * outputs + output])
        });
        let mut tensors = vec![("weight", weights.collect())];
        let has_bias = bias.is_some();
        tensors.extend(bias.map(|bias| ("bias", bias)));
        let layer = match self.draft.shape(view.node).is_row() {
            true => Layer::Linear {
                outputs: Outputs::Number(outputs),
                bias: has_bias,
            },
            false => Conv::new(outputs).kernel(1).bias(has_bias).into(),
        };
        let output = self.draft.resolve(&layer, view.node)?;
        let node = self.push(
            call,
            Operation::Layer(layer),
            vec![view.node],
            output,
            tensors,
            label(call, 1),
        );
        let mut axes = view.axes;
        if let Some(last) = axes.last_mut() {
            *last = whole(Axis::Channel, outputs);
        }
        Ok(View { node, axes })
    }

    /// A change of the view. A channel shuffle becomes a layer.
    fn rearranged(&mut self, call: &Call) -> Outcome {
        let view = self.rearranged_view(call)?;
        let shape = self.draft.shape(view.node);
        let Some((axis, groups)) = view.shuffle(shape.channels) else {
            return Ok(view);
        };
        let shuffle = Operation::Layer(Layer::Shuffle { groups });
        let mut shuffled = self.elementwise_of(call, view, shuffle);
        shuffled.axes[axis] = whole(Axis::Channel, shape.channels);
        Ok(shuffled)
    }

    fn rearranged_view(&self, call: &Call) -> Outcome {
        let view = call.view(0)?;
        let sizes = view.sizes();
        let wanted = match call.kind() {
            "Transpose" => {
                let order = folding::order(call.ints("perm"), sizes.len())?;
                return view
                    .transposed(&order)
                    .ok_or_else(|| format!("{order:?} is no order of its axes"));
            }
            "Reshape" => {
                let wanted = call.ints_of("shape", 1)?.ok_or("its sizes are missing")?;
                wanted_sizes(&wanted, &sizes, call.int("allowzero") == Some(1))?
            }
            "Flatten" => folding::flat_sizes(&sizes, call.int("axis").unwrap_or(1))?,
            "Squeeze" => folding::squeezed(&sizes, call.ints_of("axes", 1)?.as_deref())?,
            _ => folding::unsqueezed(
                &sizes,
                &call.ints_of("axes", 1)?.ok_or("its axes are missing")?,
            )?,
        };
        let reshaped = view.reshaped(&wanted);
        reshaped.ok_or_else(|| {
            format!(
                "it mixes the axes of {sizes:?} into {wanted:?} in a way that hubel does not follow"
            )
        })
    }

    /// Both inputs show maps: the nodes, if places and channels agree, and a view for the result.
    fn pair(&mut self, call: &Call, places: [usize; 2]) -> Result<(View, View), String> {
        let [a, b] = [
            self.flattened(call, places[0])?,
            self.flattened(call, places[1])?,
        ];
        match a.axes == b.axes && self.draft.shape(a.node) == self.draft.shape(b.node) {
            true => Ok((a, b)),
            false => Err(format!(
                "its inputs have the sizes {:?} and {:?}, which hubel does not combine",
                a.sizes(),
                b.sizes()
            )),
        }
    }

    fn combined(&mut self, call: &Call, operation: Operation, a: &View, b: &View) -> View {
        let shape = self.draft.shape(a.node);
        let node = self.push(
            call,
            operation,
            vec![a.node, b.node],
            shape,
            Vec::new(),
            None,
        );
        a.at(node)
    }

    fn sum(&mut self, call: &Call) -> Outcome {
        if call.inputs.len() == 2
            && let Some((place, constant)) = constant_beside(call)
        {
            return self.affine(call, place, |value| (1.0, value), &constant);
        }
        let mut sum = self.flattened(call, 0)?;
        for place in 1..call.inputs.len() {
            let (_, other) = self.pair(call, [0, place])?;
            sum = self.combined(call, Operation::Add, &sum, &other);
        }
        Ok(sum)
    }

    fn difference(&mut self, call: &Call) -> Outcome {
        match constant_beside(call) {
            Some((0, constant)) => self.affine(call, 0, |value| (1.0, -value), &constant),
            Some((place, constant)) => self.affine(call, place, |value| (-1.0, value), &constant),
            None => {
                let (map, mean) = (self.flattened(call, 0)?, call.view(1)?);
                let of_mean = &self.draft.nodes[mean.node];
                if of_mean.operation == Operation::ChannelMean
                    && of_mean.inputs == [map.node]
                    && has_axes_but_channels(mean, &map)
                {
                    return Ok(self.elementwise_of(call, map, Operation::Centred));
                }
                let (a, b) = self.pair(call, [0, 1])?;
                let minus = Operation::Affine {
                    scale: vec![-1.0],
                    shift: vec![0.0],
                };
                let b = self.elementwise_of(call, b, minus);
                Ok(self.combined(call, Operation::Add, &a, &b))
            }
        }
    }

    fn product(&mut self, call: &Call) -> Outcome {
        if let Some((place, constant)) = constant_beside(call) {
            return self.affine(call, place, |value| (value, 0.0), &constant);
        }
        let [a, b] = [self.flattened(call, 0)?, self.flattened(call, 1)?];
        for (map, factors) in [(&a, &b), (&b, &a)] {
            let [shape, of_factors] = [map, factors].map(|view| self.draft.shape(view.node));
            let is_whole = map.axes == factors.axes && shape == of_factors;
            let for_channels = map.is_map(shape)
                && factors.is_map(of_factors)
                && of_factors == Shape::new(1, 1, shape.channels);
            if is_whole || for_channels {
                return Ok(self.combined(call, Operation::Multiply, map, factors));
            }
        }
        Err(format!(
            "its inputs have the sizes {:?} and {:?}; hubel multiplies maps of one size, or a map with one factor for each channel",
            a.sizes(),
            b.sizes()
        ))
    }

    fn quotient(&mut self, call: &Call) -> Outcome {
        match constant_beside(call) {
            Some((0, constant)) => self.affine(call, 0, |value| (1.0 / value, 0.0), &constant),
            _ => match self.normalised_by_parts(call) {
                Some((view, epsilon)) => {
                    let channels = self.draft.shape(view.node).channels;
                    let tensors = vec![
                        ("weight", vec![1.0; channels]),
                        ("bias", vec![0.0; channels]),
                    ];
                    self.normalised(call, &view, epsilon, tensors)
                }
                None => Err(
                    "hubel divides a map by a constant, or as a part of layer norm, only".into(),
                ),
            },
        }
    }

    /// scale · x + shift of the map at `place`, each from a value of the constant.
    fn affine(
        &mut self,
        call: &Call,
        place: usize,
        of_value: impl Fn(f32) -> (f32, f32),
        constant: &Constant,
    ) -> Outcome {
        let view = match constant.values.len() {
            1 => call.view(place)?.clone(),
            _ => self.flattened(call, place)?,
        };
        let channels = self.draft.shape(view.node).channels;
        if constant.values.len() > 1 {
            let along = channel_axis(call, constant, view.axes.len())?;
            if view.shows(Axis::Channel, channels) != Some(along) {
                return Err(format!(
                    "its constant of the shape {:?} is not one value for each channel",
                    constant.shape
                ));
            }
        }
        let (scale, shift) = constant.to_floats().into_iter().map(of_value).unzip();
        Ok(self.elementwise_of(call, view, Operation::Affine { scale, shift }))
    }

    /// Max or Min with constants.
    fn limited(&mut self, call: &Call) -> Outcome {
        let (place, constant) = (constant_beside(call).filter(|_| call.inputs.len() == 2))
            .ok_or("hubel limits a map by a constant only")?;
        let limit = constant.single().ok_or("its limit must be one number")?;
        let (least, most) = match call.kind() {
            "Max" => (limit, f32::INFINITY),
            _ => (f32::NEG_INFINITY, limit),
        };
        let view = call.view(place)?.clone();
        Ok(self.elementwise_of(call, view, Operation::Clip { least, most }))
    }

    /// A part of the channels, which axis `along` of a view shows.
    fn channels(&mut self, call: &Call, view: &View, along: usize, part: Range<usize>) -> Outcome {
        let shape = self.draft.shape(view.node);
        if view.axes[along] != whole(Axis::Channel, shape.channels) {
            return Err(
                "hubel takes parts of the channels only, not of rows, columns or the batch".into(),
            );
        }
        let layer = Layer::Channels {
            first: part.start,
            count: part.len(),
        };
        let output = self.draft.resolve(&layer, view.node)?;
        let inputs = vec![view.node];
        let layer = Operation::Layer(layer);
        let node = self.push(call, layer, inputs, output, Vec::new(), None);
        let mut taken = view.at(node);
        taken.axes[along] = whole(Axis::Channel, output.channels);
        Ok(taken)
    }

    fn slice(&mut self, call: &Call) -> Outcome {
        let mut view = self.flattened(call, 0)?;
        let sizes = view.sizes();
        for cut in folding::cuts(call, &sizes)? {
            let is_in_order = cut.step == 1 || cut.count == 1;
            if !is_in_order {
                return Err(format!(
                    "it takes places {} apart, and hubel takes neighbouring channels",
                    cut.step
                ));
            }
            if cut.count < sizes[cut.axis] {
                let part = cut.start..cut.start + cut.count;
                view = self.channels(call, &view, cut.axis, part)?;
            }
        }
        Ok(view)
    }

    /// The parts of the channels, one for each output.
    fn split(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        let view = self.flattened(call, 0)?;
        let sizes = view.sizes();
        let along = axis(call.int("axis").unwrap_or(0), sizes.len())?;
        let count = call.node.output.len();
        let size = sizes[along];
        let ends: Vec<usize> = match call.ints_of("split", 1)? {
            Some(parts) => {
                let mut end = 0usize;
                let ends = parts.iter().map(|part| {
                    end = end.checked_add(usize::try_from(*part).ok()?)?;
                    Some(end)
                });
                ends.collect::<Option<_>>()
                    .ok_or("the size of a part is negative")?
            }
            // The last part may be smaller.
            None => (1..=count)
                .map(|part| size.min(part * size.div_ceil(count)))
                .collect(),
        };
        if ends.len() != count || ends.last() != Some(&size) {
            return Err(format!(
                "its parts are not those of {size} places in {count} outputs"
            ));
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let parts = starts.zip(&ends);
        let part = |(start, end): (usize, &usize)| match *end - start {
            all if all == size => Ok(Value::View(view.clone())),
            _ => Ok(Value::View(self.channels(
                call,
                &view,
                along,
                start..*end,
            )?)),
        };
        parts.map(part).collect()
    }

    fn concat(&mut self, call: &Call) -> Outcome {
        let mut views = Vec::with_capacity(call.inputs.len());
        for place in 0..call.inputs.len() {
            views.push(self.flattened(call, place)?);
        }
        let first = views[0].clone();
        if views.len() == 1 {
            return Ok(first);
        }
        let along = axis(call.int("axis").unwrap_or(1), first.axes.len())?;
        let mut channels = 0;
        for view in &views {
            let shape = self.draft.shape(view.node);
            let others = |view: &View| {
                let mut axes = view.axes.clone();
                axes.remove(along);
                axes
            };
            let fits = view.axes.len() == first.axes.len()
                && view.axes[along] == whole(Axis::Channel, shape.channels)
                && others(view) == others(&first);
            if !fits {
                return Err(
                    "hubel concatenates the channels of maps of the same height and width only"
                        .into(),
                );
            }
            channels += shape.channels;
        }
        let shape = Shape {
            channels,
            ..self.draft.shape(first.node)
        };
        let inputs = views.iter().map(|view| view.node).collect();
        let node = self.push(call, Operation::Concat, inputs, shape, Vec::new(), None);
        let mut axes = first.axes;
        axes[along] = whole(Axis::Channel, channels);
        Ok(View { node, axes })
    }
}

/// Whether a view of one channel has the axes of another view without its channels.
fn has_axes_but_channels(one: &View, all: &View) -> bool {
    one.axes.len() == all.axes.len()
        && (one.axes.iter().zip(&all.axes)).all(|(one, all)| match &all[..] {
            [part] if part.axis == Axis::Channel => one.is_empty(),
            _ => one == all,
        })
}

/// All places of an axis in their order, perhaps as several axes: some exporters write a view of memory so.
fn gathered(call: &Call) -> Outcome {
    let (view, places) = (call.view(0)?, call.needed(1)?);
    let mut sizes = view.sizes();
    let along = axis(call.int("axis").unwrap_or(0), sizes.len())?;
    let in_order = places.as_integers().unwrap_or_default();
    let is_in_order =
        in_order.len() == sizes[along] && in_order.iter().copied().eq(0..sizes[along] as i64);
    sizes.splice(along..=along, places.shape.iter().copied());
    (is_in_order.then(|| view.reshaped(&sizes)).flatten())
        .ok_or_else(|| "hubel takes all places of an axis in their order only".into())
}

/// If one of two inputs is a constant: the place of the other, and the constant.
fn constant_beside(call: &Call) -> Option<(usize, Rc<Constant>)> {
    match &call.inputs[..] {
        [Some(Value::View(_)), Some(Value::Constant(constant))] => Some((0, Rc::clone(constant))),
        [Some(Value::Constant(constant)), Some(Value::View(_))] => Some((1, Rc::clone(constant))),
        _ => None,
    }
}

/// The axis of a tensor with `count` axes along which a constant has several values.
fn channel_axis(call: &Call, constant: &Constant, count: usize) -> Result<usize, String> {
    let shape = &constant.shape;
    let mut long = (0..shape.len()).filter(|axis| shape[*axis] > 1);
    let unclear =
        || format!("its constant of the shape {shape:?} is not one value for each channel");
    let (Some(axis), None) = (long.next(), long.next()) else {
        return Err(unclear());
    };
    // Before version 7 of the operators, `axis` says where the constant's first axis lies.
    let first = match (call.int("broadcast"), call.int("axis")) {
        (Some(1), Some(first)) => self::axis(first, count)?,
        _ => count.checked_sub(shape.len()).ok_or_else(unclear)?,
    };
    Ok(first + axis)
}

/// The name that the weights at input `place` have in the program that wrote the file, without `.weight`.
fn label(call: &Call, place: usize) -> Option<String> {
    let name = call.input_name(place);
    let name = name
        .strip_suffix(".weight")
        .map(str::to_owned)
        .or_else(|| {
            // PyTorch's exporter names nodes by modules: /layer1/layer1.0/conv1/Conv.
            let path = call.node.name.as_deref()?.strip_prefix('/')?;
            let (path, _) = path.rsplit_once('/')?;
            let modules = path.split('/').fold(String::new(), |name, module| {
                match module.starts_with(&format!("{name}.")) || name.is_empty() {
                    true => module.to_owned(),
                    false => format!("{name}.{module}"),
                }
            });
            Some(modules)
        })?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}
