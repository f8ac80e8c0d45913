//! How a tensor of an ONNX file shows a feature map. Reshape and Transpose, Flatten, Squeeze and Unsqueeze only change the view; the map stays as it is.
use crate::Shape;

/// The axes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Batch,
    Channel,
    Row,
    Column,
}

/// A part of an axis: places `stride` apart. An axis that was split, as in a channel shuffle, has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) axis: Axis,
    pub(super) size: usize,
    stride: usize,
}

#[cfg(test)]
impl Part {
    pub(super) fn stride(&self) -> usize {
        self.stride
    }
}

/// A tensor that shows a map: for each of its axes the parts of the map's axes, the last innermost. An axis without parts has the size 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The node whose map it shows.
    pub(super) node: usize,
    pub(super) axes: Vec<Vec<Part>>,
}

/// The number of images of a batch whose size the file leaves open. It is a prime that no other axis has, so that sizes computed from it can be told
/// from others, and small enough for constants with a value for each place of a row.
pub(super) const OPEN_BATCH: usize = 10_007;

impl View {
    /// The map of `node` as `[n, c, h, w]`.
    pub(super) fn of(node: usize, shape: Shape, batch: usize) -> Self {
        let axes = [
            (Axis::Batch, batch),
            (Axis::Channel, shape.channels),
            (Axis::Row, shape.height),
            (Axis::Column, shape.width),
        ];
        Self {
            node,
            axes: axes.map(|(axis, size)| whole(axis, size)).into(),
        }
    }

    /// The same view of another node, whose map has the same shape.
    pub(super) fn at(&self, node: usize) -> Self {
        Self {
            node,
            axes: self.axes.clone(),
        }
    }

    pub(super) fn sizes(&self) -> Vec<usize> {
        self.axes.iter().map(|parts| size(parts)).collect()
    }

    /// Whether it shows a map of this shape as `[n, c, h, w]`, or one of a single row as `[n, c, w]`.
    pub(super) fn is_map(&self, shape: Shape) -> bool {
        let (batch, channels, rows, columns) = match &self.axes[..] {
            [batch, channels, rows, columns] => (batch, channels, &rows[..], columns),
            [batch, channels, columns] => (batch, channels, &[][..], columns),
            _ => return false,
        };
        is_batch(batch)
            && *channels == whole(Axis::Channel, shape.channels)
            && *rows == whole(Axis::Row, shape.height)
            && *columns == whole(Axis::Column, shape.width)
    }

    /// Without the axis of the rows, which have the size 1.
    pub(super) fn without_rows(mut self) -> Self {
        self.axes.remove(2);
        self
    }

    /// Whether its last axis holds all channels of a map of this shape, and the others hold the batch and its places.
    pub(super) fn ends_in_channels(&self, shape: Shape) -> bool {
        let Some((last, others)) = self.axes.split_last() else {
            return false;
        };
        let others: Vec<Part> = others.concat();
        *last == whole(Axis::Channel, shape.channels)
            && others.iter().all(|part| part.axis != Axis::Channel)
    }

    /// If it shows the values of each image in the order of `[c, h, w]`, and its second axis shows groups of neighbouring channels: their number.
    pub(super) fn groups(&self, shape: Shape) -> Option<usize> {
        let (batch, others) = self.axes.split_first()?;
        let count = size(others.first()?);
        let in_order = [
            whole(Axis::Channel, shape.channels),
            whole(Axis::Row, shape.height),
            whole(Axis::Column, shape.width),
        ];
        let is_plain = is_batch(batch) && merged(others.concat()) == in_order.concat();
        (is_plain && shape.channels.is_multiple_of(count)).then_some(count)
    }

    /// If it shows each image as one row, `[n, values]`, with other axes of size 1: the parts of the row in order.
    pub(super) fn row(&self) -> Option<Vec<Part>> {
        let (first, others) = self.axes.split_first()?;
        let filled = others.iter().filter(|parts| !parts.is_empty()).count();
        (is_batch(first) && filled <= 1).then(|| others.concat())
    }

    /// The axis of this tensor that shows exactly this axis of the map.
    pub(super) fn shows(&self, axis: Axis, size: usize) -> Option<usize> {
        self.axes
            .iter()
            .position(|parts| *parts == whole(axis, size))
    }

