//! Sums, differences, products and quotients: of two maps, and of a map and a constant.
use std::rc::Rc;

use super::super::call::{Call, Value, axis};
use super::super::draft::{Affine, Operation};
use super::super::view::{Axis, View};
use super::{Outcome, Reader};
use crate::Shape;
use crate::layers::{Activation, Layer};
use crate::onnx::constant::Constant;

impl Reader<'_> {
    /// Both inputs show maps: the nodes, if places and channels agree, and a view for the result.
    pub(super) fn pair(&mut self, call: &Call, places: [usize; 2]) -> Result<(View, View), String> {
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

    pub(super) fn combined(
        &mut self,
        call: &Call,
        operation: Operation,
        a: &View,
        b: &View,
    ) -> View {
        let shape = self.draft.shape(a.node);
        let node = self.push(call, operation, vec![a.node, b.node], shape);
        a.at(node)
    }

    pub(super) fn sum(&mut self, call: &Call) -> Outcome {
        if call.inputs.len() == 2
            && let Some((place, constant)) = constant_beside(call)
        {
            return self.affine(call, place, |value| (1.0, value), &constant);
        }
        let mut sum = self.flattened(call, 0)?;
        for place in 1..call.inputs.len() {
            let (_, other) = self.pair(call, [0, place])?;
            sum = match sum.node == other.node {
                true => self.elementwise_of(call, sum, Operation::Affine(Affine::of(2.0, 0.0))),
                false => self.combined(call, Operation::Add, &sum, &other),
            };
        }
        Ok(sum)
    }

    pub(super) fn difference(&mut self, call: &Call) -> Outcome {
        match constant_beside(call) {
            Some((0, constant)) => self.affine(call, 0, |value| (1.0, -value), &constant),
            Some((place, constant)) => self.affine(call, place, |value| (-1.0, value), &constant),
            None => {
                let (map, mean) = (self.flattened(call, 0)?, call.view(1)?);
                let of_mean = &self.draft.nodes[mean.node];
                if of_mean.operation == Operation::ChannelMean
                    && of_mean.inputs == [map.node]
                    && mean.has_axes_but_channels(&map)
                {
                    return Ok(self.elementwise_of(call, map, Operation::Centred));
                }
                let (a, b) = self.pair(call, [0, 1])?;
                let minus = Operation::Affine(Affine::of(-1.0, 0.0));
                let b = self.elementwise_of(call, b, minus);
                Ok(self.combined(call, Operation::Add, &a, &b))
            }
        }
    }

    pub(super) fn product(&mut self, call: &Call) -> Outcome {
        if let Some((place, constant)) = constant_beside(call) {
            return self.affine(call, place, |value| (value, 0.0), &constant);
        }
        let [a, b] = [self.flattened(call, 0)?, self.flattened(call, 1)?];
        if a == b {
            return Ok(self.elementwise_of(call, a, Operation::Square));
        }
        for (map, factors) in [(&a, &b), (&b, &a)] {
            let [shape, of_factors] = [map, factors].map(|view| self.draft.shape(view.node));
            let is_whole = map.axes == factors.axes && shape == of_factors;
            let for_channels = map.axes.len() == factors.axes.len()
                && map.is_map(shape)
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

    pub(super) fn quotient(&mut self, call: &Call) -> Outcome {
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
    pub(super) fn affine(
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
        if constant.values.len() != 1 {
            self.check_channels(call, &view, constant)?;
        }
        let (scale, shift) = constant.to_floats().into_iter().map(of_value).unzip();
        let affine = Operation::Affine(Affine { scale, shift });
        Ok(self.elementwise_of(call, view, affine))
    }

    /// One of two maps, chosen by a comparison.
    pub(super) fn choice(&mut self, call: &Call) -> Outcome {
        let (above, a) = self.pair(call, [0, 1])?;
        let (_, b) = self.pair(call, [0, 2])?;
        if !matches!(self.draft.nodes[above.node].operation, Operation::Above(_)) {
            return Err("hubel chooses by a threshold only, as a part of softplus".into());
        }
        let shape = self.draft.shape(a.node);
        let inputs = vec![above.node, a.node, b.node];
        let node = self.push(call, Operation::Choice, inputs, shape);
        Ok(a.at(node))
    }

    /// Checks that a constant has one value for each channel of a view.
    fn check_channels(&self, call: &Call, view: &View, constant: &Constant) -> Result<(), String> {
        let channels = self.draft.shape(view.node).channels;
        let along = channel_axis(call, constant, view.axes.len())?;
        let is_along = view.shows(Axis::Channel, channels) == Some(along);
        match is_along && constant.values.len() == channels {
            true => Ok(()),
            false => Err(format!(
                "its constant of the shape {:?} is not one value for each channel",
                constant.shape
            )),
        }
    }

    /// PRelu with one slope, or with one for each channel.
    pub(super) fn prelu(&mut self, call: &Call) -> Outcome {
        let slopes = call.needed(1)?;
        let values = slopes.to_floats();
        if let [slope] = values[..] {
            return self.activation(call, Activation::LeakyRelu(slope));
        }
        let view = self.flattened(call, 0)?;
        match self.check_slopes(call, &view, slopes) {
            Ok(()) => {
                let node =
                    self.push_layer(call, Layer::Prelu, view.node, vec![("weight", values)])?;
                Ok(view.at(node))
            }
            // Equal slopes are one slope, whichever axis they lie along.
            Err(_) if !values.is_empty() && values.iter().all(|slope| *slope == values[0]) => {
                self.activation(call, Activation::LeakyRelu(values[0]))
            }
            Err(reason) => Err(reason),
        }
    }

    /// Checks that there is one slope for each channel of a view.
    fn check_slopes(&self, call: &Call, view: &View, slopes: &Constant) -> Result<(), String> {
        let channels = self.draft.shape(view.node).channels;
        // Before version 7 of the operators, the slopes are those of the second axis.
        let is_old = slopes.shape == [channels]
            && view.sizes().last() != Some(&channels)
            && view.shows(Axis::Channel, channels) == Some(1);
        match is_old {
            true => Ok(()),
            false => self.check_channels(call, view, slopes),
        }
    }

    /// Max or Min with constants.
    pub(super) fn limited(&mut self, call: &Call) -> Outcome {
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
