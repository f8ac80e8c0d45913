//! The binary from a user's view: output, JSON, exit codes, messages.
mod binary;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

/// Learns something from MNIST in one quick epoch.
const SMALL: &str = "flatten-fc(classes)";

/// A folder with a small trained model, made once, and the output of `train --json`.
static TRAINED: LazyLock<(TempDir, Value)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = json(
        hubel()
            .args([
                "train", "--model", SMALL, "--epochs", "1", "--json", "--out",
            ])
            .arg(folder.path().join("run")),
    );
    (folder, answer)
});

fn run_folder() -> PathBuf {
    TRAINED.0.path().join("run")
}

/// A picture of a 1: a bright stroke on a dark background, or the other way round.
fn picture(path: &Path, ink: u8, paper: u8) {
    let image = image::GrayImage::from_fn(56, 56, |x, y| {
        let stroke = (26..31).contains(&x) && (8..48).contains(&y);
        image::Luma([if stroke { ink } else { paper }])
    });
    image.save(path).expect("a picture");
}

#[test]
fn train_answers_with_accuracy_time_and_model() {
    let answer = &TRAINED.1;
    let accuracy = answer["test_accuracy"].as_f64().expect("a number");
    assert!((0.8..1.0).contains(&accuracy), "{accuracy}");
    assert!(answer["seconds"].as_f64().expect("a number") > 0.0);
    assert_eq!(answer["epochs"].as_array().expect("a list").len(), 1);
    assert_eq!(answer["interrupted"], false);
    assert!(Path::new(answer["model"].as_str().expect("a path")).is_file());
}

#[test]
fn train_prints_results_on_stdout_progress_on_stderr_and_a_next_command_that_works() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["train", "--model", SMALL, "--epochs", "1"];
    let assert = hubel()
        .current_dir(&folder)
        .args(arguments)
        .assert()
        .success()
        .stdout(contains("test accuracy").and(contains("runs/mnist-network/model.safetensors")))
        .stderr(
            contains("MNIST (embedded), 10 classes, 60,000 + 10,000 images of 28×28×1")
                .and(contains(
                    "57,046 images to train on, 2,954 held out for validation, 10,000 for the final test",
                ))
                .and(contains("epoch 1"))
                .and(contains("\r").not())
                .and(contains("\x1b").not()),
        );
    let output = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    let next = output.lines().find_map(|line| line.strip_prefix("next"));
    let mut words = next.expect("a next command").split_whitespace().skip(1);
    hubel()
        .current_dir(&folder)
        .args(&mut words)
        .assert()
        .success()
        .stdout(contains("accuracy"));

    // A second run takes a new folder; the first model stays.
    hubel()
        .current_dir(&folder)
        .args(arguments)
        .arg("--quiet")
        .assert()
        .success()
        .stdout(contains("runs/mnist-network-2/model.safetensors"))
        .stderr("");
}

#[test]
fn evaluate_agrees_with_train_and_counts_every_test_image() {
    let answer = json(hubel().arg("evaluate").arg(run_folder()).arg("--json"));
    assert_eq!(answer["count"], 10_000);
    let accuracy = answer["accuracy"].to_string();
    assert!(
        accuracy.len() <= 6,
        "of 10,000 images, four decimals: {accuracy}"
    );
    assert_eq!(answer["accuracy"], TRAINED.1["test_accuracy"]);
    let confusion = answer["confusion"].as_array().expect("a matrix");
    let counted: u64 = confusion
        .iter()
        .flat_map(|row| row.as_array().expect("a row"))
        .map(|count| count.as_u64().expect("a count"))
        .sum();
    assert_eq!(counted, 10_000);
}

