//! Bytes cut off, changed and spliced: each parser answers with an error or with data that its input can have held.
use std::io::Cursor;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::arrays::{cifar, gzip, npy, npz, small_npz};
use super::bad_bytes::idx_bytes;
use super::catalogue::Found;
use super::*;

/// What is done to bytes: parts of them copied elsewhere, single ones changed, the end cut off. Places are shares of the length.
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

/// A whole check of what a table gave: labels are classes, and files exist.
fn check_table(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
    let path = PICTURES.path().join("table.csv");
    match csv::read(Cursor::new(bytes), &path, None) {
        Ok(Found::Arrays(splits)) => prop_assert!(splits.train.len() < bytes.len()),
        Ok(Found::Files(catalogue)) => {
            prop_assert!(catalogue.classes.len() >= 2 && catalogue.files.len() <= bytes.len());
            for file in &catalogue.files {
                let is_there = file.path.is_file() || catalogue.missing.is_some();
                prop_assert!(file.label < catalogue.classes.len() && is_there);
            }
        }
        Err(error) => prop_assert!(error.to_string().contains("table.csv")),
    }
    Ok(())
}

fn check_npz(bytes: Vec<u8>) -> std::result::Result<(), TestCaseError> {
    let length = bytes.len();
    match npz::read(Cursor::new(bytes), Path::new("x.npz"), None) {
        Ok(splits) => {
            for part in [Some(splits.train), splits.validation, splits.test]
                .into_iter()
                .flatten()
            {
                prop_assert!(part.len() * part.shape().len() <= 1032 * length);
                prop_assert!(
                    part.labels()
                        .iter()
                        .all(|&label| label < part.classes().len())
                );
            }
        }
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_damaged_table_is_an_error_or_a_table(damage in damage()) {
        check_table(&damage.applied(TABLE.as_bytes()))?;
    }

    #[test]
    fn a_damaged_table_of_pixels_is_an_error_or_pictures(damage in damage()) {
        check_table(&damage.applied(pixels().as_bytes()))?;
    }

    #[test]
    fn any_text_is_an_error_or_a_table(text in "[a-z,;\t\"\r\n\\\\/.é ]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check_table(text.as_bytes())?;
        check_table(&bytes)?;
    }

    #[test]
    fn damaged_arrays_are_an_error_or_arrays(damage in damage(), compressed: bool) {
        check_npz(damage.applied(&small_npz(compressed)))?;
    }

    #[test]
    fn a_damaged_array_in_a_whole_archive_is_an_error_or_an_array(damage in damage(), labels: bool, compressed: bool) {
        let mut arrays = [
            ("train_images", npy("|u1", "4, 2, 3", &[5; 24])),
            ("train_labels", npy("<i4", "4, 1", &[[0u8, 0, 0, 0], [1, 0, 0, 0]].concat().repeat(2))),
        ];
        let array = &mut arrays[usize::from(labels)].1;
        *array = damage.applied(array);
        check_npz(npz(&arrays, compressed))?;
    }

    #[test]
    fn damaged_files_of_cifar_are_an_error_or_records(damage in damage(), hundred: bool, classes in 0usize..12) {
        let (bytes, variant) = match hundred {
            true => (cifar(&[1, 2], &[0]), cifar::Variant::Hundred),
            false => (cifar(&[1, 2], &[]), cifar::Variant::Ten),
        };
        let bytes = damage.applied(&bytes);
        if let Ok((pixels, labels)) = cifar::parse(&bytes, variant, classes, Path::new("x")) {
            prop_assert_eq!(pixels.len(), labels.len() * 3072);
            prop_assert!(pixels.len() < bytes.len() && labels.iter().all(|&label| label < classes));
        }
    }

    #[test]
    fn damaged_idx_is_an_error_or_what_its_header_says(damage in damage(), compressed: bool) {
        let bytes = idx_bytes(&[3, 4, 5], &(0..60).collect::<Vec<u8>>());
        // What is compressed is damaged before and after.
        let bytes = if compressed { damage.applied(&gzip(&damage.applied(&bytes))) } else { damage.applied(&bytes) };
        let length = bytes.len();
        if let Ok(idx) = idx::parse(bytes, Path::new("x")) {
            prop_assert_eq!(idx.sizes.iter().product::<usize>(), idx.values.len());
            prop_assert!(idx.values.len() <= 1032 * length);
        }
    }
}

#[test]
fn undamaged_bytes_pass_these_checks_as_data() {
    let whole = Damage {
        splices: Vec::new(),
        changes: Vec::new(),
        kept: 1.0,
    };
    let path = PICTURES.path().join("table.csv");
    let table = csv::read(Cursor::new(whole.applied(TABLE.as_bytes())), &path, None).unwrap();
    assert!(matches!(table, Found::Files(catalogue) if catalogue.files.len() == 3));
    let pixels = csv::read(Cursor::new(whole.applied(pixels().as_bytes())), &path, None).unwrap();
    assert!(matches!(pixels, Found::Arrays(splits) if splits.train.len() == 3));
    let arrays = npz::read(
        Cursor::new(whole.applied(&small_npz(true))),
        Path::new("x"),
        None,
    );
    assert!(arrays.is_ok());
}
