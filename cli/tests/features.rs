//! `hubel embed`, `hubel similar`: the features of pictures, and the nearest pictures.
mod binary;
mod models;

use std::fs;

use binary::{hubel, json};
use hubel::Shape;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// A folder with a model, and numbered pictures of stripes: the more their numbers differ, the less similar they are.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::of_cats_and_dogs(folder.path(), "flatten-fc(classes)", Shape::new(8, 8, 1));
    fs::create_dir(folder.path().join("new")).expect("a folder");
    for number in 0..6u32 {
        let picture = image::GrayImage::from_fn(8, 8, |x, y| {
            image::Luma([if x * 8 + y < 20 + 6 * number { 200 } else { 30 }])
        });
        let path = folder.path().join(format!("new/{number}.png"));
        picture.save(path).expect("a picture");
    }
    folder
}

#[test]
fn the_most_alike_pictures_come_first_without_the_picture_itself() {
    let folder = folder();
    fs::write(folder.path().join("new/broken.png"), "no picture").expect("a file");
    let similar = || {
        let mut command = hubel();
        let arguments = ["similar", "model.safetensors", "new", "new/2.png"];
        command.current_dir(&folder).args(arguments);
        command
    };
    let output = similar().args(["--count", "3", "--json"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1), "one cannot be read");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["compared"], 5);
    assert_eq!(answer["bad_files"].as_array().expect("a list").len(), 1);
    let similar_ones = answer["similar"].as_array().expect("a list");
    let names: Vec<&str> = (similar_ones.iter())
        .map(|one| one["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(names.len(), 3);
    assert!(names[..2].contains(&"new/1.png") && names[..2].contains(&"new/3.png"));
    fs::remove_file(folder.path().join("new/broken.png")).expect("it is there");
    similar()
        .assert()
        .success()
        .stdout(contains("new/5.png").and(contains("new/2.png").not()));
    similar()
        .args(["--layer", "flaten"])
        .assert()
        .code(1)
        .stderr(contains("the network has no layer `flaten`"));
}

#[test]
fn features_are_written_for_numpy() {
    let folder = folder();
    let embed = |out: &str| {
        let mut command = hubel();
        let arguments = ["embed", "model.safetensors", "new", "--out", out];
        command.current_dir(&folder).args(arguments);
        command
    };
    let answer = json(embed("features.npz").arg("--json"));
    assert_eq!(
        (&answer["count"], &answer["dimensions"]),
        (&6.into(), &64.into())
    );
    let file = fs::read(folder.path().join("features.npz")).expect("it is there");
    let text = String::from_utf8_lossy(&file);
    assert!(text.contains("'descr': '<f4', 'fortran_order': False, 'shape': (6, 64)"));
    assert!(text.contains("'descr': '<U9', 'fortran_order': False, 'shape': (6,)"));
    embed("features.csv")
        .assert()
        .code(2)
        .stderr(contains(".npz"));
    fs::write(folder.path().join("broken.png"), "no picture").expect("a file");
    let mut broken = hubel();
    broken.current_dir(&folder).args([
        "embed",
        "model.safetensors",
        "broken.png",
        "--out",
        "b.npz",
    ]);
    broken
        .assert()
        .code(1)
        .stderr(contains("b.npz was not written"));
    assert!(!folder.path().join("b.npz").exists());
    // Before anything is computed.
    embed("nowhere/features.npz")
        .assert()
        .code(1)
        .stderr(contains("nowhere").and(contains("looking").not()));
}

#[test]
fn a_model_looks_at_pictures_at_another_size_where_its_weights_allow_it() {
    let folder = folder();
    let pooled = folder.path().join("pooled");
    fs::create_dir(&pooled).expect("a folder");
    let network = "conv(4)-relu-globalavgpool-fc(classes)";
    models::of_cats_and_dogs(&pooled, network, Shape::new(8, 8, 1));
    let run = |line: &str| {
        let mut command = hubel();
        command.current_dir(&folder).args(line.split(' '));
        command
    };
    let probability = |size: &str| {
        let line = format!("predict pooled new/0.png --json{size}");
        json(&mut run(&line))["predictions"][0]["probability"].clone()
    };
    assert_eq!(probability(""), probability(" --size 8"));
    assert_ne!(probability(""), probability(" --size 5"));
    let answer = json(&mut run(
        "embed pooled new --out a.npz --size 12 --json --quiet",
    ));
    assert_eq!(
        (&answer["count"], &answer["dimensions"]),
        (&6.into(), &4.into())
    );
    for line in [
        "similar pooled new new/2.png --size 16",
        "explain pooled new/2.png --size 16 --quiet",
    ] {
        run(line).assert().success();
    }
    for class in ["cat", "dog"] {
        let labelled = folder.path().join("labelled").join(class);
        fs::create_dir_all(&labelled).expect("a folder");
        fs::copy(folder.path().join("new/0.png"), labelled.join("0.png")).expect("a picture");
    }
    run("evaluate pooled labelled --size 16")
        .assert()
        .success()
        .stderr(contains("each at 16×16×1 instead of the model's 8×8×1"));
    for (line, told) in [
        (
            "predict model.safetensors new --size 16",
            "layer `1` has a weight for each value of a map of 8×8×1",
        ),
        ("predict pooled new --size 2", "ways out: an input of 3×3×1"),
        ("predict pooled new --size 0", "1 or more"),
        ("predict pooled new --size 20000", "larger than any picture"),
    ] {
        run(line).assert().failure().stderr(contains(told));
    }
}
