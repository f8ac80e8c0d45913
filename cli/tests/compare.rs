//! `hubel compare`, and the runs of `hubel train --seeds` that it compares.
#![cfg(unix)]
mod binary;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

/// Class folders of noisy pictures: light columns, or light rows.
fn write_pictures(root: &Path, classes: [&str; 2]) {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as usize
    };
    for (kind, class) in classes.iter().enumerate() {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for number in 0..120 {
            let at = noise() % 5;
            let pixels = (0..36).map(|place| {
                let line = if kind == 0 { place / 6 } else { place % 6 };
                let ink = if line == at || line == at + 1 { 130 } else { 0 };
                (ink + noise() * 4 / 10) as u8
            });
            let pixels: Vec<u8> = pixels.collect();
            let file = root.join(class).join(format!("{number}.pgm"));
            fs::write(file, [b"P5 6 6 255\n", &pixels[..]].concat()).expect("a picture");
        }
    }
}

const CLASSES: [&str; 2] = ["columns", "rows"];

/// The flags of a training that takes an instant.
const FLAGS: &str = "--from none --model conv(4,padding=1)-relu-pool-flatten-fc(classes) --batch-size 16 --augment none --val 0.1 --threads 1";

/// The same, where a test gives no other values.
const USUAL: [(&str, &str); 3] = [
    ("--epochs", "12"),
    ("--learning-rate", "0.02"),
    ("--test", "0.4"),
];

/// `hubel train DATA` with [`FLAGS`], [`USUAL`] and these flags, into `runs/NAME`.
fn train_on(root: &Path, data: &str, name: &str, flags: &str) -> assert_cmd::Command {
    let mut train = hubel();
    train.current_dir(root).args(["train", data]);
    train.args(FLAGS.split(' ')).args(flags.split_whitespace());
    for (flag, value) in USUAL.iter().filter(|(flag, _)| !flags.contains(flag)) {
        train.args([flag, value]);
    }
    train.arg("--out").arg(Path::new("runs").join(name));
    train
}

fn train(root: &Path, name: &str, flags: &str) -> assert_cmd::Command {
    train_on(root, "photos", name, flags)
}

fn compare(root: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut compare = hubel();
    compare.current_dir(root).arg("compare").args(arguments);
    compare
}

/// A folder with pictures, in which trainings with these names and flags have run.
fn trained(runs: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    write_pictures(&root.path().join("photos"), CLASSES);
    for (name, flags) in runs {
        train(root.path(), name, flags).assert().success();
    }
    root
}

fn text(command: &mut assert_cmd::Command) -> String {
    let output = command.assert().success().get_output().stdout.clone();
    String::from_utf8(output).expect("UTF-8")
}

