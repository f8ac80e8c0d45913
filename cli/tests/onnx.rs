//! `hubel export` and `hubel import`: models as ONNX files.
mod binary;

use std::fs;

use assert_cmd::Command;
use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json as object};
use tempfile::TempDir;

/// The binary with these arguments in a folder.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = hubel();
    command.current_dir(folder).args(arguments);
    command
}

/// A folder with pictures of three colours in `data`, and a small model of them in `run`.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (part, count) in [("train", 12), ("val", 6), ("test", 3)] {
        for (class, name) in ["blue", "green", "red"].into_iter().enumerate() {
            let place = folder.path().join("data").join(part).join(name);
            fs::create_dir_all(&place).expect("a folder");
            for number in 0..count {
                let mut state = 1000 * class as u32 + 100 * count + number;
                let picture = image::RgbImage::from_fn(10, 8, |_, _| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 24) as u8;
                    let mut levels = [noise, noise / 2, noise / 3];
                    levels[2 - class] = levels[2 - class] / 2 + 100;
                    image::Rgb(levels)
                });
                let path = place.join(format!("{number:02}.png"));
                picture.save(path).expect("a picture");
            }
        }
    }
    let network = "conv(6, padding=1)-batchnorm-relu-pool-flatten-fc(classes)";
    let train = ["train", "data", "--model", network, "--out", "run"];
    command(&folder, &train)
        .args(["--epochs", "3", "--batch-size", "12", "--quiet"])
        .assert()
        .success();
    folder
}

/// The classes and probabilities of all test pictures.
fn predictions(folder: &TempDir, model: &str) -> Vec<(String, f64)> {
    let answer = json(&mut command(
        folder,
        &["predict", model, "data/test", "--json"],
    ));
    let predictions = answer["predictions"].as_array().expect("a list").iter();
    let pair = |prediction: &Value| {
        let class = prediction["class"].as_str().expect("a class").to_owned();
        let probability = prediction["probability"].as_f64().expect("a probability");
        (class, probability)
    };
    predictions.map(pair).collect()
}

#[test]
fn an_exported_model_that_is_imported_gives_the_same_answers() {
    let folder = trained();
    let expected = predictions(&folder, "run");
    assert_eq!(expected.len(), 9);
    let ways: [(&[&str], &str); 4] = [
        (&[], "16 pictures"),
        (
            &["--input", "float", "--opset", "13", "--keep-batch-norm"],
            "16 pictures",
        ),
        (&["--opset", "21"], "16 pictures"),
        // There are nine pictures.
        (&["data/test", "--resize-inside"], "9 pictures"),
    ];
    for (number, (way, compared)) in ways.into_iter().enumerate() {
        let (file, model) = (format!("{number}.onnx"), format!("models/{number}"));
        let exported = command(&folder, &["export", "run", "--onnx", &file])
            .args(way)
            .assert()
            .success();
        exported.stdout(contains(format!("{file}: ")).and(contains(format!(" on {compared}"))));
        command(&folder, &["import", &file, "--out", &model])
            .assert()
            .success()
            .stdout(contains("8×10×3").and(contains("3 classes")));
        let answers = predictions(&folder, &model);
        assert_eq!(answers.len(), expected.len());
        for ((class, probability), (own, expected)) in answers.iter().zip(&expected) {
            assert_eq!(class, own, "{way:?}");
            let difference = (probability - expected).abs();
            assert!(difference < 1e-4, "{way:?}: {probability} and {expected}");
        }
    }
}

#[test]
fn both_commands_print_one_object() {
    let folder = trained();
    let export = ["export", "run", "--onnx", "model.onnx", "--compare", "3"];
    let answer = json(command(&folder, &export).arg("--json"));
    let size = fs::metadata(folder.path().join("model.onnx"))
        .expect("a file")
        .len();
    assert_eq!(answer["file"], "model.onnx");
    assert_eq!(answer["bytes"], size);
    assert_eq!(answer["compared"], 3);
    assert!(answer["nodes"].as_u64() > Some(5));
    let difference = answer["difference"].as_f64().expect("a number");
    assert!((0.0..1e-4).contains(&difference), "{difference}");
    let half = json(command(&folder, &export).args(["--fp16", "--json"]));
    assert!(half["bytes"].as_u64() < Some(size));
    assert!(half["difference"].as_f64() > Some(difference));

    let import = ["import", "model.onnx", "--json"];
    let answer = json(&mut command(&folder, &import));
    assert_eq!(answer["model"], "runs/model/model.safetensors");
    assert_eq!(answer["classes"], object!(["blue", "green", "red"]));
    assert_eq!(answer["remarks"], object!([]));
    for (name, count) in [("mean", 3), ("std", 3)] {
        assert_eq!(answer[name].as_array().map(Vec::len), Some(count), "{name}");
    }
    fs::write(folder.path().join("names.txt"), "sea\nmeadow\n\nfire\n").expect("a file");
    let named = json(command(&folder, &import).args(["--classes", "names.txt"]));
    assert_eq!(named["model"], "runs/model-2/model.safetensors");
    assert_eq!(named["classes"], object!(["sea", "meadow", "fire"]));
}

#[test]
fn what_cannot_be_written_or_read_is_said_with_a_way_out() {
    let folder = trained();
    command(
        &folder,
        &[
            "export",
            "run",
            "--onnx",
            "a.onnx",
            "--resize-inside",
            "--input",
            "float",
        ],
    )
    .assert()
    .failure()
    .stderr(contains("'--resize-inside' cannot be used with '--input"));
    command(
        &folder,
        &["export", "run", "no such folder", "--onnx", "a.onnx"],
    )
    .assert()
    .failure()
    .stderr(contains("no such folder"));
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("taken")).expect("a folder");
    fs::write(at("no.onnx"), "These are words.").expect("a file");
    fs::write(at("empty.onnx"), "").expect("a file");
    fs::write(at("two.txt"), "cat\ndog\n").expect("a file");
    let export = ["export", "run", "--onnx", "model.onnx"];
    command(&folder, &export).assert().success();
    let before = fs::read(at("model.onnx")).expect("a file");

    let wrong = [
        ("export run", 2, "--onnx <FILE>"),
        ("export run --onnx x.onnx --opset 12", 2, "from 13 to 21"),
        ("export run --onnx x.onnx --input text", 2, "bytes, float"),
        ("export run --onnx x.onnx --compare 0", 2, "1 or more"),
        ("export nothing --onnx x.onnx", 1, "there is no such file"),
        ("export run --onnx taken", 1, "such as taken/model.onnx"),
        ("export run --onnx no/x.onnx", 1, "there is no folder no;"),
        ("import", 2, "<FILE>"),
        ("import model.onnx --mean 0,0,0", 2, "--std <R,G,B>"),
        ("import nothing.onnx", 1, "cannot read nothing.onnx"),
        ("import data", 1, "it is a folder"),
        ("import run", 1, "need no import"),
        ("import run/model.safetensors", 1, "need no import"),
        ("import no.onnx", 1, "it is no ONNX file"),
        ("import empty.onnx", 1, "is it an ONNX file?"),
        ("import model.onnx --classes two.txt", 1, "2 names"),
        ("import model.onnx --input 9x9x3", 1, "9 were given"),
    ];
    for (line, code, said) in wrong {
        let arguments: Vec<&str> = line.split(' ').collect();
        let assert = command(&folder, &arguments).assert().code(code);
        assert.stdout("").stderr(contains(said));
    }
    assert_eq!(fs::read(at("model.onnx")).expect("a file"), before);
    assert!(!at("x.onnx").exists() && !at("runs").exists());
}
