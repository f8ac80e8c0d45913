//! `hubel runs`, and the report of a run.
// Other systems have no folders with such names.
#![cfg(unix)]
mod binary;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use binary::{hubel, json};
use hubel::{Cpu, Event, Keep, Network, Record, RunFolder, Splits, TrainSettings, Trainer, data};
use predicates::prelude::*;
use predicates::str::contains;

const CLASSES: [&str; 2] = ["dark <b>&", "light"];

/// Class folders of 24 pictures each.
fn write_pictures(root: &Path) {
    for (class, ink) in CLASSES.iter().zip([10, 200_u8]) {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..24_u8 {
            let file = root.join(class).join(format!("{number}.pgm"));
            let picture = [b"P5 2 2 255\n", &[ink, number, 90, ink + number][..]].concat();
            fs::write(file, picture).unwrap();
        }
    }
}

fn splits(root: &Path) -> Splits {
    write_pictures(root);
    let options = data::Options {
        validation: 0.25,
        ..data::Options::default()
    };
    data::open_with(root, &options, &|_, _| ()).unwrap()
}

/// A run as it might lie on the disk.
struct Made {
    name: &'static str,
    network: &'static str,
    /// The epoch after which it is stopped, of 3.
    stopped_after: Option<usize>,
    settings: &'static str,
    /// By epoch.
    validation: &'static [f32],
    test: Option<f32>,
    began: u64,
}

const EPOCHS: usize = 3;

