//! The binary version of CIFAR-10 and CIFAR-100: a label (or a coarse and a fine one), then the red,
//! green and blue plane of a 32×32 picture.
use std::path::{Path, PathBuf};

use crate::data::catalogue::{arrays, name_of};
use crate::data::folder::Contents;
use crate::data::{Dataset, Splits, limit};
use crate::{Error, Result, Shape};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// The classes of CIFAR-10, for a folder without `batches.meta.txt`.
const CLASSES_OF_TEN: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// The files of a CIFAR data set.
#[derive(Debug)]
pub(super) struct Cifar {
    variant: Variant,
    train: Vec<PathBuf>,
    test: Vec<PathBuf>,
    /// The file with the names of the classes.
    names: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// CIFAR-10: one byte of label.
    Ten,
    /// CIFAR-100: a coarse label, which is not used, and a fine one.
    Hundred,
}

impl Variant {
    fn form(self) -> &'static str {
        match self {
            Self::Ten => "CIFAR-10 files",
            Self::Hundred => "CIFAR-100 files",
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn record(self) -> usize {
        self.label_bytes() + 3 * PLANE
    }
}

/// Searches the files of CIFAR among those of a folder.
pub(super) fn find(contents: &Contents) -> Option<Cifar> {
    let matching = |wanted: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        let named = |path: &&PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(wanted)
        };
        contents.files.iter().filter(named).cloned().collect()
    };
    let one = |name: &str| matching(&|found| found == name);
    let train = matching(&|name| name.starts_with("data_batch") && name.ends_with(".bin"));
    let test = one("test_batch.bin");
    if !train.is_empty() || !test.is_empty() {
        return Some(Cifar {
            variant: Variant::Ten,
            train,
            test,
            names: one("batches.meta.txt").pop(),
        });
    }
    let (train, test) = (one("train.bin"), one("test.bin"));
    let names = one("fine_label_names.txt").pop();
    let found = [!train.is_empty(), !test.is_empty(), names.is_some()];
    // Other programs also write files called `train.bin`.
    (found.iter().filter(|&&found| found).count() >= 2).then_some(Cifar {
        variant: Variant::Hundred,
        train,
        test,
        names,
    })
}

/// Whether a folder contains CIFAR as Python pickles, which are not supported.
pub(super) fn is_pickled(contents: &Contents) -> bool {
    let named = |wanted: &str| {
        contents
            .files
            .iter()
            .any(|path| path.file_name().is_some_and(|name| name == wanted))
    };
    named("data_batch_1") && named("batches.meta")
        || named("train") && named("test") && named("meta")
}

/// Reads the files found in the folder `root`.
///
/// # Errors
/// [`Error::Io`]; [`Error::DataFile`] if the length of a file is not a multiple of the record size, or a label has no class.
pub(super) fn open(root: &Path, files: &Cifar) -> Result<Splits> {
    let classes = class_names(files)?;
    let part = |paths: &[PathBuf]| -> Result<Dataset> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for path in paths {
            check_length(limit::length(path)?, files.variant, path)?;
            let bytes = limit::read_file(path)?;
            let (more_pixels, more_labels) = parse(&bytes, files.variant, classes.len(), path)?;
            pixels.extend(more_pixels);
            labels.extend(more_labels);
        }
        Dataset::from_bytes(
            &name_of(root),
            classes.clone(),
            Shape::new(SIDE, SIDE, 3),
            pixels,
            labels,
        )
    };
    if files.train.is_empty() {
        return Err(Error::DataForm {
            path: root.to_owned(),
            problem: "the training files (data_batch_1.bin … or train.bin) are missing beside the test files".into(),
        });
    }
    let train = part(&files.train)?;
    let test = match files.test.is_empty() {
        true => None,
        false => Some(part(&files.test)?),
    };
    arrays(files.variant.form(), train, None, test)
}

fn class_names(files: &Cifar) -> Result<Vec<String>> {
    let Some(path) = &files.names else {
        return Ok(match files.variant {
            Variant::Ten => CLASSES_OF_TEN.map(str::to_owned).to_vec(),
            Variant::Hundred => (0..100).map(|class| class.to_string()).collect(),
        });
    };
    let bytes = limit::read_file(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let names = text.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// Rejects a file whose length is not a multiple of the record size.
fn check_length(length: u64, variant: Variant, path: &Path) -> Result<()> {
    let record = variant.record() as u64;
    if length > 0 && length.is_multiple_of(record) {
        return Ok(());
    }
    Err(Error::DataFile {
        path: path.to_owned(),
        problem: format!(
            "it has {length} bytes, not a multiple of {record} ({} of label and 3×32×32 of picture) as {} have; it is truncated or something else, copy or download it again",
            variant.label_bytes(),
            variant.form(),
        ),
    })
}

/// Pixels `[n, 32, 32, 3]` and labels from the bytes of one file; `path` is for messages. Needs as much memory as the bytes.
///
/// # Errors
/// [`Error::DataFile`] if the bytes are not a whole number of records, or a label is not below `classes`.
pub(super) fn parse(
    bytes: &[u8],
    variant: Variant,
    classes: usize,
    path: &Path,
) -> Result<(Vec<u8>, Vec<usize>)> {
    let error = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    check_length(bytes.len() as u64, variant, path)?;
    let record = variant.record();
    let count = bytes.len() / record;
    let mut pixels = Vec::with_capacity(count * 3 * PLANE);
    let mut labels = Vec::with_capacity(count);
    for (index, record) in bytes.chunks_exact(record).enumerate() {
        let (label, planes) = record.split_at(variant.label_bytes());
        let label = usize::from(label[variant.label_bytes() - 1]);
        if label >= classes {
            return Err(error(format!(
                "picture {index} (at byte {}) has the label {label}, but there are only {classes} classes, counted from 0; copy or download the file again",
                index * variant.record()
            )));
        }
        labels.push(label);
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        for ((red, green), blue) in red.iter().zip(green).zip(blue) {
            pixels.extend([*red, *green, *blue]);
        }
    }
    Ok((pixels, labels))
}