#[test]
fn predict_names_a_class_for_each_picture_and_says_what_it_inverted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (light, dark) = (
        folder.path().join("light.png"),
        folder.path().join("dark.png"),
    );
    picture(&light, 255, 0);
    picture(&dark, 20, 240);
    let answer = json(
        hubel()
            .arg("predict")
            .arg(run_folder())
            .args([&light, &dark])
            .args(["--top", "2", "--json"]),
    );
    let predictions = answer["predictions"].as_array().expect("a list");
    assert_eq!(predictions.len(), 2);
    for prediction in predictions {
        let top = prediction["top"].as_array().expect("a list");
        assert_eq!(top.len(), 2);
        assert_eq!(top[0][0], prediction["class"]);
        assert_eq!(top[0][1], prediction["probability"]);
    }
    assert_eq!(predictions[0]["inverted"], false);
    assert_eq!(predictions[1]["inverted"], true);

    hubel()
        .arg("predict")
        .arg(run_folder())
        .arg(&dark)
        .assert()
        .success()
        .stdout(contains("dark.png").and(contains("inverted")));
}

#[test]
fn predict_lists_as_many_classes_as_asked_for_or_all() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("one.png");
    picture(&image, 255, 0);
    for (asked, listed) in [("1", 1), ("7", 7), ("10", 10), ("99", 10)] {
        let mut predict = hubel();
        predict.arg("predict").arg(run_folder()).arg(&image);
        let answer = json(predict.args(["--top", asked, "--json"]));
        let top = answer["predictions"][0]["top"].as_array().expect("a list");
        assert_eq!(top.len(), listed, "--top {asked}");
    }
}

#[test]
fn inspect_knows_networks_by_name_by_text_and_by_file() {
    // The count of torchvision's resnet18 with 10 classes.
    let answer = json(hubel().args(["inspect", "resnet18", "--json"]));
    assert_eq!(answer["parameters"], 11_181_642);
    assert!(!answer["layers"].as_array().expect("a list").is_empty());

    let text = "conv(1, kernel=5, padding=2)";
    let answer = json(hubel().args(["inspect", text, "--input", "32x32x3", "--json"]));
    assert_eq!(answer["parameters"], 5 * 5 * 3 + 1);
    assert!(answer["multiply_adds"].is_u64());

    let answer = json(hubel().arg("inspect").arg(run_folder()).arg("--json"));
    assert_eq!(answer["parameters"], 28 * 28 * 10 + 10);

    hubel()
        .args(["inspect", "lenet5"])
        .assert()
        .success()
        .stdout(contains("conv"));
    // At another size it is no longer the model, which is reported.
    hubel()
        .arg("inspect")
        .arg(run_folder())
        .args(["--input", "14x14x1"])
        .assert()
        .success()
        .stderr(contains("the model itself is for 28×28×1 and 10"));
    let bench = ["bench", "infer", "--seconds", "0.01", "--json"];
    let answer = json(hubel().args(bench).arg(run_folder()));
    assert!(answer["runs"].as_u64().expect("a count") > 0);
}

#[test]
fn inspect_shows_the_plan_of_training_and_of_inference() {
    let plan = |arguments: &[&str]| {
        json(
            hubel()
                .args(["inspect", "resnet18", "--json", "--plan"])
                .args(arguments),
        )
    };
    let kinds = |answer: &Value| -> Vec<String> {
        let steps = answer["steps"].as_array().expect("a list");
        let kind = |step: &Value| step["kind"].as_str().expect("a text").to_string();
        steps.iter().map(kind).collect()
    };
    let training = plan(&["--batch", "2"]);
    assert_eq!(training["mode"], "training");
    assert_eq!(training["batch"], 2);
    assert!(kinds(&training).contains(&"normalise + relu + conv + sums".into()));
    assert!(kinds(&training).contains(&"normalise + relu + max pool".into()));
    assert!(training["memory"]["gradient_bytes"].as_u64() > Some(0));

    let inference = plan(&["inference", "--batch", "1"]);
    assert_eq!(inference["mode"], "inference");
    assert!(kinds(&inference).contains(&"conv + folded batch norm + add + relu".into()));
    assert!(inference["memory"]["bytes"].as_u64() < training["memory"]["bytes"].as_u64());

    let precise = plan(&["inference", "--batch", "1", "--precise"]);
    assert!(inference.to_string().contains("winograd"));
    assert!(!precise.to_string().contains("winograd"));

    hubel()
        .args(["inspect", "lenet5", "--plan"])
        .assert()
        .success()
        .stdout(contains("training, batch 64, input 28×28×1").and(contains("memory")));
    hubel()
        .args(["inspect", "lenet5", "--precise"])
        .assert()
        .code(2)
        .stderr(contains("--plan"));
}

