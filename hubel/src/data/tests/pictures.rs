//! Pictures of every kind, recognised by contents and rotated by EXIF. `tests/fixtures/pictures.py` makes the fixtures.
use image::ImageFormat;

use super::bad_bytes::encoded;
use super::*;

const COLOURS: [[u8; 3]; 4] = [[200, 40, 30], [30, 180, 60], [40, 60, 190], [128; 3]];
const GREYS: [u8; 4] = [0, 90, 180, 255];

/// The colour of each of the four squares, top left, top right, bottom left, bottom right.
fn squares(picture: &DynamicImage, channels: usize) -> Vec<Vec<u8>> {
    let (pixels, shape) = picture::bytes(picture.clone(), channels, 255).unwrap();
    assert_eq!((shape.height, shape.width), (16, 16));
    [(4, 4), (4, 12), (12, 4), (12, 12)]
        .map(|(row, column)| pixels[(row * 16 + column) * channels..][..channels].to_vec())
        .to_vec()
}

fn assert_close(found: &[Vec<u8>], expected: &[Vec<u8>], name: &str) {
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!(
            found.abs_diff(*expected) <= 2,
            "{name}: {found} instead of {expected}"
        );
    }
}

fn fixtures() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    folder::contents(&folder).unwrap().files
}

#[test]
fn pictures_of_every_kind_show_their_colours() {
    let files = fixtures();
    assert_eq!(files.len(), 36);
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let picture = picture::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let (channels, expected) = match name.contains("grey") {
            true if name.starts_with("4bits") => {
                (1, GREYS.map(|level| vec![level / 17 * 17]).to_vec())
            }
            true => (1, GREYS.map(|level| vec![level]).to_vec()),
            false => (3, COLOURS.map(|colour| colour.to_vec()).to_vec()),
        };
        assert_close(&squares(&picture, channels), &expected, &name);
    }
}

#[test]
fn an_ending_that_contradicts_the_contents_does_not_matter() {
    for path in fixtures() {
        let bytes = std::fs::read(&path).unwrap();
        let picture = picture::decode(&bytes, Path::new("picture.webp.jpg.txt"));
        assert_eq!(
            picture.unwrap(),
            picture::read(&path).unwrap(),
            "{}",
            path.display()
        );
    }
}

/// A JPEG with an EXIF entry for its orientation in an APP1 segment.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif =
        b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn all_eight_orientations_of_a_camera_are_turned_upright() {
    // Wider than high, so that a rotation also changes the size.
    let levels: Vec<u8> = (0..24 * 40)
        .map(|at| [0, 60, 120, 180, 240][at % 40 / 8] / (1 + (at / 40 / 8) as u8))
        .collect();
    let upright = grey(&levels, 24, 40);
    // How a camera stores an upright picture for each orientation; reading must undo it.
    let stored = [
        upright.clone(),
        upright.fliph(),
        upright.rotate180(),
        upright.flipv(),
        upright.rotate90().fliph(),
        upright.rotate270(),
        upright.rotate270().fliph(),
        upright.rotate90(),
    ];
    for (orientation, stored) in (1..).zip(stored) {
        let mut jpeg = std::io::Cursor::new(Vec::new());
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
        stored.write_with_encoder(encoder).unwrap();
        let turned = picture::decode(
            &with_orientation(&jpeg.into_inner(), orientation),
            Path::new("x"),
        )
        .unwrap();
        assert_eq!(
            (turned.height(), turned.width()),
            (24, 40),
            "orientation {orientation}"
        );
        let (pixels, _) = picture::bytes(turned, 1, 255).unwrap();
        for (found, expected) in pixels.iter().zip(&levels) {
            assert!(
                found.abs_diff(*expected) <= 3,
                "orientation {orientation}: {found} instead of {expected}"
            );
        }
    }
    // Values other than 1 to 8 have no meaning.
    let jpeg = encoded(upright, ImageFormat::Jpeg);
    for orientation in [0, 9, 255] {
        let picture =
            picture::decode(&with_orientation(&jpeg, orientation), Path::new("x")).unwrap();
        assert_eq!((picture.height(), picture.width()), (24, 40));
    }
}

#[test]
fn an_empty_or_a_vast_file_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hollow.jpg");
    let file = std::fs::File::create(&path).unwrap();
    assert!(
        picture::read(&path)
            .unwrap_err()
            .to_string()
            .contains("empty")
    );
    // A sparse file of 100 GB.
    file.set_len(100_000_000_000).unwrap();
    let text = picture::read(&path).unwrap_err().to_string();
    assert!(
        text.contains("hollow.jpg") && text.contains("larger than the limit of 800 MB"),
        "{text}"
    );
}

