//! The Python objects that a file of tensors may name, and what each returns for its arguments. All others are rejected.
//!
//! Source: PyTorch's `torch/_utils.py` and `torch/serialization.py`.
use std::rc::Rc;

use super::pickle::{Place, Value};
use crate::formats::float::Float;

/// A supported Python object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    /// `_rebuild_tensor`: storage, offset, sizes, strides. `_v2` adds values for training, `_v3` the element type.
    Tensor,
    TypedTensor,
    /// A trained tensor.
    Parameter,
    /// A storage of elements of one type.
    Storage(Element),
    /// An element type without its own storage class.
    Type(Element),
}

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) name: &'static str,
    /// Bytes of an element.
    pub(super) width: usize,
    /// The float type, if it is supported.
    pub(super) float: Option<Float>,
}

/// A storage of tensor elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub(super) element: Element,
    /// Its name in the file.
    pub(super) key: Rc<str>,
    /// Number of elements.
    pub(super) count: usize,
    /// Start of the view: old files have views of storages.
    pub(super) start: usize,
}

/// A tensor before its values are read. Element i, j … is at `offset` + i · `strides[0]` + j · `strides[1]` + … of the storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) element: Element,
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Tensor {
    /// Number of elements; `None` on overflow.
    pub(super) fn elements(&self) -> Option<usize> {
        match self.shape.contains(&0) {
            true => Some(0),
            false => (self.shape.iter()).try_fold(1_usize, |count, size| count.checked_mul(*size)),
        }
    }
}

/// The result of a call.
pub(super) enum Made {
    New(Value),
    /// One of its arguments.
    Old(Place),
}

/// Most axes of a tensor.
const MOST_AXES: usize = 8;

const fn element(name: &'static str, width: usize, float: Option<Float>) -> Element {
    Element { name, width, float }
}

/// The storage classes of PyTorch, and their element types.
const STORAGES: [(&str, Element); 18] = [
    ("DoubleStorage", element("float64", 8, Some(Float::F64))),
    ("FloatStorage", element("float32", 4, Some(Float::F32))),
    ("HalfStorage", element("float16", 2, Some(Float::F16))),
    ("BFloat16Storage", element("bfloat16", 2, Some(Float::BF16))),
    ("LongStorage", element("int64", 8, None)),
    ("IntStorage", element("int32", 4, None)),
    ("ShortStorage", element("int16", 2, None)),
    ("CharStorage", element("int8", 1, None)),
    ("ByteStorage", element("uint8", 1, None)),
    ("BoolStorage", element("bool", 1, None)),
    ("ComplexFloatStorage", element("complex64", 8, None)),
    ("ComplexDoubleStorage", element("complex128", 16, None)),
    ("QInt8Storage", element("qint8", 1, None)),
    ("QUInt8Storage", element("quint8", 1, None)),
    ("QInt32Storage", element("qint32", 4, None)),
    ("QUInt4x2Storage", element("quint4x2", 1, None)),
    ("QUInt2x4Storage", element("quint2x4", 1, None)),
    // Its elements are bytes; the tensor has the type.
    ("UntypedStorage", element("bytes", 1, None)),
];

/// Element types of tensors in an untyped storage.
const TYPES: [Element; 8] = [
    element("float8_e4m3fn", 1, None),
    element("float8_e4m3fnuz", 1, None),
    element("float8_e5m2", 1, None),
    element("float8_e5m2fnuz", 1, None),
    element("float8_e8m0fnu", 1, None),
    element("uint16", 2, None),
    element("uint32", 4, None),
    element("uint64", 8, None),
];

impl Global {
    /// The object of this name, if it is supported.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        let storage = || STORAGES.iter().find(|(known, _)| *known == name);
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Self::Tensor),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::TypedTensor),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Some(Self::Parameter)
            }
            ("torch", _) if name.ends_with("Storage") => {
                storage().map(|(_, element)| Self::Storage(*element))
            }
            ("torch.storage", "UntypedStorage") => {
                storage().map(|(_, element)| Self::Storage(*element))
            }
            ("torch", _) => (TYPES.iter().find(|element| element.name == name))
                .map(|element| Self::Type(*element)),
            _ => None,
        }
    }
}

