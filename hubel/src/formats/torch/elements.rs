//! The elements of a tensor in its storage, which it may share with other tensors.
use std::collections::HashMap;

use super::Record;
use super::globals::Tensor;
use crate::formats::float::Float;
use crate::one_line;

/// Whether all elements of a tensor are in the file.
pub(super) fn check(
    name: &str,
    tensor: &Tensor,
    records: &HashMap<String, Record>,
) -> Result<(), String> {
    let name = one_line(name);
    let storage = &tensor.storage;
    let record = records.get(&*storage.key).ok_or_else(|| {
        format!("the values of its tensor `{name}` are missing; copy or download it again")
    })?;
    let bytes = storage.count.checked_mul(storage.element.width);
    if bytes.map(|bytes| bytes as u64) != Some(record.bytes) {
        return Err(format!(
            "its tensor `{name}` is in a storage of {} elements of {} bytes, but there are {} bytes: the file is damaged; copy or download it again",
            storage.count, storage.element.width, record.bytes
        ));
    }
    match (tensor.elements(), end(tensor)) {
        (Some(elements), Some(end)) if end <= storage.count && elements <= storage.count => Ok(()),
        (_, Some(end)) if end <= storage.count => Err(format!(
            "its tensor `{name}` of {:?} repeats {} elements; in Python, tensor.contiguous() stores each",
            tensor.shape, storage.count
        )),
        _ => Err(format!(
            "its tensor `{name}` of {:?} reaches beyond the {} elements of its storage: the file is damaged; copy or download it again",
            tensor.shape, storage.count
        )),
    }
}

/// The position after the last element of a tensor.
fn end(tensor: &Tensor) -> Option<usize> {
    if tensor.elements() == Some(0) {
        return Some(0);
    }
    let start = tensor.storage.start.checked_add(tensor.offset)?;
    let mut axes = tensor.shape.iter().zip(&tensor.strides);
    let last = axes.try_fold(start, |place, (size, stride)| {
        place.checked_add((size - 1).checked_mul(*stride)?)
    });
    last?.checked_add(1)
}

/// The elements of a tensor from the bytes of its storage, the last axis innermost.
pub(super) fn decode(tensor: &Tensor, float: Float, storage: &[u8]) -> Vec<f32> {
    let elements = tensor.elements().unwrap_or(0);
    let mut numbers = Vec::with_capacity(elements);
    if elements == 0 {
        return numbers;
    }
    let bytes =
        |first: usize, count: usize| &storage[first * float.width()..][..count * float.width()];
    if is_contiguous(tensor) {
        let first = tensor.storage.start + tensor.offset;
        float.decode(bytes(first, elements), &mut numbers);
    } else {
        each_place(tensor, elements, |place| {
            float.decode(bytes(place, 1), &mut numbers)
        });
    }
    numbers
}

/// Whether the elements of a non-empty tensor are contiguous.
fn is_contiguous(tensor: &Tensor) -> bool {
    let mut expected = 1;
    let mut axes = tensor.shape.iter().zip(&tensor.strides).rev();
    axes.all(|(size, stride)| {
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}

/// Calls `body` with the position in the storage of each of the `elements` of a non-empty tensor.
fn each_place(tensor: &Tensor, elements: usize, mut body: impl FnMut(usize)) {
    let mut index = vec![0; tensor.shape.len()];
    let mut place = tensor.storage.start + tensor.offset;
    for _ in 0..elements {
        body(place);
        for axis in (0..index.len()).rev() {
            if index[axis] + 1 < tensor.shape[axis] {
                index[axis] += 1;
                place += tensor.strides[axis];
                break;
            }
            place -= index[axis] * tensor.strides[axis];
            index[axis] = 0;
        }
    }
}
