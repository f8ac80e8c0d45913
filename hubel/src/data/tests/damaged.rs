//! Truncated, changed and spliced bytes: each parser returns an error, or data that its input can contain.
use std::sync::LazyLock;

use proptest::prelude::*;

use super::arrays::{cifar, gzip, npy, npz, small_npz};
use super::bad_bytes::idx_bytes;
use super::*;

/// Mutations of bytes: copy parts elsewhere, change single bytes, cut off the end. Positions are shares of the length.
#[derive(Clone, Debug)]
struct Damage {
    splices: Vec<(f64, f64, usize)>,
    changes: Vec<(f64, u8)>,
    kept: f64,
}

fn damage() -> impl Strategy<Value = Damage> {
    (
        prop::collection::vec((0.0..1.0, 0.0..1.0, 1usize..40), 0..3),
        prop::collection::vec(
            (0.0..1.0, prop_oneof![any::<u8>(), Just(0), Just(255)]),
            0..6,
        ),
        prop_oneof![3 => Just(1.0), 1 => 0.0..1.0],
    )
        .prop_map(|(splices, changes, kept)| Damage {
            splices,
            changes,
            kept,
        })
}

impl Damage {
    fn applied(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let place = |share: f64, length: usize| (share * length as f64) as usize;
        for &(from, to, length) in &self.splices {
            let from = place(from, bytes.len());
            let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
            let to = place(to, bytes.len());
            bytes.splice(to..to, piece);
        }
        for &(at, value) in &self.changes {
            let at = place(at, bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(place(self.kept, bytes.len()));
        bytes
    }
}

static PICTURES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "c d.png"] {
        std::fs::write(folder.path().join(name), b"not looked at").unwrap();
    }
    folder
});

const TABLE: &str =
    "path,label,split\r\na.png,cat,train\r\n\"b.png\",dog,val\r\n\"c d.png\",\"cat\",test\r\n";

const TEXTS: &str = "text,label,split\n\"good, really\",pos,train\nbad,neg,train\nso so,pos,val\n\"\u{e9}t\u{e9}\",neg,test\n";

/// An animated GIF of three frames.
pub(super) static ANIMATION: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for seed in 0..3 {
        let frame = DynamicImage::from(colours(6, 9, seed)).into_rgba8();
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    bytes
});

/// Three pictures of 4×4 pixels.
fn pixels() -> String {
    let header = (0..16).map(|pixel| format!(",pixel{pixel}"));
    let line = |label: usize| {
        let pixels = (0..16).map(|pixel| format!(",{}", 16 * pixel + label));
        format!("{label}{}\n", pixels.collect::<String>())
    };
    format!(
        "label{}\n{}{}{}",
        header.collect::<String>(),
        line(0),
        line(1),
        line(0)
    )
}

/// A table of the folder's pictures.
fn table(bytes: &[u8]) -> bool {
    fuzzing::table(bytes, &PICTURES.path().join("table.csv"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_damaged_table_is_an_error_or_a_table(damage in damage()) {
        table(&damage.applied(TABLE.as_bytes()));
    }

    #[test]
    fn a_damaged_table_of_pixels_is_an_error_or_pictures(damage in damage()) {
        table(&damage.applied(pixels().as_bytes()));
    }

    #[test]
    fn a_damaged_table_of_texts_is_an_error_or_texts(damage in damage()) {
        table(&damage.applied(TEXTS.as_bytes()));
    }

    #[test]
    fn a_damaged_animation_is_an_error_or_a_clip(damage in damage()) {
        let file = tempfile::Builder::new().suffix(".gif").tempfile().unwrap();
        std::fs::write(file.path(), damage.applied(&ANIMATION)).unwrap();
        clip::is_animated(file.path());
        match clip::examine(file.path()) {
            Ok(seen) => prop_assert!(seen.size.0 > 0 && seen.size.1 > 0),
            Err(error) => prop_assert!(error.to_string().contains(".gif")),
        }
    }

    #[test]
    fn any_text_is_an_error_or_a_table(text in "[a-z,;\t\"\r\n\\\\/.é ]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        table(text.as_bytes());
        table(&bytes);
    }

    #[test]
    fn damaged_arrays_are_an_error_or_arrays(damage in damage(), compressed: bool) {
        fuzzing::npz(&damage.applied(&small_npz(compressed)));
    }

    #[test]
    fn a_damaged_array_in_a_whole_archive_is_an_error_or_an_array(damage in damage(), labels: bool, compressed: bool) {
        let mut arrays = [
            ("train_images", npy("|u1", "4, 2, 3", &[5; 24])),
            ("train_labels", npy("<i4", "4, 1", &[[0u8, 0, 0, 0], [1, 0, 0, 0]].concat().repeat(2))),
        ];
        let array = &mut arrays[usize::from(labels)].1;
        *array = damage.applied(array);
        fuzzing::npz(&npz(&arrays, compressed));
    }

    #[test]
    fn damaged_files_of_cifar_are_an_error_or_records(damage in damage(), hundred: bool, classes in 0u8..12) {
        let bytes = if hundred { cifar(&[1, 2], &[0]) } else { cifar(&[1, 2], &[]) };
        let start = [u8::from(hundred), classes];
        fuzzing::cifar(&[&start[..], &damage.applied(&bytes)].concat());
    }

    #[test]
    fn damaged_idx_is_an_error_or_what_its_header_says(damage in damage(), compressed: bool) {
        let bytes = idx_bytes(&[3, 4, 5], &(0..60).collect::<Vec<u8>>());
        // Compressed data is damaged before and after compression.
        let bytes = if compressed { damage.applied(&gzip(&damage.applied(&bytes))) } else { damage.applied(&bytes) };
        fuzzing::idx(&bytes);
    }
}

#[test]
fn undamaged_bytes_pass_these_checks_as_data() {
    let whole = Damage {
        splices: Vec::new(),
        changes: Vec::new(),
        kept: 1.0,
    };
    assert!(table(&whole.applied(TABLE.as_bytes())));
    assert!(table(&whole.applied(pixels().as_bytes())));
    assert!(fuzzing::npz(&whole.applied(&small_npz(true))));
    assert!(fuzzing::idx(&whole.applied(&gzip(&idx_bytes(&[1], &[3])))));
    assert!(fuzzing::cifar(
        &[&[0, 3][..], &whole.applied(&cifar(&[1, 2], &[]))].concat()
    ));
}
