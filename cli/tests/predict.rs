//! `hubel predict` on many pictures, and unusual names.
mod binary;
mod models;

use std::fs;
use std::path::{Path, PathBuf};

use binary::{hubel, json};
use hubel::Shape;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a model for grey pictures, and pictures of two classes in `new`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::of_cats_and_dogs(folder.path(), "flatten-fc(classes)", Shape::new(8, 8, 1));
    pictures(&folder.path().join("new"), 12);
    folder
}

/// This many different pictures in each of `cat` and `dog`.
fn pictures(root: &Path, count: u32) {
    for (class, start) in [("cat", 1), ("dog", 1000)] {
        let class = root.join(class);
        fs::create_dir_all(&class).expect("a folder");
        for number in 0..count {
            let mut state = start + number;
            let picture = image::GrayImage::from_fn(8, 8, |_, _| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                image::Luma([(state >> 24) as u8])
            });
            let path = class.join(format!("{number:02}.png"));
            picture.save(path).expect("a picture");
        }
    }
}

fn paths(predictions: &Value) -> Vec<String> {
    let predictions = predictions.as_array().expect("a list");
    let path = |prediction: &Value| prediction["path"].as_str().expect("a path").to_string();
    predictions.iter().map(path).collect()
}

#[test]
fn folders_patterns_and_lists_name_the_same_pictures_in_their_order() {
    let folder = folder();
    let predict = || {
        let mut command = hubel();
        command
            .current_dir(&folder)
            .args(["predict", "model.safetensors", "--json"]);
        command
    };
    let all = json(predict().arg("new"));
    let expected = paths(&all["predictions"]);
    assert_eq!(expected.len(), 24);
    assert!(expected.is_sorted() && expected[0] == "new/cat/00.png");
    assert_eq!(json(predict().arg("new/*/*.png")), all);
    assert_eq!(json(predict().arg("new/**/*.png")), all);

    let backwards: Vec<&str> = expected.iter().rev().map(String::as_str).collect();
    fs::write(folder.path().join("names.txt"), backwards.join("\n")).expect("a file");
    let listed = json(predict().arg("@names.txt"));
    assert_eq!(paths(&listed["predictions"]), backwards);
    for text in [backwards.join("\n"), backwards.join("\0")] {
        let mut command = predict();
        assert_eq!(json(command.arg("-").write_stdin(text)), listed);
    }
    let mixed = json(predict().args(["new/dog/03.png", "new/c*", "@names.txt"]));
    assert_eq!(paths(&mixed["predictions"]).len(), 1 + 12 + 24);

    predict()
        .arg("new/*.bmp")
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("matches `new/*.bmp`"));
}

#[test]
fn answers_go_into_a_file_with_a_line_for_each_picture() {
    let folder = folder();
    fs::write(folder.path().join("new/dog/bad.png"), "no picture").expect("a file");
    let predict = |out: &str| {
        let mut command = hubel();
        command
            .current_dir(&folder)
            .args(["predict", "model.safetensors", "new", "--out", out]);
        command.assert()
    };
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("answers");
    predict("answers.csv")
        .code(1)
        .stdout(contains("25, 1 of them unusable").and(contains("answers.csv")))
        .stderr(contains("bad.png").and(contains("error:").count(1)));
    let table = read("answers.csv");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1 + 25);
    assert_eq!(
        lines[0],
        "path,class,probability,class_2,probability_2,sure,inverted,other_ground,greyed,problem"
    );
    assert!(
        lines[25].starts_with("new/dog/bad.png,,,,,,,,"),
        "{}",
        lines[25]
    );

    predict("answers.jsonl").code(1);
    let objects = read("answers.jsonl");
    let objects: Vec<Value> = objects
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(objects.len(), 25);
    assert_eq!(objects[0]["path"], "new/cat/00.png");
    assert!(objects[24]["problem"].is_string());

    predict("answers.txt").code(2);
    let left = fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left, 4, "the model, the pictures and two files");
}

#[test]
fn a_name_with_a_line_break_takes_one_line() {
    let folder = folder();
    let name = folder.path().join("new/cat/a\nb.png");
    fs::rename(folder.path().join("new/cat/00.png"), &name).expect("it is renamed");
    let printed = hubel()
        .current_dir(&folder)
        .args(["predict", "model.safetensors", "new/cat"])
        .assert()
        .success();
    let text = String::from_utf8(printed.get_output().stdout.clone()).expect("UTF-8");
    assert_eq!(text.lines().count(), 12);
    assert!(text.contains("new/cat/a\\nb.png: "), "{text}");
    fs::write(&name, "no picture").expect("a file");
    hubel()
        .current_dir(&folder)
        .args(["check", "new"])
        .assert()
        .code(1)
        .stdout(contains("a\\nb.png").and(contains("a\nb.png").not()));
}

