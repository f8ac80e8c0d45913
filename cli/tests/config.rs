//! `hubel train --config`: settings from a file, and the file that each training writes.
mod binary;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::str::contains;
use tempfile::TempDir;

/// A folder with class folders of pictures in `photos`.
fn pictures(of_each: u32) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for class in 0..3_u32 {
        let class_folder = folder.path().join(format!("photos/{class}"));
        fs::create_dir_all(&class_folder).expect("a folder");
        for number in 0..of_each {
            let picture = image::RgbImage::from_fn(10, 8, |x, y| {
                let wave = (x * (class + 1) + y * number) % 12 * 6;
                let mut rgb = [60 + (number % 100) as u8, 60, 60 + wave as u8];
                rgb[class as usize] += 90;
                image::Rgb(rgb)
            });
            let path = class_folder.join(format!("{number}.png"));
            picture.save(path).expect("a picture");
        }
    }
    folder
}

/// Runs `hubel train`, and returns its model file and the file of its settings.
fn train(folder: &Path, out: &str, flags: &[&str]) -> (Vec<u8>, String) {
    // A folder takes one run.
    let _ = fs::remove_dir_all(folder.join(out));
    let mut command = hubel();
    command
        .current_dir(folder)
        .args(["train", "--quiet", "--json", "--out", out])
        .args(flags);
    assert!(json(&mut command)["stopped_at"].is_null());
    let model = fs::read(folder.join(out).join("model.safetensors")).expect("a model");
    let settings = fs::read_to_string(folder.join(out).join("run.toml")).expect("settings");
    (model, settings)
}

/// The lines before the facts.
fn settings(file: &str) -> &str {
    file.split("\n[run]\n").next().expect("text")
}

/// Trains with flags, then with the file that this wrote, and compares.
fn check_again(folder: &Path, flags: &[&str]) -> String {
    let (model, file) = train(folder, "first", flags);
    let (again, second_file) = train(folder, "second", &["--config", "first/run.toml"]);
    assert!(model == again, "another model: {flags:?}\n{file}");
    assert_eq!(settings(&file), settings(&second_file));
    file
}

const NETWORK: &str = "conv(4, padding=same)-batchnorm-relu-globalavgpool-fc(classes)";

#[test]
fn the_file_of_a_training_from_scratch_gives_the_same_bits() {
    let folder = pictures(12);
    let file = check_again(
        folder.path(),
        &[
            "photos",
            "--model",
            NETWORK,
            "--epochs",
            "2",
            "--threads",
            "1",
        ],
    );
    for line in [
        "data = \"photos\"",
        "from = \"none\"",
        &format!("model = \"{NETWORK}\""),
        "input = \"8x10x3\"",
        "batch-size = 64",
        "learning-rate = 0.002",
        "optimizer = \"adamw\"",
        "keep = \"auto\"",
        "threads = 1",
        "classes = 3",
    ] {
        assert!(
            file.lines().any(|written| written == line),
            "{line}: {file}"
        );
    }
    assert!(!file.contains("out ="), "{file}");
    let facts = file.split("\n[run]\n").nth(1).expect("facts");
    for fact in ["begun = 20", "hubel = ", "instruction-set = ", "network = "] {
        assert!(facts.contains(fact), "{facts}");
    }

    let flags = "--optimizer sgd --momentum 0.8 --learning-rate 0.013 --schedule cosine --weight-decay 1e-7 --label-smoothing 0.05 \
                 --initialisation pytorch --balance sample --keep best --patience 2 --precise --seed 18446744073709551615 --input 12x9x1 \
                 --resize crop --augment light --val 0.3 --test 0.2 --batch-size 7 --epochs 3 --cache 1MB --cpu scalar";
    let mut flags: Vec<&str> = flags.split_whitespace().collect();
    flags.extend([
        "photos",
        "--model",
        NETWORK,
        "--class-names",
        "red,a \"green\" one,blue",
    ]);
    let file = check_again(folder.path(), &flags);
    assert!(
        file.contains("cpu = \"scalar\"") && file.contains("patience = 2"),
        "{file}"
    );
    assert!(file.contains("seed = 18446744073709551615"), "{file}");
}

#[test]
fn the_file_of_a_training_with_the_usual_settings_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Arrays, which cannot be resized.
    let flags = ["--model", "flatten-fc(classes)", "--epochs", "1"];
    let file = check_again(folder.path(), &flags);
    assert!(file.contains("data = \"mnist\""), "{file}");
    assert!(file.contains("epochs = 1\nbatch-size = 128"), "{file}");
}

