//! Nodes that only change the view of a map.
use super::super::call::{Call, axis, wanted_sizes};
use super::super::draft::Operation;
use super::super::folding;
use super::super::view::{Axis, whole};
use super::{Outcome, Reader};
use crate::layers::Layer;

impl Reader<'_> {
    /// A change of the view. A channel shuffle becomes a layer.
    pub(super) fn rearranged(&mut self, call: &Call) -> Outcome {
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

    pub(super) fn rearranged_view(&self, call: &Call) -> Outcome {
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
}

/// All places of an axis in their order, perhaps as several axes: some exporters write a view of memory so.
pub(super) fn gathered(call: &Call) -> Outcome {
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
