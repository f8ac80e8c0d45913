//! `hubel evaluate` judges a model: scores, calibration, thresholds, tables and pages.
mod binary;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a small model of digits in `run`.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = hubel();
    command.current_dir(&folder).args([
        "train",
        "--model",
        "conv(6, kernel=5)-relu-maxpool(2)-flatten-fc(classes)",
        "--epochs",
        "1",
        "--out",
        "run",
        "--json",
    ]);
    let answer = json(&mut command);
    assert!(answer["temperature"].as_f64().expect("a temperature") > 0.1);
    folder
}

fn evaluate(folder: &Path, flags: &[&str]) -> Value {
    let mut command = hubel();
    json(
        command
            .current_dir(folder)
            .args(["evaluate", "run", "--json"])
            .args(flags),
    )
}

#[test]
fn a_model_is_judged_and_says_not_sure_below_its_threshold() {
    let folder = trained();
    let at = |name: &str| folder.path().join(name);
    let plain = evaluate(folder.path(), &[]);
    let number = |answer: &Value, name: &str| answer[name].as_f64().expect("a number");
    for name in ["precision", "recall", "f1", "roc_area", "average_precision"] {
        assert_eq!(plain[name].as_array().expect("a list").len(), 10, "{name}");
    }
    assert_eq!(plain["recall"], plain["class_accuracy"]);
    assert!(number(&plain, "calibration_error") < 0.05);
    assert!(plain["top"]["2"].as_f64() > plain["accuracy"].as_f64());
    assert!(plain["threshold"].is_null() && plain["answered"].is_null());

    hubel()
        .current_dir(&folder)
        .args([
            "evaluate",
            "run",
            "--wrong-at-most",
            "0.5%",
            "--out",
            "all.csv",
            "--html",
            "report.html",
        ])
        .assert()
        .success()
        .stdout(
            contains("answered")
                .and(contains("at most 0.5 %"))
                .and(contains("\x1b").not()),
        )
        .stderr(contains("the threshold is saved in run/model.safetensors"));
    // The model file has the threshold, and evaluation honours it.
    let judged = evaluate(folder.path(), &[]);
    let threshold = number(&judged["threshold"], "probability");
    let answered = number(&judged["answered"], "answered");
    assert!((0.1..1.0).contains(&threshold), "{threshold}");
    assert!(number(&judged["answered"], "wrong") <= 0.005 * answered);
    assert!(answered < 10_000.0 && answered > 1000.0, "{answered}");

    let table = fs::read_to_string(at("all.csv")).expect("a table");
    let mut lines = table.lines();
    let header = lines.next().expect("a header");
    assert!(header.starts_with("name,class,answer,probability,right,sure,loss,p 0,p 1"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 10_000);
    let sure = rows.iter().filter(|row| row[5] == "true").count();
    assert_eq!(sure as f64, answered);
    for row in &rows {
        let probability: f32 = row[3].parse().expect("a number");
        assert_eq!(row[5] == "true", probability >= threshold as f32, "{row:?}");
        assert_eq!(row[4] == "true", row[1] == row[2]);
    }

    let page = fs::read_to_string(at("report.html")).expect("a page");
    for part in [
        "Most confident mistakes",
        "Calibration: error",
        "ROC of the 4 worst",
        "data:image/png;base64",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("src=\"http"), "it loads nothing");
    let report = fs::read_to_string(at("run/report.html")).expect("the report of the run");
    assert!(report.contains("Most confident mistakes"));

    // A picture of nothing is no clear digit.
    image::GrayImage::from_fn(28, 28, |x, y| {
        image::Luma([((x * 31 + y * 17) % 251) as u8])
    })
    .save(at("noise.png"))
    .expect("a picture");
    let answer = json(
        hubel()
            .current_dir(&folder)
            .args(["predict", "run", "noise.png", "--json"]),
    );
    let prediction = &answer["predictions"][0];
    assert_eq!(
        prediction["sure"].as_bool().expect("yes or no"),
        number(prediction, "probability") >= threshold
    );

    // The model says what it does with its outputs.
    hubel()
        .current_dir(&folder)
        .args(["inspect", "run"])
        .assert()
        .success()
        .stdout(contains("divided by the temperature").and(contains("at most 0.5 % of the other")));
    let inspected = json(
        hubel()
            .current_dir(&folder)
            .args(["inspect", "run", "--json"]),
    );
    assert_eq!(inspected["threshold"], judged["threshold"]);
    assert!(inspected["temperature"].as_f64() > Some(0.1));

    // These images chose the threshold, so they do not test it.
    assert_eq!(judged["answered"]["chose_threshold"], true);
    assert_eq!(judged["answered"]["breaks_bound"], false);

    // Pictures of another kind are told apart by their distance, whatever the probability says.
    let foreign = evaluate(folder.path(), &["--foreign", "noise.png"]);
    assert_eq!(foreign["foreign"]["count"], 1);
    assert!(number(&foreign["foreign"], "roc_area") > 0.9);

    // Images that distances are measured from are never judged by their distance.
    for number in 0..4 {
        let class = at("digits").join(["3", "4"][number as usize % 2]);
        fs::create_dir_all(&class).expect("a folder");
        noise(number)
            .save(class.join(format!("{number}.png")))
            .expect("a picture");
    }
    hubel()
        .current_dir(&folder)
        .args(["evaluate", "run", "digits", "--foreign", "noise.png"])
        .assert()
        .failure()
        .stderr(contains("digits has nothing else"));

    // Other images did not choose the threshold.
    let others = evaluate(folder.path(), &["digits"]);
    assert_eq!(others["answered"]["chose_threshold"], false);
}

/// A picture of nothing.
fn noise(seed: u32) -> image::GrayImage {
    let mut state = seed + 1;
    image::GrayImage::from_fn(28, 28, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Luma([(state >> 24) as u8])
    })
}

