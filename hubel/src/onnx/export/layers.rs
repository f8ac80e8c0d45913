//! Each layer as nodes of ONNX.
mod activations;
mod norms;

use std::collections::BTreeMap;

use super::builder::{Attributes, Builder, Scalar};
use crate::formats::layout::Layout;
use crate::layers::{Activation, Interpolation, PaddingMode};
use crate::network::{Convolution, Graph, Node, Operation, Window};
use crate::{Model, Shape};

/// The map of a node while the graph is written.
#[derive(Clone)]
struct Value {
    name: String,
    /// Whether it is `[n, values]`; otherwise `[n, c, h, w]`.
    is_row: bool,
}

/// A shape and values.
type Tensor = (Vec<usize>, Vec<f32>);

struct Writer<'w> {
    builder: &'w mut Builder,
    graph: &'w Graph,
    /// The tensors of each node in PyTorch's layouts.
    tensors: BTreeMap<(usize, &'static str), Tensor>,
    values: Vec<Value>,
}

/// Writes all layers; returns the name of the logits, `[n, classes]`.
///
/// # Errors
/// The layer that ONNX does not have.
pub(super) fn write(
    builder: &mut Builder,
    model: &Model,
    graph: &Graph,
    image: String,
    keep_batch_norm: bool,
) -> Result<String, String> {
    let mut tensors = BTreeMap::new();
    for entry in model.parameters().entries() {
        let layout = Layout::of(graph, entry);
        let values = layout.to_file(model.parameters().tensor(entry));
        let tensor = graph.nodes[entry.node].tensor(entry.role);
        let name = tensor.expect("an entry is of a tensor of its node").name;
        tensors.insert((entry.node, name), (layout.file_shape(), values));
    }
    let mut writer = Writer {
        builder,
        graph,
        tensors,
        values: vec![Value {
            name: image,
            is_row: false,
        }],
    };
    let folded = match keep_batch_norm {
        true => Vec::new(),
        false => writer.fold_batch_norms(),
    };
    for (place, node) in graph.nodes.iter().enumerate().skip(1) {
        let value = match folded.contains(&place) {
            true => writer.values[node.inputs[0]].clone(),
            false => writer.layer(place, node)?,
        };
        writer.values.push(value);
    }
    let last = graph.nodes.len() - 1;
    // No layer has a name with a slash.
    Ok(writer.row(last, "/image/logits"))
}