#[test]
fn vast_sizes_in_headers_of_any_format_are_refused() {
    let mut bmp = encoded(grey(&[0; 4], 2, 2), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&50_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&50_000u32.to_le_bytes());
    let mut gif = encoded(colours(2, 2, 1), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[255; 4]);
    let pnm = b"P6 50000 50000 255\n...".to_vec();
    let mut tiff = encoded(grey(&[0; 4], 2, 2), ImageFormat::Tiff);
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    for entry in 0..usize::from(tiff[directory]) {
        let at = directory + 2 + 12 * entry;
        let tag = u16::from_le_bytes([tiff[at], tiff[at + 1]]);
        if [0x100, 0x101].contains(&tag) {
            tiff[at + 2] = 4;
            tiff[at + 8..at + 12].copy_from_slice(&50_000u32.to_le_bytes());
        }
    }
    for (name, bytes) in [("bmp", bmp), ("gif", gif), ("pnm", pnm), ("tiff", tiff)] {
        let text = picture::decode(&bytes, Path::new(name))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("000×50000 pixels")
                || text.contains("65535×65535")
                || text.contains("imits"),
            "{name}: {text}"
        );
    }
}

#[test]
fn pictures_that_use_few_of_16_bits_are_said_in_training_and_by_check() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for (class, most) in [("cell", 1 << 12), ("dust", 1 << 16)] {
        for number in 0..4 {
            let level = |x: u32, y: u32| ((x * 3007 + y * 1891 + number * 31279) % most) as u16;
            let picture = image::ImageBuffer::from_fn(12, 12, |x, y| image::Luma([level(x, y)]));
            let path = folder.path().join(format!("{class}/{number}.png"));
            save(DynamicImage::ImageLuma16(picture), &path);
        }
    }
    let expected = "4 of the pictures have 16 bits and use less than an eighth of their levels";
    let said = |notes: &[String]| notes.iter().any(|note| note.starts_with(expected));
    let splits = read(folder.path(), &WHOLE)?;
    assert!(said(&splits.notes), "{:?}", splits.notes);
    let inspection = crate::check::check(folder.path(), &|_, _| ())?;
    assert!(said(&inspection.notes), "{:?}", inspection.notes);
    Ok(())
}

#[test]
fn what_floats_and_wide_integers_were_taken_for_is_said_and_others_are_refused() -> Result<()> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    let float = std::fs::read(fixtures.join("float32-1-grey.tif")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in [("cell", "float32-1-grey.tif"), ("dust", "int32-grey.tif")] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        std::fs::copy(fixtures.join(name), folder.path().join(class).join(name)).unwrap();
    }
    let said = |notes: &[String]| {
        let begins = "2 of the pictures contain floats or integers";
        let found = notes.iter().find(|note| note.starts_with(begins));
        found.is_some_and(|note| note.contains("1 for 0…1, 1 for 0…255"))
    };
    let splits = read(folder.path(), &WHOLE)?;
    assert!(said(&splits.notes), "{:?}", splits.notes);
    let inspection = crate::check::check(folder.path(), &|_, _| ())?;
    assert!(said(&inspection.notes), "{:?}", inspection.notes);
    // Changes white, the last value.
    for (number, problem) in [
        (-0.5, "from -0.5 to"),
        (1e6, "to 1000000"),
        (f32::NAN, "NaN"),
    ] {
        let mut file = float.clone();
        let end = file.len() - 4;
        file[end..].copy_from_slice(&f32::to_le_bytes(number));
        let text = picture::decode(&file, Path::new("x"))
            .unwrap_err()
            .to_string();
        assert!(text.contains(problem), "{text}");
    }
    Ok(())
}

#[test]
fn damaged_tiffs_of_these_kinds_are_errors_or_pictures() {
    // A panic of the decoder becomes such an error.
    let has_panicked = |bytes: &[u8]| {
        let decoded = picture::decode(bytes, Path::new("x"));
        decoded.is_err_and(|error| error.to_string().contains("its decoder failed"))
    };
    for path in fixtures() {
        let whole = std::fs::read(&path).unwrap();
        if tiff::Tiff::open(&whole).is_none() {
            continue;
        }
        for at in 0..whole.len().min(400) {
            for value in [0, 1, 255] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                assert!(!has_panicked(&damaged), "{}, {at}: {value}", path.display());
            }
            assert!(!has_panicked(&whole[..at]), "{}, {at}", path.display());
        }
    }
}
