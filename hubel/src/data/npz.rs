//! NumPy's `.npz`, in the layout of MedMNIST (`train_images`, `train_labels`, `val_…`, `test_…`) or of Keras (`x_train`, `y_train`, …).
mod header;

use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;

use crate::data::catalogue::{arrays, name_of};
use crate::data::{Dataset, Splits, limit};
use crate::formats::regular;
use crate::{Error, Result, Shape};
use header::Header;

/// The names of the arrays of pictures and of labels, for each layout the parts to train, to validate and to test on.
const LAYOUTS: [[(&str, &str); 3]; 2] = [
    [
        ("train_images", "train_labels"),
        ("val_images", "val_labels"),
        ("test_images", "test_labels"),
    ],
    [
        ("x_train", "y_train"),
        ("x_val", "y_val"),
        ("x_test", "y_test"),
    ],
];

/// One array: its sizes, outermost first, and its numbers.
#[derive(Clone, Debug)]
struct Array {
    header: Header,
    bytes: Vec<u8>,
}

/// Pictures `[n, h, w, c]` of one part, and their labels.
struct Part {
    shape: Shape,
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

/// Reads the `.npz` file at `path`.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::DataFile`] when it is damaged, an array is missing or of another kind;
/// [`Error::DataMismatch`] when the parts do not fit together.
pub(super) fn open(path: &Path) -> Result<Splits> {
    let file = regular::open(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    read(std::io::BufReader::new(file), path)
}

/// As [`open`], from any reader; `path` is for messages.
///
/// # Errors
/// As [`open`].
pub(super) fn read(reader: impl Read + Seek, path: &Path) -> Result<Splits> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    let mut archive = ZipArchive::new(reader).map_err(|problem| {
        error(format!(
            "it is no whole zip archive, as .npz files are ({problem}); copy or download it again"
        ))
    })?;
    let has = |archive: &ZipArchive<_>, name: &str| {
        archive.index_for_name(&format!("{name}.npy")).is_some()
    };
    let layout = LAYOUTS.iter().find(|layout| has(&archive, layout[0].0));
    let Some(layout) = layout else {
        let names = archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()));
        let mut names: Vec<String> = names.take(12).collect();
        names.sort();
        return Err(error(format!(
            "it holds {}; expected are train_images and train_labels, and test_images, test_labels, val_images, val_labels where there are such (or x_train, y_train, …)",
            if names.is_empty() {
                "nothing".into()
            } else {
                names.join(", ")
            }
        )));
    };
    let mut parts = Vec::new();
    for (images, labels) in layout {
        if !has(&archive, images) {
            parts.push(None);
            continue;
        }
        let images = array(&mut archive, images, path)?;
        let labels = array(&mut archive, labels, path)?;
        parts.push(Some(part(images, labels, path)?));
    }
    // Labels are numbers here; that a class occurs in one part only makes it no less a class.
    let largest = parts.iter().flatten().flat_map(|part| &part.labels).max();
    let classes: Vec<String> = (0..largest.map_or(0, |largest| largest + 1))
        .map(|class| class.to_string())
        .collect();
    let name = name_of(path);
    let mut datasets = parts.into_iter().map(|part| {
        part.map(|part| {
            Dataset::from_bytes(&name, classes.clone(), part.shape, part.pixels, part.labels)
        })
        .transpose()
    });
    let mut next = || datasets.next().transpose().map(Option::flatten);
    let (train, validation, test) = (next()?, next()?, next()?);
    let train = train.ok_or_else(|| error("it holds no pictures to train on".into()))?;
    arrays("NumPy arrays", train, validation, test)
}

/// Reads one array, if there is memory for it beside those that are read already.
fn array<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str, path: &Path) -> Result<Array> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem: format!("{name}: {problem}"),
    };
    let mut entry = archive.by_name(&format!("{name}.npy")).map_err(|problem| {
        error(match problem {
            zip::result::ZipError::FileNotFound => "this array is missing".into(),
            problem => format!("{problem}; save it by numpy.savez or numpy.savez_compressed"),
        })
    })?;
    let compressed = entry.compressed_size();
    let header = Header::read(&mut entry).map_err(error)?;
    let bytes = header.bytes().ok_or_else(|| {
        error(format!(
            "its sizes {} are beyond any memory",
            header.sizes()
        ))
    })?;
    limit::check_memory(path, bytes as u64)?;
    let bytes = limit::expand(&mut entry, bytes, compressed).map_err(error)?;
    Ok(Array { header, bytes })
}

/// Pictures and labels that belong together, out of two arrays.
fn part(images: Array, labels: Array, path: &Path) -> Result<Part> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    let header = &images.header;
    if header.kind != "|u1" {
        return Err(error(format!(
            "its pictures are numbers of the type `{}`; bytes (uint8, 0 to 255) are expected, convert them by `.astype(numpy.uint8)`",
            header.kind
        )));
    }
    let (count, shape) = match header.shape[..] {
        [count, height, width] => (count, Shape::new(height, width, 1)),
        [count, height, width, channels @ (1 | 3)] => (count, Shape::new(height, width, channels)),
        _ => {
            return Err(error(format!(
                "its pictures have the sizes {}; [count, height, width] or [count, height, width, 1 or 3] are expected{}",
                header.sizes(),
                match header.shape[..] {
                    [_, 1 | 3, _, _] =>
                        ", so the channels have to come last: `numpy.moveaxis(a, 1, -1)`",
                    [_, _, _, _] => "; volumes are not read",
                    _ => "",
                }
            )));
        }
    };
    let labels_of = &labels.header;
    match labels_of.shape[..] {
        [found] | [found, 1] if found == count => {}
        [found] | [found, 1] => {
            return Err(error(format!(
                "it holds {count} pictures and {found} labels for them: the two do not belong together"
            )));
        }
        [_, several] => {
            return Err(error(format!(
                "each picture has {several} labels (sizes {}); one class for each picture is expected",
                labels_of.sizes()
            )));
        }
        _ => {
            return Err(error(format!(
                "its labels have the sizes {}; [count] or [count, 1] are expected",
                labels_of.sizes()
            )));
        }
    }
    let numbers = labels_of.integers(&labels.bytes).ok_or_else(|| {
        error(format!(
            "its labels are of the type `{}`; integers are expected, convert them by `.astype(numpy.uint8)`",
            labels_of.kind
        ))
    })?;
    let most = numbers.len().max(1000) as i128;
    let labels = numbers.iter().enumerate().map(|(index, &label)| {
        if (0..most).contains(&label) {
            Ok(label as usize)
        } else {
            Err(error(format!(
                "picture {index} has the label {label}; labels count the classes from 0"
            )))
        }
    });
    Ok(Part {
        shape,
        labels: labels.collect::<Result<_>>()?,
        pixels: images.bytes,
    })
}
