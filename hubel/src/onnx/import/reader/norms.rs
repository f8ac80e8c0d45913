//! Batch norm, layer norm, group norm and local response normalisation.
use super::super::call::{Call, axis};
use super::super::draft::Operation;
use super::super::view::{Axis, Part, View, whole};
use super::{IN_TRAINING, Outcome, Reader};
use crate::Shape;
use crate::layers::{Layer, LocalResponse};

impl Reader<'_> {
    pub(super) fn batch_norm(&mut self, call: &Call) -> Outcome {
        // Before version 14, more results than the first meant training.
        let results = call.node.output.iter().skip(1);
        let has_statistics = results.clone().any(|name| !name.is_empty());
        if call.int("training_mode").unwrap_or(0) != 0
            || self.is_training_of_old(call)
            || self.source.version < 14 && has_statistics
        {
            return Err(IN_TRAINING.into());
        }
        if call.int("spatial").unwrap_or(1) == 0 {
            return Err(
                "it normalises each place of a map on its own, and hubel each channel".into(),
            );
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
        let channels = whole(Axis::Channel, shape.channels);
        if !view.is_map(shape) && view.row() != Some(channels) {
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
        let node = self.push_layer(call, layer, view.node, tensors)?;
        Ok(view.at(node))
    }

    pub(super) fn layer_norm(&mut self, call: &Call) -> Outcome {
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
    pub(super) fn normalised(
        &mut self,
        call: &Call,
        view: &View,
        epsilon: f32,
        tensors: Vec<(&'static str, Vec<f32>)>,
    ) -> Outcome {
        let channels = self.draft.shape(view.node).channels;
        if let Some((name, values)) = tensors.iter().find(|(_, values)| values.len() != channels) {
            return Err(format!(
                "its `{name}` has {} values, and its input has {channels} channels",
                values.len()
            ));
        }
        let layer = Layer::LayerNorm { epsilon };
        let node = self.push_layer(call, layer, view.node, tensors)?;
        Ok(view.at(node))
    }

    /// Instance norm, also of groups of channels: so PyTorch's exporters write group norm.
    pub(super) fn instance_norm(&mut self, call: &Call) -> Outcome {
        let view = call.view(0)?.clone();
        let groups = view.groups(self.draft.shape(view.node));
        let groups = groups.ok_or("its second axis shows no groups of channels")?;
        self.normalised_groups(call, &view, groups)
    }

    pub(super) fn group_norm(&mut self, call: &Call) -> Outcome {
        let view = self.flattened(call, 0)?;
        let shape = self.draft.shape(view.node);
        if view.groups(shape) != Some(shape.channels) {
            return Err("its input is a map whose channels are not its second axis".into());
        }
        let groups = call.int("num_groups").unwrap_or(0);
        let groups = usize::try_from(groups).map_err(|_| format!("it has {groups} groups"))?;
        self.normalised_groups(call, &view, groups)
    }

    /// Group norm of a view. Its scale and shift have a value for each channel or for each group.
    fn normalised_groups(&mut self, call: &Call, view: &View, groups: usize) -> Outcome {
        let channels = self.draft.shape(view.node).channels;
        let mut tensors = Vec::with_capacity(2);
        for (name, place) in [("weight", 1), ("bias", 2)] {
            let values = call.needed(place)?.to_floats();
            tensors.push(match values.len() {
                count if count == channels => (name, values),
                count if count == groups && channels.is_multiple_of(groups) => {
                    let of_group = |value| std::iter::repeat_n(value, channels / groups);
                    (name, values.into_iter().flat_map(of_group).collect())
                }
                count => {
                    return Err(format!(
                        "its `{name}` has {count} values, and its input has {channels} channels in {groups} groups"
                    ));
                }
            });
        }
        let epsilon = call.float("epsilon").unwrap_or(1e-5);
        let layer = Layer::GroupNorm { groups, epsilon };
        let node = self.push_layer(call, layer, view.node, tensors)?;
        Ok(view.at(node))
    }

    /// If a division is the last part of layer norm, (x − mean) / √(mean of (x − mean)² + epsilon): x, and epsilon.
    pub(super) fn normalised_by_parts(&self, call: &Call) -> Option<(View, f32)> {
        let (centred, root) = (call.view(0).ok()?, call.view(1).ok()?);
        let operation = |node: usize| &self.draft.nodes[node].operation;
        let before = |node: usize| self.draft.nodes[node].inputs.first().copied();
        let sum = before(root.node)?;
        let Operation::Affine(added) = operation(sum) else {
            return None;
        };
        let (scale, epsilon) = added.single()?;
        let mean = before(sum)?;
        let square = before(mean)?;
        let is_square = match operation(square) {
            Operation::Square => true,
            Operation::Multiply => self.draft.nodes[square].inputs == [centred.node; 2],
            _ => false,
        };
        let is_norm = *operation(root.node) == Operation::Root
            && scale == 1.0
            && *operation(mean) == Operation::ChannelMean
            && is_square
            && before(square) == Some(centred.node)
            && *operation(centred.node) == Operation::Centred
            && root.has_axes_but_channels(centred);
        let input = before(centred.node).filter(|_| is_norm)?;
        Some((centred.at(input), epsilon))
    }

    /// The mean over these axes, if they show the channels.
    pub(super) fn channel_mean(
        &mut self,
        call: &Call,
        along: &[usize],
    ) -> Result<Option<View>, String> {
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
        let node = self.push(call, operation, vec![view.node], shape);
        let mut mean = view.at(node);
        for axis in along {
            mean.axes[*axis].clear();
        }
        Ok(Some(mean))
    }

    pub(super) fn local_response(&mut self, call: &Call) -> Outcome {
        let size = call.int("size").unwrap_or(0);
        let layer = Layer::Lrn(LocalResponse {
            size: usize::try_from(size).map_err(|_| format!("its size is {size}"))?,
            alpha: call.float("alpha").unwrap_or(1e-4),
            beta: call.float("beta").unwrap_or(0.75),
            bias: call.float("bias").unwrap_or(1.0),
        });
        self.layer(call, layer, Vec::new())
    }
}
