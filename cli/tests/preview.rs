//! `hubel data preview`: the pictures of a training step, drawn.
use std::path::Path;

use assert_cmd::Command;
use image::RgbImage;
use predicates::prelude::*;
use serde_json::Value;

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// Twelve pictures each of two classes, one of them named in Chinese.
fn photos(folder: &Path) {
    for class in ["cat", "猫"] {
        std::fs::create_dir(folder.join(class)).expect("the folder is new");
        for number in 0..12u8 {
            let picture = RgbImage::from_fn(16, 12, |x, y| {
                image::Rgb([
                    number * 20,
                    (x * 15) as u8,
                    (y * 20) as u8 + class.len() as u8,
                ])
            });
            let path = folder.join(class).join(format!("{number}.png"));
            picture.save(path).expect("it can be written");
        }
    }
}

/// Draws a sheet with these flags; returns the bytes of its file and the output.
fn preview(folder: &Path, flags: &[&str]) -> (Vec<u8>, Value) {
    let sheet = folder.join("sheet.png");
    let mut command = hubel();
    command.args(["data", "preview"]).arg(folder.join("photos"));
    command
        .args(["--val", "0", "--test", "0", "--json", "--out"])
        .arg(&sheet);
    let output = command.args(flags).output().expect("hubel runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer = serde_json::from_slice(&output.stdout).expect("one JSON object");
    (std::fs::read(sheet).expect("the sheet is written"), answer)
}

#[test]
fn the_same_flags_draw_the_same_sheet_and_others_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    std::fs::create_dir(path.join("photos")).expect("the folder is new");
    photos(&path.join("photos"));
    let flags = [
        "--augment",
        "strong",
        "--batch-size",
        "10",
        "--epoch",
        "2",
        "--step",
        "3",
    ];
    let (sheet, answer) = preview(path, &flags);
    assert_eq!(answer["steps"], 3);
    let pictures = answer["pictures"].as_array().expect("a list");
    assert_eq!(pictures.len(), 4, "24 pictures in batches of 10 leave 4");
    for picture in pictures {
        let file = Path::new(picture["path"].as_str().expect("it has a file"));
        assert!(file.exists());
        let class = file
            .parent()
            .and_then(Path::file_name)
            .expect("it lies in a folder");
        assert_eq!(picture["class"], *class.to_string_lossy());
    }
    assert_eq!(preview(path, &flags), (sheet.clone(), answer));
    for other in [["--seed", "2"], ["--count", "2"]] {
        assert_ne!(preview(path, &[&flags[..], &other].concat()).0, sheet);
    }
    let (with_originals, _) = preview(path, &[&flags[..], &["--original"]].concat());
    let width = |png: &[u8]| image::load_from_memory(png).expect("a PNG").width();
    assert!(width(&with_originals) >= width(&sheet));
    assert_ne!(with_originals, sheet);
}

#[test]
fn steps_and_operations_that_there_are_not_are_refused_with_those_there_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    photos(folder.path());
    let sheet = folder.path().join("sheet.png");
    let refused = |code: i32, flags: &[&str], part: &str| {
        let mut command = hubel();
        command.args(["data", "preview"]).arg(folder.path());
        command
            .args(["--from", "none", "--val", "0", "--test", "0", "--out"])
            .arg(&sheet)
            .args(flags);
        command
            .assert()
            .code(code)
            .stderr(predicate::str::contains(part));
    };
    refused(1, &["--step", "9"], "has the steps 1 to 1");
    refused(2, &["--augment", "flip, crp(2)"], "did you mean `crop`?");
    refused(1, &["--augment", "crop(12)"], "give a padding below 12");
    assert!(!sheet.exists());
}

#[test]
fn mixed_pictures_are_drawn_with_their_partners() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    std::fs::create_dir(path.join("photos")).expect("the folder is new");
    photos(&path.join("photos"));
    let (plain, answer) = preview(path, &["--batch-size", "10"]);
    assert_eq!(answer["pictures"][0]["mixed_with"], Value::Null);
    for flags in [["--mixup", "0.5"], ["--cutmix", "1"]] {
        let flags = [&["--batch-size", "10"], &flags[..]].concat();
        let (mixed, answer) = preview(path, &flags);
        assert_ne!(mixed, plain);
        let pictures = answer["pictures"].as_array().expect("a list");
        assert_eq!(pictures.len(), 10);
        for (place, picture) in pictures.iter().enumerate() {
            let partner = &pictures[(place + 9) % 10];
            assert_eq!(picture["mixed_with"]["index"], partner["index"]);
            assert_eq!(picture["mixed_with"]["class"], partner["class"]);
            let share = picture["mixed_with"]["share"].as_f64().expect("a number");
            assert!((0.0..=1.0).contains(&share));
        }
    }
}
