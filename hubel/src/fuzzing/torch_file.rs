//! Writes small files in the formats of `torch.save`, for tests and as seeds.
use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Elements in memory.
pub(crate) struct Storage {
    /// PyTorch's class, such as `FloatStorage`.
    pub(crate) class: &'static str,
    pub(crate) count: usize,
    pub(crate) bytes: Vec<u8>,
}

/// A tensor on one of the storages, given by its index.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) storage: usize,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

impl Storage {
    pub(crate) fn floats(numbers: &[f32]) -> Self {
        Self {
            class: "FloatStorage",
            count: numbers.len(),
            bytes: numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect(),
        }
    }
}

impl Tensor {
    /// A contiguous tensor at the start of a storage.
    pub(crate) fn plain(name: &str, storage: usize, shape: &[usize]) -> Self {
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product());
        Self {
            name: name.into(),
            storage,
            offset: 0,
            shape: shape.into(),
            strides: strides.collect(),
        }
    }
}

/// The format since PyTorch 1.6.
pub(crate) fn archive(tensors: &[Tensor], storages: &[Storage]) -> Vec<u8> {
    let pickle = state_dict(tensors, storages, false);
    let mut parts = vec![
        ("data.pkl".to_owned(), &pickle[..]),
        ("byteorder".to_owned(), b"little"),
    ];
    for (key, storage) in storages.iter().enumerate() {
        parts.push((format!("data/{key}"), &storage.bytes));
    }
    parts.push(("version".to_owned(), b"3\n"));
    archive_of(&parts, CompressionMethod::Stored)
}

/// An archive with arbitrary parts.
pub(crate) fn archive_of(parts: &[(String, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        let options = SimpleFileOptions::default().compression_method(method);
        let started = archive.start_file(format!("some/{name}"), options);
        started.expect("memory takes all bytes");
        archive.write_all(bytes).expect("memory takes all bytes");
    }
    let finished = archive.finish().expect("memory takes all bytes");
    finished.into_inner()
}

/// The format before PyTorch 1.6.
pub(crate) fn legacy(tensors: &[Tensor], storages: &[Storage]) -> Vec<u8> {
    let state_dict = state_dict(tensors, storages, true);
    let mut keys = b"\x80\x02](".to_vec();
    for key in 0..storages.len() {
        text(&mut keys, &key.to_string());
    }
    keys.extend(b"e.");
    let mut file = legacy_of(&[&state_dict, &keys]);
    for storage in storages {
        file.extend((storage.count as u64).to_le_bytes());
        file.extend(&storage.bytes);
    }
    file
}

/// The start of such a file, then arbitrary pickles.
pub(crate) fn legacy_of(pickles: &[&[u8]]) -> Vec<u8> {
    let mut file =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}".to_vec();
    text(&mut file, "little_endian");
    file.extend(b"\x88s.");
    file.extend(pickles.concat());
    file
}

/// The pickle of tensors by name.
fn state_dict(tensors: &[Tensor], storages: &[Storage], with_view: bool) -> Vec<u8> {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\nq\x00)R(".to_vec();
    for tensor in tensors {
        let storage = &storages[tensor.storage];
        text(&mut pickle, &tensor.name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{}\n", storage.class).as_bytes());
        text(&mut pickle, &tensor.storage.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, storage.count);
        pickle.extend(if with_view { &b"NtQ"[..] } else { b"tQ" });
        number(&mut pickle, tensor.offset);
        for numbers in [&tensor.shape, &tensor.strides] {
            pickle.push(b'(');
            numbers.iter().for_each(|size| number(&mut pickle, *size));
            pickle.push(b't');
        }
        pickle.extend(b"\x89h\x00)RtR");
    }
    pickle.extend(b"u.");
    pickle
}

pub(crate) fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn number(pickle: &mut Vec<u8>, number: usize) {
    pickle.extend([0x8a, 9]);
    pickle.extend((number as u64).to_le_bytes());
    pickle.push(0);
}
