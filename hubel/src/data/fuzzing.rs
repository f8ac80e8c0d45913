//! Runs the parsers of data on arbitrary bytes and checks the properties of their results; see [`crate::fuzzing`].
use std::io::Cursor;
use std::path::Path;

use crate::data::catalogue::{Found, Part};
use crate::data::fingerprint::Fingerprint;
use crate::data::{
    Dataset, Preparation, Resize, cifar, corrections, csv, ending, idx, labelled, npz, picture,
};
use crate::{Result, Shape};

/// Deflate expands each byte to at most this many bytes.
const LARGEST_EXPANSION: usize = 1032;

/// An IDX file, plain and within gzip.
pub fn idx(bytes: &[u8]) -> bool {
    let path = Path::new("images-idx3-ubyte");
    let plain = idx::parse(bytes.to_vec(), path);
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        // If the length is unknown, the message for a file that is too long or too short differs.
        let packed = idx::parse(gzip(bytes), path);
        assert_eq!(plain.as_ref().ok(), packed.as_ref().ok());
    }
    let Ok(images) = plain else {
        return false;
    };
    assert_eq!(images.sizes.iter().product::<usize>(), images.values.len());
    assert!(images.values.len() <= LARGEST_EXPANSION * bytes.len());
    let labels = idx::Idx {
        sizes: images.sizes[..1].to_vec(),
        values: images
            .values
            .iter()
            .copied()
            .take(images.sizes[0])
            .collect(),
    };
    let is_whole = labels.values.len() == images.sizes[0];
    if is_whole
        && let Ok(part) = idx::labelled(Part::Train, (images, path), (labels, path))
        && let Ok(splits) = labelled::splits("IDX", "x", path, vec![part], None)
    {
        check(&splits.train);
    }
    true
}

/// The bytes as an uncompressed gzip file.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packed.write_all(bytes).expect("memory takes all bytes");
    packed.finish().expect("memory takes all bytes")
}

/// A file of CIFAR; the first byte decides which version, the second the number of classes.
pub fn cifar(bytes: &[u8]) -> bool {
    let Some((&[variant, classes], bytes)) = bytes.split_first_chunk() else {
        return false;
    };
    let variant = match variant % 2 {
        0 => cifar::Variant::Ten,
        _ => cifar::Variant::Hundred,
    };
    let classes = usize::from(classes);
    let Ok((pixels, labels)) = cifar::parse(bytes, variant, classes, Path::new("x.bin")) else {
        return false;
    };
    assert_eq!(pixels.len(), labels.len() * 3072);
    assert!(pixels.len() < bytes.len() && labels.iter().all(|&label| label < classes));
    true
}

/// NumPy's `.npz`.
pub fn npz(bytes: &[u8]) -> bool {
    let Ok(splits) = npz::read(Cursor::new(bytes), Path::new("x.npz"), None) else {
        return false;
    };
    let parts = [Some(splits.train), splits.validation, splits.test];
    for part in parts.into_iter().flatten() {
        assert!(part.len() * part.shape().len() <= LARGEST_EXPANSION * bytes.len());
        check(&part);
    }
    true
}

fn check(dataset: &Dataset) {
    let classes = dataset.classes().len();
    assert!(dataset.labels().iter().all(|&label| label < classes));
    assert_eq!(dataset.counts().iter().sum::<usize>(), dataset.len());
}

/// A table of pictures at `path`. The pictures in its folder exist, and are not opened.
pub fn table(bytes: &[u8], path: &Path) -> bool {
    let catalogue = match csv::read(Cursor::new(bytes), path, None) {
        Ok(Found::Files(catalogue)) => catalogue,
        Ok(Found::Arrays(splits)) => {
            assert!(splits.train.len() < bytes.len());
            check(&splits.train);
            return true;
        }
        Err(_) => return false,
    };
    let classes = catalogue.classes.len();
    assert_eq!(catalogue.one_class.is_some(), classes == 1);
    assert!(classes > 0 && catalogue.files.len() <= bytes.len());
    for file in &catalogue.files {
        let is_there = file.path.is_file() || catalogue.missing.is_some();
        assert!(file.label < catalogue.classes.len() && is_there);
    }
    true
}

/// A file of corrected labels.
pub fn corrections(bytes: &[u8]) -> bool {
    corrections::fuzzed(bytes)
}

/// A picture, as data and predictions read it.
pub fn picture(bytes: &[u8]) -> bool {
    let path = Path::new("x.png");
    // Tested on all bytes, decodable or not.
    let is_whole = ending::missing_end(bytes).is_none();
    let Ok(picture) = picture::decode(bytes, path) else {
        return false;
    };
    let size = u64::from(picture.width()) * u64::from(picture.height());
    assert!((1..=picture::LARGEST_PICTURE).contains(&size));
    picture::is_dim(&picture);
    for channels in [1, 3] {
        prepared(bytes, picture.clone(), channels).expect("pictures have 1 or 3 channels");
    }
    is_whole
}

/// Prepares a picture for an input with this number of channels.
fn prepared(bytes: &[u8], picture: image::DynamicImage, channels: usize) -> Result<()> {
    let preparation = Preparation::unmeasured(Shape::new(9, 7, channels), Resize::default());
    let (pixels, shape) = preparation.opaque(picture)?;
    assert_eq!(pixels.len(), shape.len());
    let _ = Fingerprint::new(bytes, &pixels, shape);
    let (pixels, _) = preparation.brought(pixels, shape)?;
    assert_eq!(pixels.len(), 9 * 7 * channels);
    Ok(())
}
