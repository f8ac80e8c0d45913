//! `hubel doctor`, and the warnings of `hubel train`.
mod binary;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

/// Learns quickly.
const SMALL: &str = "conv(8, padding=same)-relu-pool-flatten-fc(64)-relu-fc(classes)";

/// A folder with class folders of 500 small pictures each, whose upper or lower half is light. If `are_shuffled`, that does not decide the class.
fn pictures(are_shuffled: bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for number in 0..1000_u32 {
        let scattered = number.wrapping_mul(2_654_435_761) >> 16;
        let is_above = match are_shuffled {
            true => scattered % 2 == 0,
            false => number % 2 == 0,
        };
        let class = folder.path().join(["above", "below"][number as usize % 2]);
        fs::create_dir_all(&class).expect("a folder");
        // Cells of other levels, so that no picture looks like a copy of another.
        let cell = |place: u32| {
            let mixed = (place ^ (place >> 15)).wrapping_mul(3_266_489_917);
            (mixed ^ (mixed >> 13)).wrapping_mul(2_246_822_519) >> 25
        };
        let picture = image::GrayImage::from_fn(12, 12, |x, y| {
            let light = if (y < 6) == is_above { 100 } else { 30 };
            image::Luma([light + cell(number * 9 + y / 4 * 3 + x / 4 + 1) as u8])
        });
        let file = class.join(format!("{number}.png"));
        picture.save(file).expect("a picture");
    }
    folder
}

/// The object that `hubel doctor DATA --json` prints, and the exit code.
fn doctor(data: &Path, flags: &[&str]) -> (Value, Option<i32>) {
    let output = hubel()
        .arg("doctor")
        .arg(data)
        .args(flags)
        .args(["--json", "--quiet"])
        .output()
        .expect("it runs");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    let answer = serde_json::from_str(&text).expect("JSON");
    (answer, output.status.code())
}

fn kinds(answer: &Value) -> Vec<&str> {
    let signs = answer["signs"].as_array().expect("a list");
    signs
        .iter()
        .map(|sign| sign["kind"].as_str().expect("a kind"))
        .collect()
}

#[test]
fn a_healthy_training_is_left_with_0_the_evidence_and_a_next_command_that_trains() {
    let (data, place) = (pictures(false), tempfile::tempdir().expect("a folder"));
    let assert = hubel()
        .current_dir(&place)
        .arg("doctor")
        .arg(data.path())
        .args(["--model", SMALL, "--epochs", "10"])
        .assert()
        .success()
        .stdout(
            contains("No sign of a problem was found.\n")
                .and(contains("learned by heart, loss from")),
        );
    let text = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    for line in text.lines().filter(|line| !line.starts_with("next")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let written = fs::read_dir(&place).expect("a folder").count();
    assert_eq!(written, 0, "an examination writes nothing");

    let next = text.lines().find_map(|line| line.strip_prefix("next"));
    let command = next.expect("a next command").trim();
    assert!(command.contains("--epochs 10"), "{command}");
    let status = std::process::Command::new("sh")
        .current_dir(&place)
        .args(["-c", &format!("{command} --quiet")])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("a shell").success());
    assert!(place.path().join("runs").is_dir());

    // The trained model, which has learned all of it.
    let folder = place.path().join("runs");
    let run = fs::read_dir(folder).expect("a folder").next();
    let model = run.expect("a run").expect("a run").path();
    let model = model.join("model.safetensors");
    let (answer, code) = doctor(data.path(), &["--model", model.to_str().expect("Unicode")]);
    assert_eq!((kinds(&answer), code), (vec![], Some(0)), "{answer}");
    let loss = &answer["by_heart"]["trials"][0]["loss_before"];
    assert!(loss.as_f64() < Some(0.6), "its weights are used: {loss}");
}

#[test]
fn a_sign_is_left_with_1_and_a_flag_that_helps() {
    let data = pictures(false);
    let flags = ["--model", SMALL, "--learning-rate", "0.000002"];
    hubel()
        .arg("doctor")
        .arg(data.path())
        .args(flags)
        .assert()
        .code(1)
        .stdout(contains("! rate-too-low").and(contains("→ train with `--learning-rate ")));
    let (answer, code) = doctor(data.path(), &flags);
    assert_eq!((kinds(&answer), code), (vec!["rate-too-low"], Some(1)));
    let sign = &answer["signs"][0];
    assert_eq!(sign["rate"], 2e-6);
    assert!((sign["evidence"].as_str()).is_some_and(|text| text.contains("2.0e-6")));

    let works = sign["works"].to_string();
    let flags = ["--model", SMALL, "--learning-rate", &works];
    let (answer, code) = doctor(data.path(), &flags);
    assert_eq!((kinds(&answer), code), (vec![], Some(0)), "{answer}");
    assert_eq!(answer["by_heart"]["trials"][0]["is_learned"], true);
    assert!(answer["labels"]["correct"].as_u64() > Some(300), "{answer}");
    assert_eq!(answer["layers"].as_array().map(Vec::len), Some(5));
}

#[test]
fn shuffled_labels_are_found_and_the_pictures_can_be_looked_at() {
    let data = pictures(true);
    let (answer, code) = doctor(data.path(), &["--model", SMALL]);
    assert_eq!((kinds(&answer), code), (vec!["shuffled-labels"], Some(1)));
    let advice = answer["signs"][0]["advice"].as_str().expect("text");
    assert!(advice.contains("`hubel data preview`"), "{advice}");
}

#[test]
fn a_training_warns_of_a_sign_once() {
    let (data, place) = (pictures(false), tempfile::tempdir().expect("a folder"));
    let mut command = hubel();
    command
        .current_dir(&place)
        .arg("train")
        .arg(data.path())
        .args(["--model", "flatten-fc(classes)", "--epochs", "4"])
        .args(["--learning-rate", "300", "--batch-size", "16", "--json"]);
    let assert = command
        .assert()
        .stderr(contains("warning: with a learning rate of").count(1))
        .stderr(contains("`hubel train --find-lr`"));
    let output = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    let answer: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(kinds(&answer), ["rate-too-high"]);

    let healthy = json(
        hubel()
            .current_dir(&place)
            .arg("train")
            .arg(data.path())
            .args(["--model", SMALL, "--epochs", "4", "--json"]),
    );
    assert_eq!(kinds(&healthy), Vec::<&str>::new());
}

#[test]
fn what_cannot_be_examined_is_an_error() {
    for (flags, problem) in [
        (&["--out", "runs/a"][..], "leave them out"),
        (&["--resume", "runs/a"], "leave them out"),
        (&["--model", "lenet6"], "lenet5"),
        (
            &["--model", "lenet5", "--from", "efficientnet-lite0"],
            "leave out one of the two",
        ),
        (&["--momentum", "0.5"], "--momentum needs"),
        (&["--learning-rate", "-1"], "greater than 0"),
    ] {
        let assert = hubel().arg("doctor").args(flags).assert();
        assert.code(2).stderr(contains(problem));
    }
    let fits_not = hubel()
        .args([
            "doctor",
            "--model",
            "conv(8, kernel=29)-flatten-fc(classes)",
        ])
        .assert();
    fits_not.code(1).stderr(contains("does not fit its input"));
    let no_data = hubel().args(["doctor", "no/such/folder"]).assert();
    no_data.code(1).stderr(contains("no/such/folder"));
    let help = hubel().args(["doctor", "--help"]).assert().success();
    help.stdout(
        contains("Examples:\n  hubel doctor photos/")
            .and(contains("NAME|TEXT|FILE"))
            .and(contains("--resume").not()),
    );
}