impl Made {
    /// Writes the folder of the run, with its numbers instead of measured ones.
    fn write(&self, parent: &Path, splits: &Splits) {
        let path = parent.join(self.name);
        let settings = TrainSettings {
            epochs: EPOCHS,
            batch_size: 16,
            keep: Keep::Last,
            ..TrainSettings::default()
        };
        let network = Network::resolve(self.network).unwrap();
        let validation = splits.validation.as_ref();
        let mut trainer =
            Trainer::new(Cpu::best(1), network, &splits.train, validation, settings).unwrap();
        let mut folder = RunFolder::open(&path).unwrap();
        folder.begin(&trainer, splits).unwrap();
        let stop = self.stopped_after;
        let model = folder.train(&mut trainer, &mut |event| match event {
            Event::Epoch { epoch, .. } if Some(*epoch) == stop => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        folder.save(&model.unwrap()).unwrap();
        drop(folder);

        let began = self.began;
        let event =
            format!("{{\"event\":\"phase\",\"phase\":1,\"phases\":1,\"wall_time\":{began}}}\n");
        fs::write(path.join(Record::EVENTS), event).unwrap();
        let mut rows = "phase,epoch,step,learning_rate,loss,accuracy,validation_loss,validation_accuracy,wall_time,seconds,waiting_seconds\n".to_owned();
        for (accuracy, epoch) in self.validation.iter().zip(1..) {
            rows += &format!("1,{epoch},{epoch}0,0.002,0.5,0.9,0.4,{accuracy},{began},21.5,0.5\n");
        }
        fs::write(path.join(Record::METRICS), rows).unwrap();
        if !self.settings.is_empty() {
            fs::write(path.join(RunFolder::SETTINGS), self.settings).unwrap();
        }
        if let Some(test) = self.test {
            let result = format!("{{\"data\": \"photos\", \"test_accuracy\": {test}}}");
            fs::write(path.join("result.json"), result).unwrap();
        }
    }
}

const OWN: &str = "flatten-linear(classes)";

const MADE: [Made; 4] = [
    Made {
        name: "photos-first",
        network: OWN,
        stopped_after: None,
        settings: "data = \"photos\"\nepochs = 3\nlearning_rate = 0.002\naugment = \"flip\"\nseed = 1\n[run]\nthreads = 2\n",
        validation: &[0.5, 0.75, 0.875],
        test: Some(0.9125),
        began: 1_796_002_080,
    },
    Made {
        name: "photos-second",
        network: OWN,
        stopped_after: None,
        settings: "data = \"photos\"\nepochs = 3\nlearning_rate = 0.02\naugment = \"flip\"\nseed = 1\npatience = 2\n[run]\nthreads = 4\n",
        validation: &[0.25, 0.5, 0.9375],
        test: Some(0.85),
        began: 1_796_005_680,
    },
    Made {
        name: "photos-third",
        network: "mlp",
        stopped_after: Some(2),
        settings: "data = \"photos\"\nepochs = 3\nlearning_rate = 0.002\naugment = \"flip\"\nseed = 2\n[run]\nthreads = 4\n",
        validation: &[0.625, 0.6875],
        // From before it was extended: it says nothing about the weights of now.
        test: Some(0.99),
        began: 1_796_009_280,
    },
    Made {
        name: "without-settings",
        network: OWN,
        stopped_after: None,
        settings: "",
        validation: &[],
        test: None,
        began: 1_796_012_880,
    },
];

/// Four runs, a damaged one, one of a later version, and a folder of something else.
fn made_up() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let splits = splits(&root.path().join("data"));
    let runs = root.path().join("runs");
    for made in &MADE {
        made.write(&runs, &splits);
    }
    let at = |name: &str| runs.join(name);
    for name in ["damaged", "of-tomorrow", "notes"] {
        fs::create_dir(at(name)).unwrap();
    }
    let model = fs::read(at("photos-first/model.safetensors")).unwrap();
    fs::write(at("damaged/model.safetensors"), &model[..model.len() - 9]).unwrap();
    let version = |text: &str| text.as_bytes().to_vec();
    let (now, later) = (
        version("\"hubel.version\":\"2\""),
        version("\"hubel.version\":\"9\""),
    );
    let place = model.windows(now.len()).position(|part| part == now);
    let place = place.expect("the file has a version");
    let mut other = model;
    other[place..place + later.len()].copy_from_slice(&later);
    fs::write(at("of-tomorrow/model.safetensors"), other).unwrap();
    fs::write(at("notes/todo.txt"), "mine").unwrap();
    fs::write(at("a-file.txt"), "mine").unwrap();
    root
}

fn runs(root: &Path) -> assert_cmd::Command {
    let mut command = hubel();
    command.current_dir(root).arg("runs");
    command
}

#[test]
fn runs_are_listed_by_validation_accuracy_with_the_settings_that_differ() {
    let root = made_up();
    let output = runs(root.path()).assert().success().get_output().clone();
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "\
4 runs

run               data    state        validation     test  learning-rate  seed  patience  time
photos-second     photos  finished        93.75 %  85.00 %           0.02     1         2  1:05
photos-first      photos  finished        87.50 %  91.25 %          0.002     1         –  1:05
photos-third      photos  stopped 2/3     68.75 %        –          0.002     2         –  43 s
without-settings  –       finished              –        –              –     –         –     –

not shown in 100 columns: began (UTC), network (--json has everything)

cannot be read:
";
    let (list, problems) = text.split_at(expected.len().min(text.len()));
    assert_eq!(list, expected, "{text}");
    let of = |name: &str| {
        let start = problems.find(&format!("  {name}: "));
        let start = start.unwrap_or_else(|| panic!("{name}: {problems}"));
        // Lines are broken anywhere between words.
        problems[start..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(
        of("damaged").contains("damaged/model.safetensors"),
        "{text}"
    );
    assert!(
        of("of-tomorrow").contains("its format is version 9"),
        "{text}"
    );
    assert!(of("notes").contains("holds no run and no model"), "{text}");
    assert!(!text.contains("a-file"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );

    let output = runs(root.path()).args(["--sort", "date"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().skip(3).take(4);
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    let newest_first = [
        "without-settings",
        "photos-third",
        "photos-second",
        "photos-first",
    ];
    assert_eq!(names, newest_first);
}

#[test]
fn as_json_a_run_has_everything() {
    let root = made_up();
    let list = json(runs(root.path()).arg("--json"));
    let names = |key: &str| {
        let values = list[key].as_array().unwrap().iter();
        let names = values.map(|run| run["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("runs")[..2], ["photos-second", "photos-first"]);
    assert_eq!(names("unreadable"), ["damaged", "notes", "of-tomorrow"]);
    assert_eq!(
        list["differing"],
        serde_json::json!(["learning-rate", "seed", "patience"])
    );
    let first = &list["runs"][1];
    assert_eq!(first["state"], "finished");
    assert_eq!(first["validation_accuracy"], 0.875);
    assert_eq!(first["test_accuracy"], 0.9125);
    assert_eq!(first["seconds"], 64.5);
    assert_eq!(first["began"], 1_796_002_080.0);
    assert_eq!(first["network"], OWN);
    assert_eq!(first["settings"]["learning-rate"], 0.002);
    let stopped = &list["runs"][2];
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(
        (
            &stopped["position"]["epoch"],
            &stopped["position"]["epochs"]
        ),
        (&2.into(), &3.into())
    );
    assert_eq!(stopped["network"], "mlp");
    assert!(stopped["test_accuracy"].is_null());
}

#[test]
fn one_run_and_no_run_are_lists_too() {
    let root = made_up();
    let one = runs(root.path())
        .arg("runs/photos-first")
        .assert()
        .success();
    one.stdout(contains("1 run on photos with flatten-linear(classes)").and(contains("87.50 %")));
    fs::create_dir(root.path().join("empty")).unwrap();
    let none = runs(root.path()).arg("empty").assert().success();
    none.stdout(contains("no runs in empty"));
    let nowhere = runs(root.path()).arg("nowhere").assert().failure();
    nowhere.stderr(contains("there is no folder nowhere"));
}

/// A training of the pictures in `root/photos` into `root/runs/RUN`.
fn train(root: &Path, run: &str, flags: &[&str]) -> assert_cmd::Command {
    write_pictures(&root.join("photos"));
    let mut train = hubel();
    train
        .current_dir(root)
        .args(["train", "photos", "--model", OWN, "--threads", "1"]);
    train
        .args(flags)
        .arg("--out")
        .arg(Path::new("runs").join(run));
    train
}

#[test]
fn a_run_has_a_report_and_its_result() {
    let root = tempfile::tempdir().unwrap();
    let flags = [
        "--epochs",
        "3",
        "--batch-size",
        "8",
        "--val",
        "0.25",
        "--test",
        "0.25",
        "--json",
    ];
    let printed = json(&mut train(root.path(), "first", &flags));
    let at = |name: &str| root.path().join("runs/first").join(name);
    let result: serde_json::Value =
        serde_json::from_slice(&fs::read(at("result.json")).unwrap()).unwrap();
    let rows = hubel::record::read_metrics(&at("metrics.csv")).unwrap();
    for key in [
        "test_accuracy",
        "test_count",
        "validation_accuracy",
        "choice",
        "seconds",
    ] {
        assert_eq!(result[key], printed[key], "{key}");
        assert!(!result[key].is_null(), "{key}");
    }
    let validation = result["validation_accuracy"].as_f64().unwrap() as f32;
    assert_eq!(rows.last().unwrap().validation_accuracy, Some(validation));

    let page = fs::read_to_string(at("report.html")).unwrap();
    let percent = |key: &str| format!("<b>{:.2} %</b>", 100.0 * printed[key].as_f64().unwrap());
    for key in [
        "test_accuracy",
        "test_baseline_accuracy",
        "validation_accuracy",
    ] {
        assert!(page.contains(&percent(key)), "{key}");
    }
    for text in [
        "dark &#60;b&#62;&#38;",
        "The weights are the last, of epoch 3 of 3",
        "<h2>Classes</h2>",
        "<th>batch-size</th><td>8</td>",
        "<code>flatten-linear(classes)</code>",
        "and the run was not interrupted.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(
        !page.contains("<b>&"),
        "a class has become part of the page"
    );
    let charts = "loss, accuracy, rate; calibration, ROC, precision and recall";
    assert_eq!(page.matches("<svg").count(), 6, "{charts}");
    // Inline SVG names its namespace, which nobody requests, and parts of itself. Pictures are in the page.
    let page = page
        .replace("http://www.w3.org/2000/svg", "")
        .replace(" src=\"data:image/", "")
        .replace("url(#", "");
    for request in ["http", "<script", "<link", "@import", "url(", " src="] {
        assert!(!page.contains(request), "{request}");
    }

    let mut list = runs(root.path());
    list.assert()
        .success()
        .stdout(contains("first").and(contains("finished")));
}

#[test]
fn a_training_that_failed_has_a_report_with_what_there_is() {
    let root = tempfile::tempdir().unwrap();
    let flags = [
        "--epochs",
        "50",
        "--batch-size",
        "8",
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1e30",
    ];
    train(root.path(), "diverged", &flags).assert().failure();
    let page = fs::read_to_string(root.path().join("runs/diverged/report.html")).unwrap();
    assert!(page.contains("Training failed after"), "{page}");
    assert!(!page.contains("test accuracy</span>"));
}
