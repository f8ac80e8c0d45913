//! NumPy's `.npz`: arrays of pictures and labels, recognised by the names of MedMNIST (`train_images`, `train_labels`, `val_…`, `test_…`) or
//! Keras (`x_train`, `y_train`, …).
mod element;
mod header;
mod roles;

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipReadOptions;

use crate::data::catalogue::{Part, name_of};
use crate::data::labelled::{self, Labelled};
use crate::data::names::composed;
use crate::data::value_range::{Numbers, ValueRange};
use crate::data::{Splits, limit};
use crate::formats::regular;
use crate::listed;
use crate::{Error, Result, Shape};
use element::Kind;
use header::Header;
use roles::{Role, name_of_labels, role};

/// One array: its sizes, outermost first, and its elements.
#[derive(Clone, Debug)]
struct Array {
    header: Header,
    bytes: Vec<u8>,
}

/// The names of the arrays of one split.
#[derive(Default)]
struct Names {
    images: Option<String>,
    labels: Option<String>,
}

/// Reads the `.npz` file at `path`. The training split is empty if the file has only other splits. Values other than bytes are read in
/// the detected range, or in the `remembered` one of a model.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DataFile`] if it is damaged, or an array is missing or of the wrong kind;
/// [`Error::DataMismatch`] if the splits do not fit together.
pub(super) fn open(path: &Path, remembered: Option<ValueRange>) -> Result<Splits> {
    let file = regular::open(path).map_err(Error::io("read", path))?;
    read(std::io::BufReader::new(file), path, remembered)
}

/// As [`open`], from any reader; `path` is for messages.
///
/// # Errors
/// As [`open`].
pub(super) fn read(
    reader: impl Read + Seek,
    path: &Path,
    remembered: Option<ValueRange>,
) -> Result<Splits> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    let mut archive = ZipArchive::new(reader).map_err(|problem| {
        error(format!(
            "it is no complete ZIP archive, as an .npz file must be ({problem}); copy or download it again"
        ))
    })?;
    let members = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()));
    let mut members: Vec<String> = members.collect();
    members.sort();
    let (names, unknown) = parts(&members).map_err(error)?;
    let mut parts = Vec::new();
    for (part, names) in names {
        let Some(name) = names.images else { continue };
        let labels = names.labels.ok_or_else(|| {
            error(format!(
                "{}: this array is missing, the labels of `{name}`",
                name_of_labels(&name)
            ))
        })?;
        let images = array(&mut archive, &name, path)?;
        let labels = array(&mut archive, &labels, path)?;
        parts.push(labelled(part, name, images, labels).map_err(error)?);
    }
    let expected = "pictures and labels are expected as train_images and train_labels, and test_images, test_labels, val_images, val_labels where there are such (or x_train, y_train, …)";
    if parts.is_empty() {
        let found = match members.is_empty() {
            true => "nothing".into(),
            false => listed(members.iter().map(String::as_str)),
        };
        return Err(error(format!("it holds {found}; {expected}")));
    }
    let mut splits = labelled::splits("NumPy arrays", &name_of(path), path, parts, remembered)?;
    if !unknown.is_empty() {
        let unknown = listed(unknown.iter().map(String::as_str));
        splits
            .notes
            .push(format!("arrays were ignored, {unknown}: {expected}"));
    }
    Ok(splits)
}

/// The arrays of each split by their names, and the other arrays.
///
/// # Errors
/// A message, if two arrays have the same role.
fn parts(members: &[String]) -> std::result::Result<(BTreeMap<Part, Names>, Vec<String>), String> {
    let mut parts: BTreeMap<Part, Names> = BTreeMap::new();
    let mut unknown = Vec::new();
    for member in members {
        let name = member.strip_suffix(".npy").unwrap_or(member);
        let Some((part, role)) = role(name) else {
            unknown.push(name.to_owned());
            continue;
        };
        let names = parts.entry(part).or_default();
        let (place, what) = match role {
            Role::Images => (&mut names.images, "images"),
            Role::Labels => (&mut names.labels, "labels"),
        };
        if let Some(other) = place.replace(name.to_owned()) {
            return Err(format!(
                "`{other}` and `{name}` both contain {part} {what}; save only one of them"
            ));
        }
    }
    let alone = parts.values().filter(|names| names.images.is_none());
    unknown.extend(alone.filter_map(|names| names.labels.clone()));
    Ok((parts, unknown))
}

/// Reads one array, if there is memory for it besides the arrays already read.
fn array<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str, path: &Path) -> Result<Array> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem: format!("{name}: {problem}"),
    };
    // A fuzzer cannot produce a correct checksum.
    let options = ZipReadOptions::new().ignore_crc32(cfg!(fuzzing));
    let entry = archive.by_name_with_options(&format!("{name}.npy"), options);
    let mut entry = entry.map_err(|problem| {
        error(match problem {
            zip::result::ZipError::FileNotFound => "this array is missing".into(),
            problem => format!("{problem}; save it by numpy.savez or numpy.savez_compressed"),
        })
    })?;
    let compressed = entry.compressed_size();
    let header = Header::read(&mut entry).map_err(error)?;
    if header.element().is_none() {
        return Err(error(unreadable(&header)));
    }
    let bytes = header.bytes().ok_or_else(|| {
        error(format!(
            "its sizes {} are larger than any memory",
            header.sizes()
        ))
    })?;
    limit::check_memory(path, bytes as u64)?;
    let bytes = limit::expand(&mut entry, bytes, compressed).map_err(error)?;
    Ok(Array { header, bytes })
}

