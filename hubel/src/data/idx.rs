//! IDX, the format of MNIST's files: a magic number with type and dimensions, the sizes, then the values.
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::data::catalogue::{Part, problem};
use crate::data::folder::Contents;
use crate::data::labelled::{self, Labelled};
use crate::data::value_range::Numbers;
use crate::data::{Splits, limit};
use crate::{Error, Result, Shape};

/// The contents of an IDX file of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Idx {
    /// Sizes, outermost first: `[n]` for labels, `[n, h, w]` or `[n, h, w, c]` for pictures.
    pub(super) sizes: Vec<usize>,
    /// The values, last dimension contiguous.
    pub(super) values: Vec<u8>,
}

/// Reads the IDX file at `path`, plain or compressed by gzip. Memory is bounded by the size of the file and by the free memory.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Idx`] if it is no IDX file, truncated or too long,
/// [`Error::DataFile`] if it does not fit into memory.
pub(super) fn read(path: &Path) -> Result<Idx> {
    // A large file of another kind is rejected by its first bytes.
    let start = limit::start(path, header_length(MOST_DIMENSIONS))?;
    if !is_packed(&start) {
        header(&start, limit::length(path)?, path)?;
    }
    parse(limit::read_file(path)?, path)
}

/// Most dimensions: count, height, width, channels.
const MOST_DIMENSIONS: u8 = 4;

/// Whether a file with this start is compressed by gzip.
fn is_packed(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b])
}

/// Parses the bytes of an IDX file, plain or compressed by gzip; `path` is for messages.
///
/// # Errors
/// [`Error::Idx`] if the bytes are no IDX file, truncated or too many.
pub(super) fn parse(mut bytes: Vec<u8>, path: &Path) -> Result<Idx> {
    if is_packed(&bytes) {
        bytes = unpack(&bytes, path)?;
    }
    let (sizes, length) = header(&bytes, bytes.len() as u64, path)?;
    bytes.drain(..length);
    Ok(Idx {
        sizes,
        values: bytes,
    })
}

/// The sizes at the `start` of a file with this many bytes, and the length of the header.
///
/// # Errors
/// [`Error::Idx`] if it is no IDX file, or its length does not fit the sizes.
fn header(start: &[u8], length: u64, path: &Path) -> Result<(Vec<usize>, usize)> {
    let error = |problem: String| Error::Idx {
        path: path.to_owned(),
        problem,
    };
    let Some(&[first, second, kind, dimensions]) = start.first_chunk::<4>() else {
        return Err(error(format!(
            "it has {length} bytes, less than the magic number alone takes; the file is truncated or empty"
        )));
    };
    if first != 0 || second != 0 || kind != 0x08 || !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(error(format!(
            "its magic number is {:#010x}; expected 0x00000801 (labels) or 0x00000803 (pictures), unsigned bytes in 1 to 4 dimensions",
            u32::from_be_bytes([first, second, kind, dimensions])
        )));
    }
    let header = header_length(dimensions);
    let Some(sizes) = start.get(4..header) else {
        return Err(error(format!(
            "it has {length} bytes and its header alone takes {header}; the file is truncated, copy or download it again"
        )));
    };
    let (sizes, promised) = promise(sizes);
    let present = length - header as u64;
    if promised.map(|promised| promised as u64) != Some(present) {
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let verdict = match promised {
            Some(promised) if (promised as u64) < present => "the file is too long",
            _ => "the file is truncated",
        };
        return Err(error(format!(
            "its header gives {} bytes of data, but there are {present}; {verdict}, copy or download it again",
            sizes.join("×")
        )));
    }
    Ok((sizes, header))
}

fn header_length(dimensions: u8) -> usize {
    4 + 4 * usize::from(dimensions)
}

/// The sizes in a header, and the number of data bytes that follow; `None` on overflow.
fn promise(sizes: &[u8]) -> (Vec<usize>, Option<usize>) {
    let sizes: Vec<usize> = sizes
        .chunks_exact(4)
        .map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize)
        .collect();
    let promised = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    (sizes, promised)
}

/// The contents of a gzip file, up to the length that the IDX header in it gives; it allocates no more memory.
fn unpack(compressed: &[u8], path: &Path) -> Result<Vec<u8>> {
    let error = |problem: String| Error::Idx {
        path: path.to_owned(),
        problem,
    };
    let mut unpacked = MultiGzDecoder::new(compressed);
    let mut take = |length: usize| {
        let mut bytes = Vec::new();
        let taken = unpacked
            .by_ref()
            .take(length as u64)
            .read_to_end(&mut bytes);
        taken.map(|_| bytes).map_err(|problem| {
            error(format!(
                "its gzip data is damaged or ends early ({problem}); copy or download it again"
            ))
        })
    };
    let mut bytes = take(4)?;
    let [0, 0, 8, dimensions @ 1..=4] = bytes[..] else {
        // Whatever it is, its magic number is wrong.
        return Ok(bytes);
    };
    bytes.extend(take(header_length(dimensions) - 4)?);
    if bytes.len() < header_length(dimensions) {
        return Ok(bytes);
    }
    let (sizes, Some(promised)) = promise(&bytes[4..]) else {
        return Ok(bytes);
    };
    let data = limit::check_memory(path, promised as u64).and_then(|()| {
        limit::expand(&mut unpacked, promised, compressed.len() as u64)
            .map_err(|problem| error(format!("{problem} (sizes {sizes:?}, compressed by gzip)")))
    })?;
    bytes.extend(data);
    Ok(bytes)
}

