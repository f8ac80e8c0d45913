//! JPEGs that lost some of their data, or only the end marker. `tests/fixtures/jpegs.py` makes the fixtures.
use image::ImageFormat;
use proptest::prelude::*;

use super::bad_bytes::encoded;
use super::*;
use crate::data::ending::missing_end;

const END: [u8; 2] = [0xff, 0xd9];

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpegs");
    let files = folder::contents(&folder).unwrap().files.into_iter();
    let read =
        |path: std::path::PathBuf| (path.display().to_string(), std::fs::read(path).unwrap());
    files.map(read).collect()
}

/// The position of the first scan's data.
fn data_begins(jpeg: &[u8]) -> usize {
    let scan = jpeg
        .windows(2)
        .position(|marker| marker == [0xff, 0xda])
        .expect("a scan");
    scan + 2 + usize::from(jpeg[scan + 3])
}

fn cut(jpeg: &[u8], length: usize) -> Vec<u8> {
    [&jpeg[..length], &END].concat()
}

#[test]
fn a_jpeg_that_lacks_only_its_end_is_read_as_if_it_were_there() {
    for (name, jpeg) in fixtures() {
        assert_eq!(missing_end(&jpeg), None, "{name}");
        let whole = picture::decode(&jpeg, Path::new("x")).unwrap();
        for less in 1..=2 {
            let shorter = &jpeg[..jpeg.len() - less];
            assert_eq!(missing_end(shorter), None, "{name}");
            assert_eq!(
                picture::decode(shorter, Path::new("x")).unwrap(),
                whole,
                "{name}"
            );
        }
    }
}

#[test]
fn wherever_data_is_cut_off_it_is_missed_with_and_without_an_end_behind_it() {
    for (name, jpeg) in fixtures() {
        let mut unnoticed = 0;
        for length in data_begins(&jpeg)..jpeg.len() - 2 {
            assert!(
                missing_end(&jpeg[..length]).is_some(),
                "{name} of {length} bytes"
            );
            unnoticed += usize::from(missing_end(&cut(&jpeg, length)).is_none());
        }
        // Between two scans, nothing shows that a progressive JPEG should continue. A cut before the marker of the next
        // segment, or after its first byte, leaves a complete scan.
        let segments = jpeg
            .windows(2)
            .filter(|marker| marker[0] == 0xff && [0xc4, 0xda, 0xdd].contains(&marker[1]));
        let most = if name.contains("progressive") {
            2 * segments.count()
        } else {
            0
        };
        assert!(unnoticed <= most, "{name}: {unnoticed} of at most {most}");
    }
}

#[test]
fn a_lost_restart_interval_is_missed_and_its_row_named() {
    for (name, jpeg) in fixtures() {
        let restarts: Vec<usize> = (data_begins(&jpeg)..jpeg.len() - 2)
            .filter(|&at| jpeg[at] == 0xff && (0xd0..0xd8).contains(&jpeg[at + 1]))
            .collect();
        for pair in restarts.windows(2) {
            let lost = [&jpeg[..pair[0]], &jpeg[pair[1]..]].concat();
            let problem = missing_end(&lost).expect(&name);
            assert!(problem.contains("of its 41 rows"), "{name}: {problem}");
        }
        assert_eq!(restarts.is_empty(), !name.contains("restarts"), "{name}");
    }
}

proptest! {
    #[test]
    fn lost_data_is_missed_and_plain_lower_halves_are_whole(
        height in 1u32..60, width in 1u32..60, plain in 0.0f64..1.0, quality in 20u8..=100, kept in 0.0f64..1.0, is_grey: bool,
    ) {
        let mut picture = colours(height, width, 3);
        for y in (f64::from(height) * plain) as u32..height {
            (0..width).for_each(|x| picture.put_pixel(x, y, image::Rgb([200, 30, 90])));
        }
        let picture = match is_grey {
            true => DynamicImage::from(picture).into_luma8().into(),
            false => DynamicImage::from(picture),
        };
        let mut jpeg = std::io::Cursor::new(Vec::new());
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality);
        picture.write_with_encoder(encoder).unwrap();
        let jpeg = jpeg.into_inner();
        prop_assert_eq!(missing_end(&jpeg), None);
        let (start, end) = (data_begins(&jpeg), jpeg.len() - 2);
        let length = start + (kept * (end - start) as f64) as usize;
        let problem = missing_end(&cut(&jpeg, length));
        let expected = format!("of its {height} rows");
        prop_assert!(problem.is_some_and(|problem| problem.contains(&expected)));
    }

    #[test]
    fn damaged_data_is_followed_without_panicking(
        fixture in 0usize..8, changes in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8), kept in 0.5f64..=1.0,
    ) {
        let (_, mut jpeg) = fixtures().swap_remove(fixture);
        let length = jpeg.len() as f64;
        for (at, value) in changes {
            jpeg[(at * length) as usize] = value;
        }
        jpeg.truncate((kept * length) as usize);
        let _ = missing_end(&jpeg);
    }
}

#[test]
fn data_replaced_by_zeros_is_missed_and_filling_behind_all_of_it_is_not() {
    for (name, jpeg) in fixtures() {
        let (start, end) = (data_begins(&jpeg), jpeg.len() - 2);
        let filled = [&jpeg[..end], &[0; 300], &END].concat();
        assert_eq!(missing_end(&filled), None, "{name}");
        let garbage: Vec<u8> = (0..100).map(|number| number * 2 + 1).collect();
        let longer = [&jpeg[..end], &garbage, &END].concat();
        assert!(missing_end(&longer).is_some(), "{name}");
        // Zeros may be valid data in the last scan of a progressive JPEG.
        if !name.contains("progressive") {
            let middle = usize::midpoint(start, end);
            let zeros = vec![0; end - middle];
            assert!(
                missing_end(&[&jpeg[..middle], &zeros, &END].concat()).is_some(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_cut_jpeg_is_refused_with_its_rows_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.jpg");
    let jpeg = encoded(colours(200, 100, 1), ImageFormat::Jpeg);
    std::fs::write(&path, cut(&jpeg, jpeg.len() / 2)).unwrap();
    let text = picture::read(&path).unwrap_err().to_string();
    assert!(
        text.contains("the data of the JPEG ends after") && text.contains("of its 200 rows"),
        "{text}"
    );
    std::fs::write(&path, &jpeg[..jpeg.len() - 2]).unwrap();
    assert!(picture::read(&path).is_ok());
}

#[test]
fn jpegs_of_kinds_that_are_not_read_are_not_called_damaged() {
    let jpeg = encoded(colours(20, 20, 1), ImageFormat::Jpeg);
    let frame = jpeg
        .windows(2)
        .position(|marker| marker == [0xff, 0xc0])
        .expect("a frame");
    for (place, value, kind) in [
        (1, 0xc9, "arithmetic"),
        (1, 0xca, "arithmetic"),
        (1, 0xc3, "lossless"),
        (4, 12, "more than 8 bits"),
    ] {
        let mut foreign = jpeg.clone();
        foreign[frame + place] = value;
        assert_eq!(missing_end(&foreign), None);
        let text = picture::decode(&foreign, Path::new("x"))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("its kind is not supported") && text.contains(kind),
            "{text}"
        );
    }
}