    /// The axis of this tensor that shows all channels in the order of a channel shuffle, and its number of groups.
    pub(super) fn shuffle(&self, channels: usize) -> Option<(usize, usize)> {
        let groups_of = |parts: &Vec<Part>| match parts[..] {
            [of_group, groups]
                if [of_group.axis, groups.axis] == [Axis::Channel; 2]
                    && of_group.size * groups.size == channels
                    && [of_group.stride, groups.stride] == [1, of_group.size] =>
            {
                Some(groups.size)
            }
            _ => None,
        };
        let axes = self.axes.iter().map(groups_of).enumerate();
        let mut found = axes.filter_map(|(axis, groups)| Some((axis, groups?)));
        found.next()
    }

    /// Whether this view, of one channel, has the axes of another view without its channels.
    pub(super) fn has_axes_but_channels(&self, all: &View) -> bool {
        self.axes.len() == all.axes.len()
            && (self.axes.iter().zip(&all.axes)).all(|(one, all)| match &all[..] {
                [part] if part.axis == Axis::Channel => one.is_empty(),
                _ => one == all,
            })
    }

    pub(super) fn transposed(&self, order: &[usize]) -> Option<Self> {
        let mut seen = order.to_vec();
        seen.sort_unstable();
        let is_order = seen.into_iter().eq(0..self.axes.len());
        is_order.then(|| Self {
            node: self.node,
            axes: order.iter().map(|axis| self.axes[*axis].clone()).collect(),
        })
    }

    /// The same values in a tensor of these sizes; `None` if an axis of it would hold a part of one axis and a part of another that is not whole.
    pub(super) fn reshaped(&self, sizes: &[usize]) -> Option<Self> {
        let mut rest: Vec<Part> = self.axes.concat();
        rest.reverse();
        let mut axes = Vec::with_capacity(sizes.len());
        for &wanted in sizes {
            let mut left = wanted;
            let mut parts = Vec::new();
            while left > 1 {
                let part = rest.pop()?;
                if left.is_multiple_of(part.size) {
                    left /= part.size;
                    parts.push(part);
                } else if part.size.is_multiple_of(left) && part.axis != Axis::Batch {
                    let inner = part.size / left;
                    rest.push(Part {
                        size: inner,
                        ..part
                    });
                    parts.push(Part {
                        size: left,
                        stride: part.stride * inner,
                        ..part
                    });
                    left = 1;
                } else {
                    return None;
                }
            }
            if wanted == 0 {
                return None;
            }
            axes.push(merged(parts));
        }
        rest.is_empty().then_some(Self {
            node: self.node,
            axes,
        })
    }
}

/// The longest row of a map that is followed: a short file must not fill the memory.
const LONGEST: usize = 1 << 26;

/// For each value of a row with these parts, its index in the same map flattened as `[c, h, w]`.
pub(super) fn order_of(row: &[Part], shape: Shape) -> Result<Vec<usize>, String> {
    if shape.len() > LONGEST {
        return Err(format!(
            "it reads a map of {shape} as one row, which is too long"
        ));
    }
    let step = |axis| match axis {
        Axis::Channel => shape.height * shape.width,
        Axis::Row => shape.width,
        Axis::Batch | Axis::Column => 1,
    };
    Ok(row.iter().fold(vec![0], |places, part| {
        let steps = (0..part.size).map(|place| place * part.stride * step(part.axis));
        let steps: Vec<usize> = steps.collect();
        (places.iter())
            .flat_map(|place| steps.iter().map(move |step| place + step))
            .collect()
    }))
}

fn size(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.size).product()
}

/// All of an axis.
pub(super) fn whole(axis: Axis, size: usize) -> Vec<Part> {
    match size {
        1 => Vec::new(),
        _ => vec![Part {
            axis,
            size,
            stride: 1,
        }],
    }
}

/// A batch of 1 has no parts.
fn is_batch(parts: &[Part]) -> bool {
    parts.iter().all(|part| part.axis == Axis::Batch)
}

