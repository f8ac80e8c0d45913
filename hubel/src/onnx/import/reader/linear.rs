//! Linear layers, and the rows that they read.
use std::rc::Rc;

use super::super::call::Call;
use super::super::draft::Operation;
use super::super::folding;
use super::super::view::{Axis, View, order_of, whole};
use super::{Outcome, Reader};
use crate::Shape;
use crate::layers::{Conv, Layer, Outputs};
use crate::onnx::constant::Constant;

impl Reader<'_> {
    /// The view at an input; if it shows a map as a row, that of a flatten layer after it.
    pub(super) fn flattened(&mut self, call: &Call, place: usize) -> Outcome {
        let view = call.view(place)?.clone();
        let shape = self.draft.shape(view.node);
        let Some(row) = view.row() else {
            return Ok(view);
        };
        let is_in_order = match shape.is_row() {
            true => row == whole(Axis::Channel, shape.channels),
            false => order_of(&row, shape)?.into_iter().eq(0..shape.len()),
        };
        match (is_in_order, shape.is_row()) {
            (false, _) => Err("its input is a map that was flattened in another order than channels, rows, columns".into()),
            (true, true) => Ok(view),
            (true, false) => Ok(self.flatten(call, &view, shape)),
        }
    }

    /// The view of the row of a flatten layer, which all readers of the row share.
    pub(super) fn flatten(&mut self, call: &Call, view: &View, shape: Shape) -> View {
        let flatten = Operation::Layer(Layer::Flatten);
        let mut nodes = self.draft.nodes.iter();
        let known = nodes.position(|node| node.operation == flatten && node.inputs == [view.node]);
        let row = Shape::new(1, 1, shape.len());
        let inputs = vec![view.node];
        let node = known.unwrap_or_else(|| self.push(call, flatten, inputs, row));
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
    pub(super) fn gemm(&mut self, call: &Call) -> Outcome {
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
            let is_for_outputs = matches!(bias.shape[..], [] | [_] | [1, _]);
            let values = bias.to_floats().into_iter().map(|value| beta * value);
            match is_for_outputs {
                true => Ok(values.collect::<Vec<f32>>()),
                false => Err("its bias has one value for each image"),
            }
        });
        let bias = bias.transpose()?;
        self.linear(call, &matrix, alpha, bias)
    }

    pub(super) fn matmul(&mut self, call: &Call) -> Outcome {
        let matrix = call.needed(1)?;
        let matrix = Rc::clone(matrix);
        self.linear(call, &matrix, 1.0, None)
    }

    pub(super) fn linear(
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
                let order = order_of(&row, shape)?;
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
        let node = self.push_layer(call, layer, view.node, tensors)?;
        let mut axes = view.axes;
        if let Some(last) = axes.last_mut() {
            *last = whole(Axis::Channel, outputs);
        }
        Ok(View { node, axes })
    }
}
