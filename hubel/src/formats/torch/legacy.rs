//! The format before PyTorch 1.6: pickles of a magic number, a version, the machine, the tensors and the storages' keys; then, for each storage, its
//! number of elements and the elements.
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use super::globals::Storage;
use super::pickle::{self, Fault, Pickle, Value};
use super::{Contents, LARGEST_PICKLE, Record};
use crate::formats::stop::{Stop, problem};

/// The magic number of such files.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The only version of this format.
const VERSION: i128 = 1001;

/// The description of the file's tensors.
pub(super) fn open(file: &mut (impl Read + Seek), size: u64) -> Result<Contents, Stop> {
    file.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    file.by_ref().take(LARGEST_PICKLE).read_to_end(&mut start)?;
    let mut rest = &start[..];
    let mut read = || {
        pickle::read(&mut rest).map_err(|fault| match fault {
            Fault::Ended if size > LARGEST_PICKLE => format!(
                "its list of tensors takes more than {LARGEST_PICKLE} bytes; {}",
                pickle::WAY_OUT
            ),
            Fault::Ended => {
                "it is truncated: its list of tensors has no end; copy or download it again".into()
            }
            Fault::Problem(problem) => problem,
        })
    };
    if !matches!(read()?.root(), Value::Integer(MAGIC)) {
        return problem(format!(
            "it is a Python pickle, but not of torch.save; {}",
            pickle::WAY_OUT
        ));
    }
    if !matches!(read()?.root(), Value::Integer(VERSION)) {
        return problem(format!(
            "it has another version than {VERSION}, the only one of this form; {}",
            pickle::WAY_OUT
        ));
    }
    if !is_little_endian(&read()?) {
        return problem(super::BIG_ENDIAN);
    }
    let pickle = read()?;
    let keys = read()?;
    let at = (start.len() - rest.len()) as u64;
    let records = records(file, &pickle, &keys, at, size)?;
    Ok(Contents { pickle, records })
}

/// Whether the machine that wrote the file was little-endian.
fn is_little_endian(machine: &Pickle) -> bool {
    let Value::Dict(facts) = machine.root() else {
        return true;
    };
    !facts.iter().any(|[name, fact]| {
        matches!(machine.value(*name), Value::Text(name) if &**name == "little_endian")
            && matches!(machine.value(*fact), Value::Bool(false))
    })
}

/// The positions of the storages: one after the other, from byte `at` on, in the order of `keys`.
fn records(
    file: &mut (impl Read + Seek),
    pickle: &Pickle,
    keys: &Pickle,
    mut at: u64,
    size: u64,
) -> Result<HashMap<String, Record>, Stop> {
    let storages: HashMap<&Rc<str>, &Storage> = (pickle.values().iter())
        .filter_map(|value| match value {
            Value::Storage(storage) => Some((&storage.key, storage)),
            _ => None,
        })
        .collect();
    let Value::List(keys_in_order) = keys.root() else {
        return problem("its list of storages is damaged; copy or download it again");
    };
    let mut records = HashMap::new();
    for key in keys_in_order {
        let storage = match keys.value(*key) {
            Value::Text(key) => storages.get(key),
            _ => None,
        };
        let Some(storage) = storage else {
            return problem(
                "its list of storages is not that of its tensors: it is damaged; copy or download it again",
            );
        };
        let start = at + size_of::<u64>() as u64;
        let bytes = storage.count.checked_mul(storage.element.width);
        let end = bytes.and_then(|bytes| start.checked_add(bytes as u64));
        let Some(end) = end.filter(|end| *end <= size) else {
            return problem(format!(
                "it is truncated: its {} storages do not fit into {size} bytes; copy or download it again",
                keys_in_order.len()
            ));
        };
        let mut count = [0; size_of::<u64>()];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut count)?;
        if u64::from_le_bytes(count) != storage.count as u64 {
            return problem(format!(
                "a storage has {} elements, and its tensors were written for {}: the file is damaged; copy or download it again",
                u64::from_le_bytes(count),
                storage.count
            ));
        }
        let record = Record {
            start,
            bytes: end - start,
            checksum: None,
        };
        records.insert(storage.key.to_string(), record);
        at = end;
    }
    Ok(records)
}
