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

/// An IDX file of bytes.
fn idx(path: &Path, sizes: &[u32], values: &[u8]) {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(values);
    fs::write(path, file).unwrap();
}

/// Arrays of lying and standing bars, 240 to train on and 20 to test on. The labels of the training pictures in `wrong` are exchanged.
fn bars(root: &Path, wrong: &[usize]) {
    for (part, first, count) in [("train", 0, 240), ("t10k", 240, 20)] {
        let mut pixels = Vec::new();
        for picture in first..first + count {
            for pixel in 0..144 {
                let along = [pixel / 12, pixel % 12][picture % 2];
                let noise = (picture * 31 + pixel * 17) * 2_654_435_761 % 97;
                let bar = along.abs_diff(picture / 2 % 8 + 2) < 2;
                pixels.push((if bar { 190 } else { 20 } + noise / 3) as u8);
            }
        }
        let is_wrong = |picture| part == "train" && wrong.contains(&picture);
        let labels = (0..count).map(|picture| (picture % 2) as u8 ^ u8::from(is_wrong(picture)));
        let labels: Vec<u8> = labels.collect();
        let images = root.join(format!("{part}-images-idx3-ubyte"));
        idx(&images, &[count as u32, 12, 12], &pixels);
        idx(
            &root.join(format!("{part}-labels-idx1-ubyte")),
            &[count as u32],
            &labels,
        );
    }
}

#[test]
fn planted_label_errors_come_first_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [12, 101, 200];
    bars(folder.path(), &wrong);
    let (page, table) = (folder.path().join("a.html"), folder.path().join("a.csv"));
    let mut command = check(folder.path());
    command.args(["--labels", "--json", "--html"]).arg(&page);
    let output = command.arg("--out").arg(&table).assert().success();
    let output = output.stderr(contains("judging the labels: 5 folds"));
    let answer: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let labels = &answer["labels"];
    assert_eq!(labels["wrong"], 3);
    let ranking = labels["ranking"].as_array().unwrap();
    assert_eq!(ranking.len(), 260);
    let mut worst: Vec<&str> = ranking[..3]
        .iter()
        .map(|label| label["name"].as_str().unwrap())
        .collect();
    worst.sort_unstable();
    assert_eq!(worst, ["train:101", "train:12", "train:200"]);
    for label in &ranking[..3] {
        assert_eq!(label["looks_wrong"], true);
        assert_ne!(label["given"], label["suggested"]);
    }
    let finding = &answer["findings"].as_array().unwrap()[0];
    assert_eq!(finding["kind"], "label-error");
    assert_eq!(finding["paths"], serde_json::json!([ranking[0]["name"]]));

    let page = fs::read_to_string(&page).unwrap();
    assert!(page.contains("id=\"label-error\"") && page.contains("train:101"));
    assert!(page.matches("src=\"data:image/png;base64,").count() >= 3);

    let rows = fs::read_to_string(&table).unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!(rows.len(), 261);
    assert!(rows[0].ends_with("looks_wrong,p(0),p(1)"), "{}", rows[0]);
    assert!(rows[1].starts_with(&format!(
        "1,{},training,",
        ranking[0]["name"].as_str().unwrap()
    )));
}

#[test]
fn right_labels_do_not_look_wrong_and_flags_of_the_search_need_it() {
    let folder = tempfile::tempdir().unwrap();
    bars(folder.path(), &[]);
    let mut command = check(folder.path());
    command
        .args(["--labels", "--folds", "3", "--threads", "1"])
        .assert()
        .success()
        .stdout(contains("none of 260 labels looks wrong").and(contains("judged by 3 folds")));
    for flag in ["--folds", "--threads"] {
        check(folder.path())
            .args([flag, "3"])
            .assert()
            .code(2)
            .stderr(contains("--labels"));
    }
}

#[test]
fn a_class_with_one_picture_cannot_be_judged_and_the_other_findings_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    for number in 1..12 {
        fs::remove_file(folder.path().join(format!("cat/{number}.png"))).unwrap();
    }
    check(folder.path())
        .arg("--labels")
        .assert()
        .code(1)
        .stdout(contains("tiny-class"))
        .stderr(contains("class `cat` has a single example").and(contains("at least 2")));
}
