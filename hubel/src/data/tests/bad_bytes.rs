//! IDX and picture files of wrong, damaged and hostile bytes.
use std::io::Cursor;

use image::ImageFormat;
use proptest::prelude::*;

use super::*;

pub(super) fn idx_bytes(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes
        .iter()
        .for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

pub(super) fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

proptest! {
    #[test]
    fn what_was_written_as_idx_is_read(sizes in prop::collection::vec(0u32..6, 1..=4), seed: u8) {
        let length = sizes.iter().product::<u32>() as usize;
        let values: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        let idx = idx::parse(idx_bytes(&sizes, &values), Path::new("x")).unwrap();
        prop_assert_eq!(idx.sizes, sizes.iter().map(|&size| size as usize).collect::<Vec<_>>());
        prop_assert_eq!(idx.values, values);
    }

    #[test]
    fn damaged_idx_never_panics_and_never_grows(
        cut in 0usize..140,
        changes in prop::collection::vec((0usize..140, any::<u8>()), 0..6),
    ) {
        let mut bytes = idx_bytes(&[5, 5, 5], &[7; 125]);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut);
        if let Ok(idx) = idx::parse(bytes, Path::new("x")) {
            prop_assert!(idx.values.len() < cut);
            prop_assert_eq!(idx.sizes.iter().product::<usize>(), idx.values.len());
        }
    }

    #[test]
    fn any_bytes_at_all_are_no_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = picture::decode(&bytes, Path::new("x"));
        let _ = idx::parse(bytes, Path::new("x"));
    }

    #[test]
    fn damaged_pictures_never_panic(
        format in prop::sample::select(vec![
            ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Pnm,
            ImageFormat::Tiff,
        ]),
        cut in 0.0f64..=1.0,
        changes in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..8),
    ) {
        let mut bytes = encoded(colours(12, 17, 1), format);
        let length = bytes.len() as f64;
        for (at, value) in changes {
            bytes[(at * length) as usize] = value;
        }
        bytes.truncate((cut * length) as usize);
        if let Ok(picture) = picture::decode(&bytes, Path::new("x")) {
            prop_assert!(u64::from(picture.width()) * u64::from(picture.height()) <= picture::LARGEST_PICTURE);
        }
    }
}

#[test]
fn a_header_that_promises_more_than_memory_is_only_a_message() {
    let largest = [u32::MAX; 4];
    let error = idx::parse(idx_bytes(&largest, &[1; 9]), Path::new("huge")).unwrap_err();
    assert!(error.to_string().contains("truncated"), "{error}");
}

#[test]
fn what_is_wrong_with_idx_files_is_said_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let (images, labels) = (
        folder.path().join("train-images-idx3-ubyte"),
        folder.path().join("train-labels-idx1-ubyte"),
    );
    let message = |image_bytes: &[u8], label_bytes: &[u8]| {
        std::fs::write(&images, image_bytes).unwrap();
        std::fs::write(&labels, label_bytes).unwrap();
        open(folder.path()).expect_err("it is wrong").to_string()
    };
    let good_images = idx_bytes(&[3, 2, 2], &[9; 12]);
    let good_labels = idx_bytes(&[3], &[0, 1, 2]);
    for (image_bytes, label_bytes, expected) in [
        (
            &good_images[..15],
            &good_labels[..],
            "header alone takes 16",
        ),
        (
            &good_images[..20],
            &good_labels,
            "gives 3×2×2 bytes of data, but there are 4",
        ),
        (
            &[&good_images[..], &[1]].concat(),
            &good_labels,
            "the file is too long",
        ),
        (b"", &good_labels, "empty"),
        (
            b"\x1f\x8b\x08\x00 gzip",
            &good_labels,
            "gzip data is damaged",
        ),
        (
            b"P5 2 2 255\n....",
            &good_labels,
            "magic number is 0x50352032",
        ),
        (&good_images, &idx_bytes(&[4], &[0, 1, 2, 1]), "3 pictures"),
        (
            &good_images,
            &idx_bytes(&[3], &[0, 0, 0]),
            "at least two classes",
        ),
        (&good_labels, &good_images, "exchanged"),
        (&idx_bytes(&[3, 0, 2], &[]), &good_labels, "have no values"),
    ] {
        let text = message(image_bytes, label_bytes);
        assert!(text.contains(expected), "expected `{expected}` in: {text}");
    }
    std::fs::write(&images, &good_images).unwrap();
    std::fs::remove_file(&labels).unwrap();
    let text = open(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("labels of these pictures are missing"),
        "{text}"
    );
}

#[test]
fn idx_files_are_found_in_a_folder_or_by_the_file_of_the_pictures() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("train-images-idx3-ubyte", idx_bytes(&[3, 2, 2], &[9; 12]));
    write("train-labels-idx1-ubyte", idx_bytes(&[3], &[0, 1, 2]));
    write("t10k-images-idx3-ubyte", idx_bytes(&[2, 2, 2], &[8; 8]));
    write("t10k-labels-idx1-ubyte", idx_bytes(&[2], &[1, 0]));
    let splits = open(folder.path())?;
    let test = splits.test.expect("the folder has test files");
    assert_eq!(
        (splits.train.labels(), test.labels()),
        (&[0, 1, 2][..], &[1, 0][..])
    );
    assert_eq!(test.classes(), splits.train.classes());
    assert_eq!(
        splits.description,
        "IDX files, 3 classes, 3 + 2 images of 2×2×1"
    );
    let one = open(folder.path().join("t10k-images-idx3-ubyte"))?;
    assert_eq!((one.train.len(), one.test.is_none()), (2, true));
    Ok(())
}

#[test]
fn a_picture_too_large_for_memory_is_refused_by_its_header() {
    // 50,000×50,000 in a PNG of a few bytes.
    let mut bytes = encoded(grey(&[0; 4], 2, 2), ImageFormat::Png);
    let side = 50_000u32.to_be_bytes();
    bytes[16..20].copy_from_slice(&side);
    bytes[20..24].copy_from_slice(&side);
    let sum = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    let error = picture::decode(&bytes, Path::new("bomb.png"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bomb.png") && error.contains("50000×50000"),
        "{error}"
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[test]
fn grey_alpha_and_sixteen_bits_become_bytes_of_the_wanted_channels() -> Result<()> {
    let same = |picture: &DynamicImage, channels| {
        picture::bytes(picture.clone(), channels, 255).map(|(bytes, _)| bytes)
    };
    let colour = colours(3, 4, 2);
    assert_eq!(&same(&colour.clone().into(), 3)?, colour.as_raw());
    let wide = DynamicImage::from(colour.clone()).to_rgb16();
    assert_eq!(&same(&wide.into(), 3)?, colour.as_raw());
    let levels: Vec<u8> = (0..=255).collect();
    let levels_grey = grey(&levels, 16, 16);
    assert_eq!(same(&levels_grey, 1)?, levels);
    assert_eq!(same(&levels_grey.to_rgb8().into(), 1)?, levels);
    assert_eq!(same(&levels_grey.to_luma16().into(), 1)?, levels);
    let clear = image::RgbaImage::from_pixel(1, 1, image::Rgba([10, 20, 30, 0]));
    assert_eq!(same(&clear.into(), 3)?, [255; 3]);
    let half = image::GrayAlphaImage::from_pixel(1, 1, image::LumaA([0, 128]));
    assert_eq!(same(&half.into(), 1)?, [127]);
    Ok(())
}
