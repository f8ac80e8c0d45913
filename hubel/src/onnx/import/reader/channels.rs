//! Parts of the channels, and channels side by side.
use std::ops::Range;

use super::super::call::{Call, Value, axis};
use super::super::draft::Operation;
use super::super::folding;
use super::super::view::{Axis, View, whole};
use super::{Outcome, Reader};
use crate::Shape;
use crate::layers::Layer;

impl Reader<'_> {
    /// A part of the channels, which axis `along` of a view shows.
    pub(super) fn channels(
        &mut self,
        call: &Call,
        view: &View,
        along: usize,
        part: Range<usize>,
    ) -> Outcome {
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
        let node = self.push_layer(call, layer, view.node, Vec::new())?;
        let mut taken = view.at(node);
        taken.axes[along] = whole(Axis::Channel, part.len());
        Ok(taken)
    }

    pub(super) fn slice(&mut self, call: &Call) -> Outcome {
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
    pub(super) fn split(&mut self, call: &Call) -> Result<Vec<Value>, String> {
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

    pub(super) fn concat(&mut self, call: &Call) -> Outcome {
        let mut views = Vec::with_capacity(call.inputs.len());
        for place in 0..call.inputs.len() {
            views.push(self.flattened(call, place)?);
        }
        let first = views[0].clone();
        if views.len() == 1 {
            return Ok(first);
        }
        let mut nodes: Vec<usize> = views.iter().map(|view| view.node).collect();
        nodes.sort_unstable();
        if nodes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("it takes the same map twice, which hubel's concatenations do not".into());
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
        let node = self.push(call, Operation::Concat, inputs, shape);
        let mut axes = first.axes;
        axes[along] = whole(Axis::Channel, channels);
        Ok(View { node, axes })
    }
}
