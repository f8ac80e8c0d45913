//! Tensors whose values are known before the network runs: weights, sizes, axes.
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use prost::bytes::Bytes;

use super::proto::{self, data_type};
use crate::formats::float::Float;
use crate::formats::regular;
use crate::layers::addressable;
use crate::memory;

/// A tensor with its values, the last axis innermost. An empty shape is a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// The values of a [`Constant`]. Other types of floats and of integers are converted; truth values are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }
}

impl Constant {
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self {
            shape: vec![values.len()],
            values: Values::Integers(values),
        }
    }

    pub(super) fn scalar(values: Values) -> Self {
        Self {
            shape: Vec::new(),
            values,
        }
    }

    /// The values as floats.
    pub(super) fn to_floats(&self) -> Vec<f32> {
        match &self.values {
            Values::Floats(values) => values.clone(),
            Values::Integers(values) => values.iter().map(|value| *value as f32).collect(),
        }
    }

    /// The same with floats as values.
    pub(super) fn of_floats(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            values: Values::Floats(self.to_floats()),
        }
    }

    /// The same with integers as values: floats lose what comes after the point.
    pub(super) fn of_integers(&self) -> Self {
        let values = match &self.values {
            Values::Integers(values) => values.clone(),
            Values::Floats(values) => values.iter().map(|value| *value as i64).collect(),
        };
        Self {
            shape: self.shape.clone(),
            values: Values::Integers(values),
        }
    }

    /// The same with a function of each of its integers.
    pub(super) fn map_integers(mut self, function: fn(i64) -> i64) -> Self {
        if let Values::Integers(values) = &mut self.values {
            values
                .iter_mut()
                .for_each(|value| *value = function(*value));
        }
        self
    }

    /// The values, if they are integers.
    pub(super) fn as_integers(&self) -> Option<&[i64]> {
        match &self.values {
            Values::Integers(values) => Some(values),
            Values::Floats(_) => None,
        }
    }

    /// Its only value.
    pub(super) fn single(&self) -> Option<f32> {
        match &self.values {
            Values::Floats(values) => <[f32; 1]>::try_from(&values[..]).ok().map(|[value]| value),
            Values::Integers(values) => match values[..] {
                [value] => Some(value as f32),
                _ => None,
            },
        }
    }

    /// Reads a tensor of a file; its values may be in another file in `folder`.
    pub(super) fn read(tensor: &proto::Tensor, folder: Option<&Path>) -> Result<Self, String> {
        let sizes = tensor.dims.iter().map(|size| usize::try_from(*size).ok());
        let shape: Vec<usize> = (sizes.collect::<Option<_>>()).ok_or("a size is negative")?;
        let count = addressable(&shape).ok_or("it is larger than any memory")?;
        let kind = tensor.data_type.unwrap_or_default();
        let bytes = match (tensor.data_location, folder) {
            (Some(1), Some(folder)) => Some(external(tensor, folder, count)?),
            (Some(1), None) => return Err("its values are in another file".into()),
            // Some writers leave the bytes empty beside a list of values.
            _ => (tensor.raw_data.clone()).filter(|bytes| !bytes.is_empty() || count == 0),
        };
        let values = match bytes {
            Some(bytes) => of_bytes(kind, &bytes)?,
            None => of_lists(kind, tensor)?,
        };
        if values.len() != count {
            return Err(format!(
                "its shape {shape:?} needs {count} values, and it has {}",
                values.len()
            ));
        }
        Ok(Self { shape, values })
    }
}