impl Writer<'_> {
    /// Adds a tensor of a node as a constant; its name, which is empty if the node has no such tensor.
    fn tensor(&mut self, place: usize, name: &'static str) -> String {
        match self.tensors.remove(&(place, name)) {
            Some((shape, values)) => {
                let name = format!("{}.{name}", self.graph.nodes[place].name);
                self.builder.floats(&name, &shape, values)
            }
            None => String::new(),
        }
    }

    /// The nodes of one layer.
    fn layer(&mut self, place: usize, node: &Node) -> Result<Value, String> {
        let name = format!("/{}", node.name);
        let before = node.inputs.first().copied().unwrap_or_default();
        let of_map = |name| Value {
            name,
            is_row: false,
        };
        let of_row = |name| Value { name, is_row: true };
        Ok(match &node.operation {
            Operation::Conv(conv) => of_map(self.conv(place, node, conv, &name)?),
            Operation::MaxPool(window) => {
                let input = self.map(before, &name)?;
                let padding = reaching(self.graph.nodes[before].shape, node.shape, window);
                of_map(self.builder.node("MaxPool", &name, &[&input], |node| {
                    (node.ints("kernel_shape", &window.kernel))
                        .ints("strides", &window.stride)
                        .ints("pads", &padding)
                }))
            }
            Operation::AvgPool {
                window,
                count_padding,
            } => {
                let mut input = self.map(before, &name)?;
                let shape = self.graph.nodes[before].shape;
                let mut padding = reaching(shape, node.shape, window);
                // What reaches beyond the padding never counts, and padding only if the layer says so. Programs differ in what they count if a window
                // reaches beyond counted padding (OpenVINO 2026.4), so this padding becomes a part of the map.
                let is_apart = *count_padding && padding != window.padding;
                if is_apart {
                    let sides = within(shape, node.shape, window);
                    input = self.padded(&name, input, sides, ("constant", 0.0));
                    padding = [0; 4];
                }
                of_map(self.builder.node("AveragePool", &name, &[&input], |node| {
                    (node.ints("kernel_shape", &window.kernel))
                        .ints("strides", &window.stride)
                        .ints("pads", &padding)
                        .int("count_include_pad", (*count_padding && !is_apart).into())
                        .int("ceil_mode", is_apart.into())
                }))
            }
            Operation::GlobalAvgPool => of_map(self.pooled(before, &name, "GlobalAveragePool")?),
            Operation::GlobalMaxPool => of_map(self.pooled(before, &name, "GlobalMaxPool")?),
            Operation::AdaptiveAvgPool => {
                of_map(self.adaptive(before, node, &name, "AveragePool")?)
            }
            Operation::AdaptiveMaxPool => of_map(self.adaptive(before, node, &name, "MaxPool")?),
            Operation::BatchNorm { epsilon, momentum } => {
                let input = self.values[before].clone();
                let names = ["weight", "bias", "running_mean", "running_var"];
                let [scale, shift, mean, variance] = names.map(|name| self.tensor(place, name));
                let inputs = [&input.name, &scale, &shift, &mean, &variance].map(String::as_str);
                let name = self
                    .builder
                    .node("BatchNormalization", &name, &inputs, |node| {
                        (node.float("epsilon", *epsilon)).float("momentum", 1.0 - momentum)
                    });
                Value { name, ..input }
            }
            Operation::Lrn(lrn) => {
                let input = self.map(before, &name)?;
                of_map(self.builder.node("LRN", &name, &[&input], |node| {
                    (node.int("size", lrn.size as i64))
                        .float("alpha", lrn.alpha)
                        .float("beta", lrn.beta)
                        .float("bias", lrn.bias)
                }))
            }
            Operation::Dropout(_) | Operation::Activation(Activation::Identity) => {
                self.values[before].clone()
            }
            Operation::Flatten => of_row(self.row(before, &name)),
            Operation::Linear { .. } => {
                let input = self.row(before, &format!("{name}/flatten"));
                let (weight, bias) = (self.tensor(place, "weight"), self.tensor(place, "bias"));
                let inputs = [&*input, &weight, &bias];
                // tract (0.23) makes floats of 32 bits of a product of halves with a bias, and then refuses the file.
                let is_apart = !bias.is_empty() && self.builder.scalar() == Scalar::Half;
                let (given, product) = match is_apart {
                    true => (&inputs[..2], format!("{name}/product")),
                    false if bias.is_empty() => (&inputs[..2], name.clone()),
                    false => (&inputs[..], name.clone()),
                };
                let product = self
                    .builder
                    .node("Gemm", &product, given, |node| node.int("transB", 1));
                of_row(match is_apart {
                    true => (self.builder).node("Add", &name, &[&product, &bias], |node| node),
                    false => product,
                })
            }
            Operation::Activation(activation) => {
                let input = self.values[before].clone();
                let name = self.activation(*activation, &input.name, &name);
                Value { name, ..input }
            }
            Operation::LayerNorm { epsilon } => {
                let input = self.values[before].clone();
                let name = self.layer_norm(place, &input, *epsilon, &name);
                Value { name, ..input }
            }
            Operation::Pad { sides, mode } => {
                let input = self.map(before, &name)?;
                let mode = self.border(node, *mode)?;
                of_map(self.padded_as(&name, &name, input, *sides, mode))
            }
            Operation::Upsample(upsample) => {
                let input = self.map(before, &name)?;
                let [down, across] = upsample.factor.map(|factor| factor as f32);
                let scales = [1.0, 1.0, down, across];
                let scales = (self.builder).singles(&format!("{name}/scales"), &[4], &scales);
                let (mode, coordinates) = match upsample.interpolation {
                    Interpolation::Nearest => ("nearest", "asymmetric"),
                    Interpolation::Bilinear => ("linear", "half_pixel"),
                };
                let inputs = [&*input, "", &scales];
                of_map(self.builder.node("Resize", &name, &inputs, |node| {
                    (node.text("mode", mode))
                        .text("coordinate_transformation_mode", coordinates)
                        .text("nearest_mode", "floor")
                }))
            }
            Operation::Prelu => {
                let input = self.values[before].clone();
                self.along_channels(place, &["weight"], &input);
                let slopes = self.tensor(place, "weight");
                let inputs = [&*input.name, &slopes];
                let name = self.builder.node("PRelu", &name, &inputs, |node| node);
                Value { name, ..input }
            }
            Operation::GroupNorm { groups, epsilon } => {
                let input = self.values[before].clone();
                let name = self.group_norm(place, &input, *groups, *epsilon, &name);
                Value { name, ..input }
            }
            Operation::Scale { .. } => {
                let input = self.values[before].clone();
                let name = self.scaled(place, &input, &name);
                Value { name, ..input }
            }
            Operation::Channels { first, count } => {
                let input = self.values[before].clone();
                let name = self.part_of_channels(&input.name, *first, *count, &name);
                Value { name, ..input }
            }
            Operation::Shuffle { groups } => {
                let input = self.values[before].clone();
                let name = self.shuffled(&input, node.shape, *groups, &name);
                Value { name, ..input }
            }
            Operation::Add => self.joined(node, &name, "Add", |node| node)?,
            Operation::Multiply => self.joined(node, &name, "Mul", |node| node)?,
            Operation::Concat => self.joined(node, &name, "Concat", |node| node.int("axis", 1))?,
            Operation::Image
            | Operation::Tokens { .. }
            | Operation::Embedding { .. }
            | Operation::TimeConv(_)
            | Operation::TimeMaxPool(_)
            | Operation::TimeAvgPool { .. }
            | Operation::MaxOverTime(_)
            | Operation::AvgOverTime(_) => {
                return Err(format!(
                    "the layer `{}` is along time, and hubel writes layers of pictures",
                    node.name
                ));
            }
        })
    }

    fn conv(
        &mut self,
        place: usize,
        node: &Node,
        conv: &Convolution,
        name: &str,
    ) -> Result<String, String> {
        let before = node.inputs[0];
        let mut input = self.map(before, name)?;
        let window = Window {
            kernel: [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel[axis] - 1) + 1),
            stride: conv.stride,
            padding: conv.padding,
        };
        let mut padding = reaching(self.graph.nodes[before].shape, node.shape, &window);
        if conv.padding != [0; 4] && conv.mode != PaddingMode::Zeros {
            // Only zeros are beyond the padding.
            let (own, mode) = (conv.padding, self.border(node, conv.mode)?);
            padding = std::array::from_fn(|side| padding[side] - own[side]);
            input = self.padded(name, input, own, mode);
        }
        let (weight, bias) = (self.tensor(place, "weight"), self.tensor(place, "bias"));
        let inputs = [&*input, &weight, &bias];
        let given = if bias.is_empty() {
            &inputs[..2]
        } else {
            &inputs[..]
        };
        Ok(self.builder.node("Conv", name, given, |node| {
            (node.ints("kernel_shape", &conv.kernel))
                .ints("strides", &conv.stride)
                .ints("dilations", &conv.dilation)
                .ints("pads", &padding)
                .int("group", conv.groups as i64)
        }))
    }

    /// The mode of ONNX's Pad, with its value.
    fn border(&self, node: &Node, mode: PaddingMode) -> Result<(&'static str, f32), String> {
        Ok(match mode {
            PaddingMode::Zeros => ("constant", 0.0),
            PaddingMode::Constant(value) => ("constant", value),
            PaddingMode::Reflect => ("reflect", 0.0),
            PaddingMode::Replicate => ("edge", 0.0),
            PaddingMode::Circular if self.builder.opset() < 19 => {
                return Err(format!(
                    "the layer `{}` pads with the opposite side (circular), which ONNX has since version 19 of its operators (`opset = 19`)",
                    node.name
                ));
            }
            PaddingMode::Circular => ("wrap", 0.0),
        })
    }

    /// A node before the layer of this name that pads its map by `[top, left, bottom, right]`, in a mode of ONNX with its value.
    fn padded(
        &mut self,
        name: &str,
        input: String,
        sides: [usize; 4],
        mode: (&'static str, f32),
    ) -> String {
        self.padded_as(&format!("{name}/padded"), name, input, sides, mode)
    }

    /// The same as a node called `padded`.
    fn padded_as(
        &mut self,
        padded: &str,
        name: &str,
        input: String,
        sides: [usize; 4],
        (mode, value): (&'static str, f32),
    ) -> String {
        if sides == [0; 4] {
            return input;
        }
        let [top, left, bottom, right] = sides.map(|size| size as i64);
        let pads = self.builder.integers(
            &format!("{name}/pads"),
            &[0, 0, top, left, 0, 0, bottom, right],
        );
        let mut inputs = vec![input, pads];
        // tract (0.23) pads with the value in all modes, if there is one.
        if mode == "constant" {
            let place = format!("{name}/value");
            inputs.push(self.builder.floats(&place, &[], vec![value]));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        (self.builder).node("Pad", padded, &inputs, |node| node.text("mode", mode))
    }

    fn pooled(&mut self, before: usize, name: &str, kind: &str) -> Result<String, String> {
        let input = self.map(before, name)?;
        Ok(self.builder.node(kind, name, &[&input], |node| node))
    }

    /// Pooling over regions, where all have one size.
    fn adaptive(
        &mut self,
        before: usize,
        node: &Node,
        name: &str,
        kind: &str,
    ) -> Result<String, String> {
        let from = self.graph.nodes[before].shape;
        let sides = [
            (from.height, node.shape.height),
            (from.width, node.shape.width),
        ];
        if let Some((size, regions)) = sides.iter().find(|(size, regions)| size % regions != 0) {
            return Err(format!(
                "the layer `{}` divides {size} places into {regions} regions of different size, for which ONNX has no operator; use a size that {regions} divides",
                node.name
            ));
        }
        let kernel = sides.map(|(size, regions)| size / regions);
        let input = self.map(before, name)?;
        Ok(self.builder.node(kind, name, &[&input], |node| {
            node.ints("kernel_shape", &kernel).ints("strides", &kernel)
        }))
    }

    fn transposed(&mut self, input: &str, order: &[usize], name: &str) -> String {
        self.builder
            .node("Transpose", name, &[input], |node| node.ints("perm", order))
    }

    fn part_of_channels(&mut self, input: &str, first: usize, count: usize, name: &str) -> String {
        let mut integers = |what: &str, value: usize| {
            (self.builder).integers(&format!("{name}/{what}"), &[value as i64])
        };
        let (start, end) = (integers("start", first), integers("end", first + count));
        let axis = integers("axis", 1);
        self.builder
            .node("Slice", name, &[input, &start, &end, &axis], |node| node)
    }

    /// The channels seen as `[groups, channels/groups]`, transposed, and seen as one axis again.
    fn shuffled(&mut self, input: &Value, shape: Shape, groups: usize, name: &str) -> String {
        let places = match input.is_row {
            true => Vec::new(),
            false => vec![shape.height, shape.width],
        };
        let split = [&[groups, shape.channels / groups][..], &places].concat();
        let split = self.reshaped(&input.name, &split, &format!("{name}/groups"));
        let order = [&[0, 2, 1][..], &[3, 4][..places.len()]].concat();
        let transposed = format!("{name}/transposed");
        let transposed = self.transposed(&split, &order, &transposed);
        let joined = [&[shape.channels][..], &places].concat();
        self.reshaped(&transposed, &joined, name)
    }

    /// The values of each image with these sizes.
    fn reshaped(&mut self, input: &str, sizes: &[usize], name: &str) -> String {
        // 0 keeps the size of the batch.
        let sizes: Vec<i64> = std::iter::once(0)
            .chain(sizes.iter().map(|size| *size as i64))
            .collect();
        let sizes = self.builder.integers(&format!("{name}/sizes"), &sizes);
        self.builder
            .node("Reshape", name, &[input, &sizes], |node| node)
    }

    /// The map of a node as `[n, values]`, flattened by a node of this name if needed.
    fn row(&mut self, place: usize, name: &str) -> String {
        let value = &self.values[place];
        if value.is_row {
            return value.name.clone();
        }
        let input = value.name.clone();
        self.builder
            .node("Flatten", name, &[&input], |node| node.int("axis", 1))
    }

    /// The map of a node as `[n, c, h, w]`; `name` is that of the layer that reads it.
    fn map(&mut self, place: usize, name: &str) -> Result<String, String> {
        let value = &self.values[place];
        if !value.is_row {
            return Ok(value.name.clone());
        }
        let is_reordered = |map: &Shape| map.len() > map.channels && map.channels > 1;
        if self.graph.flattened_maps(place).iter().any(is_reordered) {
            return Err(format!(
                "the layer `{}` reads a flattened map as channels, whose order differs in ONNX; put a linear layer between",
                name.trim_start_matches('/')
            ));
        }
        let input = value.name.clone();
        let sizes = self
            .builder
            .integers(&format!("{name}/sizes"), &[0, -1, 1, 1]);
        Ok(self.builder.node(
            "Reshape",
            &format!("{name}/map"),
            &[&input, &sizes],
            |node| node,
        ))
    }

    /// A node that reads several maps. All are rows if one of them is a row.
    fn joined(
        &mut self,
        node: &Node,
        name: &str,
        kind: &str,
        attributes: impl FnOnce(Attributes) -> Attributes,
    ) -> Result<Value, String> {
        let is_row =
            node.shape.is_row() && node.inputs.iter().any(|input| self.values[*input].is_row);
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (number, input) in node.inputs.iter().enumerate() {
            inputs.push(match is_row {
                true => self.row(*input, &format!("{name}/row{number}")),
                false => self.map(*input, &format!("{name}/input{number}"))?,
            });
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let name = self.builder.node(kind, name, &inputs, attributes);
        Ok(Value { name, is_row })
    }
}

/// The padding `[top, left, bottom, right]` with which the windows give exactly this output: more at the end if the last window reaches beyond the padding.
fn reaching(input: Shape, output: Shape, window: &Window) -> [usize; 4] {
    with_ends(input, output, window, usize::max)
}

/// The part of the padding `[top, left, bottom, right]` that windows read.
fn within(input: Shape, output: Shape, window: &Window) -> [usize; 4] {
    with_ends(input, output, window, usize::min)
}

/// The padding, with `choose` of how far the last window reaches beyond the input and how long the padding is at each end.
fn with_ends(
    input: Shape,
    output: Shape,
    window: &Window,
    choose: fn(usize, usize) -> usize,
) -> [usize; 4] {
    let [top, left, bottom, right] = window.padding;
    let end = |axis: usize, input: usize, output: usize, before: usize, after: usize| {
        let last = (output - 1) * window.stride[axis] + window.kernel[axis];
        choose(last.saturating_sub(input + before), after)
    };
    [
        top,
        left,
        end(0, input.height, output.height, top, bottom),
        end(1, input.width, output.width, left, right),
    ]
}
