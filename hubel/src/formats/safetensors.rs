//! Safetensors: eight bytes with the length of a JSON header, the header, then all values without gaps.
//!
//! This is not the crate of that name: its metadata has another order in each run, and
//! its reader adds up the sizes in a file without overflow checks. The tests compare with that crate.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::write_atomically;
use super::float::Float;
use super::regular;
use super::stop::{Stop, problem};
use crate::{Error, Result};

/// The contents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tensors {
    pub(crate) metadata: BTreeMap<String, String>,
    /// In the order of their data in the file.
    pub(crate) tensors: Vec<NamedTensor>,
}

/// A tensor of 32-bit floats, the last axis innermost. Other float types in a file are converted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Entry {
    /// The type of its values, if they are floats.
    fn float(&self) -> Option<Float> {
        match self.dtype.as_str() {
            "F16" => Some(Float::F16),
            "BF16" => Some(Float::BF16),
            "F32" => Some(Float::F32),
            "F64" => Some(Float::F64),
            _ => None,
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.shape.iter().map(|size| *size as usize).collect()
    }
}

/// Bytes of the header's length.
const PREFIX: u64 = 8;
/// Longest accepted header. The largest network of the zoo has one of 30 KB.
const LARGEST_HEADER: u64 = 16 << 20;

/// Writes one file atomically. The same tensors give the same bytes.
///
/// # Errors
/// [`Error::Io`]
///
/// # Panics
/// If two tensors have the same name, or a shape does not fit the number of values.
pub(crate) fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    write_atomically(path, |file| write_to(file, tensors))
}

/// Writes the bytes of one file.
///
/// # Errors
/// Those of `file`.
///
/// # Panics
/// As [`write`].
pub(crate) fn write_to(file: &mut impl Write, tensors: &Tensors) -> io::Result<()> {
    let header = header(tensors);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for number in tensors.tensors.iter().flat_map(|tensor| &tensor.data) {
        file.write_all(&number.to_le_bytes())?;
    }
    Ok(())
}

fn header(tensors: &Tensors) -> String {
    let mut header = Header {
        metadata: tensors.metadata.clone(),
        tensors: BTreeMap::new(),
    };
    let mut end = 0;
    for NamedTensor { name, shape, data } in &tensors.tensors {
        let length: usize = shape.iter().product();
        assert_eq!(length, data.len(), "numbers of `{name}`");
        let start = end;
        end += 4 * length as u64;
        let entry = Entry {
            dtype: "F32".into(),
            shape: shape.iter().map(|size| *size as u64).collect(),
            data_offsets: [start, end],
        };
        let before = header.tensors.insert(name.clone(), entry);
        assert!(before.is_none(), "two tensors named `{name}`");
    }
    let mut text = serde_json::to_string(&header).expect("plain data becomes JSON");
    // The values begin at a multiple of eight, as the format requires.
    let gap = text.len().next_multiple_of(8) - text.len();
    text.extend(std::iter::repeat_n(' ', gap));
    text
}

/// The header of a file.
pub(crate) struct Outline<'a> {
    pub(crate) metadata: &'a BTreeMap<String, String>,
    /// Name and shape of each tensor of floats.
    pub(crate) tensors: Vec<(&'a str, Vec<usize>)>,
}

/// Reads one file. Skips int64 scalars (PyTorch's `num_batches_tracked`, which hubel does not use). Memory is
/// allocated only for data that the file has, after `accept` has seen its outline.
///
/// # Errors
/// [`Error::Io`]; [`Error::Safetensors`], which says what is wrong with the file and what to do; the errors of `accept`.
pub(crate) fn read(path: &Path, accept: impl FnOnce(&Outline) -> Result<()>) -> Result<Tensors> {
    let (mut file, size) = open(path).map_err(|stop| stop.of(path, damaged))?;
    read_from(&mut file, size, path, accept)
}