#[test]
fn a_precise_evaluation_agrees_where_there_is_nothing_to_choose() {
    let answer = json(
        hubel()
            .arg("evaluate")
            .arg(run_folder())
            .args(["--precise", "--json"]),
    );
    assert_eq!(answer["accuracy"], TRAINED.1["test_accuracy"]);
}

#[test]
fn completions_are_a_script_for_the_shell() {
    hubel()
        .args(["completions", "bash"])
        .assert()
        .success()
        .stdout(contains("complete").and(contains("hubel")));
}

#[test]
fn help_has_examples_for_every_command() {
    for command in [
        "train",
        "evaluate",
        "predict",
        "inspect",
        "bench",
        "completions",
    ] {
        hubel()
            .args([command, "--help"])
            .assert()
            .success()
            .stdout(contains("Examples:").and(contains(format!("hubel {command}"))));
    }
}

#[test]
fn a_wrong_command_line_leaves_with_2() {
    let wrong: [&[&str]; 18] = [
        &[],
        &["trian"],
        &["train", "--epochs", "0"],
        &["train", "--learning-rate", "-1"],
        &["train", "--optimizer", "adagrad"],
        &["train", "--betas", "0.9"],
        &["train", "--betas", "0.9,1"],
        &["train", "--betas", "0.9,0.99", "--optimizer", "sgd"],
        &["train", "--warm-up", "0.5"],
        &["train", "--clip", "0"],
        &["train", "--cpu", "z80"],
        &["train", "--momentum", "0.5"],
        &["train", "--momentum", "0.5", "--optimizer", "adamw"],
        &["inspect", "lenet5", "--threads", "2"],
        &["inspect", "lenet5", "--cpu", "scalar"],
        &["predict", "model.safetensors"],
        &["inspect", "lenet5", "--input", "28"],
        &["bench", "train", "--threads", "0"],
    ];
    for arguments in wrong {
        hubel()
            .args(arguments)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::is_empty().not());
    }
}

#[test]
fn an_unknown_network_is_refused_with_the_nearest_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    hubel()
        .current_dir(&folder)
        .args(["train", "--model", "mnist-cmn"])
        .assert()
        .code(2)
        .stdout("")
        .stderr(contains("error:").count(1).and(contains("mnist-cnn")));
    assert!(
        !folder.path().join("runs").exists(),
        "nothing is left behind"
    );
}

#[test]
fn a_size_that_is_not_whole_is_refused_with_the_formula() {
    hubel()
        .args([
            "inspect",
            "conv(64, kernel=5, stride=2)",
            "--input",
            "14x14x32",
        ])
        .assert()
        .code(1)
        .stderr(contains("5.5").and(contains("ways out")));
}

#[test]
fn broken_files_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let empty = folder.path().join("empty.safetensors");
    fs::write(&empty, b"").expect("a file");
    let noise = folder.path().join("noise.png");
    fs::write(&noise, b"this is no picture").expect("a file");
    let missing = folder.path().join("missing.safetensors");
    let nowhere = Path::new("missing/folder");

    for (arguments, name) in [
        (vec![Path::new("evaluate"), &empty], "empty.safetensors"),
        (vec![Path::new("inspect"), &empty], "empty.safetensors"),
        (vec![Path::new("inspect"), &missing], "missing.safetensors"),
        (
            vec![Path::new("inspect"), nowhere],
            "missing/folder is not a hubel model: there is no such file",
        ),
        // The model comes first.
        (
            vec![Path::new("evaluate"), folder.path(), &run_folder()],
            "it contains no model.safetensors",
        ),
        (
            vec![Path::new("predict"), &empty, &noise],
            "empty.safetensors",
        ),
        (
            vec![Path::new("predict"), &run_folder(), &noise],
            "noise.png",
        ),
        (
            vec![Path::new("evaluate"), &run_folder(), &noise],
            "noise.png",
        ),
        (vec![Path::new("train"), &noise], "noise.png"),
    ] {
        hubel()
            .current_dir(&folder)
            .args(&arguments)
            .assert()
            .code(1)
            .stdout("")
            .stderr(
                contains("error:")
                    .count(1)
                    .and(contains(name))
                    .and(contains("panicked").not()),
            );
    }
}