#[test]
fn the_file_of_a_fine_tuning_gives_the_same_bits() {
    let folder = pictures(170);
    train(
        folder.path(),
        "start",
        &["photos", "--model", NETWORK, "--epochs", "1"],
    );
    // Two phases.
    let file = check_again(
        folder.path(),
        &[
            "photos",
            "--from",
            "start",
            "--augment",
            "flip",
            "--val",
            "0",
            "--test",
            "0",
        ],
    );
    assert!(
        file.contains("from = \"start\"") && file.contains("# `batch-size` has"),
        "{file}"
    );
    assert_eq!(file.matches("[[run.phases]]").count(), 2, "{file}");
    let flags = [
        "photos",
        "--from",
        "start",
        "--freeze",
        "none",
        "--epochs",
        "1",
        "--optimizer",
        "sgd",
    ];
    let file = check_again(folder.path(), &flags);
    assert!(
        file.contains("freeze = \"none\"") && file.contains("batch-size = 32"),
        "{file}"
    );
    // With few pictures, the default is to train only the last layer.
    let few = pictures(12);
    fs::rename(folder.path().join("start"), few.path().join("start")).expect("it moves");
    let file = check_again(few.path(), &["photos", "--from", "start"]);
    assert!(
        file.contains("freeze = \"all\"") && file.contains("versions = 8"),
        "{file}"
    );
}

#[test]
fn flags_win_over_the_file_also_where_they_exclude_each_other() {
    let folder = pictures(12);
    let file =
        format!("data = \"photos\"\nmodel = \"{NETWORK}\"\nepochs = 3\nbatch-size = 9\nval = 0\n");
    fs::write(folder.path().join("mine.toml"), file).expect("a file");
    let (_, file) = train(
        folder.path(),
        "start",
        &["--config", "mine.toml", "--epochs", "1"],
    );
    for line in [
        "epochs = 1",
        "batch-size = 9",
        "data = \"photos\"",
        "val = 0.0",
    ] {
        assert!(
            file.lines().any(|written| written == line),
            "{line}: {file}"
        );
    }
    // The file says `from = "none"` and names a network.
    let flags = ["--config", "start/run.toml", "--from", "start"];
    let (_, file) = train(folder.path(), "tuned", &flags);
    assert!(
        file.contains("from = \"start\"") && !file.contains("model ="),
        "{file}"
    );
    let flags = [
        "--config",
        "tuned/run.toml",
        "--model",
        "flatten-fc(classes)",
    ];
    let (_, file) = train(folder.path(), "own", &flags);
    assert!(
        file.contains("from = \"none\"") && !file.contains("freeze ="),
        "{file}"
    );
}

#[test]
fn a_preset_is_that_for_the_kind_of_the_pictures() {
    let folder = pictures(6);
    let flags = ["photos", "--preset", "best", "--epochs", "1"];
    let (_, of_flag) = train(folder.path(), "flag", &flags);
    for setting in ["input = \"32x32x3\"", "optimizer = \"muon\"", "epochs = 1"] {
        assert!(of_flag.contains(setting), "{setting}: {of_flag}");
    }
    // The data and the preset can stand in a file.
    let file = "data = \"photos\"\npreset = \"best\"\nepochs = 1\n";
    fs::write(folder.path().join("mine.toml"), file).expect("a file");
    let (_, of_file) = train(folder.path(), "file", &["--config", "mine.toml"]);
    assert_eq!(settings(&of_file), settings(&of_flag));
    hubel()
        .current_dir(folder.path())
        .args(["train", "photos", "--preset", "fast"])
        .assert()
        .code(1)
        .stderr(contains("there is no preset `fast` for photos"));
}

#[test]
fn a_wrong_file_leaves_with_2_and_trains_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(
        folder.path().join("run.toml"),
        "epochs = 2\n\nbatch_size = 3\n",
    )
    .expect("a file");
    for (file, said) in [
        (
            "run.toml",
            "error: run.toml, line 3: there is no setting `batch_size`; did you mean `batch-size`?",
        ),
        ("no.toml", "error: cannot read no.toml: "),
    ] {
        hubel()
            .current_dir(&folder)
            .args(["train", "--config", file])
            .assert()
            .code(2)
            .stdout("")
            .stderr(contains(said).count(1));
    }
    assert!(!folder.path().join("runs").exists());
}
