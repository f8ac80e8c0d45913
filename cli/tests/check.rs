//! `hubel check`: output, exit codes and the page with the pictures.
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

fn check(data: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hubel"));
    command.arg("check").arg(data);
    command
}

/// Two classes of twelve pictures, all with different squares.
fn pictures(root: &Path) {
    for (class, shift) in [("cat", 0), ("dog & co", 100)] {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..12u32 {
            let picture = image::RgbImage::from_fn(32, 32, |x, y| {
                let square = (x / 4 + 8 * (y / 4) + 1) * (2 * (number + shift) + 1);
                let mixed = square.wrapping_mul(2_654_435_761).rotate_left(15);
                image::Rgb(
                    mixed.wrapping_mul(2_246_822_519).to_be_bytes()[..3]
                        .try_into()
                        .unwrap(),
                )
            });
            picture
                .save(root.join(class).join(format!("{number}.png")))
                .unwrap();
        }
    }
}

#[test]
fn clean_data_is_left_with_0_and_a_conflict_with_1() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    check(folder.path())
        .assert()
        .success()
        .stdout(contains("No problems were found."));

    let copy = folder.path().join("dog & co/copy.png");
    fs::copy(folder.path().join("cat/3.png"), &copy).unwrap();
    let report = folder.path().with_extension("html");
    let shown = check(folder.path())
        .arg("--html")
        .arg(&report)
        .assert()
        .code(1);
    shown.stdout(contains("! label-conflict").and(contains("copy.png")));
    let page = fs::read_to_string(&report).unwrap();
    fs::remove_file(&report).unwrap();
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 2);
    assert!(page.contains("dog &#38; co/copy.png") && !page.contains("http"));

    let output = check(folder.path()).arg("--json").assert().code(1);
    let answer: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!(answer.as_object().unwrap().len(), 1);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["kind"], "label-conflict");
    let paths: Vec<&str> = findings[0]["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            folder.path().join("cat/3.png").to_str().unwrap(),
            copy.to_str().unwrap()
        ]
    );
    assert!(
        findings[0]["detail"]
            .as_str()
            .unwrap()
            .contains("cat, dog & co")
    );
}

#[test]
fn duplicates_in_one_class_are_no_reason_to_leave_with_1() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    fs::copy(
        folder.path().join("cat/3.png"),
        folder.path().join("cat/copy.png"),
    )
    .unwrap();
    check(folder.path())
        .assert()
        .success()
        .stdout(contains("exact-duplicate"));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let report = folder.path().join("no such folder/report.html");
    check(folder.path())
        .arg("--html")
        .arg(&report)
        .assert()
        .code(1)
        .stderr(contains("cannot write").and(contains("no such folder")));
}