/// As [`read`], for a file of `size` bytes; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_from(
    file: &mut impl Read,
    size: u64,
    path: &Path,
    accept: impl FnOnce(&Outline) -> Result<()>,
) -> Result<Tensors> {
    read_some(file, size, path, |outline| {
        accept(outline)?;
        let names = outline.tensors.iter();
        Ok(names.map(|(name, _)| (*name).to_owned()).collect())
    })
}

/// As [`read_from`], but reads only the tensors that `choose` returns.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_some(
    file: &mut impl Read,
    size: u64,
    path: &Path,
    choose: impl FnOnce(&Outline) -> Result<BTreeSet<String>>,
) -> Result<Tensors> {
    let mut outline = || {
        let (header, rest) = read_header(file, size)?;
        Ok((header.metadata, in_order(header.tensors, rest)?))
    };
    let (metadata, entries) = outline().map_err(|stop: Stop| stop.of(path, damaged))?;
    let floats = entries.iter().filter(|(_, entry)| entry.float().is_some());
    let chosen = choose(&Outline {
        metadata: &metadata,
        tensors: (floats.map(|(name, entry)| (name.as_str(), entry.sizes()))).collect(),
    })?;
    let tensors = read_tensors(file, entries, &chosen).map_err(|stop| stop.of(path, damaged))?;
    Ok(Tensors { metadata, tensors })
}

/// The metadata of a file of `size` bytes.
///
/// # Errors
/// As [`read`].
pub(crate) fn metadata(
    file: &mut impl Read,
    size: u64,
    path: &Path,
) -> Result<BTreeMap<String, String>> {
    let header = read_header(file, size).map_err(|stop| stop.of(path, damaged));
    Ok(header?.0.metadata)
}

/// The metadata of a file of `size` bytes, if it is complete and `accept` does not refuse its tensors. Reads no tensor.
///
/// # Errors
/// As [`read`].
pub(crate) fn accepted_metadata(
    file: &mut impl Read,
    size: u64,
    path: &Path,
    accept: impl FnOnce(&Outline) -> Result<()>,
) -> Result<BTreeMap<String, String>> {
    let mut outline = || {
        let (header, rest) = read_header(file, size)?;
        Ok((header.metadata, in_order(header.tensors, rest)?))
    };
    let (metadata, entries) = outline().map_err(|stop: Stop| stop.of(path, damaged))?;
    let floats = entries.iter().filter(|(_, entry)| entry.float().is_some());
    accept(&Outline {
        metadata: &metadata,
        tensors: (floats.map(|(name, entry)| (name.as_str(), entry.sizes()))).collect(),
    })?;
    Ok(metadata)
}

/// The error for a file with this problem.
fn damaged(path: PathBuf, problem: String) -> Error {
    Error::Safetensors { path, problem }
}

/// The file, at its start, and its size in bytes.
fn open(path: &Path) -> Result<(impl Read, u64), Stop> {
    let file = match regular::open(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::IsADirectory | io::ErrorKind::Unsupported
            ) =>
        {
            return problem("it is no file; give the path of a file that ends in .safetensors");
        }
        file => file?,
    };
    let size = file.metadata()?.len();
    Ok((BufReader::new(file), size))
}