/// A split of a data set from pictures `[n, h, w]` or `[n, h, w, c]` and labels `[n]`; the paths are for messages.
///
/// # Errors
/// [`Error::Idx`] for other dimensions, [`Error::DataMismatch`] if the counts differ.
pub(super) fn labelled(part: Part, images: (Idx, &Path), labels: (Idx, &Path)) -> Result<Labelled> {
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
    Ok(Labelled {
        name: String::new(),
        part,
        shape,
        numbers: Numbers::Bytes(images.values),
        labels: labels.values.iter().map(u8::to_string).collect(),
    })
}

/// Searches IDX pictures among the files of `folder`: training pictures and, if there are any, test pictures.
///
/// # Errors
/// [`Error::DataForm`] if there are several data sets to choose from.
pub(super) fn find(
    folder: &Path,
    contents: &Contents,
) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
    let mut images: Vec<&PathBuf> = contents
        .files
        .iter()
        .filter(|path| is_images(&name(path)))
        .collect();
    // The same file may be there plain and compressed; sorted by name, the plain one comes first.
    images.dedup_by(|second, first| name(second) == format!("{}.gz", name(first)));
    let (test, train): (Vec<&PathBuf>, Vec<&PathBuf>) =
        images.into_iter().partition(|path| is_test(&name(path)));
    match (&train[..], &test[..]) {
        ([], []) => Ok(None),
        ([], [test]) => Ok(Some(((*test).clone(), None))),
        ([train], []) => Ok(Some(((*train).clone(), None))),
        ([train], [test]) => Ok(Some(((*train).clone(), Some((*test).clone())))),
        _ => Err(problem(
            folder,
            format!(
                "it contains several IDX data sets; name the file of the training pictures ({})",
                if train.is_empty() { &test } else { &train }
                    .iter()
                    .take(12)
                    .map(|path| name(path))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        )),
    }
}

/// The test pictures that belong to the training pictures at `train`, if they are beside them.
pub(super) fn test_beside(train: &Path) -> Option<PathBuf> {
    let name = name(train);
    let names = ["test", "t10k"].map(|test| name.replace("train", test));
    let mut beside = names
        .iter()
        .filter(|test| **test != name)
        .flat_map(|test| [test.clone(), other_packing(test)])
        .map(|test| train.with_file_name(test));
    beside.find(|path| path.is_file())
}

/// The name of the same file compressed, or, if it is compressed, uncompressed.
fn other_packing(name: &str) -> String {
    match name.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => format!("{name}.gz"),
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Reads the pictures at `train` and `test` and the labels beside them.
///
/// # Errors
/// As [`read`] and [`labelled::splits`]; [`Error::DataForm`] if the labels are missing.
pub(super) fn open(train: &Path, test: Option<&Path>) -> Result<Splits> {
    let mut parts = vec![read_pair(Part::Train, train)?];
    if let Some(test) = test {
        parts.push(read_pair(Part::Test, test)?);
    }
    let name = train.parent().and_then(Path::file_name).map_or_else(
        || train.display().to_string(),
        |folder| folder.to_string_lossy().into_owned(),
    );
    labelled::splits("IDX files", &name, train, parts, None)
}

/// Reads the pictures at `images` and the labels beside them.
fn read_pair(part: Part, images: &Path) -> Result<Labelled> {
    let labels = labels_beside(images)?;
    labelled(part, (read(images)?, images), (read(&labels)?, &labels))
}

/// Whether a file name is one of pictures in IDX form.
pub(super) fn is_images(name: &str) -> bool {
    let name = name.to_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    plain.contains("images") && (plain.contains("idx3") || plain.contains("idx4"))
        || plain.ends_with(".idx3")
        || plain.ends_with(".idx4")
}

fn is_test(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with("t10k") || name.contains("test")
}

/// The labels of the pictures at `images`; either may be compressed.
fn labels_beside(images: &Path) -> Result<PathBuf> {
    let name = name(images);
    let expected = name
        .replace("images", "labels")
        .replace("idx3", "idx1")
        .replace("idx4", "idx1");
    let other = other_packing(&expected);
    [&expected, &other]
        .into_iter()
        .filter(|_| expected != name)
        .map(|labels| images.with_file_name(labels))
        .find(|labels| labels.is_file())
        .ok_or_else(|| {
            problem(
                images,
                format!("the labels of these pictures are missing; they should be beside them as {expected}"),
            )
        })
}
