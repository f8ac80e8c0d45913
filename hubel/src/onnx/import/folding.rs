//! Nodes that depend on constants only. Exporters compute sizes, axes and rearranged weights with them.
mod sums;

use std::collections::HashSet;

use half::f16;

use super::call::{Call, axes, axis, wanted_sizes};
use crate::layers::addressable;
use crate::onnx::constant::{Constant, Values};
use crate::onnx::proto::data_type;

pub(super) use sums::work;

/// The most values that an expanded constant may have: a short file must not fill the memory.
const MOST: usize = 1 << 27;

/// The result of a node whose inputs are constants; `None` if hubel does not compute this operator.
pub(super) fn fold(call: &Call) -> Result<Option<Constant>, String> {
    let input = |place| call.needed(place).map(|constant| &**constant);
    Ok(Some(match call.kind() {
        "Identity" => input(0)?.clone(),
        "Cast" => cast(input(0)?, call.int("to"))?,
        "Shape" => {
            let sizes = input(0)?.shape.iter().map(|size| *size as i64);
            between(sizes.collect(), call)
        }
        "Size" => {
            let count = input(0)?.values.len() as i64;
            Constant::scalar(Values::Integers(vec![count]))
        }
        "Gather" => gather(input(0)?, input(1)?, call.int("axis").unwrap_or(0))?,
        "Concat" => concat(call)?,
        "Slice" => slice(call)?,
        "Reshape" => {
            let wanted = call.ints_of("shape", 1)?.ok_or("its sizes are missing")?;
            let constant = input(0)?;
            let sizes = wanted_sizes(&wanted, &constant.shape, call.int("allowzero") == Some(1))?;
            with_shape(constant, sizes)
        }
        "Flatten" => {
            let constant = input(0)?;
            let at = call.int("axis").unwrap_or(1);
            with_shape(constant, flat_sizes(&constant.shape, at)?)
        }
        "Squeeze" => {
            let constant = input(0)?;
            let axes = call.ints_of("axes", 1)?;
            with_shape(constant, squeezed(&constant.shape, axes.as_deref())?)
        }
        "Unsqueeze" => {
            let constant = input(0)?;
            let axes = call.ints_of("axes", 1)?.ok_or("its axes are missing")?;
            with_shape(constant, unsqueezed(&constant.shape, &axes)?)
        }
        "Transpose" => {
            let constant = input(0)?;
            let order = order(call.ints("perm"), constant.shape.len())?;
            transposed(constant, &order)
        }
        "Expand" => {
            let sizes = call.ints_of("shape", 1)?.ok_or("its sizes are missing")?;
            let sizes = sizes.into_iter().map(usize::try_from);
            let sizes: Vec<usize> =
                (sizes.collect::<Result<_, _>>()).map_err(|_| "a size is negative")?;
            let like = Constant {
                values: Values::Integers(vec![0; limited(&sizes)?]),
                shape: sizes,
            };
            arithmetic(input(0)?, &like, |a, _| a, |a, _| Some(a))?
        }
        "Range" => range(input(0)?, input(1)?, input(2)?)?,
        "ConstantOfShape" => {
            let sizes = call.ints_of("", 0)?.ok_or("its sizes are missing")?;
            let sizes = sizes.into_iter().map(usize::try_from);
            let shape: Vec<usize> =
                (sizes.collect::<Result<_, _>>()).map_err(|_| "a size is negative")?;
            let count = limited(&shape)?;
            let value = match call.tensor("value") {
                Some(tensor) => Constant::read(tensor, None)?.values,
                None => Values::Floats(vec![0.0]),
            };
            let values = match value {
                Values::Floats(value) => {
                    Values::Floats(vec![*value.first().ok_or("its value is missing")?; count])
                }
                Values::Integers(value) => {
                    Values::Integers(vec![*value.first().ok_or("its value is missing")?; count])
                }
            };
            Constant { shape, values }
        }
        "Add" => arithmetic(input(0)?, input(1)?, |a, b| a + b, i64::checked_add)?,
        "Sub" => arithmetic(input(0)?, input(1)?, |a, b| a - b, i64::checked_sub)?,
        "Mul" => arithmetic(input(0)?, input(1)?, |a, b| a * b, i64::checked_mul)?,
        "Div" => arithmetic(input(0)?, input(1)?, |a, b| a / b, i64::checked_div)?,
        "Pow" => {
            let whole = |a: i64, b: i64| a.checked_pow(u32::try_from(b).ok()?);
            let power = arithmetic(input(0)?, input(1)?, f32::powf, whole)?;
            match input(0)?.as_integers() {
                Some(_) => power.of_integers(),
                None => power,
            }
        }
        "Max" if call.inputs.len() == 2 => {
            arithmetic(input(0)?, input(1)?, f32::max, |a, b| Some(a.max(b)))?
        }
        "Min" if call.inputs.len() == 2 => {
            arithmetic(input(0)?, input(1)?, f32::min, |a, b| Some(a.min(b)))?
        }
        "MatMul" => sums::product(input(0)?, input(1)?)?,
        "ReduceSum" => sums::reduced(call, 0.0, |sum, next| sum + next)?,
        "ReduceMax" => sums::reduced(call, f32::NEG_INFINITY, f32::max)?,
        "ReduceMin" => sums::reduced(call, f32::INFINITY, f32::min)?,
        "ReduceProd" => sums::reduced(call, 1.0, |product, next| product * next)?,
        "ReduceMean" => {
            let sum = sums::reduced(call, 0.0, |sum, next| sum + next)?;
            let count = input(0)?.values.len() as f32 / sum.values.len().max(1) as f32;
            let mean = each(&sum, |value| value / count);
            match input(0)?.as_integers() {
                Some(_) => mean.of_integers(),
                None => mean,
            }
        }
        "BatchNormalization" => sums::batch_norm(call)?,
        "Clip" => {
            let least = call.float_of("min", 1)?.unwrap_or(f32::NEG_INFINITY);
            let most = call.float_of("max", 2)?.unwrap_or(f32::INFINITY);
            let limited = each(input(0)?, |value| value.max(least).min(most));
            match input(0)?.as_integers() {
                Some(_) => limited.of_integers(),
                None => limited,
            }
        }
        "Equal" => compared(call, |a, b| a == b, |a, b| a == b)?,
        "Greater" => compared(call, |a, b| a > b, |a, b| a > b)?,
        "GreaterOrEqual" => compared(call, |a, b| a >= b, |a, b| a >= b)?,
        "Less" => compared(call, |a, b| a < b, |a, b| a < b)?,
        "LessOrEqual" => compared(call, |a, b| a <= b, |a, b| a <= b)?,
        "And" => compared(call, |_, _| false, |a, b| a != 0 && b != 0)?,
        "Or" => compared(call, |_, _| false, |a, b| a != 0 || b != 0)?,
        "Not" => input(0)?
            .of_integers()
            .map_integers(|value| i64::from(value == 0)),
        // What is 0 is kept of both, and the sum takes the one that is chosen.
        "Where" => {
            let chosen = input(0)?.of_integers();
            let others = chosen.clone().map_integers(|value| i64::from(value == 0));
            let keep = |which: &Constant, value: &Constant| {
                let kept = |a: f32, which: f32| if which == 0.0 { 0.0 } else { a };
                arithmetic(value, which, kept, |a, which| a.checked_mul(which))
            };
            let (kept, rest) = (keep(&chosen, input(1)?)?, keep(&others, input(2)?)?);
            arithmetic(&kept, &rest, |a, b| a + b, i64::checked_add)?
        }
        "Abs" => each(input(0)?, f32::abs),
        "Log" => each(input(0)?, f32::ln),
        "Sqrt" => each(input(0)?, f32::sqrt),
        "Reciprocal" => each(input(0)?, f32::recip),
        "Exp" => each(input(0)?, f32::exp),
        "Floor" => each(input(0)?, f32::floor),
        "Ceil" => each(input(0)?, f32::ceil),
        "Neg" => match input(0)?.as_integers() {
            None => each(input(0)?, |value| -value),
            Some(_) => input(0)?.of_integers().map_integers(i64::wrapping_neg),
        },
        _ => return Ok(None),
    }))
}