/// The message for an array with unsupported elements.
fn unreadable(header: &Header) -> String {
    match header.kind.ends_with('O') {
        true => "its elements are Python objects, which only Python can read; save labels after `.astype(str)`, and pictures of one size after `numpy.stack`".into(),
        false => format!("its elements are of the type `{}`; pictures are numbers, and labels numbers or text", header.kind),
    }
}

/// Pictures and their labels, from two arrays.
///
/// # Errors
/// In words.
fn labelled(
    part: Part,
    name: String,
    images: Array,
    labels: Array,
) -> std::result::Result<Labelled, String> {
    let (count, shape) = sizes(&images.header)?;
    let numbers = numbers(images)?;
    let labels = self::labels(labels, count)?;
    Ok(Labelled {
        name,
        part,
        shape,
        numbers,
        labels,
    })
}

/// The number of pictures, and the shape of each.
fn sizes(header: &Header) -> std::result::Result<(usize, Shape), String> {
    let (count, shape) = match header.shape[..] {
        [count, height, width] => (count, Shape::new(height, width, 1)),
        [count, height, width, channels @ (1 | 3)] => (count, Shape::new(height, width, channels)),
        _ => {
            return Err(format!(
                "its pictures have the sizes {}; [count, height, width] or [count, height, width, 1 or 3] are expected{}",
                header.sizes(),
                match header.shape[..] {
                    [_, 1 | 3, _, _] =>
                        ", so the channels have to come last: `numpy.moveaxis(a, 1, -1)`",
                    [_, _, _, _] => "; volumes are not supported",
                    _ => "",
                }
            ));
        }
    };
    match shape.is_empty() {
        true => Err(format!(
            "its pictures of the sizes {} have no pixels",
            header.sizes()
        )),
        false => Ok((count, shape)),
    }
}

/// The values of pictures.
fn numbers(images: Array) -> std::result::Result<Numbers, String> {
    let Array { header, bytes } = images;
    let element = header.element().ok_or_else(|| unreadable(&header))?;
    let numbers = || {
        let numbers = element.numbers(&bytes)?;
        Some(numbers.map(|number| number as f32).collect())
    };
    let text = || unreadable(&header);
    match element.kind {
        Kind::Unsigned if element.width == 1 => Ok(Numbers::Bytes(bytes)),
        Kind::Boolean => Ok(Numbers::Bytes(
            bytes.iter().map(|&byte| 255 * byte.min(1)).collect(),
        )),
        Kind::Float => numbers().map(Numbers::Floats).ok_or_else(text),
        _ => numbers().map(Numbers::Integers).ok_or_else(text),
    }
}

/// One label for each of `count` pictures.
fn labels(labels: Array, count: usize) -> std::result::Result<Vec<String>, String> {
    let Array { header, bytes } = labels;
    let element = header.element().ok_or_else(|| unreadable(&header))?;
    match header.shape[..] {
        [found] | [found, 1] if found == count => {}
        [found] | [found, 1] => {
            return Err(format!(
                "it holds {count} pictures and {found} labels for them: the two do not belong together"
            ));
        }
        [_, several] => {
            let numbers: Option<Vec<f64>> = element.numbers(&bytes).map(Iterator::collect);
            let is_one_hot =
                numbers.is_some_and(|numbers| numbers.chunks_exact(several.max(1)).all(is_one_hot));
            return Err(match is_one_hot {
                true => format!(
                    "its labels are one-hot (sizes {}): save the number of each picture's class instead, `labels.argmax(axis=1)`",
                    header.sizes()
                ),
                false => format!(
                    "each picture has {several} labels (sizes {}); one class for each picture is expected (of probabilities, `labels.argmax(axis=1)`)",
                    header.sizes()
                ),
            });
        }
        _ => {
            return Err(format!(
                "its labels have the sizes {}; [count] or [count, 1] are expected",
                header.sizes()
            ));
        }
    }
    let labels = element.labels(&bytes).map_err(|number| {
        format!("a label is {number}; labels are whole numbers or text, so save classes that are numbered after `.astype(int)`")
    })?;
    if let Some(index) = labels.iter().position(String::is_empty) {
        return Err(format!(
            "picture {index} has an empty label; name its class or leave it out"
        ));
    }
    match labels.len() == count {
        true => Ok(labels.iter().map(|label| composed(label)).collect()),
        false => Err("its labels are empty texts; name the class of each picture".into()),
    }
}

/// Whether one value is 1 and the others are 0.
fn is_one_hot(numbers: &[f64]) -> bool {
    let ones = numbers.iter().filter(|number| **number == 1.0).count();
    let zeros = numbers.iter().filter(|number| **number == 0.0).count();
    ones == 1 && zeros + 1 == numbers.len()
}