/// The values of the `chosen` tensors after the header.
fn read_tensors(
    file: &mut impl Read,
    entries: Vec<(String, Entry)>,
    chosen: &BTreeSet<String>,
) -> Result<Vec<NamedTensor>, Stop> {
    let mut tensors = Vec::new();
    for (name, entry) in entries {
        let bytes = entry.data_offsets[1] - entry.data_offsets[0];
        match entry.float().filter(|_| chosen.contains(&name)) {
            Some(float) => tensors.push(NamedTensor {
                name,
                shape: entry.sizes(),
                data: numbers(file, bytes, float)?,
            }),
            None => {
                let passed = io::copy(&mut file.by_ref().take(bytes), &mut io::sink())?;
                if passed != bytes {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
        }
    }
    Ok(tensors)
}

/// The header of a file of `size` bytes, and the number of bytes after it.
fn read_header(file: &mut impl Read, size: u64) -> Result<(Header, u64), Stop> {
    if size == 0 {
        return problem(
            "it is empty; its writer may have been stopped: copy, download or train it again",
        );
    }
    let Some(after_prefix) = size.checked_sub(PREFIX) else {
        return problem(format!(
            "it has {size} bytes, fewer than any safetensors file; copy or download it again"
        ));
    };
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix)?;
    let length = u64::from_le_bytes(prefix);
    if length > LARGEST_HEADER {
        if let Some(kind) = other_kind(&prefix) {
            return problem(kind);
        }
        return problem(format!(
            "it is no safetensors file, or damaged: its header would take {length} bytes; give a .safetensors file, or copy or \
             download it again"
        ));
    }
    let Some(rest) = after_prefix.checked_sub(length) else {
        return problem(format!(
            "it is truncated or no safetensors file: its header would take {length} bytes, but {after_prefix} follow; copy or download it again"
        ));
    };
    let mut text = vec![0; length as usize];
    file.read_exact(&mut text)?;
    match serde_json::from_slice(&text) {
        Ok(header) => Ok((header, rest)),
        Err(error) => problem(format!(
            "its header is damaged or not that of a safetensors file ({error}); copy or download it again"
        )),
    }
}

/// Recognises other kinds of files by their first bytes. These may look like the length of a header, so this is only
/// called if the length is too large.
fn other_kind(prefix: &[u8]) -> Option<&'static str> {
    let torch = "it is a file of torch.save, which holds weights alone; `Weights::load` reads them";
    match prefix {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => Some(torch),
        [0x89, b'H', b'D', b'F', ..] => {
            Some("it is an HDF5 file, as Keras writes; give a .safetensors file")
        }
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => {
            Some("it is a picture; give a .safetensors file")
        }
        _ => None,
    }
}

/// The tensors by their position in the file, after checking that they fill its `rest` bytes without gaps or overlaps.
fn in_order(tensors: BTreeMap<String, Entry>, rest: u64) -> Result<Vec<(String, Entry)>, Stop> {
    let mut tensors: Vec<(String, Entry)> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut at = 0;
    for (name, entry) in &tensors {
        let [start, end] = entry.data_offsets;
        let number = match (entry.float(), entry.dtype.as_str(), &entry.shape[..]) {
            (Some(float), _, _) => float.width() as u64,
            (None, "I64", [] | [1]) => 8,
            (None, dtype, _) => {
                return problem(format!(
                    "its tensor `{name}` is {dtype}, but only F16, BF16, F32 and F64 are supported; in Python, tensor.float() makes it F32"
                ));
            }
        };
        let bytes =
            (entry.shape.iter()).try_fold(number, |bytes: u64, size| bytes.checked_mul(*size));
        if start != at || bytes.and_then(|bytes| start.checked_add(bytes)) != Some(end) {
            return problem(format!(
                "its tensor `{name}` of {:?} does not fit its place, bytes {start} to {end}; the file is damaged: copy or download \
                 it again",
                entry.shape
            ));
        }
        at = end;
    }
    match at.cmp(&rest) {
        std::cmp::Ordering::Equal => Ok(tensors),
        std::cmp::Ordering::Greater => problem(format!(
            "it is truncated: its tensors take {at} bytes, but there are {rest}; copy or download it again"
        )),
        std::cmp::Ordering::Less => problem(format!(
            "it is too long: its tensors take {at} bytes, but there are {rest}; copy or download it again"
        )),
    }
}

/// The next `bytes` bytes, which the file is known to have, as values.
fn numbers(file: &mut impl Read, bytes: u64, float: Float) -> io::Result<Vec<f32>> {
    let mut numbers = Vec::with_capacity(bytes as usize / float.width());
    let mut block = [0; 1 << 14];
    let mut left = bytes as usize;
    while left > 0 {
        let length = left.min(block.len());
        let block = &mut block[..length];
        file.read_exact(block)?;
        float.decode(block, &mut numbers);
        left -= length;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests;