#[track_caller]
fn assert_narrow(text: &str) {
    // A command is one line, however long.
    for line in text
        .lines()
        .filter(|line| !line.contains(" train ") && !line.contains(" compare "))
    {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn two_models_are_compared_on_the_same_pictures_and_settings_are_not_judged() {
    // One of them has hardly learnt anything.
    let root = trained(&[
        ("good", ""),
        ("bad", "--learning-rate 1e-6"),
        ("again", "--seed 2 --split-seed 1"),
    ]);
    let sides = ["runs/good", "runs/bad"];
    let said = text(&mut compare(root.path(), &sides));
    assert!(
        said.starts_with("These two models differ: A is right more often"),
        "{said}"
    );
    assert_narrow(&said);
    for part in [
        "learning-rate: A 0.02, B 0.000001",
        "both were trained on the same",
        "McNemar     p",
        "flipped",
        "A: rows, B: columns",
        "photos/",
        "relative distance by layer",
        "train --config runs/good/run.toml --seeds 5 --out runs/good-seeds",
        "compare runs/good-seeds runs/bad-seeds",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("better"), "{said}");

    let answer = json(compare(root.path(), &sides).arg("--json"));
    assert_eq!(answer["conclusion"], "models-differ");
    let pairs = &answer["pairs"];
    let count = |name: &str| pairs[name].as_u64().expect("a count");
    let (first, second) = (count("only_a_right"), count("only_b_right"));
    let flipped = answer["flipped"].as_array().expect("a list");
    assert_eq!(flipped.len() as u64, first + second);
    let all = count("both_right") + first + second + count("neither_right");
    assert_eq!(answer["count"], all);
    let accuracy = (count("both_right") + first) as f64 / all as f64;
    assert_eq!(answer["a"]["accuracy"], accuracy);
    assert!(answer["mcnemar"]["exact_p"].as_f64().expect("a number") < 0.05);
    assert_eq!(answer["settings"][0]["name"], "learning-rate");
    let result: Value = serde_json::from_slice(
        &fs::read(root.path().join("runs/good/result.json")).expect("a file"),
    )
    .expect("JSON");
    let tested = result["test_accuracy"].as_f64().expect("a number");
    assert!((tested - accuracy).abs() < 1e-6);

    // Copies flip together, so only one of them counts.
    write_pictures(&root.path().join("copies"), CLASSES);
    for number in 0..120 {
        let class = root.path().join("copies/columns");
        let name = |end: &str| class.join(format!("{number}{end}.pgm"));
        fs::copy(name(""), name("-again")).expect("copied");
    }
    let of_copies = json(compare(root.path(), &sides).args(["--data", "copies", "--json"]));
    assert_eq!(of_copies["count"], answer["count"]);
    assert_eq!(of_copies["pairs"], answer["pairs"]);
    assert!(
        of_copies["near_duplicates"].as_u64() > Some(20),
        "{of_copies}"
    );

    // Where only the seed differs, there is no setting to try.
    let again = text(&mut compare(root.path(), &["runs/good", "runs/again"]));
    assert!(again.contains("nothing but the seed"), "{again}");
    assert!(!again.contains("--seeds"), "{again}");

    // A model is no other than itself.
    let same = text(&mut compare(
        root.path(),
        &["runs/good", "runs/good/model.safetensors"],
    ));
    assert!(same.starts_with("These two models are the same"), "{same}");
}

#[test]
fn settings_are_judged_over_seeds_alone() {
    let root = trained(&[
        ("good", "--seeds 4"),
        ("bad", "--seeds 4 --learning-rate 1e-6"),
        ("single", "--split-seed 1 --seed 9"),
    ]);
    let said = text(&mut compare(root.path(), &["runs/bad", "runs/good"]));
    assert!(
        said.starts_with("The setting of B is better than that of A: "),
        "{said}"
    );
    assert_narrow(&said);
    assert!(
        said.contains("over 4 seeds") && said.contains("Welch's t test"),
        "{said}"
    );
    let answer = json(&mut compare(
        root.path(),
        &["runs/bad", "runs/good", "--json"],
    ));
    assert_eq!(answer["conclusion"], "setting-b-better");
    assert!(answer["over_seeds"]["p"].as_f64().expect("a number") < 0.05);
    assert!(answer["pairs"].is_null());

    let same = text(&mut compare(root.path(), &["runs/good", "runs/good"]));
    assert!(
        same.starts_with("No difference is seen between the settings"),
        "{same}"
    );
    let mixed = text(&mut compare(root.path(), &["runs/good", "runs/single"]));
    assert!(
        mixed.starts_with("B is a single run, and a single run says nothing about its setting."),
        "{mixed}"
    );
    assert!(!mixed.contains("better"), "{mixed}");
}

#[test]
fn seeds_share_their_held_out_pictures_and_go_on_where_they_stopped() {
    let root = trained(&[("many", "--seeds 2"), ("second", "--seed 2 --split-seed 1")]);
    let at = |name: &str| root.path().join("runs").join(name);
    let read = |name: &str| fs::read(at(name)).expect(name);
    let held_out = |run: &str| -> HashSet<String> {
        let list = String::from_utf8(read(&format!("{run}/data.csv"))).expect("text");
        let lines = list.lines().filter(|line| line.starts_with("test,"));
        lines.map(String::from).collect()
    };
    assert!(held_out("many/seed-1").len() > 50);
    assert_eq!(held_out("many/seed-1"), held_out("many/seed-2"));
    // The run of a seed is the run that trains with this seed alone.
    let model = "model.safetensors";
    assert_eq!(
        read(&format!("many/seed-2/{model}")),
        read(&format!("second/{model}"))
    );
    assert_ne!(
        read(&format!("many/seed-1/{model}")),
        read(&format!("many/seed-2/{model}"))
    );

    // One is killed before its first checkpoint, the other one has ended.
    let before = read(&format!("many/seed-2/{model}"));
    for file in [
        model,
        "last.safetensors",
        "previous.safetensors",
        "result.json",
    ] {
        let _ = fs::remove_file(at("many/seed-2").join(file));
    }
    let mut resume = hubel();
    resume
        .current_dir(root.path())
        .args(["train", "--resume", "runs/many", "--json"]);
    let ended = json(&mut resume);
    assert_eq!(read(&format!("many/seed-2/{model}")), before);
    let accuracies: Vec<f64> = (0..2)
        .map(|run| {
            ended["runs"][run]["test_accuracy"]
                .as_f64()
                .expect("a number")
        })
        .collect();
    let mean = ended["test_accuracy_mean"].as_f64().expect("a number");
    assert!((mean - (accuracies[0] + accuracies[1]) / 2.0).abs() < 1e-9);
    assert!(ended["test_accuracy_deviation"].is_number());

    // More seeds are added to those that are there.
    let mut more = hubel();
    more.current_dir(root.path())
        .args(["train", "--resume", "runs/many", "--seeds", "3"]);
    let more = more.assert().success();
    more.stdout(contains("(3 seeds)").and(contains("seed 3")))
        .stderr(contains("seed 1 (1 of 3) has ended already"));

    let mut runs = hubel();
    let runs = runs.current_dir(root.path()).arg("runs").assert().success();
    runs.stdout(
        contains("4 runs")
            .and(contains("many/seed-3"))
            .and(contains("second")),
    );
}

#[test]
fn a_file_of_settings_may_have_seeds() {
    let root = trained(&[]);
    fs::write(
        root.path().join("two.toml"),
        "seeds = 2\nseed = 5\nsplit-seed = 3\n",
    )
    .expect("written");
    train(root.path(), "two", "--config two.toml --test 0 --epochs 1")
        .assert()
        .success()
        .stdout(contains("validation accuracy  ").and(contains("± ")));
    for run in ["seed-5", "seed-6"] {
        let settings = root.path().join("runs/two").join(run).join("run.toml");
        let settings = fs::read_to_string(settings).expect("a file");
        assert!(settings.contains("split-seed = 3\n"), "{settings}");
        assert!(!settings.contains("seeds = "), "{settings}");
    }
    let settings = fs::read_to_string(root.path().join("runs/two/run.toml")).expect("a file");
    assert!(settings.contains("seeds = 2\n"), "{settings}");
}

#[test]
fn seeds_are_refused_where_they_mean_nothing() {
    let root = trained(&[("one", "--epochs 1"), ("two", "--epochs 1 --seeds 2")]);
    let refused = |arguments: &str, problem: &str| {
        let mut train = hubel();
        train
            .current_dir(root.path())
            .arg("train")
            .args(arguments.split(' '));
        train.assert().failure().stderr(contains(problem));
    };
    refused("photos --seeds 2 --find-lr", "cannot be used with");
    refused("--resume runs/one --seeds 2", "runs/one is a single run");
    refused("--resume runs/two --seeds 1", "runs/two has 2 seeds");
    refused(
        "--resume runs/two --epochs 9",
        "cannot be extended together",
    );
    refused("--seeds 0", "1 or more");
    refused(
        "--seeds 2 --seed 18446744073709551615",
        "beyond the largest one",
    );
    train(root.path(), "two", "--seeds 2")
        .assert()
        .failure()
        .stderr(
            contains("already contains runs with several seeds").and(contains("--resume runs/two")),
        );
}

#[test]
fn pictures_that_a_model_was_trained_on_are_left_out_and_the_leak_is_said() {
    let root = trained(&[("first", ""), ("other-split", "--split-seed 2")]);
    let sides = ["runs/first", "runs/other-split"];
    let said = text(&mut compare(root.path(), &sides));
    assert!(said.contains("leak: A was trained on"), "{said}");
    assert!(said.contains("leak: B was trained on"), "{said}");
    assert_narrow(&said);
    let answer = json(compare(root.path(), &sides).arg("--json"));
    let lists = ["first", "other-split"].map(|run| {
        let list = root.path().join("runs").join(run).join("data.csv");
        fs::read_to_string(list).expect("a file")
    });
    let of = |list: &str, split: &str| -> HashSet<String> {
        let rows = list
            .lines()
            .map(|line| line.splitn(3, ',').collect::<Vec<_>>());
        let rows = rows.filter(|row| row[0] == split);
        rows.map(|row| row[2].to_owned()).collect()
    };
    let [first, other] = &lists;
    let tests = &of(first, "test") & &of(other, "test");
    assert_eq!(answer["count"], tests.len());
    let leaked = &of(other, "train") & &of(first, "test");
    assert_eq!(answer["leaks"]["b_trained_on_tests_of_a"], leaked.len());

    // Trained anew, both hold out the same pictures.
    assert_eq!(said.matches(" --split-seed 1").count(), 2, "{said}");

    // The same from the model files alone, which know what they held out.
    for (run, name) in [("first", "a.safetensors"), ("other-split", "b.safetensors")] {
        let model = root.path().join("runs").join(run).join("model.safetensors");
        fs::copy(model, root.path().join(name)).expect("copied");
    }
    let files = [
        "a.safetensors",
        "b.safetensors",
        "--data",
        "photos",
        "--json",
    ];
    let alone = json(&mut compare(root.path(), &files));
    assert_eq!(alone["count"], answer["count"]);
    assert_eq!(alone["leaks"], answer["leaks"]);
    assert!(alone["settings"].is_null());
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let root = trained(&[("first", "--epochs 1")]);
    write_pictures(&root.path().join("animals"), ["rows", "waves"]);
    train_on(root.path(), "animals", "animals", "")
        .assert()
        .success();
    let refused = |arguments: &[&str], problem: &str| {
        let refused = compare(root.path(), arguments).assert().failure();
        refused.stdout("").stderr(contains(problem));
    };
    refused(
        &["runs/first", "runs/animals"],
        "only in runs/first: columns\n  only in runs/animals: waves",
    );
    refused(&["runs/first", "runs/nowhere"], "runs/nowhere");
    refused(&["runs/first", "runs/first", "--data", "animals"], "waves");
    let model = root.path().join("runs/first/model.safetensors");
    fs::copy(&model, root.path().join("alone.safetensors")).expect("copied");
    refused(
        &["alone.safetensors", "alone.safetensors"],
        "neither A nor B says which data it was trained on",
    );
    // The same training on a copy of the pictures.
    write_pictures(&root.path().join("copies"), CLASSES);
    train_on(root.path(), "copies", "copies", "--epochs 1")
        .assert()
        .success();
    refused(
        &["runs/first", "runs/copies"],
        "runs/first was trained on photos and runs/copies on copies",
    );
    let given = ["runs/first", "runs/copies", "--data", "copies"];
    let said = text(&mut compare(root.path(), &given));
    assert!(said.contains("both were trained on the same"), "{said}");
    assert!(!said.contains("leak"), "{said}");
}
