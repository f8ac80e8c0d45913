//! Convolutions, pooling and padding.
use super::super::call::{Call, axes};
use super::super::view::{Axis, Part, View, whole};
use super::super::window;
use super::{Outcome, Reader};
use crate::layers::{Conv, Layer, Pad, PaddingMode};

impl Reader<'_> {
    pub(super) fn conv(&mut self, call: &Call) -> Outcome {
        let (_, input) = self.map(call)?;
        let weights = call.needed(1)?;
        let (filters, channels, kernel) = match weights.shape[..] {
            [filters, channels, height, width] => (filters, channels, vec![height, width]),
            [filters, channels, width] => (filters, channels, vec![width]),
            _ => {
                return Err(format!(
                    "its weights have the shape {:?}, and hubel needs three or four axes",
                    weights.shape
                ));
            }
        };
        let axes = call.view(0)?.axes.len() - 2;
        if kernel.len() != axes {
            return Err(format!(
                "its kernel is {kernel:?}, and its input has {axes} axes beside its channels"
            ));
        }
        let kernel = [
            *kernel.first().filter(|_| axes == 2).unwrap_or(&1),
            kernel[axes - 1],
        ];
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
        let windows = window::read(call, axes, kernel, input)?;
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
        self.layer(call, conv.into(), tensors)
    }

    pub(super) fn pool(&mut self, call: &Call) -> Outcome {
        let (_, input) = self.map(call)?;
        let pool = window::pool(call, call.view(0)?.axes.len() - 2, input)?;
        self.layer(call, pool.into(), Vec::new())
    }

    pub(super) fn pad(&mut self, call: &Call) -> Outcome {
        let (node, _) = self.map(call)?;
        let (sides, mode) = window::pad(call, call.view(0)?.axes.len())?;
        let pad = Pad { sides, mode };
        let node = self.push_layer(call, pad.into(), node, Vec::new())?;
        self.shown(call, node)
    }

    /// A mean or maximum over rows and columns.
    pub(super) fn reduced(&mut self, call: &Call, layer: Layer) -> Outcome {
        let view = call.view(0)?.clone();
        let shape = self.draft.shape(view.node);
        let count = view.axes.len();
        let along = call.ints_of("axes", 1)?.unwrap_or_default();
        if along.is_empty() && call.int("noop_with_empty_axes") == Some(1) {
            return Ok(view);
        }
        if along.is_empty() {
            return Err("hubel reduces rows and columns, and this node reduces all axes".into());
        }
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
        let node = self.push_layer(call, layer, view.node, Vec::new())?;
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
}
