//! Texts: train, evaluate, predict, explain and check.
mod binary;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// Learns in seconds.
const SMALL: &str = "embedding(16)-concat[timeconv(8, kernel=2)-relu-maxovertime | timeconv(8)-relu-maxovertime]-linear(classes)";

/// A sentence; that of the same number and class is always the same.
fn sentence(number: usize, is_good: bool) -> String {
    let things = [
        "film", "story", "actor", "scene", "song", "ending", "joke", "camera",
    ];
    let good = ["wonderful", "moving", "funny", "warm", "brilliant"];
    let bad = ["dull", "tedious", "silly", "cold", "awful"];
    let words = if is_good { good } else { bad };
    format!(
        "the {} number {number} and the {} are {} and {} !",
        things[number % 8],
        things[(number / 8 + 3) % 8],
        words[number % 5],
        words[(number / 5 + 1) % 5]
    )
}

/// A table of 300 sentences of each class.
fn reviews(folder: &Path) -> std::path::PathBuf {
    let lines = (0..600).map(|i| {
        let label = ["negative", "positive"][i % 2];
        format!("\"{}\",{label}\n", sentence(i / 2, i % 2 == 1))
    });
    let path = folder.join("reviews.csv");
    fs::write(&path, format!("text,label\n{}", lines.collect::<String>())).expect("a table");
    path
}

/// The findings of `hubel check DATA`, whatever its exit code is.
fn findings(data: &Path) -> Vec<serde_json::Value> {
    let output = hubel()
        .arg("check")
        .arg(data)
        .args(["--json", "--quiet"])
        .output()
        .expect("it runs");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    found["findings"].as_array().expect("a list").clone()
}

/// A folder with the table, and a model trained on it in `run`.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let table = reviews(folder.path());
    hubel()
        .current_dir(folder.path())
        .arg("train")
        .arg(table)
        .args(["--model", SMALL, "--epochs", "20", "--batch-size", "16"])
        .args(["--learning-rate", "0.01", "--out", "run"])
        .assert()
        .success()
        .stderr(contains("table of texts, 2 classes, 600 texts"))
        .stderr(contains("texts to train on"))
        .stderr(contains("warning").not());
    folder
}

fn model(folder: &Path) -> std::path::PathBuf {
    folder.join("run")
}

#[test]
fn sentences_are_learnt_and_classified() {
    let folder = trained();
    let model = model(folder.path());
    let predict = |arguments: &[&str]| {
        let mut command = hubel();
        command
            .current_dir(folder.path())
            .arg("predict")
            .arg(&model)
            .args(arguments);
        command
    };
    let answer = json(
        predict(&[
            "--text",
            "a warm and funny film",
            "--text",
            "so dull",
            "--json",
        ])
        .arg("--quiet"),
    );
    let classes = answer["predictions"].as_array().expect("predictions");
    assert_eq!(classes[0]["class"], "positive");
    assert_eq!(classes[1]["class"], "negative");
    assert_eq!(classes[1]["tokens"], 2);
    predict(&["--text", "qwrt zzxy plmn"])
        .assert()
        .success()
        .stdout(contains("3 of its 3 words are unknown to the model"));
    fs::write(
        folder.path().join("lines.txt"),
        "an awful scene\n\nbrilliant , moving\n",
    )
    .expect("a file");
    predict(&["lines.txt"])
        .assert()
        .success()
        .stdout(contains("an awful scene: negative").and(contains("brilliant , moving: positive")));
    predict(&["-", "--out", "answers.csv"])
        .write_stdin("warm\ncold\n")
        .assert()
        .success();
    let table = fs::read_to_string(folder.path().join("answers.csv")).expect("a table");
    assert!(
        table.starts_with("text,class,probability,") && table.lines().count() == 3,
        "{table}"
    );
    // A column of a table, and the lines of a file by a pattern and a list.
    predict(&["reviews.csv", "--out", "answers.csv"])
        .assert()
        .success()
        .stderr(contains("the texts of its column `text` are classified"));
    let table = fs::read_to_string(folder.path().join("answers.csv")).expect("a table");
    assert!(
        table.lines().count() == 601 && !table.contains("\n\"text,label"),
        "{table}"
    );
    fs::write(folder.path().join("names"), "lines.txt\n").expect("a list");
    for name in ["line*.txt", "@names"] {
        predict(&[name])
            .assert()
            .success()
            .stdout(contains("an awful scene: negative"));
    }
    // A file of a folder is one text.
    let texts = folder.path().join("texts");
    fs::create_dir(&texts).expect("a folder");
    fs::write(texts.join("1.txt"), "dull ,\ntedious and\ncold\n").expect("a file");
    predict(&["texts"])
        .assert()
        .success()
        .stdout(contains("1.txt: negative").and(contains("cold").not()));
    fs::write(texts.join("2.txt"), b"caf\xe9").expect("a file");
    predict(&["texts"])
        .assert()
        .failure()
        .stdout(contains("1.txt: negative"))
        .stderr(contains("2.txt").and(contains("not UTF-8")));
    predict(&["--text", "warm", "--hop", "1"])
        .assert()
        .failure()
        .stderr(contains("--hop divides recordings"));
    predict(&["-"])
        .write_stdin(b"fine\n\xff\xfe\n".as_slice())
        .assert()
        .failure()
        .stderr(contains("line 2 is not UTF-8"));

    let evaluated = json(
        hubel()
            .current_dir(folder.path())
            .arg("evaluate")
            .arg(&model)
            .args(["reviews.csv", "--json", "--quiet"]),
    );
    assert!(
        evaluated["accuracy"].as_f64().expect("a number") > 0.9,
        "{evaluated}"
    );
    hubel()
        .arg("inspect")
        .arg(&model)
        .assert()
        .success()
        .stdout(contains("embedding").and(contains("maxovertime")));
}

