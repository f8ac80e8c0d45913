//! Input that is rejected before memory is allocated, and messages that shorten what they quote.
use super::arrays::{npy, npz};
use super::*;

fn refused(path: &Path) -> String {
    let message = open(path).expect_err("it is too large").to_string();
    assert!(message.len() < 2000, "{} bytes of message", message.len());
    message
}

/// A sparse file of this many bytes that begins with these; zeros follow.
fn sparse(path: &Path, start: &[u8], length: u64) {
    std::fs::write(path, start).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(length).unwrap();
}

#[test]
fn large_files_of_another_kind_are_refused_by_their_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let idx = folder.path().join("train-images-idx3-ubyte");
    std::fs::write(folder.path().join("train-labels-idx1-ubyte"), b"").unwrap();
    sparse(&idx, b"\x7fELF\x02\x01\x01", 40 << 30);
    assert!(refused(&idx).contains("its magic number is 0x7f454c46"));
    // The header says 2³¹ pictures of at most one byte, and more data follows.
    let header = [0, 0, 8, 3, 128, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    sparse(&idx, &header, 40 << 30);
    assert!(refused(&idx).contains("the file is too long"));

    let folder = tempfile::tempdir().unwrap();
    sparse(&folder.path().join("data_batch_1.bin"), &[1], 40 << 30);
    assert!(refused(folder.path()).contains("42949672960 bytes, not a multiple of 3073"));
}

#[test]
fn a_line_without_an_end_is_not_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png"] {
        save(colours(3, 3, 1), &folder.path().join(name));
    }
    let table = folder.path().join("table.csv");
    // An unclosed quote includes all following lines.
    let never_closed = format!("path,label\na.png,cat\n\"b.png,{}", "dog\n".repeat(1 << 14));
    let one_line = format!("path,label\na.png,cat\nb.png,{}", "dog".repeat(1 << 14));
    for text in [never_closed, one_line] {
        std::fs::write(&table, text).unwrap();
        let message = refused(&table);
        assert!(
            message.contains("line 3 has no end within 16384 bytes"),
            "{message}"
        );
    }
    // Many bytes in many short lines are accepted.
    let text = format!("path,label\nb.png,dog\n{}", "a.png,cat\n".repeat(1 << 13));
    let found = csv::read(text.as_bytes(), &table, None).unwrap();
    assert!(matches!(found, catalogue::Found::Files(catalogue) if catalogue.files.len() == 2));
}

#[test]
fn labels_that_nobody_could_read_are_no_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png"] {
        save(colours(3, 3, 1), &folder.path().join(name));
    }
    let table = folder.path().join("table.csv");
    let long = "x".repeat(10_000);
    std::fs::write(&table, format!("path,label\na.png,cat\nb.png,{long}\n")).unwrap();
    assert!(refused(&table).contains("line 3 has a label of 10000 bytes"));
    std::fs::write(
        &table,
        format!("path,label,split\na.png,cat,train\nb.png,dog,{long}\n"),
    )
    .unwrap();
    assert!(refused(&table).contains("line 3 names the split `xxx"));
    std::fs::write(&table, format!("path,label\na.png,cat\n{long},dog\n")).unwrap();
    assert!(refused(&table).contains("missing"));
    let classes = vec!["cat".into(), long];
    let dataset = Dataset::from_bytes("x", classes, Shape::new(1, 1, 1), vec![1, 2], vec![0, 1]);
    let message = dataset.expect_err("a name").to_string();
    assert!(
        message.contains("has a name of 10000 bytes") && message.len() < 300,
        "{message}"
    );
}

#[test]
fn pictures_without_pixels_have_no_labels_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let labels = vec![0; 1 << 20];
    let arrays = [
        ("train_images", npy("|u1", "1048576, 0, 3", &[])),
        ("train_labels", npy("|u1", "1048576,", &labels)),
    ];
    std::fs::write(&path, npz(&arrays, true)).unwrap();
    assert!(refused(&path).contains("have no pixels"));
}

#[test]
fn an_input_larger_than_any_picture_is_refused() {
    let options = Options {
        shape: Some(Shape::new(20_000, 20_000, 3)),
        ..Options::default()
    };
    let error = open_with("mnist", &options, &|_, _| ()).expect_err("it is too large");
    assert!(
        error
            .to_string()
            .contains("larger than any picture that is read"),
        "{error}"
    );
}
