//! `hubel train --from`: fine-tuning, and the choice without flags.
mod binary;
mod models;

use std::fs;

use assert_cmd::Command;
use binary::{hubel, json};
use hubel::Shape;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// A folder with pictures of classes; each class has its own colour and stripes.
fn pictures(classes: &[&str], of_each: u32) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (class, name) in classes.iter().enumerate() {
        let class_folder = folder.path().join("photos").join(name);
        fs::create_dir_all(&class_folder).expect("a folder");
        for number in 0..of_each {
            let picture = image::RgbImage::from_fn(24, 24, |x, y| {
                let wave = (x * (class as u32 + 1) + y * number) % 12 * 6;
                let mut rgb = [60 + number as u8, 60, 60 + wave as u8];
                rgb[class % 3] += 120;
                image::Rgb(rgb)
            });
            let path = class_folder.join(format!("{number}.png"));
            picture.save(path).expect("a picture");
        }
    }
    folder
}

fn train(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = hubel();
    command
        .current_dir(folder)
        .args(["train", "photos"])
        .args(arguments);
    command
}

#[test]
fn few_pictures_go_on_from_the_backbone_and_many_flags_say_otherwise() {
    let folder = pictures(&["lions", "tigers"], 8);
    let output = train(&folder, &["--out", "model", "--json"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("fine-tuning efficientnet-lite0"), "{said}");
    assert!(
        said.contains("8 pictures per class") && said.contains("--from none"),
        "{said}"
    );
    assert!(said.contains("24×24 are enlarged to 224×224"), "{said}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["origin"], "efficientnet-lite0");
    assert_eq!(answer["frozen"], "_dropout");
    assert_eq!(answer["test_accuracy"], 1.0);

    hubel()
        .current_dir(&folder)
        .args(["inspect", "model"])
        .assert()
        .success()
        .stdout(
            contains("from     efficientnet-lite0; frozen: the layers up to `_dropout`")
                .and(contains("classes  lions, tigers")),
        );
    let inspected = json(
        hubel()
            .current_dir(&folder)
            .args(["inspect", "model", "--json"]),
    );
    assert_eq!(inspected["frozen"], "_dropout");
    let evaluate = |data: &str| {
        let mut command = hubel();
        command
            .current_dir(&folder)
            .args(["evaluate", "model", data]);
        command
    };
    evaluate("photos")
        .assert()
        .success()
        .stdout(contains("accuracy     100.00 %"));
    hubel()
        .current_dir(&folder)
        .args(["predict", "model", "photos/tigers/3.png"])
        .assert()
        .success()
        .stdout(contains("tigers"));

    let scratch = ["--from", "none", "--epochs", "1", "--out", "scratch"];
    train(&folder, &scratch)
        .assert()
        .success()
        .stderr(contains("tutorial on photos"));
    let own = [
        "--model",
        "flatten-fc(classes)",
        "--epochs",
        "1",
        "--out",
        "own",
    ];
    train(&folder, &own)
        .assert()
        .success()
        .stderr(contains("fine-tuning").not());
}

#[test]
fn a_model_of_one_s_own_is_gone_on_from_with_as_many_classes_or_others() {
    let folder = pictures(&["lions", "tigers", "bears"], 6);
    let network = "conv(4, padding=same)-batchnorm-relu-globalavgpool-flatten-fc(classes)";
    models::of_cats_and_dogs(folder.path(), network, Shape::new(16, 16, 3));
    let from = [
        "--from",
        "model.safetensors",
        "--out",
        "next",
        "--epochs",
        "3",
        "--json",
    ];
    let answer = json(&mut train(
        &folder,
        &[&from[..], &["--freeze", "all"]].concat(),
    ));
    assert_eq!(answer["origin"], "model.safetensors");
    assert_eq!(answer["frozen"], "4");
    // All layers, with other pictures of the same number of classes.
    fs::remove_dir_all(folder.path().join("photos/bears")).expect("it is there");
    fs::remove_dir_all(folder.path().join("next")).expect("the run");
    let answer = json(&mut train(
        &folder,
        &[&from[..], &["--freeze", "none"]].concat(),
    ));
    assert_eq!(answer["frozen"], serde_json::Value::Null);
    assert_eq!(answer["epochs"].as_array().expect("a list").len(), 3);
    // Up to a layer, of a model that was itself fine-tuned.
    train(
        &folder,
        &[
            "--from",
            "next",
            "--out",
            "third",
            "--freeze",
            "2",
            "--versions",
            "2",
            "--cache",
            "1MB",
        ],
    )
    .assert()
    .success()
    .stderr(
        contains("frozen: the layers up to `2`").and(contains("with 2 versions of each example")),
    );
    let next = |place: &str| {
        let mut command = hubel();
        command.current_dir(&folder).args(["inspect", place]);
        command
    };
    next("third")
        .assert()
        .success()
        .stdout(contains("from     next; frozen: the layers up to `2`"));
}

#[test]
fn what_cannot_be_is_refused_with_a_way_out() {
    let folder = pictures(&["lions", "tigers"], 4);
    let network = "conv(4, padding=same)-relu-flatten-fc(classes)";
    models::of_cats_and_dogs(folder.path(), network, Shape::new(16, 16, 3));
    fs::write(folder.path().join("broken.pth"), [0x80, 2, 0x8a]).expect("a file");
    let own = "model.safetensors";
    for (arguments, code, problem) in [
        (
            &["--from", "nowhere"][..],
            1,
            "there is no such file or folder",
        ),
        (&["--from", "broken.pth"], 1, "broken.pth"),
        (
            &["--from", own, "--freeze", "flaten"],
            1,
            "the network has no layer `flaten`",
        ),
        (
            &["--from", own, "--freeze", "3"],
            1,
            "no layer is left to train",
        ),
        (
            &["--from", own, "--input", "20x20x3"],
            1,
            "takes no input but its own",
        ),
        (
            &["--from", own, "--mean", "0,0,0", "--std", "1,1,1"],
            1,
            "leave out --mean and --std",
        ),
        (
            &["--from", own, "--model", "lenet5"],
            2,
            "leave out one of the two",
        ),
        (
            &["--from", "none", "--freeze", "all"],
            2,
            "name a model to fine-tune (--from)",
        ),
        (
            &["--model", "lenet5", "--versions", "2"],
            2,
            "name a model to fine-tune (--from)",
        ),
        (&["--from", own, "--mean", "0,0,0"], 2, "--std"),
        (
            &["--from", own, "--mean", "0,0", "--std", "1,1,1"],
            2,
            "three numbers",
        ),
    ] {
        train(&folder, arguments)
            .args(["--out", "never"])
            .assert()
            .code(code)
            .stderr(contains(problem));
    }
    assert!(!folder.path().join("never").exists());
    // If training from scratch was chosen automatically.
    hubel()
        .current_dir(&folder)
        .args(["train", "--freeze", "all", "--out", "never"])
        .assert()
        .code(1)
        .stderr(contains("freezes no layers"));
}

#[test]
fn a_preview_shows_what_the_backbone_would_see() {
    let folder = pictures(&["lions", "tigers"], 4);
    hubel()
        .current_dir(&folder)
        .args([
            "data",
            "preview",
            "photos",
            "--count",
            "2",
            "--augment",
            "none",
        ])
        .assert()
        .success()
        .stderr(contains("fine-tuning efficientnet-lite0"));
    let sheet = image::open(folder.path().join("sheet.png")).expect("a picture");
    assert!(sheet.width() > 2 * 224, "{}", sheet.width());
}

#[test]
fn training_ends_where_patience_ends_and_keeps_the_best() {
    let folder = pictures(&["lions", "tigers"], 12);
    let arguments = [
        "--from",
        "none",
        "--model",
        "conv(4)-relu-globalavgpool-fc(classes)",
        "--val",
        "0.3",
        "--epochs",
        "500",
        // Nothing is learnt, so nothing becomes better.
        "--learning-rate",
        "1e-20",
        "--schedule",
        "constant",
        "--weight-decay",
        "0",
        "--patience",
        "2",
        "--keep",
        "best",
        "--augment",
        "none",
        "--out",
        "model",
        "--json",
    ];
    let output = train(&folder, &arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ended after epoch 3 of 500"), "{said}");
    assert!(said.contains("no progress for 2 epochs"), "{said}");
    assert!(
        said.contains("kept: the weights of epoch 1 of 500"),
        "{said}"
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["stopped_at"], serde_json::Value::Null);
    assert_eq!(answer["epochs"].as_array().map(Vec::len), Some(3));

    train(
        &folder,
        &[
            "--from",
            "none",
            "--val",
            "0",
            "--patience",
            "2",
            "--out",
            "other",
        ],
    )
    .assert()
    .failure()
    .stderr(contains("nothing is held out"));
}