/// The result of calling `global`; `None` if the arguments do not fit.
pub(super) fn call(values: &[Value], global: Global, arguments: &[Place]) -> Option<Made> {
    let made = match (global, arguments) {
        (Global::OrderedDict, []) => Some(Value::Dict(Vec::new())),
        (Global::OrderedDict, [pairs]) => ordered(values, *pairs),
        (Global::Size, [sizes]) => return Some(Made::Old(*sizes)),
        (Global::Tensor, [storage, offset, shape, strides, ..]) => {
            tensor(values, [*storage, *offset, *shape, *strides], None)
        }
        (Global::TypedTensor, [storage, offset, shape, strides, _, _, kind, ..]) => {
            let places = [*storage, *offset, *shape, *strides];
            match values[*kind] {
                Value::Global(Global::Type(element)) => tensor(values, places, Some(element)),
                _ => None,
            }
        }
        (Global::Parameter, [tensor, ..]) if matches!(values[*tensor], Value::Tensor(_)) => {
            return Some(Made::Old(*tensor));
        }
        _ => None,
    };
    made.map(Made::New)
}

/// The dictionary from a list of pairs, as Python 2 writes an `OrderedDict`.
fn ordered(values: &[Value], pairs: Place) -> Option<Value> {
    let Value::List(pairs) = &values[pairs] else {
        return None;
    };
    let pair = |place: &Place| match &values[*place] {
        Value::List(pair) | Value::Tuple(pair) => <[Place; 2]>::try_from(&pair[..]).ok(),
        _ => None,
    };
    pairs
        .iter()
        .map(pair)
        .collect::<Option<_>>()
        .map(Value::Dict)
}

/// The tensor of a storage, an offset, sizes and strides; of another type of elements than the storage's where that is given.
fn tensor(
    values: &[Value],
    [storage, offset, shape, strides]: [Place; 4],
    element: Option<Element>,
) -> Option<Value> {
    let (Value::Storage(storage), Some(offset), Some(shape), Some(strides)) = (
        &values[storage],
        number(values, offset),
        numbers(values, shape),
        numbers(values, strides),
    ) else {
        return None;
    };
    (shape.len() == strides.len()).then(|| {
        Value::Tensor(Tensor {
            element: element.unwrap_or(storage.element),
            storage: storage.clone(),
            offset,
            shape,
            strides,
        })
    })
}

/// The storage of a persistent id: `("storage", type, key, place, count)`; in old files followed by a view `(key, start, count)` or `None`.
pub(super) fn persistent(values: &[Value], id: Place) -> Option<Storage> {
    let Value::Tuple(parts) = &values[id] else {
        return None;
    };
    let [word, kind, key, _, count, view @ ..] = &parts[..] else {
        return None;
    };
    let (Value::Text(word), Value::Global(Global::Storage(element)), Value::Text(key)) =
        (&values[*word], &values[*kind], &values[*key])
    else {
        return None;
    };
    if &**word != "storage" {
        return None;
    }
    let view = match view {
        [] => None,
        [view] => match &values[*view] {
            Value::None => None,
            Value::Tuple(view) => Some(view),
            _ => return None,
        },
        _ => return None,
    };
    let start = match view.map(|view| &view[..]) {
        None => 0,
        Some([_, start, _]) => number(values, *start)?,
        Some(_) => return None,
    };
    Some(Storage {
        element: *element,
        key: key.clone(),
        count: number(values, *count)?,
        start,
    })
}

fn number(values: &[Value], place: Place) -> Option<usize> {
    match values[place] {
        Value::Integer(number) => number.try_into().ok(),
        _ => None,
    }
}

fn numbers(values: &[Value], place: Place) -> Option<Vec<usize>> {
    match &values[place] {
        Value::Tuple(parts) | Value::List(parts) if parts.len() <= MOST_AXES => {
            parts.iter().map(|part| number(values, *part)).collect()
        }
        _ => None,
    }
}
