//! `hubel explain --check --data`: whether maps can be trusted, and the most similar training pictures.
mod binary;
mod models;

use std::fs;

use assert_cmd::Command;
use binary::{hubel, json};
use hubel::Shape;
use predicates::str::contains;
use tempfile::TempDir;

/// A folder with `model.safetensors`, and in `pictures` six pictures of each of two classes.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::of_cats_and_dogs(
        folder.path(),
        "conv(4, padding=1)-relu-pool-conv(6)-relu-flatten-fc(classes)",
        Shape::new(12, 12, 1),
    );
    for (class, factor) in [("cat", 29), ("dog", 43)] {
        let place = folder.path().join("pictures").join(class);
        fs::create_dir_all(&place).expect("a folder");
        for number in 0..6 {
            let level = |x: u32, y: u32| ((x + 3 * y) * (number + 7) * factor % 256) as u8;
            let picture = image::GrayImage::from_fn(12, 12, |x, y| image::Luma([level(x, y)]));
            let path = place.join(format!("{number}.png"));
            picture.save(path).expect("a picture");
        }
    }
    folder
}

fn explain(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = hubel();
    (command.current_dir(folder))
        .args(["explain", "model.safetensors", "pictures/dog/3.png"])
        .args(arguments);
    command
}

#[test]
fn every_map_is_checked_and_the_pictures_most_alike_are_shown() {
    let folder = folder();
    let arguments = [
        "--check",
        "--data",
        "pictures",
        "--nearest",
        "3",
        "--method",
        "all",
    ];
    let answer = json(&mut explain(
        &folder,
        &[&arguments[..], &["--json"]].concat(),
    ));
    let explanations = answer["explanations"].as_array().expect("a list");
    assert_eq!(explanations.len(), 5);
    for explanation in explanations {
        let checks = &explanation["checks"];
        // Eight, or all except the picture itself.
        let others = checks["cascade"]["examples"].as_u64().expect("a number");
        assert!((8..12).contains(&others), "{explanation}");
        for number in ["correlation", "bound"] {
            let number = checks["cascade"][number].as_f64().expect("a number");
            assert!((0.0..=1.0).contains(&number));
        }
        for curve in ["deletion", "insertion"] {
            for order in ["map", "random", "edges"] {
                let area = checks[curve][order].as_f64().expect("a number");
                assert!((0.0..=1.0).contains(&area));
            }
        }
        assert!(checks["verdict"].is_string());
    }
    let nearest = answer["nearest"]["nearest"].as_array().expect("a list");
    assert_eq!(answer["nearest"]["compared"], 12);
    assert_eq!(nearest.len(), 3);
    assert_eq!(nearest[0]["distance"], 0.0);
    assert_eq!(nearest[0]["class"], "dog");
    assert!(
        nearest[0]["path"]
            .as_str()
            .expect("a path")
            .ends_with("dog/3.png")
    );

    let arguments = ["--check", "--data", "pictures", "--nearest", "3"];
    (explain(&folder, &arguments).assert().success())
        .stdout(contains("most similar"))
        .stdout(contains("of 12 training pictures"))
        .stdout(contains("dog, 0 (the same"));
    let page = fs::read_to_string(folder.path().join("explain-3/index.html")).expect("a page");
    assert!(page.contains("Most similar for the network"));
    assert_eq!(page.matches("class=\"check").count(), 4);
}

#[test]
fn what_cannot_be_checked_is_said() {
    let folder = folder();
    (explain(&folder, &["--check"]).assert().success()).stdout(contains(
        "not checked: whether it depends on the learned weights",
    ));
    for class in ["cat", "dog"] {
        for number in 2..6 {
            let path = format!("pictures/{class}/{number}.png");
            if path != "pictures/dog/3.png" {
                fs::remove_file(folder.path().join(path)).expect("it was there");
            }
        }
    }
    (explain(&folder, &["--check", "--data", "pictures"])
        .assert()
        .success())
    .stdout(contains("needs 8 examples"));
    (explain(&folder, &["--data", "nowhere"]).assert().code(1)).stderr(contains("nowhere"));
    (explain(&folder, &["--nearest", "3"]).assert().code(2)).stderr(contains("--data"));
    (explain(&folder, &["--check", "--layer", "0", "--filter", "0"])
        .assert()
        .code(2))
    .stderr(contains("--check"));
}