#[test]
fn an_output_folder_that_cannot_be_made_is_refused_before_training() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, b"").expect("a file");
    hubel()
        .args(["train", "--epochs", "1000", "--out"])
        .arg(file.join("run"))
        .assert()
        .code(1)
        .stderr(contains("cannot create"));
}

#[test]
fn a_folder_that_contains_a_run_is_refused_before_training() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("model.safetensors")).expect("a folder");
    hubel()
        .args(["train", "--epochs", "1000", "--out"])
        .arg(folder.path())
        .assert()
        .code(1)
        .stderr(contains("already contains a run (model.safetensors)"));
}

#[test]
fn training_that_diverges_says_where_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let diverging = |out: &str, rest: &[&str]| {
        let mut command = hubel();
        command
            .args(["train", "--schedule", "constant", "--threads", "1"])
            .args(rest)
            .arg("--out")
            .arg(folder.path().join(out));
        command.assert().code(1).stdout("")
    };
    let text = "flatten-fc(20)-relu-fc(classes)";
    diverging("a", &["--model", text, "--learning-rate", "1e30"]).stderr(
        contains("error:")
            .count(1)
            .and(contains("at step 2"))
            .and(contains("layer 3"))
            .and(contains("no step was completed"))
            .and(contains("panicked").not()),
    );
    assert!(!file("a/before-diverging.safetensors").exists());

    // Each step multiplies the weights by −2, until they are too large.
    let doubling = [
        "--optimizer",
        "sgd",
        "--momentum",
        "0",
        "--learning-rate",
        "0.01",
    ];
    let doubling = [&doubling[..], &["--weight-decay", "300", "--model", SMALL]].concat();
    diverging("b", &doubling).stderr(contains(
        "the last good weights, of epoch 1 of 3, step 100 of 446, are saved in",
    ));
    hubel()
        .arg("evaluate")
        .arg(file("b/before-diverging.safetensors"))
        .assert()
        .success()
        .stderr(contains("epoch 1 of 3, step 100 of 446"));
    assert!(!file("b/model.safetensors").exists());
}

#[test]
fn a_trained_model_is_no_network_to_train_and_that_is_said_with_its_text() {
    for model in [run_folder(), run_folder().join("model.safetensors")] {
        hubel()
            .args(["train", "--model"])
            .arg(model)
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains("--from ").and(contains("--model 'flatten-")));
    }
    hubel()
        .args(["train", "--model", "runs/nothing"])
        .assert()
        .code(2)
        .stderr(contains(
            "neither a network nor a model: cannot read runs/nothing",
        ));
}

#[test]
fn numbers_out_of_range_leave_with_2_and_what_is_needed() {
    for (flag, values, needed) in [
        ("--learning-rate", ["0", "-1", "nan"], "greater than 0"),
        ("--epochs", ["0", "-1", "99999999999999999999"], "1 or more"),
        ("--batch-size", ["0", "-1", "x"], "1 or more"),
        ("--val", ["1", "-0.1", "nan"], "from 0 to less than 1"),
        ("--momentum", ["1", "-0.1", "nan"], "from 0 to less than 1"),
        (
            "--label-smoothing",
            ["1", "-0.1", "nan"],
            "from 0 to less than 1",
        ),
        ("--weight-decay", ["-0.1", "inf", "nan"], "0 or more"),
        ("--mixup", ["0", "-1", "nan"], "greater than 0"),
        ("--cutmix", ["0", "-1", "inf"], "greater than 0"),
        ("--accumulate", ["0", "-1", "x"], "1 or more"),
    ] {
        for value in values {
            hubel()
                .args(["train", flag, value])
                .assert()
                .code(2)
                .stdout("")
                .stderr(
                    contains("error:")
                        .count(1)
                        .and(contains(format!("'{value}' for '{flag}")))
                        .and(contains(needed))
                        .and(contains("panicked").not()),
                );
        }
    }
}

