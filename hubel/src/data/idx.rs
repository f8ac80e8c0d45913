//! IDX, the format of MNIST's files: a magic number that names type and dimensions, the sizes, then the numbers.
use std::path::{Path, PathBuf};

use crate::data::catalogue::arrays;
use crate::data::folder::Contents;
use crate::data::{Dataset, Splits};
use crate::{Error, Result, Shape};

/// The contents of an IDX file of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Idx {
    /// Sizes, outermost first: `[n]` for labels, `[n, h, w]` or `[n, h, w, c]` for pictures.
    pub(super) sizes: Vec<usize>,
    /// The numbers, last dimension contiguous.
    pub(super) values: Vec<u8>,
}

/// Reads the IDX file at `path`; memory is bounded by the size of the file.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::Idx`] when it is something else, truncated or too long.
pub(super) fn read(path: &Path) -> Result<Idx> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    parse(bytes, path)
}

/// Parses the bytes of an IDX file; `path` is for messages.
///
/// # Errors
/// [`Error::Idx`] when the bytes are something else, truncated or too many.
pub(super) fn parse(mut bytes: Vec<u8>, path: &Path) -> Result<Idx> {
    let error = |problem: String| Error::Idx {
        path: path.to_owned(),
        problem,
    };
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(error(
            "it is compressed by gzip; unpack it with `gunzip` first".into(),
        ));
    }
    let Some(&[first, second, kind, dimensions]) = bytes.first_chunk::<4>() else {
        return Err(error(format!(
            "it has {} bytes, less than the magic number alone takes; the file is truncated or empty",
            bytes.len()
        )));
    };
    if first != 0 || second != 0 || kind != 0x08 || !(1..=4).contains(&dimensions) {
        return Err(error(format!(
            "its magic number is {:#010x}; expected 0x00000801 (labels) or 0x00000803 (pictures), unsigned bytes in 1 to 4 dimensions",
            u32::from_be_bytes([first, second, kind, dimensions])
        )));
    }
    let header = 4 + 4 * usize::from(dimensions);
    let Some(sizes) = bytes.get(4..header) else {
        return Err(error(format!(
            "it has {} bytes and its header alone takes {header}; the file is truncated, copy or download it again",
            bytes.len()
        )));
    };
    let sizes: Vec<usize> = sizes
        .chunks_exact(4)
        .map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize)
        .collect();
    let promised = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    let present = bytes.len() - header;
    if promised != Some(present) {
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let verdict = match promised {
            Some(promised) if promised < present => "it has more than it should",
            _ => "the file is truncated",
        };
        return Err(error(format!(
            "its header promises {} bytes of data and {present} are there; {verdict}, copy or download it again",
            sizes.join("×")
        )));
    }
    bytes.drain(..header);
    Ok(Idx {
        sizes,
        values: bytes,
    })
}

/// A data set from pictures `[n, h, w]` or `[n, h, w, c]` and labels `[n]`; the paths are for messages.
///
/// # Errors
/// [`Error::Idx`] when the dimensions are others, [`Error::DataMismatch`] when the counts differ or there is nothing to learn.
pub(super) fn dataset(name: &str, images: (Idx, &Path), labels: (Idx, &Path)) -> Result<Dataset> {
    let ((images, images_path), (labels, labels_path)) = (images, labels);
    let dimensions = |path: &Path, found: usize, expected: &str| Error::Idx {
        path: path.to_owned(),
        problem: format!("it has {found} dimensions; {expected}"),
    };
    let shape = match images.sizes[..] {
        [_, height, width] => Shape::new(height, width, 1),
        [_, height, width, channels] => Shape::new(height, width, channels),
        _ => {
            return Err(dimensions(
                images_path,
                images.sizes.len(),
                "pictures have 3 (count, height, width) or 4 (and channels). Are pictures and labels exchanged?",
            ));
        }
    };
    if labels.sizes.len() != 1 {
        return Err(dimensions(
            labels_path,
            labels.sizes.len(),
            "labels have 1 (count). Are pictures and labels exchanged?",
        ));
    }
    if images.sizes[0] != labels.sizes[0] {
        return Err(Error::DataMismatch(format!(
            "{} pictures in {} and {} labels in {}: the two files do not belong together",
            images.sizes[0],
            images_path.display(),
            labels.sizes[0],
            labels_path.display()
        )));
    }
    let labels: Vec<usize> = labels.values.into_iter().map(usize::from).collect();
    let classes = labels.iter().max().map_or(0, |largest| largest + 1);
    let classes = (0..classes).map(|class| class.to_string()).collect();
    Dataset::from_bytes(name, classes, shape, images.values, labels)
}

/// Looks for IDX pictures among the files of a folder: those to train on and, where there are any, those to test on.
pub(super) fn find(contents: &Contents) -> Option<(PathBuf, Option<PathBuf>)> {
    let name = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default().to_owned()
    };
    let images: Vec<&PathBuf> = contents
        .files
        .iter()
        .filter(|path| is_images(&name(path)))
        .collect();
    let train = images.iter().find(|path| !is_test(&name(path)));
    let train = train.or(images.first())?;
    let test = images
        .iter()
        .find(|path| is_test(&name(path)) && *path != train);
    Some(((*train).clone(), test.map(|path| (*path).clone())))
}

/// Reads the pictures at `train` and `test` and the labels beside them.
///
/// # Errors
/// As [`read`] and [`dataset`]; [`Error::DataForm`] when the labels are missing; [`Error::DataMismatch`] when the pairs differ.
pub(super) fn open(train: &Path, test: Option<&Path>) -> Result<Splits> {
    let train = read_pair(train)?;
    let test = test.map(read_pair).transpose()?;
    arrays("IDX files", train, test)
}

/// Reads the pictures at `images` and the labels beside them.
fn read_pair(images: &Path) -> Result<Dataset> {
    let labels = labels_beside(images)?;
    let name = images.parent().and_then(Path::file_name).map_or_else(
        || images.display().to_string(),
        |folder| folder.to_string_lossy().into_owned(),
    );
    dataset(&name, (read(images)?, images), (read(&labels)?, &labels))
}

/// Whether a file name is one of pictures in IDX form.
pub(super) fn is_images(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("images") && (name.contains("idx3") || name.contains("idx4"))
        || name.ends_with(".idx3")
        || name.ends_with(".idx4")
}

fn is_test(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("t10k") || name.contains("test")
}

fn labels_beside(images: &Path) -> Result<PathBuf> {
    let name = images
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let expected = name
        .replace("images", "labels")
        .replace("idx3", "idx1")
        .replace("idx4", "idx1");
    let labels = images.with_file_name(&expected);
    if expected != name && labels.is_file() {
        Ok(labels)
    } else {
        Err(Error::DataForm {
            path: images.to_owned(),
            problem: format!(
                "the labels of these pictures are missing; they should lie beside them as {expected}"
            ),
        })
    }
}
