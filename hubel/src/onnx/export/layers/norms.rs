//! Batch norm that is folded, layer norm, group norm and scale layers.
use super::{Value, Writer};
use crate::network::Operation;
use crate::onnx::export::builder::{Attributes, Scalar};

impl Writer<'_> {
    /// Puts each batch norm that directly follows a convolution or linear layer into its weights; returns their nodes.
    pub(super) fn fold_batch_norms(&mut self) -> Vec<usize> {
        let mut readers = vec![0; self.graph.nodes.len()];
        let inputs = self.graph.nodes.iter().flat_map(|node| &node.inputs);
        inputs.for_each(|input| readers[*input] += 1);
        let mut folded = Vec::new();
        for (place, node) in self.graph.nodes.iter().enumerate() {
            let Operation::BatchNorm { epsilon, .. } = node.operation else {
                continue;
            };
            let before = node.inputs[0];
            let has_weights = matches!(
                self.graph.nodes[before].operation,
                Operation::Conv(_) | Operation::Linear { .. }
            );
            if !has_weights || readers[before] != 1 {
                continue;
            }
            let channels = node.shape.channels;
            let mut take = |name| {
                self.tensors
                    .remove(&(place, name))
                    .map(|(_, values)| values)
            };
            let (Some(scale), Some(shift), Some(mean), Some(variance)) = (
                take("weight"),
                take("bias"),
                take("running_mean"),
                take("running_var"),
            ) else {
                continue;
            };
            let factors: Vec<f64> = (scale.iter().zip(&variance))
                .map(|(scale, variance)| {
                    f64::from(*scale) / (f64::from(*variance) + f64::from(epsilon)).sqrt()
                })
                .collect();
            if let Some((_, weights)) = self.tensors.get_mut(&(before, "weight")) {
                let each = weights.len() / channels;
                for (weights, factor) in weights.chunks_exact_mut(each).zip(&factors) {
                    for weight in weights {
                        *weight = (f64::from(*weight) * factor) as f32;
                    }
                }
            }
            let bias = self.tensors.entry((before, "bias"));
            let (_, bias) = bias.or_insert_with(|| (vec![channels], vec![0.0; channels]));
            for (channel, bias) in bias.iter_mut().enumerate() {
                let centred = f64::from(*bias) - f64::from(mean[channel]);
                *bias = (centred * factors[channel] + f64::from(shift[channel])) as f32;
            }
            folded.push(place);
        }
        folded
    }

    /// Layer norm. The operator, which ONNX has since version 17 of its operators, normalises the last axes.
    pub(super) fn layer_norm(
        &mut self,
        place: usize,
        input: &Value,
        epsilon: f32,
        name: &str,
    ) -> String {
        if self.builder.opset() < 17 {
            return self.layer_norm_in_parts(place, input, epsilon, name);
        }
        let [scale, shift] = ["weight", "bias"].map(|name| self.tensor(place, name));
        let (before, own) = match input.is_row {
            true => (input.name.clone(), name.to_owned()),
            false => {
                let before = format!("{name}/channels_last");
                let before = self.transposed(&input.name, &[0, 2, 3, 1], &before);
                (before, format!("{name}/normalised"))
            }
        };
        let inputs = [&before, &scale, &shift].map(String::as_str);
        let normalised = self
            .builder
            .node("LayerNormalization", &own, &inputs, |node| {
                node.int("axis", -1).float("epsilon", epsilon)
            });
        match input.is_row {
            true => normalised,
            false => self.transposed(&normalised, &[0, 3, 1, 2], name),
        }
    }

    pub(super) fn layer_norm_in_parts(
        &mut self,
        place: usize,
        input: &Value,
        epsilon: f32,
        name: &str,
    ) -> String {
        let part = |what: &str| format!("{name}/{what}");
        let two = self.builder.floats(&part("two"), &[], vec![2.0]);
        let epsilon = self.builder.floats(&part("epsilon"), &[], vec![epsilon]);
        let mut node = |kind: &str, name: &str, inputs: &[&str]| {
            self.builder.node(kind, name, inputs, |node| match kind {
                "ReduceMean" => node.ints("axes", &[1]).int("keepdims", 1),
                _ => node,
            })
        };
        let mean = node("ReduceMean", &part("mean"), &[&input.name]);
        let centred = node("Sub", &part("centred"), &[&input.name, &mean]);
        let square = node("Pow", &part("square"), &[&centred, &two]);
        let variance = node("ReduceMean", &part("variance"), &[&square]);
        let above = node("Add", &part("above"), &[&variance, &epsilon]);
        let deviation = node("Sqrt", &part("deviation"), &[&above]);
        let normalised = Value {
            name: node("Div", &part("normalised"), &[&centred, &deviation]),
            ..*input
        };
        self.scaled(place, &normalised, name)
    }

    /// Group norm. ONNX has an operator with a scale for each channel since version 21 of its operators. Before, the channels of a group are seen as one.
    pub(super) fn group_norm(
        &mut self,
        place: usize,
        input: &Value,
        groups: usize,
        epsilon: f32,
        name: &str,
    ) -> String {
        let shape = self.graph.nodes[place].shape;
        let part = |what: &str| format!("{name}/{what}");
        if groups == shape.channels {
            let weights = ["weight", "bias"].map(|name| self.tensors.remove(&(place, name)));
            let weights = weights.map(|tensor| tensor.map_or(Vec::new(), |(_, values)| values));
            return self.instance_norm(&input.name, weights, epsilon, name);
        }
        if self.builder.opset() >= 21 && !input.is_row {
            let [scale, shift] = ["weight", "bias"].map(|name| self.tensor(place, name));
            let inputs = [&input.name, &scale, &shift].map(String::as_str);
            return (self.builder).node("GroupNormalization", name, &inputs, |node| {
                (node.float("epsilon", epsilon)).int("num_groups", groups as i64)
            });
        }
        let sizes = [groups, shape.len() / groups];
        let seen = self.reshaped(&input.name, &sizes, &part("groups"));
        let weights = [vec![1.0; groups], vec![0.0; groups]];
        let normalised = self.instance_norm(&seen, weights, epsilon, &part("normalised"));
        let sizes = match input.is_row {
            true => vec![shape.channels],
            false => vec![shape.channels, shape.height, shape.width],
        };
        let back = Value {
            name: self.reshaped(&normalised, &sizes, &part("channels")),
            ..*input
        };
        self.scaled(place, &back, name)
    }

    /// Instance norm with this scale and shift. It computes with floats of 32 bits: in 16 bits, the sums of tract (0.23) overflow.
    pub(super) fn instance_norm(
        &mut self,
        input: &str,
        [scale, shift]: [Vec<f32>; 2],
        epsilon: f32,
        name: &str,
    ) -> String {
        let part = |what: &str| format!("{name}/{what}");
        let is_half = self.builder.scalar() == Scalar::Half;
        let cast = |to: Scalar| move |node: Attributes| node.int("to", to.data_type().into());
        let (input, own) = match is_half {
            true => (
                (self.builder).node("Cast", &part("single"), &[input], cast(Scalar::Single)),
                part("normalised"),
            ),
            false => (input.to_owned(), name.to_owned()),
        };
        let channels = scale.len();
        let [scale, shift] = [("scale", scale), ("shift", shift)]
            .map(|(what, values)| (self.builder).singles(&part(what), &[channels], &values));
        let inputs = [&*input, &scale, &shift];
        let normalised = (self.builder).node("InstanceNormalization", &own, &inputs, |node| {
            node.float("epsilon", epsilon)
        });
        match is_half {
            true => (self.builder).node("Cast", name, &[&normalised], cast(Scalar::Half)),
            false => normalised,
        }
    }

    /// The input times the layer's `weight` plus its `bias`, if it has one, channel by channel.
    pub(super) fn scaled(&mut self, place: usize, input: &Value, name: &str) -> String {
        self.along_channels(place, &["weight", "bias"], input);
        let [scale, shift] = ["weight", "bias"].map(|name| self.tensor(place, name));
        let product = match shift.is_empty() {
            true => name.to_owned(),
            false => format!("{name}/scaled"),
        };
        let inputs = [&*input.name, &scale];
        let product = self.builder.node("Mul", &product, &inputs, |node| node);
        match shift.is_empty() {
            true => product,
            false => (self.builder).node("Add", name, &[&product, &shift], |node| node),
        }
    }

    /// Gives tensors with a value for each channel a shape that lies along the channels of `input`, the second axis.
    pub(super) fn along_channels(&mut self, place: usize, tensors: &[&'static str], input: &Value) {
        for tensor in tensors {
            if let Some((shape, _)) = self.tensors.get_mut(&(place, *tensor))
                && !input.is_row
            {
                shape.extend([1, 1]);
            }
        }
    }
}
