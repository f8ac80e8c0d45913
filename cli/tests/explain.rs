//! `hubel explain`: the page and its pictures, the responses of filters, arithmetic, and error messages.
mod binary;
mod models;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use binary::{hubel, json};
use hubel::Shape;
use image::codecs::jpeg::JpegEncoder;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

const NETWORK: &str =
    "conv(4, kernel=3, padding=1)-batchnorm-relu-pool-conv(6, kernel=3)-relu-flatten-fc(classes)";

/// A folder with the model `model.safetensors` of two classes and the picture `lines.png`.
fn folder(network: &str, channels: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    models::of_cats_and_dogs(folder.path(), network, Shape::new(12, 12, channels));
    lines()
        .save(folder.path().join("lines.png"))
        .expect("a picture");
    folder
}

/// Two vertical lines of three pixels on black, the second one darker.
fn lines() -> image::GrayImage {
    image::GrayImage::from_fn(12, 12, |x, y| {
        let level = match (x, y) {
            (5, 2..5) => 255,
            (9, 8..11) => 102,
            _ => 0,
        };
        image::Luma([level])
    })
}

/// `hubel explain` in the folder.
fn explain(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = hubel();
    command.current_dir(folder).arg("explain").args(arguments);
    command
}

fn text(command: &mut Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

#[test]
fn a_picture_is_explained_by_one_page_and_pictures_beside_it() {
    let folder = folder(NETWORK, 1);
    let shown = text(&mut explain(&folder, &["model.safetensors", "lines.png"]));
    for part in [
        "predicted",
        "Grad-CAM",
        "gradient",
        "explain-lines/index.html",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let page = fs::read_to_string(folder.path().join("explain-lines/index.html")).expect("a page");
    // The page contains everything that a browser would load.
    for link in [
        "http", "<link", "<script", "url(", "@import", "src=\"/", "src=\".",
    ] {
        assert!(!page.contains(link), "{link}");
    }
    assert_eq!(
        page.matches("src=\"").count(),
        page.matches("src=\"data:image/png;base64,").count()
    );
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("width=device-width"));
    // Maps of both convolutions, of the layers after them, and the values of the last layer by class.
    assert_eq!(page.matches("<article").count(), 8);
    assert!(page.contains("(12 + 2·1 − 3)/1 + 1 = 12"));
    assert!(page.contains(">cat<b>") && page.contains(">dog<b>"));

    let answer = json(&mut explain(
        &folder,
        &["model.safetensors", "lines.png", "--json"],
    ));
    let predicted = json(hubel().current_dir(&folder).args([
        "predict",
        "model.safetensors",
        "lines.png",
        "--json",
    ]));
    assert_eq!(answer["class"], predicted["predictions"][0]["class"]);
    let list = |value: &Value| -> Vec<Value> { value.as_array().expect("a list").clone() };
    let listed: BTreeSet<PathBuf> = list(&answer["files"])
        .iter()
        .map(|file| file.as_str().expect("a path").into())
        .chain([PathBuf::from("explain-lines/index.html")])
        .collect();
    let there = fs::read_dir(folder.path().join("explain-lines")).expect("a folder");
    let there =
        there.map(|entry| Path::new("explain-lines").join(entry.expect("an entry").file_name()));
    assert_eq!(listed, there.collect());
    for file in listed.iter().filter(|file| !file.ends_with("index.html")) {
        image::open(folder.path().join(file)).expect("a picture");
    }
    let methods: Vec<Value> = list(&answer["explanations"])
        .iter()
        .map(|map| map["method"].clone())
        .collect();
    assert_eq!(methods, ["Grad-CAM", "gradient"]);
    assert_eq!(list(&answer["layers"]).len(), 8);
    assert_eq!(
        answer["layers"][0]["output"],
        serde_json::json!([12, 12, 4])
    );
}

#[test]
fn another_class_or_the_difference_of_two_can_be_explained_by_every_method() {
    let folder = folder(NETWORK, 3);
    let score = |arguments: &[&str]| {
        let answer = json(
            explain(
                &folder,
                &["model.safetensors", "lines.png", "--json", "--out", "o"],
            )
            .args(arguments),
        );
        (answer["score"].as_f64().expect("a number"), answer)
    };
    let (cat, _) = score(&["--class", "cat", "--method", "gradient"]);
    let (dog, _) = score(&["--class", "dog", "--method", "gradient"]);
    let (difference, answer) = score(&["--class", "cat", "--against", "dog", "--method", "all"]);
    assert!(
        (cat - dog - difference).abs() < 1e-5,
        "{cat} {dog} {difference}"
    );
    assert_eq!(answer["explained"], "cat rather than dog");
    let explanations = answer["explanations"].as_array().expect("a list");
    assert_eq!(explanations.len(), 5);
    for map in explanations {
        let size = map["height"].as_u64().expect("rows") * map["width"].as_u64().expect("columns");
        assert_eq!(
            map["values"].as_array().expect("numbers").len() as u64,
            size
        );
    }
}

#[test]
fn what_was_done_to_the_picture_is_said() {
    let folder = folder(NETWORK, 1);
    let red = image::RgbImage::from_fn(12, 12, |x, _| image::Rgb([20 * x as u8, 0, 90]));
    red.save(folder.path().join("red.png")).expect("a picture");
    let said = "in grey: the model does not see colour";
    let shown = text(&mut explain(&folder, &["model.safetensors", "red.png"]));
    assert!(shown.contains(said), "{shown}");
    let page = fs::read_to_string(folder.path().join("explain-red/index.html")).expect("a page");
    assert!(page.contains(said));
    let answer = json(&mut explain(
        &folder,
        &["model.safetensors", "red.png", "--json"],
    ));
    assert_eq!(answer["greyed"], true);
    assert_eq!(answer["inverted"], false);
}

#[test]
fn one_layer_is_shown_whole() {
    let folder = folder(
        "conv(40, kernel=3)-relu-conv(50, kernel=3)-flatten-fc(classes)",
        1,
    );
    let answer = json(&mut explain(
        &folder,
        &["model.safetensors", "lines.png", "--json"],
    ));
    assert_eq!(answer["layers"][2]["maps_shown"], 16);
    assert_eq!(answer["layers"][2]["filters"], Value::Null);
    let whole = json(&mut explain(
        &folder,
        &["model.safetensors", "lines.png", "--layer", "2", "--json"],
    ));
    assert_eq!(whole["layers"].as_array().expect("a list").len(), 1);
    assert_eq!(whole["layers"][0]["maps_shown"], 50);
    assert_eq!(whole["layers"][0]["filters"], "explain-lines/filters-2.png");
}

#[test]
fn a_filter_made_by_hand_is_laid_over_a_picture() {
    let folder = folder(NETWORK, 1);
    let expected = "\
sobel-x over lines.png: a map of 12×12
  row 3, column 4: 4.0000   (sees rows 2 to 4, columns 3 to 5)
  row 9, column 8: 1.6000   (sees rows 8 to 10, columns 7 to 9)
  row 1, column 4: 1.0000   (sees rows 0 to 2, columns 3 to 5)
  row 5, column 4: 1.0000   (sees rows 4 to 6, columns 3 to 5)
  row 7, column 8: 0.4000   (sees rows 6 to 8, columns 7 to 9)

how the strongest response is computed:
row 3, column 4
  channel 0 of the input
         window      filter     product
        3  4  5
     2  0  0  1    -1  0  1     0  0  1
     3  0  0  1    -2  0  2     0  0  2
     4  0  0  1    -1  0  1     0  0  1
  sum of channel 0                                             4.00000
  bias                                                               0
  = 4.00000   (the network computed 4.00000)

pictures  e/filter.png e/response.png e/places.png
";
    let shown = text(&mut explain(
        &folder,
        &["lines.png", "--kernel", "sobel-x", "--out", "e"],
    ));
    assert_eq!(shown, expected);
    // A matrix gives the same as the name; red, green and blue of a grey picture are equal.
    let strongest = |kernel: &str| {
        let answer = json(&mut explain(
            &folder,
            &["lines.png", "--kernel", kernel, "--json"],
        ));
        answer["strongest"][0]["value"].as_f64().expect("a number")
    };
    assert!((strongest("[[-1,0,1],[-2,0,2],[-1,0,1]]") - 4.0).abs() < 1e-6);
    assert!((strongest("[[[-1,1]],[[-1,1]],[[-1,1]]]") - 3.0).abs() < 1e-6);
    let nowhere = text(&mut explain(&folder, &["lines.png", "--kernel", "[[-1]]"]));
    assert!(
        nowhere.contains("no response: no value is above 0"),
        "{nowhere}"
    );
}

#[test]
fn a_photograph_is_turned_as_its_camera_was() {
    let folder = folder(NETWORK, 1);
    let mut jpeg = Vec::new();
    let photo = image::RgbImage::from_fn(32, 16, |x, _| image::Rgb([8 * x as u8; 3]));
    JpegEncoder::new(&mut jpeg)
        .encode_image(&photo)
        .expect("a JPEG");
    // An EXIF segment with a single entry: rotate by 90 degrees (orientation 6).
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    jpeg.splice(2..2, exif.iter().copied());
    fs::write(folder.path().join("photo.jpg"), jpeg).expect("a file");
    let answer = json(&mut explain(
        &folder,
        &["photo.jpg", "--kernel", "sobel-y", "--json"],
    ));
    assert_eq!([&answer["height"], &answer["width"]], [32, 16]);
    // Brightness that increased to the right now increases downwards.
    assert!(answer["strongest"][0]["value"].as_f64() > Some(0.1));
}

#[test]
fn a_filter_that_was_learned_fires_where_its_arithmetic_says() {
    let folder = folder(NETWORK, 3);
    for (layer, steps) in [("0", 1), ("2", 3), ("4", 1), ("5", 2)] {
        let arguments = [
            "model.safetensors",
            "lines.png",
            "--layer",
            layer,
            "--filter",
            "1",
            "--json",
        ];
        let answer = json(&mut explain(&folder, &arguments));
        let chain = answer["arithmetic"].as_array().expect("a list");
        assert_eq!(chain.len(), steps);
        assert_eq!(chain[0]["kind"], "conv");
        let value = |of: &Value| of.as_f64().expect("a number");
        let last = value(&chain[steps - 1]["value"]);
        for fire in answer["strongest"].as_array().expect("a list") {
            assert!(value(&fire["value"]) <= last + 1e-6);
        }
    }
}

/// Every kind of layer, padding mode and connection.
const EVERYTHING: &str = "conv(4, kernel=3, padding=2, mode=reflect)-batchnorm-relu\
    -conv(4, kernel=3, padding=2, mode=replicate, dilation=2)-gelu\
    -conv(4, kernel=3, padding=1, mode=circular, stride=2, round=floor)-sigmoid\
    -conv(4, kernel=3, padding=1, mode=constant(0.5), groups=4)-tanh\
    -residual[conv(4, kernel=3, padding=1)-silu | conv(4, kernel=1)]\
    -concat[avgpool(3, stride=1, padding=1) | maxpool(3, stride=1, padding=1) | conv(2, kernel=3, padding=1, groups=2)]\
    -dropout(0.5)-adaptiveavgpool(3)-flatten-fc(5)-relu-fc(classes)";

#[test]
fn the_arithmetic_of_every_layer_equals_what_the_network_computed() {
    let folder = folder(EVERYTHING, 3);
    let whole = json(&mut explain(
        &folder,
        &["model.safetensors", "lines.png", "--json"],
    ));
    let layers = whole["layers"].as_array().expect("a list");
    assert!(layers.len() > 20, "{}", layers.len());
    let mut kinds = BTreeSet::new();
    for layer in layers {
        let last = layer["output"].as_array().expect("three numbers");
        let last: Vec<String> = last
            .iter()
            .map(|n| (n.as_u64().expect("a number") - 1).to_string())
            .collect();
        for at in ["0,0,0".to_owned(), last.join(",")] {
            let name = layer["name"].as_str().expect("a name");
            let arguments = [
                "model.safetensors",
                "lines.png",
                "--layer",
                name,
                "--at",
                &at,
                "--backward",
                "--json",
            ];
            let answer = json(&mut explain(&folder, &arguments));
            let number = |key: &str| answer[key].as_f64().expect("a number");
            let (result, value) = (number("result"), number("value"));
            assert!(
                (result - value).abs() <= 1e-5 * value.abs().max(1.0),
                "{name} at {at}: {result}, {value}"
            );
            assert!(answer["terms"][0]["share"].is_number(), "{name}");
            kinds.insert(layer["kind"].as_str().expect("a kind").to_owned());
        }
    }
    assert!(kinds.len() > 12, "{kinds:?}");
    let answer = json(&mut explain(
        &folder,
        &[
            "model.safetensors",
            "lines.png",
            "--layer",
            "softmax",
            "--at",
            "0,0,1",
            "--json",
        ],
    ));
    assert_eq!(answer["rule"]["class"], 1);
}

#[test]
fn what_is_wrong_is_said_with_the_way_out() {
    let folder = folder(NETWORK, 1);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("broken.png"), b"no picture").expect("a file");
    fs::write(at("file"), b"").expect("a file");
    let model = "model.safetensors";
    for (arguments, part) in [
        (&[model, "missing.png"][..], "missing.png"),
        (&[model, "broken.png"], "broken.png"),
        (
            &[model, "lines.png", "--layer", "relu7"],
            "no layer `relu7`",
        ),
        (&[model, "lines.png", "--layer", "00"], "did you mean `0`?"),
        (
            &[model, "lines.png", "--layer", "0", "--filter", "4"],
            "there is no filter 4",
        ),
        (
            &[model, "lines.png", "--layer", "0", "--at", "0,12,0"],
            "no row 0, column 12",
        ),
        (
            &[model, "lines.png", "--layer", "0", "--at", "1,0,1,0"],
            "no time 1, row 0, column 1, channel 0; they count from 0 to 0, 11, 11 and 3",
        ),
        (
            &[model, "lines.png", "--layer", "softmax", "--at", "0,0,2"],
            "with C from 0 to 1",
        ),
        (
            &[model, "lines.png", "--class", "dogs"],
            "did you mean `dog`?",
        ),
        (
            &[model, "lines.png", "--class", "cat", "--against", "cat"],
            "name another class",
        ),
        (
            &[model, "lines.png", "--out", "file"],
            "file is a file; name another folder",
        ),
        (
            &["lines.png", "--kernel", "[[1,2],[3]]"],
            "rows differ in length",
        ),
        (
            &["lines.png", "--kernel", "sobel"],
            "did you mean `sobel-x`?",
        ),
        (&["broken.png", "--kernel", "edge"], "broken.png"),
        (&["no.safetensors", "lines.png"], "no.safetensors"),
    ] {
        let failed = explain(&folder, arguments).assert().code(1).stdout("");
        failed.stderr(contains("error: ").and(contains(part)));
    }
    // A failed command leaves no files.
    assert!(!at("explain-lines").exists() && !at("explain-broken").exists());
    for arguments in [
        &[model, "lines.png", "--filter", "1"][..],
        &[model, "lines.png", "--layer", "0", "--at", "1,2"],
        &[model, "lines.png", "--layer", "0", "--at", "0,1,2,0,0"],
        &[model, "lines.png", "--backward"],
        &["lines.png", "--kernel", "edge", "--layer", "0"],
        &[
            model,
            "lines.png",
            "--layer",
            "0",
            "--filter",
            "1",
            "--method",
            "all",
        ],
        &[model],
        &[],
    ] {
        explain(&folder, arguments).assert().code(2).stdout("");
    }
}

#[test]
fn a_network_without_convolutions_is_explained_too() {
    let folder = folder("flatten-fc(8)-relu-fc(classes)", 1);
    let answer = json(&mut explain(
        &folder,
        &["model.safetensors", "lines.png", "--json"],
    ));
    assert_eq!(answer["explanations"].as_array().expect("a list").len(), 1);
    explain(
        &folder,
        &["model.safetensors", "lines.png", "--method", "grad-cam"],
    )
    .assert()
    .code(1)
    .stderr(contains("Grad-CAM needs a convolution"));
}