#[test]
fn a_batch_larger_than_the_data_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = tempfile::tempdir().expect("a temporary folder");
    for class in ["a", "b"] {
        fs::create_dir(folder.path().join(class)).expect("a folder");
        for i in 0..4 {
            let file = folder.path().join(class).join(format!("{i}.png"));
            picture(&file, 100 + 20 * i, if class == "a" { 0 } else { 60 });
        }
    }
    let train = |size: &str| {
        let mut command = hubel();
        command.arg("train").arg(folder.path());
        command.args([
            "--model", SMALL, "--epochs", "1", "--val", "0", "--test", "0",
        ]);
        command.args(["--batch-size", size, "--out"]);
        command.arg(runs.path().join(size));
        command.assert().success()
    };
    train("100").stderr(contains("there are fewer than 100 (--batch-size)"));
    train("2").stderr(contains("there are fewer").not());
}

#[test]
fn train_says_what_its_loss_includes_and_that_pictures_contradict_each_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = tempfile::tempdir().expect("a temporary folder");
    for class in ["cat", "dog"] {
        fs::create_dir(folder.path().join(class)).expect("a folder");
        for i in 0..4 {
            let file = folder.path().join(class).join(format!("{i}.png"));
            // The first two of each class are the same.
            let paper = if class == "cat" || i < 2 { 0 } else { 60 };
            picture(&file, 100 + 20 * i, paper);
        }
    }
    let train = |smoothing: &str| {
        let mut command = hubel();
        command.arg("train").arg(folder.path());
        command.args(["--model", SMALL, "--epochs", "1", "--val", "0"]);
        command.args(["--test", "0", "--label-smoothing", smoothing, "--out"]);
        command.arg(runs.path().join(smoothing));
        command.assert().success()
    };
    train("0.1").stderr(
        contains("loss*: with label smoothing; the validation loss is without")
            .and(contains("epoch 1  loss* "))
            .and(contains(
                "4 images are the same, byte for byte, as one of another class",
            ))
            .and(contains("`cat` and `dog`")),
    );
    train("0").stderr(contains("epoch 1  loss ").and(contains("loss*").not()));
}

#[test]
fn mixed_pictures_class_weights_and_accumulation_are_flags_of_train() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runs = tempfile::tempdir().expect("a temporary folder");
    for class in ["cat", "dog"] {
        fs::create_dir(folder.path().join(class)).expect("a folder");
        for i in 0..6 {
            let file = folder.path().join(class).join(format!("{i}.png"));
            picture(&file, 100 + 20 * i, if class == "cat" { 0 } else { 60 });
        }
    }
    let train = |flags: &[&str]| {
        let mut command = hubel();
        command.arg("train").arg(folder.path());
        command.args(["--model", SMALL, "--epochs", "2", "--val", "0"]);
        command.args(["--test", "0", "--label-smoothing", "0", "--json", "--out"]);
        command.arg(runs.path().join("run")).args(flags).assert()
    };
    let all = [
        "--mixup",
        "0.2",
        "--cutmix",
        "1",
        "--class-weights",
        "dog=2",
    ];
    let all = [&all[..], &["--batch-size", "3", "--accumulate", "3"]].concat();
    train(&all)
        .success()
        .stderr(contains("loss*: with class weights and mixed examples"));
    for (flags, problem) in [
        (&["--class-weights", "dgo=2"][..], "did you mean `dog`?"),
        (
            &["--class-weights", "1,2,3"],
            "3 class weights do not fit 2 classes (cat, dog)",
        ),
        (&["--class-weights", "2,0"], "`0` is no weight of a class"),
        (
            &["--class-weights", "2,1", "--balance", "loss"],
            "`--balance loss` computes class weights, and --class-weights gives others",
        ),
    ] {
        train(flags).code(1).stderr(contains(problem));
    }
    // Fine-tuning: with so few pictures only the last layer is trained, on kept features.
    let mut command = hubel();
    command.arg("train").arg(folder.path());
    command.args([
        "--from",
        "efficientnet-lite0",
        "--freeze",
        "all",
        "--cutmix",
        "1",
    ]);
    command
        .args(["--val", "0", "--test", "0", "--out"])
        .arg(runs.path().join("tuned"));
    command
        .assert()
        .code(1)
        .stderr(contains("CutMix cuts pictures").and(contains("use mixup, or freeze no layers")));
}