#[test]
fn the_words_that_decide_are_found() {
    let folder = trained();
    let text = "the film and the joke are wonderful !";
    let explained = json(
        hubel()
            .current_dir(folder.path())
            .arg("explain")
            .arg(model(folder.path()))
            .args([
                "--text", text, "--check", "--json", "--quiet", "--out", "page",
            ]),
    );
    assert_eq!(explained["class"], "positive");
    let words = explained["words"].as_array().expect("words");
    let support = |word: &serde_json::Value| word["support"].as_f64().expect("a number");
    let most = words
        .iter()
        .max_by(|a, b| support(a).total_cmp(&support(b)));
    assert_eq!(most.expect("words")["text"], "wonderful");
    assert_eq!(explained["checks"]["finds_what_matters"], true);
    let page = fs::read_to_string(folder.path().join("page/index.html")).expect("a page");
    assert!(
        page.contains("wonderful") && !page.contains("http"),
        "one file that loads nothing"
    );
}

#[test]
fn a_value_of_a_text_s_map_has_a_time() {
    let folder = trained();
    let explain = |arguments: &[&str]| {
        let mut command = hubel();
        let text = "the film and the joke are wonderful !";
        (command.current_dir(folder.path()).arg("explain"))
            .arg(model(folder.path()))
            .args(["--text", text])
            .args(arguments);
        command
    };
    let number = |answer: &serde_json::Value, key: &str| answer[key].as_f64().expect("a number");
    for (layer, at) in [
        ("0", "2,0,0,1"),
        ("1.0.0", "2,0,0,1"),
        ("1.0.2", "0,0,1"),
        ("2", "0,0,1"),
    ] {
        let answer = json(&mut explain(&[
            "--layer",
            layer,
            "--at",
            at,
            "--backward",
            "--json",
        ]));
        let error = number(&answer, "result") - number(&answer, "value");
        assert!(error.abs() < 1e-5, "{answer}");
        let place = answer["at"].as_array().expect("a place").iter();
        let place: Vec<String> = place.map(ToString::to_string).collect();
        assert_eq!(place.join(","), at);
    }
    explain(&["--layer", "1.0.0", "--at", "2,0,0,1"])
        .assert()
        .success()
        .stdout(
            contains("time 2, row 0, column 0, channel 1").and(contains("the network computed")),
        );
    for (arguments, part) in [
        (
            &["--layer", "1.0.0", "--at", "0,0,1"][..],
            "give --at T,Y,X,C",
        ),
        (
            &["--layer", "1.0.0", "--at", "99,0,0,1"],
            "there is no time 99",
        ),
        (&["--layer", "1"], "give --at T,Y,X,C"),
    ] {
        explain(arguments).assert().code(1).stderr(contains(part));
    }
}

