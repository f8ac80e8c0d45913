//! Files of `torch.save`: a pickle that describes tensors, and the storages with their elements. Since PyTorch 1.6 they are ZIP archives.
mod archive;
mod elements;
mod globals;
mod legacy;
mod pickle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::Crc;

use super::safetensors::NamedTensor;
use super::stop::{Stop, problem};
use crate::{Error, Result, listed, memory, one_line};
use globals::Tensor;
use pickle::{Pickle, Value};

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A ZIP archive.
    Archive,
    /// Several pickles, then the storages: the format before PyTorch 1.6.
    Legacy,
}

impl Form {
    /// Number of bytes that identify a format.
    pub(crate) const START: usize = 4;

    /// The format of a file that begins with these bytes. They cannot be a safetensors file: its header would be 16 MB or longer.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        match start {
            // The start of a file in the archive, or of the archive's end if it is empty.
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Archive),
            [0x80, 2..=5, _, 1..=255, ..] => Some(Self::Legacy),
            _ => None,
        }
    }
}

/// The position of a storage's bytes in the file.
#[derive(Clone, Copy, Debug)]
struct Record {
    start: u64,
    bytes: u64,
    /// The CRC-32 of the bytes, if the file has one.
    checksum: Option<u32>,
}

/// The description of a file's tensors.
struct Contents {
    pickle: Pickle,
    /// By the keys of the storages.
    records: HashMap<String, Record>,
}

/// Longest accepted pickle. That of the largest networks with their optimizers takes some megabytes.
const LARGEST_PICKLE: u64 = 16 << 20;

const BIG_ENDIAN: &str = "it was written on a big-endian machine, which is not supported; in Python on another machine, torch.save(torch.load(path), path) writes it again";

/// Keys under which a checkpoint stores the tensors of its network.
const STATE_DICTS: [&str; 6] = [
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
];

/// Reads the tensors that `choose` returns, after it has seen the names and shapes of all. For a checkpoint, these are the tensors of the network. Memory is
/// allocated only for data that the file has; `path` is for messages.
///
/// # Errors
/// [`Error::Io`]; [`Error::ForeignWeights`], which says what is wrong with the file and what to do; [`Error::Weights`] if memory does not suffice; the
/// errors of `choose`.
pub(crate) fn read_some(
    file: &mut (impl Read + Seek),
    size: u64,
    form: Form,
    path: &Path,
    choose: impl FnOnce(&[(&str, Vec<usize>)]) -> Result<BTreeSet<String>>,
) -> Result<Vec<NamedTensor>> {
    let mut outline = || {
        let contents = match form {
            Form::Archive => archive::open(file, size)?,
            Form::Legacy => legacy::open(file, size)?,
        };
        let tensors = state_dict(&contents.pickle)?;
        for (name, tensor) in &tensors {
            elements::check(name, tensor, &contents.records)?;
        }
        Ok((tensors, contents.records))
    };
    let (tensors, records) = outline().map_err(|stop: Stop| stop.of(path, unusable))?;
    let shapes: Vec<_> = (tensors.iter())
        .map(|(name, tensor)| (&**name, tensor.shape.clone()))
        .collect();
    let chosen = choose(&shapes)?;
    let tensors: Vec<_> = (tensors.into_iter())
        .filter(|(name, _)| chosen.contains(&**name))
        .collect();
    check_memory(&tensors, &records)?;
    read_tensors(file, tensors, &records).map_err(|stop| stop.of(path, unusable))
}

fn unusable(path: PathBuf, problem: String) -> Error {
    Error::ForeignWeights { path, problem }
}

/// The tensors of a network, by name.
fn state_dict(pickle: &Pickle) -> Result<BTreeMap<Rc<str>, Tensor>, String> {
    let Value::Dict(dict) = pickle.root() else {
        return Err(format!(
            "it contains no named tensors, as a state dict does; {}",
            pickle::WAY_OUT
        ));
    };
    let entries = |dict: &[[usize; 2]]| {
        let named = dict
            .iter()
            .filter_map(|[key, value]| match pickle.value(*key) {
                Value::Text(name) => Some((name.clone(), pickle.value(*value))),
                _ => None,
            });
        named.collect::<BTreeMap<_, _>>()
    };
    let mut found = entries(dict);
    // Limits nested wrappers, and cyclic files.
    for _ in 0..STATE_DICTS.len() {
        let inner = STATE_DICTS.iter().find_map(|name| match found.get(*name) {
            Some(Value::Dict(inner)) => Some(inner),
            _ => None,
        });
        let Some(inner) = inner else { break };
        found = entries(inner);
    }
    let tensors = found.iter().filter_map(|(name, value)| match value {
        Value::Tensor(tensor) => Some((name.clone(), tensor.clone())),
        _ => None,
    });
    let tensors: BTreeMap<_, _> = tensors.collect();
    match tensors.is_empty() {
        true => Err(format!(
            "it contains no tensors but {}; {}",
            match found.is_empty() {
                true => "nothing".to_owned(),
                false => one_line(&listed(found.keys().map(|name| &**name))).into_owned(),
            },
            pickle::WAY_OUT
        )),
        false => Ok(tensors),
    }
}

/// Whether there is memory for the largest storage, and for the tensors twice: in the file's order and in the network's.
fn check_memory(tensors: &[(Rc<str>, Tensor)], records: &HashMap<String, Record>) -> Result<()> {
    let storages = (tensors.iter()).map(|(_, tensor)| records[&*tensor.storage.key].bytes);
    let numbers = tensors.iter().filter_map(|(_, tensor)| tensor.elements());
    let largest = storages.max().unwrap_or(0) as usize;
    let numbers = numbers.fold(0, usize::saturating_add);
    memory::check_weights(largest.saturating_add(numbers.saturating_mul(2 * size_of::<f32>())))
}

/// The values of tensors that the file is known to have.
fn read_tensors(
    file: &mut (impl Read + Seek),
    mut tensors: Vec<(Rc<str>, Tensor)>,
    records: &HashMap<String, Record>,
) -> Result<Vec<NamedTensor>, Stop> {
    // Each storage is read once, in the order of the file.
    tensors.sort_by_key(|(_, tensor)| records[&*tensor.storage.key].start);
    let mut read = Vec::with_capacity(tensors.len());
    let mut storage = (None, Vec::new());
    for (name, tensor) in tensors {
        let Some(float) = tensor.element.float else {
            return problem(format!(
                "its tensor `{}` is {}, but only float16, bfloat16, float32 and float64 are supported; in Python, tensor.float() makes it float32",
                one_line(&name),
                tensor.element.name
            ));
        };
        if storage.0.as_ref() != Some(&tensor.storage.key) {
            let record = records[&*tensor.storage.key];
            storage = (Some(tensor.storage.key.clone()), bytes_of(file, record)?);
        }
        let data = elements::decode(&tensor, float, &storage.1);
        read.push(NamedTensor {
            name: name.as_ref().into(),
            shape: tensor.shape,
            data,
        });
    }
    Ok(read)
}

fn bytes_of(file: &mut (impl Read + Seek), record: Record) -> Result<Vec<u8>, Stop> {
    let mut bytes = vec![0; record.bytes as usize];
    file.seek(SeekFrom::Start(record.start))?;
    file.read_exact(&mut bytes)?;
    let mut found = Crc::new();
    found.update(&bytes);
    // Fuzzers skip this, because they cannot guess a checksum.
    match record.checksum {
        Some(checksum) if checksum != found.sum() && !cfg!(fuzzing) => problem(
            "it is damaged: its values do not have the stored checksum; copy or download it again",
        ),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
