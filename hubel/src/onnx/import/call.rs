//! A node of a file with the values of its inputs and its attributes.
use std::rc::Rc;

use super::view::View;
use crate::onnx::constant::Constant;
use crate::onnx::proto::{self, attribute_type};

/// A value while a file is read.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    View(View),
    /// The result of a node that was refused.
    Unknown,
}

/// The problem of a node that reads the result of one that was refused. It is not told.
pub(super) const UNKNOWN: &str = "its input is unknown";

/// A node with its inputs; `None` for those that are left out.
pub(super) struct Call<'n> {
    pub(super) node: &'n proto::Node,
    pub(super) inputs: Vec<Option<Value>>,
}

impl Call<'_> {
    pub(super) fn kind(&self) -> &str {
        self.node.op_type.as_deref().unwrap_or_default()
    }

    /// Input `place`, which shows a map.
    pub(super) fn view(&self, place: usize) -> Result<&View, String> {
        match self.inputs.get(place) {
            Some(Some(Value::View(view))) => Ok(view),
            Some(Some(Value::Unknown)) => Err(UNKNOWN.into()),
            Some(Some(_)) => {
                Err("hubel needs the result of a layer where it has a constant".into())
            }
            _ => Err(format!("its input {place} is missing")),
        }
    }

    /// Input `place`, which is a constant, or `None` if it is left out.
    pub(super) fn constant(&self, place: usize) -> Result<Option<&Rc<Constant>>, String> {
        match self.inputs.get(place) {
            Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
            Some(Some(Value::Unknown)) => Err(UNKNOWN.into()),
            Some(Some(_)) => Err(format!(
                "its input {place}, `{}`, depends on the picture; hubel needs a constant there",
                self.node.input[place]
            )),
            _ => Ok(None),
        }
    }

    /// Input `place`, which is a constant.
    pub(super) fn needed(&self, place: usize) -> Result<&Rc<Constant>, String> {
        let missing = || format!("its input {place} is missing");
        self.constant(place)?.ok_or_else(missing)
    }

    /// The name of the value at input `place`.
    pub(super) fn input_name(&self, place: usize) -> &str {
        self.node.input.get(place).map_or("", String::as_str)
    }

    fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        let mut attributes = self.node.attribute.iter();
        attributes.find(|attribute| attribute.name.as_deref() == Some(name))
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        let attribute = self.attribute(name)?;
        match attribute.r#type {
            Some(attribute_type::INT) => Some(attribute.i.unwrap_or(0)),
            _ => attribute.i,
        }
    }

    pub(super) fn float(&self, name: &str) -> Option<f32> {
        let attribute = self.attribute(name)?;
        // Some writers leave out a 0, or write a whole number.
        match attribute.r#type {
            Some(attribute_type::FLOAT) => Some(attribute.f.unwrap_or(0.0)),
            Some(attribute_type::INT) => Some(attribute.i.unwrap_or(0) as f32),
            _ => attribute.f,
        }
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    pub(super) fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|attribute| &attribute.floats[..])
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attribute(name)?.s.as_ref()?).ok()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&proto::Tensor> {
        self.attribute(name)?.t.as_ref()
    }

    /// Integers that are an attribute in older versions of the operator and an input in newer ones.
    pub(super) fn ints_of(&self, name: &str, place: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(ints) = self.ints(name) {
            return Ok(Some(ints.to_vec()));
        }
        let Some(constant) = self.constant(place)? else {
            return Ok(None);
        };
        let ints = constant
            .as_integers()
            .ok_or_else(|| format!("`{name}` must be integers"))?;
        Ok(Some(ints.to_vec()))
    }

    /// A float that is an attribute in older versions of the operator and an input in newer ones.
    pub(super) fn float_of(&self, name: &str, place: usize) -> Result<Option<f32>, String> {
        if let Some(value) = self.float(name) {
            return Ok(Some(value));
        }
        let Some(constant) = self.constant(place)? else {
            return Ok(None);
        };
        let value = constant
            .single()
            .ok_or_else(|| format!("`{name}` must be one number"))?;
        Ok(Some(value))
    }
}

/// The place of an axis that may count from the end.
pub(super) fn axis(axis: i64, count: usize) -> Result<usize, String> {
    let place = if axis < 0 {
        axis.saturating_add(count as i64)
    } else {
        axis
    };
    (usize::try_from(place).ok().filter(|place| *place < count))
        .ok_or_else(|| format!("it has an axis {axis}, and its input has {count} axes"))
}

/// [`axis`] for several.
pub(super) fn axes(axes: &[i64], count: usize) -> Result<Vec<usize>, String> {
    axes.iter().map(|place| axis(*place, count)).collect()
}

/// The sizes that Reshape asks for: −1 is what is left, 0 the size that it was, unless `allow_zero`.
pub(super) fn wanted_sizes(
    wanted: &[i64],
    sizes: &[usize],
    allow_zero: bool,
) -> Result<Vec<usize>, String> {
    let total: u128 = sizes.iter().map(|size| *size as u128).product();
    let problem =
        || format!("it makes {wanted:?} of {sizes:?}, which has another number of values");
    let mut result = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (place, &size) in wanted.iter().enumerate() {
        result.push(match size {
            -1 if open.is_some() => return Err(format!("{wanted:?} leaves two sizes open")),
            -1 => {
                open = Some(place);
                1
            }
            0 if !allow_zero => *sizes.get(place).ok_or_else(problem)?,
            size => usize::try_from(size).map_err(|_| problem())?,
        });
    }
    let known = result
        .iter()
        .try_fold(1u128, |product, size| product.checked_mul(*size as u128));
    let known = known.ok_or_else(problem)?;
    match open {
        Some(place) if known > 0 && total.is_multiple_of(known) => {
            result[place] = usize::try_from(total / known).map_err(|_| problem())?;
        }
        None if known == total => {}
        _ => return Err(problem()),
    }
    Ok(result)
}