#[test]
fn planted_faults_are_found_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let table = reviews(folder.path());
    assert_eq!(findings(&table), Vec::<serde_json::Value>::new());
    let mut text = fs::read_to_string(&table).expect("a table");
    text += "\"The FILM  number 7 is new.\",positive\n\"the film number 7 is new .\",negative\n";
    text +=
        "\"A second one, twice\",positive\n\"a second one , twice\",positive\n\"  \",negative\n";
    fs::write(&table, text).expect("a table");
    let findings = findings(&table);
    let kinds: Vec<&str> = findings
        .iter()
        .map(|finding| finding["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["unreadable", "label-conflict", "exact-duplicate"]);
    assert_eq!(findings[0]["paths"][0], "line 606 of reviews.csv");
    assert_eq!(findings[1]["paths"][0], "line 602 of reviews.csv");
    // An empty text is left out and said; a comma outside quotes is an error.
    let train = || {
        let mut command = hubel();
        command.current_dir(folder.path()).args([
            "train",
            "reviews.csv",
            "--model",
            SMALL,
            "--epochs",
            "1",
        ]);
        command
    };
    train().assert().success().stderr(contains(
        "1 text is empty and is left out: line 606 of reviews.csv",
    ));
    let text = fs::read_to_string(&table).expect("a table");
    fs::write(&table, text + "good, but long,positive\n").expect("a table");
    train().assert().failure().stderr(contains(
        "line 607 has 3 fields and the first line has 2; put quotes",
    ));
}

#[test]
fn a_text_in_two_parts_is_a_leak() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines = (0..100).map(|i| {
        let (label, split) = (["negative", "positive"][i % 2], ["train", "test"][i / 80]);
        format!("\"{}\",{label},{split}\n", sentence(i / 2, i % 2 == 1))
    });
    let path = folder.path().join("t.csv");
    let leak = format!("\"{}\",positive,test\n", sentence(3, true));
    fs::write(
        &path,
        format!("text,label,split\n{}{leak}", lines.collect::<String>()),
    )
    .expect("a table");
    let found = findings(&path);
    assert_eq!(found[0]["kind"], "split-leak", "{found:?}");
}

#[test]
fn class_folders_of_texts_are_read_and_bad_ones_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for number in 0..60 {
        for (class, is_good) in [("bad", false), ("good", true)] {
            let class = folder.path().join(class);
            fs::create_dir_all(&class).expect("a folder");
            fs::write(
                class.join(format!("{number}.txt")),
                sentence(number, is_good),
            )
            .expect("a file");
        }
    }
    let out = tempfile::tempdir().expect("a temporary folder");
    let train = || {
        let mut command = hubel();
        command
            .arg("train")
            .arg(folder.path())
            .args(["--model", SMALL, "--epochs", "1"]);
        command.arg("--out").arg(out.path().join("run"));
        command
    };
    hubel()
        .arg("check")
        .arg(folder.path())
        .assert()
        .success()
        .stdout(contains("class folders of texts, 2 classes, 120 texts"));
    fs::write(folder.path().join("good/x.txt"), b"fine\ncaf\xe9\n").expect("a file");
    train()
        .assert()
        .failure()
        .stderr(contains("line 2 is not UTF-8; save it as UTF-8"));
    train()
        .args(["--bad-files", "skip"])
        .assert()
        .success()
        .stderr(contains("x.txt: line 2 is not UTF-8"));
    let found = findings(folder.path());
    assert_eq!(found[0]["kind"], "unreadable", "{found:?}");
    fs::write(folder.path().join("good/x.txt"), b"\xff\xfea\0").expect("a file");
    train().assert().failure().stderr(contains("UTF-16"));
}

#[test]
fn a_model_of_texts_says_what_it_cannot_do() {
    let folder = trained();
    let model = model(folder.path());
    let picture = folder.path().join("picture.png");
    image::GrayImage::new(8, 8)
        .save(&picture)
        .expect("a picture");
    hubel()
        .arg("explain")
        .arg(&model)
        .arg(&picture)
        .assert()
        .failure()
        .stderr(contains("give the text to explain with --text"));
    hubel()
        .arg("evaluate")
        .arg(&model)
        .arg("mnist")
        .assert()
        .failure()
        .stderr(contains(
            "it holds pictures, and the model was trained on texts",
        ));
    hubel()
        .arg("train")
        .arg(folder.path().join("reviews.csv"))
        .args(["--augment", "flip"])
        .assert()
        .failure()
        .stderr(contains("changes pictures"));
}