#[test]
fn data_of_one_class_is_evaluated_since_the_model_knows_the_others() {
    let folder = folder();
    fs::create_dir(folder.path().join("cats")).expect("a folder");
    fs::rename(
        folder.path().join("new/cat"),
        folder.path().join("cats/cat"),
    )
    .expect("it is moved");
    let rows: String = (0..5).map(|i| format!("cats/cat/0{i}.png,cat\n")).collect();
    fs::write(
        folder.path().join("cats.csv"),
        format!("path,label\n{rows}"),
    )
    .expect("a table");
    for (data, count) in [("cats", 12), ("cats/cat", 12), ("cats.csv", 5)] {
        let mut command = hubel();
        command.current_dir(&folder);
        let answer = json(command.args(["evaluate", "model.safetensors", data, "--json"]));
        assert_eq!(answer["count"], count);
        assert_eq!(answer["baseline_accuracy"], 1.0);
        assert_eq!(answer["balanced_accuracy"], answer["accuracy"]);
        assert_eq!(answer["class_accuracy"][1], Value::Null);
        // It cannot be trained on.
        hubel()
            .current_dir(&folder)
            .args(["train", data])
            .assert()
            .code(1)
            .stderr(contains("at least two classes"));
    }
    pictures(&folder.path().join("more"), 1);
    fs::rename(folder.path().join("more/cat"), folder.path().join("pets")).expect("it is moved");
    hubel()
        .current_dir(&folder)
        .args(["evaluate", "model.safetensors", "pets"])
        .assert()
        .code(1)
        .stderr(contains("it holds 1 picture, but neither class folders"));
}

#[cfg(unix)]
#[test]
fn data_at_a_path_that_is_not_unicode_works_in_every_command() {
    use std::os::unix::ffi::OsStringExt;

    let folder = folder();
    let name = |bytes: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
    let data = name(b"caf\xe9");
    pictures(&folder.path().join(&data), 12);
    let copy = folder
        .path()
        .join(&data)
        .join("cat")
        .join(name(b"\xff.png"));
    fs::copy(folder.path().join(&data).join("cat/00.png"), copy).expect("a file");
    let run = |arguments: &[&str]| {
        let mut command = hubel();
        command.current_dir(&folder);
        for argument in arguments {
            match *argument {
                "DATA" => command.arg(&data),
                argument => command.arg(argument),
            };
        }
        command.assert().success()
    };
    run(&["check", "DATA", "--html", "report.html"]);
    let report = fs::read_to_string(folder.path().join("report.html")).expect("a report");
    assert!(report.contains("\u{fffd}.png") && report.contains("exact-duplicate"));
    assert_eq!(report.matches("<img").count(), 2);
    run(&["data", "preview", "DATA", "--out", "sheet.png"]);
    run(&["bench", "data", "DATA", "--duration", "0.01"]);
    let train = [
        "train",
        "DATA",
        "--model",
        "flatten-fc(classes)",
        "--epochs",
        "1",
        "--out",
        "run",
    ];
    run(&train).stdout(contains(r"run $'caf\351'"));
    run(&["evaluate", "run", "DATA"]);
    run(&["predict", "run", "DATA", "--out", "answers.csv"]);
    let table = fs::read_to_string(folder.path().join("answers.csv")).expect("answers");
    assert_eq!(table.lines().count(), 1 + 25);
}

#[test]
fn the_backbone_names_one_of_a_thousand_classes_unless_a_model_is_called_so() {
    let folder = folder();
    let picture = "new/cat/00.png";
    let predict = || {
        let mut command = hubel();
        let arguments = ["predict", "efficientnet-lite0", picture, "--json"];
        command.current_dir(&folder).args(arguments);
        command
    };
    let names = hubel::Model::pretrained("efficientnet-lite0")
        .expect("enough memory")
        .expect("it is part of the library");
    let answer = json(&mut predict());
    let class = answer["predictions"][0]["class"].as_str().expect("a class");
    assert!(names.classes().iter().any(|name| name == class), "{class}");

    let own = folder.path().join("model.safetensors");
    fs::rename(own, folder.path().join("efficientnet-lite0")).expect("a file");
    let answer = json(&mut predict());
    let class = answer["predictions"][0]["class"].as_str().expect("a class");
    assert!(["cat", "dog"].contains(&class), "{class}");
}