/// The numbers from `start` to before `limit`, `step` apart.
fn range(start: &Constant, limit: &Constant, step: &Constant) -> Result<Constant, String> {
    let numbers = [start, limit, step];
    let whole = numbers.map(|number| number.as_integers().and_then(<[i64]>::first).copied());
    let [Some(start), Some(limit), Some(step)] = whole else {
        let single = |number: &Constant| number.single().ok_or("its ends are no numbers");
        let (start, limit, step) = (single(start)?, single(limit)?, single(step)?);
        let count = limited(&[((limit - start) / step).ceil() as usize])?;
        return Ok(Constant {
            shape: vec![count],
            values: Values::Floats(
                (0..count)
                    .map(|place| start + place as f32 * step)
                    .collect(),
            ),
        });
    };
    let distance = i128::from(limit) - i128::from(start);
    let count = match step {
        0 => return Err("its step is 0".into()),
        _ if (distance > 0) != (step > 0) => 0,
        _ => distance.unsigned_abs().div_ceil(step.unsigned_abs().into()),
    };
    let count = limited(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
    // What wraps comes back: each number lies between the ends.
    let number = |place: usize| start.wrapping_add((place as i64).wrapping_mul(step));
    Ok(Constant::integers((0..count).map(number).collect()))
}

/// The number of values of a shape that a file asks for.
fn limited(shape: &[usize]) -> Result<usize, String> {
    (addressable(shape).filter(|count| *count <= MOST))
        .ok_or_else(|| format!("a constant of {shape:?} is too large"))
}

fn with_shape(constant: &Constant, shape: Vec<usize>) -> Constant {
    Constant {
        shape,
        values: constant.values.clone(),
    }
}

/// The values from `start` to `end`, as the operator Shape selects them.
pub(super) fn between(values: Vec<i64>, call: &Call) -> Constant {
    let count = values.len() as i64;
    let place = |name, usual: i64| {
        let place = call.int(name).unwrap_or(usual);
        let place = if place < 0 {
            place.saturating_add(count)
        } else {
            place
        };
        place.clamp(0, count) as usize
    };
    let (start, end) = (place("start", 0), place("end", count));
    Constant::integers(values.get(start..end).unwrap_or_default().to_vec())
}

fn cast(constant: &Constant, to: Option<i64>) -> Result<Constant, String> {
    match to.and_then(|to| i32::try_from(to).ok()) {
        Some(data_type::FLOAT | data_type::DOUBLE) => Ok(constant.of_floats()),
        Some(data_type::FLOAT16) => Ok(each(constant, |value| f16::from_f32(value).to_f32())),
        Some(data_type::INT64 | data_type::INT32) => Ok(constant.of_integers()),
        // Of larger numbers the last eight bits.
        Some(data_type::UINT8) => Ok(constant.of_integers().map_integers(|value| value & 0xff)),
        Some(data_type::BOOL) => {
            let truths = constant.to_floats().into_iter();
            Ok(Constant {
                shape: constant.shape.clone(),
                values: Values::Integers(truths.map(|value| i64::from(value != 0.0)).collect()),
            })
        }
        to => Err(format!(
            "it casts to the type {to:?} of ONNX, which hubel does not know"
        )),
    }
}

/// The values at `places` of the flat constant.
fn picked(constant: &Constant, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Constant {
    let values = match &constant.values {
        Values::Floats(values) => Values::Floats(places.map(|place| values[place]).collect()),
        Values::Integers(values) => Values::Integers(places.map(|place| values[place]).collect()),
    };
    Constant { shape, values }
}

fn gather(constant: &Constant, indices: &Constant, at: i64) -> Result<Constant, String> {
    let at = axis(at, constant.shape.len())?;
    let size = constant.shape[at];
    let indices_of = indices
        .as_integers()
        .ok_or("its indices must be integers")?;
    let rows = indices_of.iter().map(|index| axis(*index, size));
    let rows: Vec<usize> = rows.collect::<Result<_, _>>()?;
    let inner: usize = constant.shape[at + 1..].iter().product();
    let outer: usize = constant.shape[..at].iter().product();
    let mut shape = constant.shape[..at].to_vec();
    shape.extend(&indices.shape);
    shape.extend(&constant.shape[at + 1..]);
    limited(&shape)?;
    let places = (0..outer).flat_map(|outer| {
        let rows = rows.iter();
        rows.flat_map(move |row| (0..inner).map(move |place| (outer * size + row) * inner + place))
    });
    Ok(picked(constant, shape, places))
}

fn concat(call: &Call) -> Result<Constant, String> {
    let parts = (0..call.inputs.len()).map(|place| call.needed(place));
    let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
    let first = parts.first().ok_or("it has no inputs")?;
    let at = axis(call.int("axis").unwrap_or(1), first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[at] = 0;
    for part in &parts {
        let fits = part.shape.len() == shape.len()
            && (0..shape.len()).all(|axis| axis == at || part.shape[axis] == shape[axis]);
        if !fits {
            return Err("its inputs have different sizes".into());
        }
        shape[at] = shape[at].saturating_add(part.shape[at]);
    }
    limited(&shape)?;
    let outer: usize = shape[..at].iter().product();
    let inner = |part: &Constant| part.shape[at..].iter().product::<usize>();
    if parts.iter().all(|part| part.as_integers().is_some()) {
        let mut values = Vec::new();
        for place in 0..outer {
            for part in &parts {
                let size = inner(part);
                values.extend(&part.as_integers().unwrap_or_default()[place * size..][..size]);
            }
        }
        let values = Values::Integers(values);
        return Ok(Constant { shape, values });
    }
    let floats: Vec<Vec<f32>> = parts.iter().map(|part| part.to_floats()).collect();
    let mut values = Vec::new();
    for place in 0..outer {
        for (part, floats) in parts.iter().zip(&floats) {
            let size = inner(part);
            values.extend(&floats[place * size..][..size]);
        }
    }
    let values = Values::Floats(values);
    Ok(Constant { shape, values })
}

fn slice(call: &Call) -> Result<Constant, String> {
    let constant = call.needed(0)?;
    let mut result = (**constant).clone();
    for cut in cuts(call, &constant.shape)? {
        let size = result.shape[cut.axis];
        let inner: usize = result.shape[cut.axis + 1..].iter().product();
        let outer: usize = result.shape[..cut.axis].iter().product();
        let rows: Vec<usize> = cut.rows();
        let mut shape = result.shape.clone();
        shape[cut.axis] = rows.len();
        let places = (0..outer).flat_map(|outer| {
            let rows = rows.iter();
            rows.flat_map(move |row| {
                (0..inner).map(move |place| (outer * size + row) * inner + place)
            })
        });
        result = picked(&result, shape, places);
    }
    Ok(result)
}

/// What Slice takes of one axis.
pub(super) struct Cut {
    pub(super) axis: usize,
    pub(super) start: usize,
    /// Number of places that are taken.
    pub(super) count: usize,
    pub(super) step: i64,
}

impl Cut {
    fn rows(&self) -> Vec<usize> {
        let place = |index: usize| (self.start as i64 + index as i64 * self.step) as usize;
        (0..self.count).map(place).collect()
    }
}

/// What the operator Slice takes of a tensor of these sizes.
pub(super) fn cuts(call: &Call, sizes: &[usize]) -> Result<Vec<Cut>, String> {
    let starts = call.ints_of("starts", 1)?.ok_or("its starts are missing")?;
    let ends = call.ints_of("ends", 2)?.ok_or("its ends are missing")?;
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let along = call.ints_of("axes", 3)?.unwrap_or(all);
    let steps = call.ints_of("steps", 4)?.unwrap_or(vec![1; starts.len()]);
    if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
        return Err("its starts, ends, axes and steps differ in number".into());
    }
    let axes = axes(&along, sizes.len())?;
    if axes.iter().collect::<HashSet<_>>().len() != axes.len() {
        return Err("it names an axis twice".into());
    }
    let cut = |((axis, step), (start, end)): ((usize, i64), (i64, i64))| {
        let size = sizes[axis] as i64;
        // Going backwards, the place before the first is −1.
        let (least, most) = if step < 0 { (-1, size - 1) } else { (0, size) };
        let most = most.max(0);
        let place = |place: i64, least: i64| {
            let place = if place < 0 {
                place.saturating_add(size)
            } else {
                place
            };
            place.clamp(least, most)
        };
        let (start, end) = (place(start, 0), place(end, least));
        let count = match step {
            0 => return Err("it has a step of 0".to_owned()),
            1.. => (end - start)
                .max(0)
                .unsigned_abs()
                .div_ceil(step.unsigned_abs()),
            _ => (start - end)
                .max(0)
                .unsigned_abs()
                .div_ceil(step.unsigned_abs()),
        };
        Ok(Cut {
            axis,
            start: start.max(0) as usize,
            // An empty axis has none, not even going backwards.
            count: count.min(size as u64) as usize,
            step,
        })
    };
    let ranges = starts.into_iter().zip(ends);
    axes.into_iter().zip(steps).zip(ranges).map(cut).collect()
}

/// The order of the axes of Transpose; without one they are reversed.
pub(super) fn order(perm: Option<&[i64]>, count: usize) -> Result<Vec<usize>, String> {
    let order = match perm {
        Some(perm) => axes(perm, count)?,
        None => (0..count).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    match sorted.into_iter().eq(0..count) {
        true => Ok(order),
        false => Err(format!("{order:?} is no order of {count} axes")),
    }
}

pub(super) fn transposed(constant: &Constant, order: &[usize]) -> Constant {
    let mut steps = vec![1; constant.shape.len()];
    for axis in (1..steps.len()).rev() {
        steps[axis - 1] = steps[axis] * constant.shape[axis];
    }
    let shape: Vec<usize> = order.iter().map(|axis| constant.shape[*axis]).collect();
    let steps: Vec<usize> = order.iter().map(|axis| steps[*axis]).collect();
    let places = places(&shape, &steps);
    picked(constant, shape, places.into_iter())
}

/// The place of each value of a tensor of this shape whose axes have these steps.
fn places(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    shape
        .iter()
        .zip(steps)
        .fold(vec![0], |places, (size, step)| {
            let along = |place: &usize| {
                let place = *place;
                (0..*size).map(move |index| place + index * step)
            };
            places.iter().flat_map(along).collect()
        })
}

/// The sizes after Flatten at an axis.
pub(super) fn flat_sizes(sizes: &[usize], at: i64) -> Result<Vec<usize>, String> {
    let at = match usize::try_from(at) {
        Ok(at) if at == sizes.len() => at,
        _ => axis(at, sizes.len())?,
    };
    let product =
        |sizes: &[usize]| addressable(sizes).ok_or("its result is larger than any memory");
    Ok(vec![product(&sizes[..at])?, product(&sizes[at..])?])
}

pub(super) fn squeezed(sizes: &[usize], along: Option<&[i64]>) -> Result<Vec<usize>, String> {
    let along = match along {
        Some(along) => axes(along, sizes.len())?,
        None => (0..sizes.len()).filter(|axis| sizes[*axis] == 1).collect(),
    };
    if let Some(axis) = along.iter().find(|axis| sizes[**axis] != 1) {
        return Err(format!(
            "it removes axis {axis} of {sizes:?}, which is not 1"
        ));
    }
    let kept = (0..sizes.len()).filter(|axis| !along.contains(axis));
    Ok(kept.map(|axis| sizes[axis]).collect())
}

pub(super) fn unsqueezed(sizes: &[usize], along: &[i64]) -> Result<Vec<usize>, String> {
    let count = sizes.len() + along.len();
    let along = axes(along, count)?;
    let mut rest = sizes.iter();
    let size = |axis| match along.contains(&axis) {
        true => Some(1),
        false => rest.next().copied(),
    };
    let result: Option<Vec<usize>> = (0..count).map(size).collect();
    result.ok_or_else(|| "it names an axis twice".to_owned())
}

/// Truth values as 0 and 1.
fn compared(
    call: &Call,
    floats: fn(f32, f32) -> bool,
    integers: fn(i64, i64) -> bool,
) -> Result<Constant, String> {
    let (a, b) = (call.needed(0)?, call.needed(1)?);
    let truths = arithmetic(
        a,
        b,
        |a, b| f32::from(u8::from(floats(a, b))),
        |a, b| Some(i64::from(integers(a, b))),
    )?;
    Ok(truths.of_integers())
}

fn each(constant: &Constant, function: impl Fn(f32) -> f32) -> Constant {
    Constant {
        shape: constant.shape.clone(),
        values: Values::Floats(constant.to_floats().into_iter().map(function).collect()),
    }
}

/// A function of each pair of values. Axes of size 1 are repeated, and missing ones are added at the front.
fn arithmetic(
    a: &Constant,
    b: &Constant,
    floats: impl Fn(f32, f32) -> f32,
    integers: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Constant, String> {
    let count = a.shape.len().max(b.shape.len());
    let size = |constant: &Constant, axis: usize| {
        let before = count - constant.shape.len();
        if axis < before {
            1
        } else {
            constant.shape[axis - before]
        }
    };
    let sizes = (0..count).map(|axis| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        (a, b) => Err(format!("its inputs have {a} and {b} values along an axis")),
    });
    let shape: Vec<usize> = sizes.collect::<Result<_, _>>()?;
    limited(&shape)?;
    let places_of = |constant: &Constant| {
        let mut step = 1;
        let mut steps = vec![0; count];
        for axis in (0..count).rev() {
            if size(constant, axis) > 1 {
                steps[axis] = step;
            }
            step *= size(constant, axis);
        }
        places(&shape, &steps)
    };
    let pairs = places_of(a).into_iter().zip(places_of(b));
    let values = match (&a.values, &b.values) {
        (Values::Integers(a), Values::Integers(b)) => {
            let values = pairs.map(|(i, j)| integers(a[i], b[j]));
            let values = values.collect::<Option<_>>();
            Values::Integers(values.ok_or("it divides by 0, or a result is too large")?)
        }
        _ => {
            let (a, b) = (a.to_floats(), b.to_floats());
            Values::Floats(pairs.map(|(i, j)| floats(a[i], b[j])).collect())
        }
    };
    Ok(Constant { shape, values })
}