/// Joins the parts of an axis that lie in its order.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(outer) if outer.axis == part.axis && outer.stride == part.size * part.stride => {
                outer.size *= part.size;
                outer.stride = part.stride;
            }
            _ => merged.push(part),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(3, 4, 6);

    fn view() -> View {
        View::of(0, SHAPE, OPEN_BATCH)
    }

    #[test]
    fn a_channel_shuffle_keeps_the_sizes_and_changes_the_order() {
        let split = view().reshaped(&[OPEN_BATCH, 2, 3, 3, 4]).unwrap();
        let shuffled = split.transposed(&[0, 2, 1, 3, 4]).unwrap();
        let joined = shuffled.reshaped(&[OPEN_BATCH, 6, 3, 4]).unwrap();
        assert_eq!(joined.sizes(), view().sizes());
        assert!(!joined.is_map(SHAPE));
        let channels = order_of(&joined.axes[1], Shape::new(1, 1, 6)).unwrap();
        assert_eq!(channels, [0, 3, 1, 4, 2, 5]);
        assert_eq!(joined.shuffle(6), Some((1, 2)));
        assert_eq!(
            [&view(), &split, &shuffled].map(|view| view.shuffle(6)),
            [None; 3]
        );
        // And back.
        let split = joined.reshaped(&[OPEN_BATCH, 3, 2, 3, 4]).unwrap();
        let back = split.transposed(&[0, 2, 1, 3, 4]).unwrap();
        assert!(back.reshaped(&[OPEN_BATCH, 6, 3, 4]).unwrap().is_map(SHAPE));
    }

    #[test]
    fn a_row_knows_the_order_of_its_values() {
        let row = view().reshaped(&[OPEN_BATCH, 72]).unwrap().row().unwrap();
        assert_eq!(order_of(&row, SHAPE).unwrap(), (0..72).collect::<Vec<_>>());
        let last = view().transposed(&[0, 2, 3, 1]).unwrap();
        assert!(last.ends_in_channels(SHAPE));
        let row = last.reshaped(&[OPEN_BATCH, 72]).unwrap().row().unwrap();
        let order = order_of(&row, SHAPE).unwrap();
        // Channels are innermost: the second value is that of channel 1, at the same place.
        assert_eq!(order[..3], [0, 12, 24]);
        assert_eq!(order[6], 1);
    }

    #[test]
    fn groups_of_channels_are_the_second_axis_in_order() {
        assert_eq!(view().groups(SHAPE), Some(6));
        let reshaped = |sizes: &[usize]| view().reshaped(sizes).unwrap();
        assert_eq!(reshaped(&[OPEN_BATCH, 2, 36]).groups(SHAPE), Some(2));
        assert_eq!(reshaped(&[OPEN_BATCH, 3, 2, 3, 4]).groups(SHAPE), Some(3));
        assert_eq!(reshaped(&[OPEN_BATCH, 1, 72]).groups(SHAPE), Some(1));
        // Rows are no channels.
        assert_eq!(reshaped(&[OPEN_BATCH, 18, 4]).groups(SHAPE), None);
        let shuffled = reshaped(&[OPEN_BATCH, 2, 3, 12]).transposed(&[0, 2, 1, 3]);
        assert_eq!(shuffled.unwrap().groups(SHAPE), None);
        let last = view().transposed(&[0, 2, 3, 1]).unwrap();
        assert_eq!(last.groups(SHAPE), None);
    }

    #[test]
    fn axes_of_size_one_come_and_go() {
        let pooled = View::of(0, Shape::new(1, 1, 6), OPEN_BATCH);
        assert!(pooled.row().is_some());
        let row = pooled.reshaped(&[OPEN_BATCH, 6]).unwrap();
        assert!(row.row().is_some() && !row.is_map(Shape::new(1, 1, 6)));
        let map = row.reshaped(&[OPEN_BATCH, 6, 1, 1]).unwrap();
        assert!(map.is_map(Shape::new(1, 1, 6)));
    }

    #[test]
    fn a_view_that_would_mix_images_is_none() {
        assert_eq!(view().reshaped(&[OPEN_BATCH * 6, 3, 5]), None);
        assert_eq!(view().reshaped(&[OPEN_BATCH, 71]), None);
        assert_eq!(view().reshaped(&[OPEN_BATCH, 5, 72]), None);
        assert_eq!(view().reshaped(&[0, 72]), None);
        assert_eq!(view().transposed(&[0, 0, 1, 2]), None);
    }
}