/// The bytes of a tensor of `count` values in another file, which must lie beside the model or below its folder.
fn external(tensor: &proto::Tensor, folder: &Path, count: usize) -> Result<Bytes, String> {
    let entry = |name: &str| {
        let mut entries = tensor.external_data.iter();
        let found = entries.find(|entry| entry.key.as_deref() == Some(name));
        found.and_then(|entry| entry.value.as_deref())
    };
    let number = |name: &str| {
        let number = entry(name).map(str::parse::<u64>);
        (number.transpose()).map_err(|_| format!("the `{name}` of its external data is no number"))
    };
    let location = Path::new(entry("location").ok_or("its external data has no location")?);
    let is_below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if !location.components().all(is_below) {
        return Err(format!(
            "its values are in {}, which is outside of the model's folder",
            location.display()
        ));
    }
    let path = folder.join(location);
    // As many bytes as the tensor needs, whatever the entry says.
    let width = width(tensor.data_type.unwrap_or_default())?;
    let needed = width.saturating_mul(count);
    memory::check_weights(needed.saturating_mul(2)).map_err(|error| error.to_string())?;
    let read = |mut file: File| {
        file.seek(SeekFrom::Start(number("offset")?.unwrap_or(0)))
            .map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        (file.take(needed as u64).read_to_end(&mut bytes)).map_err(|error| error.to_string())?;
        match bytes.len() == needed {
            true => Ok(Bytes::from(bytes)),
            false => Err(format!(
                "it ends after {} of {needed} bytes of this tensor",
                bytes.len()
            )),
        }
    };
    if let Some(length) = number("length")?.filter(|length| *length != needed as u64) {
        return Err(format!(
            "its external data has {length} bytes, and it needs {needed}"
        ));
    }
    let opened = regular::open(&path).map_err(|error| error.to_string());
    opened.and_then(read).map_err(|problem| {
        format!(
            "its values are in {}: {problem}; put that file beside the model",
            path.display()
        )
    })
}

/// Bytes of a number of a type of ONNX.
fn width(kind: i32) -> Result<usize, String> {
    match kind {
        data_type::DOUBLE | data_type::INT64 => Ok(8),
        data_type::FLOAT | data_type::INT32 => Ok(4),
        data_type::FLOAT16 | data_type::BFLOAT16 => Ok(2),
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => Ok(1),
        _ => Err(unknown_type(kind)),
    }
}

fn of_bytes(kind: i32, bytes: &[u8]) -> Result<Values, String> {
    let float = match kind {
        data_type::FLOAT => Some(Float::F32),
        data_type::FLOAT16 => Some(Float::F16),
        data_type::BFLOAT16 => Some(Float::BF16),
        data_type::DOUBLE => Some(Float::F64),
        _ => None,
    };
    if let Some(float) = float {
        if !bytes.len().is_multiple_of(float.width()) {
            return Err("its values end in the middle of a number".into());
        }
        let mut numbers = Vec::new();
        float.decode(bytes, &mut numbers);
        return Ok(Values::Floats(numbers));
    }
    let integers = match kind {
        data_type::UINT8 | data_type::BOOL => bytes.iter().map(|byte| (*byte).into()).collect(),
        data_type::INT8 => bytes.iter().map(|byte| byte.cast_signed().into()).collect(),
        data_type::INT32 => whole(bytes, |bytes| i32::from_le_bytes(bytes).into())?,
        data_type::INT64 => whole(bytes, i64::from_le_bytes)?,
        _ => return Err(unknown_type(kind)),
    };
    Ok(Values::Integers(integers))
}

fn whole<const WIDTH: usize>(
    bytes: &[u8],
    number: fn([u8; WIDTH]) -> i64,
) -> Result<Vec<i64>, String> {
    let (all, rest) = bytes.as_chunks::<WIDTH>();
    if !rest.is_empty() {
        return Err("its values end in the middle of a number".into());
    }
    Ok(all.iter().map(|bytes| number(*bytes)).collect())
}

fn of_lists(kind: i32, tensor: &proto::Tensor) -> Result<Values, String> {
    let halves = |float: Float| {
        let halves = tensor.int32_data.iter().map(|half| *half as u16);
        let bytes: Vec<u8> = halves.flat_map(u16::to_le_bytes).collect();
        let mut numbers = Vec::new();
        float.decode(&bytes, &mut numbers);
        Values::Floats(numbers)
    };
    Ok(match kind {
        data_type::FLOAT => Values::Floats(tensor.float_data.clone()),
        data_type::DOUBLE => Values::Floats(tensor.double_data.iter().map(|x| *x as f32).collect()),
        data_type::FLOAT16 => halves(Float::F16),
        data_type::BFLOAT16 => halves(Float::BF16),
        data_type::INT64 => Values::Integers(tensor.int64_data.clone()),
        data_type::UINT8 | data_type::INT8 | data_type::INT32 | data_type::BOOL => {
            Values::Integers(tensor.int32_data.iter().map(|x| (*x).into()).collect())
        }
        _ => return Err(unknown_type(kind)),
    })
}

fn unknown_type(kind: i32) -> String {
    format!("its values have the type {kind} of ONNX, which hubel does not read")
}
