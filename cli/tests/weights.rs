//! Weights of another program, wherever a command takes a model.
mod binary;
mod models;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use hubel::{Network, Shape};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a picture and `weights.pt`: the tensors of lenet5 without hubel's metadata, except those whose name begins with `left_out`.
fn folder(left_out: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let network = Network::named("lenet5").expect("a network").to_string();
    models::of_cats_and_dogs(folder.path(), &network, Shape::new(28, 28, 1));
    let model = fs::read(folder.path().join("model.safetensors")).expect("a model");
    let length = u64::from_le_bytes(*model.first_chunk().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&model[8..8 + length]).expect("a header");
    let (mut kept, mut numbers) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, entry) in header.as_object().expect("tensors") {
        if name == "__metadata__" || name.starts_with(left_out) {
            continue;
        }
        let offset = |end: usize| {
            8 + length + entry["data_offsets"][end].as_u64().expect("a number") as usize
        };
        let start = numbers.len();
        numbers.extend(&model[offset(0)..offset(1)]);
        let mut entry = entry.clone();
        entry["data_offsets"] = serde_json::json!([start, numbers.len()]);
        kept.insert(name.clone(), entry);
    }
    let header = Value::from(kept).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(numbers);
    fs::write(folder.path().join("weights.pt"), file).expect("a file");
    let picture = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(x * y % 256) as u8]));
    picture
        .save(folder.path().join("new.png"))
        .expect("a picture");
    folder
}

const NONE: &str = "(none)";

#[test]
fn they_are_a_model_and_it_is_said_of_which_network_and_with_which_normalisation() {
    let folder = folder(NONE);
    let said = || {
        contains("weights.pt: detected weights of lenet5 with 2 classes").and(contains(
            "ImageNet's mean and standard deviation (0.449; 0.226)",
        ))
    };
    let run = |arguments: &[&str]| {
        let mut command = hubel();
        command.current_dir(&folder).args(arguments);
        command.assert().success().stderr(said())
    };
    run(&["predict", "weights.pt", "new.png"]).stdout(contains("new.png: "));
    let mut inspect = hubel();
    inspect
        .current_dir(&folder)
        .args(["inspect", "weights.pt", "--json"]);
    assert_eq!(
        json(&mut inspect)["class_names"],
        serde_json::json!(["0", "1"])
    );
    run(&["embed", "weights.pt", "new.png", "--out", "new.npz"]).stdout(contains("84 features"));
}

#[test]
fn without_a_last_layer_they_give_features_and_no_answer() {
    let folder = folder("11.");
    let run = |arguments: &[&str]| {
        let mut command = hubel();
        command.current_dir(&folder).args(arguments);
        command.assert()
    };
    run(&["embed", "weights.pt", "new.png", "--out", "new.npz"])
        .success()
        .stderr(contains("lenet5 without a last layer"))
        .stdout(contains("84 features"));
    run(&["predict", "weights.pt", "new.png"])
        .code(1)
        .stderr(contains("it has no last layer").and(contains("--from weights.pt")));
}

#[test]
fn code_is_refused() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../hubel/tests/fixtures/weights/code.pth");
    for command in ["inspect", "predict"] {
        let mut run = hubel();
        run.arg(command).arg(&file);
        if command == "predict" {
            run.arg("new.png");
        }
        let error = contains("holds code").and(contains("torch.nn.modules.linear.Linear"));
        run.assert().code(1).stderr(error);
    }
}