#[test]
fn images_that_took_part_in_the_training_choose_no_threshold() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let parts = [("data/train", 0), ("data/val", 100), ("new", 200)];
    for (part, first) in parts {
        for number in 0..40 {
            let class = at(part).join(["0", "1"][number as usize % 2]);
            fs::create_dir_all(&class).expect("a folder");
            let picture = noise(first + number);
            picture
                .save(class.join(format!("{number}.png")))
                .expect("a picture");
        }
    }
    let mut train = hubel();
    train.current_dir(&folder).args(["train", "data"]);
    train.args(["--from", "none", "--model", "flatten-fc(classes)"]);
    train.args(["--epochs", "1", "--test", "0", "--out", "run"]);
    train.assert().success();
    fs::copy(at("run/model.safetensors"), at("alone.safetensors")).expect("copied");
    let choose = |model: &str, data: &str| {
        let mut evaluate = hubel();
        evaluate.current_dir(&folder);
        evaluate.args(["evaluate", model, data, "--wrong-at-most", "99%"]);
        evaluate.assert()
    };
    choose("run", "data/val")
        .failure()
        .stderr(contains("which chose the weights"));
    choose("run", "data/train")
        .failure()
        .stderr(contains("all of it is of the training part"));
    choose("alone.safetensors", "data/val")
        .failure()
        .stderr(contains("which chose the weights"));
    choose("alone.safetensors", "data/train")
        .failure()
        .stderr(contains("the model was trained on some of it"));
    choose("alone.safetensors", "new")
        .success()
        .stderr(contains("it is unknown whether the model was trained on"));
    // A single training image, which the few hashes in the model file would seldom show.
    fs::copy(at("data/train/1/1.png"), at("new/1/copy.png")).expect("copied");
    let chosen = choose("run", "new").success().stderr(contains(
        "do not count for the threshold, because they took part in the training: 1",
    ));
    let said = String::from_utf8_lossy(&chosen.get_output().stdout).into_owned();
    let said: Vec<&str> = said.split_whitespace().collect();
    let said = said.join(" ");
    assert!(
        said.contains("like the 40 that chose it. This data chose it"),
        "{said}"
    );
}

#[test]
fn a_bound_that_cannot_be_kept_is_refused() {
    let folder = trained();
    let refused = |model: &str, flags: &[&str], problem: &str| {
        hubel()
            .current_dir(&folder)
            .args(["evaluate", model])
            .args(flags)
            .assert()
            .failure()
            .stderr(contains(problem.to_owned()));
    };
    refused(
        "run",
        &["--wrong-at-most", "0.01%"],
        "at least 29956 are needed",
    );
    refused(
        "run",
        &["--wrong-at-most", "0"],
        "a share between 0 and 1 is needed",
    );
    refused(
        "run",
        &["--wrong-at-most", "100%"],
        "a share between 0 and 1 is needed",
    );
    // The bound would be that of another input size.
    refused(
        "run",
        &["--wrong-at-most", "1%", "--size", "32"],
        "cannot be used with",
    );
    refused(
        "efficientnet-lite0",
        &["mnist", "--wrong-at-most", "1%"],
        "--wrong-at-most stores the threshold",
    );
}
